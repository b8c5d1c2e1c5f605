"""What the documents show works: the contract in docs/contracts.md, and the flights, row by row."""

from __future__ import annotations

import runpy
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.ops.contracts.check import check
from services.ops.contracts.number import write_ids
from services.shared.columns import LINEAGE, QUARANTINE
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import FieldType
from services.shared.judge.verdicts import Reason
from services.transform.blocks import lines_block
from services.transform.rows.parser import RowParser

ROOT = Path(__file__).resolve().parents[3]
FLIGHTS = ROOT / "examples" / "flights"


def test_the_contract_in_the_documents_is_accepted(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "contracts.md").read_text("utf-8")
    block = text.split("   ```yaml\n")[1].split("   ```\n")[0]
    file = tmp_path / "parcels.yaml"
    file.write_text(textwrap.dedent(block), "utf-8")
    assert write_ids(file) == {"handed_in_at": 5, "parcel_id": 6, "price": 7, "tags": 8}
    report = check(tmp_path)
    assert report.findings == ()
    assert [field.name for field in report.datasets[0].fields] == ["handed_in_at", "parcel_id", "price", "tags"]


@pytest.mark.parametrize("reason", Reason)
def test_the_documents_explain_every_reason(reason: Reason) -> None:
    assert f"| `{reason.value}` | " in (ROOT / "docs" / "contracts.md").read_text("utf-8")


def test_the_documents_list_the_columns_with_their_ids() -> None:
    text = (ROOT / "docs" / "contracts.md").read_text("utf-8")
    for column in LINEAGE:
        null = ", may be null" if column.nullable else ""
        type_ = "int64" if column.type is FieldType.INTEGER else column.type.value
        assert f"| `{column.name}` | {type_}{null} | {column.id} |" in text
    for column in QUARANTINE:
        assert f"`{column.name}` ({column.id}{', may be null' if column.nullable else ''})" in text


def test_every_real_flight_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "flights.jsonl"
    assert runpy.run_path(str(FLIGHTS / "export.py"))["write_jsonl"](file) == 336_776
    parser = RowParser(load_contracts(FLIGHTS))
    parsed = parser.parse(lines_block(file.read_bytes(), 0), "flights", datetime(2014, 1, 1, tzinfo=UTC))
    silver = parsed.silver["flights"]
    assert (silver.num_rows, parsed.quarantine.num_rows) == (336_776, 0)
    assert silver["dep_time"].null_count == 8_255, "the flights that were cancelled"
    assert silver["_rescued"].null_count == 336_776, "the contract knows every column"
