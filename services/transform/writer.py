"""Parquet files from tables: how Silver and quarantine are laid out inside their files.

It knows the contract's event time, the files' order and encoding, and nothing of keys, lots or S3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.shared.contract import Contract

_EPOCH = date(1970, 1, 1)
_MICROS_PER_DAY = 86_400_000_000


def silver_files(table: pa.Table, contract: Contract, metadata: Mapping[str, str]) -> Iterator[tuple[date, bytes, int]]:
    """Cut a dataset's rows into one Parquet file for each UTC day of their event time.

    Args:
        table: the contract's columns, `_source`, `_offset` and `_rescued`, in this order.
        contract: the dataset's contract.
        metadata: what the files' key-value metadata hold besides the contract's name and version.

    Yields:
        the day, the file's bytes and its rows. Rows are sorted by event time, equal ones in the table's order.
    """
    known = {**metadata, "smelt.contract": contract.dataset, "smelt.contract_version": contract.version}
    days, order = _days_and_order(table[contract.event_time])
    ordered = table.combine_chunks().take(pa.array(order))
    sorted_days = days[order]
    cuts = np.flatnonzero(np.diff(sorted_days)) + 1
    for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(order)], strict=True):
        if first < last:
            rows = ordered.slice(first, last - first)
            yield _EPOCH + timedelta(days=int(sorted_days[first])), _parquet(rows, known), last - first


def quarantine_file(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """The Parquet file of quarantined rows."""
    return _parquet(table, metadata)


def _days_and_order(times: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's UTC day (days since 1970), and the rows' numbers sorted by time."""
    if pa.types.is_date32(times.type):
        ticks = times.cast(pa.int32()).to_numpy().astype(np.int64)
        days = ticks
    else:
        ticks = times.cast(pa.int64()).to_numpy()
        days = ticks // _MICROS_PER_DAY
    return days, np.argsort(ticks, kind="stable")


def _parquet(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    dictionary = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, table.schema, compression="zstd", use_dictionary=dictionary, store_schema=False
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(dict(metadata))
    return bytes(sink.getvalue())
