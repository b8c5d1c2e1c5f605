"""One row as JSON: its keys and values, exact, or the reason why it is not a row.

Numbers keep their text, so nothing is lost before a field's type is known. Time and memory are in proportion to the
row's size, whatever it holds: values that nobody asks for are checked and not kept.
"""

from __future__ import annotations

import json
import re
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple, NoReturn

from services.shared.judge.nested import BLANKS, ScanValue, end_of_nested, skip_blanks
from services.shared.judge.verdicts import MAX_DEPTH, RECORD_TYPE, Reason, Rejection

SHORT = 64 * 1024  # characters; nested values of longer rows are checked without being built


class Number(str):
    """The text of a JSON number."""

    __slots__ = ()


class Item(NamedTuple):
    """A value, and which characters of the row's text it is. Of long rows, arrays and objects are given as empty."""

    value: Any
    start: int
    end: int


class Span(NamedTuple):
    """Which characters of a row's text are a key, quotes included, and its value."""

    key_start: int
    key_end: int
    start: int
    end: int


@dataclass(slots=True)
class Row:
    """A row's text, the values of the keys that were asked for, and where all keys and values are, in order."""

    text: str
    items: dict[str, Item] = field(default_factory=dict)
    bounds: array[int] = field(default_factory=lambda: array("q"))  # flat `Span`s: a million keys fit in 32 MB
    hashes: array[int] = field(default_factory=lambda: array("q"))  # of the keys

    def spans(self) -> Iterator[Span]:
        bounds = iter(self.bounds)
        return map(Span, bounds, bounds, bounds, bounds)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refuse_constant)
scan_value: ScanValue = _DECODER.scan_once  # type: ignore[attr-defined]
_COLON, _COMMA = (re.compile(rf"{BLANKS.pattern}{mark}{BLANKS.pattern}") for mark in ":,")
_BRACKET = re.compile(r'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"?+)*+(?:([\[{])|[\]}])?', re.DOTALL)
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_PAIRED = re.compile(rf"(?:[^\\]++|{_HIGH}{_LOW}|(?!{_HIGH}|{_LOW})\\.)*+", re.DOTALL)


def read_row(row: bytes, wanted: Collection[str] | None = None) -> Row:
    """The row's keys and values.

    Args:
        row: the bytes of one row.
        wanted: the keys whose values are kept; None means all.

    Raises:
        Rejection: the row is not a JSON object with different keys.
    """
    try:
        text = row.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejection(Reason.BAD_UTF8, f"byte {error.start} of the row: {error.reason}") from error
    _check_depth(text)
    read_value = scan_value if len(text) <= SHORT else scan_unbuilt
    found = Row(text)
    at = skip_blanks(text, 0)
    try:
        is_object = text[at : at + 1] == "{"
        at = _read_object(found, at, wanted, read_value) if is_object else read_value(text, at)[1]
        at = skip_blanks(text, at)
        if at != len(text):
            raise ValueError(f"text continues after the row's value, at character {at}" + _mark_at(text, at))
    except StopIteration as error:
        detail = f"no value at character {error.value}" + _mark_at(text, error.value)
        raise Rejection(Reason.MALFORMED_JSON, detail) from error
    except ValueError as error:
        raise Rejection(Reason.MALFORMED_JSON, str(error)) from error
    if not is_object:
        raise Rejection(Reason.NOT_AN_OBJECT, "the row is valid JSON, but not a JSON object")
    if "\\u" in text:
        _check_surrogates(text)
    _check_keys(found)
    return found


def _mark_at(text: str, at: int) -> str:
    """What to say where a byte order mark is in the way: JSON has none, and at a file's start it is passed over."""
    if text[at : at + 1] != "\ufeff":
        return ""
    return ": a byte order mark, as where files that begin with one were joined; write files without it"


def scan_unbuilt(text: str, at: int) -> tuple[Any, int]:
    """Like `scan_value`, but arrays and objects are given as empty ones."""
    opener = text[at : at + 1]
    if opener == "[":
        return [], end_of_nested(text, at, scan_value)
    if opener == "{":
        return {}, end_of_nested(text, at, scan_value)
    return scan_value(text, at)


def _read_object(row: Row, at: int, wanted: Collection[str] | None, read_value: ScanValue) -> int:
    """Read the object whose brace is at `at`, one level deep, and return where it ends."""
    text = row.text
    at = skip_blanks(text, at + 1)
    if text[at : at + 1] == "}":
        return at + 1
    while True:
        if text[at : at + 1] != '"':
            raise ValueError(f"no key at character {at}")
        key, key_end = scanstring(text, at + 1, True)
        colon = _COLON.match(text, key_end)
        if colon is None:
            raise ValueError(f"no colon at character {skip_blanks(text, key_end)}")
        start = colon.end()
        value, end = read_value(text, start)
        if wanted is None or key in wanted:
            row.items[key] = Item(value, start, end)
        row.bounds.extend((at, key_end, start, end))
        row.hashes.append(hash(key))
        comma = _COMMA.match(text, end)
        if comma is None:
            at = skip_blanks(text, end)
            if text[at : at + 1] == "}":
                return at + 1
            raise ValueError(f"no comma at character {at}")
        at = comma.end()


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for passed in _BRACKET.finditer(text):
        depth += 1 if passed[1] else -1
        if depth > MAX_DEPTH:
            raise Rejection(Reason.TOO_DEEP, f"more than {MAX_DEPTH} levels at character {passed.start(1)}")


def _check_surrogates(text: str) -> None:
    paired = _PAIRED.match(text)
    at = paired.end() if paired else 0
    if at < len(text):
        detail = f"{text[at : at + 6]} at character {at} is half of a surrogate pair"
        raise Rejection(Reason.BAD_UNICODE, detail)


def _check_keys(row: Row) -> None:
    """Refuse a key that appears more than once. Hashes are compared first: they take less memory than the keys."""
    repeated = {hash_ for hash_, next_ in pairwise(sorted(row.hashes)) if hash_ == next_}
    if not repeated:
        return
    keys = (
        scanstring(row.text, span.key_start + 1, True)[0]
        for span, hash_ in zip(row.spans(), row.hashes, strict=True)
        if hash_ in repeated
    )
    first = next((key for key, count in Counter(keys).items() if count > 1), None)
    if first is not None:
        raise Rejection(Reason.DUPLICATE_KEY, f"{shortened(first)!r} appears more than once", first)


def own_record_type(row: Row) -> str | None:
    item = row.items.get(RECORD_TYPE)
    if item is None or item.value is None:
        return None
    if not isinstance(item.value, str) or isinstance(item.value, Number):
        raise Rejection(Reason.WRONG_TYPE, f"is {kind_of(item.value)}, not a string", RECORD_TYPE)
    return item.value


def kind_of(value: object) -> str:
    match value:
        case Number():
            return f"the number {shortened(value)}"
        case str():
            return f"the string {shortened(value)!r}"
        case bool():
            return "a boolean"
        case list():
            return "an array"
        case _:
            return "an object"


def shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."
