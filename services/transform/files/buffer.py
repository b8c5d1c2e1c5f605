"""Parsed rows in memory until they are written as files."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from services.shared.columns import CREATED, OFFSET, SOURCE
from services.shared.units import BronzeObject, Unit
from services.transform.rows.parser import Parsed


class RowBuffer:
    """Parsed rows in memory, in order, with the unit that each block came from. `bytes` counts raw bytes."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, Parsed]] = []
        self.bytes = 0

    def add(self, unit: int, parsed: Parsed, size: int) -> None:
        self.entries.append((unit, parsed))
        self.bytes += size

    def mark(self) -> tuple[int, int]:
        return len(self.entries), self.bytes

    def roll_back(self, mark: tuple[int, int]) -> None:
        entries, self.bytes = mark
        del self.entries[entries:]

    def take(self, units: Sequence[Unit]) -> tuple[dict[str, pa.Table], pa.Table | None]:
        """All rows as one table a dataset and one quarantine table, with their objects' lineage; empties itself."""
        silver: dict[str, list[pa.Table]] = {}
        quarantine: list[pa.Table] = []
        for unit, parsed in self.entries:
            source = units[unit].object
            for dataset, table in parsed.silver.items():
                silver.setdefault(dataset, []).append(_with_lineage(table, source))
            if parsed.quarantine.num_rows:
                quarantine.append(_with_lineage(parsed.quarantine, source))
        self.entries, self.bytes = [], 0
        tables = {dataset: pa.concat_tables(parts).unify_dictionaries() for dataset, parts in silver.items()}
        return tables, pa.concat_tables(quarantine).unify_dictionaries() if quarantine else None


def _with_lineage(table: pa.Table, source: BronzeObject) -> pa.Table:
    """The table with `_source` before its `_offset`, and `_created` behind it."""
    at = table.schema.get_field_index(OFFSET)
    created = pa.repeat(pa.scalar(source.created, pa.timestamp("us", tz="UTC")), table.num_rows)
    ids = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), table.num_rows), [str(source.id)])
    return table.add_column(at + 1, CREATED, created).add_column(at, SOURCE, ids)
