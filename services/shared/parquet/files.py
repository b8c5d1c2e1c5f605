"""Parquet files from tables: how Silver and quarantine are laid out inside their files.

It knows the contract's event time, the files' order and encoding, and nothing of keys, lots or S3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from services.shared.columns import QUARANTINE, silver_columns
from services.shared.contract.model import Contract
from services.shared.parquet.schema import described

Ints = npt.NDArray[np.int64]

_EPOCH = date(1970, 1, 1)
_MICROS_PER_DAY = 86_400_000_000
_MAX_INT64 = 2**63 - 1
_REPEATS_THAT_PAY = 4  # rows per distinct string from which a dictionary is smaller and faster than plain strings
_SMALL_DICTIONARY = 1024  # bytes; a file may well hold all of it, as it may hold four bytes for each of its rows


def silver_files(table: pa.Table, contract: Contract, metadata: Mapping[str, str]) -> Iterator[tuple[date, bytes, int]]:
    """Cut a dataset's rows into one Parquet file for each UTC day of their event time.

    Args:
        table: the columns of `shared.columns.silver_columns`, in this order.
        contract: the dataset's contract.
        metadata: what the files' key-value metadata hold besides the contract's name and version.

    Yields:
        the day, the file's bytes and its rows. Rows are sorted by event time, equal ones in the table's order.
    """
    known = {**metadata, "smelt.contract": contract.dataset, "smelt.contract_version": contract.version}
    ticks, ticks_per_day = _ticks(table[contract.event_time])
    order = _stable_order(ticks)
    days = ticks[order] // ticks_per_day
    ordered = described(_in_order(_plain_where_distinct(table), pa.array(order)), silver_columns(contract))
    cuts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for first, last in pairwise(cuts):
        if first < last:
            rows = ordered.slice(first, last - first)
            if rows.num_rows < ordered.num_rows:
                rows = _plain_where_distinct(_with_own_strings_only(rows))
            yield _EPOCH + timedelta(days=int(days[first])), _parquet(rows, known), last - first


def quarantine_file(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """The Parquet file of quarantined rows: a table with the columns of `shared.columns.QUARANTINE`, in this order."""
    return _parquet(described(_plain_where_distinct(table), QUARANTINE), metadata)


def encoded(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """A table whose columns are described already, as a Parquet file."""
    return _parquet(_plain_where_distinct(table), metadata)


def _ticks(times: pa.ChunkedArray) -> tuple[Ints, int]:
    """Event times as whole numbers since 1970, and how many of them make a day."""
    if pa.types.is_date32(times.type):
        return times.cast(pa.int32()).to_numpy().astype(np.int64), 1
    return times.cast(pa.int64()).to_numpy(), _MICROS_PER_DAY


def _stable_order(ticks: Ints) -> Ints:
    """The rows' numbers in the order of their ticks; equal ones keep theirs.

    Sorting tick and row number as one number is about six times as fast as a stable argsort.
    """
    rows = len(ticks)
    low = int(ticks.min(initial=_MAX_INT64))
    if rows and (int(ticks.max()) - low + 1) * rows <= _MAX_INT64:
        order: Ints = np.sort((ticks - low) * rows + np.arange(rows)) % rows
        return order
    return np.argsort(ticks, kind="stable")


def _in_order(table: pa.Table, order: pa.Array) -> pa.Table:
    """The table's rows in this order, one column after the other: memory never holds a third copy of all of them."""
    columns = [column.combine_chunks().take(order) for column in table.itercolumns()]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _plain_where_distinct(table: pa.Table) -> pa.Table:
    """Dictionaries that would not pay in a file, because few values repeat, as plain strings."""
    for index, column in enumerate(table.itercolumns()):
        if pa.types.is_dictionary(column.type) and column.num_chunks:
            distinct = max(len(chunk.dictionary) for chunk in column.iterchunks())
            if distinct * _REPEATS_THAT_PAY > len(column):
                plain = table.schema.field(index).with_type(pa.string())
                table = table.set_column(index, plain, column.cast(pa.string()))
    return table


def _with_own_strings_only(rows: pa.Table) -> pa.Table:
    """A day's rows, cut from a table: their dictionaries hold what the rows hold, and no strings of other days.

    A file gets its dictionaries whole, so that otherwise each of hundreds of days would hold the strings of all.
    """
    small = max(_SMALL_DICTIONARY, 4 * rows.num_rows)
    for index, column in enumerate(rows.itercolumns()):
        if pa.types.is_dictionary(column.type) and column.chunk(0).dictionary.nbytes > small:
            rows = rows.set_column(index, rows.schema.field(index), _compacted(column.combine_chunks()))
    return rows


def _compacted(column: pa.DictionaryArray) -> pa.DictionaryArray:
    has_value = column.is_valid().to_numpy(zero_copy_only=False)
    used, numbers = np.unique(column.indices.drop_null().to_numpy(), return_inverse=True)
    places = np.zeros(len(column), dtype=np.int32)
    places[has_value] = numbers
    return pa.DictionaryArray.from_arrays(pa.array(places, mask=~has_value), column.dictionary.take(pa.array(used)))


def _parquet(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """The file's bytes, in encodings that every reader knows (docs/decisions/0024-encodings.md)."""
    dictionaries = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=dictionaries,
        store_schema=False,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(dict(metadata))
    return bytes(sink.getvalue())
