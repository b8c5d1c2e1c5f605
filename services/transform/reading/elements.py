"""Rows that are the elements of an array, whatever the state of the array: nothing between its brackets is lost.

Bytes are read as strict JSON first, at the speed of memory, so damage shows where it is; up to there, elements are
found by their structure. What becomes of damage is written in `damage`.

Where rows are depends on the bytes alone, never on how they came in blocks: so reading can go on behind every piece,
but for those in the middle of damage that was decided as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from services.shared.judge.verdicts import MAX_DEPTH
from services.transform.blocks import BrokenFrame, Form, Piece, Position
from services.transform.reading.arrays import SCAN_BYTES, ArrayScanner
from services.transform.reading.damage import (
    BRACKETS_SKIPPED,
    CLOSING,
    COMMA,
    COMMAS,
    COMMAS_AND_BRACKETS,
    OBJECT,
    OPENING,
    REPORTED_ONCE,
    REST_OF,
    DamagedArray,
)
from services.transform.reading.repair import next_is_object, validate_elements
from services.transform.reading.strict import Outcome, is_deeper, is_json, validate
from services.transform.reading.window import blanks_end

_LOOSE_ROWS = 4096  # that are found one by one before they are handed on
_LITTLE = 16 * 1024  # bytes before something too deep in which elements are looked at one by one

_SURPLUS_BRACKET = "A closing bracket is surplus: the array goes on behind it." + BRACKETS_SKIPPED


class ArrayReader(DamagedArray):
    """Reads elements out of a window that begins one byte before the first of them."""

    def read(self, form: Form) -> Iterator[Piece]:
        """The rows up to the object's end or to lines behind the array: the window then begins with these.

        An array inside of something else ends with its bracket: `form` is then AFTER_ARRAY.
        """
        steps: dict[Form, Callable[[], Iterator[Piece]]] = {
            Form.ARRAY: self._elements,
            Form.AFTER_COMMA: self._elements,
            Form.AFTER_ELEMENT: self._after_element,
            Form.LOOSE: self._loose,
            Form.FLAT: self._flat,
            Form.REST_OF_ELEMENT: self._rest_of_element,
            Form.REST_OF_LOOSE: self._rest_of_element,
            Form.REST_OF_FLAT: self._rest_of_element,
            Form.LOST: self._lost,
            Form.AFTER_ARRAY: self._after_array,
        }
        if self._levels:  # what follows the array is not for us
            del steps[Form.AFTER_ARRAY]
        self.form = form
        for piece in self._steps_through(steps):
            decided = piece.after is not None and piece.after.offset < self._decided_until
            yield piece._replace(after=None) if decided else piece
        self._window.drop(self._at)

    def _steps_through(self, steps: Mapping[Form, Callable[[], Iterator[Piece]]]) -> Iterator[Piece]:
        while self.form in steps:
            is_low = not self._window.is_last and len(self._window.data) - self._at <= self._block // 2
            if is_low or self._at > self._block:
                yield from self._slide()
            self._rows.form = self.form
            yield from steps[self.form]()
        yield from self._rows.flush()

    # Steps: each deals with some bytes, and leaves `at` and `form` for the next.

    def _elements(self) -> Iterator[Piece]:
        """Elements up to the first damage, or as many as the window holds."""
        yield from self._skip_blanks()
        data = self._window.data
        if self._at == len(data):
            yield from self._not_closed()
        elif data[self._at] == COMMA:
            yield from self._surplus_commas()
        elif data[self._at] == CLOSING and self.form is Form.AFTER_COMMA:
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
        elif data[at] == COMMA:
            self._at, self.form = at + 1, Form.AFTER_COMMA
        elif data[at] == CLOSING:
            self._at, self.form = at + 1, Form.AFTER_ARRAY
        elif data[at] == OBJECT:
            yield from self._rows.flush()
            detail = (
                f"A comma is missing: an element ends at this byte, and the next one starts at byte {self._offset}."
            )
            yield Piece(BrokenFrame(end - 1, detail + REPORTED_ONCE, b""), Position(self._offset, Form.LOOSE))
            self.form = Form.LOOSE
        else:
            yield from self._broken(at, "expected ',' or ']'")

    def _loose(self) -> Iterator[Piece]:
        """Elements one by one, with or without commas between them."""
        yield from self._skip_blanks(COMMAS)
        data = self._window.data
        if self._at == len(data):
            yield from self._not_closed()
        elif data[self._at] == CLOSING:
            yield from self._rows.flush()
            self._at, self.form = self._at + 1, Form.AFTER_ARRAY
        else:
            yield from self._loose_values(COMMAS)

    def _flat(self) -> Iterator[Piece]:
        """Elements one by one, whatever commas and brackets of arrays are between them.

        A bracket that was opened anew each time would cost a look at the longest row for each of thousands of them.
        """
        yield from self._skip_blanks(COMMAS_AND_BRACKETS)
        if self._at == len(self._window.data):
            self.form = Form.LINES
        else:
            yield from self._loose_values(COMMAS_AND_BRACKETS)

    def _loose_values(self, between: re.Pattern[bytes]) -> Iterator[Piece]:
        starts: list[int] = []
        ends: list[int] = []
        at, data = self._at, self._window.data
        with memoryview(data) as whole:
            while len(starts) < _LOOSE_ROWS:
                with whole[at:] as text:
                    verdict = validate(text)
                if verdict.outcome is not Outcome.VALUE_AND_MORE:
                    break
                starts.append(at)
                ends.append(at + verdict.at)
                at = blanks_end(data, ends[-1], between)
                if at == len(data) or data[at] == CLOSING:
                    break
        if starts:
            if not (yield from self._take(np.array(starts), np.array(ends))):
                self._at = ends[-1]
            return
        match verdict.outcome:
            case Outcome.BROKEN:
                yield from self._broken_element(self._at + verdict.at, verdict.detail)
            case Outcome.TOO_DEEP:
                yield from self._deep()
            case _:
                yield from self._unfinished()

    def _rest_of_element(self) -> Iterator[Piece]:
        """Skip the rest of an over-long element, by its structure alone.

        It ends with its last bracket: what follows without a comma is another element.
        """
        scanner = ArrayScanner(finds_end=True)
        behind = next((form for form, rest in REST_OF.items() if rest is self.form), Form.AFTER_ELEMENT)
        while True:
            for first in range(self._at, len(self._window.data), SCAN_BYTES):
                with memoryview(self._window.data) as data, data[first : first + SCAN_BYTES] as chunk:
                    found = scanner.feed(chunk)
                self._window.check()
                ends = [end for end in (found.end, found.close, *found.commas[:1].tolist()) if end >= 0]
                if ends:
                    self._at, self.form = first + min(ends), behind
                    return
            self._at = len(self._window.data)
            if self._window.is_last:
                self.form = behind
                return
            yield from self._slide()

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
        if data[at] == COMMA and next_is_object(data, at + 1) and self._goes_on(data.index(b"{", at)):
            yield from self._report(at, _SURPLUS_BRACKET, b",", at + 1, Form.FLAT)
            return
        with memoryview(data) as whole, whole[at : at + self._reach] as text:
            verdict = validate(text)
        is_element = verdict.outcome is Outcome.VALUE_AND_MORE and data[at + verdict.at] in b",]"
        if is_element and data[at] == OBJECT and self._goes_on(at):
            yield from self._report(at + verdict.at, _SURPLUS_BRACKET, b"", at, Form.FLAT)
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
                    if self._is_deep(verdict.at):
                        yield from self._deep_element()
                    else:
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
        if self._window.is_last or self._at == before:
            yield from self._deep_element() if self._is_deep(len(self._window.data)) else self._unfinished()

    def _is_deep(self, end: int) -> bool:
        """Whether the element at `at`, valid up to `end`, is nested so deep before it that no row may be.

        Such an element is found by its structure if it is broken or not known to its end: strict reading gets further
        in it, but how far depends on the stack.
        """
        with memoryview(self._window.data) as data, data[self._at : end] as text:
            return is_deeper(text, MAX_DEPTH)

    def _deep(self) -> Iterator[Piece]:
        """Somewhere, brackets are nested too deep for strict reading."""
        self._window.check()
        before = self._at
        turned = yield from self._rows_up_to(self._readable_end())
        if not turned and self._at == before:
            yield from self._deep_element()

    def _deep_element(self) -> Iterator[Piece]:
        """The first element that is nested too deep is found by its structure, and those before it are taken."""
        start, end, close = self._first_deep()
        if start > self._at:
            verdict = validate_elements(self._window, self._at, start)
            turned = yield from self._rows_up_to(verdict.at if verdict.outcome is Outcome.BROKEN else start)
            if verdict.outcome is Outcome.BROKEN and not turned:
                yield from self._broken_element(verdict.at, verdict.detail)
        elif end >= 0 and end - start <= self._max_row:
            yield from self._take(np.array([start]), np.array([end]))
            self._at, self.form = (end, self._behind_element) if close else (end + 1, self._behind_comma)
        elif self._window.data[start] == OPENING:
            yield from self._open(start, "it is longer than a row may be")
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
        scanner, start, first, size = ArrayScanner(MAX_DEPTH), self._at, self._at, 4096
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
