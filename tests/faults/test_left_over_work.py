"""What another worker left of a committed lot is tidied after the delivery's own work, and harms none of it."""

from __future__ import annotations

from collections.abc import Iterable

from services.shared.ledger.items import lot_key, object_key, pack
from services.shared.units import Unit
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipment
from tests.support.lake import Clock, MemoryLake


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
