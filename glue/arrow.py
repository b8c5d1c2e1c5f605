"""Between Silver's columns as the contract says them, Arrow's arrays, and Spark's types.

Spark's own Parquet writer has no field id for an array's items, and its reader and writer refuse days before 1582; so
files are read and written by Arrow, as transform does, and Spark moves, compares and sorts the rows between.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as spark

from services.shared.columns import Column
from services.shared.contract.model import FieldType
from services.shared.errors import Terminal
from services.shared.parquet.tables import FIELD_ID, arrow_type

_SPARK_TYPES = {
    FieldType.STRING: spark.StringType(),
    FieldType.INTEGER: spark.LongType(),
    FieldType.NUMBER: spark.DoubleType(),
    FieldType.BOOLEAN: spark.BooleanType(),
    FieldType.DATE: spark.DateType(),
    FieldType.TIMESTAMP: spark.TimestampType(),
}


class OtherColumns(Terminal):
    """A file's columns cannot be read as the contract's."""


def silver_schema(columns: Sequence[Column]) -> pa.Schema:
    """The schema of a Silver file: names, types, nullability and field ids, nested ones too."""
    return pa.schema([_field(column) for column in columns])


def spark_schema(columns: Sequence[Column]) -> spark.StructType:
    """The same columns in Spark, where everything may be null."""
    return spark.StructType([spark.StructField(column.name, _spark_type(column)) for column in columns])


def conformed(table: pa.Table, columns: Sequence[Column], strict: bool) -> pa.Table:
    """A file's rows with exactly these columns, found by their field ids; a column that it has not is null.

    With `strict`, what is required is declared so, inside of structs too; without, everything may be null, as in Spark.

    Raises:
        OtherColumns: a required column is missing, or one has a type that does not become the contract's.
    """
    ids = {int(field.metadata[FIELD_ID]): at for at, field in enumerate(table.schema) if _has_id(field)}
    arrays = []
    for column in columns:
        if column.id not in ids:
            if not column.nullable:
                raise OtherColumns(f"a file lacks the required column {column.name} (field id {column.id})")
            arrays.append(pa.nulls(table.num_rows, _field(column, strict).type))
            continue
        found = table.column(ids[column.id]).combine_chunks()
        arrays.append(_conformed(found, _field(column, strict).type, column.name))
    return pa.Table.from_arrays(arrays, schema=pa.schema([_field(column, strict) for column in columns]))


def _has_id(field: pa.Field) -> bool:
    return field.metadata is not None and FIELD_ID in field.metadata


def _field(column: Column, strict: bool = True) -> pa.Field:
    kind = arrow_type(column)
    return pa.field(
        column.name, kind if strict else _loose(kind), column.nullable or not strict, {FIELD_ID: str(column.id)}
    )


def _loose(kind: pa.DataType) -> pa.DataType:
    """The type without its promises that something is never null, as Spark has it."""
    if pa.types.is_struct(kind):
        return pa.struct([_loose_field(kind.field(at)) for at in range(kind.num_fields)])
    if pa.types.is_list(kind):
        return pa.list_(_loose_field(kind.value_field))
    return kind


def _loose_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, _loose(field.type), True, field.metadata)


def _conformed(array: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    if pa.types.is_struct(kind) and pa.types.is_struct(array.type):
        places = [_place(array.type, kind.field(at), name) for at in range(kind.num_fields)]
        parts = [
            pa.nulls(len(array), kind.field(at).type)
            if place is None
            else _conformed(array.field(place), kind.field(at).type, f"{name}.{kind.field(at).name}")
            for at, place in enumerate(places)
        ]
        fields = [kind.field(at) for at in range(kind.num_fields)]
        parts = [
            part if field.nullable else _required(part, array, f"{name}.{field.name}")
            for part, field in zip(parts, fields, strict=True)
        ]
        return pa.StructArray.from_arrays(parts, fields=fields, mask=array.is_null())
    if pa.types.is_list(kind) and pa.types.is_list(array.type):
        first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()
        items = _conformed(array.values.slice(first, last - first), kind.value_type, f"{name}.element")
        return pa.ListArray.from_arrays(pc.subtract(array.offsets, first), items, type=kind, mask=array.is_null())
    try:
        return array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise OtherColumns(f"the column {name} is {array.type} in a file, which does not become {kind}") from error


def _required(part: pa.Array, whole: pa.StructArray, name: str) -> pa.Array:
    """A required field of a struct, without nulls: Spark has some wherever the struct itself is null."""
    if not part.null_count:
        return part
    if pc.any(pc.and_(part.is_null(), whole.is_valid())).as_py():
        raise OtherColumns(f"{name} is required, and is null in a row")
    if pa.types.is_struct(part.type):
        inside = [part.field(at) for at in range(part.type.num_fields)]
        fields = [part.type.field(at) for at in range(part.type.num_fields)]
        inside = [
            one if field.nullable else _required(one, part, name) for one, field in zip(inside, fields, strict=True)
        ]
        return pa.StructArray.from_arrays(inside, fields=fields)
    if pa.types.is_list(part.type):
        return pa.ListArray.from_arrays(part.offsets, part.values, type=part.type)
    return pa.Array.from_buffers(part.type, len(part), [None, *part.buffers()[1:]], offset=part.offset)


def _place(kind: pa.StructType, field: pa.Field, name: str) -> int | None:
    """Where a struct has a field: by its id, where the struct's own fields have ids, else by its name."""
    fields = [kind.field(at) for at in range(kind.num_fields)]
    with_ids = all(map(_has_id, fields))
    for at, one in enumerate(fields):
        if (one.metadata[FIELD_ID] == field.metadata[FIELD_ID]) if with_ids else one.name == field.name:
            return at
    if not field.nullable:
        raise OtherColumns(f"a file lacks the required {name}.{field.name}")
    return None


def _spark_type(column: Column) -> spark.DataType:
    match column.type:
        case FieldType.DECIMAL:
            return spark.DecimalType(column.precision or 38, column.scale or 0)
        case FieldType.OBJECT:
            return spark_schema(column.children)
        case FieldType.ARRAY:
            return spark.ArrayType(_spark_type(column.children[0]))
    return _SPARK_TYPES[column.type]
