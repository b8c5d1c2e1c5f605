"""The `smelt` program in this process, and files for it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from services.ops.cli.console import execute

Smelt = Callable[..., tuple[int, str, str]]

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: test-orders
version: 1.0.0
status: active
schema:
  - name: orders
    logicalType: object
    description: One row for each order.
    customProperties:
      - property: eventTime
        value: at
      - property: earliest
        value: "2020-01-01"
      - property: maxAhead
        value: P1D
      - property: fieldIds
        value:
          at: 5
          order_id: 6
          total: 7
    properties:
      - name: at
        logicalType: timestamp
        description: When.
        required: true
      - name: order_id
        logicalType: string
        description: Which.
        required: true
        primaryKey: true
      - name: total
        logicalType: number
        description: How much.
"""


def order(number: int, **other: Any) -> dict[str, Any]:
    return {"at": f"2026-01-{1 + number % 3:02d}T08:00:00Z", "order_id": f"o{number}", "total": number / 4, **other}


def write_lines(file: Path, rows: Iterable[Any]) -> Path:
    """Rows as JSON lines; a string is a line as it is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return file


@pytest.fixture
def smelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smelt:
    """Runs a command in a folder of its own, with the contract of orders; gives its exit code and what it printed."""
    from workbench.cli.app import app

    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "contracts/orders.yaml", CONTRACT.splitlines())

    def run(*arguments: object) -> tuple[int, str, str]:
        code = execute(app, [str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a folder one that cannot be looked into, also for root."""
    scandir = os.scandir

    def close(folder: Path) -> None:
        def denied(path: Any = ".") -> Any:
            if os.path.realpath(path) == os.path.realpath(folder):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", denied)

    return close
