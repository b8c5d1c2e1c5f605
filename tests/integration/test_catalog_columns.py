"""One list of columns for every engine: contract, Glue's tables, Arrow, and the files that the transform writes agree.

The tables are made by Terraform on the embedded emulator and read back from its Glue; the files are the transform's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.types import ListType, NestedField, StructType

from local.ministack import ROOT
from local.stack import Clients
from services.ops.history import schema as history
from services.ops.lake.schema import table_schema
from services.shared.athena import OWN_TABLES, hive_type
from services.shared.columns import QUARANTINE, Column, silver_columns
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract
from services.shared.parquet.tables import arrow_type
from tests.support.catalog import AppliedCatalog, applied_catalog, every_contract, file_schema, written_file

DATABASE = "smelt_catalog"
DATASETS = ["flights", "invoice_lines", "orders", "shipments", "smoke", "tracking_events"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return every_contract(tmp_path_factory.mktemp("contracts"))


@pytest.fixture(scope="module")
def datasets(folder: Path) -> dict[str, Contract]:
    return load_contracts(folder)


@pytest.fixture(scope="module")
def catalog(folder: Path, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppliedCatalog]:
    with applied_catalog(folder, emulator, tmp_path_factory.mktemp("terraform")) as applied:
        yield applied


@pytest.fixture(scope="module")
def tables(catalog: AppliedCatalog, emulator: str) -> dict[str, dict[str, Any]]:
    """Table -> what Glue says of it."""
    glue = catalog.client("glue", emulator)
    return {table["Name"]: table for table in glue.get_tables(DatabaseName=DATABASE)["TableList"]}


def columns_of(table: dict[str, Any]) -> list[tuple[str, str]]:
    return [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]]


def hive_of(kind: pa.DataType) -> str:
    """Which Hive type reads values of an Arrow type (Apache Hive, "Parquet"; Athena User Guide, "Data types")."""
    if pa.types.is_struct(kind):
        inner = [kind.field(at) for at in range(kind.num_fields)]
        return f"struct<{','.join(f'{field.name.lower()}:{hive_of(field.type)}' for field in inner)}>"
    if pa.types.is_list(kind):
        return f"array<{hive_of(kind.value_type)}>"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        assert kind.tz == "UTC"
        return "timestamp"
    names = {pa.string(): "string", pa.int64(): "bigint", pa.float64(): "double"}
    return (names | {pa.bool_(): "boolean", pa.date32(): "date"})[kind]


def test_the_tables_are_ours_and_no_others(tables: dict[str, dict[str, Any]]) -> None:
    assert set(tables) == set(OWN_TABLES)


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_dataset_has_the_same_columns_everywhere(
    tables: dict[str, dict[str, Any]], datasets: dict[str, Contract], dataset: str
) -> None:
    contract = datasets[dataset]
    columns = silver_columns(contract)
    in_glue = dict(columns_of(tables["silver"]))
    in_file = file_schema(written_file(contract, datasets))
    assert in_file.names == [column.name for column in columns]
    for column, stored in zip(columns, in_file, strict=True):
        check_field(column, stored)
        assert hive_of(stored.type) == hive_type(column) == in_glue[column.name], column.name


def check_field(column: Column, stored: pa.Field) -> None:
    """Name, type, nullability and field id, and those of everything inside."""
    assert stored.name == column.name
    assert stored.type.equals(arrow_type(column)), column.name
    assert stored.nullable == column.nullable, column.name
    assert stored.metadata[b"PARQUET:field_id"] == str(column.id).encode(), column.name
    for at, child in enumerate(column.children):
        check_field(child, stored.type.field(at))


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_lakes_table_has_the_same_columns_with_the_same_ids(datasets: dict[str, Contract], dataset: str) -> None:
    """Of Iceberg, with which readers find columns by their ids."""
    contract = datasets[dataset]
    columns = silver_columns(contract)
    fields = table_schema(contract).fields
    assert [field.name for field in fields] == [column.name for column in columns]
    for column, field in zip(columns, fields, strict=True):
        check_iceberg(column, field)


def check_iceberg(column: Column, field: NestedField) -> None:
    """Name, id and type, and those of everything inside; each type by what it says of itself."""
    assert (field.name, field.field_id) == (column.name, column.id)
    match field.field_type:
        case StructType(fields=fields):
            inner = list(fields)
        case ListType(element_field=element):
            inner = [element]
        case _:
            inner = []
    assert len(inner) == len(column.children)
    for child, part in zip(column.children, inner, strict=True):
        check_iceberg(child, part)
    if not inner:
        assert iceberg_as_hive(str(field.field_type)) == hive_type(column)


def iceberg_as_hive(name: str) -> str:
    """What Glue calls a type of Iceberg (Athena User Guide, "Supported data types for Iceberg tables in Athena")."""
    names = {"long": "bigint", "timestamptz": "timestamp"}
    return names.get(name, name.replace(" ", ""))


def test_silver_has_the_union_of_the_datasets_columns_and_no_more(
    tables: dict[str, dict[str, Any]], datasets: dict[str, Contract]
) -> None:
    names = [name for name, _ in columns_of(tables["silver"])]
    wanted = {column.name for contract in datasets.values() for column in silver_columns(contract)}
    assert len(names) == len(set(names))
    assert set(names) == wanted
    assert names[-4:] == ["_source", "_offset", "_created", "_rescued"]
    assert [key["Name"] for key in tables["silver"]["PartitionKeys"]] == ["record_type", "dt"]
    assert not {"record_type", "dt"} & wanted


def test_quarantine_and_history_have_the_columns_that_the_code_writes(tables: dict[str, dict[str, Any]]) -> None:
    assert columns_of(tables["quarantine"]) == [(column.name, hive_type(column)) for column in QUARANTINE]
    for name, schema in (("load_history", history.OBJECTS), ("load_history_lots", history.LOTS)):
        assert columns_of(tables[name]) == [(field.name, hive_of(field.type)) for field in schema]


def test_every_column_says_what_it_means_in_what_glue_takes(tables: dict[str, dict[str, Any]]) -> None:
    for table in tables.values():
        assert table["Description"]
        for column in [*table["StorageDescriptor"]["Columns"], *table.get("PartitionKeys", [])]:
            assert 0 < len(column["Comment"].encode()) <= 255
            assert column["Comment"].isprintable()


def test_own_columns_are_current() -> None:
    from infra.terraform.tools.own_columns import OUT, own_columns

    assert json.loads(OUT.read_text()) == own_columns()


def test_terraform_and_the_code_know_the_same_tables() -> None:
    text = (ROOT / "infra/terraform/modules/catalog/main.tf").read_text()
    assert f"own_tables  = {json.dumps(list(OWN_TABLES))}" in text


def test_a_second_plan_changes_nothing(catalog: AppliedCatalog) -> None:
    """Of all that the module makes: `-detailed-exitcode` fails where a plan has changes."""
    catalog.run("plan", "-input=false", "-detailed-exitcode")


def test_the_documented_queries_are_saved_in_the_workgroup(
    catalog: AppliedCatalog, emulator: str, clients: Clients
) -> None:
    athena = catalog.client("athena", emulator)
    ids = athena.list_named_queries(WorkGroup="smelt-catalog")["NamedQueryIds"]
    saved = {query["Name"]: query for query in (athena.get_named_query(NamedQueryId=one)["NamedQuery"] for one in ids)}
    files = {file.stem: file.read_text() for file in (ROOT / "sql/athena").glob("*.sql")}
    assert {name: query["QueryString"] for name, query in saved.items()} == files
    assert {query["Database"] for query in saved.values()} == {DATABASE}
    assert all(query["Description"] for query in saved.values())
