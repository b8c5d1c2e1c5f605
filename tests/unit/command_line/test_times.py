"""Times on the command line: with an offset, without one, and what is not a time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import typer

from services.ops.cli.times import parse_time


@pytest.mark.parametrize(
    "text", ["2026-01-31T08:00:00+02:00", "2026-01-31T06:00:00Z", "2026-01-31 06:00", "20260131T06"]
)
def test_an_offset_is_taken_into_account_and_utc_is_assumed_without_one(text: str) -> None:
    assert parse_time(text) == datetime(2026, 1, 31, 6, tzinfo=UTC)
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["20260131", "2026-01-31"])
def test_a_day_begins_at_midnight(text: str) -> None:
    assert parse_time(text) == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026", "1769846400", "1712010112359", "yesterday", "", "2026-13-01", "9999-12-31T23:00:00-05:00"],
)
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a time such as 2026-01-31"):
        parse_time(text)
