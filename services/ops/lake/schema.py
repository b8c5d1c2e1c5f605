"""A contract as the schema and partitions of an Iceberg table, and whether a file fits a table.

Field ids are the contract's, which are in every file: readers find columns by them. A table only grows: it keeps the
columns of fields that a contract does not have any more, because older files have them. Every column may be null in
the table, also one that the contract requires: so a file without a newer column can be read, and nothing has to change
where `required` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyiceberg.io.pyarrow import pyarrow_to_schema
from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from services.shared.columns import CREATED, OFFSET, SOURCE, Column, silver_columns
from services.shared.contract.model import Contract, FieldType
from services.shared.errors import Terminal
from services.shared.parquet.tables import FIELD_ID

PARTITION = "dt"  # no column of a contract may have this name
_LONGEST_DOC = 255  # bytes: PyIceberg makes it the column's comment in Glue, which refuses a longer one, or more lines

CONTRACT_VERSION = b"smelt.contract_version"  # in a file's metadata: of the contract that it was written by

_TYPES: dict[FieldType, IcebergType] = {
    FieldType.STRING: StringType(),
    FieldType.INTEGER: LongType(),
    FieldType.NUMBER: DoubleType(),
    FieldType.BOOLEAN: BooleanType(),
    FieldType.DATE: DateType(),
    FieldType.TIMESTAMP: TimestamptzType(),
}
_NEWER = (
    "The contract that this program knows is older than the one that the file was written with: deploy the operators' "
    "functions again, or run a newer smelt"
)
_NEVER_NULL = {SOURCE, OFFSET, CREATED}
_KINDS = {type_: kind for kind, type_ in _TYPES.items()}


class SchemaConflict(Terminal):
    """A contract or a file says of a column what the table cannot have."""


def table_schema(contract: Contract, schema_id: int = 1) -> Schema:
    """The schema that a new table of a contract gets."""
    return Schema(*map(_field, silver_columns(contract)), schema_id=schema_id)


def partition_spec(contract: Contract, schema: Schema) -> PartitionSpec:
    """By day of the event time, as the folders of Silver are."""
    source = schema.find_field(contract.event_time).field_id
    field = PartitionField(source, PARTITION_FIELD_ID_START, DayTransform(), PARTITION)
    return PartitionSpec(field, spec_id=1)


def evolved(table: Schema, contract: Contract) -> Schema | None:
    """The table's schema with what a contract has beyond it; None where that is nothing.

    Raises:
        SchemaConflict: the contract gives a name, an id or a type away that the table has.
    """
    wanted = table_schema(contract)
    fields = _merged(table.fields, wanted.fields, contract.dataset)
    if fields == table.fields:
        return None
    return Schema(*fields, schema_id=table.schema_id + 1)


def with_earlier(table: Schema, contract: Contract, file: pa.Schema) -> Schema | None:
    """The table's schema with what a file has of earlier contracts; None where that is nothing.

    A table that was made after a field had left its contract, or after a decimal had narrowed, does not know of it. The
    file of a newer contract than ours waits for the program that knows it.
    """
    earlier = frozenset(id_ for _, id_ in contract.retired)
    wrote = (file.metadata or {}).get(CONTRACT_VERSION, b"").decode()
    widens = bool(wrote) and _numbers(wrote) < _numbers(contract.version)
    fields = _grown(table.fields, pyarrow_to_schema(file).fields, earlier, widens)
    return None if fields == table.fields else Schema(*fields, schema_id=table.schema_id + 1)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def table_columns(table: Schema, contract: Contract) -> tuple[Column, ...]:
    """All columns that the table has, as a compaction writes them: also those that the contract does not have.

    The contract may have dropped a field since, or be older than the one that the files were written with: their
    values stay all the same. A type is the table's, which is never narrower than the contract's. As in the table, every
    column may be null but those that no contract describes: rows of a day may be older than what is required today.
    """
    known = {column.id: column for column in silver_columns(contract)}
    return tuple(_column(field, known.get(field.field_id)) for field in table.fields)


def _column(field: NestedField, known: Column | None) -> Column:
    inside = {child.id: child for child in known.children} if known else {}
    type_, precision, scale, children = field.field_type, None, None, list[Column]()
    if isinstance(type_, DecimalType):
        kind, precision, scale = FieldType.DECIMAL, type_.precision, type_.scale
    elif isinstance(type_, StructType):
        kind, children = FieldType.OBJECT, [_column(one, inside.get(one.field_id)) for one in type_.fields]
    elif isinstance(type_, ListType):
        kind, children = FieldType.ARRAY, [_column(type_.element_field, inside.get(type_.element_id))]
    else:
        kind = _KINDS[type_]
    nullable = known is None or known.nullable or field.name not in _NEVER_NULL
    meaning = known.meaning if known else field.doc or ""
    return Column(field.name, kind, nullable, field.field_id, meaning, precision, scale, tuple(children))


def check_file(table: Schema, file: pa.Schema, key: str) -> None:
    """A file's columns are the table's, by name and id: a reader would find null in a column with another id.

    Raises:
        SchemaConflict: a column has no id, another id, another type, or more digits than the table's, or is not in the
            table.
    """
    names = {table.find_column_name(id_): id_ for id_ in table.field_ids}
    for path, id_ in _ids(file):
        if id_ is None:
            raise SchemaConflict(f"{key}: its column {path} has no field id; nothing that smelt wrote is like that")
        if path not in names:
            raise SchemaConflict(f"{key}: the table has no column {path}. {_NEWER}")
        if names[path] != id_:
            raise SchemaConflict(f"{key}: its column {path} has the field id {id_}, the table's {names[path]}")
    read = pyarrow_to_schema(file)
    for id_ in read.field_ids:
        was, is_, name = read.find_type(id_), table.find_type(id_), read.find_column_name(id_)
        if isinstance(was, DecimalType) and isinstance(is_, DecimalType) and was.precision > is_.precision:
            raise SchemaConflict(
                f"{key}: its column {name} has {was.precision} digits, and the table's {is_.precision}. {_NEWER}"
            )
        if was.is_primitive != is_.is_primitive or (was.is_primitive and _stored(was) != _stored(is_)):
            raise SchemaConflict(
                f"{key}: its column {name} is {was}, and the table's {is_}. A column keeps its type: give the new "
                "field another name, drop the table from the catalog (docs/lake.md), and publish again with --backfill"
            )


def _stored(type_: IcebergType) -> IcebergType | int:
    """What of a type must be the same in all files: of a decimal only the digits behind the point."""
    return type_.scale if isinstance(type_, DecimalType) else type_


def _field(column: Column) -> NestedField:
    return NestedField(column.id, column.name, _type(column), required=False, doc=_doc(column.meaning))


def _doc(meaning: str) -> str | None:
    """What a column means, as Glue takes it: one line, and not too long."""
    line = " ".join("".join(one if one.isprintable() else " " for one in meaning).split())
    if len(line.encode()) > _LONGEST_DOC:
        line = f"{line.encode()[: _LONGEST_DOC - 3].decode(errors='ignore').rstrip()}..."
    return line or None


def _type(column: Column) -> IcebergType:
    match column.type:
        case FieldType.DECIMAL:
            if column.precision is None or column.scale is None:
                raise SchemaConflict(f"the decimal column {column.name} has no precision and scale")
            return DecimalType(column.precision, column.scale)
        case FieldType.OBJECT:
            return StructType(*map(_field, column.children))
        case FieldType.ARRAY:
            item = column.children[0]
            return ListType(item.id, _type(item), element_required=False)
    return _TYPES[column.type]


def _merged(there: Sequence[NestedField], wanted: Sequence[NestedField], where: str) -> tuple[NestedField, ...]:
    """The contract's fields in its order, then those that only the table has."""
    by_name = {field.name: field for field in there}
    by_id = {field.field_id: field for field in there}
    merged = []
    for field in wanted:
        had = by_name.get(field.name)
        if had is None and field.field_id in by_id:
            raise SchemaConflict(
                f"{where}: the id {field.field_id} of {field.name} is that of {by_id[field.field_id].name} in the table"
            )
        if had is not None and had.field_id != field.field_id:
            raise SchemaConflict(
                f"{where}: {field.name} has the id {field.field_id}, in the table {had.field_id}; ids never change"
            )
        merged.append(field if had is None else _widened(had, field, f"{where}.{field.name}"))
    names = {field.name for field in wanted}
    kept = [field for field in there if field.name not in names]
    return tuple(there) if not _has_grown(there, merged) else (*merged, *kept)


def _has_grown(there: Sequence[NestedField], merged: Sequence[NestedField]) -> bool:
    """Order and descriptions alone are no reason for another schema."""
    types = {field.field_id: field.field_type for field in there}
    return any(types.get(field.field_id) != field.field_type for field in merged)


def _widened(there: NestedField, wanted: NestedField, where: str) -> NestedField:
    """The field with the wider of both types. A table's type never narrows: older files have its values."""
    return NestedField(
        there.field_id, there.name, _wider(there.field_type, wanted.field_type, where), required=False, doc=wanted.doc
    )


def _wider(there: IcebergType, wanted: IcebergType, where: str) -> IcebergType:
    if isinstance(there, DecimalType) and isinstance(wanted, DecimalType) and there.scale == wanted.scale:
        return DecimalType(max(there.precision, wanted.precision), there.scale)
    if isinstance(there, StructType) and isinstance(wanted, StructType):
        return StructType(*_merged(there.fields, wanted.fields, where))
    if isinstance(there, ListType) and isinstance(wanted, ListType) and there.element_id == wanted.element_id:
        inside = _wider(there.element_type, wanted.element_type, f"{where}.element")
        return ListType(there.element_id, inside, element_required=False)
    if there != wanted:
        raise SchemaConflict(
            f"{where} is {wanted} in the contract and {there} in the table. A column keeps its type: give the new "
            "field another name"
        )
    return there


def _grown(
    there: Sequence[NestedField], found: Sequence[NestedField], earlier: frozenset[int], widens: bool
) -> tuple[NestedField, ...]:
    """The table's fields, with `widens` as wide as a file's, then those of the file that the contract had earlier."""
    by_id = {field.field_id: field for field in found}
    known = {field.field_id for field in there}
    wide = [
        _optional(field, _as_wide(field.field_type, by_id[field.field_id].field_type, earlier, widens))
        if field.field_id in by_id
        else field
        for field in there
    ]
    new = [field for field in found if field.field_id in earlier and field.field_id not in known]
    return (*wide, *(_optional(field, _all_optional(field.field_type)) for field in new))


def _as_wide(there: IcebergType, found: IcebergType, earlier: frozenset[int], widens: bool) -> IcebergType:
    if widens and isinstance(there, DecimalType) and isinstance(found, DecimalType) and there.scale == found.scale:
        return DecimalType(max(there.precision, found.precision), there.scale)
    if isinstance(there, StructType) and isinstance(found, StructType):
        return StructType(*_grown(there.fields, found.fields, earlier, widens))
    if isinstance(there, ListType) and isinstance(found, ListType):
        inside = _as_wide(there.element_type, found.element_type, earlier, widens)
        return ListType(there.element_id, inside, element_required=False)
    return there


def _all_optional(type_: IcebergType) -> IcebergType:
    if isinstance(type_, StructType):
        return StructType(*(_optional(field, _all_optional(field.field_type)) for field in type_.fields))
    if isinstance(type_, ListType):
        return ListType(type_.element_id, _all_optional(type_.element_type), element_required=False)
    return type_


def _optional(field: NestedField, type_: IcebergType) -> NestedField:
    return NestedField(field.field_id, field.name, type_, required=False, doc=field.doc)


def _ids(schema: Sequence[pa.Field], above: str = "") -> Iterator[tuple[str, int | None]]:
    """The path of each column, those inside of others included, and its field id."""
    for field in schema:
        path = f"{above}{field.name}"
        id_ = (field.metadata or {}).get(FIELD_ID)
        yield path, None if id_ is None else int(id_)
        if pa.types.is_struct(field.type):
            yield from _ids([field.type.field(at) for at in range(field.type.num_fields)], f"{path}.")
        elif pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            item = field.type.value_field
            yield from _ids([item.with_name("element")], f"{path}.")
