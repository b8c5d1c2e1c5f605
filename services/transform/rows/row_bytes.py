"""How many bytes of rows were read, and how many of them were refused: a refused row may be most of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.columns import OFFSET
from services.transform.blocks import BrokenFrame, BrokenFrames, OverlongRow, Piece, Positions, RowBlock

if TYPE_CHECKING:
    from services.transform.rows.parser import Parsed


class RowBytes(NamedTuple):
    """Bytes of rows, and of those among them that are in quarantine."""

    read: int = 0
    quarantined: int = 0

    def plus(self, other: RowBytes) -> RowBytes:
        return RowBytes(self.read + other.read, self.quarantined + other.quarantined)


def _raw_bytes(rows: OverlongRow | BrokenFrame | BrokenFrames) -> int:
    match rows:
        case OverlongRow():
            return len(rows.head)
        case BrokenFrame():
            return len(rows.raw)
    return sum(len(frame.raw) for frame in rows.frames)


def numbers_of(table: pa.Table, block: RowBlock) -> Positions:
    """Which row of the block each row of a table is that was made of it."""
    numbers: Positions = np.searchsorted(block.starts, table[OFFSET].to_numpy() - block.base)
    return numbers


class RowScales:
    """Weighs the pieces of one unit, in order. An over-long row reaches to the next piece, or to the unit's end."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._overlong = -1  # offset from which on an over-long row has not been weighed

    def weigh(self, piece: Piece, parsed: Parsed) -> RowBytes:
        """The bytes of a piece's rows, and what was left of an over-long row before it."""
        rows = piece.rows
        if not isinstance(rows, RowBlock):
            size = _raw_bytes(rows)
            before = self._rest_up_to(rows.offset)
            self._overlong = rows.offset + size if isinstance(rows, OverlongRow) else -1
            return RowBytes(size + before, size + before)
        before = self._rest_up_to(rows.base + int(rows.starts[0])) if rows.starts.size else 0
        refused = 0
        if parsed.quarantine.num_rows:
            numbers = numbers_of(parsed.quarantine, rows)
            refused = int((rows.ends[numbers] - rows.starts[numbers]).sum())
        return RowBytes(int((rows.ends - rows.starts).sum()) + before, refused + before)

    def rest(self) -> RowBytes:
        """What an over-long row had up to the unit's end."""
        rest = self._rest_up_to(self._end)
        return RowBytes(rest, rest)

    def _rest_up_to(self, offset: int) -> int:
        rest = max(offset - self._overlong, 0) if self._overlong >= 0 else 0
        self._overlong = -1
        return rest
