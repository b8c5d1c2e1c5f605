"""The ledger over one table: the transitions of objects, units and lots, and the look-ups that need several of them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.archive import Archive
from services.shared.ledger.cursors import Cursors
from services.shared.ledger.entries import OpenEntry, entries_of
from services.shared.ledger.gates import Gates
from services.shared.ledger.home import Home
from services.shared.ledger.items import (
    OPEN_SHARDS,
    lot_from,
    lot_key,
    object_from,
    object_key,
    record_from,
    unit_from,
    unit_key,
)
from services.shared.ledger.leases import Leases
from services.shared.ledger.lots import Lots
from services.shared.ledger.marks import Marks
from services.shared.ledger.objects import Objects
from services.shared.ledger.records import LedgerObject, Lookup, Lot, Outbox, UnitRecord
from services.shared.ledger.releases import Releases
from services.shared.ledger.rewrites import Rewrites
from services.shared.ledger.table import LedgerTable
from services.shared.ledger.units import Units

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


_RECORDS = ("object#", "unit#", "lot#")  # what else is in the table belongs to walks over it
_FINISHED_PAGE = 250  # entries of each shard that are held at once when all shards are read side by side
Kind = Literal["object", "lot", "done", "committed", "publish", "events"]


class Ledger:
    """`objects`, `units` and `lots` hold the transitions.

    Args:
        clock: gives epoch seconds; replaced in tests.
        outboxes: who is told of each commit by a mark; rewrites also tell those that the ledger itself knows.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        clock: Callable[[], float] = time.time,
        outboxes: Iterable[Outbox] = (),
    ) -> None:
        self._table = LedgerTable(client, table, clock)
        self.marks = Marks(self._table, outboxes)
        self.objects = Objects(self._table)
        self.units = Units(self._table)
        self.lots = Lots(self._table, self.marks)
        self.rewrites = Rewrites(self._table, self.marks)
        self.releases = Releases(self._table)
        self.archive = Archive(self._table)
        self.cursors = Cursors(self._table)
        self.home = Home(self._table)
        self.gates = Gates(self._table)
        self.leases = Leases(self._table)

    def now_ms(self) -> int:
        """The ledger's time, by which leases end: epoch milliseconds."""
        return self._table.now_ms()

    def look_up(self, units: Iterable[UnitId]) -> Lookup:
        """These units, their objects, the lots that hold them, and the objects of all units of those lots.

        Every read is strongly consistent.
        """
        asked = frozenset(units)
        wanted = {unit.object for unit in asked}
        items = self._table.get_many([*map(object_key, wanted), *map(unit_key, asked)])
        records = [record_from(item) for item in items]
        found_units = [record for record in records if isinstance(record, UnitRecord)]
        bound = {record.id: record.lot for record in found_units if record.lot}
        lots = [lot_from(item) for item in self._table.get_many([lot_key(lot) for lot in set(bound.values())])]
        by_id = {lot.id: lot for lot in lots}
        objects = {record.id: record for record in records if isinstance(record, LedgerObject)}
        others = {unit.object for lot in lots for unit in lot.units} - objects.keys()
        objects |= {found.id: found for found in self.find_objects(others)}
        return Lookup(
            asked=asked,
            objects=objects,
            notes={record.id: record.notes for record in found_units},
            lots=by_id,
            # A unit whose lot is gone was read while a dissolve landed in between: it is free.
            lot_of={unit: lot for unit, lot in bound.items() if lot in by_id},
        )

    def find_objects(self, ids: Iterable[ObjectId]) -> Iterator[LedgerObject]:
        """Those of these objects that the ledger knows."""
        return map(object_from, self._table.get_many([object_key(id_) for id_ in set(ids)]))

    def find_units(self, ids: Iterable[UnitId]) -> Iterator[UnitRecord]:
        """Those of these units of which the ledger knows anything."""
        return map(unit_from, self._table.get_many([unit_key(id_) for id_ in set(ids)]))

    def find_lots(self, ids: Iterable[LotId]) -> Iterator[Lot]:
        """Those of these lots that exist."""
        return map(lot_from, self._table.get_many([lot_key(id_) for id_ in set(ids)]))

    def scan(self, segment: int = 0, segments: int = 1) -> Iterator[LedgerObject | Lot | UnitRecord]:
        """Every object, lot and unit in one of `segments` parts of the table, in no order."""
        for item in self._table.scan(segment, segments):
            if item["pk"]["S"].startswith(_RECORDS):
                yield record_from(item)

    def open_entries(self, kind: Kind, after: OpenEntry | None = None) -> Iterator[OpenEntry]:
        """One kind of the index, shard by shard, oldest first within each, from behind `after` on.

        `object` and `lot` are open work. `done` and `committed` are finished objects and lots that are not in the
        history yet; theirs is the time at which they were finished. `publish` and `events` are marks (`marks`).

        An index is eventually consistent: read the item itself before acting on it.
        """
        return entries_of(self._table, kind, after)

    def finished_entries(self, kind: Literal["done", "committed"], before_ms: int) -> Iterator[OpenEntry]:
        """What was finished before this time and is not in the history yet, oldest first over all shards."""
        shards = (self._finished_in(f"{kind}#{number:02d}", before_ms) for number in range(OPEN_SHARDS))
        return heapq.merge(*shards, key=lambda entry: (entry.since, entry.pk))

    def _finished_in(self, shard: str, before_ms: int) -> Iterator[OpenEntry]:
        entries = map(OpenEntry.from_item, self._table.open_keys(shard, page_size=_FINISHED_PAGE))
        return takewhile(lambda entry: entry.since < before_ms, entries)

    def open_objects(self) -> Iterator[ObjectId]:
        """Objects that are neither DONE nor REJECTED, nor RETRACTED with all their rows; as `open_entries`."""
        return (entry.object for entry in self.open_entries("object"))

    def open_lots(self) -> Iterator[LotId]:
        """Lots that are not committed, are being rewritten or have files left to delete; as `open_entries`."""
        return (entry.lot for entry in self.open_entries("lot"))

    def open_shards(self, kind: str) -> list[str]:
        """The shards of one kind, for `open_sample`."""
        return [f"{kind}#{number:02d}" for number in range(OPEN_SHARDS)]

    def open_sample(self, shard: str, most: int, since_ms: int = 0, newest_first: bool = False) -> list[OpenEntry]:
        """At most `most` entries of one shard, with `since` at `since_ms` or later: what a glance may cost.

        Oldest first, unless `newest_first`. Eventually consistent.
        """
        return list(map(OpenEntry.from_item, self._table.open_sample(shard, most, since_ms, newest_first)))
