"""Two workers with copies of one message: their attempts do not add up, and they do not try the unit side by side."""

from __future__ import annotations

import pytest

from services.shared.errors import Transient
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, UnitNotes
from services.transform.protocol.isolation import MAX_ATTEMPTS
from tests.faults.rig import Rig, shipment
from tests.support.faults import Interrupter, LostAnswers
from tests.support.queue import record


def test_two_workers_do_not_count_each_other_s_attempts_during_an_outage(rig: Rig) -> None:
    """It was: each round left one attempt more, and a healthy unit became a dead letter after five."""
    rig.upload("shipments", [shipment(1)])
    (unit,) = rig.units
    units = rig.ledger.units
    for _ in range(MAX_ATTEMPTS):
        seen_by_the_first = units.notes(unit.id)
        units.begin_attempt(unit.id, 60)
        rig.clock.advance(61)  # the first is slow, and not dead
        seen_by_the_second = units.notes(unit.id)
        units.begin_attempt(unit.id, 60)
        units.restore(unit.id, seen_by_the_first)
        units.restore(unit.id, seen_by_the_second)
    assert units.notes(unit.id) == UnitNotes()


def test_two_workers_do_not_take_each_other_s_attempts_back(rig: Rig) -> None:
    """One tries the unit with others and fails for no fault of it; the other tries it alone meanwhile, and dies."""
    rig.upload("shipments", [shipment(1)])
    (unit,) = rig.units
    rig.receives[f"m-{unit.id}"] = 1

    def the_other_begins_an_attempt() -> None:
        rig.ledger.units.begin_attempt(unit.id, 60)
        raise Transient("S3 is out")

    result = rig.deliver([unit], Interrupter(first="open", action=the_other_begins_an_attempt))
    assert result is not None
    assert result.failed
    found = rig.ledger.units.notes(unit.id)
    assert (found.suspect, found.attempts) == (0, 1)
    assert found.lease_until > rig.clock.now * 1000


def test_an_attempt_of_one_s_own_is_taken_back(rig: Rig) -> None:
    rig.upload("shipments", [shipment(1)])
    (unit,) = rig.units
    units = rig.ledger.units
    units.begin_attempt(unit.id, 60)
    rig.clock.advance(61)
    before = units.notes(unit.id)
    units.begin_attempt(unit.id, 60)
    units.restore(unit.id, before)
    assert units.notes(unit.id).attempts == 1


def test_two_workers_do_not_try_it_alone_at_the_same_time(rig: Rig) -> None:
    """One tries the unit for the fifth time; the other must not call it dead meanwhile."""
    rig.upload("shipments", [shipment(1)])
    (unit,) = rig.units
    for _ in range(MAX_ATTEMPTS - 1):
        rig.ledger.units.begin_attempt(unit.id, 0)
        rig.clock.advance(1)
    of_the_other = []

    def the_other_gets_a_copy() -> None:
        of_the_other.append(rig.deliver_records([record(unit.to_message(), "a copy of the message")]))

    first = rig.deliver([unit], Interrupter(first="open", action=the_other_gets_a_copy))
    (second,) = of_the_other
    assert first is not None
    assert second is not None
    assert not first.failed
    (held,) = second.failed.values()
    assert isinstance(held, LeaseHeld)
    assert held.until_ms > rig.clock.now * 1000
    rig.check_exactly_once()


def test_an_attempt_whose_answer_got_lost_is_one_s_own(rig: Rig) -> None:
    rig.upload("shipments", [shipment(1)])
    (unit,) = rig.units
    forgetful = Ledger(LostAnswers(rig.dynamodb), rig.table, rig.clock)
    forgetful.units.begin_attempt(unit.id, 60)
    assert rig.ledger.units.notes(unit.id).attempts == 1
    with pytest.raises(LeaseHeld):
        rig.ledger.units.begin_attempt(unit.id, 60)
