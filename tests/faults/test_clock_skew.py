"""Workers and operators whose clocks are an hour wrong, among others, stopped at any call: each row stands once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from local.stack import Clients
from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from services.shared.units import BronzeObject
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipments_and_nonsense
from tests.faults.test_retry import a_bad_file_and_a_good_one
from tests.support.faults import Interrupter
from tests.support.lake import Clock
from tests.support.office import wider
from tests.support.rewriting import retract, retry

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


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
@pytest.mark.parametrize("seconds", [-200.0, -HOUR])
def test_a_retry_by_a_clock_that_is_behind_while_the_sweep_takes_it_for_dead(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], seconds: float, before: bool
) -> None:
    """Its lease is over by everybody else's clock: the sweep undoes the rewrite, and it goes on writing."""
    at = 0
    watch = Interrupter()
    while at <= len(watch.calls):
        at += 1
        rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300)
        a_bad_file_and_a_good_one(rig)
        rig.drain(rig.units)
        watch = Interrupter(at, before, partial(sweep, rig.ledger, rig.lake))  # type: ignore[arg-type]
        retry(skewed(rig, seconds), wider(contracts), watch)
        sweep(rig.ledger, rig.lake)
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
