"""Rows that are set aside because their values are not what nearly all others are. A deployment will refuse them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from services.shared.judge.row_json import Number
from workbench.infer.evidence import is_date, moment_of

_MOMENTS = {"date", "timestamp"}


def misfits(rows: Sequence[Mapping[str, Any]], percent: float) -> set[int]:
    """The numbers of rows in which a key has another type than in all but at most `percent` of the rows that have it.

    A day or a timestamp that nearly all rows have may not be missing either: it may be the event time.
    """
    kinds: dict[str, Counter[str]] = {}
    for row in rows:
        for key, value in row.items():
            kinds.setdefault(key, Counter())[_kind(value)] += 1
    usual: dict[str, str] = {}
    required: set[str] = set()
    for key, counted in kinds.items():
        nulls = counted.pop("null", 0)
        if not counted:
            continue
        kind, number = counted.most_common(1)[0]
        total = counted.total()
        if number < total and 100 * (total - number) <= percent * total:
            usual[key] = kind
        if kind in _MOMENTS and 0 < 100 * (len(rows) - total) <= percent * len(rows):
            required.add(key)
        counted["null"] = nulls
    return {at for at, row in enumerate(rows) if _is_misfit(row, usual, required)}


def _is_misfit(row: Mapping[str, Any], usual: Mapping[str, str], required: set[str]) -> bool:
    other = any(key in row and _kind(row[key]) not in (kind, "null") for key, kind in usual.items())
    return other or any(row.get(key) is None for key in required)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Number):
        return "number"
    if isinstance(value, str):
        if moment_of(value) is None:
            return "string"
        return "date" if is_date(value) else "timestamp"
    return type(value).__name__
