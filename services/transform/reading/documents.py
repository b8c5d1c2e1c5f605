"""Rows that are JSON documents one after the other: `{...}{...}`, pretty-printed, or with record separators (RFC 7464).

    a document                              a row, wherever its lines end
    damage                                  one row up to the next document: the judge says what is wrong with it
    a document longer than a row may be     over-long; reading goes on behind its last bracket
    longer damage                           over-long; reading goes on with the next document

So rows and blanks are all that there is, and no byte is in two rows. Which rows there are depends on the bytes alone,
never on how they came in blocks. Decision 0022 has the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

import numpy as np

from services.shared.judge.verdicts import MAX_DEPTH
from services.transform.blocks import Form, OverlongRow, Piece, Position
from services.transform.reading.arrays import SCAN_BYTES, ArrayScanner
from services.transform.reading.lines import OVERLONG_HEAD_BYTES
from services.transform.reading.next_document import find_document, skip_to_document
from services.transform.reading.pending import PendingRows, without_leading_blanks
from services.transform.reading.strict import Outcome, validate, validate_sequence
from services.transform.reading.window import BLANKS, STEP_BYTES, Window, blanks_end

RECORD_SEPARATOR = b"\x1e"
BETWEEN = re.compile(rb"[ \t\r\n\x1e]*")
_FEWEST_BYTES = 4096  # looked through at once; twice as many each time that it was worthwhile
_OPENING = b'{["'  # of values whose end shows by itself


class DocumentReader:
    """Reads documents out of a window, from the start of one on, to the window's end."""

    def __init__(self, window: Window, max_row: int, block_bytes: int) -> None:
        self._window = window
        self._max_row = max_row
        self._reach = max_row + 1
        self._block = block_bytes
        self._rows = PendingRows(window, block_bytes)
        self._rows.form = Form.DOCUMENTS
        self._at = 0
        self._at_once = _FEWEST_BYTES

    def read(self, form: Form) -> Iterator[Piece]:
        """The rows from a place on; `form` says what is there."""
        if form is Form.REST_OF_DOCUMENT:
            self._skip_document()
        elif form is Form.LOST_DOCUMENTS:
            self._skip_damage()
        while self._is_more():
            is_low = not self._window.is_last and len(self._window.data) - self._at <= self._block // 2
            if is_low or self._at > self._block:
                yield from self._slide()
            elif not (yield from self._several()):
                yield from self._one()
        yield from self._rows.flush()
        self._window.drop(self._at)

    def _is_more(self) -> bool:
        """Go on to the next document, or to the end of what the window holds. False where the object ends."""
        self._at = blanks_end(self._window.data, self._at, BETWEEN)
        return self._at < len(self._window.data) or not self._window.is_last

    def _slide(self) -> Iterator[Piece]:
        yield from self._rows.flush()
        self._window.drop(self._at)
        self._at = 0
        self._window.fill(max(self._block, 1))

    def _several(self) -> Generator[Piece, None, bool]:
        """Take the documents that are valid and whole in the next bytes. Returns whether there were any."""
        start, data = self._at, self._window.data
        if data[start] not in _OPENING:
            return False
        end = min(start + self._at_once, len(data))
        separator = data.find(RECORD_SEPARATOR, start, end)
        end = separator if separator >= 0 else end
        if separator >= 0 and end - start < _FEWEST_BYTES:
            return False
        with memoryview(data) as whole, whole[start:end] as text:
            verdict = validate_sequence(text)
            found = ArrayScanner(MAX_DEPTH, finds_end=True).feed(text)
        if verdict.outcome is Outcome.BROKEN:
            end = start + verdict.at
        elif verdict.outcome is Outcome.TOO_DEEP:  # those before it; where it ends, its brackets say, as they do here
            end = start + max(found.deep, 0)
        self._window.check()
        ends = found.ends[found.ends <= end - start] + start
        starts = without_leading_blanks(data, np.concatenate(([start], ends[:-1])), ends)
        taken = _leading(np.isin(np.frombuffer(data, dtype=np.uint8)[starts], list(_OPENING)))
        taken = min(taken, _leading(ends - starts <= self._max_row))
        if not taken:
            self._at_once = _FEWEST_BYTES
            return False
        self._at = int(ends[taken - 1])
        is_worthwhile = 2 * (self._at - start) >= min(self._at_once, len(data) - start)
        self._at_once = min(2 * self._at_once, SCAN_BYTES) if is_worthwhile else _FEWEST_BYTES
        yield from self._rows.add(starts[:taken], ends[:taken])
        return True

    def _one(self) -> Iterator[Piece]:
        """Take the next document, or the damage that is there."""
        at = self._at
        self._need(at + self._reach)
        data = self._window.data
        with memoryview(data) as whole, whole[at : at + self._reach] as text:
            verdict = validate(text)
        match verdict.outcome:
            case Outcome.VALUE:
                end = at + len(data[at : at + self._reach].rstrip(BLANKS))
                yield from self._row(end, Form.REST_OF_DOCUMENT)
            case Outcome.VALUE_AND_MORE:
                end = at + len(data[at : at + verdict.at].rstrip(BLANKS))
                yield from self._row(end, Form.REST_OF_DOCUMENT)
            case Outcome.CUT:
                yield from self._row(len(data), Form.REST_OF_DOCUMENT)
            case Outcome.TOO_DEEP:
                yield from self._row(self._end_of_first(), Form.REST_OF_DOCUMENT)
            case Outcome.BROKEN:
                end = find_document(self._window, at, at + verdict.at, self._reach)
                yield from self._row(len(self._window.data) if end < 0 else end, Form.LOST_DOCUMENTS)

    def _row(self, end: int, rest: Form) -> Iterator[Piece]:
        """Take what is before `end` as one row; if it is too long, and `rest` says what to do with the rest of it."""
        at, data = self._at, self._window.data
        end = at + len(data[at : min(end, at + self._reach)].rstrip(BLANKS + RECORD_SEPARATOR))
        if end - at <= self._max_row:
            self._at = end
            yield from self._rows.add(np.array([at]), np.array([end]))
            return
        yield from self._rows.flush()
        start = at if rest is Form.REST_OF_DOCUMENT else at + self._reach
        head = bytes(data[at : at + min(OVERLONG_HEAD_BYTES, self._reach)])
        yield Piece(OverlongRow(self._window.base + at, head), Position(self._window.base + start, rest))
        self._at = start
        if rest is Form.REST_OF_DOCUMENT:
            self._skip_document()
        else:
            self._skip_damage()

    def _end_of_first(self) -> int:
        """Where the document at `at` ends by its brackets, or the end of what a row may have."""
        scanner, data = ArrayScanner(finds_end=True), self._window.data
        first, last, size = self._at, min(self._at + self._reach, len(data)), _FEWEST_BYTES
        while first < last:
            with memoryview(data) as whole, whole[first : min(first + size, last)] as chunk:
                found = scanner.feed(chunk)
            self._window.check()
            if found.end >= 0:
                return first + found.end
            first, size = first + size, min(2 * size, SCAN_BYTES)
        return last

    def _skip_document(self) -> None:
        """Leave behind the document at `at`, by its structure alone: it ends with its last bracket."""
        scanner, window = ArrayScanner(finds_end=True), self._window
        while True:
            if self._at == len(window.data):
                window.drop(self._at)
                self._at = 0
                window.fill(STEP_BYTES)
                if not window.data:
                    return
            with memoryview(window.data) as data, data[self._at : self._at + SCAN_BYTES] as chunk:
                found, length = scanner.feed(chunk), len(chunk)
            window.check()
            if found.end >= 0:
                self._at += found.end
                return
            self._at += length

    def _skip_damage(self) -> None:
        """Leave behind everything up to the next document."""
        self._window.drop(self._at)
        self._at = 0
        skip_to_document(self._window, self._reach)

    def _need(self, size: int) -> None:
        if len(self._window.data) < size:
            self._window.fill(size + min(STEP_BYTES, self._block))


def _leading(flags: np.typing.NDArray[np.bool_]) -> int:
    """How many flags are set before the first that is not."""
    return len(flags) if flags.all() else int(np.argmin(flags))
