"""Fake events for any contract: good rows, bad rows of every kind, and duplicates, all repeatable by seed.

Rows come one at a time, so ten million need no more memory than ten. What a good row is comes from the contract
alone; a field's `examples` there make its values plausible.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from services.shared.contract import Contract, Field, FieldType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class WrongRequest(ValueError):
    """Events that cannot be made as asked for; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """How many events of what kind. Rates are shares of `count`, from 0 to 1; event times lie in `[start, end)`."""

    count: int
    start: datetime
    end: datetime
    seed: int = 0
    bad_rate: float = 0.0
    duplicate_rate: float = 0.0

    def check(self, contract: Contract) -> None:
        """
        Raises:
            WrongRequest: naming the value that is wrong, and what it may be.
        """
        if self.count < 0:
            raise WrongRequest(f"count is {self.count}; it must be 0 or more")
        for name in ("bad_rate", "duplicate_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise WrongRequest(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        if self.end <= self.start:
            raise WrongRequest(f"end ({self.end.isoformat()}) is not after start ({self.start.isoformat()})")
        if self.start < contract.earliest:
            raise WrongRequest(
                f"start ({self.start.isoformat()}) is before {contract.earliest.isoformat()}, the earliest event time "
                f"that the contract of {contract.dataset} accepts"
            )


def events(contract: Contract, request: Request) -> Iterator[bytes]:
    """The rows, as JSON text without a line end. Bad rows hold no newline either, but may be no JSON and no UTF-8.

    Raises:
        WrongRequest: before the first row.
    """
    request.check(contract)
    return _events(contract, request)


def json_safe_events(contract: Contract, request: Request) -> Iterator[bytes]:
    """The same, where a bad row is still a JSON value: what can stand in an array without breaking it.

    Raises:
        WrongRequest: before the first row.
    """
    request.check(contract)
    return _events(contract, request, json_only=True)


def _events(contract: Contract, request: Request, json_only: bool = False) -> Iterator[bytes]:
    rng = random.Random(request.seed)
    make = _Rows(contract, request, rng)
    spoil = _Spoiler(contract, rng)
    spoilers = spoil.json_kinds if json_only else spoil.kinds
    previous = b""
    bad = 0
    for number in range(request.count):
        if previous and request.duplicate_rate and rng.random() < request.duplicate_rate:
            yield previous
            continue
        row = make.row(number)
        if request.bad_rate and rng.random() < request.bad_rate:
            yield spoilers[bad % len(spoilers)](row)
            bad += 1
            continue
        previous = json.dumps(row, ensure_ascii=False).encode()
        yield previous


class _Rows:
    """Good rows of one contract."""

    def __init__(self, contract: Contract, request: Request, rng: random.Random) -> None:
        self._rng = rng
        self._request = request
        self._span = (request.end - request.start) // _MICROSECOND
        keys = {*contract.keys}
        self._makers = [(field.name, self._maker(field, field.name in keys)) for field in contract.fields]
        self._optional = {field.name for field in contract.fields if not field.required}

    def row(self, number: int) -> dict[str, Any]:
        row = {name: make(number) for name, make in self._makers}
        for name in self._optional:
            if self._rng.random() < 0.02:
                row[name] = None
        return row

    def _maker(self, field: Field, is_key: bool) -> Callable[[int], Any]:
        rng = self._rng
        if field.examples:
            examples = field.examples
            return lambda _: examples[int(rng.random() * len(examples))]
        if field.type is FieldType.STRING and is_key:
            prefix, run = field.name.removesuffix("_id")[:3].upper(), f"{self._request.seed & 0xFFFFFF:06X}"
            return lambda number: f"{prefix}-{run}-{number:09d}"
        if field.type is FieldType.DECIMAL:
            scale = field.scale or 0
            largest = 10 ** min((field.precision or 1), 7) - 1
            return lambda _: _exact(rng.randrange(largest), scale)
        makers: dict[FieldType, Callable[[int], Any]] = {
            FieldType.STRING: lambda _: f"{field.name}-{int(rng.random() * 1000):03d}",
            FieldType.INTEGER: lambda _: int(rng.random() * 100) + 1,
            FieldType.NUMBER: lambda _: round(rng.random() * 1000, 2),
            FieldType.BOOLEAN: lambda _: rng.random() < 0.5,
            FieldType.DATE: lambda _: self._moment()[:10],
            FieldType.TIMESTAMP: lambda _: self._moment(),
            FieldType.ARRAY: lambda _: [int(rng.random() * 10) for _ in range(int(rng.random() * 4))],
            FieldType.OBJECT: lambda _: {"note": f"n{int(rng.random() * 1000)}", "rank": int(rng.random() * 10)},
        }
        return makers[field.type]

    def _moment(self) -> str:
        moment = self._request.start + timedelta(microseconds=int(self._rng.random() * self._span))
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _exact(unscaled: int, scale: int) -> float:
    """A number whose shortest JSON form has no more than `scale` digits after the point."""
    return float(Decimal(unscaled).scaleb(-scale))


class _Spoiler:
    """Ways to make a good row a bad one. `json_kinds` leave it a JSON value; `kinds` are all."""

    def __init__(self, contract: Contract, rng: random.Random) -> None:
        self._contract = contract
        self._rng = rng
        self.json_kinds: list[Callable[[dict[str, Any]], bytes]] = [
            self._without_event_time,
            self._wrong_type,
            self._bad_timestamp,
            self._out_of_window,
            self._unknown_record_type,
            self._not_an_object,
        ]
        self.kinds = [self._cut_short, *self.json_kinds, self._bad_utf8, self._duplicate_key]

    def _changed(self, row: dict[str, Any], **changes: Any) -> bytes:
        return json.dumps(row | changes, ensure_ascii=False).encode()

    def _cut_short(self, row: dict[str, Any]) -> bytes:
        text = self._changed(row)
        return text[: len(text) * 2 // 3]

    def _without_event_time(self, row: dict[str, Any]) -> bytes:
        return json.dumps({name: value for name, value in row.items() if name != self._contract.event_time}).encode()

    def _wrong_type(self, row: dict[str, Any]) -> bytes:
        field = self._contract.fields[int(self._rng.random() * len(self._contract.fields))]
        wrong: Any = {"not": "this"} if field.type is not FieldType.OBJECT else 5
        return self._changed(row, **{field.name: wrong})

    def _bad_timestamp(self, row: dict[str, Any]) -> bytes:
        return self._changed(row, **{self._contract.event_time: "the day before yesterday"})

    def _out_of_window(self, row: dict[str, Any]) -> bytes:
        long_ago = (self._contract.earliest - timedelta(days=400)).isoformat()
        is_date = next(f for f in self._contract.fields if f.name == self._contract.event_time).type is FieldType.DATE
        return self._changed(row, **{self._contract.event_time: long_ago[:10] if is_date else long_ago})

    def _unknown_record_type(self, row: dict[str, Any]) -> bytes:
        return self._changed(row, record_type=f"not_{self._contract.dataset}")

    def _not_an_object(self, row: dict[str, Any]) -> bytes:
        return json.dumps(list(row.values())).encode()

    def _bad_utf8(self, row: dict[str, Any]) -> bytes:
        return self._changed(row).replace(b'"', b'"\xff\xfe', 1)

    def _duplicate_key(self, row: dict[str, Any]) -> bytes:
        name = self._contract.fields[0].name
        return self._changed(row)[:-1] + f', "{name}": null}}'.encode()
