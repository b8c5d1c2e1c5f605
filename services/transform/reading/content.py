"""What an object is, by its first bytes: lines, an array or documents. No more is read than its first value has.

What separates the first value from the second decides: a newline makes lines. An object over several lines, one that
another follows on the same line, or a record separator makes documents. Decision 0022 has the reasons.
"""

from __future__ import annotations

import codecs
import re
from enum import Enum, auto
from typing import NamedTuple

from services.shared.compression import HEAD_BYTES
from services.transform.blocks import BrokenFrame, Form, Piece, Position
from services.transform.reading.arrays import SCAN_BYTES, ArrayScanner
from services.transform.reading.documents import RECORD_SEPARATOR
from services.transform.reading.next_document import find_document
from services.transform.reading.strict import Outcome, Verdict, validate
from services.transform.reading.window import BLANKS, STEP_BYTES, Window

_MOST_BLANKS = STEP_BYTES  # an array or a document starts within so many blanks, or the object is lines
_LEVELS = 500  # more, and the object is lines: all of its units must come to the same answer
_LOOK_BYTES = 64 * 1024  # behind damage, for what the object is
_CONVINCING = 2  # commas between objects, for an array that lacks its opening bracket

_BLANKS = rb"[ \t\r\n]*+"
_FIRST_ELEMENT = re.compile(rb"[^ \t\r\n]?" + _BLANKS + rb"(?:\[" + _BLANKS + rb")?(\{)" + _BLANKS + rb"[\"}]")


class Kind(Enum):
    """What an object holds."""

    LINES = auto()
    ARRAY = auto()
    UNOPENED_ARRAY = auto()  # its opening bracket is missing, or another byte is in its place or before it
    DOCUMENTS = auto()  # objects one after the other, whatever is between them and wherever their lines end


class Content(NamedTuple):
    """What an object holds. Of an array without its bracket, the piece that reports it.

    `blanks` is how many blanks of the first line were left behind.
    """

    kind: Kind
    damage: Piece | None = None
    blanks: int = 0


def content_of(window: Window, max_row: int) -> Content:
    """Look at an object's first bytes, which stay in the window; only a byte order mark and blanks are left behind."""
    window.skip_byte_order_mark()
    blanks = window.skip_blanks(_MOST_BLANKS)
    return _content(window, max_row)._replace(blanks=blanks)


def _content(window: Window, max_row: int) -> Content:
    window.fill(HEAD_BYTES)
    if window.data.startswith(b"["):
        return Content(Kind.ARRAY)
    if window.data.startswith(RECORD_SEPARATOR):
        return Content(Kind.DOCUMENTS)
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
        case Outcome.CUT | Outcome.VALUE if not is_all:
            return None
        case Outcome.CUT if size > max_row and not (window.is_last and len(data) <= max_row):
            return Content(Kind.DOCUMENTS if data.startswith(b"{") else Kind.LINES)
        case Outcome.CUT:
            return Content(Kind.DOCUMENTS if _is_one_cut_document(data) else Kind.LINES)
        case Outcome.VALUE:
            return Content(Kind.DOCUMENTS if b"\n" in data[:size].rstrip(BLANKS) else Kind.LINES)
        case Outcome.VALUE_AND_MORE if _follow_each_other(data, 0, verdict.at):
            return Content(Kind.DOCUMENTS)
    found = _unopened_array(window, size, verdict, is_all)
    is_damaged = verdict.outcome is Outcome.BROKEN or b"\n" not in data[: verdict.at]
    if found and found.kind is Kind.LINES and is_damaged:
        start = 0 if verdict.outcome is Outcome.BROKEN else verdict.at
        return Content(_kind_behind_damage(window, start, verdict.at))
    return found


def _follow_each_other(data: bytearray, start: int, following: int) -> bool:
    """Whether an object is over several lines, or what is behind it is another document on the same line."""
    text = data[start:following]
    next_ = bytes(data[following : following + 1])
    if not text.startswith(b"{") or next_ in (b",", b"]"):
        return False
    blanks = text[len(text.rstrip(BLANKS)) :]
    is_joined = next_ == RECORD_SEPARATOR or data.startswith(codecs.BOM_UTF8, following)
    return b"\n" in text.rstrip(BLANKS) or is_joined or (next_ == b"{" and b"\n" not in blanks)


def _is_one_cut_document(data: bytearray) -> bool:
    """Whether an object that has no end is one over several lines: its second line begins with no other object."""
    _, newline, rest = data.partition(b"\n")
    return data.startswith(b"{") and bool(newline) and not rest.startswith(b"{")


def _kind_behind_damage(window: Window, start: int, broken: int) -> Kind:
    """What the next object says, where the first value is damaged, or what is behind it."""
    found = find_document(window, start, broken, _LOOK_BYTES)
    if found < 0:
        return Kind.LINES
    window.fill(found + _LOOK_BYTES)
    data = window.data
    with memoryview(data) as whole, whole[found : found + _LOOK_BYTES] as text:
        verdict = validate(text, _LEVELS)
    match verdict.outcome:
        case Outcome.VALUE_AND_MORE:
            return Kind.DOCUMENTS if _follow_each_other(data, found, found + verdict.at) else Kind.LINES
        case Outcome.VALUE | Outcome.CUT:
            is_over_lines = b"\n" in data[found : found + _LOOK_BYTES].rstrip(BLANKS)
            return Kind.DOCUMENTS if is_over_lines else Kind.LINES
    return Kind.LINES


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
