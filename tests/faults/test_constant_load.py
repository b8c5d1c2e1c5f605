"""Work that needs most of an invocation is finished while new work comes in with every delivery, all of it in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.shared.units import Unit
from services.transform.blocks import Piece
from services.transform.reading.reader import UnitReader
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipment
from tests.support.faults import Interrupter

NEW_UNITS = 3  # with each delivery
SECONDS_OF_NEW_UNIT = 8  # 24 s for all of them, of the 45 s before our reserve


class TimedReader(UnitReader):
    """Takes a time for the first piece of each unit, and looks at the deadline before it hands the piece on."""

    def __init__(self, lake: Any, clock: Any, seconds: Mapping[str, float]) -> None:
        super().__init__(lake, max_row_bytes=4096, block_bytes=512)
        self._clock, self._seconds = clock, seconds

    def read(self, unit: Unit, start: Any = None, check: Any = None, **more: Any) -> Iterator[Piece]:
        self._clock.advance(self._seconds.get(str(unit.id), SECONDS_OF_NEW_UNIT))
        check()
        yield from super().read(unit, start, check, **more)


def takes(rig: Rig, units: Sequence[Unit], seconds: float) -> None:
    """From now on, reading each of these units takes so long."""
    known = {str(unit.id): seconds for unit in units}
    rig.reader = lambda lake: TimedReader(lake, rig.clock, known)


def under_load(rig: Rig, slow: Sequence[Unit], deliveries: int = 12) -> None:
    """Deliver new units with all that came back, as SQS does, until the slow ones are acknowledged."""
    pending = list(slow)
    for number in range(deliveries):
        for _ in range(NEW_UNITS):
            rig.upload("shipments", [shipment(number)])
        delivered = [*rig.units[-NEW_UNITS:], *pending]
        done = {unit.id for unit in rig.acknowledged(delivered, rig.deliver(delivered))}
        pending = [unit for unit in delivered if unit.id not in done]
        if done >= {unit.id for unit in slow}:
            rig.drain(pending)
            rig.check_exactly_once()
            return
    raise AssertionError(f"not finished after {deliveries} deliveries")


def test_a_lot_that_its_worker_left(rig: Rig) -> None:
    """It was: behind new units its time was never enough, and as that was not its fault, it was never tried first."""
    for number in range(2):
        rig.upload("shipments", [shipment(number)])
    slow = list(rig.units)
    assert rig.deliver(slow, Interrupter(first="put", action=crash)) is None
    rig.clock.advance(2 * INVOCATION_SECONDS)
    takes(rig, slow, 15)
    under_load(rig, slow)


def test_a_large_unit_that_first_reads_again_what_is_done(rig: Rig) -> None:
    rig.upload("shipments", [shipment(number) for number in range(60)], ".jsonl.gz")
    large = rig.units[-1]
    watch = Interrupter(first="transact_write_items", before=False, action=lambda: rig.clock.advance(50))
    rig.deliver([large], watch, lot_bytes=3000)
    takes(rig, [large], 30)
    under_load(rig, [large])


def test_a_unit_that_failed_once_before(rig: Rig) -> None:
    """It was: a unit with an attempt was never tried before its neighbours, and behind them never in time."""
    rig.upload("shipments", [shipment(1)])
    slow = rig.units[-1]
    units = rig.ledger.units
    units.count_failure(slow.id, units.notes(slow.id), "an accident")
    takes(rig, [slow], 35)
    under_load(rig, [slow])


def test_a_unit_that_killed_its_worker_is_not_tried_before_its_neighbours(rig: Rig) -> None:
    rig.upload("shipments", [shipment(1)])
    slow = rig.units[-1]
    units = rig.ledger.units
    units.count_stall(slow.id, units.notes(slow.id))
    units.begin_attempt(slow.id, INVOCATION_SECONDS)
    rig.clock.advance(2 * INVOCATION_SECONDS)
    takes(rig, [slow], 35)
    rig.upload("shipments", [shipment(2)])
    neighbour = rig.units[-1]
    result = rig.deliver([slow, neighbour])
    assert rig.acknowledged([slow, neighbour], result)[-1] == neighbour
    assert result is not None
    assert result.reports[0].units == (neighbour,)
