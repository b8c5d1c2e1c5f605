"""A Parquet file that smelt wrote, without some of its rows: same columns, same order, same way to encode it."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.shared.columns import SOURCE
from services.shared.parquet.files import encoded

_DICTIONARIES = {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}


def read_rows(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """The rows of a Parquet file, strings as plain strings."""
    return pq.read_table(io.BytesIO(data), columns=columns)


def rows_of(data: bytes, source: str) -> int:
    """How many rows of a file have this `_source`."""
    return int(pc.sum(pc.equal(read_rows(data, [SOURCE])[SOURCE], source)).as_py() or 0)


def without(data: bytes, leaving: pa.ChunkedArray | pa.Array) -> tuple[bytes, int]:
    """The file without its rows of which `leaving` is true.

    Returns:
        the new file's bytes and its rows. Nothing of the rows that left is in it, not even in a dictionary.
    """
    file = pq.ParquetFile(io.BytesIO(data))
    repeated = _repeated(file)
    table = file.read().filter(pc.invert(leaving))
    for index, name in enumerate(table.column_names):
        if name in repeated:
            column = table.column(index).combine_chunks().dictionary_encode()
            table = table.set_column(index, table.schema.field(index).with_type(column.type), column)
    metadata = {key.decode(): value.decode() for key, value in (file.metadata.metadata or {}).items()}
    return encoded(table, metadata), table.num_rows


def _repeated(file: pq.ParquetFile) -> set[str]:
    """The string columns that are stored as dictionaries."""
    groups = range(file.metadata.num_row_groups)
    chunks = [file.metadata.row_group(group).column(at) for group in groups for at in range(file.metadata.num_columns)]
    return {
        chunk.path_in_schema
        for chunk in chunks
        if chunk.physical_type == "BYTE_ARRAY" and not _DICTIONARIES.isdisjoint(chunk.encodings)
    }
