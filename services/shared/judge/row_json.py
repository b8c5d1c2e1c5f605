"""One row as JSON: its keys and values, exact, or the reason why it is not a row.

Numbers keep their text, so nothing is lost before a field's type is known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple, NoReturn

from services.shared.judge.verdicts import MAX_DEPTH, RECORD_TYPE, Reason, Rejection


class Number(str):
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


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refuse_constant)
_scan_value: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]
_BLANKS = re.compile(r"[ \t\n\r]*")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|([\[{])|([\]}])', re.DOTALL)
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPES = re.compile(rf"{_HIGH}{_LOW}|({_HIGH}|{_LOW})|\\.", re.DOTALL)


def read_row(row: bytes) -> dict[str, Item]:
    try:
        text = row.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejection(Reason.BAD_UTF8, f"byte {error.start} of the row: {error.reason}") from error
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
        raise Rejection(Reason.MALFORMED_JSON, f"no value at character {error.value}") from error
    except ValueError as error:
        raise Rejection(Reason.MALFORMED_JSON, str(error)) from error
    if not is_object:
        raise Rejection(Reason.NOT_AN_OBJECT, "the row is JSON, but no object")
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
            raise Rejection(Reason.TOO_DEEP, f"more than {MAX_DEPTH} levels at character {token.start()}")


def _check_surrogates(text: str) -> None:
    for escape in _ESCAPES.finditer(text):
        if escape[1]:
            detail = f"{escape[1]} at character {escape.start()} is half of a surrogate pair"
            raise Rejection(Reason.BAD_UNICODE, detail)


def _by_key(items: list[tuple[str, Item]]) -> dict[str, Item]:
    row = dict(items)
    if len(row) != len(items):
        keys = [key for key, _ in items]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Rejection(Reason.DUPLICATE_KEY, f"{twice!r} stands there more than once", twice)
    return row


def own_record_type(items: dict[str, Item]) -> str | None:
    item = items.get(RECORD_TYPE)
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
