"""`make demo-lake` as a new user runs it: from nothing, to the last answer and the result page."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.demo.lake import CORRECTED, FILES, ROWS, run_lake

pytestmark = pytest.mark.spark


@pytest.mark.timeout(900)
def test_it_ends_with_each_row_in_its_place_and_both_verdicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run_lake(tmp_path)
    good, bad = told.days
    rows = {when: answer.rows for when, answer in told.answers.items()}
    loaded, corrected, compacted, then = told.answers.values()

    assert rows == {
        "loaded": FILES * ROWS,
        "corrected": FILES * ROWS + CORRECTED,
        "compacted": FILES * ROWS,
        "at the first snapshot": FILES * ROWS,
    }
    assert {answer.shipments for answer in told.answers.values()} == {FILES * ROWS}
    assert loaded.without_carrier == corrected.without_carrier == compacted.without_carrier + CORRECTED
    assert then == loaded
    assert told.verdicts == {good: "passed", bad: "failed"}
    assert told.all_right
    assert "nullValues(carrier)" in told.pages[bad].read_text("utf-8")
    said = capsys.readouterr().out.splitlines()
    assert len(said) <= 30
    assert (Path.cwd() / said[-1].rpartition(": ")[2]).resolve() == told.pages[bad].resolve()
    assert not [line for line in said[:-1] if len(line.rstrip()) > 80]
