"""`smelt contracts check` says what Terraform would refuse as a table, before Terraform does."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ops.contracts.check import check
from services.ops.contracts.findings import Level
from services.shared.athena import OWN_TABLES, RESERVED_WORDS, hive_type, levels
from services.shared.columns import column_of
from services.shared.contract.model import Field, FieldType
from tests.unit.contracts.conftest import Change

SECOND = (
    ("name: parcels", "name: letters"),
    ("id: test-parcels", "id: test-letters"),
)


def told(path: Path, level: Level) -> list[str]:
    return [str(finding) for finding in check(path).findings if finding.level is level]


@pytest.mark.parametrize("name", OWN_TABLES)
def test_a_dataset_has_no_name_of_our_tables(write: Change, name: str) -> None:
    (problem,) = told(write(("- name: parcels", f"- name: {name}"), name=f"{name}.yaml"), Level.PROBLEM)
    assert f"name: {name} is the name of a table of ours" in problem


@pytest.mark.parametrize("name", ["dt", "record_type"])
def test_a_column_has_no_name_of_a_partition_key(write: Change, name: str) -> None:
    file = write(("          tags: 8", f"          {name}: 8"), ("- name: tags", f"- name: {name}"))
    assert "is the name of a partition key of the tables, so no column may have it" in told(file, Level.PROBLEM)[0]


def test_a_column_of_two_types_is_said_of_the_folder(write: Change, tmp_path: Path) -> None:
    write()
    assert told(tmp_path, Level.NOTICE) == []
    write(*SECOND, ("physicalType: decimal(8,2)", "physicalType: double"), name="letters.yaml")
    assert told(tmp_path, Level.NOTICE) == [
        "parcels: notice: price is double in letters, decimal(8,2) in parcels, but the table silver of all datasets "
        "has one type for it: glue_enabled will be refused. Give the field of the newer dataset another name "
        "(physicalName says where its value is), or leave a dataset out of silver (glue_left_out_datasets)"
    ]
    assert check(tmp_path).accepted


def test_decimals_may_differ_in_the_digits_before_the_point_only(write: Change, tmp_path: Path) -> None:
    write()
    write(*SECOND, ("decimal(8,2)", "decimal(12,2)"), name="letters.yaml")
    assert told(tmp_path, Level.NOTICE) == []
    write(*SECOND, ("decimal(8,2)", "decimal(12,3)"), name="letters.yaml")
    assert "price is decimal(12,3) in letters, decimal(8,2) in parcels" in told(tmp_path, Level.NOTICE)[0]


def test_a_word_of_sql_is_named_with_how_to_write_it(write: Change) -> None:
    file = write(("          tags: 8", "          order: 8"), ("- name: tags", "- name: order"))
    (notice,) = told(file, Level.NOTICE)
    assert notice.endswith('order: is a word of SQL; queries in Athena must write "order", in double quotes')
    assert ":37: " in notice


def test_structs_are_as_deep_as_the_tables_have_them() -> None:
    inner = Field("x", FieldType.STRING)
    for depth in range(8):
        assert levels(column_of(inner)) == depth
        inner = Field("x", FieldType.OBJECT, is_nested_column=True, children=(inner,))


def test_what_is_too_deep_is_a_problem(write: Change) -> None:
    items, indent = "", 8
    for _ in range(7):
        items += f"\n{' ' * indent}physicalType: array\n{' ' * indent}items:\n{' ' * (indent + 2)}logicalType: array"
        indent += 2
    paths = "".join(f"\n          tags{'.element' * n}: {20 + n}" for n in range(1, 8))
    file = write(
        ("          tags: 8", f"          tags: 8{paths}"),
        ("        logicalType: array", f"        logicalType: array{items}"),
    )
    (problem,) = told(file, Level.PROBLEM)
    assert "tags: structs and lists are more than 6 levels deep" in problem


def test_glue_knows_no_capitals() -> None:
    field = Field("c", FieldType.OBJECT, is_nested_column=True, children=(Field("homeTown", FieldType.STRING),))
    assert hive_type(column_of(field)) == "struct<hometown:string>"


def test_reserved_words_are_lower_case_as_columns_are() -> None:
    assert {word.lower() for word in RESERVED_WORDS} == RESERVED_WORDS
    assert {"order", "group", "values"} <= RESERVED_WORDS
