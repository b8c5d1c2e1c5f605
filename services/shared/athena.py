"""What Glue and Athena call our tables and columns: Hive types, and names that mean something else to them.

Knows no SDK and no Arrow. Terraform makes the tables (infra/terraform/modules/catalog) and reads the contracts itself;
tests compare its columns with these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from services.shared.columns import Column, column_of
from services.shared.contract.model import Contract, FieldType

# Tables and views beside those of the datasets, in the same database.
OWN_TABLES = ("silver", "quarantine", "load_history", "load_history_lots", "load_history_files")
MAX_LEVELS = 6  # how deep structs and lists may be inside a column, as columns.tf of the module has them written out

# Amazon Athena User Guide, "Escape reserved keywords in SQL SELECT statements": these need double quotes in queries.
_RESERVED = """
    alter and as between by case cast constraint create cross cube current_catalog current_date current_path
    current_schema current_time current_timestamp current_user deallocate delete describe distinct drop else end escape
    except execute exists extract false first for from full group grouping having in inner insert intersect into is
    join json_array json_exists json_object json_query json_table json_value last left like listagg localtime
    localtimestamp natural normalize not null on or order outer prepare recursive right rollup select skip table then
    trim true uescape union unnest using values when where with
"""
RESERVED_WORDS = frozenset(_RESERVED.split())

_HIVE_TYPES = {
    FieldType.STRING: "string",
    FieldType.INTEGER: "bigint",
    FieldType.NUMBER: "double",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.TIMESTAMP: "timestamp",
}


def hive_type(column: Column) -> str:
    """A column's type as Glue has it. Names inside structs are in lower case there, whatever they are in the file."""
    match column.type:
        case FieldType.DECIMAL:
            return f"decimal({column.precision},{column.scale})"
        case FieldType.OBJECT:
            inner = ",".join(f"{child.name.lower()}:{hive_type(child)}" for child in column.children)
            return f"struct<{inner}>"
        case FieldType.ARRAY:
            return f"array<{hive_type(column.children[0])}>"
    return _HIVE_TYPES[column.type]


def levels(column: Column) -> int:
    """How many structs and lists are inside one another: 0 for a column that is neither."""
    return 1 + max(map(levels, column.children)) if column.children else 0


def conflicts(contracts: Iterable[Contract]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Names of columns that have several types: the table `silver` has the columns of all datasets, each with one type.

    Decimals that differ only in the digits before the point have one: the widest.

    Yields:
        the column's name, and its Hive type by dataset.
    """
    types: dict[str, dict[str, Column]] = {}
    for contract in sorted(contracts, key=lambda one: one.dataset):
        for field in contract.fields:
            types.setdefault(field.name, {})[contract.dataset] = column_of(field)
    for name, columns in types.items():
        if len({_kept(column) for column in columns.values()}) > 1:
            yield name, {dataset: hive_type(column) for dataset, column in columns.items()}


def _kept(column: Column) -> str:
    return f"decimal({column.scale})" if column.type is FieldType.DECIMAL else hive_type(column)
