"""`make demo-lake` on a machine without Java: what is read is right, and what was left out is told."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from local.demo.lake import CORRECTED, FILES, ROWS, Answer, Told, run_lake

LOADED = Answer(FILES * ROWS, FILES * ROWS, 6_000)
ANSWERS = {
    "loaded": LOADED,
    "corrected": Answer(LOADED.rows + CORRECTED, LOADED.shipments, 6_000),
    "compacted": Answer(LOADED.rows, LOADED.shipments, 6_000 - CORRECTED),
    "at the first snapshot": LOADED,
}
TOLD = Told(("2026-01-01", "2026-01-02"), ANSWERS, {"2026-01-01": "passed", "2026-01-02": "failed"})


@pytest.mark.parametrize(("java", "missing"), [(False, "needs Java 17"), (True, "make setup-spark")])
def test_without_spark_it_reads_and_tells_what_it_left_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    java: bool,
    missing: str,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/java" if java else None)
    monkeypatch.setattr("local.demo.lake.SPARK", tmp_path / "none")
    for name in ("JAVA_HOME", "SMELT_SPARK_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    told = run_lake(tmp_path / "home")

    assert list(told.answers) == ["loaded", "corrected", "at the first snapshot"]
    assert told.answers == told.expected
    assert told.all_right
    said = capsys.readouterr().out
    assert "Left out: compaction, and the gate." in said
    assert missing in said


def test_wrong_answers_and_wrong_verdicts_are_not_all_right() -> None:
    assert TOLD.all_right
    for when, answer in ANSWERS.items():
        assert not replace(TOLD, answers=ANSWERS | {when: answer._replace(rows=answer.rows - 1)}).all_right
    assert not replace(TOLD, verdicts={"2026-01-01": "passed", "2026-01-02": "passed"}).all_right
    assert not replace(TOLD, verdicts={}).all_right
