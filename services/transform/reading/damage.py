"""Elements of an array, taken as rows; and what becomes of the places where the array is damaged.

    an element that is balanced but not JSON        a row: the judge says what is wrong with it
    commas that are missing or surplus              one BrokenFrame, at the first of them; all elements are rows
    an array that is not closed                     BrokenFrame at the object's end
    brackets of arrays that are surplus, or opened
    and not closed within the longest row          one BrokenFrame, at the first of them; they are skipped from there on
    anything else                                   BrokenFrame up to the element with which the array goes on

Decision 0012 has the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from itertools import pairwise

import numpy as np

from services.transform.blocks import Form, OverlongRow, Piece, Position
from services.transform.reading.arrays import SCAN_BYTES, ArrayScanner
from services.transform.reading.cursor import RAW_BYTES, ArrayCursor
from services.transform.reading.pending import OPTIONAL_COMMAS, Offsets, without_leading_blanks
from services.transform.reading.strict import is_json
from services.transform.reading.window import BLANKS, blanks_end

COMMA, OPENING, CLOSING, OBJECT = b",[]{"
COMMAS = re.compile(rb"[, \t\r\n]*")
COMMAS_AND_BRACKETS = re.compile(rb"[\[\], \t\r\n]*")
BRACKETS_SKIPPED = " Brackets of arrays between elements are skipped from here on: no other one is reported."
REST_OF = {Form.LOOSE: Form.REST_OF_LOOSE, Form.FLAT: Form.REST_OF_FLAT}
REPORTED_ONCE = " Commas are optional from here on: no other one is reported."


class DamagedArray(ArrayCursor):
    """What is done with elements and with damage at a place in an array."""

    def _goes_on(self, element: int) -> bool:
        return self._resumption.search_behind(element) < 0

    def _unfinished(self) -> Iterator[Piece]:
        """The element at `at` is valid as far as the window goes."""
        if self._window.is_last:
            yield from self._unclosed_element()
        elif len(self._window.data) - self._at > self._max_row:
            yield from self._overlong(self._at)
        else:
            self._need(self._at + self._reach)

    def _rows_up_to(self, end: int) -> Generator[Piece, None, bool]:
        """Take the elements before `end` that a comma follows. Returns whether it had to turn aside before."""
        for commas, _ in self._scan(ArrayScanner(), end):
            if commas.size:
                if (yield from self._take(np.concatenate(([self._at], commas[:-1] + 1)), commas)):
                    return True
                self._at, self.form = int(commas[-1]) + 1, self._behind_comma
        return False

    def _last_row(self, close: int) -> Iterator[Piece]:
        """Take the element before the closing bracket, and the bracket."""
        end = self._at + len(self._window.data[self._at : close].rstrip(BLANKS))
        if end > self._at and (yield from self._take(np.array([self._at]), np.array([end]))):
            return
        self._at, self.form = close + 1, self._behind_bracket

    def _take(self, starts: Offsets, ends: Offsets) -> Generator[Piece, None, bool]:
        """Take elements as rows. Returns whether one of them turned out to be elements itself."""
        starts = without_leading_blanks(self._window.data, starts, ends)
        if (starts == ends).any():
            starts, ends = starts[starts < ends], ends[starts < ends]
        overlong = np.flatnonzero(ends - starts > self._max_row).tolist()
        for before, row in pairwise([-1, *overlong, len(starts)]):
            yield from self._rows.add(starts[before + 1 : row], ends[before + 1 : row])
            if row == len(starts):
                break
            yield from self._overlong(int(starts[row]), int(ends[row]))
            if self._window.data[int(starts[row])] == OPENING:
                return True
        return False

    def _overlong(self, start: int, end: int | None = None) -> Iterator[Piece]:
        """An element that is longer than a row may be. `end` is where it ends, if that is known."""
        data = self._window.data
        if data[start] == OPENING:
            yield from self._open(start, "it is longer than a row may be")
            return
        yield from self._rows.flush()
        rest = Position(self._window.base + start, REST_OF.get(self.form, Form.REST_OF_ELEMENT))
        after = rest if end is None else self._rows.after(end)
        yield Piece(OverlongRow(rest.offset, bytes(data[start : start + min(RAW_BYTES, self._reach)])), after)
        if end is None:
            self._at, self.form = start, rest.form

    def _broken_element(self, broken: int, detail: str) -> Iterator[Piece]:
        """The element at `at` is valid up to `broken`. An object that is complete there is a row."""
        data = self._window.data
        self._at = start = blanks_end(data, self._at, end=broken)
        if broken - start > self._max_row:
            yield from self._overlong(start)
            return
        text = data[start:broken].rstrip(BLANKS)
        if text.startswith(b"{") and is_json(text):
            self._at, self.form = start + len(text), self._behind_element
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
            self._decided_until = self._window.base + found
            if not (yield from self._balanced_elements(found)):
                yield from self._report_up_to(start, found, detail)
            return
        end = min(start + self._reach, len(data))
        self._decided_until = self._window.base + end
        if (yield from self._elements_by_structure(end)):
            return
        is_end = self._is_end(end)
        detail += "; its rest cannot be told apart." if is_end else "; it is not known where it goes on."
        yield from self._report(start, detail, data[start:end], end, Form.LINES if is_end else Form.LOST)

    def _balanced_elements(self, end: int) -> Generator[Piece, None, bool]:
        """Take what is before the comma before `end` as rows, if all of it is elements with balanced brackets."""
        scanner, last = ArrayScanner(), -1
        for commas, close in self._scan(scanner, end):
            last = int(commas[-1]) if commas.size else last
            if close >= 0:
                return False
        if not scanner.is_between_elements or last < 0 or last != self._window.data.rindex(b",", self._at, end):
            return False
        yield from self._elements_by_structure(end)
        return True

    def _elements_by_structure(self, end: int) -> Generator[Piece, None, bool]:
        """Take the elements up to `end` by their brackets alone; False where there are none."""
        before = self._at
        for commas, close in self._scan(ArrayScanner(), end):
            if commas.size:
                starts = np.concatenate(([self._at], commas[:-1] + 1))
                blank = np.flatnonzero(without_leading_blanks(self._window.data, starts, commas) == commas)
                if blank.size and self.form not in OPTIONAL_COMMAS:  # a comma is surplus: that must be reported first
                    starts, commas = starts[: blank[0]], commas[: blank[0]]
                if len(commas):
                    yield from self._take(starts, commas)
                    self._at, self.form = int(commas[-1]) + 1, self._behind_comma
                if blank.size and self.form not in OPTIONAL_COMMAS:
                    break
            if close >= 0 and self._at == before and self._window.data[close] == CLOSING:
                yield from self._last_row(close)
        return self._at > before

    def _scan(self, scanner: ArrayScanner, end: int) -> Iterator[tuple[Offsets, int]]:
        """The commas between elements from `at` to `end`, chunk by chunk, and the bracket that ends them (or -1)."""
        for first in range(self._at, end, SCAN_BYTES):
            with memoryview(self._window.data) as data, data[first : min(first + SCAN_BYTES, end)] as chunk:
                found = scanner.feed(chunk)
            yield found.commas + first, found.close + first if found.close >= 0 else -1
            self._window.check()
            if found.close >= 0:
                return

    def _unclosed_element(self) -> Iterator[Piece]:
        """The object ends in an element, or behind it."""
        data = self._window.data
        self._at = start = blanks_end(data, self._at)
        text = data[start:].rstrip(BLANKS)
        if not text:
            return
        if len(text) > self._max_row:
            yield from self._overlong(start)
        elif data[start] == OPENING and is_json(text):
            yield from self._open(start, "the object ends behind it")
        elif not (yield from self._elements_by_structure(len(data))):
            self._at, self.form = start + len(text), self._behind_element
            yield from self._rows.add(np.array([start]), np.array([self._at]))

    def _not_closed(self) -> Iterator[Piece]:
        detail = "The array is not closed: the object ends without a closing bracket. Check whether it is complete."
        yield from self._report(self._at, detail, b"", self._at, Form.LINES)

    def _surplus_commas(self) -> Iterator[Piece]:
        self._need(self._at + self._reach)
        end = blanks_end(self._window.data, self._at, COMMAS, self._at + self._reach)
        raw = self._window.data[self._at : end]
        detail = "A comma is surplus: no element is before it."
        if raw.count(b",") > 1:
            detail = f"{raw.count(b',')} commas are surplus: no element is before them."
        yield from self._report(self._at, detail + REPORTED_ONCE, raw, end, Form.LOOSE)

    def _open(self, start: int, why: str) -> Iterator[Piece]:
        """An array as an element, which is no row anyway: its bracket may be the surplus one."""
        detail = (
            f"An array starts here inside of the array, and {why}: its elements are read as if they were not nested."
            + BRACKETS_SKIPPED
        )
        yield from self._report(start, detail, b"[", start + 1, Form.FLAT)
