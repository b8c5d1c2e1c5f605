"""Field ids: what the loader takes, how nested fields get theirs, and that nothing changes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from services.ops.contracts.compare import compare
from services.ops.contracts.findings import REFUSED, Level
from services.ops.contracts.number import write_ids
from services.shared.contract.loader import load_contract
from services.shared.contract.model import Contract, ContractError, Field, FieldType, field_ids
from tests.unit.contracts.conftest import Change

NESTED = """\
      - name: tags
        logicalType: array
        items:
          logicalType: object
          properties:
            - name: skuCode
              logicalType: string
            - name: price
              logicalType: number
              physicalType: decimal(8,2)
      - name: sender
        logicalType: object
        properties:
          - name: city
            logicalType: string
"""
IDS = "          tags: 8\n"


def with_nested(write: Change, *changes: tuple[str, str]) -> Path:
    rest = "      - name: tags\n        logicalType: array\n"
    return write((rest, NESTED), *changes)


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(ContractError) as caught:
        load()
    return str(caught.value)


class TestAFile:
    def test_without_an_id_for_a_field_is_refused_with_the_command_that_writes_it(self, write: Change) -> None:
        file = write((IDS, ""))
        message = f"customProperties.fieldIds: has no id for tags; run `smelt contracts number {file}`, which writes it"
        assert refusal(lambda: load_contract(file)) == f"{file}: {message}"

    @pytest.mark.parametrize("wrong", ["4", "0", "-1", "10000", "8.0", "true", "'8'", "", "[8]"])
    def test_with_something_else_as_an_id_is_refused(self, write: Change, wrong: str) -> None:
        message = refusal(lambda: load_contract(write((IDS, f"          tags: {wrong}\n"))))
        assert "the id of tags is" in message
        assert "not a whole number from 5 to 9999" in message
        assert "number`" not in message, "the command would not help"

    def test_with_one_id_for_two_fields_is_refused(self, write: Change) -> None:
        message = refusal(lambda: load_contract(write((IDS, "          tags: 7\n"))))
        assert "7 is the id of more than one field: price, tags" in message

    def test_with_the_id_of_an_earlier_field_for_a_new_one_is_refused(self, write: Change) -> None:
        message = refusal(lambda: load_contract(write((IDS, "          labels: 8\n          tags: 8\n"))))
        assert "8 is the id of more than one field: labels, tags" in message

    def test_with_ids_that_are_not_a_mapping_is_refused(self, write: Change) -> None:
        ids = "value:\n          at: 5\n          parcel_id: 6\n          price: 7\n" + IDS
        assert "fieldIds: is a list, not a mapping" in refusal(lambda: load_contract(write((ids, "value: [5, 6]\n"))))

    def test_keeps_the_ids_of_earlier_fields(self, write: Change) -> None:
        contract = load_contract(write((IDS, IDS + "          labels: 9\n")))
        assert contract.retired == (("labels", 9),)
        assert field_ids(contract) == {"at": 5, "parcel_id": 6, "price": 7, "tags": 8, "labels": 9}


class TestNestedFields:
    def test_get_ids_behind_those_of_the_columns(self, write: Change) -> None:
        file = with_nested(write)
        fresh = write_ids(file)
        assert fresh == {
            "sender": 9,
            "tags.element": 10,
            "tags.element.skuCode": 11,
            "tags.element.price": 12,
            "sender.city": 13,
        }
        assert field_ids(load_contract(file)) == {"at": 5, "parcel_id": 6, "price": 7, "tags": 8} | fresh

    def test_are_read_with_their_types(self, write: Change) -> None:
        file = with_nested(write)
        write_ids(file)
        tags, sender = load_contract(file).fields[-2:]
        (element,) = tags.children
        assert (element.name, element.type, element.id) == ("element", FieldType.OBJECT, 10)
        assert element.children == (
            Field("skuCode", FieldType.STRING, id=11),
            Field("price", FieldType.DECIMAL, precision=8, scale=2, id=12),
        )
        assert sender.children == (Field("city", FieldType.STRING, id=13),)

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("name: skuCode", "name: sku-code", "tags.element.sku-code: the name must be letters"),
            ("name: skuCode", "name: 7", "tags.element.7: the name must be letters"),
            ("name: skuCode", "name: Price", "tags.element.price: is described more than once (upper and lower case"),
            ("- name: city\n            logicalType: string", "- name: city", "sender.city: logicalType is missing"),
            ("decimal(8,2)\n      - name: s", "decimal(80,2)\n      - name: s", "element.price: decimal(80,2): prec"),
            ("- name: city\n", "- name: city\n            primaryKey: true\n", "sender.city: has primaryKey inside"),
            ("- name: city\n", "- name: city\n            primaryKeyPosition: 1\n", "has primaryKeyPosition inside"),
            ("- name: city\n", "- name: city\n            quality: []\n", "sender.city: has quality inside another"),
            ("- name: sender\n        logicalType: object", "- name: sender\n        logicalType: string",
             "sender: has properties, which only the logicalType object has"),
            ("- name: tags\n        logicalType: array", "- name: tags\n        logicalType: string",
             "tags: has items, which only the logicalType array has"),
        ],
    )  # fmt: skip
    def test_that_are_wrong_are_refused(self, write: Change, old: str, new: str, reason: str) -> None:
        assert reason in refusal(lambda: write_ids(with_nested(write, (old, new))))


class TestAContractMadeInCode:
    def test_numbers_its_fields_in_their_order(self, write: Change) -> None:
        contract = load_contract(write())
        bare = replace(contract, fields=tuple(replace(field, id=0) for field in contract.fields))
        assert bare == contract

    def test_gives_no_id_twice(self, write: Change) -> None:
        contract = load_contract(write())
        more = replace(contract, fields=(*contract.fields, Field("city", FieldType.STRING)), retired=(("old", 9),))
        assert more.fields[-1].id == 10


class TestAChange:
    """Of ids, against the contract as it was: at 5, parcel_id 6, price 7, tags 8."""

    @staticmethod
    def refused(before: Contract, after: Contract) -> list[str]:
        return [found.what for found in compare(before, after) if found.level in REFUSED]

    @pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
    def test_of_a_field_s_id_is_refused_under_any_version(self, write: Change, version: str) -> None:
        before = load_contract(write())
        after = load_contract(write(("tags: 8", "tags: 9"), ("version: 1.0.0", f"version: {version}")))
        assert self.refused(before, after) == ["fieldIds: tags had the id 8 and has 9; put 8 back"]

    def test_that_gives_the_id_of_a_removed_field_to_another_is_refused(self, write: Change) -> None:
        before = load_contract(write())
        file = write(("tags: 8", "labels: 8"), ("name: tags", "name: labels"), ("version: 1.0.0", "version: 2.0.0"))
        assert self.refused(before, load_contract(file)) == [
            "fieldIds: tags is gone; put `tags: 8` back: an id is kept when its field is removed",
            "fieldIds: labels has the id 8, which belongs to tags; delete `labels: 8` and run "
            f"`smelt contracts number {file}`",
        ]

    def test_that_forgets_a_field_which_was_removed_earlier_is_refused(self, write: Change) -> None:
        before = load_contract(write((IDS, IDS + "          labels: 9\n")))
        (what,) = self.refused(before, load_contract(write()))
        assert what.startswith("fieldIds: labels is gone; put `labels: 9` back")

    def test_that_brings_a_field_back_under_another_id_is_refused(self, write: Change) -> None:
        before = load_contract(write((IDS, IDS + "          labels: 9\n")))
        back = ("description: What is written on it.\n", "description: What.\n      - name: labels\n"
                "        logicalType: string\n        description: More.\n")  # fmt: skip
        after = load_contract(write((IDS, IDS + "          labels: 10\n"), back, ("version: 1.0.0", "version: 1.1.0")))
        assert self.refused(before, after) == ["fieldIds: labels had the id 9 and has 10; put 9 back"]

    def test_that_brings_a_field_back_under_its_id_is_accepted_with_a_reminder(self, write: Change) -> None:
        before = load_contract(write((IDS, IDS + "          labels: 9\n")))
        back = ("description: What is written on it.\n", "description: What.\n      - name: labels\n"
                "        logicalType: string\n        description: More.\n")  # fmt: skip
        file = write((IDS, IDS + "          labels: 9\n"), back, ("version: 1.0.0", "version: 1.1.0"))
        assert write_ids(file) == {}, "it still has its id"
        found = [finding.what for finding in compare(before, load_contract(file))]
        assert self.refused(before, load_contract(file)) == []
        assert "labels: comes back, with its id 9; make sure that it has the type that it had" in found

    def test_of_a_nested_field_s_id_is_refused(self, write: Change) -> None:
        file = with_nested(write)
        write_ids(file)
        before = load_contract(file)
        file.write_text(file.read_text("utf-8").replace("sender.city: 13", "sender.city: 14"), "utf-8")
        assert self.refused(before, load_contract(file)) == [
            "fieldIds: sender.city had the id 13 and has 14; put 13 back"
        ]

    def test_that_describes_what_is_inside_json_text_is_breaking(self, write: Change) -> None:
        before = load_contract(write())
        file = write(
            ("        logicalType: array\n", "        logicalType: array\n        items: {logicalType: string}\n")
        )
        write_ids(file)
        (finding,) = compare(before, load_contract(file))
        assert finding.level is Level.BREAKING
        assert "tags.element: is new inside JSON text" in finding.what
