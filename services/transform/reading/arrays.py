"""Where the elements of a JSON array lie, found chunk by chunk in constant memory.

The scanner knows strings, escapes and nesting, and nothing else: whether an element is valid JSON is for others to
say. State is carried from chunk to chunk, so an element may be longer than any chunk.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SCAN_BYTES = 256 * 1024  # a chunk, with all that the scanner derives from it, fits into a processor's cache

_QUOTE, _BACKSLASH, _COMMA = ord('"'), ord("\\"), ord(",")

# What each byte does to the depth, and whether the scanner looks at it at all.
_DEPTH = np.zeros(256, dtype=np.int8)
_DEPTH[[ord("{"), ord("[")]] = 1
_DEPTH[[ord("}"), ord("]")]] = -1
_STRUCTURAL = _DEPTH != 0
_STRUCTURAL[[_QUOTE, _COMMA]] = True
_NONE = np.array([], dtype=np.int64)


class Separators(NamedTuple):
    """Commas between elements in a chunk, and the offset of the bracket that closes the array (-1: not here).

    `deep` is the offset of the first bracket that is nested deeper than the scanner was told to look for (-1: none).
    `ends` are the offsets behind the objects, arrays and strings that end between commas, if they were asked for.
    """

    commas: npt.NDArray[np.int64]
    close: int
    deep: int = -1
    ends: npt.NDArray[np.int64] = _NONE

    @property
    def end(self) -> int:
        """The first of the `ends`, or -1."""
        return _first(self.ends)


class ArrayScanner:
    """Feeds on the bytes of an array's elements, from the start of one on."""

    def __init__(self, deep: int | None = None, finds_end: bool = False) -> None:
        self._deep = deep
        self._finds_end = finds_end
        self._depth = 0  # below the array's own level
        self._in_string = False
        self._escaped = False  # the chunk before ended in a backslash that escapes our first byte

    @property
    def is_between_elements(self) -> bool:
        """Whether no bracket and no string is open."""
        return self._depth == 0 and not self._in_string

    def feed(self, chunk: bytes | bytearray | memoryview) -> Separators:
        """Offsets in `chunk` of what separates elements, up to the closing bracket."""
        data = np.frombuffer(chunk, dtype=np.uint8)
        at = np.flatnonzero(_STRUCTURAL[data])
        marks = data[at]
        escaped = self._escaped_bytes(data)
        if escaped.size:
            kept = ~np.isin(at, escaped) | (marks != _QUOTE)
            at, marks = at[kept], marks[kept]
        is_quote = marks == _QUOTE
        quotes = np.cumsum(is_quote, dtype=np.int32)
        if quotes.size:
            outside = ((quotes + self._in_string) & 1) == 0
            if not self._finds_end:  # otherwise the quotes that close strings stay
                outside &= ~is_quote
            self._in_string = bool((int(quotes[-1]) + self._in_string) % 2)
            at, marks = at[outside], marks[outside]
        depths = np.cumsum(_DEPTH[marks], dtype=np.int32) + self._depth
        closing = np.flatnonzero(depths < 0)
        close = -1
        if closing.size:
            close = int(at[closing[0]])
            at, marks, depths = at[: closing[0]], marks[: closing[0]], depths[: closing[0]]
            self._depth = 0
        elif depths.size:
            self._depth = int(depths[-1])
        deep = -1 if self._deep is None else _first(at[depths > self._deep])
        ends = at[(depths == 0) & (marks != _COMMA)] + 1 if self._finds_end else _NONE
        return Separators(at[(depths == 0) & (marks == _COMMA)], close, deep, ends)

    def _escaped_bytes(self, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Offsets of the bytes that an odd run of backslashes escapes."""
        first = np.array([0] if self._escaped else [], dtype=np.int64)
        slashes = np.flatnonzero(data == _BACKSLASH)
        if self._escaped and slashes.size and slashes[0] == 0:
            slashes = slashes[1:]  # it is escaped itself
        self._escaped = self._escaped and not data.size
        if not slashes.size:
            return first
        breaks = np.flatnonzero(np.diff(slashes) != 1)
        starts = slashes[np.concatenate(([0], breaks + 1))]
        ends = slashes[np.concatenate((breaks, [slashes.size - 1]))]
        after = (ends + 1)[(ends - starts) % 2 == 0]
        if after.size and after[-1] == data.size:
            self._escaped = True
            after = after[:-1]
        return np.concatenate((first, after))


def _first(offsets: npt.NDArray[np.int64]) -> int:
    return int(offsets[0]) if offsets.size else -1
