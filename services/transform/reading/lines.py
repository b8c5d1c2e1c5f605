"""Rows that are lines: any file of lines in constant memory, in time that grows with its bytes and nothing else.

Where a row ends depends on the bytes alone, never on how they came in blocks: so reading can go on after any piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from services.transform.blocks import NEWLINE, Form, OverlongRow, Piece, Position, RowBlock, lines_block
from services.transform.reading.window import STEP_BYTES, Window

MAX_ROWS = 65_536  # of one piece
OVERLONG_HEAD_BYTES = 64 * 1024  # how much of an over-long row goes to quarantine; Bronze keeps the rest


class LineReader:
    """Reads lines out of a window, from the start of one on.

    `end` is the offset from which on lines belong to another unit; the last line may go on behind it.
    """

    def __init__(self, window: Window, max_row: int, block_bytes: int, end: int | None = None) -> None:
        self._window = window
        self._max_row = max_row
        self._block = block_bytes
        self._end = end
        self._head = min(OVERLONG_HEAD_BYTES, max_row + 1)

    def read(self) -> Iterator[Piece]:
        """The rows that start before `end`."""
        window = self._window
        while self._end is None or window.base < self._end:
            base = window.base
            lines = window.take_lines(self._block if self._end is None else min(self._block, self._end - base))
            if lines:
                yield from self._pieces(lines, base)
            elif not window.data:
                return
            elif not (end := self._end_of_first_line()) and len(window.data) > self._max_row:
                yield from self._overlong_line()
            else:
                yield from self._pieces(window.take(end or len(window.data)), base)

    def skip_rest_of_line(self) -> None:
        """Go on behind the line that the window is in."""
        self._window.skip_line(self._end)

    def _end_of_first_line(self) -> int:
        """Where the first line ends, newline included, with no more read than a row may have; 0 where it does not."""
        window, step = self._window, min(STEP_BYTES, self._block)
        seen = 0
        while (newline := window.data.find(b"\n", seen)) < 0:
            seen = len(window.data)
            if window.is_last or seen > self._max_row:
                return 0
            window.fill(seen + step)
        return newline + 1

    def _overlong_line(self) -> Iterator[Piece]:
        """The first line, which is longer than a row may be: a row only if it is not blank."""
        window = self._window
        row = OverlongRow(window.base, bytes(window.data[: self._head]))
        window.skip_blanks_of_line()
        if window.data and window.data[0] != NEWLINE:
            yield Piece(row, Position(window.base, Form.REST_OF_LINE))
        self.skip_rest_of_line()

    def _pieces(self, data: bytes, base: int) -> Iterator[Piece]:
        """Whole lines in pieces of at most `MAX_ROWS` rows."""
        is_newline = np.frombuffer(data, dtype=np.uint8) == NEWLINE
        for start, end in _parts(data, is_newline, 0, len(data)):
            whole = start == 0 and end == len(data)
            block = lines_block(data if whole else data[start:end], base + start, is_newline[start:end])
            yield from self._in_order(block, base + end)

    def _in_order(self, block: RowBlock, after: int) -> Iterator[Piece]:
        """The block's rows; where some are over-long, in as many pieces as it takes to keep the order."""
        overlong = np.flatnonzero(block.ends - block.starts > self._max_row).tolist()
        if not overlong:
            if block.starts.size:
                yield Piece(block, Position(after, Form.LINES))
            return
        for before, row in pairwise([-1, *overlong, len(block.starts)]):
            if before + 1 < row:
                yield _some_rows(block, before + 1, row)
            if row < len(block.starts):
                start, end = int(block.starts[row]), int(block.ends[row])
                head = block.data[start : min(start + self._head, end)]
                yield Piece(OverlongRow(block.base + start, head), Position(block.base + end, Form.LINES))


def _parts(data: bytes, is_newline: np.typing.NDArray[np.bool_], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut lines into parts of at most `MAX_ROWS` lines, at newlines."""
    if end - start > MAX_ROWS and np.count_nonzero(is_newline[start:end]) > MAX_ROWS:
        middle = data.find(b"\n", start + (end - start) // 2) + 1
        if not start < middle < end:
            middle = data.rfind(b"\n", start, start + (end - start) // 2) + 1
        yield from _parts(data, is_newline, start, middle)
        yield from _parts(data, is_newline, middle, end)
    else:
        yield start, end


def _some_rows(block: RowBlock, first: int, last: int) -> Piece:
    """Rows `[first, last)` of a block, as a piece of their own."""
    start, end = int(block.starts[first]), int(block.ends[last - 1])
    rows = RowBlock(
        block.data[start:end], block.starts[first:last] - start, block.ends[first:last] - start, block.base + start
    )
    return Piece(rows, Position(block.base + end, Form.LINES))
