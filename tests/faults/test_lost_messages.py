"""Messages that are gone for good, as after a purge of the queue: announcing the object again brings the rest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from local.stack import Clients
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.planning.planner import Outcome, Planned, Planner
from services.shared.units import BronzeObject
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipment
from tests.support.faults import Interrupter
from tests.support.lake import BRONZE
from tests.support.queue import record


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    return Rig(clients.dynamodb, ledger_table, contracts)


def announce(rig: Rig, source: BronzeObject) -> tuple[Planned, list[str]]:
    """The object's event once more: what ingest makes of it, and what it puts on the queue."""
    sent: list[str] = []

    def send(bodies: Sequence[str]) -> None:
        sent.extend(bodies)

    planner = Planner(rig.ledger, BRONZE, rig.unit_bytes, send)
    return planner.plan(source, Deadline(lambda: INVOCATION_SECONDS, 5)), sent


def test_units_of_a_lot_that_its_worker_left_are_sent_again(rig: Rig) -> None:
    source = rig.upload("shipments", [shipment(number) for number in range(20)])
    assert len(rig.units) > 1
    assert rig.deliver(rig.units, Interrupter(first="put", action=crash)) is None
    rig.clock.advance(2 * INVOCATION_SECONDS)
    planned, sent = announce(rig, source)
    assert (planned.outcome, planned.units) == (Outcome.RESUMED, len(rig.units))
    result = rig.deliver_records([record(body, f"again-{number}") for number, body in enumerate(sent)])
    assert result is not None
    assert not result.failed
    rig.check_exactly_once()


def test_units_of_a_lot_that_a_worker_has_are_not(rig: Rig) -> None:
    source = rig.upload("shipments", [shipment(number) for number in range(20)])
    again: list[tuple[Planned, list[str]]] = []
    rig.deliver(rig.units, Interrupter(first="put", action=lambda: again.append(announce(rig, source))))
    assert again == [(Planned(Outcome.DUPLICATE), [])]


def test_only_units_that_are_not_committed_are_sent_again(rig: Rig) -> None:
    source = rig.upload("shipments", [shipment(number) for number in range(20)])
    first, *rest = rig.units
    rig.deliver([first])
    _, sent = announce(rig, source)
    assert sent == [unit.to_message() for unit in rest]
