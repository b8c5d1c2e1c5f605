"""Where an array or object ends, checked as JSON without building its values.

`json` would build a Python object for each number and string: gigabytes for a few megabytes of text. This scanner holds
one value at a time, accepts the same texts and refuses the others with the same errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

ScanValue = Callable[[str, int], tuple[Any, int]]

BLANKS = re.compile(r"[ \t\n\r]*+")
_B = BLANKS.pattern
_STRING = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
_SCALAR = rf"(?:{_STRING}|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+|true|false|null)"


_KEY = rf"{_STRING}{_B}:{_B}"


def _flat(levels: int) -> str:
    """Values with at most so many levels of arrays and objects; every possessive part is passed once, or not at all."""
    if not levels:
        return _SCALAR
    inner = _flat(levels - 1)
    items, pairs = (rf"(?:{item}{_B}(?:,{_B}{item}{_B})*+)?+" for item in (inner, _KEY + inner))
    return rf"(?:{_SCALAR}|\[{_B}{items}\]|\{{{_B}{pairs}\}})"


@cache
def _members() -> dict[str, re.Pattern[str]]:
    """For each closer what passes as many members as it can in one step: flat values, each with the comma behind it.

    Made when first needed, since few functions ever meet a row that needs it.
    """
    flat = _flat(_LEVELS_IN_ONE_STEP)
    items, pairs = rf"(?:{flat}{_B},{_B})*+", rf"(?:{_KEY}{flat}{_B},{_B})*+"
    return {"]": re.compile(items), "}": re.compile(pairs)}


_CLOSER_OF = {"[": "]", "{": "}"}
_LEVELS_IN_ONE_STEP = 2


def end_of_nested(text: str, at: int, scan_value: ScanValue) -> int:
    """The end of the array or object that opens at `at`.

    Raises:
        ValueError, StopIteration: the text is not JSON; what `scan_value`, the scanner of `json`, raises for it.
    """
    closers: list[str] = []
    while True:
        closer = _CLOSER_OF.get(text[at : at + 1])
        if closer is None:
            at = scan_value(text, at)[1]
        else:
            inside = skip_blanks(text, at + 1)
            if text[inside : inside + 1] != closer:
                closers.append(closer)
                at = _next_value(text, inside, closer)
                continue
            at = inside + 1
        while True:  # behind a value
            if not closers:
                return at
            at = skip_blanks(text, at)
            mark = text[at : at + 1]
            if mark == ",":
                at = _next_value(text, skip_blanks(text, at + 1), closers[-1])
                break
            if mark != closers[-1]:
                raise JSONDecodeError("Expecting ',' delimiter", text, at)
            closers.pop()
            at += 1


def skip_blanks(text: str, at: int) -> int:
    blanks = BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _next_value(text: str, at: int, closer: str) -> int:
    """Pass members that are flat and followed by another; where the next value begins (in objects: behind its key)."""
    passed = _members()[closer].match(text, at)
    at = passed.end() if passed else at
    if closer == "]":
        return at
    if text[at : at + 1] != '"':
        raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
    at = skip_blanks(text, scanstring(text, at + 1, True)[1])
    if text[at : at + 1] != ":":
        raise JSONDecodeError("Expecting ':' delimiter", text, at)
    return skip_blanks(text, at + 1)
