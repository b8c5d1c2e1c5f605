"""What the files say about their columns: an engine finds a column by the id in the footer, whatever its name."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.shared.columns import LINEAGE, QUARANTINE, Column, silver_columns
from services.shared.contract.model import Contract
from services.shared.identities import LotId
from services.shared.parquet.encode import encode
from services.shared.parquet.schema import described
from services.shared.units import BronzeObject, Plan, Unit
from services.transform.blocks import lines_block
from services.transform.files.buffer import RowBuffer
from services.transform.rows.parser import RowParser

CREATED = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
GOOD = b'{"event_time": "2026-01-05T10:00:00Z", "shipment_id": "S-%d", "origin": "Oslo", "destination": "Cork"}\n'
DATA = b"".join(GOOD % number for number in range(200)) + b"{broken\n"


def unit_of(key: str, created: datetime) -> Unit:
    (unit,) = Plan.of(BronzeObject("bronze", key, len(DATA), "a" * 32, None, created), 2**26)
    return unit


@pytest.fixture(scope="module")
def files(contracts: dict[str, Contract]) -> dict[str, pq.ParquetFile]:
    """What transform writes for two objects of good rows and a bad one each: a file of Silver, one of quarantine."""
    units = [unit_of("bronze/shipments/a.jsonl", CREATED), unit_of("bronze/shipments/b.jsonl", CREATED.replace(day=30))]
    buffer, parser = RowBuffer(), RowParser(contracts)
    for index, unit in enumerate(units):
        buffer.add(index, parser.parse(lines_block(DATA, 0), "shipments", unit.object.created), len(DATA))
    lot = LotId.new(CREATED)
    return {
        key.split("/")[0]: pq.ParquetFile(io.BytesIO(data))
        for key, data, _ in encode(*buffer.take(units), contracts, lot, "0" * 8, 0)
    }


def ids(schema: pa.Schema) -> dict[str, int]:
    return {field.name: int(field.metadata[b"PARQUET:field_id"]) for field in schema}


def told(columns: tuple[Column, ...]) -> dict[str, int]:
    return {column.name: column.id for column in columns}


class TestTheFooter:
    def test_of_silver_has_the_ids_of_the_contract_and_the_lineage(
        self, files: dict[str, pq.ParquetFile], contracts: dict[str, Contract]
    ) -> None:
        found = ids(files["silver"].schema_arrow)
        assert found == told(silver_columns(contracts["shipments"]))
        assert found["event_time"] == 5
        assert [found[column.name] for column in LINEAGE] == [1, 2, 3, 4]

    def test_of_quarantine_has_its_ids(self, files: dict[str, pq.ParquetFile]) -> None:
        assert ids(files["quarantine"].schema_arrow) == told(QUARANTINE)

    @pytest.mark.parametrize("root", ["silver", "quarantine"])
    def test_says_which_columns_are_never_null(
        self, files: dict[str, pq.ParquetFile], contracts: dict[str, Contract], root: str
    ) -> None:
        columns = QUARANTINE if root == "quarantine" else silver_columns(contracts["shipments"])
        found = {field.name: field.nullable for field in files[root].schema_arrow}
        assert found == {column.name: column.nullable for column in columns}


@pytest.mark.parametrize("root", ["silver", "quarantine"])
def test_each_row_says_when_its_object_was_created(files: dict[str, pq.ParquetFile], root: str) -> None:
    file = files[root]
    assert file.schema_arrow.field("_created").type == pa.timestamp("us", tz="UTC")
    rows: list[dict[str, Any]] = file.read(["_source", "_created"]).to_pylist()
    assert {(row["_source"].split("#")[0], row["_created"]) for row in rows} == {
        ("s3://bronze/bronze/shipments/a.jsonl", CREATED),
        ("s3://bronze/bronze/shipments/b.jsonl", CREATED.replace(day=30)),
    }


@pytest.mark.parametrize("names", [["_source"], ["raw", "_source"], ["_source", "raw", "more"]])
def test_a_table_of_other_columns_is_never_written(names: list[str]) -> None:
    columns = (QUARANTINE[4], QUARANTINE[7])
    with pytest.raises(ValueError, match="the table has the columns"):
        described(pa.table({name: ["x"] for name in names}), columns)
