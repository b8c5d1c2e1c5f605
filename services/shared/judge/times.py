"""Days and moments from how a contract says that they are written: RFC 3339, numbers since 1970, patterns."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache

from services.shared.contract.model import EPOCHS, TimeFormat
from services.shared.contract.times import MONTHS, WEEKDAYS, Element, parse_pattern
from services.shared.judge.numbers import significant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DIGITS = 18  # of microseconds since 1970: more are beyond the year 9999
_ZEROS = {1: 0, 1000: 3, 1_000_000: 6}

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))?"
)


def epoch_moment(token: str, pattern: str) -> datetime | None:
    """The UTC time of a JSON number of (milli-, micro-)seconds since 1970; None beyond the years 1 to 9999.

    Digits behind the microseconds are cut off, so the time is never later than what is written.
    """
    sign, digits, exponent = significant(token)
    if not digits:
        return _EPOCH
    shift = 0 if exponent is None else exponent + _ZEROS[EPOCHS[pattern]]
    if exponent is None or len(digits) + shift > _MOST_DIGITS:
        return None
    micros = int(digits) * 10**shift if shift >= 0 else int(digits[:shift] or "0") + bool(sign)
    try:
        return _EPOCH + timedelta(microseconds=-micros if sign else micros)
    except OverflowError:
        return None


def day_of(text: str, how: TimeFormat) -> date | None:
    """The day that a text is, or None."""
    if how.pattern:
        moment = _reader(how)(text)
        return moment.date() if moment else None
    match = _DATE.fullmatch(text)
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:  # no such day
        return None


def moment_of(text: str, how: TimeFormat) -> datetime | None:
    """The UTC time that a text is, in microseconds, or None. Further digits are cut off."""
    if how.pattern:
        return _reader(how)(text)
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    has_offset = match[8] is not None or match[9] is not None
    if how.has_offset is not None and how.has_offset is not has_offset:
        return None
    try:
        return _instant(match, how.default_offset)
    except (ValueError, OverflowError):  # no such day, time or offset
        return None


def _instant(match: re.Match[str], default_offset: int) -> datetime:
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    micros = int((match[7] or "")[:6].ljust(6, "0"))
    local = datetime(year, month, day, hour, minute, second, micros, tzinfo=UTC)
    if match[9] is None:
        return local if match[8] else local - timedelta(minutes=default_offset)
    hours, minutes = int(match[10]), int(match[11])
    if hours > 23 or minutes > 59:
        raise ValueError("offsets are less than a day, and minutes less than 60")
    offset = timedelta(hours=hours, minutes=minutes)
    return local + offset if match[9] == "-" else local - offset


# Patterns, as regular expressions


def _one_of(words: tuple[str, ...]) -> str:
    return f"(?i:{'|'.join(words)})"


_OFFSETS = {
    "X": r"Z|[+-][0-9]{2}(?:[0-9]{2})?",
    "XX": r"Z|[+-][0-9]{4}",
    "XXX": r"Z|[+-][0-9]{2}:[0-9]{2}",
    "xx": r"[+-][0-9]{4}",
    "xxx": r"[+-][0-9]{2}:[0-9]{2}",
    "Z": r"[+-][0-9]{4}",
}
_NAMES = {
    "MMM": tuple(name[:3] for name in MONTHS),
    "MMMM": MONTHS,
    "a": ("AM", "PM"),
    "EEE": tuple(name[:3] for name in WEEKDAYS),
    "EEEE": WEEKDAYS,
}


def _expression(element: Element) -> str:
    kind, letters = element
    if kind in ("open", "close"):
        return "(?:" if kind == "open" else ")?"
    if kind == "literal":
        return re.escape(letters)
    if letters in _NAMES:
        inner = _one_of(_NAMES[letters])
    elif kind == "offset":
        inner = _OFFSETS[letters]
    else:
        inner = "[0-9]{1,2}" if letters in ("M", "d", "H", "h") else f"[0-9]{{{len(letters)}}}"
    return f"(?P<{kind}>{inner})"


@cache
def _reader(how: TimeFormat) -> Callable[[str], datetime | None]:
    """What reads texts of this pattern; the time is in UTC."""
    elements = parse_pattern(how.pattern)
    expression = re.compile("".join(map(_expression, elements)))
    letters = {element.kind: element.text for element in elements}

    def read(text: str) -> datetime | None:
        match = expression.fullmatch(text)
        if match is None:
            return None
        found = {kind: value for kind, value in match.groupdict().items() if value is not None}
        try:
            return _moment(found, letters, how.default_offset)
        except (ValueError, OverflowError):  # no such day, time or offset
            return None

    return read


def _moment(found: dict[str, str], letters: dict[str, str], default_offset: int) -> datetime:
    """The UTC time of what a pattern found; a ValueError where there is no such day, time or offset."""
    month = _number_of(found["month"], letters["month"])
    local = datetime(
        int(found["year"]),
        month,
        int(found["day"]),
        _hour(found),
        int(found.get("minute", "0")),
        int(found.get("second", "0")),
        int(found.get("fraction", "")[:6].ljust(6, "0")),
        tzinfo=UTC,
    )
    if "weekday" in found and _number_of(found["weekday"], letters["weekday"]) != local.isoweekday():
        raise ValueError("it is another day of the week")
    return local - timedelta(minutes=_offset(found["offset"]) if "offset" in found else default_offset)


def _number_of(text: str, letters: str) -> int:
    names = _NAMES.get(letters)
    return int(text) if names is None else [name.lower() for name in names].index(text.lower()) + 1


def _hour(found: dict[str, str]) -> int:
    if "hour12" not in found:
        return int(found.get("hour", "0"))
    hour = int(found["hour12"])
    if not 1 <= hour <= 12:
        raise ValueError("hours before and after noon are 1 to 12")
    return hour % 12 + (12 if found.get("half", "AM").lower() == "pm" else 0)


def _offset(text: str) -> int:
    """Minutes ahead of UTC."""
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or "0")
    if hours > 23 or minutes > 59:
        raise ValueError("offsets are less than a day, and minutes less than 60")
    return (hours * 60 + minutes) * (-1 if text[0] == "-" else 1)
