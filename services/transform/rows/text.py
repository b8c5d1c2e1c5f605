"""A block's bytes, indexed for many rows at a time: literals, quotes, escapes, brackets.

All positions are int64 arrays of byte offsets in the block. A position that is out of bounds, which only rows have
that have failed already, is read somewhere else inside the block: nothing is raised, and the row stays failed.
This module knows JSON's tokens, but neither contracts nor Arrow.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from services.shared.judge.verdicts import MAX_DEPTH

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

WORD = 8  # bytes that are looked at as one number
_STEP = 256 * 1024  # bytes
_MOST_QUOTES, _MOST_MARKS = 2_000_000, 500_000  # other marks, such as brackets, cost up to 60 bytes of memory each

_QUOTE, _BACKSLASH, _FIRST_PRINTABLE = ord('"'), ord("\\"), 0x20
_OPEN, _CLOSE, _BRACKET_CASE = ord("{"), ord("}"), ord("{") - ord("[")


_ALL_BYTES = np.uint64(2**64 - 1)


class TooDense(Exception):
    """The block has so many quotes, brackets or the like that an index of them would need too much memory."""


class Literal:
    """Bytes that rows are compared with, eight at a time. `quotes` is how many of them open or close a string."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.size = len(text)
        self.quotes = len(_quotes(text, np.empty(self.size, dtype=np.int64)))
        starts = [*range(0, self.size - 8, 8), max(self.size - 8, 0)]
        self.words = [(start, *_word(text[start : start + 8])) for start in starts]


def _word(text: bytes) -> tuple[np.uint64, np.uint64]:
    """Up to eight bytes as a little-endian number, and the mask of those that count."""
    return np.uint64(int.from_bytes(text, "little")), np.uint64((1 << 8 * len(text)) - 1)


class BlockText:
    """The bytes of a block (at least `WORD`), where its rows are (`starts`, `ends`), and its offset in the object.

    Its index of quotes is written to `room`, which no other one may use at the same time. Each method may raise
    `TooDense`.
    """

    def __init__(self, data: bytes, starts: Positions, ends: Positions, base: int, room: Positions) -> None:
        self.data, self.base = data, base
        self.bytes = np.frombuffer(data, dtype=np.uint8)
        self.starts, self.ends = starts, ends
        self._words = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))
        self._last_word = len(data) - 8
        self._quotes = _quotes(data, room)

    def rows_of_bad_utf8(self) -> Positions:
        """Which rows (indices) are not UTF-8.

        Rows are decoded many at a time, fewer after each broken one: an error copies all that was to be decoded.
        """
        bad: list[int] = []
        row, at_once, count = 0, 1024, 0 if self.data.isascii() else len(self.starts)
        while row < count:
            start, end = int(self.starts[row]), int(self.ends[min(row + at_once, count) - 1])
            try:
                codecs.utf_8_decode(memoryview(self.data)[start:end], "strict", True)
                row, at_once = row + at_once, min(at_once * 4, 1024)
            except UnicodeDecodeError as error:
                at = start + error.start
                row, at_once = int(np.searchsorted(self.ends, at, side="right")), max(at_once // 8, 1)
                if row < count and self.starts[row] <= at:
                    bad.append(row)
                    row += 1
        return np.array(bad, dtype=np.int64)

    def byte(self, at: Positions) -> npt.NDArray[np.uint8]:
        return self.bytes.take(at, mode="clip")

    def word(self, at: Positions) -> Words:
        """The eight bytes from each position on, the first one lowest."""
        return self._words[np.minimum(at, self._last_word)]

    def matches(self, at: Positions, literal: Literal) -> Mask:
        """Where the bytes from `at` on are the literal; never in the block's last bytes, which make no whole word."""
        last = max(self._last_word - max(literal.size - 8, 0), 0)
        found: Mask = at <= last
        at = np.minimum(at, last)
        for start, word, mask in literal.words:
            words = self._words[start:][at]
            found &= (words if mask == _ALL_BYTES else words & mask) == word
        return found

    def row_ends(self, at: Positions) -> Positions:
        """Where the rows end that hold these positions; a position between two rows belongs to the one before."""
        return self.ends.take(np.searchsorted(self.starts, at, side="right") - 1, mode="clip")

    def quotes_before(self, at: Positions) -> Positions:
        """How many quotes that open or close strings stand before each position."""
        return np.searchsorted(self._quotes, at)

    def quote(self, number: Positions) -> Positions:
        """Where the quotes with these numbers are."""
        return self._quotes.take(number, mode="clip") if len(self._quotes) else number

    def has_escapes(self, start: Positions, end: Positions) -> Mask | None:
        """Which slices hold a backslash; None means none of them."""
        return _have_any(self._backslashes, start, end)

    def has_controls(self, start: Positions, end: Positions) -> Mask | None:
        """Which slices hold bytes below 0x20, which JSON strings must not; None means none of them."""
        return _have_any(self._controls, start, end)

    def closers_before(self, at: Positions) -> Positions:
        """How many of the brackets that close a row's own arrays and objects are before each position."""
        return np.searchsorted(self._closers, at) - 1

    def next_closers(self, at: Positions, supposed: Positions, live: Mask) -> Positions:
        """The numbers of the first closers from each position on, which are `supposed` unless strings hold brackets."""
        closers = self._closers
        right = (closers.take(supposed, mode="clip") < at) & (closers.take(supposed + 1, mode="clip") >= at)
        return supposed if (right | ~live).all() else self.closers_before(at)

    def closer(self, number: Positions) -> tuple[Positions, Positions]:
        """The positions behind the closers with these numbers, and how many quotes are before them."""
        index = np.minimum(number + 1, len(self._closers) - 1)
        return self._closers[index] + 1, self._quotes_before_closers[index]

    def at_first_level(self, at: Positions) -> Mask | None:
        """Which of these ascending positions are in none of a row's own arrays and objects; None means all of them."""
        if len(self._closers) == 2:
            return None
        opened, closed = np.searchsorted(at, self._openers), np.searchsorted(at, self._closers[1:-1])
        change = np.bincount(opened, minlength=len(at) + 1) - np.bincount(closed, minlength=len(at) + 1)
        outer: Mask = np.cumsum(change[:-1]) == 0
        return outer

    @cached_property
    def _backslashes(self) -> Positions:
        if b"\\" not in self.data:
            return np.empty(0, dtype=np.int64)
        return _where(self.bytes, lambda part: part == _BACKSLASH, _room(self.bytes))

    @cached_property
    def _controls(self) -> Positions:
        """Control bytes inside rows: nearly always there is none, and counting them is cheaper than finding them."""
        gap = self.starts[1:] - self.ends[:-1]
        steps = range(0, len(self.bytes), _STEP)
        count = sum(np.count_nonzero(self.bytes[first : first + _STEP] < _FIRST_PRINTABLE) for first in steps)
        if np.all(gap == 1) and count == np.count_nonzero(self.byte(self.ends) < _FIRST_PRINTABLE):
            return np.empty(0, dtype=np.int64)
        controls = _where(self.bytes, lambda part: part < _FIRST_PRINTABLE, _room(self.bytes))
        row = np.searchsorted(self.starts, controls, side="right") - 1
        return controls[(row >= 0) & (controls < self.ends.take(row, mode="clip"))]

    @cached_property
    def _quotes_before_closers(self) -> Positions:
        return self.quotes_before(self._closers)

    @cached_property
    def _closers(self) -> Positions:
        """Where each row's own arrays and objects close, and one position before and one behind the block."""
        return np.concatenate(([-1], self._own_brackets[1], [len(self.data)]))

    @cached_property
    def _openers(self) -> Positions:
        return self._own_brackets[0]

    @cached_property
    def _own_brackets(self) -> tuple[Positions, Positions]:
        """Where each row's own arrays and objects open and close: those brackets that leave and reach its first level.

        Rows that are too deep have none. Brackets in strings are looked at like others as long as they pair up, which
        they nearly always do; one that misleads costs only time, since every nested value is checked to its end.
        """
        brackets = _where(self.bytes, _is_bracket, _room(self.bytes))
        brackets = brackets[np.searchsorted(brackets, self.starts[0]) :]
        firsts, level, is_close = self._levels(brackets)
        if np.append(level[-1:], _before(level, firsts)).any():
            quotes_before_row = self.quotes_before(self.starts).take(_row_of(firsts, len(brackets)))
            brackets = brackets[(self.quotes_before(brackets) - quotes_before_row) % 2 == 0]
            firsts, level, is_close = self._levels(brackets)
            level = level - _before(level, firsts).take(_row_of(firsts, len(brackets)))
        closes, opens = (level == 1) & is_close, (level == 2) & ~is_close
        if level.max(initial=0) > MAX_DEPTH:
            row = _row_of(firsts, len(brackets))
            too_deep = np.isin(row, row[level > MAX_DEPTH])
            closes, opens = closes & ~too_deep, opens & ~too_deep
        return brackets[opens], brackets[closes]

    def _levels(self, brackets: Positions) -> tuple[Positions, npt.NDArray[np.int32], Mask]:
        """The first bracket of each row; for each bracket how many are open behind it, and whether it closes."""
        firsts = np.searchsorted(brackets, self.starts)
        is_close: Mask = (self.bytes[brackets] | _BRACKET_CASE) == _CLOSE
        return firsts, np.cumsum(1 - 2 * is_close.view(np.int8), dtype=np.int32), is_close


def _before(level: npt.NDArray[np.int32], firsts: Positions) -> npt.NDArray[np.int32]:
    """How many brackets are open before each row."""
    return np.append(np.zeros(1, dtype=np.int32), level)[firsts]


def _row_of(firsts: Positions, brackets: int) -> Positions:
    """The row of each bracket."""
    return np.repeat(np.arange(len(firsts)), np.diff(firsts, append=brackets))


def _is_bracket(part: Bytes) -> Mask:
    folded = part | _BRACKET_CASE
    found: Mask = (folded == _OPEN) | (folded == _CLOSE)
    return found


def _have_any(positions: Positions, start: Positions, end: Positions) -> Mask | None:
    if not len(positions):
        return None
    found: Mask = np.searchsorted(positions, start) != np.searchsorted(positions, end)
    return found


def _room(data: Bytes) -> Positions:
    return np.empty(min(len(data), _MOST_MARKS), dtype=np.int64)


def room_for_quotes() -> Positions:
    """What a `BlockText` writes its index of quotes to: memory that is used again costs less than new memory."""
    return np.empty(_MOST_QUOTES, dtype=np.int64)


def _where(data: Bytes, is_mark: Callable[[Bytes], Mask], room: Positions) -> Positions:
    """The positions of the marks, written to `room`. Steps this small stay in the processor's cache."""
    count = 0
    for first in range(0, len(data), _STEP):
        places = np.flatnonzero(is_mark(data[first : first + _STEP]))
        if count + len(places) > len(room):
            raise TooDense
        np.add(places, first, out=room[count : count + len(places)])
        count += len(places)
    return room[:count]


def _quotes(data: bytes, room: Positions) -> Positions:
    """Where strings open and close: quotes that no backslash escapes; written to `room`."""
    text = np.frombuffer(data, dtype=np.uint8)
    quotes = _where(text, lambda part: part == _QUOTE, room)
    if b"\\" not in data:
        return quotes
    backslashes = _where(text, lambda part: part == _BACKSLASH, _room(text))
    index = np.arange(len(backslashes))
    opens_run = np.diff(backslashes, prepend=-2) != 1
    first_of_run = np.maximum.accumulate(np.where(opens_run, index, 0))
    escapes = np.zeros(len(data) + 1, dtype=bool)  # where a backslash escapes the next byte
    escapes[backslashes[(index - first_of_run) % 2 == 0] + 1] = True
    return quotes[~escapes[quotes]]
