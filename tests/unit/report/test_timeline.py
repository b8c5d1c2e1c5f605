"""Rows over time as columns of a chart, few enough to be read whatever the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.ops.pages.charts import SERIES
from services.ops.report.timeline import COLUMNS, OTHERS, Timeline

START = datetime(2026, 1, 1, tzinfo=UTC)


def timeline(*hours: float, dataset: str = "orders", least: int = 1) -> Timeline:
    made = Timeline(least)
    for hour in hours:
        made.add(START + timedelta(hours=hour), dataset, 10)
    return made


def test_rows_of_one_hour_are_no_picture() -> None:
    assert timeline(0.1, 0.9).picture("Rows") is None
    assert Timeline().picture("Rows") is None


def test_hours_without_rows_have_their_place() -> None:
    picture = timeline(0, 3).picture("Rows")
    assert picture is not None
    assert picture.title == "Rows, by hour"
    assert picture.rows == [["01-01 00h", "10"], ["01-01 01h", "0"], ["01-01 02h", "0"], ["01-01 03h", "10"]]


@pytest.mark.parametrize("days", [1, 2, 9, 60, 400, 4000, 40_000, 700_000])
def test_any_length_of_time_has_few_columns_and_keeps_every_row(days: int) -> None:
    made = Timeline()
    made.add(START - timedelta(days=min(days, 600_000)), "orders", 7)
    made.add(START, "orders", 5)
    picture = made.picture("Rows")
    assert picture is not None
    assert len(picture.labels) <= COLUMNS + 1
    assert sum(picture.series[0][1]) == made.total == 12  # type: ignore[arg-type]


def test_where_only_days_are_known_no_column_is_shorter() -> None:
    picture = timeline(0, 24, 48, least=24).picture("Rows")
    assert picture is not None
    assert (picture.title, list(picture.labels)) == ("Rows, by day", ["2026-01-01", "2026-01-02", "2026-01-03"])
    assert timeline(1, 2, least=24).picture("Rows") is None


def test_many_datasets_are_put_together_and_no_row_is_lost() -> None:
    made = Timeline()
    for nth in range(100):
        made.add(START, f"d{nth}", nth + 1)
        made.add(START + timedelta(hours=1), f"d{nth}", nth + 1)
    picture = made.picture("Rows")
    assert picture is not None
    assert len(picture.series) == SERIES
    assert picture.series[-1][0] == OTHERS
    assert sum(sum(values) for _, values in picture.series) == made.total  # type: ignore[arg-type]
