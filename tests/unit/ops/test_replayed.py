"""What a replay says at its end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.ops.cli.replayed import show_summary
from services.ops.replay.planning import Candidate, Verdict
from services.ops.replay.running import Done, Result, Summary
from services.shared.units import BronzeObject


def test_what_was_left_is_to_be_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    """The planner of a replay that was killed seems to be at work for as long as its lease lasts."""
    source = BronzeObject("bronze", "bronze/shipments/a.jsonl", 1, "etag", None, datetime(2026, 1, 1, tzinfo=UTC))
    summary = Summary()
    summary.add(Result(Candidate(source, source.id, Verdict.UNFINISHED, 1), Done.LEFT))
    show_summary(False, True, "", True, "", summary)
    assert "1 left: " in (shown := capsys.readouterr().out)
    assert "run the same command again in a minute" in shown
