"""Elements that have been found in a window, until they are handed on as blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from services.transform.blocks import Form, Piece, Position, RowBlock
from services.transform.reading.lines import MAX_ROWS
from services.transform.reading.window import Window, blanks_end

Offsets = npt.NDArray[np.int64]

OPTIONAL_COMMAS = (Form.LOOSE, Form.FLAT)
_BY_THEMSELVES = (*OPTIONAL_COMMAS, Form.DOCUMENTS)  # what is behind a row is read as what was before it
_COMMA = ord(",")
_IS_BLANK = np.zeros(256, dtype=bool)
_IS_BLANK[list(b" \t\r\n")] = True
_FEW_BLANKS = 8  # so many are skipped for all elements at once, more for each by itself


class PendingRows:
    """Bounds of elements, as offsets in the window's data. They must be flushed before the window moves.

    `form` is what the array is read as. No piece has more than `max_rows`.
    """

    form = Form.ARRAY

    def __init__(self, window: Window, max_bytes: int, max_rows: int = MAX_ROWS) -> None:
        self._window = window
        self._max_bytes = max_bytes
        self._max_rows = max_rows
        self._starts: list[Offsets] = []
        self._ends: list[Offsets] = []
        self._count = 0

    def add(self, starts: Offsets, ends: Offsets) -> Iterator[Piece]:
        """Take elements, in order; what is too many to keep comes out."""
        if len(starts):
            self._starts.append(starts)
            self._ends.append(ends)
            self._count += len(starts)
        if self._count >= MAX_ROWS:
            yield from self.flush()

    def flush(self) -> Iterator[Piece]:
        """All elements that are kept, in pieces."""
        if not self._count:
            return
        starts, ends = np.concatenate(self._starts), np.concatenate(self._ends)
        self._starts, self._ends, self._count = [], [], 0
        first = 0
        while first < len(starts):
            fitting = int(np.searchsorted(ends, starts[first] + self._max_bytes, side="right"))
            last = min(first + self._max_rows, max(fitting, first + 1))
            yield self._piece(starts[first:last], ends[first:last])
            first = last

    def _piece(self, starts: Offsets, ends: Offsets) -> Piece:
        window, start, end = self._window, int(starts[0]), int(ends[-1])
        with memoryview(window.data) as data:
            text = bytes(data[start:end])
        return Piece(RowBlock(text, starts - start, ends - start, window.base + start), self.after(end))

    def after(self, end: int) -> Position:
        """Where reading goes on behind an element that ends at `end`, an offset in the window's data."""
        window = self._window
        if self.form in _BY_THEMSELVES:
            return Position(window.base + end, self.form)
        if end < len(window.data) and window.data[end] == _COMMA:
            return Position(window.base + end + 1, Form.AFTER_COMMA)
        return Position(window.base + end, Form.AFTER_ELEMENT)


def without_leading_blanks(data: bytearray, starts: Offsets, ends: Offsets) -> Offsets:
    """Where elements start behind the blanks before them; one that is blank starts where it ends."""
    text = np.frombuffer(data, dtype=np.uint8)
    for _ in range(_FEW_BLANKS):
        blank = _IS_BLANK[text[starts]] & (starts < ends)
        if not blank.any():
            return starts
        starts = starts + blank
    starts = starts.copy()
    for row in np.flatnonzero(_IS_BLANK[text[starts]]).tolist():
        starts[row] = min(blanks_end(data, int(starts[row])), int(ends[row]))
    return starts
