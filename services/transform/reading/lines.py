"""Rows that are lines: any file of lines in constant memory, in time that grows with its bytes and nothing else.

A line that holds several documents (`{...}{...}`, where a newline was lost) is as many rows. `LineContent` makes a
window of one line, so that whatever is read out of it ends with it.

Where a row ends depends on the bytes alone, never on how they came in blocks: so reading can go on after any piece.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import pairwise

import numpy as np

from services.transform.blocks import NEWLINE, Form, OverlongRow, Piece, Position, RowBlock, lines_block, no_rows
from services.transform.reading.strict import Outcome, validate
from services.transform.reading.window import STEP_BYTES, Window

MAX_ROWS = 65_536  # of one piece
OVERLONG_HEAD_BYTES = 64 * 1024  # how much of an over-long row goes to quarantine; Bronze keeps the rest


_SEVERAL = b"}{"
_ADJACENT = int.from_bytes(_SEVERAL, sys.byteorder)
_AT_ONCE = 64 * 1024  # pairs of bytes

ReadLine = Callable[[Window], Iterator[Piece]]


class LineContent:
    """The bytes of a window's first line, without its newline, as the source of another window."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def read(self, size: int) -> bytes:
        window = self._window
        window.fill(min(size, STEP_BYTES))
        newline = window.data.find(b"\n", 0, size)
        return window.take(min(size, len(window.data)) if newline < 0 else newline)

    def close(self) -> None:
        """Nothing is open."""


def line_window(window: Window) -> Window:
    """A window of the first line alone. It must be read to its end before the other one is used again."""
    return Window(LineContent(window), window.base, window.check)


class LineReader:
    """Reads lines out of a window, from the start of one on.

    `end` is the offset from which on lines belong to another unit; the last line may go on behind it. `read_line` reads
    the documents of a line that holds several.
    """

    def __init__(
        self, window: Window, max_row: int, block_bytes: int, read_line: ReadLine, end: int | None = None
    ) -> None:
        self._window = window
        self._read_line = read_line
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

    def read_each(self) -> Iterator[Piece]:
        """What `read_line` finds in each line that starts before `end`. Where many hold nothing, a block says so."""
        window = self._window
        told = window.base  # how far reading has come, as the last piece said
        while self._end is None or window.base < self._end:
            blanks = window.skip_blanks(None if self._end is None else self._end - window.base)
            if self._end is not None and window.base - blanks >= self._end:
                return
            window.fill(1)
            if not window.data:
                return
            for piece in self._read_line(line_window(window)):
                yield piece
                told = window.base
            window.fill(1)
            window.drop(1)  # the newline
            if window.base - told >= self._block:
                yield Piece(no_rows(window.base), Position(window.base, Form.LINES))
                told = window.base

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
        if self._holds_several(window.data):
            yield from self._read_line(line_window(window))
            return
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
        """The block's rows; where some are over-long or several, in as many pieces as it takes to keep the order."""
        overlong = np.flatnonzero(block.ends - block.starts > self._max_row).tolist()
        several = set(self._of_several(block))
        special = sorted({*overlong, *several}) if several else overlong
        if not special:
            if block.starts.size:
                yield Piece(block, Position(after, Form.LINES))
            return
        for before, row in pairwise([-1, *special, len(block.starts)]):
            if before + 1 < row:
                yield _some_rows(block, before + 1, row)
            if row == len(block.starts):
                break
            start, end = int(block.starts[row]), int(block.ends[row])
            if row in several:
                line = Window(BytesIO(block.data[start:end]), block.base + start, self._window.check)
                yield from self._read_line(line)
            else:
                head = block.data[start : min(start + self._head, end)]
                yield Piece(OverlongRow(block.base + start, head), Position(block.base + end, Form.LINES))

    def _of_several(self, block: RowBlock) -> Iterator[int]:
        """The rows that hold more than one document."""
        if not block.starts.size or not _may_hold_several(block.data):
            return
        found = np.array([match.start() for match in re.finditer(_SEVERAL, block.data)], dtype=np.int64)
        for row in np.unique(np.searchsorted(block.starts, found, side="right") - 1).tolist():
            if row >= 0 and self._holds_several(block.data[int(block.starts[row]) : int(block.ends[row])]):
                yield row

    def _holds_several(self, line: bytes | bytearray) -> bool:
        """Whether another document begins right where the line's first one ends."""
        with memoryview(line) as whole, whole[: self._max_row + 1] as text:
            verdict = validate(text)
        at = verdict.at
        return verdict.outcome is Outcome.VALUE_AND_MORE and bytes(line[at - 1 : at + 1]) == _SEVERAL


def _may_hold_several(data: bytes) -> bool:
    """Whether a closing bracket is next to an opening one: at the speed of memory, since all lines pay for it."""
    if len(data) < 2:
        return False
    scratch = np.empty(_AT_ONCE, dtype=bool)
    even = np.frombuffer(data, dtype=np.uint16, count=len(data) // 2)
    odd = np.frombuffer(data, dtype=np.uint16, count=(len(data) - 1) // 2, offset=1)
    for first in range(0, len(even), _AT_ONCE):  # both of a part that is in the processor's cache
        for pairs in (even, odd):
            some = pairs[first : first + _AT_ONCE]
            if np.equal(some, _ADJACENT, out=scratch[: len(some)]).any():
                return True
    return False


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
