"""From judged rows to Arrow: the columns of Silver and of quarantine as the parser hands them on.

It knows which Arrow type each contract type has, and no JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from services.shared.contract.model import Contract, Field, FieldType
from services.shared.judge.verdicts import Accepted, Rejected

OFFSET, RESCUED = "_offset", "_rescued"

Refused = tuple[int, Rejected, str]  # a row's offset, the verdict, and the row's text

_REPEATED_STRING = pa.dictionary(pa.int32(), pa.string())

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("record_type", _REPEATED_STRING, nullable=False),
        pa.field("reason", _REPEATED_STRING, nullable=False),
        pa.field("field", _REPEATED_STRING),
        pa.field("detail", _REPEATED_STRING, nullable=False),
        pa.field(OFFSET, pa.int64(), nullable=False),  # byte offset of the row in the (decompressed) object
        pa.field("raw", pa.string(), nullable=False),
    ]
)

_ARROW_TYPES = {
    FieldType.STRING: pa.string(),
    FieldType.INTEGER: pa.int64(),
    FieldType.NUMBER: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    FieldType.ARRAY: pa.string(),
    FieldType.OBJECT: pa.string(),
}


def arrow_type(field: Field) -> pa.DataType:
    """The type of a field's values in Silver."""
    if field.type is FieldType.DECIMAL:
        return pa.decimal128(field.precision, field.scale)
    return _ARROW_TYPES[field.type]


def silver_schema(contract: Contract) -> pa.Schema:
    """The contract's columns in order, then `_offset` and `_rescued`.

    Strings that are no keys are dictionaries in memory: most of them repeat, and numbers are sorted faster than text.
    """
    columns = [
        pa.field(
            field.name,
            _REPEATED_STRING
            if field.type is FieldType.STRING and field.name not in contract.keys
            else arrow_type(field),
        )
        for field in contract.fields
    ]
    return pa.schema([*columns, pa.field(OFFSET, pa.int64()), pa.field(RESCUED, pa.string())])


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


def _encodable(text: str) -> str:
    """The text with half surrogate pairs, which a dataset's name in an object's key may hold, as escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text


def buffer_bytes(tables: Iterable[pa.Table]) -> int:
    """The bytes of memory that tables of flat columns hold: each of their buffers once, dictionaries included.

    Arrow's own count takes a null column's buffers, which begin at one address, for the shortest of them.
    """
    sizes: dict[int, int] = {}
    for chunk in (chunk for table in tables for column in table.itercolumns() for chunk in column.iterchunks()):
        dictionary = chunk.dictionary.buffers() if isinstance(chunk, pa.DictionaryArray) else []
        for buffer in filter(None, [*chunk.buffers(), *dictionary]):
            sizes[buffer.address] = max(buffer.size, sizes.get(buffer.address, 0))
    return sum(sizes.values())
