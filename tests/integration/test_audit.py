"""The audit separates done objects from the others, and finds files that no committed lot references."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest

from local.ministack import ROOT
from local.stack import CREDENTIALS, Clients
from services.ops.audit import audit
from services.shared.contract.model import Contract
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts
from services.shared.units import BronzeObject, unit_count
from tests.faults.rig import Rig, crash, shipment
from tests.support.faults import Interrupter
from tests.support.lake import BRONZE, CREATED


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    return Rig(clients.dynamodb, ledger_table, contracts)


@pytest.fixture
def ledger(rig: Rig) -> Ledger:
    return Ledger(rig.dynamodb, rig.table, clock=rig.clock)


def plan(ledger: Ledger, source: BronzeObject, unit_bytes: int) -> None:
    """What ingest does, without a queue."""
    token = ledger.begin_planning(source, unit_count(source, unit_bytes), unit_bytes, 60)
    assert token
    ledger.finish_planning(source, token)


def test_an_object_is_done_when_all_its_units_are_committed(rig: Rig, ledger: Ledger) -> None:
    source = rig.upload("shipments", [shipment(n) for n in range(20)] + [b"{"])
    plan(ledger, source, rig.unit_bytes)
    assert len(rig.units) > 2
    rig.deliver(rig.units[:2])
    assert not audit(ledger, rig.lake.files).objects[source.id].is_done
    rig.deliver(rig.units)
    found = audit(ledger, rig.lake.files)
    assert found.findings == []
    assert found.objects[source.id].is_done
    assert found.counts == Counts(21, 20, 1)


def test_a_rejected_object_is_done_and_a_unit_that_fails_is_not(rig: Rig, ledger: Ledger) -> None:
    rejected = BronzeObject(BRONZE, "bronze/a.csv", 10, "e", None, CREATED)
    ledger.reject_object(rejected, "unsupported_format")
    vanished = rig.upload("shipments", [shipment(1)])
    plan(ledger, vanished, rig.unit_bytes)
    del rig.lake.objects[str(vanished.id)]
    rig.deliver(rig.units)
    found = audit(ledger, rig.lake.files)
    assert found.objects[rejected.id].is_done
    assert not found.objects[vanished.id].is_done
    assert "deleted" in found.objects[vanished.id].errors[0]


def test_files_of_a_pending_lot_are_not_a_finding(rig: Rig, ledger: Ledger) -> None:
    source = rig.upload("shipments", [shipment(1)])
    plan(ledger, source, rig.unit_bytes)
    rig.deliver(rig.units, Interrupter(4, before=False, action=crash))
    assert len(rig.lake.files) == 1
    found = audit(ledger, rig.lake.files)
    assert found.findings == []
    assert not found.objects[source.id].is_done


def test_a_file_that_no_lot_references_and_a_lot_whose_file_is_missing_are_found(rig: Rig, ledger: Ledger) -> None:
    plan(ledger, rig.upload("shipments", [shipment(1)]), rig.unit_bytes)
    rig.deliver(rig.units)
    (key,) = rig.lake.files
    orphan = "silver/shipments/dt=2026-01-01/20260101T000000Z-0123456789abcdef.parquet"
    assert ["not in the lake" in finding for finding in audit(ledger, []).findings] == [True]
    (finding,) = audit(ledger, [key, orphan]).findings
    assert orphan in finding and "no lot names it" in finding
    (finding,) = audit(ledger, [key, "silver/by-hand.parquet"]).findings
    assert "not a file that smelt writes" in finding


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def smelt_audit(emulator: str, clients: Clients, ledger_table: str) -> Command:
    """`smelt audit` as a person runs it, over this test's ledger and a bucket without files."""
    bucket = f"silver-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=bucket)

    def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        names = {"LEDGER_TABLE": ledger_table, "SILVER_BUCKET": bucket, "COLUMNS": "80"}
        command = [sys.executable, "-m", "services.ops.cli", "audit", *options]
        settings = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": emulator} | names | environment
        return subprocess.run(command, env=settings, cwd=ROOT, capture_output=True, text=True)

    return run


def test_the_command_shows_what_is_not_done_and_why(rig: Rig, ledger: Ledger, smelt_audit: Command) -> None:
    assert smelt_audit().returncode == 0
    ledger.reject_object(BronzeObject(BRONZE, "bronze/a.csv", 10, "e", None, CREATED), "unsupported_format")
    vanished = rig.upload("shipments", [shipment(1)])
    plan(ledger, vanished, rig.unit_bytes)
    del rig.lake.objects[str(vanished.id)]
    rig.deliver(rig.units)
    everything, unfinished = smelt_audit(), smelt_audit("--unfinished")
    assert [everything.returncode, unfinished.returncode] == [1, 1]
    assert "unsupported_format" in everything.stdout
    assert "unsupported_format" not in unfinished.stdout
    assert "was deleted" in unfinished.stdout


@pytest.mark.parametrize("wrong", [{"LEDGER_TABLE": "missing"}, {"SILVER_BUCKET": "missing-bucket"}])
def test_the_command_says_what_it_could_not_read(smelt_audit: Command, wrong: dict[str, str]) -> None:
    done = smelt_audit(**wrong)
    assert done.returncode == 2
    assert next(iter(wrong.values())) in done.stderr
    assert "Check the name and the region" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_asks_for_a_pipeline(smelt_audit: Command) -> None:
    nowhere = {"LEDGER_TABLE": "", "SILVER_BUCKET": ""}
    unnamed = smelt_audit(**nowhere)
    assert (unnamed.returncode, "No pipeline given" in unnamed.stderr) == (2, True)


def test_the_command_prints_json(rig: Rig, ledger: Ledger, smelt_audit: Command) -> None:
    source = rig.upload("shipments", [shipment(1), b"{"])
    plan(ledger, source, rig.unit_bytes)
    rig.deliver(rig.units)
    done = smelt_audit("--json")
    told = json.loads(done.stdout)
    (account,) = told["objects"]
    assert (account["object"], account["done"], account["rows_quarantined"]) == (str(source.id), True, 1)
    assert len(told["findings"]) == 2  # the rig's files are not in this bucket
    assert done.returncode == 1
