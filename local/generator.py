"""Fake events for any contract: good rows, bad rows of every kind, and duplicates, all repeatable by seed.

Rows come one at a time, so ten million need no more memory than ten. What a good row is comes from the contract
alone; a field's `examples` there make its values plausible. Fields are independent: a total is not the sum of its
parts.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.ops.errors import OperatorError
from services.shared.contract.model import CREATION, Contract, Field, FieldType, TimeFormat

NULL_RATE = 0.02  # of each optional field
_MILLISECOND = timedelta(milliseconds=1)


class WrongRequest(OperatorError):
    """The events that were asked for cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """How many events of what kind.

    Rates are shares of `count`, from 0 to 1. Event times lie in `[start, end)`, in whole milliseconds.
    """

    count: int
    start: datetime
    end: datetime
    seed: int = 0
    bad_rate: float = 0.0
    duplicate_rate: float = 0.0

    def check(self, contract: Contract) -> None:
        """
        Raises:
            WrongRequest: it names the value that is wrong, and what it may be.
        """
        if self.count < 0:
            raise WrongRequest(f"count is {self.count}; it must be 0 or more")
        for name in ("bad_rate", "duplicate_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise WrongRequest(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        beyond = [field.name for field in contract.fields if not _can_make(field)]
        if contract.event_time == CREATION or beyond:
            what = f"the field {beyond[0]}" if beyond else f"the event time {CREATION}"
            raise WrongRequest(
                f"events for {contract.dataset} cannot be made: {what} has a path, a format or a described inside, or "
                "is not in the rows; take a file of the producer and run `smelt try`"
            )
        if self.end <= self.start:
            raise WrongRequest(f"end ({self.end.isoformat()}) is not after start ({self.start.isoformat()})")
        if self.start < contract.earliest:
            raise WrongRequest(
                f"start ({self.start.isoformat()}) is before {contract.earliest.isoformat()}, the earliest event time "
                f"that the contract of {contract.dataset} accepts"
            )


def _can_make(field: Field) -> bool:
    """Whether values of a field can be made from its type alone, at a key of the row."""
    return len(field.path) == 1 and field.time == TimeFormat() and not field.children


def events(contract: Contract, request: Request) -> Iterator[bytes]:
    """The rows, as JSON text without a line end. Bad rows have no newline either, but may be neither JSON nor UTF-8.

    Raises:
        WrongRequest: before the first row.
    """
    request.check(contract)
    return _events(contract, request)


def json_safe_events(contract: Contract, request: Request) -> Iterator[bytes]:
    """The same, but a bad row is still a JSON value, so that it does not break an array that contains it.

    Raises:
        WrongRequest: before the first row.
    """
    request.check(contract)
    return _events(contract, request, json_only=True)


def _events(contract: Contract, request: Request, json_only: bool = False) -> Iterator[bytes]:
    rng = random.Random(request.seed)
    make_row = _row_maker(contract, request, rng)
    spoil = _Spoiler(contract, rng)
    spoilers = spoil.json_kinds if json_only else spoil.kinds
    previous = b""
    bad = 0
    for number in range(request.count):
        if previous and request.duplicate_rate and rng.random() < request.duplicate_rate:
            yield previous
            continue
        row = make_row(number).encode()
        if request.bad_rate and rng.random() < request.bad_rate:
            yield spoilers[bad % len(spoilers)](json.loads(row))
            bad += 1
            continue
        previous = row
        yield row


# Good rows. Values are made as JSON text: a decimal keeps its digits, and no encoder runs in the hot loop.

_Maker = Callable[[int], str]  # takes the row's number


def _row_maker(contract: Contract, request: Request, rng: random.Random) -> _Maker:
    makers = [(f"{json.dumps(field.key)}: ", _maker(field, contract, request, rng)) for field in contract.fields]
    return lambda number: "{" + ", ".join([label + make(number) for label, make in makers]) + "}"


def _maker(field: Field, contract: Contract, request: Request, rng: random.Random) -> _Maker:
    make, chance = _value_maker(field, contract, request, rng), rng.random
    if field.required:
        return make
    return lambda number: "null" if chance() < NULL_RATE else make(number)


def _value_maker(field: Field, contract: Contract, request: Request, rng: random.Random) -> _Maker:
    chance = rng.random
    if field.examples and field.name != contract.event_time:
        texts = [json.dumps(example, ensure_ascii=False, default=str) for example in field.examples]
        return lambda _: texts[int(chance() * len(texts))]
    if field.type in (FieldType.DATE, FieldType.TIMESTAMP):
        return _moments(field, request, rng)
    if field.type is FieldType.DECIMAL:
        return _decimals(field, rng)
    if field.type is FieldType.STRING and field.name in contract.keys:
        prefix = f'"{field.name.removesuffix("_id")[:3].upper()}-{request.seed & 0xFFFFFF:06X}-'
        return lambda number: f'{prefix}{number:09d}"'
    return _plain_maker(field, chance)


def _plain_maker(field: Field, chance: Callable[[], float]) -> _Maker:
    makers: dict[FieldType, _Maker] = {
        FieldType.STRING: lambda _: f'"{field.name}-{int(chance() * 1000):03d}"',
        FieldType.INTEGER: lambda _: str(int(chance() * 100) + 1),
        FieldType.NUMBER: lambda _: f"{chance() * 1000:.2f}",
        FieldType.BOOLEAN: lambda _: "true" if chance() < 0.5 else "false",
        FieldType.ARRAY: lambda _: str([int(chance() * 10) for _ in range(int(chance() * 4))]),
        FieldType.OBJECT: lambda _: f'{{"note": "n{int(chance() * 1000)}", "rank": {int(chance() * 10)}}}',
    }
    return makers[field.type]


def _moments(field: Field, request: Request, rng: random.Random) -> _Maker:
    chance, span = rng.random, (request.end - request.start) // _MILLISECOND
    start = request.start.astimezone(UTC).replace(tzinfo=None)
    length = 10 if field.type is FieldType.DATE else 23
    end = '"' if field.type is FieldType.DATE else 'Z"'

    def make(_: int) -> str:
        moment = start + timedelta(milliseconds=int(chance() * span))
        return f'"{moment.isoformat(timespec="milliseconds")[:length]}{end}'

    return make


def _decimals(field: Field, rng: random.Random) -> _Maker:
    """Numbers with exactly the field's scale, and at most five digits before the point."""
    precision, scale = field.precision or 1, field.scale or 0
    chance, most, unit = rng.random, 10 ** min(precision, scale + 5), 10**scale

    def make(_: int) -> str:
        whole, part = divmod(int(chance() * most), unit)
        return f"{whole}.{part:0{scale}d}" if scale else str(whole)

    return make


# Bad rows


class _Spoiler:
    """Ways to make a good row a bad one. `json_kinds` leave it a JSON value; `kinds` are all."""

    def __init__(self, contract: Contract, rng: random.Random) -> None:
        self._contract = contract
        self._rng = rng
        self._event_time = next(field for field in contract.fields if field.name == contract.event_time)
        self._integers = [field for field in contract.fields if field.type is FieldType.INTEGER]
        self.json_kinds: list[Callable[[dict[str, Any]], bytes]] = [
            self._without_required,
            self._wrong_type,
            self._bad_time,
            self._out_of_window,
            self._unknown_record_type,
            self._not_an_object,
        ]
        if self._integers:
            self.json_kinds.append(self._out_of_range)
        self.kinds = [self._cut_short, *self.json_kinds, self._bad_utf8, self._bad_unicode, self._duplicate_key]

    def _any_of(self, fields: list[Field]) -> Field:
        return fields[int(self._rng.random() * len(fields))]

    def _changed(self, row: dict[str, Any], **changes: Any) -> bytes:
        return json.dumps(row | changes, ensure_ascii=False).encode()

    def _cut_short(self, row: dict[str, Any]) -> bytes:
        text = json.dumps(row)  # as ASCII, so that the cut splits no character
        return text[: len(text) * 2 // 3].encode()

    def _without_required(self, row: dict[str, Any]) -> bytes:
        absent = self._any_of([field for field in self._contract.fields if field.required]).key
        return json.dumps({name: value for name, value in row.items() if name != absent}, ensure_ascii=False).encode()

    def _wrong_type(self, row: dict[str, Any]) -> bytes:
        field = self._any_of(list(self._contract.fields))
        wrong: Any = {"not": "this"} if field.type is not FieldType.OBJECT else 5
        return self._changed(row, **{field.key: wrong})

    def _bad_time(self, row: dict[str, Any]) -> bytes:
        return self._changed(row, **{self._event_time.key: "the day before yesterday"})

    def _out_of_window(self, row: dict[str, Any]) -> bytes:
        is_date = self._event_time.type is FieldType.DATE
        return self._changed(row, **{self._event_time.key: "9999-12-31" if is_date else "9999-12-31T00:00:00Z"})

    def _out_of_range(self, row: dict[str, Any]) -> bytes:
        return self._changed(row, **{self._any_of(self._integers).key: 2**63})

    def _unknown_record_type(self, row: dict[str, Any]) -> bytes:
        return self._changed(row, record_type=f"not_{self._contract.dataset}")

    def _not_an_object(self, row: dict[str, Any]) -> bytes:
        return json.dumps(list(row.values()), ensure_ascii=False).encode()

    def _bad_utf8(self, row: dict[str, Any]) -> bytes:
        return self._changed(row).replace(b'"', b'"\xff\xfe', 1)

    def _bad_unicode(self, row: dict[str, Any]) -> bytes:
        return self._changed(row)[:-1] + rb', "note": "\ud83d"}'

    def _duplicate_key(self, row: dict[str, Any]) -> bytes:
        name = self._contract.fields[0].key
        return self._changed(row)[:-1] + f', "{name}": null}}'.encode()
