"""Raw rows on their way from the reader to the parser: what both sides know, and nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.shared.judge.verdicts import JSON_BLANKS

Positions = npt.NDArray[np.int64]


class RowBlock(NamedTuple):
    """Raw bytes that hold whole rows.

    Row `i` is `data[starts[i]:ends[i]]` (both int64, ascending); it may have JSON's blanks around it. `base` is the
    byte offset of `data[0]` in the (decompressed) object.
    """

    data: bytes
    starts: Positions
    ends: Positions
    base: int


class OverlongRow(NamedTuple):
    """A row that is longer than allowed: where it starts in the object, and its first bytes."""

    offset: int
    head: bytes


_NEWLINE = ord("\n")
_IS_BLANK = np.zeros(256, dtype=bool)
_IS_BLANK[list(b" \t\r")] = True


def lines_block(data: bytes, base: int) -> RowBlock:
    """The lines of `data` as rows. Blank lines are no rows; the last line needs no newline."""
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    if data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    kept = starts < ends
    starts, ends = (starts, ends) if kept.all() else (starts[kept], ends[kept])
    maybe_blank = np.flatnonzero(_IS_BLANK[text[starts]])
    blank = [row for row in maybe_blank.tolist() if not data[starts[row] : ends[row]].strip(JSON_BLANKS)]
    if blank:
        starts, ends = np.delete(starts, blank), np.delete(ends, blank)
    return RowBlock(data, starts, ends, base)
