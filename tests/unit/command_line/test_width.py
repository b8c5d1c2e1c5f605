"""On a narrow terminal nothing is cut: not in the help of any command, nor in a table."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from local.ministack import ROOT

SMELT = ["-m", "workbench.cli"]
SCREENS = [
    [*SMELT, "--help"],
    [*SMELT, "audit", "--help"],
    [*SMELT, "history", "--help"],
    [*SMELT, "history", "archive", "--help"],
    [*SMELT, "reconcile", "--help"],
    [*SMELT, "replay", "--help"],
    [*SMELT, "smoke", "--help"],
    [*SMELT, "sweep", "--help"],
    [*SMELT, "retract", "--help"],
    [*SMELT, "quarantine", "--help"],
    [*SMELT, "quarantine", "show", "--help"],
    [*SMELT, "quarantine", "export", "--help"],
    [*SMELT, "quarantine", "retry", "--help"],
    [*SMELT, "dlq", "--help"],
    [*SMELT, "dlq", "show", "--help"],
    [*SMELT, "dlq", "drop", "--help"],
    [*SMELT, "redrive", "--help"],
    [*SMELT, "status", "--help"],
    [*SMELT, "try", "--help"],
    [*SMELT, "infer", "--help"],
    [*SMELT, "query", "--help"],
    [*SMELT, "contracts", "--help"],
    [*SMELT, "contracts", "check", "--help"],
    [*SMELT, "contracts", "number", "--help"],
    [*SMELT, "contracts", "check"],
    ["-m", "local.demo", "--help"],
    ["scripts/gen_fake_events.py", "--help"],
    ["scripts/replay_from_s3.py", "--help"],
    ["scripts/replay_via_s3_copy.py", "--help"],
]


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("screen", SCREENS, ids=" ".join)
def test_a_screen_fits(screen: list[str], columns: int) -> None:
    settings = os.environ | {"COLUMNS": str(columns)}
    done = subprocess.run([sys.executable, *screen], cwd=ROOT, env=settings, capture_output=True, text=True, check=True)
    assert "…" not in done.stdout
    assert [line for line in done.stdout.splitlines() if len(line) > columns] == []


@pytest.mark.parametrize("columns", ["0", "00"])
def test_a_terminal_without_a_width_still_shows_results_and_errors(columns: str) -> None:
    settings = os.environ | {"COLUMNS": columns}
    command = [sys.executable, *SMELT, "contracts", "check"]
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=True)
    assert "shipments" in done.stdout
    done = subprocess.run([*command, "nowhere"], cwd=ROOT, env=settings, capture_output=True, text=True)
    assert "nowhere: no such file or folder" in done.stderr
