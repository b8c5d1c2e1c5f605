"""What another worker left of a committed lot is tidied after the delivery's own work, and harms none of it."""

from __future__ import annotations

from collections.abc import Iterable

from services.shared.ledger.items import lot_key, object_key, pack
from services.shared.ledger.records import Lot, LotState, ObjectState
from services.shared.units import Unit
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipment
from tests.support.faults import Interrupter
from tests.support.lake import Clock, MemoryLake
from tests.support.rewriting import retract


class SlowDeletes(MemoryLake):
    """A bucket in which deleting takes longer than an invocation."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def delete(self, keys: Iterable[str]) -> None:
        list(keys)
        self._clock.advance(2 * INVOCATION_SECONDS)
        crash()


def committed(rig: Rig) -> list[Unit]:
    """Two units in one committed lot."""
    for number in range(2):
        rig.upload("shipments", [shipment(number)])
    units = list(rig.units)
    rig.deliver(units)
    return units


def test_new_units_are_committed_before_files_that_take_longer_than_the_invocation_are_deleted(rig: Rig) -> None:
    rig.lake = SlowDeletes(rig.clock)
    old, _ = committed(rig)
    (lot,) = rig.look_up().lots
    rig.dynamodb.update_item(
        TableName=rig.table,
        Key=lot_key(lot),
        UpdateExpression="SET outputs = :outputs",
        ExpressionAttributeValues={":outputs": pack([f"silver/shipments/dt=2026-01-09/{lot}.parquet"])},
    )
    rig.upload("shipments", [shipment(7)])
    assert rig.deliver([old, rig.units[-1]]) is None  # it died while deleting
    assert rig.lake.positions() == rig.expected


def test_a_committed_lot_with_an_object_that_the_ledger_lost_harms_no_other_message(rig: Rig) -> None:
    old, gone = committed(rig)
    rig.dynamodb.delete_item(TableName=rig.table, Key=object_key(gone.object.id))
    rig.upload("shipments", [shipment(7)])
    result = rig.deliver([old, rig.units[-1]])
    assert result is not None
    assert (result.failed, result.duplicates) == ({}, 1)
    assert rig.lake.positions() == rig.expected


class OneSecondEach(MemoryLake):
    """A bucket in which deleting some files takes a second; counts what was deleted."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.deleted = 0

    def delete(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self.deleted += len(keys)
        self._clock.advance(1)
        super().delete(keys)


def with_outputs(rig: Rig, lot: Lot, count: int) -> None:
    """As if executions had written this many more files of a lot."""
    keys = [f"silver/shipments/dt=2026-01-09/{lot.id}-{number:04d}.parquet" for number in range(count)]
    rig.dynamodb.update_item(
        TableName=rig.table,
        Key=lot_key(lot.id),
        UpdateExpression="SET outputs = :outputs",
        ExpressionAttributeValues={":outputs": pack(keys)},
    )


def test_tidying_ends_before_the_worker_is_stopped(rig: Rig) -> None:
    rig.lake = lake = OneSecondEach(rig.clock)
    old, _ = committed(rig)
    (lot,) = rig.look_up().lots.values()
    with_outputs(rig, lot, 8000)
    end = rig.clock.now + INVOCATION_SECONDS
    result = rig.deliver([old])
    assert result is not None and not result.failed
    assert 0 < lake.deleted < 8000
    assert rig.clock.now < end
    (lot,) = rig.look_up().lots.values()
    assert len(lot.outputs) == 8000  # the sweep deletes the rest


def test_dissolving_ends_before_the_worker_is_stopped_and_the_next_goes_on(rig: Rig) -> None:
    rig.lake = lake = OneSecondEach(rig.clock)
    rig.upload("shipments", [shipment(1)])
    assert rig.deliver(rig.units, Interrupter(first="put", before=True, action=crash)) is None
    (lot,) = rig.look_up().lots.values()
    with_outputs(rig, lot, 5000)
    rig.clock.advance(2 * INVOCATION_SECONDS)
    content = dict(rig.lake.objects)
    rig.lake.objects.clear()
    end = rig.clock.now + INVOCATION_SECONDS
    result = rig.deliver(rig.units)
    assert result is not None and result.failed
    assert rig.clock.now < end
    (lot,) = rig.look_up().lots.values()
    assert (lot.state, lot.lease_until) == (LotState.DISSOLVING, 0)
    rig.lake.objects.update(content)
    rig.invocation_seconds = 2 * INVOCATION_SECONDS  # S3 is faster again
    assert rig.deliver(rig.units) is not None
    assert not rig.look_up().lots
    assert lake.deleted > 5000
    rig.drain(rig.units)
    assert rig.lake.positions() == rig.expected


def test_an_object_that_is_let_in_again_meanwhile_is_not_done(rig: Rig) -> None:
    """Its lot was committed when the delivery began. Then an operator loads the object once more."""
    source = rig.upload("shipments", [shipment(1)])
    assert rig.deliver(rig.units, Interrupter(first="update_item", before=False, action=crash)) is None
    rig.upload("shipments", [shipment(2)])

    def load_again() -> None:
        rig.clock.advance(1)
        assert retract(rig, source) is not None
        planning = rig.ledger.objects.begin(rig.ledger.objects.reopen(source.id).source, rig.unit_bytes, 60)
        rig.ledger.objects.finish(planning)

    result = rig.deliver(rig.units, Interrupter(first="put", before=True, action=load_again))
    assert result is not None and not result.failed
    (known,) = rig.ledger.find_objects([source.id])
    assert known.state is ObjectState.PLANNED
    rig.drain(rig.units[:1])
    assert rig.lake.positions() == rig.expected


def test_an_object_that_is_let_in_again_right_after_its_commit_is_not_done(rig: Rig) -> None:
    """A forced replay comes between the worker's commit and its mark; nobody has read the new units yet."""
    rig.upload("shipments", [shipment(1)])
    watch = Interrupter()
    rig.deliver(rig.units, watch)
    source = rig.upload("shipments", [shipment(2)])

    def load_again() -> None:
        rig.clock.advance(1)
        assert retract(rig, source) is not None
        rig.ledger.objects.finish(rig.ledger.objects.begin(rig.ledger.objects.reopen(source.id).source, 1, 60))

    rig.deliver(rig.units[1:], Interrupter(len(watch.calls), before=True, action=load_again))  # the mark comes last
    assert rig.state_of(source) is ObjectState.PLANNED
    rig.drain(rig.units)
    rig.tidy()
    rig.check_exactly_once()
    assert rig.state_of(source) is ObjectState.DONE
