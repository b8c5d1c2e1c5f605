"""A contract grows: files that are older than a column are read as null there, beside files of today."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from services.ops.contracts.compare import compare
from services.ops.contracts.findings import Level
from services.ops.contracts.number import write_ids
from services.ops.lake.catalog import LakeCatalog, sqlite_catalog
from services.shared.contract.loader import load_contract
from services.shared.contract.model import Contract
from tests.support.catalog import NESTED, ORDER, file_schema, written_from
from workbench.query.athena import LocalAthena

GROWN = (
    ("version: 1.0.0", "version: 1.1.0"),
    ("DECIMAL(14, 4)", "decimal(18,4)"),
    (
        "          - name: homeTown\n",
        "          - name: vip\n            logicalType: boolean\n          - name: homeTown\n",
    ),
    (
        "      - name: lines\n",
        "      - name: channel\n        logicalType: string\n        description: Where.\n      - name: lines\n",
    ),
)
NEW_ORDER = (
    ORDER.replace(b'"order_id": "o1"', b'"order_id": "o2", "channel": "web"')
    .replace(b'"id": 7', b'"id": 8, "vip": true')
    .replace(b'"total": 12.5', b'"total": 12345678901234.5')
)


@pytest.fixture
def contracts(tmp_path: Path) -> tuple[Contract, Contract]:
    """The contract as it was, and as it is."""
    text = NESTED.read_text()
    for old, new in GROWN:
        assert old in text
        text = text.replace(old, new, 1)
    file = tmp_path / "orders.yaml"
    file.write_text(text)
    assert set(write_ids(file)) == {"channel", "customer.vip"}
    return load_contract(NESTED), load_contract(file)


@pytest.fixture
def lake(tmp_path: Path, contracts: tuple[Contract, Contract]) -> Path:
    folder = tmp_path / "lake"
    for name, lines, contract in (("old", ORDER, contracts[0]), ("new", NEW_ORDER, contracts[1])):
        file = folder / f"silver/orders/dt=2021-03-04/{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(written_from(lines, contract, {"orders": contract}))
    return folder


def test_the_change_is_compatible(contracts: tuple[Contract, Contract]) -> None:
    assert {finding.level for finding in compare(*contracts)} == {Level.COMPATIBLE}


def test_old_files_are_null_in_columns_that_came_later(lake: Path) -> None:
    answer = LocalAthena(lake).query(
        "SELECT order_id, channel, customer.vip, customer.hometown, total FROM silver "
        "WHERE record_type = 'orders' ORDER BY order_id"
    )
    assert answer.rows == [
        ("o1", None, None, "Oslo", Decimal("12.5000")),
        ("o2", "web", True, "Oslo", Decimal("12345678901234.5000")),
    ]


def test_the_lakes_table_grows_and_reads_both(tmp_path: Path, lake: Path, contracts: tuple[Contract, Contract]) -> None:
    """PyIceberg, by field ids; the table was made when there was only the old contract."""
    catalog = LakeCatalog(sqlite_catalog(tmp_path / "catalog.db"), "lake", f"file://{lake}")
    for name, contract in zip(("old", "new"), contracts, strict=True):
        catalog.ensure(contract).add_files([str(lake / f"silver/orders/dt=2021-03-04/{name}.parquet")])
    table = catalog.find("orders")
    assert table is not None
    rows = sorted(table.scan().to_arrow().to_pylist(), key=lambda row: row["order_id"])
    assert [(row["order_id"], row["channel"], row["customer"]["vip"], row["total"]) for row in rows] == [
        ("o1", None, None, Decimal("12.5000")),
        ("o2", "web", True, Decimal("12345678901234.5000")),
    ]


def test_what_they_share_has_the_same_ids_in_both(lake: Path) -> None:
    old, new = (
        file_schema((lake / f"silver/orders/dt=2021-03-04/{name}.parquet").read_bytes()) for name in ("old", "new")
    )
    for field in old:
        assert field.metadata == new.field(field.name).metadata
    assert new.names[:7] == old.names[:7]
    assert [name for name in new.names if name not in old.names] == ["channel"]


def test_readers_that_take_the_new_schema_read_old_files_by_it(lake: Path) -> None:
    files = sorted((lake / "silver/orders/dt=2021-03-04").glob("*.parquet"))
    schema = file_schema(files[0].read_bytes())  # new.parquet
    table = ds.dataset(files, schema=schema).to_table(columns=["order_id", "channel"]).sort_by("order_id")
    assert table["channel"].to_pylist() == [None, "web"]
