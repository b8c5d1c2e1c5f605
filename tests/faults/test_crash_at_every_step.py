"""The worker is stopped at every step between receive and acknowledge; nothing is lost and nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.stack import Clients
from services.shared.contract.model import Contract
from services.shared.units import Unit
from tests.faults.rig import Rig, crash, shipments_and_nonsense
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
