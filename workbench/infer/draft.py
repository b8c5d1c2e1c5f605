"""From the evidence to a draft: which keys become fields, what happened when, and what identifies a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from services.ops.errors import OperatorError
from services.shared.contract.fields import MAX_COLUMN_NAME
from services.shared.contract.model import CREATION, EPOCHS, FieldType
from services.shared.contract.sources import path_text
from services.shared.judge.row_json import shortened
from workbench.infer.evidence import Evidence, Fit, epoch_of, fit

MAX_FIELDS = 1000
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NESTED_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BEYOND_MICROS = re.compile(r"(\.\d{6})\d+")
_RESERVED = {"dt", "record_type"}  # the partition keys
_NUMERIC = (FieldType.INTEGER, FieldType.NUMBER, FieldType.STRING)  # in which times since 1970 are written
KEY_TYPES = (FieldType.STRING, FieldType.INTEGER, FieldType.DATE, FieldType.TIMESTAMP)
_MOST_DAYS_AHEAD = 9999  # of a contract's maxAhead
_TRIED_TOGETHER = 8  # fields, for a key of several

# Words in a field's name that speak for it, or against it, with their weight.
_TIME_WORDS = {
    "event": 4,
    "time": 3,
    "timestamp": 3,
    "occurred": 4,
    "created": 3,
    "ts": 2,
    "at": 1,
    "date": 1,
    "day": 1,
}
_OTHER_TIMES = {
    "updated",
    "modified",
    "deleted",
    "expires",
    "expiry",
    "due",
    "birth",
    "closed",
    "merged",
    "until",
    "end",
}
_EPOCH_WORDS = (_TIME_WORDS.keys() | _OTHER_TIMES) - {"event"}
_NEARLY_ALL = 0.95  # of the rows; a time that so many have is the event time, and the others are damaged
_NAMED = 5  # keys in a sentence
_CODES = 2  # the rank of codes, among what may be a key by itself
_KEY_WORDS = {"id": 4, "uuid": 4, "guid": 4, "key": 3, "number": 2, "no": 2, "code": 1, "name": 1}


@dataclass(frozen=True, slots=True)
class Draft:
    """One field: its column, its key in the rows, its type, whether it is required, and what is nested in it.

    `inside` are the keys that lead from the value of `key` to its own; none where it is that value.
    """

    name: str
    key: str
    fit: Fit
    required: bool
    evidence: Evidence
    children: tuple[Draft, ...] = ()
    inside: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where its value is, as a contract says it."""
        return path_text((self.key, *self.inside))

    @property
    def called(self) -> str:
        """Its name, or its path where it may yet become a column."""
        return self.source if self.inside else self.name

    @property
    def words(self) -> list[str]:
        """The words of its name; without the names of types, such as `$oid`."""
        steps = [step for step in (self.key, *self.inside) if not step.startswith("$")]
        return (column_name("_".join(steps)) if self.inside else self.name).split("_")

    def value_in(self, row: Mapping[str, Any]) -> Any:
        """Its value in a row."""
        value = row.get(self.key)
        for key in self.inside:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @property
    def type(self) -> FieldType:
        return self.fit.type or FieldType.STRING


@dataclass(slots=True)
class Drafts:
    """The fields of a dataset, and the keys that are none, with the reason."""

    fields: list[Draft] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def leave_out(self, name: str, why: str) -> None:
        """Make a key of a field no field."""
        gone = next(one for one in self.fields if one.name == name)
        self.fields.remove(gone)
        self.left_out[gone.key] = why


def draft_fields(evidence: Mapping[str, Evidence], rows: int) -> Drafts:
    """The top-level fields, in the order of the rows' keys."""
    found = Drafts()
    taken = {key for key in evidence if _NAME.fullmatch(key)}
    for key, one in evidence.items():
        name = column_name(key)
        if not name or (key != name and name in taken):
            found.left_out[key] = "cannot be a column's name" if not name else f"{name} is another key's column"
            continue
        one, fitting = as_epoch(name, one)
        if fitting.type is None:
            found.left_out[key] = fitting.why_not
        elif len(found.fields) == MAX_FIELDS:
            found.left_out[key] = f"the first {MAX_FIELDS:,} keys are fields"
        else:
            taken.add(name)
            children = tuple(_children(one, fitting))
            found.fields.append(Draft(name, key, fitting, one.values == rows, one, children))
    return found


def as_epoch(name: str, evidence: Evidence) -> tuple[Evidence, Fit]:
    """The type that fits; a time where all are numbers that may be one, under a name that says so."""
    fitting, words = fit(evidence), set(name.split("_"))
    epoch = epoch_of(evidence) if fitting.type in _NUMERIC else None
    if epoch and f"epoch_{epoch[0]}" in EPOCHS and words & _EPOCH_WORDS and not words & _KEY_WORDS.keys():
        written = Fit(FieldType.TIMESTAMP, format=f"epoch_{epoch[0]}", takes_strings=fitting.type is FieldType.STRING)
        return replace(evidence, first=epoch[1], last=epoch[2]), written
    return evidence, fitting


def column_name(key: str) -> str:
    """The column for a key: `orderTotal` gives `order_total`; empty where nothing is left of it, or it is too long."""
    if len(key) > MAX_COLUMN_NAME // 2:  # it may become longer
        return key if _NAME.fullmatch(key) and len(key) <= MAX_COLUMN_NAME else ""
    if _NAME.fullmatch(key) and key not in _RESERVED:
        return key
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+", "_", key)
    name = words.strip("_").lower().lstrip("0123456789_")
    return f"{name}_" if name in _RESERVED else name


def _children(evidence: Evidence, fitting: Fit) -> Iterator[Draft]:
    """What is inside an object or an array, as far as every value of it has one type."""
    if fitting.type is FieldType.OBJECT and not evidence.is_map:
        names = {name.lower() for name in evidence.children}
        if len(names) < len(evidence.children):  # upper and lower case are not told apart by readers
            return
        for name, one in evidence.children.items():
            inner = fit(one)
            if _NESTED_NAME.fullmatch(name) and len(name) <= MAX_COLUMN_NAME and inner.type is not None:
                required = one.values == evidence.kinds["object"]
                yield Draft(name, name, inner, required, one, tuple(_children(one, inner)))
    elif fitting.type is FieldType.ARRAY and evidence.element is not None:
        one = evidence.element
        inner = fit(one)
        if inner.type is not None:
            yield Draft("", "", inner, False, one, tuple(_children(one, inner)))


# When


@dataclass(frozen=True, slots=True)
class EventTime:
    """The field that says when a row happened, the others that could, and the window that accepts the sample.

    Where no field says it (None), it is when the row's object was created, and `why` says why; the others are then
    inside of objects.
    """

    field: Draft | None
    others: Sequence[Draft] = ()
    earliest: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    max_ahead: timedelta = timedelta(days=1)  # whole days
    why: str = ""

    @property
    def name(self) -> str:
        return self.field.name if self.field else CREATION


def choose_event_time(fields: Sequence[Draft], now: datetime, rows: int) -> EventTime:
    """The most likely event time, of a sample of so many rows.

    Raises:
        OperatorError: no field can be it, though nearly all rows have one that could.
    """
    times = by_likelihood(fields, now)
    if not times:
        return EventTime(None, why=_why_no_time(fields, rows))
    best, *others = times
    first = best.evidence.first or now
    earliest = min(
        datetime(2000, 1, 1, tzinfo=UTC), first.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    )
    return EventTime(best, others, earliest, timedelta(days=max(1, _days_ahead(best, now))))


def by_likelihood(fields: Iterable[Draft], now: datetime) -> list[Draft]:
    """The fields that may be the event time, the likeliest first."""
    times = [one for one in fields if one.required and _days_ahead(one, now) <= _MOST_DAYS_AHEAD]
    return sorted(times, key=lambda one: -_time_score(one))


def _days_ahead(one: Draft, now: datetime) -> int:
    """How many days ahead of now the window must reach for this field."""
    is_time = one.type in (FieldType.TIMESTAMP, FieldType.DATE) and one.evidence.last is not None
    return (one.evidence.last - now).days + 2 if is_time and one.evidence.last else _MOST_DAYS_AHEAD + 1


def _why_no_time(fields: Sequence[Draft], rows: int) -> str:
    some = [(one.key, one.evidence.values) for one in fields if one.type in (FieldType.TIMESTAMP, FieldType.DATE)]
    some += [(one.key, max(one.evidence.times, one.evidence.dates)) for one in fields if one.type is FieldType.STRING]
    some = [(key, number) for key, number in some if number]
    partly = ", ".join(f"{shortened(key)} in {number:,} of {rows:,} rows" for key, number in some)
    if any(_NEARLY_ALL * rows <= number < rows for _, number in some):
        raise OperatorError(
            "No field says when a row happened: a contract needs a timestamp or a date that every row has. There is "
            f"one only in some: {partly}; --tolerate 1 sets aside up to 1 % of the rows. Let the producer add one, or "
            "write the contract by hand (docs/contracts.md)."
        )
    if any(number == rows for _, number in some):
        return f"no field is a time of at most {_MOST_DAYS_AHEAD:,} days ahead in every row: {partly}"
    return f"there is a time only in some: {partly}" if partly else "no field is a time"


def _time_score(one: Draft) -> int:
    words = one.words
    score = sum(_TIME_WORDS.get(word, 0) for word in words) - 6 * any(word in _OTHER_TIMES for word in words)
    return score + 2 * (one.type is FieldType.TIMESTAMP)


# Which


@dataclass(frozen=True, slots=True)
class Key:
    """The fields that identify a row in the sample, none if nothing does; and others that do so by themselves."""

    fields: tuple[Draft, ...]
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.fields)

    @property
    def is_time_alone(self) -> bool:
        """Whether rows of the same moment would be one row."""
        return len(self.fields) == 1 and self.fields[0].type is FieldType.TIMESTAMP


def choose_key(
    fields: Sequence[Draft], rows: Sequence[Mapping[str, Any]], event_time: str, inside: Sequence[Draft] = ()
) -> Key:
    """The most likely key: one field that is unique in the sample, or two, or three; none if nothing is.

    Of unique fields, one that is named like a key comes first, then the day of rows that come once a day, then codes
    (texts without blanks, the shortest first), times, other texts, and numbers last, which may only measure something.
    Before any two together comes a value `inside` of an object that is named like a key, or is a code.
    """
    ordered = sorted(
        (one for one in fields if one.required and one.type in KEY_TYPES), key=lambda one: -_key_score(one)
    )
    single = [one for one in ordered if _may_be_key(one, event_time) and _unique([one], rows)]
    if single:
        best, *others = sorted(single, key=_rank_alone)
        return Key((best,), tuple(one.name for one in others))
    within = sorted((one for one in inside if _rank_alone(one)[0] <= _CODES and _unique([one], rows)), key=_rank_alone)
    if within:
        return Key((within[0],), tuple(one.source for one in within[1:]))
    tried = [one for one in ordered if one.name != event_time][: _TRIED_TOGETHER - 1]
    tried += [one for one in ordered if one.name == event_time]
    for size in (2, 3):
        for some in combinations(tried, size):
            if _unique(some, rows):
                return Key(some)
    return Key(())


def seen(fields: Sequence[Draft]) -> str:
    """The keys of the rows, with their types, as far as a sentence has room."""
    few = [f"{shortened(one.key)} ({one.type})" for one in fields[:_NAMED]]
    more = f", and {len(fields) - _NAMED:,} more" if len(fields) > _NAMED else ""
    return f"the keys {', '.join(few)}{more}" if few else "no keys that can be columns"


def shown_kinds(fields: Sequence[Draft], rows: int) -> str:
    """The keys of the rows, each with how many have it, as far as a sentence has room."""
    few = [f"{shortened(one.key)} in {one.evidence.seen:,} of {rows:,}" for one in fields[:_NAMED]]
    more = f", and {len(fields) - _NAMED:,} more" if len(fields) > _NAMED else ""
    return f"{', '.join(few)}{more}"


def _may_be_key(one: Draft, event_time: str) -> bool:
    return one.type in (FieldType.STRING, FieldType.INTEGER) or one.name == event_time


def _rank_alone(one: Draft) -> tuple[int, int]:
    """The lower, the likelier; among texts, short ones before long ones."""
    if one.words[-1] in _KEY_WORDS.keys() - {"name"}:
        return 0, 0
    if one.type is FieldType.STRING:
        is_prose = any(" " in text for text in one.evidence.distinct)
        return (4 if is_prose else _CODES), one.evidence.longest
    return {FieldType.DATE: 1, FieldType.TIMESTAMP: 3, FieldType.INTEGER: 5}[one.type], 0


def _key_score(one: Draft) -> int:
    words = one.words
    return max((_KEY_WORDS.get(word, 0) for word in words[-1:]), default=0) + (len(words) <= 2)


def _unique(fields: Iterable[Draft], rows: Sequence[Mapping[str, Any]]) -> bool:
    some = list(fields)
    return len({tuple(_stored(one, row) for one in some) for row in rows}) == len(rows)


def _stored(one: Draft, row: Mapping[str, Any]) -> str:
    """A value as far as Silver tells it from others: times to the microsecond."""
    text = str(one.value_in(row))
    return _BEYOND_MICROS.sub(r"\1", text) if one.type is FieldType.TIMESTAMP and not one.fit.format else text


def shown(keys: Iterable[str]) -> str:
    """Keys for a sentence."""
    return ", ".join(shortened(key) for key in keys)
