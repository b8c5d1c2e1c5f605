"""What a Parquet file says about its columns, as `shared.columns` has it: names, nullability, Iceberg field ids."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from services.shared.columns import Column
from services.shared.parquet.tables import FIELD_ID


def described(table: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """The same table, each column with its nullability and field id.

    Raises:
        ValueError: the table has other columns, or in another order.
    """
    names = [column.name for column in columns]
    if table.column_names != names:
        raise ValueError(f"the table has the columns {table.column_names}, not {names}")
    fields = [
        pa.field(column.name, array.type, column.nullable, {FIELD_ID: str(column.id)})
        for column, array in zip(columns, table.itercolumns(), strict=True)
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))
