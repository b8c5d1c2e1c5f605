"""Whether bytes are JSON, without building what they say: as fast as memory, and in none of it.

msgspec does the work. It says where it stopped only in its messages, so this is the one place that reads them, and the
tests hold it to what is promised here. UTF-8 is not checked; the row judge does.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

import msgspec

_DECODER = msgspec.json.Decoder(msgspec.Raw)
_STOPPED = re.compile(r"(.*) \(byte (\d+)\)")


class Outcome(Enum):
    """What a text is."""

    VALUE = 1  # one JSON value, with nothing but blanks around it
    VALUE_AND_MORE = 2  # a JSON value, and then `at` is the first byte of something else
    CUT = 3  # it is JSON as far as it goes
    BROKEN = 4  # `at` is a byte that cannot be there
    TOO_DEEP = 5  # brackets are nested more than some hundred deep: more is not known


class Verdict(NamedTuple):
    """The outcome, the offset that goes with it, and what is wrong in words."""

    outcome: Outcome
    at: int = -1
    detail: str = ""


def validate(text: bytes | bytearray | memoryview) -> Verdict:
    """Read a text as JSON, from its first byte on."""
    try:
        _DECODER.decode(text)
    except RecursionError:
        return Verdict(Outcome.TOO_DEEP)
    except msgspec.DecodeError as error:
        return _verdict(str(error), len(text))
    return Verdict(Outcome.VALUE)


def validate_sequence(text: bytes | bytearray | memoryview) -> Verdict:
    """Read a text as JSON values, one after the other, with or without blanks between them."""
    try:
        _DECODER.decode_lines(text)
    except RecursionError:
        return Verdict(Outcome.TOO_DEEP)
    except msgspec.DecodeError as error:
        return _verdict(str(error), len(text))
    return Verdict(Outcome.VALUE)


def is_json(text: bytes | bytearray | memoryview) -> bool:
    """Whether the text is one JSON value."""
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
