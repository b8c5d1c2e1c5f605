"""Reading contracts: what a good one says, and the sentence that refuses each kind of bad one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.shared.contract.loader import load_contract, load_contracts
from services.shared.contract.model import ContractError, Field, FieldType
from tests.unit.contracts.conftest import PARCELS, Change

ROOT = Path(__file__).resolve().parents[3]


def refusal(file: Path) -> str:
    with pytest.raises(ContractError) as caught:
        load_contract(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: "), "the message names the file"
    return message


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: socket.socket(socket.AF_UNIX).bind(str(path))])
def test_what_is_not_a_regular_file_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[str], None]
) -> None:
    """In a process of its own: reading a pipe that nobody writes to never ends."""
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make("parcels.yaml")
    program = f"from services.shared.contract.loader import load_contracts; load_contracts({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "ContractError" in done.stderr and "parcels.yaml: is not a regular file" in done.stderr


class TestAGoodContract:
    def test_becomes_fields_in_the_file_s_order(self, write: Change) -> None:
        contract = load_contract(write())
        assert contract.dataset == "parcels"
        assert contract.version == "1.0.0"
        assert contract.fields == (
            Field("at", FieldType.TIMESTAMP, required=True, description="When.", id=5),
            Field("parcel_id", FieldType.STRING, required=True, description="Which.", id=6),
            Field("price", FieldType.DECIMAL, precision=8, scale=2, description="How much.", id=7),
            Field("tags", FieldType.ARRAY, description="What is written on it.", id=8),
        )

    def test_says_where_rows_are_and_what_of_the_envelope_they_get(self, write: Change) -> None:
        assert (load_contract(write()).rows_path, load_contract(write()).envelope_fields) == ((), ())
        custom = (
            "- {property: rowsPath, value: $.data.Records}\n"
            "      - {property: envelopeFields, value: {account: $.accountId, region: $.data.aws-region}}\n"
            "      - property: maxAhead"
        )
        contract = load_contract(write(("- property: maxAhead", custom)))
        assert contract.rows_path == ("data", "Records")
        assert contract.envelope_fields == (("account", ("accountId",)), ("region", ("data", "aws-region")))

    def test_names_the_event_time_the_key_and_the_window(self, write: Change) -> None:
        contract = load_contract(write())
        assert contract.event_time == "at"
        assert contract.keys == ("parcel_id",)
        assert contract.earliest == datetime(2020, 1, 1, tzinfo=UTC)
        assert contract.max_ahead == timedelta(hours=6)

    def test_takes_the_key_in_the_order_of_its_positions(self, write: Change) -> None:
        first = (
            "description: When.\n        required: true",
            "required: true\n        primaryKey: true\n        primaryKeyPosition: 2",
        )
        second = (
            "primaryKey: true\n      - name: price",
            "primaryKey: true\n        primaryKeyPosition: 1\n      - name: price",
        )
        assert load_contract(write(first, second)).keys == ("parcel_id", "at")

    def test_counts_its_window_in_utc_whatever_offset_it_is_written_with(self, write: Change) -> None:
        contract = load_contract(write(('"2020-01-01"', '"2020-01-01T02:00:00+05:00"')))
        assert contract.earliest.isoformat() == "2019-12-31T21:00:00+00:00"

    def test_says_its_status(self, write: Change) -> None:
        assert load_contract(write(("status: active", "status: retired"))).status == "retired"

    def test_without_a_description_has_an_empty_one(self, write: Change) -> None:
        contract = load_contract(
            write(("description: One row for each parcel.", "description:"), ("description: When.", "description:"))
        )
        assert (contract.description, contract.fields[0].description) == ("", "")


# What is changed in the file, and what the refusal must say.
REFUSED = {
    "a name that YAML reads as a boolean": (
        "name: tags",
        "name: no",
        "a boolean (False), not a string; put it in quotes",
    ),
    "a version that YAML reads as a number": ("version: 1.0.0", "version: 1.0", "version: is 1.0; write three numbers"),
    "a version of two numbers": ("version: 1.0.0", 'version: "1.0"', "version: is '1.0'; write three numbers"),
    "a key that appears twice": (
        "status: active",
        "status: active\nstatus: draft",
        "the key 'status' appears more than once",
    ),
    "a field's key that appears twice": ("description: Which.", "name: x", "the key 'name' appears more than once"),
    "a tab": ("    properties:", "\tproperties:", "found a tab character"),
    "a list as a key": ("status: active", "? [a]\n: b", "is not YAML"),
    "a day that does not exist": ('"2020-01-01"', "2020-13-01", "is not YAML: month must be in 1..12"),
    "code in YAML": ("status: active", "status: !!python/object/apply:os.getcwd []", "is not YAML"),
    "another kind": ("kind: DataContract", "kind: DataProduct", "kind: is 'DataProduct', not 'DataContract'"),
    "another standard's version": (
        "apiVersion: v3.1.0",
        "apiVersion: v2.2.2",
        "smelt reads v3 of the Open Data Contract",
    ),
    "an unknown type": (
        "logicalType: array",
        "logicalType: text",
        "tags: logicalType is 'text'; write one of array, boolean",
    ),
    "a type that is not a string": (
        "logicalType: array",
        "logicalType: [array]",
        "tags: logicalType is ['array']; write one of",
    ),
    "a field without a type": ("        logicalType: array\n", "", "tags: logicalType is missing; write one of"),
    "too many digits": ("decimal(8,2)", "decimal(39,2)", "price: decimal(39,2): precision must be 1 to 38"),
    "no digits": ("decimal(8,2)", "decimal(0,0)", "price: decimal(0,0): precision must be 1 to 38"),
    "a scale beyond the precision": ("decimal(8,2)", "decimal(2,3)", "and scale not larger than precision"),
    "a decimal without digits": ("decimal(8,2)", "decimal", "write an exact number as decimal(precision,scale)"),
    "a decimal by another name": ("decimal(8,2)", "numeric(8,2)", "write an exact number as decimal(precision,scale)"),
    "a decimal that is a string": (
        "logicalType: number",
        "logicalType: string",
        "a decimal has the logicalType number",
    ),
    "a partition's name": ("name: tags", "name: dt", "dt: is the name of a partition key"),
    "the other partition's name": (
        "name: tags",
        "name: record_type",
        "record_type: is the name of a partition key of the tables, so no column may have it",
    ),
    "a name of smelt's own columns": ("name: tags", "name: _source", "'_source' must be lower-case letters"),
    "a field that differs by case": ("name: tags", "name: Price", "'Price' must be lower-case letters"),
    "a field that is described twice": ("name: tags", "name: price", "price: is described more than once"),
    "a field that is a string": (
        "- name: tags",
        "- tags\n      - name: tags",
        "schema.properties[3]: is a string, not a mapping",
    ),
    "required that is a string": ("required: true", 'required: "yes"', "at: required is 'yes', not true or false"),
    "no event time": ("value: at", "value: when", "customProperties.eventTime: is 'when', which is not a field"),
    "an event time that may be null": ("        required: true\n", "", "at: is the event time, so it must be required"),
    "an event time of another type": ("logicalType: timestamp", "logicalType: string", "a timestamp or a date"),
    "a dataset's name that is too long": ("- name: parcels", f"- name: {'p' * 201}", "has 201 characters; a name may"),
    "a field's name that is too long": ("name: tags", f"name: {'t' * 256}", "has 256 characters; a name may have 255"),
    "a position of what is no key": (
        "        primaryKey: true\n",
        "        primaryKeyPosition: 1\n",
        "primaryKeyPosition means nothing without primaryKey: true",
    ),
    "a key that is a string": ("primaryKey: true", 'primaryKey: "true"', "primaryKey is 'true', not true or false"),
    "a key that may be null": (
        "required: true\n        primaryKey",
        "primaryKey",
        "part of the primary key, so it must be",
    ),
    "a position that is not a number": (
        "primaryKey: true",
        "primaryKey: true\n        primaryKeyPosition: x",
        "primaryKeyPosition",
    ),
    "a start that is not a day": ('"2020-01-01"', "long ago", "earliest: is 'long ago', not a day"),
    "a start before the year 1": ('"2020-01-01"', '"0001-01-01T00:00:00+05:00"', "not a day such as"),
    "a duration of days and hours": ("PT6H", "P1DT6H", "maxAhead: is 'P1DT6H', not whole days or hours"),
    "a duration beyond any date": ("PT6H", "P99999999D", "maxAhead: is 'P99999999D'"),
    "a path to rows that is not one": (
        "- property: maxAhead",
        "- {property: rowsPath, value: Records}\n      - property: maxAhead",
        "customProperties.rowsPath: is 'Records'; write the keys that lead there, 20 at most, such as $.Records",
    ),
    "a path to rows with a star": (
        "- property: maxAhead",
        "- {property: rowsPath, value: '$.Records[*]'}\n      - property: maxAhead",
        "customProperties.rowsPath: is '$.Records[*]'; write the keys that lead there, 20 at most, such as $.Records",
    ),
    "a path to rows that is empty": (
        "- property: maxAhead",
        "- {property: rowsPath, value: }\n      - property: maxAhead",
        "customProperties.rowsPath: is None; write the keys",
    ),
    "a path to rows under another name": (
        "- property: maxAhead",
        "- {property: rowspath, value: $.Records}\n      - property: maxAhead",
        "customProperties.rowspath: is not known; is it rowsPath?",
    ),
    "a path to rows that is there twice": (
        "- property: maxAhead",
        "- {property: rowsPath, value: $.a}\n      - {property: rowsPath, value: $.b}\n      - property: maxAhead",
        "customProperties.rowsPath: appears more than once",
    ),
    "a value of the envelope whose path is not one": (
        "- property: maxAhead",
        "- {property: rowsPath, value: $.a}\n      - {property: envelopeFields, value: {b: b}}\n"
        "      - property: maxAhead",
        "customProperties.envelopeFields.b: is 'b'; write the keys that lead there",
    ),
    "an envelope's fields without rows": (
        "- property: maxAhead",
        "- {property: envelopeFields, value: {a: $.a}}\n      - property: maxAhead",
        "customProperties.envelopeFields: means nothing without rowsPath",
    ),
    "an envelope's fields that are not a mapping": (
        "- property: maxAhead",
        "- {property: envelopeFields, value: [a]}\n      - property: maxAhead",
        "customProperties.envelopeFields: is a list; write a path for each key",
    ),
    "an envelope's field that holds the rows": (
        "- property: maxAhead",
        "- {property: rowsPath, value: $.a.b}\n      - {property: envelopeFields, value: {a: $.a}}\n"
        "      - property: maxAhead",
        "customProperties.envelopeFields.a: holds the rows themselves",
    ),
    "an unknown custom property": (
        "property: maxAhead",
        "property: maxahead",
        "customProperties.maxahead: is not known",
    ),
    "a custom property twice": (
        "property: maxAhead",
        "property: earliest",
        "customProperties.earliest: appears more than once",
    ),
    "examples that are not a list": (
        "description: Which.",
        "examples: P-1",
        "parcel_id: examples is a string, not a list",
    ),
    "two datasets": ("schema:\n", "schema:\n  - name: other\n", "holds 2 datasets; a file describes exactly one"),
    "no schema": ("schema:", "tables:", "schema: is missing, not a list with entries"),
}


@pytest.mark.parametrize(("old", "new", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_is_refused_with_its_reason(write: Change, old: str, new: str, reason: str) -> None:
    assert reason in refusal(write((old, new)))


def test_all_problems_of_a_file_are_in_one_message(write: Change) -> None:
    message = refusal(write(("version: 1.0.0", "version: 1"), ("name: tags", "name: dt"), ("PT6H", "soon")))
    assert all(part in message for part in ("version:", "dt:", "customProperties.maxAhead:"))


@pytest.mark.parametrize("text", ["", "- a\n", "hello\n"])
def test_a_file_that_is_not_a_mapping_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "parcels.yaml"
    file.write_text(text)
    assert "not a mapping; is it a contract?" in refusal(file)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "parcels.yaml"
    file.write_bytes(PARCELS.replace("When.", "Für wann.").encode("latin-1"))
    assert "is not UTF-8" in refusal(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refusal(tmp_path / "parcels.yaml")


class TestAFolder:
    def test_gives_contracts_by_dataset_and_ignores_what_is_not_yaml(self, write: Change, tmp_path: Path) -> None:
        write()
        write(("name: parcels", "name: letters"), name="letters.yaml")
        (tmp_path / "schema").mkdir()
        (tmp_path / "schema" / "odcs.yaml").write_text("not a contract")
        (tmp_path / "README.md").write_text("not a contract")
        assert set(load_contracts(tmp_path)) == {"parcels", "letters"}

    def test_with_one_dataset_in_two_files_is_refused(self, write: Change, tmp_path: Path) -> None:
        write()
        write(name="parcels_too.yaml")
        with pytest.raises(
            ContractError, match=r"parcels_too\.yaml: dataset 'parcels' is already described by .*parcels\.yaml"
        ):
            load_contracts(tmp_path)

    @pytest.mark.parametrize("suffix", ["yml", "YAML", "Yml"])
    def test_with_a_file_that_would_be_ignored_is_refused(self, suffix: str, write: Change, tmp_path: Path) -> None:
        write()
        write(name=f"letters.{suffix}")
        with pytest.raises(ContractError, match=rf"letters\.{suffix}: would be ignored; rename it to letters\.yaml"):
            load_contracts(tmp_path)

    def test_without_a_contract_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ContractError, match="no contracts found"):
            load_contracts(tmp_path)

    def test_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ContractError, match="is not a folder; set CONTRACTS_DIR"):
            load_contracts(tmp_path / "nowhere")


def test_the_shipped_datasets_are_those_that_the_documents_name() -> None:
    columns = {
        name: [field.name for field in contract.fields] for name, contract in load_contracts(ROOT / "contracts").items()
    }
    shipped = {
        "invoice_lines": ["event_time", "invoice_id", "sku", "quantity", "unit_price", "line_total"],
        "smoke": [
            "event_time",
            *(f"smoke_{name}" for name in ("run", "number", "amount", "ratio", "even", "day", "note", "tags")),
        ],
        "shipments": ["event_time", "shipment_id", "origin", "destination", "carrier", "weight_kg"],
        "tracking_events": ["event_time", "shipment_id", "status", "city"],
    }
    assert {name: columns.get(name) for name in shipped} == shipped  # beside datasets of your own


def test_the_import_stays_light() -> None:
    heavy = "{'jsonschema', 'pyarrow', 'boto3', 'numpy'}"
    code = f"import sys, services.shared.columns, services.shared.contract.loader; print(*({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_names_may_be_as_long_as_glue_takes_them(write: Change) -> None:
    long = "t" * 255
    contract = load_contract(write(("name: tags", f"name: {long}"), ("tags: 8", f"{long}: 8")))
    assert contract.fields[-1].name == long


def test_a_dataset_may_have_no_key(write: Change) -> None:
    assert load_contract(write(("        primaryKey: true\n", ""))).keys == ()
