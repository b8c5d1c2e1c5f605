"""What an object is, by its first bytes: lines, an array or one document. No more is read than its first value has."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from services.transform.blocks import BrokenFrame, Form, Piece, Position
from services.transform.reading.arrays import SCAN_BYTES, ArrayScanner
from services.transform.reading.strict import Outcome, Verdict, validate
from services.transform.reading.window import BLANKS, STEP_BYTES, Window

HEAD_BYTES = 4096
_MOST_BLANKS = STEP_BYTES  # an array or a document starts within so many blanks, or the object is lines
_LEVELS = 500  # more, and the object is lines: all of its units must come to the same answer
_CONVINCING = 2  # commas between objects, for an array that lacks its opening bracket

_BLANKS = rb"[ \t\r\n]*+"
_FIRST_ELEMENT = re.compile(rb"[^ \t\r\n]?" + _BLANKS + rb"(?:\[" + _BLANKS + rb")?(\{)" + _BLANKS + rb"[\"}]")


class Kind(Enum):
    """What an object holds."""

    LINES = auto()
    ARRAY = auto()
    UNOPENED_ARRAY = auto()  # its opening bracket is missing, or another byte is in its place or before it
    DOCUMENT = auto()  # one JSON value over several lines


class Content(NamedTuple):
    """What an object holds. Of an array without its bracket, the piece that reports it."""

    kind: Kind
    damage: Piece | None = None


def content_of(window: Window, max_row: int) -> Content:
    """Look at an object's first bytes, which stay in the window; only a byte order mark and blanks are left behind."""
    window.skip_byte_order_mark()
    window.skip_blanks(_MOST_BLANKS)
    window.fill(HEAD_BYTES)
    if window.data.startswith(b"["):
        return Content(Kind.ARRAY)
    if _starts_with_a_line(bytes(window.data[:HEAD_BYTES])):
        return Content(Kind.LINES)
    size = HEAD_BYTES
    while (found := _content_of(window, size, max_row)) is None:
        size = min(size * 4, max_row + 1)
        window.fill(size)
    return found


def _starts_with_a_line(head: bytes) -> bool:
    """Whether the first line is an object and no array's element, as in nearly every file."""
    first_line, newline, rest = head.partition(b"\n")
    return bool(newline) and head.startswith(b"{") and _is_json(first_line) and not rest.lstrip(BLANKS).startswith(b",")


def _content_of(window: Window, size: int, max_row: int) -> Content | None:
    """What the first `size` bytes say; None where more are needed."""
    data = window.data
    is_all = size > max_row or (window.is_last and len(data) <= size)
    with memoryview(data) as whole, whole[:size] as head:
        verdict = validate(head, _LEVELS)
    match verdict.outcome:
        case Outcome.TOO_DEEP:
            return Content(Kind.LINES)
        case Outcome.CUT:
            return Content(Kind.LINES) if is_all else None
        case Outcome.VALUE if not is_all:
            return None
        case Outcome.VALUE:
            is_document = b"\n" in data.rstrip(BLANKS) and len(data) <= max_row
            return Content(Kind.DOCUMENT if is_document else Kind.LINES)
    return _unopened_array(window, size, verdict, is_all)


def _unopened_array(window: Window, size: int, first: Verdict, is_all: bool) -> Content | None:
    """An array that lacks its bracket, if there are enough elements to tell; None where more bytes are needed."""
    found = _FIRST_ELEMENT.match(window.data, 0, size)
    if found is None:
        return Content(Kind.LINES)
    element = found.start(1)
    with memoryview(b"[" + window.data[element:size]) as text:
        verdict = validate(text, _LEVELS)
        with text[1 : verdict.at if verdict.at >= 0 else len(text)] as elements:
            commas = _count_commas(elements)
    if verdict.outcome not in (Outcome.VALUE, Outcome.VALUE_AND_MORE) and commas < _CONVINCING:
        needs_more = verdict.outcome is Outcome.CUT and not is_all
        return None if needs_more else Content(Kind.LINES)
    if element:
        at, raw, detail = 0, bytes(window.data[:element]), "The array lacks its opening bracket; this is in its place."
    else:
        at, raw, detail = first.at, b"", "The array lacks its opening bracket: its first element ends at this byte."
    after = Position(window.base + element, Form.ARRAY)
    return Content(Kind.UNOPENED_ARRAY, Piece(BrokenFrame(window.base + at, detail, raw), after))


def _is_json(text: bytes) -> bool:
    with memoryview(text) as whole:
        return validate(whole, _LEVELS).outcome is Outcome.VALUE


def _count_commas(elements: memoryview) -> int:
    """How many commas are between the elements of an array, counted no further than is convincing."""
    scanner, commas = ArrayScanner(), 0
    for first in range(0, len(elements), SCAN_BYTES):
        with elements[first : first + SCAN_BYTES] as chunk:
            found = scanner.feed(chunk)
        commas += len(found.commas)
        if commas >= _CONVINCING or found.close >= 0:
            break
    return commas
