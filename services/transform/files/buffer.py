"""Parsed rows in memory until they are written as files."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from services.shared.columns import RAW
from services.shared.parquet.tables import with_lineage
from services.shared.units import Unit
from services.transform.rows.parser import Parsed
from services.transform.rows.row_bytes import RowBytes

# What rows of one block cost beside their data, as measured on 7 to 48 columns: objects, and buffers rounded up.
_BLOCK_BYTES = 2560
_TABLE_BYTES = 512
_CHUNK_BYTES = 1152  # of a column
_NO_BYTES = RowBytes()


class RowBuffer:
    """Parsed rows in memory, in order, with the unit that each block came from.

    `bytes` is what they take, and never less than the raw bytes that they came from: what is written out of them takes
    memory too.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[int, Parsed]] = []
        self.row_bytes: list[RowBytes] = []  # of each entry
        self.bytes = 0
        self._nothing: pa.Table | None = None

    def add(self, unit: int, parsed: Parsed, size: int, row_bytes: RowBytes = _NO_BYTES) -> None:
        """Take rows of the unit with this number, which came from `size` raw bytes."""
        if not parsed.quarantine.num_rows:  # in nearly every block: all share one empty table
            self._nothing = parsed.quarantine if self._nothing is None else self._nothing
            parsed = parsed._replace(quarantine=self._nothing)
        self.entries.append((unit, parsed))
        self.row_bytes.append(row_bytes)
        self.bytes += max(size, memory_of(parsed))

    def mark(self) -> tuple[int, int]:
        return len(self.entries), self.bytes

    def roll_back(self, mark: tuple[int, int]) -> None:
        entries, self.bytes = mark
        del self.entries[entries:], self.row_bytes[entries:]

    def take(self, units: Sequence[Unit]) -> tuple[dict[str, pa.Table], pa.Table | None]:
        """All rows as one table a dataset and one quarantine table, with their objects' lineage; empties itself.

        Dictionaries are unified, which copies their columns; of everything else the tables share the rows' memory.
        """
        silver: dict[str, list[pa.Table]] = {}
        quarantine: list[pa.Table] = []
        entries, self.entries, self.bytes = self.entries, [], 0
        for unit, parsed in entries:
            source = units[unit].object
            for dataset, table in parsed.silver.items():
                silver.setdefault(dataset, []).append(with_lineage(table, source))
            if parsed.quarantine.num_rows:
                quarantine.append(with_lineage(parsed.quarantine, source))
        entries.clear()
        self.row_bytes.clear()
        tables = {}
        while silver:
            dataset, parts = silver.popitem()
            tables[dataset] = _joined(parts)
        return tables, _joined(quarantine) if quarantine else None


def memory_of(parsed: Parsed) -> int:
    """The bytes that parsed rows take: their buffers, and what each block, table and column costs by itself.

    Plain text counts twice: a file that is made of it holds it once more, and random bytes do not get smaller. Raw text
    in quarantine counts half as much again: a lot that consists of it has all of it in one file.
    """
    tables = [table for table in (*parsed.silver.values(), parsed.quarantine) if table.num_rows]
    columns = [column for table in tables for column in table.itercolumns()]
    chunks = sum(column.num_chunks for column in columns)
    text = sum(column.nbytes for column in columns if pa.types.is_string(column.type))
    text += parsed.quarantine[RAW].nbytes // 2
    return int(parsed.memory_bytes + text + _BLOCK_BYTES + _TABLE_BYTES * len(tables) + _CHUNK_BYTES * chunks)


def _joined(parts: list[pa.Table]) -> pa.Table:
    """One table of all parts, which are left behind."""
    table = pa.concat_tables(parts)
    parts.clear()
    return table.unify_dictionaries()
