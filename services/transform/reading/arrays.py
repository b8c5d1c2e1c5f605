"""Where the elements of a JSON array lie, found block by block in constant memory.

The scanner knows strings, escapes and nesting, and nothing else: whether an element is valid JSON is for the row
rules to say. State is carried from block to block, so an element may be longer than any block.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_QUOTE, _BACKSLASH = ord('"'), ord("\\")

# What each byte does to the depth, and whether the scanner looks at it at all.
_DEPTH = np.zeros(256, dtype=np.int8)
_DEPTH[[ord("{"), ord("[")]] = 1
_DEPTH[[ord("}"), ord("]")]] = -1
_STRUCTURAL = _DEPTH != 0
_STRUCTURAL[[_QUOTE, ord(",")]] = True


class Separators(NamedTuple):
    """Commas between elements in a block, and the offset of the bracket that closes the array (-1: not here)."""

    commas: npt.NDArray[np.int64]
    close: int


class ArrayScanner:
    """Feeds on the bytes after the opening bracket."""

    def __init__(self) -> None:
        self._depth = 0  # below the array's own level
        self._in_string = False
        self._escaped = False  # the block before ended in a backslash that escapes our first byte

    def feed(self, block: bytes) -> Separators:
        """Offsets in `block` of what separates elements, up to the closing bracket."""
        data = np.frombuffer(block, dtype=np.uint8)
        at = np.flatnonzero(_STRUCTURAL[data])
        escaped = self._escaped_bytes(data)
        if escaped.size:
            at = at[~np.isin(at, escaped) | (data[at] != _QUOTE)]
        marks = data[at]
        quotes = np.cumsum(marks == _QUOTE) + self._in_string
        outside = (quotes % 2 == 0) & (marks != _QUOTE)
        if quotes.size:
            self._in_string = bool(quotes[-1] % 2)
        at, marks = at[outside], marks[outside]
        depths = np.cumsum(_DEPTH[marks].astype(np.int64)) + self._depth
        closing = np.flatnonzero(depths < 0)
        if closing.size:
            end = closing[0]
            return Separators(at[:end][(marks[:end] == ord(",")) & (depths[:end] == 0)], int(at[end]))
        if depths.size:
            self._depth = int(depths[-1])
        return Separators(at[(marks == ord(",")) & (depths == 0)], -1)

    def _escaped_bytes(self, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Offsets of the bytes that an odd run of backslashes escapes."""
        first = np.array([0] if self._escaped else [], dtype=np.int64)
        slashes = np.flatnonzero(data == _BACKSLASH)
        if self._escaped and slashes.size and slashes[0] == 0:
            slashes = slashes[1:]  # it is escaped itself
        self._escaped = False
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
