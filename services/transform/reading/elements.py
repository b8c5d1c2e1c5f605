"""Rows that are the elements of an array, whatever the state of the array: nothing between its brackets is lost.

Bytes are read as strict JSON first, at the speed of memory, so damage shows where it is; up to there, elements are
found by their structure. What becomes of damage is decided here (decision 0012):

    an element that is balanced but not JSON        a row: the judge says what is wrong with it
    a comma that is missing or surplus              BrokenFrame; all elements are rows
    an array that is not closed                     BrokenFrame at the object's end
    anything else                                   BrokenFrame up to the element with which the array goes on

Where rows are depends on the bytes alone, never on how they came in blocks: so reading can go on after any piece.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from itertools import pairwise

import numpy as np

from services.transform.blocks import BrokenFrame, Form, OverlongRow, Piece, Position
from services.transform.reading.arrays import SCAN_BYTES, ArrayScanner
from services.transform.reading.cursor import RAW_BYTES, ArrayCursor
from services.transform.reading.pending import Offsets, after_element, without_leading_blanks
from services.transform.reading.repair import next_is_object, validate_elements
from services.transform.reading.strict import Outcome, is_json, validate
from services.transform.reading.window import BLANKS, blanks_end

_DEEP = 100  # levels; a row that is nested deeper is not accepted
_LITTLE = 16 * 1024  # bytes before something too deep in which elements are looked at one by one

_COMMA, _OPENING, _CLOSING, _OBJECT = b",[]{"
_COMMAS = re.compile(rb"[, \t\r\n]*")
_SURPLUS_BRACKET = "A closing bracket is surplus: the array goes on behind it."


class ArrayReader(ArrayCursor):
    """Reads elements out of a window that begins one byte before the first of them."""

    def read(self, form: Form) -> Iterator[Piece]:
        """The rows up to the object's end or to lines behind the array: the window then begins with these."""
        steps: dict[Form, Callable[[], Iterator[Piece]]] = {
            Form.ARRAY: self._elements,
            Form.AFTER_COMMA: self._elements,
            Form.AFTER_ELEMENT: self._after_element,
            Form.REST_OF_ELEMENT: self._rest_of_element,
            Form.LOST: self._lost,
            Form.AFTER_ARRAY: self._after_array,
        }
        self.form = form
        while self.form in steps:
            if self._at > self._block or len(self._window.data) - self._at <= self._block // 2:
                yield from self._slide()
            yield from steps[self.form]()
        yield from self._rows.flush()
        self._window.drop(self._at)

    # Steps: each deals with some bytes, and leaves `at` and `form` for the next.

    def _elements(self) -> Iterator[Piece]:
        """Elements up to the first damage, or as many as the window holds."""
        yield from self._skip_blanks()
        data = self._window.data
        if self._at == len(data):
            yield from self._not_closed()
        elif data[self._at] == _COMMA:
            yield from self._surplus_commas()
        elif data[self._at] == _CLOSING and self.form is Form.AFTER_COMMA:
            detail = "A comma is surplus: the closing bracket of the array follows it."
            yield from self._report(self._at, detail, b"]", self._at, Form.ARRAY)
        else:
            yield from self._valid_elements()

    def _after_element(self) -> Iterator[Piece]:
        end = self._window.base + self._at  # of the element
        yield from self._skip_blanks()
        data, at = self._window.data, self._at
        if at == len(data):
            yield from self._not_closed()
        elif data[at] == _COMMA:
            self._at, self.form = at + 1, Form.AFTER_COMMA
        elif data[at] == _CLOSING:
            self._at, self.form = at + 1, Form.AFTER_ARRAY
        elif data[at] == _OBJECT:
            yield from self._rows.flush()
            detail = (
                f"A comma is missing: an element ends at this byte, and the next one starts at byte {self._offset}."
            )
            yield Piece(BrokenFrame(end - 1, detail, b""), Position(self._offset, Form.ARRAY))
            self.form = Form.ARRAY
        else:
            yield from self._broken(at, "expected ',' or ']'")

    def _rest_of_element(self) -> Iterator[Piece]:
        """Skip the rest of an over-long element, by its structure alone."""
        scanner = ArrayScanner()
        while True:
            yield from self._slide()
            self._window.fill(1 + SCAN_BYTES)
            if self._at == len(self._window.data):
                self.form = Form.AFTER_ELEMENT
                return
            with memoryview(self._window.data) as data, data[1:] as chunk:
                found = scanner.feed(chunk)
            if found.commas.size:
                self._at, self.form = 1 + int(found.commas[0]) + 1, Form.AFTER_COMMA
                return
            if found.close >= 0:
                self._at, self.form = 1 + found.close, Form.AFTER_ELEMENT
                return
            self._at = len(self._window.data)

    def _lost(self) -> Iterator[Piece]:
        """Look for the element with which the array goes on; the bytes up to there have been reported."""
        self._need(self._at + self._reach)
        found = self._resumption.find(self._at, self._at)
        if found >= 0:
            self._at, self.form = found, Form.AFTER_COMMA
        else:
            self._at = min(self._at + self._reach, len(self._window.data))
            self.form = Form.LINES if self._is_end(self._at) else Form.LOST
        yield from ()

    def _after_array(self) -> Iterator[Piece]:
        """The array should be all: what follows is more of it, or lines, or neither."""
        on_same_line = not (yield from self._skip_blanks())
        data, at = self._window.data, self._at
        self._need(at + self._reach)
        if at == len(data):
            self.form = Form.LINES
            return
        if data[at] == _COMMA and next_is_object(data, at + 1):
            yield from self._report(at, _SURPLUS_BRACKET, b",", at + 1, Form.AFTER_COMMA)
            return
        with memoryview(data) as whole, whole[at : at + self._reach] as text:
            verdict = validate(text)
        if data[at] == _OBJECT and verdict.outcome is Outcome.VALUE_AND_MORE and data[at + verdict.at] in b",]":
            yield from self._report(at + verdict.at, _SURPLUS_BRACKET, b"", at, Form.ARRAY)
            return
        end = data.find(b"\n", at, at + self._reach)
        if end < 0 and self._is_end(at + self._reach):
            end = len(data)
        if end >= 0 and is_json(data[at:end]):
            self.form = Form.LINES
            return
        found = self._resumption.find(at, at)
        detail = "Text follows the closing bracket of the array"
        if found >= 0:
            yield from self._report_up_to(at, found, detail)
        elif not on_same_line:
            self.form = Form.LINES
        elif end >= 0:
            yield from self._report(at, detail + ".", data[at:end], end, Form.LINES)
        else:
            end = at + self._reach
            yield from self._report(at, detail + ".", data[at:end], end, Form.REST_OF_LINE)

    # What elements are found.

    def _valid_elements(self) -> Iterator[Piece]:
        data = self._window.data
        verdict = validate_elements(self._window, self._at, len(data))
        match verdict.outcome:
            case Outcome.CUT:
                yield from self._cut()
            case Outcome.BROKEN:
                if not (yield from self._rows_up_to(verdict.at)):
                    yield from self._broken_element(verdict.at, verdict.detail)
            case Outcome.TOO_DEEP:
                yield from self._deep()
            case _:
                close = data.rindex(b"]", self._at, verdict.at if verdict.at >= 0 else len(data))
                if not (yield from self._rows_up_to(close)):
                    yield from self._last_row(close)

    def _cut(self) -> Iterator[Piece]:
        """All that the window holds is valid; its last element may go on behind it."""
        before = self._at
        if (yield from self._rows_up_to(len(self._window.data))):
            return
        if self._window.is_last:
            yield from self._unclosed_element()
        elif self._at == before:
            if len(self._window.data) - self._at > self._max_row:
                yield from self._overlong(self._at)
            else:
                self._need(self._at + self._reach)

    def _rows_up_to(self, end: int) -> Generator[Piece, None, bool]:
        """Take the elements before `end` that a comma follows. Returns whether it had to turn aside before."""
        scanner, start = ArrayScanner(), self._at
        for first in range(start, end, SCAN_BYTES):
            last = min(first + SCAN_BYTES, end)
            with memoryview(self._window.data) as data, data[first:last] as chunk:
                commas = scanner.feed(chunk).commas + first
            if commas.size:
                if (yield from self._take(np.concatenate(([start], commas[:-1] + 1)), commas)):
                    return True
                start = self._at = int(commas[-1]) + 1
                self.form = Form.AFTER_COMMA
            self._window.check()
        return False

    def _last_row(self, close: int) -> Iterator[Piece]:
        """Take the element before the closing bracket, and the bracket."""
        end = self._at + len(self._window.data[self._at : close].rstrip(BLANKS))
        if end > self._at and (yield from self._take(np.array([self._at]), np.array([end]))):
            return
        self._at, self.form = close + 1, Form.AFTER_ARRAY

    def _take(self, starts: Offsets, ends: Offsets) -> Generator[Piece, None, bool]:
        """Take elements as rows. Returns whether one of them turned out to be elements itself."""
        starts, ends = without_leading_blanks(self._window.data, starts, ends)
        overlong = np.flatnonzero(ends - starts > self._max_row).tolist()
        for before, row in pairwise([-1, *overlong, len(starts)]):
            yield from self._rows.add(starts[before + 1 : row], ends[before + 1 : row])
            if row == len(starts):
                break
            yield from self._overlong(int(starts[row]), int(ends[row]))
            if self._window.data[int(starts[row])] == _OPENING:
                return True
        return False

    def _overlong(self, start: int, end: int | None = None) -> Iterator[Piece]:
        """An element that is longer than a row may be. `end` is where it ends, if that is known."""
        data = self._window.data
        if data[start] == _OPENING:
            yield from self._open(start, "it is longer than a row may be")
            return
        yield from self._rows.flush()
        rest = Position(self._window.base + start, Form.REST_OF_ELEMENT)
        after = rest if end is None else after_element(self._window, end)
        yield Piece(OverlongRow(rest.offset, bytes(data[start : start + min(RAW_BYTES, self._reach)])), after)
        if end is None:
            self._at, self.form = start, Form.REST_OF_ELEMENT

    def _deep(self) -> Iterator[Piece]:
        """Somewhere, brackets are nested too deep for strict reading: that element is found by its structure."""
        self._window.check()
        before = self._at
        turned = yield from self._rows_up_to(self._readable_end())
        if turned or self._at > before:
            return
        start, end, close = self._first_deep()
        if start > self._at:
            verdict = validate_elements(self._window, self._at, start)
            turned = yield from self._rows_up_to(verdict.at if verdict.outcome is Outcome.BROKEN else start)
            if verdict.outcome is Outcome.BROKEN and not turned:
                yield from self._broken_element(verdict.at, verdict.detail)
        elif end >= 0 and end - start <= self._max_row:
            yield from self._take(np.array([start]), np.array([end]))
            self._at, self.form = (end, Form.AFTER_ELEMENT) if close else (end + 1, Form.AFTER_COMMA)
        else:
            yield from self._broken(start, "brackets are nested too deep")

    def _readable_end(self) -> int:
        """Up to where strict reading meets nothing too deep, not less than half of what it is or `_LITTLE`.

        Elements before it are taken all at once: to look for the deep one anew behind each would take quadratic time.
        """
        size = len(self._window.data) - self._at
        while size > _LITTLE:
            size //= 2
            if validate_elements(self._window, self._at, self._at + size).outcome is Outcome.CUT:
                return self._at + size
        return self._at

    def _first_deep(self) -> tuple[int, int, bool]:
        """Where the first element starts that is nested too deep, where it ends or -1, and whether by a bracket."""
        scanner, start, first, size = ArrayScanner(_DEEP), self._at, self._at, 4096
        is_deep = False
        while not is_deep or first < start + self._reach:
            self._need(first + size)
            with memoryview(self._window.data) as data, data[first : first + size] as chunk:
                found, length = scanner.feed(chunk), len(chunk)
            commas = found.commas
            if found.deep >= 0 and not is_deep:
                is_deep = True
                before = commas[commas < found.deep]
                start = first + int(before[-1]) + 1 if before.size else start
                commas = commas[commas > found.deep]
            if is_deep and commas.size:
                return start, first + int(commas[0]), False
            if found.close >= 0:
                return start, first + found.close, True
            if not length:
                break
            if commas.size:
                start = first + int(commas[-1]) + 1
            first, size = first + length, min(size * 2, SCAN_BYTES)
        return start, -1, False

    # What is wrong.

    def _broken_element(self, broken: int, detail: str) -> Iterator[Piece]:
        """The element at `at` is valid up to `broken`. An object that is complete there is a row."""
        data = self._window.data
        self._at = start = blanks_end(data, self._at, end=broken)
        if broken - start > self._max_row:
            yield from self._overlong(start)
            return
        text = data[start:broken].rstrip(BLANKS)
        if text.startswith(b"{") and is_json(text):
            self._at, self.form = start + len(text), Form.AFTER_ELEMENT
            yield from self._rows.add(np.array([start]), np.array([self._at]))
        elif start < broken or data[start] not in b",]":
            yield from self._broken(broken, detail)

    def _broken(self, broken: int, detail: str) -> Iterator[Piece]:
        """The frame is lost at `broken`, in the element that starts at `at` or behind an element."""
        self._need(self._at + self._reach)
        data, start = self._window.data, self._at
        detail = f"The array is broken at byte {self._window.base + broken} ({detail})"
        found = self._resumption.find(start, broken)
        if found >= 0:
            if not (yield from self._balanced_elements(found)):
                yield from self._report_up_to(start, found, detail)
            return
        end = min(start + self._reach, len(data))
        if (yield from self._elements_by_structure(end)):
            return
        is_end = self._is_end(end)
        detail += "; its rest cannot be told apart." if is_end else "; it is not known where it goes on."
        yield from self._report(start, detail, data[start:end], end, Form.LINES if is_end else Form.LOST)

    def _balanced_elements(self, end: int) -> Generator[Piece, None, bool]:
        """Take what is before the comma before `end` as rows, if all of it is elements with balanced brackets."""
        scanner, start = ArrayScanner(), self._at
        with memoryview(self._window.data) as data, data[start:end] as chunk:
            found = scanner.feed(chunk)
        comma = self._window.data.rindex(b",", start - 1, end)
        if found.close >= 0 or not scanner.is_between_elements or not found.commas.size:
            return False
        commas = found.commas + start
        if int(commas[-1]) != comma:
            return False
        yield from self._take_up_to_blank(commas)
        return True

    def _elements_by_structure(self, end: int) -> Generator[Piece, None, bool]:
        """Take the elements up to `end` by their brackets alone; False where there are none."""
        start = self._at
        with memoryview(self._window.data) as data, data[start:end] as chunk:
            found = ArrayScanner().feed(chunk)
        if found.commas.size:
            yield from self._take_up_to_blank(found.commas + start)
            return True
        if found.close < 0 or self._window.data[start + found.close] != _CLOSING:
            return False
        yield from self._last_row(start + found.close)
        return True

    def _take_up_to_blank(self, commas: Offsets) -> Iterator[Piece]:
        """Take elements that commas follow; where there is none between two of them, the second one is surplus."""
        starts = np.concatenate(([self._at], commas[:-1] + 1))
        kept, _ = without_leading_blanks(self._window.data, starts, commas)
        if len(kept) < len(starts):
            blanks = [
                not self._window.data[a:b].strip(BLANKS) for a, b in zip(starts.tolist(), commas.tolist(), strict=True)
            ]
            count = blanks.index(True)
            starts, commas = starts[:count], commas[:count]
        if len(commas):
            yield from self._take(starts, commas)
            self._at, self.form = int(commas[-1]) + 1, Form.AFTER_COMMA

    def _unclosed_element(self) -> Iterator[Piece]:
        """The object ends in an element, or behind it."""
        data = self._window.data
        self._at = start = blanks_end(data, self._at)
        text = data[start:].rstrip(BLANKS)
        if not text:
            return
        if len(text) > self._max_row:
            yield from self._overlong(start)
        elif data[start] == _OPENING and is_json(text):
            yield from self._open(start, "the object ends behind it")
        elif not (yield from self._elements_by_structure(len(data))):
            self._at, self.form = start + len(text), Form.AFTER_ELEMENT
            yield from self._rows.add(np.array([start]), np.array([self._at]))

    def _not_closed(self) -> Iterator[Piece]:
        detail = "The array is not closed: the object ends without a closing bracket. Check whether it is complete."
        yield from self._report(self._at, detail, b"", self._at, Form.LINES)

    def _surplus_commas(self) -> Iterator[Piece]:
        self._need(self._at + self._reach)
        found = _COMMAS.match(self._window.data, self._at, self._at + self._reach)
        end = found.end() if found else self._at
        raw = self._window.data[self._at : end]
        detail = "A comma is surplus: no element is before it."
        if raw.count(b",") > 1:
            detail = f"{raw.count(b',')} commas are surplus: no element is before them."
        yield from self._report(self._at, detail, raw, end, Form.ARRAY)

    def _open(self, start: int, why: str) -> Iterator[Piece]:
        """An array as an element, which is no row anyway: its bracket may be the surplus one."""
        detail = (
            f"An array starts here inside of the array, and {why}: its elements are read as if they were not nested."
        )
        yield from self._report(start, detail, b"[", start + 1, Form.ARRAY)
