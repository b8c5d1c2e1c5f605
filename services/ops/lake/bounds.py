"""What Iceberg notes of a file, with no bound of a column that is not one.

Readers leave out files whose bounds say that no row can be wanted. Parquet has no bounds of a row group whose least or
greatest text is longer than 4 KiB; PyIceberg then takes those of the file's other row groups for the file's. And it
cannot shorten a text at U+D7FF, behind which there is no character. Of such columns only the number of values is noted.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, TableProperties

_SHORTENED = 16  # characters of a text that PyIceberg notes, unless a table says otherwise
_LAST_BEFORE_SURROGATES = "\ud7ff"


def data_file(table: Table, footer: pq.FileMetaData, address: str) -> DataFile:
    """What Iceberg notes of a file with this footer."""
    prefix = TableProperties.METRICS_MODE_COLUMN_CONF_PREFIX
    counted = {f"{prefix}.{name}": "counts" for name in _without_bounds(footer)}
    metadata = table.metadata.model_copy(update={"properties": {**table.metadata.properties, **counted}})
    return parquet_file_to_data_file(table.io, metadata, address)


def _without_bounds(footer: pq.FileMetaData) -> Iterator[str]:
    for group in range(footer.num_row_groups):
        columns = map(footer.row_group(group).column, range(footer.num_columns))
        yield from (column.path_in_schema for column in columns if not _has_bounds(column))


def _has_bounds(column: pq.ColumnChunkMetaData) -> bool:
    found = column.statistics
    if found is None or not found.has_min_max:
        return found is not None and bool(found.null_count == column.num_values)  # there is nothing to be bound
    return not (isinstance(found.max, str) and _LAST_BEFORE_SURROGATES in found.max[:_SHORTENED])
