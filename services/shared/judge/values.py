"""The values of a contract's fields: from what the JSON says to what Silver's column holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

from services.shared.contract.model import EPOCHS, Field, FieldType
from services.shared.judge.numbers import significant
from services.shared.judge.row_json import Number, kind_of, shortened
from services.shared.judge.times import day_of, epoch_moment, moment_of
from services.shared.judge.verdicts import Reason, Rejection, Value

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def converted(field: Field, value: object) -> Value:
    """A JSON value that is not null, as a value of a field that is neither an object nor an array.

    Raises:
        Rejection: it is not one; without the field.
    """
    return _CONVERT[field.type](field, value)


def _text(field: Field, value: object) -> str:
    if not isinstance(value, str) or isinstance(value, Number):
        raise wrong_type(field, value)
    return value


def _number_text(field: Field, value: object) -> Number:
    if isinstance(value, Number):
        return value
    if field.takes_strings and isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return Number(value)
        raise Rejection(Reason.WRONG_TYPE, f"the string {shortened(value)!r} does not hold a number as JSON writes it")
    raise wrong_type(field, value)


def _integer(field: Field, value: object) -> int:
    token = _number_text(field, value)
    if not token.lstrip("-").isdigit():
        raise Rejection(Reason.WRONG_TYPE, f"{shortened(token)} is not written as an integer")
    number = int(token) if len(token) <= 20 else None
    if number is None or not -(2**63) <= number < 2**63:
        raise Rejection(Reason.OUT_OF_RANGE, f"{shortened(token)} does not fit in 64 bits")
    return number


def _double(field: Field, value: object) -> float:
    token = _number_text(field, value)
    number = float(token)
    if not math.isfinite(number):
        raise Rejection(Reason.OUT_OF_RANGE, f"{shortened(token)} is too large for a 64-bit floating-point number")
    return number


def _decimal(field: Field, value: object) -> Decimal:
    """The value with exactly the scale's digits behind its point, however it is written."""
    token = _number_text(field, value)
    precision, scale = field.precision or 0, field.scale or 0
    sign, digits, exponent = significant(token)
    if not digits:
        return Decimal(0).scaleb(-scale)
    if exponent is None:
        raise Rejection(Reason.OUT_OF_RANGE, f"{shortened(token)} is too large or too small for a decimal")
    if -exponent > scale or len(digits) + exponent > precision - scale:
        detail = f"{shortened(token)} does not fit in decimal({precision},{scale})"
        raise Rejection(Reason.OUT_OF_RANGE, detail)
    return Decimal(f"{sign}{digits}{'0' * (exponent + scale)}e-{scale}")


def _boolean(field: Field, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if field.takes_strings and isinstance(value, str) and not isinstance(value, Number):
        if value in ("true", "false"):
            return value == "true"
        raise Rejection(Reason.WRONG_TYPE, f"the string {shortened(value)!r} is neither 'true' nor 'false'")
    raise wrong_type(field, value)


def _date(field: Field, value: object) -> date:
    text = _text(field, value)
    day = day_of(text, field.time)
    if day is None:
        written = field.time.pattern or "YYYY-MM-DD"
        raise Rejection(
            Reason.BAD_DATE, f"{shortened(text)!r} is not a date of the years 0001 to 9999 written as {written}"
        )
    return day


def _timestamp(field: Field, value: object) -> datetime:
    how = field.time
    if how.pattern in EPOCHS:
        token = _number_text(field, value)
        moment = epoch_moment(token, how.pattern)
        if moment is None:
            what = (
                f"{shortened(token)} {how.pattern.removeprefix('epoch_')} since 1970 are not in the years 0001 to 9999"
            )
            raise Rejection(Reason.OUT_OF_RANGE, what)
        return moment
    text = _text(field, value)
    moment = moment_of(text, how)
    if moment is None:
        written = f"a time written as {how.pattern}" if how.pattern else "an RFC 3339 timestamp"
        offset = {True: ", with an offset", False: ", without an offset"}
        told = "" if how.pattern or how.has_offset is None else offset[how.has_offset]
        raise Rejection(Reason.BAD_TIMESTAMP, f"{shortened(text)!r} is not {written} of the years 0001 to 9999{told}")
    return moment


_CONVERT: dict[FieldType, Callable[[Field, object], Value]] = {
    FieldType.STRING: _text,
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: _double,
    FieldType.DECIMAL: _decimal,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.TIMESTAMP: _timestamp,
}


def wrong_type(field: Field, value: object) -> Rejection:
    """That a value is of another JSON type than its field's."""
    expected = "number" if field.time.pattern in EPOCHS else field.type.value
    return Rejection(Reason.WRONG_TYPE, f"is {kind_of(value)}, not {expected}")
