"""The values of a contract's fields: from what the JSON says to what Silver's column holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from services.shared.contract.model import Field, FieldType
from services.shared.judge.row_json import Item, Number, Row, kind_of, shortened
from services.shared.judge.verdicts import Reason, Rejection, Value

_EXPONENT_DIGITS = 18


def field_value(field: Field, row: Row) -> Value:
    item = row.items.get(field.name)
    if item is None or item.value is None:
        if field.required:
            raise Rejection(Reason.MISSING_REQUIRED, "is missing" if item is None else "is null", field.name)
        return None
    try:
        if field.type in _NESTED:
            return _nested(field, item, row)
        return _CONVERT[field.type](field, item)
    except Rejection as why:
        why.field = field.name
        raise


def _text(field: Field, item: Item) -> str:
    if not isinstance(item.value, str) or isinstance(item.value, Number):
        raise _wrong_type(field, item)
    return item.value


def _number_text(field: Field, item: Item) -> Number:
    if not isinstance(item.value, Number):
        raise _wrong_type(field, item)
    return item.value


def _integer(field: Field, item: Item) -> int:
    token = _number_text(field, item)
    if not token.lstrip("-").isdigit():
        raise Rejection(Reason.WRONG_TYPE, f"{shortened(token)} is not written as an integer")
    value = int(token) if len(token) <= 20 else None
    if value is None or not -(2**63) <= value < 2**63:
        raise Rejection(Reason.OUT_OF_RANGE, f"{shortened(token)} does not fit in 64 bits")
    return value


def _double(field: Field, item: Item) -> float:
    token = _number_text(field, item)
    value = float(token)
    if not math.isfinite(value):
        raise Rejection(Reason.OUT_OF_RANGE, f"{shortened(token)} is too large for a 64-bit floating-point number")
    return value


def _decimal(field: Field, item: Item) -> Decimal:
    """The value with exactly the scale's digits behind its point, however it is written."""
    token = _number_text(field, item)
    precision, scale = field.precision or 0, field.scale or 0
    sign, digits, exponent = _significant(token)
    if not digits:
        return Decimal(0).scaleb(-scale)
    if exponent is None:
        raise Rejection(Reason.OUT_OF_RANGE, f"{shortened(token)} is too large or too small for a decimal")
    if -exponent > scale or len(digits) + exponent > precision - scale:
        detail = f"{shortened(token)} does not fit in decimal({precision},{scale})"
        raise Rejection(Reason.OUT_OF_RANGE, detail)
    return Decimal(f"{sign}{digits}{'0' * (exponent + scale)}e-{scale}")


def _significant(token: str) -> tuple[str, str, int | None]:
    """A number's sign, its digits without zeros around them, and the exponent of the last of them.

    The exponent is None where it is written with more digits than any decimal needs.
    """
    sign = token[: token.startswith("-")]
    mantissa, _, power = token[len(sign) :].lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    if len(power.lstrip("+-0")) > _EXPONENT_DIGITS:
        return sign, stripped, None
    return sign, stripped, _power(power) - len(fraction) + len(digits) - len(stripped)


def _power(text: str) -> int:
    """An exponent as it is written; `int` takes no more than 4300 digits, zeros included."""
    size = int(text.lstrip("+-0") or "0")
    return -size if text.startswith("-") else size


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
    raise Rejection(
        Reason.BAD_DATE, f"{shortened(text)!r} is not a date of the years 0001 to 9999 written as YYYY-MM-DD"
    )


def _timestamp(field: Field, item: Item) -> datetime:
    text = _text(field, item)
    match = _TIMESTAMP.fullmatch(text)
    try:
        if match:
            return _instant(match)
    except (ValueError, OverflowError):  # no such day, time or offset; reported below
        pass
    raise Rejection(Reason.BAD_TIMESTAMP, f"{shortened(text)!r} is not an RFC 3339 timestamp of the years 0001 to 9999")


def _instant(match: re.Match[str]) -> datetime:
    """The UTC time in microseconds; further digits are cut off. No offset means UTC."""
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    micros = int((match[7] or "")[:6].ljust(6, "0"))
    local = datetime(year, month, day, hour, minute, second, micros, tzinfo=UTC)
    if match[8] is None:
        return local
    hours, minutes = int(match[9]), int(match[10])
    if hours > 23 or minutes > 59:
        raise ValueError("offsets are less than a day, and minutes less than 60")
    offset = timedelta(hours=hours, minutes=minutes)
    return local + offset if match[8] == "-" else local - offset


_NESTED = {FieldType.ARRAY: list, FieldType.OBJECT: dict}


def _nested(field: Field, item: Item, row: Row) -> str:
    """Arrays and objects are kept as they are written."""
    if not isinstance(item.value, _NESTED[field.type]):
        raise _wrong_type(field, item)
    return row.text[item.start : item.end]


_CONVERT: dict[FieldType, Callable[[Field, Item], Value]] = {
    FieldType.STRING: _text,
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: _double,
    FieldType.DECIMAL: _decimal,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.TIMESTAMP: _timestamp,
}


def _wrong_type(field: Field, item: Item) -> Rejection:
    return Rejection(Reason.WRONG_TYPE, f"is {kind_of(item.value)}, not {field.type.value}")
