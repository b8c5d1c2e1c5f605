"""The worker is stopped at every step between receive and acknowledge; nothing is lost and nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from local.stack import Clients
from services.shared.contract.model import Contract
from services.shared.units import Unit
from tests.faults.rig import Rig, crash, shipment, shipments_and_nonsense
from tests.support.faults import Interrupter

LOT_BYTES = {"one lot in memory": 1 << 20, "a lot in parts": 2000}


def one_by_one(units: list[Unit]) -> list[list[Unit]]:
    return [[unit] for unit in units]


def backwards(units: list[Unit]) -> list[list[Unit]]:
    return [units[::-1]]


def overlapping_pairs(units: list[Unit]) -> list[list[Unit]]:
    return [units[n : n + 2] for n in range(len(units))]


@pytest.mark.parametrize("lot_bytes", LOT_BYTES.values(), ids=LOT_BYTES)
@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
@pytest.mark.parametrize("regroup", [one_by_one, backwards, overlapping_pairs])
def test_rows_stand_exactly_once_wherever_the_worker_stops(
    clients: Clients,
    ledger_table: str,
    contracts: dict[str, Contract],
    lot_bytes: int,
    before: bool,
    regroup: Callable[[list[Unit]], list[list[Unit]]],
) -> None:
    def rig() -> Rig:
        return shipments_and_nonsense(Rig(clients.dynamodb, ledger_table, contracts))

    undisturbed, watch = rig(), Interrupter()
    assert undisturbed.deliver(undisturbed.units, watch, lot_bytes) is not None
    undisturbed.check_exactly_once()
    assert watch.calls.count("put") >= 3  # there are pairs of file writes to stop between

    for at, call in enumerate(watch.calls, start=1):
        broken = rig()
        assert broken.deliver(broken.units, Interrupter(at, before, crash), lot_bytes) is None, call
        for group in regroup(broken.units):
            broken.deliver(group, lot_bytes=lot_bytes)  # the lease may still be alive: these may well come back
        broken.drain(broken.units)
        broken.check_exactly_once()


ROWS = [*(shipment(number, 1 + number % 3) for number in range(30)), b'{"event_time": 5}']
FORMS = {
    "documents": ((), b"".join(row.replace(b", ", b",\n") for row in ROWS)),
    "an envelope": (("data", "items"), b'{"by": "us", "data": {"items": [' + b", ".join(ROWS) + b']}, "end": [1]}'),
    "many envelopes": (("items",), b"\n".join(b'{"by": "us", "items": [' + row + b', {"x": 1}]}' for row in ROWS[:14])),
    "an envelope without rows": (("items",), b'{"data": {"items": [' + b", ".join(ROWS) + b"]}}"),
}


def expect_form(rig: Rig, form: str) -> Rig:
    """A rig with an object of this form, which is planned in several units, and another one of lines."""
    path, data = FORMS[form]
    contract = replace(rig.contracts["shipments"], rows_path=path, envelope_fields=(("sender", ("by",)),) * bool(path))
    lines = replace(contract, dataset="others", rows_path=(), envelope_fields=())
    rig.contracts = {**rig.contracts, "shipments": contract, "others": lines}
    source = rig.lake.upload(f"bronze/shipments/{rig.name}-stream", data)
    starts, at = [0], 0
    if form != "an envelope without rows":
        rows = [b'{"event_time"', b'{"x"'] if form == "many envelopes" else [b'{"event_time"']
        starts = [at for at in range(len(data)) if data.startswith(tuple(rows), at)]
    for at in starts:
        rig.expected[str(source.id), at] += 1
    rig.plan(source)
    rig.upload("others", [shipment(number) for number in range(6)])
    return rig


@pytest.mark.parametrize("lot_bytes", LOT_BYTES.values(), ids=LOT_BYTES)
@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
@pytest.mark.parametrize("form", FORMS)
def test_rows_of_documents_and_envelopes_stand_exactly_once_wherever_the_worker_stops(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], form: str, lot_bytes: int, before: bool
) -> None:
    def rig() -> Rig:
        return expect_form(Rig(clients.dynamodb, ledger_table, contracts), form)

    undisturbed, watch = rig(), Interrupter()
    assert len({unit.object for unit in undisturbed.units}) == 2
    assert len(undisturbed.units) > 3
    assert undisturbed.deliver(undisturbed.units, watch, lot_bytes) is not None
    undisturbed.drain(undisturbed.units, lot_bytes=lot_bytes)
    undisturbed.check_exactly_once()

    for at, call in enumerate(watch.calls, start=1):
        broken = rig()
        assert broken.deliver(broken.units, Interrupter(at, before, crash), lot_bytes) is None, call
        broken.deliver(
            broken.units[::-1], lot_bytes=lot_bytes
        )  # the lease may still be alive: these may well come back
        broken.drain(broken.units, lot_bytes=lot_bytes)
        broken.check_exactly_once()
