"""The columns of Silver and quarantine."""

from __future__ import annotations

import pytest

from services.shared.columns import LINEAGE, QUARANTINE, Column, silver_columns
from services.shared.contract.model import FIRST_FIELD_ID, LAST_FIELD_ID, Contract, FieldType


def test_silver_has_the_contract_s_fields_then_the_lineage(contracts: dict[str, Contract]) -> None:
    for contract in contracts.values():
        columns = silver_columns(contract)
        assert [column.name for column in columns] == [
            *(field.name for field in contract.fields),
            *("_source", "_offset", "_created", "_rescued"),
        ]
        assert [column.id for column in columns[:-4]] == [field.id for field in contract.fields]


def test_quarantine_says_what_is_wrong_then_where_and_last_the_row() -> None:
    names = ["record_type", "reason", "field", "detail", "_source", "_offset", "_created", "raw"]
    assert [column.name for column in QUARANTINE] == names


def test_the_lineage_has_ids_that_no_contract_can_have() -> None:
    assert [column.id for column in LINEAGE] == [1, 2, 3, 4]
    assert max(column.id for column in LINEAGE) < FIRST_FIELD_ID < LAST_FIELD_ID


@pytest.mark.parametrize("columns", [LINEAGE, QUARANTINE])
def test_no_id_and_no_name_is_given_twice(columns: tuple[Column, ...]) -> None:
    assert len({column.id for column in columns}) == len({column.name for column in columns}) == len(columns)


def test_a_column_may_be_null_where_its_field_is_optional(contracts: dict[str, Contract]) -> None:
    nullable = {column.name for column in silver_columns(contracts["shipments"]) if column.nullable}
    assert nullable == {"carrier", "weight_kg", "_rescued"}


def test_nested_values_are_stored_as_strings(contracts: dict[str, Contract]) -> None:
    stored = {column.type for contract in contracts.values() for column in silver_columns(contract)}
    assert not stored & {FieldType.ARRAY, FieldType.OBJECT}
