"""What the documents show works: the contract in docs/contracts.md, and the flights, row by row."""

from __future__ import annotations

import runpy
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.ops.contracts_check import check
from services.shared.contract.loader import load_contracts
from services.shared.judge.verdicts import Reason
from services.transform.blocks import lines_block
from services.transform.rows.parser import RowParser

ROOT = Path(__file__).resolve().parents[3]
FLIGHTS = ROOT / "examples" / "flights"


def test_the_contract_in_the_documents_is_accepted(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "contracts.md").read_text("utf-8")
    block = text.split("   ```yaml\n")[1].split("   ```\n")[0]
    (tmp_path / "parcels.yaml").write_text(textwrap.dedent(block), "utf-8")
    report = check(tmp_path)
    assert report.findings == ()
    assert [field.name for field in report.datasets[0].fields] == ["handed_in_at", "parcel_id", "price", "tags"]


@pytest.mark.parametrize("reason", Reason)
def test_the_documents_explain_every_reason(reason: Reason) -> None:
    assert f"| `{reason.value}` | " in (ROOT / "docs" / "contracts.md").read_text("utf-8")


def test_every_real_flight_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "flights.jsonl"
    assert runpy.run_path(str(FLIGHTS / "export.py"))["write_jsonl"](file) == 336_776
    parser = RowParser(load_contracts(FLIGHTS))
    parsed = parser.parse(lines_block(file.read_bytes(), 0), "flights", datetime(2014, 1, 1, tzinfo=UTC))
    silver = parsed.silver["flights"]
    assert (silver.num_rows, parsed.quarantine.num_rows) == (336_776, 0)
    assert silver["dep_time"].null_count == 8_255, "the flights that were cancelled"
    assert silver["_rescued"].null_count == 336_776, "the contract knows every column"
