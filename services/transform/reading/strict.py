"""Whether bytes are JSON, without building what they say: as fast as memory, and in none of it.

msgspec does the work. It says where it stopped only in its messages, so this is the one place that reads them, and the
tests hold it to what is promised here. UTF-8 is not checked; the row judge does.

How deep msgspec can read depends on Python and on the caller's stack. What becomes of a row must not: so a text that is
nested deeper than a number of ours is TOO_DEEP, whether msgspec could have read it or not.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

import msgspec

from services.shared.judge.verdicts import MAX_DEPTH
from services.transform.reading.arrays import SCAN_BYTES, ArrayScanner

_DECODER = msgspec.json.Decoder(msgspec.Raw)
_STOPPED = re.compile(r"(.*) \(byte (\d+)\)")


class Outcome(Enum):
    """What a text is."""

    VALUE = 1  # one JSON value, with nothing but blanks around it
    VALUE_AND_MORE = 2  # a JSON value, and then `at` is the first byte of something else
    CUT = 3  # it is JSON as far as it goes
    BROKEN = 4  # `at` is a byte that cannot be there
    TOO_DEEP = 5  # brackets are nested too deep before anything else can be said


class Verdict(NamedTuple):
    """The outcome, the offset that goes with it, and what is wrong in words."""

    outcome: Outcome
    at: int = -1
    detail: str = ""


Text = bytes | bytearray | memoryview


def validate(text: Text, levels: int = MAX_DEPTH) -> Verdict:
    """Read a text as JSON, from its first byte on; TOO_DEEP with more levels of arrays and objects than these."""
    verdict = validate_as_deep_as_possible(text)
    if verdict.outcome is Outcome.TOO_DEEP:
        return verdict
    end = verdict.at if verdict.at >= 0 else len(text)
    with memoryview(text) as whole, whole[:end] as valid:
        return Verdict(Outcome.TOO_DEEP) if is_deeper(valid, levels) else verdict


def is_deeper(text: Text, levels: int) -> bool:
    """Whether a text has more levels than these, by its structure alone."""
    scanner = ArrayScanner(levels)
    with memoryview(text) as whole:
        for first in range(0, len(whole), SCAN_BYTES):
            with whole[first : first + SCAN_BYTES] as chunk:
                if first == 0 and len(whole) <= SCAN_BYTES and _has_few_brackets(bytes(chunk), levels):
                    return False
                if scanner.feed(chunk).deep >= 0:
                    return True
    return False


def _has_few_brackets(text: bytes, levels: int) -> bool:
    return text.count(b"[") + text.count(b"{") <= levels


def validate_as_deep_as_possible(text: Text) -> Verdict:
    """As `validate`, at the speed of memory, but what is TOO_DEEP, above some hundred levels, depends on the stack."""
    try:
        _DECODER.decode(text)
    except RecursionError:
        return Verdict(Outcome.TOO_DEEP)
    except msgspec.DecodeError as error:
        return _verdict(str(error), len(text))
    return Verdict(Outcome.VALUE)


def validate_sequence(text: Text) -> Verdict:
    """Read a text as JSON values, one after the other, with or without blanks between them, however deep they are."""
    try:
        _DECODER.decode_lines(text)
    except RecursionError:
        return Verdict(Outcome.TOO_DEEP)
    except msgspec.DecodeError as error:
        return _verdict(str(error), len(text))
    return Verdict(Outcome.VALUE)


def is_json(text: Text) -> bool:
    """Whether the text is one JSON value that is not nested too deep."""
    return validate(text).outcome is Outcome.VALUE


def _verdict(message: str, length: int) -> Verdict:
    stopped = _STOPPED.fullmatch(message)
    if stopped is None:
        return Verdict(Outcome.CUT)
    detail, at = stopped[1].removeprefix("JSON is malformed: "), int(stopped[2])
    if detail == "trailing characters":
        return Verdict(Outcome.VALUE_AND_MORE, at - 1)
    # At the end of the text a number or an escape may go on, however it would read if nothing followed.
    return Verdict(Outcome.CUT) if at >= length else Verdict(Outcome.BROKEN, at, detail)
