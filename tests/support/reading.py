"""What a reader yields, as plain values that tests can compare."""

from __future__ import annotations

from collections.abc import Iterable

from services.shared.units import Plan, Unit
from services.transform.blocks import BrokenFrame, BrokenFrames, OverlongRow, Piece, Position
from services.transform.reading.reader import UnitReader
from tests.support.lake import MemoryLake

MAX_ROW = 300
OVERLONG, BROKEN = b"OVERLONG", b"BROKEN"
Row = tuple[int, bytes]


def rows_of(
    key: str, data: bytes, unit_bytes: int = 1 << 30, block_bytes: int = 64, max_row: int = MAX_ROW
) -> list[Row]:
    """Offset and text of every row, by reading all units of an object that holds `data`, in order of their offsets."""
    lake = MemoryLake()
    source = lake.upload(key, data)
    reader = UnitReader(lake, max_row, block_bytes)
    return sorted(row for unit in Plan.of(source, unit_bytes) for row in rows_in(reader.read(unit)))


def rows_in(pieces: Iterable[Piece]) -> list[Row]:
    """Offset and text of every row, in the reader's order; `OVERLONG` or `BROKEN` in place of what is no whole row."""
    rows: list[Row] = []
    for found, _ in pieces:
        if isinstance(found, OverlongRow):
            rows.append((found.offset, OVERLONG))
        elif isinstance(found, BrokenFrames):
            rows += [(frame.offset, BROKEN) for frame in found.frames]
        elif isinstance(found, BrokenFrame):
            rows.append((found.offset, BROKEN))
        else:
            bounds = zip(found.starts.tolist(), found.ends.tolist(), strict=True)
            rows += [(found.base + start, found.data[start:end].strip(b" \t\r\n")) for start, end in bounds]
    return rows


def pieces_of(
    key: str, data: bytes, block_bytes: int = 64, max_row: int = MAX_ROW
) -> tuple[UnitReader, Unit, list[Piece]]:
    """An object that is one unit, with its reader and all that the reader yields."""
    lake = MemoryLake()
    (unit,) = Plan.of(lake.upload(key, data), 1 << 40)
    reader = UnitReader(lake, max_row, block_bytes)
    return reader, unit, list(reader.read(unit))


def read_on(reader: UnitReader, unit: Unit, after: Position) -> list[Row]:
    """The rows behind a position, which has been through the ledger."""
    return rows_in(reader.read(unit, Position.from_list(after.to_list())))
