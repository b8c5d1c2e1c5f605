"""The worker is stopped at every step between receive and acknowledge; nothing is lost and nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.stack import Clients
from services.shared.contract import Contract
from services.shared.units import Unit
from tests.faults.rig import Rig, crash, shipment
from tests.support import Interrupter

LOT_BYTES = {"one lot in memory": 1 << 20, "a lot in parts": 2000}


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    """Two objects of several units, rows over three days, some of them bad: several files a lot."""
    rig = Rig(clients.dynamodb, ledger_table, contracts)
    rig.upload("shipments", [*(shipment(n, 1 + n % 3) for n in range(12)), b"{broken", b'{"event_time": 5}'])
    rig.upload("nonsense", [shipment(n) for n in range(4)])
    return rig


def one_by_one(units: list[Unit]) -> list[list[Unit]]:
    return [[unit] for unit in units]


def backwards(units: list[Unit]) -> list[list[Unit]]:
    return [units[::-1]]


def overlapping_pairs(units: list[Unit]) -> list[list[Unit]]:
    return [units[n : n + 2] for n in range(len(units))]


def steps_of(rig: Rig, lot_bytes: int) -> list[str]:
    """The calls of an invocation that nobody disturbs, on the rig's own units."""
    watch = Interrupter()
    assert rig.deliver(rig.units, watch, lot_bytes) is not None
    return watch.calls


@pytest.mark.parametrize("lot_bytes", LOT_BYTES.values(), ids=LOT_BYTES)
@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
@pytest.mark.parametrize("regroup", [one_by_one, backwards, overlapping_pairs])
def test_rows_stand_exactly_once_wherever_the_worker_stops(
    clients: Clients,
    ledger_table: str,
    contracts: dict[str, Contract],
    rig: Rig,
    lot_bytes: int,
    before: bool,
    regroup: Callable[[list[Unit]], list[list[Unit]]],
) -> None:
    steps = steps_of(rig, lot_bytes)
    assert steps.count("put") >= 3, steps
    rig.check_exactly_once()
    for at in range(1, len(steps) + 1):
        broken = Rig(clients.dynamodb, ledger_table, contracts)
        broken.upload("shipments", [*(shipment(n, 1 + n % 3) for n in range(12)), b"{broken", b'{"event_time": 5}'])
        broken.upload("nonsense", [shipment(n) for n in range(4)])
        assert broken.deliver(broken.units, Interrupter(at, before, crash), lot_bytes) is None, steps[at - 1]
        for group in regroup(broken.units):
            broken.deliver(group, lot_bytes=lot_bytes)  # the lease may still be alive: these may well come back
        broken.drain(broken.units)
        broken.check_exactly_once()
