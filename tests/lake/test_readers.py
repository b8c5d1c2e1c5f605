"""What readers see: PyIceberg and DuckDB row for row what is in the files, also after the contract has grown."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow

from local.ministack import ROOT
from services.ops.lake.schema import (
    CONTRACT_VERSION,
    SchemaConflict,
    check_file,
    evolved,
    table_schema,
    with_earlier,
)
from services.shared.contract.model import Contract, Field, FieldType
from tests.faults.rig import shipment
from tests.lake.compacting import compact
from tests.lake.rig import LakeRig, day
from tests.lake.test_compaction import load, published
from tests.support.rewriting import retract

DUCKDB = ROOT / ".venv-readers/bin/python"
SCRIPT = """
import json, sys
import duckdb
from duckdb_extensions import import_extension
for name in ("avro", "iceberg"):
    import_extension(name)
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false; LOAD iceberg; SET TimeZone = 'UTC'")
place, snapshot = sys.argv[1], sys.argv[2]
asked = f"iceberg_scan('{place}'" + (f", snapshot_from_id={snapshot})" if snapshot else ")")
print(json.dumps([dict(zip([c[0] for c in connection.description], row)) for row in
    connection.execute(f"SELECT * FROM {asked} ORDER BY _source, _offset").fetchall()], default=str))
"""


def duckdb_rows(lake: LakeRig, snapshot: int | None = None) -> list[dict[str, Any]]:
    """All rows of the table, as DuckDB's Iceberg extension reads them."""
    assert DUCKDB.exists(), "run `make setup`"
    place = lake.table().metadata_location.removeprefix("file://")
    done = subprocess.run(
        [DUCKDB, "-c", SCRIPT, place, str(snapshot or "")], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return list(json.loads(done.stdout))


def as_text(table: pa.Table) -> list[dict[str, Any]]:
    rows = table.sort_by([("_source", "ascending"), ("_offset", "ascending")]).to_pylist()
    return list(json.loads(json.dumps(rows, default=str)))


def files_of(lake: LakeRig) -> pa.Table:
    keys = [file.key for lot in lake.lots() for file in lot.files if file.key.startswith("silver/shipments/")]
    return pa.concat_tables(
        [pq.read_table(lake.folder / key, partitioning=None) for key in keys], promote_options="default"
    )


def test_both_read_what_the_files_hold(lake: LakeRig) -> None:
    published(lake)
    assert as_text(lake.rows()) == as_text(files_of(lake)) == duckdb_rows(lake)


def test_both_read_the_table_as_it_was(lake: LakeRig) -> None:
    published(lake)
    before = lake.table().current_snapshot()
    assert before is not None
    compact(lake, day(1))
    load(lake, 90)
    lake.publish()
    then = duckdb_rows(lake, before.snapshot_id)
    assert as_text(lake.rows(snapshot=before.snapshot_id)) == then
    assert as_text(lake.rows()) == duckdb_rows(lake)
    assert len(then) == 12


def test_both_read_the_table_after_a_retraction_of_what_was_compacted(lake: LakeRig) -> None:
    bad = load(lake, 1, 2, 50)
    published(lake)
    compact(lake, day(1))
    retract(lake.rig, bad)
    lake.publish()
    lake.rig.tidy()
    assert as_text(lake.rows()) == as_text(files_of(lake)) == duckdb_rows(lake)


def test_both_read_a_table_whose_first_snapshot_is_empty(lake: LakeRig) -> None:
    """A lot that was rewritten before it was published: a snapshot without files keeps older looks from landing."""
    retract(lake.rig, load(lake, 1))
    lake.publish()
    assert lake.table().current_snapshot() is not None
    assert as_text(lake.rows()) == duckdb_rows(lake) == []
    load(lake, 2)
    lake.publish()
    assert as_text(lake.rows()) == as_text(files_of(lake)) == duckdb_rows(lake)
    empty, *_ = lake.table().snapshots()
    assert as_text(lake.rows(snapshot=empty.snapshot_id)) == duckdb_rows(lake, empty.snapshot_id) == []


class TestContractsThatGrow:
    def grown(self, lake: LakeRig, **changes: Any) -> None:
        """The contract with a further field, and a table over files of both versions."""
        shipments = lake.contracts["shipments"]
        note = Field("note", FieldType.STRING, id=11)
        grown = replace(shipments, fields=(*shipments.fields, note), version="1.1.0", **changes)
        lake.contracts = lake.rig.contracts = {**lake.contracts, "shipments": grown}

    def test_a_column_more_is_null_in_older_files(self, lake: LakeRig) -> None:
        load(lake, 1)
        lake.publish()
        self.grown(lake)
        row = json.loads(shipment(2)) | {"note": "fragile"}
        lake.rig.upload("shipments", [json.dumps(row).encode()])
        lake.rig.deliver(lake.rig.units[-1:])
        lake.publish()
        lake.check()
        found = {one["shipment_id"]: one["note"] for one in lake.rows().to_pylist()}
        assert found == {"S1": None, "S2": "fragile"}
        assert {one["shipment_id"]: one["note"] for one in duckdb_rows(lake)} == found

    def test_files_of_a_newer_contract_wait_for_a_newer_program(self, lake: LakeRig) -> None:
        older = lake.contracts
        self.grown(lake)
        load(lake, 1)
        lake.contracts = older
        done = lake.publish()
        assert done is not None
        assert "deploy the operators' functions again" in done.problems[0]
        self.grown(lake)
        lake.publish()
        lake.check()

    def test_a_decimal_widens_and_never_narrows(self, contracts: dict[str, Contract]) -> None:
        def with_price(precision: int, scale: int = 2) -> Contract:
            price = Field("price", FieldType.DECIMAL, precision=precision, scale=scale, id=11)
            return replace(contracts["shipments"], fields=(*contracts["shipments"].fields, price))

        narrow = table_schema(with_price(8))
        wider = evolved(narrow, with_price(12))
        assert wider is not None
        assert str(wider.find_field("price").field_type) == "decimal(12, 2)"
        assert evolved(wider, with_price(8)) is None
        with pytest.raises(SchemaConflict, match="A column keeps its type"):
            evolved(narrow, with_price(8, 3))

    def test_both_read_decimals_of_files_from_before_and_after_they_were_widened(
        self, lake: LakeRig, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shipments = lake.contracts["shipments"]
        prices = {1: (8, "-123456.78"), 2: (24, "1234567890123456789012.34"), 3: (38, "-0.01"), 4: (8, "0.05")}

        def write(number: int, precision: int, price: str) -> None:
            field = Field("price", FieldType.DECIMAL, precision=precision, scale=2, id=11)
            grown = replace(shipments, fields=(*shipments.fields, field), version=f"1.{precision}.0")
            lake.contracts = lake.rig.contracts = {**lake.contracts, "shipments": grown}
            row = shipment(number).decode().replace("{", f'{{"price": {price}, ', 1)
            lake.rig.upload("shipments", [row.encode()])
            lake.rig.deliver(lake.rig.units[-1:])

        def check() -> None:
            expected = {f"S{number}": Decimal(prices[number][1]) for number in (1, 2, 3, 4)}
            assert {one["shipment_id"]: one["price"] for one in lake.rows().to_pylist()} == expected
            assert {one["shipment_id"]: Decimal(one["price"]) for one in duckdb_rows(lake)} == expected
            few = lake.table().scan(row_filter="price < 0").to_arrow()["shipment_id"].to_pylist()
            assert set(few) == {"S1", "S3"}

        for number, (precision, price) in prices.items():
            older = lake.contracts
            write(number, precision, price)
            if number == 2:  # the operators' program still has the contract of before
                newer, lake.contracts = lake.contracts, older
                done = lake.publish()
                assert done is not None
                assert "its column price has 24 digits, and the table's 8. The contract that" in done.problems[0]
                assert not capsys.readouterr().out  # which is the answer of `smelt publish --json`
                lake.contracts = newer
            done = lake.publish()
            assert done is not None
            assert done.all_right, done.problems
        lake.check()
        assert str(lake.table().schema().find_field("price").field_type) == "decimal(38, 2)"
        check()
        assert compact(lake, day(1)) is not None
        check()

    @pytest.mark.parametrize(
        ("was", "value", "now"),
        [
            (Field("x", FieldType.TIMESTAMP, id=11), "2026-01-01T00:00:00Z", Field("x", FieldType.INTEGER, id=11)),
            (Field("x", FieldType.INTEGER, id=11), 1767225600000000, Field("x", FieldType.TIMESTAMP, id=11)),
            (
                Field("x", FieldType.DECIMAL, precision=8, scale=2, id=11),
                12.5,
                Field("x", FieldType.DECIMAL, precision=8, scale=3, id=11),
            ),
            (Field("x", FieldType.INTEGER, id=11), 1, Field("x", FieldType.NUMBER, id=11)),
        ],
        ids=["time", "number", "scale", "double"],
    )
    def test_a_file_of_before_the_lake_whose_column_had_another_type_is_refused(
        self, lake: LakeRig, was: Field, value: object, now: Field
    ) -> None:
        shipments = lake.contracts["shipments"]

        def become(field: Field, version: str) -> None:
            grown = replace(shipments, fields=(*shipments.fields, field), version=version)
            lake.contracts = lake.rig.contracts = {**lake.contracts, "shipments": grown}

        become(was, "1.1.0")
        lake.rig.upload("shipments", [json.dumps(json.loads(shipment(1)) | {"x": value}).encode()])
        lake.rig.deliver(lake.rig.units[-1:])
        become(now, "2.0.0")
        done = lake.publish()
        assert done is not None
        assert done.added == 0
        assert "its column x is " in done.problems[0]
        assert "A column keeps its type" in done.problems[0]

    def test_a_field_that_is_gone_keeps_its_column(self, contracts: dict[str, Contract]) -> None:
        shipments = contracts["shipments"]
        table = table_schema(shipments)
        without = replace(shipments, fields=shipments.fields[:-1], retired=(("weight_kg", 10),))
        assert evolved(table, without) is None
        assert (
            evolved(table, replace(without, fields=(*without.fields, Field("x", FieldType.STRING, id=11)))) is not None
        )

    def test_nested_columns_grow_inside(self, contracts: dict[str, Contract]) -> None:
        def with_box(*names: str) -> Contract:
            sides = tuple(Field(name, FieldType.INTEGER, id=20 + n) for n, name in enumerate(names))
            box = Field("box", FieldType.OBJECT, id=11, children=sides, is_nested_column=True)
            boxes = Field(
                "boxes", FieldType.ARRAY, id=12, children=(replace(box, name="element", id=13),), is_nested_column=True
            )
            return replace(contracts["shipments"], fields=(*contracts["shipments"].fields, boxes))

        table = table_schema(with_box("long"))
        grown = evolved(table, with_box("long", "wide"))
        assert grown is not None
        assert grown.find_field("boxes.element.wide").field_id == 21
        assert table.find_field("boxes.element").field_id == 13

    def test_files_of_earlier_contracts_widen_a_newer_table(self, contracts: dict[str, Contract]) -> None:
        shipments = contracts["shipments"]
        price = Field("price", FieldType.DECIMAL, precision=12, scale=2, id=19)
        long, wide = (Field(name, FieldType.INTEGER, id=at) for name, at in (("long", 20), ("wide", 21)))
        box = Field("box", FieldType.OBJECT, id=11, children=(price, long, wide), is_nested_column=True)
        item = Field("element", FieldType.STRING, id=13)
        tags = Field("tags", FieldType.ARRAY, id=12, children=(item,), is_nested_column=True)
        before = replace(shipments, fields=(*shipments.fields, box, tags))
        smaller = replace(box, children=(replace(price, precision=10), long))
        retired = (("box.wide", 21), ("tags", 12), ("tags.element", 13))
        now = replace(shipments, version="2.0.0", fields=(*shipments.fields, smaller), retired=retired)
        file = schema_to_pyarrow(table_schema(before)).with_metadata({CONTRACT_VERSION: b"1.9.10"})
        grown = with_earlier(table_schema(now), now, file)
        assert grown is not None
        check_file(grown, file, "silver/x")
        assert grown.find_field("box.wide").field_id == 21
        assert grown.find_field("tags.element").field_id == 13
        assert str(grown.find_field("box.price").field_type) == "decimal(12, 2)"
        assert with_earlier(grown, now, file) is None
        assert evolved(grown, now) is None
        newer = file.with_metadata({CONTRACT_VERSION: b"2.0.1"})  # its operators' program is still to come
        assert with_earlier(table_schema(now), replace(now, retired=()), newer) is None

    @pytest.mark.parametrize(("name", "id_"), [("origin", 99), ("renamed", 7)])
    def test_ids_and_names_are_never_given_away(self, contracts: dict[str, Contract], name: str, id_: int) -> None:
        shipments = contracts["shipments"]
        fields = [replace(one, name=name, id=id_) if one.name == "origin" else one for one in shipments.fields]
        with pytest.raises(SchemaConflict):
            evolved(table_schema(shipments), replace(shipments, fields=tuple(fields)))

    @pytest.mark.parametrize("id_", [None, "99"])
    def test_a_file_whose_ids_are_others_is_refused(self, contracts: dict[str, Contract], id_: str | None) -> None:
        metadata = {b"PARQUET:field_id": id_.encode()} if id_ else None
        file = pa.schema([pa.field("origin", pa.string(), metadata=metadata)])
        with pytest.raises(SchemaConflict, match="field id"):
            check_file(table_schema(contracts["shipments"]), file, "silver/x")
