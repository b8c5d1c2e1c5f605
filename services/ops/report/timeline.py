"""Rows over time, in memory that grows with the time they span and the number of datasets, not with the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services.ops.pages.charts import SERIES, Picture, bars

COLUMNS = 40  # of a chart, at most
OTHERS = "others"
_HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOURS = (1, 3, 6, 12, 24, 48, 168, 672, 2184, 8736, 87_360, 873_600)  # that a column may have: an hour to a century


@dataclass(slots=True)
class Timeline:
    """Rows by hour (UTC) and dataset. A column of its picture has at least `least_hours`: 24 where days are known."""

    least_hours: int = 1
    _rows: Counter[tuple[int, str]] = field(default_factory=Counter)

    def add(self, at: datetime, dataset: str, rows: int) -> None:
        if rows:
            self._rows[(at - _EPOCH) // _HOUR, dataset] += rows

    @property
    def total(self) -> int:
        return self._rows.total()

    def picture(self, title: str) -> Picture | None:
        """Bars over time; None if all rows are of the same hour, or there are none."""
        hours = {hour for hour, _ in self._rows}
        if len({hour // self.least_hours for hour in hours}) < 2:
            return None
        step, first, last = _columns(min(hours), max(hours), self.least_hours)
        shown = self._shown()
        sums: dict[str, list[int]] = {name: [0] * (last - first + 1) for name in shown}
        for (hour, dataset), rows in self._rows.items():
            sums[dataset if dataset in sums else OTHERS][hour // step - first] += rows
        labels = [_label(at * step, step) for at in range(first, last + 1)]
        return bars(f"{title}, by {_WORDS.get(step, f'{step // 24:,} days')}", labels, list(sums.items()))

    def _shown(self) -> Sequence[str]:
        """The datasets with the most rows; if there are more, the last name stands for all others."""
        sums: Counter[str] = Counter()
        for (_, dataset), rows in self._rows.items():
            sums[dataset] += rows
        if len(sums) <= SERIES:
            return sorted(sums)
        return [*sorted(name for name, _ in sums.most_common(SERIES - 1)), OTHERS]


_WORDS = {1: "hour", 3: "3 hours", 6: "6 hours", 12: "12 hours", 24: "day", 48: "2 days", 168: "week"}


def _columns(first_hour: int, last_hour: int, least: int) -> tuple[int, int, int]:
    """Hours in a column, and the numbers of the first and the last one."""
    for step in (step for step in _HOURS if step >= least):
        first, last = first_hour // step, last_hour // step
        if last - first < COLUMNS:
            break
    return step, first, last


def _label(hour: int, step: int) -> str:
    at = _EPOCH + hour * _HOUR
    return f"{at:%m-%d %Hh}" if step < 24 else f"{at:%Y-%m-%d}"
