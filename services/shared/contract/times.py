"""How times may be written, as patterns of letters: the part of Java's DateTimeFormatter that has one meaning.

The Open Data Contract Standard writes formats in this way (`yyyy-MM-dd HH:mm:ss`). What depends on a place, a century
or a database of time zones is left out: two-digit years, names of zones, weeks, other languages than English.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from services.shared.contract.model import EPOCHS, FieldType, TimeFormat

MONTHS: tuple[str, ...] = ("January", "February", "March", "April", "May", "June", "July", "August", "September")
MONTHS = (*MONTHS, "October", "November", "December")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])")
_UTC = {"UTC", "Etc/UTC", "GMT", "Z"}


class Element(NamedTuple):
    """A part of a pattern: what it stands for, and how it is written.

    `kind` is one of year, month, day, weekday, hour, hour12, half, minute, second, fraction, offset, literal, open and
    close (around what may be absent). `text` are the letters, or the text of a literal.
    """

    kind: str
    text: str


class FormatError(ValueError):
    """A pattern that smelt does not read: says why, and what to write."""


_LETTERS = {
    "yyyy": "year",
    "uuuu": "year",
    "MM": "month",
    "M": "month",
    "MMM": "month",
    "MMMM": "month",
    "dd": "day",
    "d": "day",
    "EEE": "weekday",
    "EEEE": "weekday",
    "HH": "hour",
    "H": "hour",
    "hh": "hour12",
    "h": "hour12",
    "a": "half",
    "mm": "minute",
    "ss": "second",
    "X": "offset",
    "XX": "offset",
    "XXX": "offset",
    "xx": "offset",
    "xxx": "offset",
    "Z": "offset",
    **{"S" * digits: "fraction" for digits in range(1, 10)},
}
_REASONS = {
    "y": "write yyyy: a year of two digits has no century",
    "Y": "write yyyy: YYYY is the year of a week, which is another one around the New Year",
    "D": "write dd: DD is the day of the year",
    "z": "write XXX (+05:30) or Z (+0530): names of zones are not unique",
    "V": "write XXX (+05:30) or Z (+0530): times with the name of a zone are not unique when clocks are set back",
    "T": "put text in single quotes: 'T'",
    "n": "write S for each digit of a fraction",
    "A": "write a for AM and PM",
}
_TOKEN = re.compile(
    r"'(?P<quoted>(?:[^']|'')*)'|(?P<letters>([A-Za-z])\3*)|(?P<mark>[\[\]])|(?P<other>[^'])", re.DOTALL
)


def parse_pattern(pattern: str) -> tuple[Element, ...]:
    """The elements of a pattern.

    Raises:
        FormatError: it has letters that smelt does not read, one of them more than once, or lacks some.
    """
    elements, at = [], 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            raise FormatError(f"the quote at character {at + 1} is not closed")
        at = token.end()
        if (quoted := token["quoted"]) is not None:
            elements.append(Element("literal", quoted.replace("''", "'") or "'"))
        elif token["mark"]:
            elements.append(Element("open" if token["mark"] == "[" else "close", token["mark"]))
        elif (letters := token["letters"]) is not None:
            if letters not in _LETTERS:
                raise FormatError(f"{letters!r} is not read; {_REASONS.get(letters[0], f'there are {_known()}')}")
            elements.append(Element(_LETTERS[letters], letters))
        else:
            elements.append(Element("literal", token["other"]))
    _check(elements)
    return tuple(elements)


def _known() -> str:
    return ", ".join(letters for letters in _LETTERS if not letters.startswith("SS"))


def _check(elements: list[Element]) -> None:
    depth = 0
    for element in elements:
        depth += {"open": 1, "close": -1}.get(element.kind, 0)
        if depth < 0:
            raise FormatError("a ] has no [ before it")
    if depth:
        raise FormatError("a [ is not closed")
    kinds = [element.kind for element in elements if element.kind not in ("literal", "open", "close")]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise FormatError(f"the {kind} appears more than once")
    if missing := [kind for kind in ("year", "month", "day") if kind not in kinds]:
        raise FormatError(f"says no {' and no '.join(missing)}")
    if ("half" in kinds) != ("hour12" in kinds):
        raise FormatError("hh (1 to 12) and a (AM, PM) go together; HH is the hour from 0 to 23")
    if "hour" in kinds and "hour12" in kinds:
        raise FormatError("has both HH and hh")
    order = ["fraction", "second", "minute"]
    for finer, coarser in zip(order, [*order[1:], "hour"], strict=True):
        if finer in kinds and coarser not in kinds and not (coarser == "hour" and "hour12" in kinds):
            raise FormatError(f"has a {finer}, but no {coarser}")


def read_time_format(options: dict[str, object], type_: FieldType) -> TimeFormat:
    """The `logicalTypeOptions` format, timezone and defaultTimezone of a date or a timestamp.

    Raises:
        FormatError: smelt does not read times in this format, or the options contradict each other.
    """
    pattern, has_offset, zone = options.get("format", ""), options.get("timezone"), options.get("defaultTimezone")
    if not isinstance(pattern, str):
        raise FormatError(f"format is {pattern!r}, not a string; put it in quotes")
    if has_offset is not None and not isinstance(has_offset, bool):
        raise FormatError(f"timezone is {has_offset!r}, not true or false")
    if type_ is FieldType.DATE and (has_offset is not None or zone is not None):
        raise FormatError("a date has no time zone; remove timezone and defaultTimezone, or make it a timestamp")
    kinds = _kinds(pattern, type_)
    if pattern in EPOCHS and (has_offset is not None or zone is not None):
        raise FormatError(f"{pattern} is counted from 1970 in UTC; remove timezone and defaultTimezone")
    is_always = "offset" in kinds and not _is_optional(pattern)
    if pattern and has_offset is True and not is_always:
        raise FormatError(f"timezone is true, but the format {pattern!r} has no offset (such as XXX)")
    if pattern and has_offset is False and "offset" in kinds:
        raise FormatError(f"timezone is false, but the format {pattern!r} has an offset")
    if zone is not None and (is_always or has_offset is True):
        raise FormatError("defaultTimezone has no effect where each time says its offset; remove it")
    return TimeFormat(pattern, has_offset, _offset_minutes(zone))


def _kinds(pattern: str, type_: FieldType) -> set[str]:
    if pattern in EPOCHS:
        if type_ is FieldType.DATE:
            raise FormatError(f"{pattern} is a moment, not a day; make the field a timestamp")
        return set()
    if pattern.lower().startswith("epoch"):
        raise FormatError(f"format is {pattern!r}; write one of {', '.join(EPOCHS)}")
    kinds = {element.kind for element in parse_pattern(pattern)} if pattern else set()
    if type_ is FieldType.DATE and kinds - {"year", "month", "day", "weekday", "literal", "open", "close"}:
        raise FormatError(
            f"format {pattern!r} has a time of day, which a date does not keep; make the field a timestamp"
        )
    return kinds


def _is_optional(pattern: str) -> bool:
    """Whether the offset of a pattern may be absent."""
    depth = 0
    for element in parse_pattern(pattern):
        depth += {"open": 1, "close": -1}.get(element.kind, 0)
        if element.kind == "offset":
            return depth > 0
    return True


def _offset_minutes(zone: object) -> int:
    if zone is None or zone in _UTC:
        return 0
    match = _OFFSET.fullmatch(zone) if isinstance(zone, str) else None
    if match is None:
        raise FormatError(
            f"defaultTimezone is {zone!r}; write UTC or an offset such as +01:00: where clocks are set back, times of "
            "a zone are not unique"
        )
    minutes = int(match[2]) * 60 + int(match[3])
    return -minutes if match[1] == "-" else minutes
