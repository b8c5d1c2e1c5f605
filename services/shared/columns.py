"""The columns of Silver and of quarantine, once, for every engine: Arrow in transform, Spark in Glue, SQL in Athena.

An id is the Iceberg field id of its column. It is written into each Parquet file and never changes, because readers of
an Iceberg table find a column by it. Silver's own columns have 1 to 4, the fields of a contract the ids from
`FIRST_FIELD_ID` on; quarantine is a table of its own and counts from 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.shared.contract.model import Contract, Field, FieldType

SOURCE, OFFSET, CREATED, RESCUED = "_source", "_offset", "_created", "_rescued"
RAW = "raw"

# To be raised with every change of code that makes other rows, or their order, of the same bytes and contracts
# (docs/decisions/0025-rows-version.md). tests/unit/transform/test_rows_version.py fails if that was forgotten.
ROWS_VERSION = 4


@dataclass(frozen=True, slots=True)
class Column:
    """One column as it is stored, or a part of one. Timestamps are UTC, in microseconds.

    `precision` and `scale` (decimal digits) are set for DECIMAL only. ARRAY is a list of its one child, OBJECT a struct
    of its children; where they are stored as JSON text, the type is STRING.
    """

    name: str
    type: FieldType
    nullable: bool
    id: int
    meaning: str
    precision: int | None = None
    scale: int | None = None
    children: tuple[Column, ...] = ()


_SOURCE_MEANING = "The Bronze object that the row comes from: s3://bucket/key#etag."
_OFFSET_MEANING = "The byte at which the row starts in the object, after decompression."
_CREATED_MEANING = "When the object was created in Bronze."

LINEAGE = (
    Column(SOURCE, FieldType.STRING, False, 1, _SOURCE_MEANING),
    Column(OFFSET, FieldType.INTEGER, False, 2, _OFFSET_MEANING),
    Column(CREATED, FieldType.TIMESTAMP, False, 3, _CREATED_MEANING),
    Column(RESCUED, FieldType.STRING, True, 4, "Keys of the row of which no field holds all, as one JSON object."),
)

# What went wrong, then where the row comes from, and last what may be long.
QUARANTINE = (
    Column("record_type", FieldType.STRING, False, 1, "The row's own record_type, else the dataset of its object."),
    Column("reason", FieldType.STRING, False, 2, "The reason code."),
    Column("field", FieldType.STRING, True, 3, "The field that is wrong; null if it is the row as a whole."),
    Column("detail", FieldType.STRING, False, 4, "What is wrong with it, in a sentence."),
    Column(SOURCE, FieldType.STRING, False, 5, _SOURCE_MEANING),
    Column(OFFSET, FieldType.INTEGER, False, 6, _OFFSET_MEANING),
    Column(CREATED, FieldType.TIMESTAMP, False, 7, _CREATED_MEANING),
    Column(RAW, FieldType.STRING, False, 8, "The row's text; bytes that are not UTF-8 are shown as escapes."),
)


def silver_columns(contract: Contract) -> tuple[Column, ...]:
    """Silver's columns for a dataset: the contract's fields in their order, then the lineage."""
    return (*(column_of(field) for field in contract.fields), *LINEAGE)


def column_of(field: Field) -> Column:
    """The column of a field, or the part of one."""
    children = tuple(map(column_of, field.children)) if field.is_nested_column else ()
    return Column(
        field.name,
        stored_type(field),
        not field.required,
        field.id,
        field.description,
        field.precision,
        field.scale,
        children,
    )


def stored_type(field: Field) -> FieldType:
    """What a field is stored as."""
    is_text = field.type in (FieldType.ARRAY, FieldType.OBJECT) and not field.is_nested_column
    return FieldType.STRING if is_text else field.type
