"""From judged rows to Arrow: the columns of Silver and of quarantine as they are in memory.

It knows which Arrow type each contract type has, and no JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from services.shared.columns import CREATED, OFFSET, QUARANTINE, RAW, SOURCE, Column, silver_columns
from services.shared.contract.model import Contract, FieldType
from services.shared.judge.verdicts import Accepted, Rejected
from services.shared.units import BronzeObject

FIELD_ID = b"PARQUET:field_id"  # the name by which Arrow writes a field id into a Parquet schema, and reads it
Refused = tuple[int, Rejected, str]  # a row's offset, the verdict, and the row's text

_REPEATED_STRING = pa.dictionary(pa.int32(), pa.string())
_ARROW_TYPES = {
    FieldType.STRING: pa.string(),
    FieldType.INTEGER: pa.int64(),
    FieldType.NUMBER: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}
_OF_THE_OBJECT = {SOURCE, CREATED}  # the same for all rows of an object, and added to them later


def arrow_type(column: Column) -> pa.DataType:
    """The type of a column's values in Silver and quarantine. What is inside structs and lists has its field id."""
    match column.type:
        case FieldType.DECIMAL:
            return pa.decimal128(column.precision, column.scale)
        case FieldType.OBJECT:
            return pa.struct(list(map(_inner, column.children)))
        case FieldType.ARRAY:
            return pa.list_(_inner(column.children[0]))
    return _ARROW_TYPES[column.type]


def _inner(column: Column) -> pa.Field:
    return pa.field(column.name, arrow_type(column), column.nullable, {FIELD_ID: str(column.id)})


def _in_memory(column: Column) -> pa.DataType:
    """A quarantine column's type while it is in memory: all its strings but the raw text repeat."""
    return _REPEATED_STRING if column.type is FieldType.STRING and column.name != RAW else arrow_type(column)


QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field(column.name, _in_memory(column), nullable=column.nullable)
        for column in QUARANTINE
        if column.name not in _OF_THE_OBJECT
    ]
)


def silver_schema(contract: Contract) -> pa.Schema:
    """The contract's columns in order, then `_offset` and `_rescued`.

    Strings that are not keys are dictionaries in memory: most of them repeat, and numbers are sorted faster than text.
    """
    repeated = {field.name for field in contract.fields if field.type is FieldType.STRING} - {*contract.keys}
    return pa.schema(
        [
            pa.field(column.name, _REPEATED_STRING if column.name in repeated else arrow_type(column))
            for column in silver_columns(contract)
            if column.name not in _OF_THE_OBJECT
        ]
    )


def silver_table(contract: Contract, rows: Sequence[tuple[int, Accepted]]) -> pa.Table:
    """Accepted rows of one dataset, each with its offset, as a table of `silver_schema`."""
    schema = silver_schema(contract)
    columns = [[accepted.values[index] for _, accepted in rows] for index in range(len(contract.fields))]
    columns.append([offset for offset, _ in rows])
    columns.append([accepted.rescued for _, accepted in rows])
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def quarantine_table(rows: Sequence[Refused]) -> pa.Table:
    """Rejected rows as a table of `QUARANTINE_SCHEMA`."""
    columns = [
        [_encodable(rejected.record_type) for _, rejected, _ in rows],
        [rejected.reason.value for _, rejected, _ in rows],
        [rejected.field for _, rejected, _ in rows],
        [_encodable(rejected.detail) for _, rejected, _ in rows],
        [offset for offset, _, _ in rows],
        [text for _, _, text in rows],
    ]
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, QUARANTINE_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=QUARANTINE_SCHEMA)


def with_lineage(table: pa.Table, source: BronzeObject) -> pa.Table:
    """The table with `_source` before its `_offset`, and `_created` behind it."""
    at = table.schema.get_field_index(OFFSET)
    created = pa.repeat(pa.scalar(source.created, pa.timestamp("us", tz="UTC")), table.num_rows)
    ids = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), table.num_rows), [str(source.id)])
    return table.add_column(at + 1, CREATED, created).add_column(at, SOURCE, ids)


def _encodable(text: str) -> str:
    """The text with half surrogate pairs, which a dataset's name in an object's key may hold, as escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text
