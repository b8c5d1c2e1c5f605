"""`smelt quarantine export --out` over a file that is there: an earlier export, whose rows may have expired since."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from services.ops.cli import quarantine as command
from services.ops.cli.app import app
from services.ops.cli.console import ExitCode, execute
from services.shared.lake import LakeUnavailable

Export = Callable[[Path, int], int]


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch) -> Export:
    """Exports so many rows to a file, then S3 does not answer; 0: two rows, and all is well."""

    def run(out: Path, fails_after: int) -> int:
        def rows(*_: Any) -> Iterator[dict[str, Any]]:
            for number in range(fails_after or 2):
                yield {"raw": f"row {number}"}
            if fails_after:
                raise LakeUnavailable("S3 does not answer")

        def pipeline(*_: Any) -> AbstractContextManager[tuple[None, ...]]:
            return nullcontext((None,) * 4)

        monkeypatch.setattr(command, "_pipeline", pipeline)
        monkeypatch.setattr(command, "export", rows)
        return execute(app, ["quarantine", "export", "--out", str(out)])

    return run


def test_one_that_fails_leaves_the_earlier_one_and_nothing_else(tmp_path: Path, export: Export) -> None:
    out = tmp_path / "refused.jsonl"
    out.write_text("rows that have expired")
    assert export(out, 1) == ExitCode.FAILED
    assert out.read_text() == "rows that have expired"
    assert list(tmp_path.iterdir()) == [out]
    assert export(out, 0) == ExitCode.OK
    assert out.read_text() == '{"raw": "row 0"}\n{"raw": "row 1"}\n'
    assert list(tmp_path.iterdir()) == [out]


def test_a_pipe_is_written_to(tmp_path: Path, export: Export) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    assert export(pipe, 0) == ExitCode.OK
    reader.join(10)
    assert read == ['{"raw": "row 0"}\n{"raw": "row 1"}\n']
