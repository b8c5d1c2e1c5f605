"""Workers and operators whose clocks are an hour wrong, among others, stopped at any call: each row stands once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from local.stack import Clients
from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from services.shared.units import BronzeObject
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipments_and_nonsense
from tests.support.faults import Interrupter
from tests.support.lake import Clock
from tests.support.rewriting import retract

HOUR = 3600.0
SKEWS = [HOUR, -HOUR, 20.0, -20.0]


def skewed(rig: Rig, seconds: float) -> Rig:
    """The same pipeline, seen by somebody whose clock is wrong."""
    return replace(rig, clock=Clock(rig.clock.now + seconds))


@pytest.fixture
def two_objects(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Any:
    return lambda: shipments_and_nonsense(Rig(clients.dynamodb, ledger_table, contracts))


@pytest.mark.parametrize("seconds", SKEWS)
@pytest.mark.parametrize("dies", [True, False], ids=["it dies", "another comes in between"])
def test_a_worker_with_a_wrong_clock(two_objects: Any, seconds: float, dies: bool) -> None:
    watch = Interrupter()
    first = two_objects()
    skewed(first, seconds).deliver(first.units, watch)
    first.drain(first.units)
    first.check_exactly_once()
    for at in range(1, len(watch.calls) + 1):
        rig = two_objects()
        other = skewed(rig, seconds)

        def meanwhile(rig: Rig = rig) -> None:
            rig.deliver(rig.units)

        other.deliver(rig.units, Interrupter(at, before=False, action=crash if dies else meanwhile))
        rig.clock.advance(HOUR + 2 * INVOCATION_SECONDS)  # until its leases are over for the others, too
        rig.drain(rig.units)
        sweep(rig.ledger, rig.lake)
        rig.delete_of_paused_worker()
        rig.check_exactly_once()


@pytest.mark.parametrize("seconds", SKEWS)
def test_an_operator_with_a_wrong_clock(two_objects: Any, seconds: float) -> None:
    def load(rig: Rig) -> BronzeObject:
        rig.drain(rig.units)
        return rig.units[0].object

    watch = Interrupter()
    first = two_objects()
    wrong = load(first)
    assert retract(skewed(first, seconds), wrong, watch) is not None
    for at in range(1, len(watch.calls) + 1, 2):
        rig = two_objects()
        wrong = load(rig)
        retract(skewed(rig, seconds), wrong, Interrupter(at, action=crash))
        rig.clock.advance(HOUR + INVOCATION_SECONDS)
        assert retract(rig, wrong) is not None
        rig.forget(wrong)
        sweep(rig.ledger, rig.lake)
        rig.check_exactly_once()
