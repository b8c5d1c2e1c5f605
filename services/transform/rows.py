"""The row rules: what one row must be for its contract to accept it. This is the reference, exact and unhurried.

`RowJudge.judge` takes the bytes of one row and says which Silver values it has, or the one reason why it is
quarantined. `parse` is the fast way to the same answers and asks this module wherever it is not certain. This module
knows nothing of blocks, Arrow or files.

When several things are wrong with a row, the first in this order is reported:

    bad_utf8, too_deep, malformed_json, not_an_object, bad_unicode, duplicate_key    the row as JSON
    wrong_type (of record_type), unknown_record_type                                 its dataset
    missing_required, wrong_type, out_of_range, bad_timestamp, bad_date              field by field, as in the contract
    out_of_window                                                                    its event time

`row_too_long` is given by the reader, which never holds such a row whole.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple, NoReturn

from services.shared.contract import Contract, Field, FieldType

RECORD_TYPE = "record_type"
MAX_DEPTH = 100  # levels of arrays and objects, the row's own object included
JSON_BLANKS = b" \t\r\n"

Value = str | int | float | Decimal | bool | date | datetime | None


class Reason(StrEnum):
    """Why a row is in quarantine."""

    BAD_UTF8 = "bad_utf8"
    TOO_DEEP = "too_deep"
    MALFORMED_JSON = "malformed_json"
    NOT_AN_OBJECT = "not_an_object"
    BAD_UNICODE = "bad_unicode"  # half of a surrogate pair, written as an escape
    DUPLICATE_KEY = "duplicate_key"
    ROW_TOO_LONG = "row_too_long"
    UNKNOWN_RECORD_TYPE = "unknown_record_type"
    MISSING_REQUIRED = "missing_required"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"  # a number that its column cannot hold exactly, or at all
    BAD_TIMESTAMP = "bad_timestamp"
    BAD_DATE = "bad_date"
    OUT_OF_WINDOW = "out_of_window"


class Accepted(NamedTuple):
    """A row that its contract accepts. `values` follow the contract's fields; `rescued` is JSON text."""

    dataset: str
    values: tuple[Value, ...]
    rescued: str | None


class Rejected(NamedTuple):
    """A row that goes to quarantine. `record_type` is the row's own, as found, or else its object's dataset."""

    record_type: str
    reason: Reason
    field: str | None
    detail: str


class _Rejection(Exception):  # not an error: it ends the judgement
    def __init__(self, reason: Reason, detail: str, field: str | None = None) -> None:
        super().__init__(reason, detail, field)
        self.reason, self.detail, self.field = reason, detail, field


class _Number(str):
    """The text of a JSON number."""

    __slots__ = ()


class Item(NamedTuple):
    """One key of a row with its value, both also as they stand in the row.

    `start` and `end` say which characters of the row's text are the value.
    """

    key_text: str
    value: Any
    value_text: str
    start: int
    end: int


class RowJudge:
    """Judges rows by the contracts of all datasets."""

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = dict(contracts)

    def judge(self, row: bytes, default_dataset: str, latest_base: datetime) -> Accepted | Rejected:
        """The row's values, or why it has none.

        `default_dataset` applies where the row has no `record_type` (absent or null). `latest_base` is the creation
        time of its object (UTC): event times up to the contract's `max_ahead` after it are accepted.
        """
        record_type = default_dataset
        try:
            items = _read_row(row)
            own = _record_type(items)
            record_type = default_dataset if own is None else own
            contract = self._contracts.get(record_type)
            if contract is None:
                raise _Rejection(Reason.UNKNOWN_RECORD_TYPE, f"no contract is named {record_type!r}", RECORD_TYPE)
            values = tuple(_field_value(field, items.get(field.name)) for field in contract.fields)
            _check_window(contract, values, latest_base)
        except _Rejection as why:
            return Rejected(record_type, why.reason, why.field, why.detail)
        return Accepted(record_type, values, _rescued(items, contract))


def read_items(row: bytes) -> dict[str, Item] | None:
    """A row's keys and values in its order, or None where it is no row that could be accepted."""
    try:
        items = _read_row(row)
        _record_type(items)
    except _Rejection:
        return None
    return items


def event_window(contract: Contract, latest_base: datetime) -> tuple[datetime, datetime]:
    """The first and the last accepted event time, for an object created at `latest_base`."""
    return contract.earliest, latest_base + contract.max_ahead


def shown(row: bytes) -> str:
    """A row's text for people: bytes that are no UTF-8 appear as escapes."""
    return row.strip(JSON_BLANKS).decode("utf-8", "backslashreplace")


# The row as JSON


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_refuse_constant)
_scan_value: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]
_BLANKS = re.compile(r"[ \t\n\r]*")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|([\[{])|([\]}])', re.DOTALL)
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPES = re.compile(rf"{_HIGH}{_LOW}|({_HIGH}|{_LOW})|\\.", re.DOTALL)


def _read_row(row: bytes) -> dict[str, Item]:
    try:
        text = row.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Rejection(Reason.BAD_UTF8, f"byte {error.start} of the row: {error.reason}") from error
    _check_depth(text)
    at = _skip_blanks(text, 0)
    items: list[tuple[str, Item]] = []
    try:
        is_object = text[at : at + 1] == "{"
        at = _read_object(text, at, items) if is_object else _scan_value(text, at)[1]
        at = _skip_blanks(text, at)
        if at != len(text):
            raise ValueError(f"text goes on after the row's value, at character {at}")
    except StopIteration as error:
        raise _Rejection(Reason.MALFORMED_JSON, f"no value at character {error.value}") from error
    except ValueError as error:
        raise _Rejection(Reason.MALFORMED_JSON, str(error)) from error
    if not is_object:
        raise _Rejection(Reason.NOT_AN_OBJECT, "the row is JSON, but no object")
    if "\\u" in text:
        _check_surrogates(text)
    return _by_key(items)


def _skip_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _read_object(text: str, at: int, items: list[tuple[str, Item]]) -> int:
    """Read the object whose brace is at `at`, one level deep, and return where it ends."""
    at = _skip_blanks(text, at + 1)
    if text[at : at + 1] == "}":
        return at + 1
    while True:
        if text[at : at + 1] != '"':
            raise ValueError(f"no key at character {at}")
        key, key_end = scanstring(text, at + 1, True)
        colon = _skip_blanks(text, key_end)
        if text[colon : colon + 1] != ":":
            raise ValueError(f"no colon at character {colon}")
        start = _skip_blanks(text, colon + 1)
        value, end = _scan_value(text, start)
        items.append((key, Item(text[at:key_end], value, text[start:end], start, end)))
        at = _skip_blanks(text, end)
        separator = text[at : at + 1]
        if separator == "}":
            return at + 1
        if separator != ",":
            raise ValueError(f"no comma at character {at}")
        at = _skip_blanks(text, at + 1)


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for token in _BRACKETS.finditer(text):
        depth += 1 if token[1] else -1 if token[2] else 0
        if depth > MAX_DEPTH:
            raise _Rejection(Reason.TOO_DEEP, f"more than {MAX_DEPTH} levels at character {token.start()}")


def _check_surrogates(text: str) -> None:
    for escape in _ESCAPES.finditer(text):
        if escape[1]:
            detail = f"{escape[1]} at character {escape.start()} is half of a surrogate pair"
            raise _Rejection(Reason.BAD_UNICODE, detail)


def _by_key(items: list[tuple[str, Item]]) -> dict[str, Item]:
    row = dict(items)
    if len(row) != len(items):
        keys = [key for key, _ in items]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Rejection(Reason.DUPLICATE_KEY, f"{twice!r} stands there more than once", twice)
    return row


# Its dataset, and what the contract does not know


def _record_type(items: dict[str, Item]) -> str | None:
    item = items.get(RECORD_TYPE)
    if item is None or item.value is None:
        return None
    if not isinstance(item.value, str) or isinstance(item.value, _Number):
        raise _Rejection(Reason.WRONG_TYPE, f"is {_kind(item.value)}, not a string", RECORD_TYPE)
    return item.value


def _rescued(items: dict[str, Item], contract: Contract) -> str | None:
    known = {RECORD_TYPE, *(field.name for field in contract.fields)}
    unknown = [f"{item.key_text}:{item.value_text}" for key, item in items.items() if key not in known]
    return "{" + ",".join(unknown) + "}" if unknown else None


# Its fields


def _field_value(field: Field, item: Item | None) -> Value:
    if item is None or item.value is None:
        if field.required:
            raise _Rejection(Reason.MISSING_REQUIRED, "is absent" if item is None else "is null", field.name)
        return None
    try:
        return _CONVERT[field.type](field, item)
    except _Rejection as why:
        why.field = field.name
        raise


def _text(field: Field, item: Item) -> str:
    if not isinstance(item.value, str) or isinstance(item.value, _Number):
        raise _wrong_type(field, item)
    return item.value


def _number_text(field: Field, item: Item) -> _Number:
    if not isinstance(item.value, _Number):
        raise _wrong_type(field, item)
    return item.value


def _integer(field: Field, item: Item) -> int:
    token = _number_text(field, item)
    if not token.lstrip("-").isdigit():
        raise _Rejection(Reason.WRONG_TYPE, f"{_short(token)} is not written as an integer")
    value = int(token) if len(token) <= 20 else None
    if value is None or not -(2**63) <= value < 2**63:
        raise _Rejection(Reason.OUT_OF_RANGE, f"{_short(token)} does not fit in 64 bits")
    return value


def _double(field: Field, item: Item) -> float:
    token = _number_text(field, item)
    value = float(token)
    if not math.isfinite(value):
        raise _Rejection(Reason.OUT_OF_RANGE, f"{_short(token)} is beyond a double")
    return value


def _decimal(field: Field, item: Item) -> Decimal:
    token = _number_text(field, item)
    precision, scale = field.precision or 0, field.scale or 0
    try:
        value = Decimal(token)
    except InvalidOperation as error:  # an exponent that no decimal has
        raise _Rejection(Reason.OUT_OF_RANGE, f"{_short(token)} is beyond a decimal") from error
    if not value:
        return Decimal(0)
    digits, exponent = _significant(value)
    if -exponent > scale or digits + exponent > precision - scale:
        detail = f"{_short(token)} does not fit in decimal({precision},{scale})"
        raise _Rejection(Reason.OUT_OF_RANGE, detail)
    return value


def _significant(value: Decimal) -> tuple[int, int]:
    """How many digits a value has without its trailing zeros, and the exponent of the last of them."""
    _, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits))
    stripped = text.rstrip("0")
    return len(stripped), int(exponent) + len(text) - len(stripped)


def _boolean(field: Field, item: Item) -> bool:
    if not isinstance(item.value, bool):
        raise _wrong_type(field, item)
    return item.value


_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))?"
)


def _date(field: Field, item: Item) -> date:
    text = _text(field, item)
    match = _DATE.fullmatch(text)
    try:
        if match:
            return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:  # no such day; reported below
        pass
    raise _Rejection(Reason.BAD_DATE, f"{_short(text)!r} is no day written as YYYY-MM-DD")


def _timestamp(field: Field, item: Item) -> datetime:
    text = _text(field, item)
    match = _TIMESTAMP.fullmatch(text)
    try:
        if match:
            return _instant(match)
    except (ValueError, OverflowError):  # no such day, time or offset; reported below
        pass
    raise _Rejection(Reason.BAD_TIMESTAMP, f"{_short(text)!r} is no RFC 3339 time of the years 0001 to 9999")


def _instant(match: re.Match[str]) -> datetime:
    """The UTC time in microseconds; further digits are cut off. No offset means UTC."""
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    micros = int((match[7] or "")[:6].ljust(6, "0"))
    local = datetime(year, month, day, hour, minute, second, micros, tzinfo=UTC)
    if match[8] is None:
        return local
    hours, minutes = int(match[9]), int(match[10])
    if hours > 23 or minutes > 59:
        raise ValueError("no such offset")
    offset = timedelta(hours=hours, minutes=minutes)
    return local + offset if match[8] == "-" else local - offset


def _nested(kind: type) -> Callable[[Field, Item], str]:
    def convert(field: Field, item: Item) -> str:
        if not isinstance(item.value, kind):
            raise _wrong_type(field, item)
        return item.value_text

    return convert


_CONVERT: dict[FieldType, Callable[[Field, Item], Value]] = {
    FieldType.STRING: _text,
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: _double,
    FieldType.DECIMAL: _decimal,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.TIMESTAMP: _timestamp,
    FieldType.ARRAY: _nested(list),
    FieldType.OBJECT: _nested(dict),
}


def _check_window(contract: Contract, values: tuple[Value, ...], latest_base: datetime) -> None:
    """A day counts as inside when any moment of it is."""
    names = [field.name for field in contract.fields]
    moment = values[names.index(contract.event_time)]
    first, last = event_window(contract, latest_base)
    inside = (
        first <= moment <= last
        if isinstance(moment, datetime)
        else isinstance(moment, date) and first.date() <= moment <= last.date()
    )
    if not inside:
        detail = f"{moment} is not from {first.isoformat()} to {last.isoformat()}"
        raise _Rejection(Reason.OUT_OF_WINDOW, detail, contract.event_time)


def _wrong_type(field: Field, item: Item) -> _Rejection:
    return _Rejection(Reason.WRONG_TYPE, f"is {_kind(item.value)}, not {field.type.value}")


def _kind(value: object) -> str:
    match value:
        case _Number():
            return f"the number {_short(value)}"
        case str():
            return f"the string {_short(value)!r}"
        case bool():
            return "a boolean"
        case list():
            return "an array"
        case _:
            return "an object"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."
