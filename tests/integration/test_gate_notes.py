"""What the ledger remembers of the gate, and `smelt status` shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from local.stack import Clients
from services.ops.cli.app import app
from services.ops.cli.console import ExitCode, execute
from services.shared.ledger.gates import Gates, Said
from services.shared.ledger.ledger import Ledger
from tests.support.faults import Interrupted, Interrupter

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def _said(dt: str, verdict: str, minute: int = 0, dataset: str = "shipments") -> Said:
    run = f"ge/results/{dataset}/dt={dt}/20260131T12{minute:02d}00Z-{'a' * 16}/"
    return Said(dt, verdict, run, AT + timedelta(minutes=minute))


def _note(gates: Gates, said: Said, dataset: str = "shipments") -> None:
    gates.note(dataset, said, is_open=said.verdict != "passed")


@pytest.fixture
def ledger(clients: Clients, ledger_table: str) -> Ledger:
    return Ledger(clients.dynamodb, ledger_table)


def test_a_partition_stays_in_sight_until_it_passes(ledger: Ledger) -> None:
    _note(ledger.gates, _said("2026-01-01", "failed", 1))
    _note(ledger.gates, _said("2026-01-02", "passed", 2))
    (gate,) = ledger.gates.all()
    assert (gate.last.dt, gate.last.verdict, list(gate.not_passed)) == ("2026-01-02", "passed", ["2026-01-01"])
    _note(ledger.gates, _said("2026-01-01", "passed", 3))
    assert ledger.gates.all()[0].not_passed == {}


def test_an_older_run_that_ends_later_changes_nothing(ledger: Ledger) -> None:
    _note(ledger.gates, _said("2026-01-01", "passed", 5))
    _note(ledger.gates, _said("2026-01-01", "error", 4))
    (gate,) = ledger.gates.all()
    assert (gate.last.verdict, gate.not_passed) == ("passed", {})


def test_two_at_once_lose_nothing(clients: Clients, ledger_table: str) -> None:
    other = Ledger(clients.dynamodb, ledger_table)
    for at in (1, 2):  # before the item is read, and before it is written
        interrupter = Interrupter(
            at=at,
            action=lambda at=at: _note(other.gates, _said(f"2026-02-0{at}", "failed", at)),  # type: ignore[misc]
        )
        client = Interrupted(clients.dynamodb, interrupter, ("put_item", "get_item", "batch_get_item"))
        _note(Ledger(client, ledger_table).gates, _said(f"2026-03-0{at}", "error", at))
    (gate,) = other.gates.all()
    assert sorted(gate.not_passed) == [f"2026-0{month}-0{day}" for month in (2, 3) for day in (1, 2)]


def test_status_shows_each_dataset_s_gate_and_waits_for_a_person(
    ledger: Ledger,
    ledger_table: str,
    emulator: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    _note(ledger.gates, _said("2026-01-01", "passed", dataset="smoke"), "smoke")
    assert execute(app, ["status", "--table", ledger_table]) == ExitCode.OK
    _note(ledger.gates, _said("2026-01-01", "failed"))
    capsys.readouterr()
    assert execute(app, ["status", "--table", ledger_table]) == ExitCode.FOUND
    shown = " ".join(capsys.readouterr().out.split())
    assert "shipments 2026-01-01 failed" in shown
    assert "1 partitions that have not passed the gate: `make ge-history`" in shown
    execute(app, ["status", "--table", ledger_table, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [gate["dataset"] for gate in told["gates"]] == ["shipments", "smoke"]
    assert told["gates"][0]["not_passed"][0]["verdict"] == "failed"
