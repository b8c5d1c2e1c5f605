"""Walking the grids of objects in the ledger: which units are committed. Consistent reads, bounded memory.

Small objects share look-ups; the units of a large one (S3's limit makes 800,000 units of 64 MiB) come in slices.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.records import Counts, LedgerObject, Lot, UnitRecord

T = TypeVar("T")

UNITS_PER_LOOK = 1000
LOTS_PER_READ = 20  # a lot's item has up to 400 KB


class Records(Protocol):
    """Reads by name: the ledger's, or ledger and history together."""

    def find_objects(self, ids: Iterable[ObjectId]) -> Iterator[LedgerObject]: ...

    def find_units(self, ids: Iterable[UnitId]) -> Iterator[UnitRecord]: ...

    def find_lots(self, ids: Iterable[LotId]) -> Iterator[Lot]: ...


@dataclass(frozen=True, slots=True)
class Slice:
    """Units `[first, last)` of an object's grid, by number."""

    object: LedgerObject
    first: int
    last: int

    @property
    def ends_object(self) -> bool:
        return self.last >= self.object.plan.units

    @property
    def units(self) -> Iterator[UnitId]:
        return (self.object.plan.unit(number).id for number in range(self.first, self.last))


@dataclass(frozen=True, slots=True)
class Look:
    """What the ledger says of some units."""

    committed: dict[UnitId, Counts]
    records: dict[UnitId, UnitRecord]  # those of which it knows anything
    refused: dict[UnitId, dict[str, int]]  # of those committed: rows in quarantine by reason, where there are some

    def dead(self, units: Iterable[UnitId]) -> list[UnitId]:
        """Those of them that are dead letters: in no lot, and given up."""
        found = (self.records.get(unit) for unit in units)
        return [record.id for record in found if record and record.lot is None and record.notes.dead]

    def errors(self, units: Iterable[UnitId]) -> list[str]:
        """The last errors of those of them that are in no lot."""
        found = (self.records.get(unit) for unit in units)
        return [
            f"unit {record.id.start}-{record.id.end}: {record.notes.last_error}"
            for record in found
            if record and record.lot is None and record.notes.last_error
        ]


def slices(
    objects: Iterable[LedgerObject], first_unit: int = 0, skip: Container[ObjectId] = ()
) -> Iterator[list[Slice]]:
    """Groups of slices with at most UNITS_PER_LOOK units each, in the objects' order.

    `first_unit` is where the first object's units begin. An object that the caller puts into `skip` while the groups
    are made gets no further slice.
    """
    group, room = list[Slice](), UNITS_PER_LOOK
    for known in objects:
        at, first_unit = first_unit, 0
        while True:
            last = min(at + room, known.plan.units)
            group.append(Slice(known, at, last))
            room -= last - at
            at = last
            if room:
                break
            yield group
            group, room = [], UNITS_PER_LOOK
            if at >= known.plan.units or known.id in skip:
                break
    if group:
        yield group


def look_at(ledger: Records, units: Sequence[UnitId]) -> Look:
    """Which of these units are in a committed lot that lists them, with their rows."""
    records = {record.id: record for record in ledger.find_units(units)}
    lots = {record.lot for record in records.values() if record.lot}
    committed: dict[UnitId, Counts] = {}
    refused: dict[UnitId, dict[str, int]] = {}
    for batch in batched(lots, LOTS_PER_READ):
        for lot in ledger.find_lots(batch):
            if lot.state.holds_rows:
                counted = zip(lot.units, lot.unit_counts, strict=False)
                mine = {unit: rows for unit, rows in counted if unit in records and records[unit].lot == lot.id}
                committed |= mine
                refused |= {unit: lot.reasons_of(unit, rows) for unit, rows in mine.items() if rows.quarantined}
    return Look(committed, records, refused)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def in_batches_of_lots(lots: Iterable[LotId]) -> Iterator[list[LotId]]:
    """As many lots as may be read at once."""
    return batched(lots, LOTS_PER_READ)
