"""A pipeline's ledger and buckets as plain values, to be made healthy, wrong, or changed while somebody reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from services.ops.audit.listings import BronzeVersion, ListedFile
from services.shared.identities import LakeKey, LotId, ObjectId, UnitId
from services.shared.ledger.records import (
    Counts,
    LedgerObject,
    Lot,
    LotFile,
    LotState,
    ObjectState,
    UnitNotes,
    UnitRecord,
)
from services.shared.units import BronzeObject, Plan
from tests.support.lake import BRONZE

NOW = datetime(2026, 2, 1, tzinfo=UTC)
UNIT_BYTES = 100
ROWS = Counts(10, 9, 1)  # of each unit


def _nothing() -> None:
    """No traffic."""


@dataclass
class World:
    """Implements what the audit asks of a ledger and of listings. `before_read` runs before every single read."""

    objects: dict[ObjectId, LedgerObject] = field(default_factory=dict)
    records: dict[UnitId, UnitRecord] = field(default_factory=dict)
    held: dict[LotId, Lot] = field(default_factory=dict)
    lake: dict[str, ListedFile] = field(default_factory=dict)
    versions: list[BronzeVersion] = field(default_factory=list)
    before_read: Callable[[], None] = _nothing
    _numbers: Iterator[int] = field(default_factory=count)

    # -- making it -------------------------------------------------------------------------------------------

    def upload(
        self, units: int = 1, dataset: str = "shipments", created: datetime = NOW, key: str = ""
    ) -> BronzeObject:
        """A file in Bronze that nobody has announced."""
        number = next(self._numbers)
        name = key or f"bronze/{dataset}/{number:06d}.jsonl"
        source = BronzeObject(BRONZE, name, units * UNIT_BYTES, f"etag{number}", None, created)
        self.versions.append(BronzeVersion(source.id, source.size, f"v{number}", created))
        return source

    def plan(self, source: BronzeObject, state: ObjectState = ObjectState.PLANNED) -> LedgerObject:
        known = LedgerObject(Plan.of(source, UNIT_BYTES), state)
        self.objects[source.id] = known
        return known

    def reject(self, source: BronzeObject, reason: str = "unsupported_format", advice: str = "upload .jsonl") -> None:
        known = LedgerObject(Plan(source, max(source.size, 1)), ObjectState.REJECTED, reason=reason, advice=advice)
        self.objects[source.id] = known

    def claim(self, units: Sequence[UnitId]) -> Lot:
        lot_id = LotId("20260131T120000Z", f"{next(self._numbers):016x}")
        silver, quarantine = (
            str(LakeKey(root, "shipments", "2026-01-31", lot_id, "0" * 8)) for root in ("silver", "quarantine")
        )
        lot = Lot(lot_id, LotState.PENDING, tuple(units), frozenset((silver, quarantine)), {}, "token", 1)
        self.held[lot_id] = lot
        self.records |= {unit: UnitRecord(unit, lot_id) for unit in units}
        return lot

    def write(self, lot: Lot) -> None:
        for key in lot.outputs:
            self.lake[key] = ListedFile(key, 1000, hashlib.sha256(key.encode()).hexdigest())

    def commit(self, lot: Lot) -> Lot:
        rows = {"silver": len(lot.units) * ROWS.silver, "quarantine": len(lot.units) * ROWS.quarantined}
        files = (self.lake[key] for key in sorted(lot.outputs))
        committed = replace(
            lot,
            state=LotState.COMMITTED,
            outputs=frozenset(),
            counts=sum((ROWS for _ in lot.units), Counts()),
            unit_counts=tuple(ROWS for _ in lot.units),
            files=tuple(LotFile(file.key, rows[file.key.split("/")[0]], file.size, file.etag) for file in files),
        )
        self.held[lot.id] = committed
        return committed

    def dissolve(self, lot: Lot) -> None:
        for key in lot.outputs:
            self.lake.pop(key, None)
        del self.held[lot.id]
        self.records |= {unit: UnitRecord(unit, None, UnitNotes(suspect=1)) for unit in lot.units}

    def done(self, known: LedgerObject) -> None:
        self.objects[known.id] = replace(known, state=ObjectState.DONE)

    def load(self, units: int = 1, **upload: Any) -> tuple[LedgerObject, Lot]:
        """A file whose rows are all in Silver and quarantine, in one lot."""
        known = self.plan(self.upload(units, **upload))
        lot = self.claim([unit.id for unit in known.plan])
        self.write(lot)
        lot = self.commit(lot)
        self.done(known)
        return known, lot

    def bury(self, unit: UnitId, error: str) -> None:
        self.records[unit] = UnitRecord(unit, None, UnitNotes(attempts=5, dead="message", last_error=error))

    # -- what a ledger answers -------------------------------------------------------------------------------

    def scan(self, segment: int = 0, segments: int = 1) -> Iterator[LedgerObject | Lot | UnitRecord]:
        """In the order of the keys' hashes, each record as it is when the scan comes to it, new ones included."""
        if self.before_read is _nothing:
            yield from self.objects.values()
            yield from self.records.values()
            yield from self.held.values()
            return
        position = b""
        while True:
            self.before_read()
            everything: dict[Any, Any] = {**self.objects, **self.records, **self.held}
            ahead = {digest: record for key, record in everything.items() if (digest := _digest(key)) > position}
            if not ahead:
                return
            position = min(ahead)
            yield ahead[position]

    def find_objects(self, ids: Iterable[ObjectId]) -> Iterator[LedgerObject]:
        return self._find(self.objects, ids)

    def find_units(self, ids: Iterable[UnitId]) -> Iterator[UnitRecord]:
        return self._find(self.records, ids)

    def find_lots(self, ids: Iterable[LotId]) -> Iterator[Lot]:
        return self._find(self.held, ids)

    def open_objects(self) -> Iterator[ObjectId]:
        self.before_read()
        return iter([known.id for known in self.objects.values() if not known.is_finished])

    def open_lots(self) -> Iterator[LotId]:
        self.before_read()
        return iter([lot.id for lot in self.held.values() if lot.outputs])

    def _find(self, known: Mapping[Any, Any], ids: Iterable[Any]) -> Iterator[Any]:
        """Items of one request are read one after the other, each consistent."""
        found = []
        for id_ in dict.fromkeys(ids):
            self.before_read()
            if id_ in known:
                found.append(known[id_])
        return iter(found)

    # -- what listings answer --------------------------------------------------------------------------------

    def bronze(self, prefix: str) -> Iterator[list[BronzeVersion]]:
        for version in list(self.versions):
            self.before_read()
            if version.id.key.startswith(prefix):
                yield [version]

    def files(self) -> Iterator[list[ListedFile]]:
        after = ""
        while True:
            self.before_read()
            following = sorted(key for key in self.lake if key > after)
            if not following:
                return
            after = following[0]
            yield [self.lake[after]]

    def find_versions(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        self.before_read()
        return {version.id for version in self.versions} & set(ids)

    def find_files(self, keys: Iterable[str]) -> Mapping[str, ListedFile]:
        self.before_read()
        return {key: self.lake[key] for key in keys if key in self.lake}


def _digest(key: Any) -> bytes:
    return hashlib.sha256(str(key).encode()).digest()


def long_ago() -> datetime:
    """So long before NOW that nothing of that time is still on its way."""
    return NOW - timedelta(days=3)
