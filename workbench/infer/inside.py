"""Columns for what is inside of objects: the time and the key of rows that say neither at their top level.

So it is with change events (`$.payload.ts_ms`) and with types that are objects (`$._id['$oid']`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from services.shared.contract.model import FieldType
from workbench.infer.draft import KEY_TYPES, Draft, EventTime, as_epoch, choose_event_time, column_name
from workbench.infer.evidence import Evidence

_ENVELOPES = {
    "body",
    "data",
    "detail",
    "event",
    "header",
    "headers",
    "message",
    "meta",
    "metadata",
    "payload",
    "properties",
    "source",
}
_LEVELS = 4  # below a key of the row
_MOST = 200  # values that are looked at


def draft_inside(evidence: Mapping[str, Evidence], fields: Sequence[Draft], rows: int) -> list[Draft]:
    """A column for each value inside of objects that every row has, of a type that a key or a time may have."""
    taken = {one.name for one in fields}
    found: list[Draft] = []
    for key in (one.key for one in fields if one.type is FieldType.OBJECT):
        for path, one in _values(evidence[key], (), rows):
            name = column_name("_".join((key, *path)))
            words = column_name("_".join(step for step in (key, *path) if not step.startswith("$")))
            seen, fitting = as_epoch(words, one)
            if fitting.type in KEY_TYPES and name and name not in taken and len(found) < _MOST:
                taken.add(name)
                found.append(Draft(name, key, fitting, True, seen, inside=path))
    return found


def event_time_inside(inside: Sequence[Draft], now: datetime, rows: int) -> EventTime | None:
    """The most likely event time of rows that say none at their top level; None where it is not sure to be the row's.

    A time of an envelope is (`$.payload.ts_ms`, `$.createdAt['$date']`); one of a thing in the row is often the
    thing's own (`$.repository.created_at`), so it is no choice.
    """
    found = choose_event_time([one for one in inside if _is_of_row(one)], now, rows)
    return found if found.field else None


def _is_of_row(one: Draft) -> bool:
    *above, _ = [key for key in (one.key, *one.inside) if not key.startswith("$")]
    return all(key.lower() in _ENVELOPES for key in above)


def _values(evidence: Evidence, path: tuple[str, ...], rows: int) -> Iterator[tuple[tuple[str, ...], Evidence]]:
    """The paths of what every row has inside of an object, with its evidence."""
    if evidence.is_map or len(path) == _LEVELS:
        return
    for name, one in evidence.children.items():
        if one.values != rows:
            continue
        if set(one.kinds) == {"object"}:
            yield from _values(one, (*path, name), rows)
        else:
            yield (*path, name), one
