"""What has left the ledger: the history, held against it, and read in its place where an item has expired.

The history is read after the ledger, newest generations first. A lot or unit that is in both counts once, as the ledger
has it. A row that says something else than the ledger is read again, as every suspect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from services.ops.audit.findings import Code, Finding
from services.ops.audit.scope import Scope
from services.ops.audit.spool import Spool, content_of_lot, hashed
from services.ops.grid import Records, batched
from services.ops.history.reader import History, HistoryDamaged
from services.ops.history.rows import Outline
from services.shared.identities import HISTORY_LOTS, HISTORY_OBJECTS, LotId, ObjectId, UnitId
from services.shared.ledger.archive import FinishedLot
from services.shared.ledger.records import LedgerObject, Lot, LotState, ObjectState, UnitRecord

_BATCH = 200


@dataclass
class Past:
    """The history beside one ledger and its spool. Reads by name, as the ledger does (`services.ops.grid.Records`)."""

    ledger: Records
    spool: Spool
    history: History | None
    scope: Scope
    rows: int = 0  # of the history that were read
    _read: set[str] = field(default_factory=set)

    # -- reading the history once ----------------------------------------------------------------------------

    def take_over(self) -> Iterator[Finding]:
        """Put into the spool what the ledger has no more. Yields what is wrong with the history itself."""
        if self.history is None:
            return
        history = self.history
        lots = list(history.keys(HISTORY_LOTS))
        rewritten = sorted((key for key in lots if key.rewritten), reverse=True)
        for key in [*rewritten, *(key for key in lots if not key.rewritten)]:
            yield from self._readable(str(key), self._lots(history, str(key)))
        for key in history.keys(HISTORY_OBJECTS):
            yield from self._readable(str(key), self._objects(history, str(key)))
        for file in sorted(self.spool.history.keys() - self._read):
            if not history.has(file):
                yield Finding(Code.HISTORY_MISSING, file, "records of the ledger say that they are in it")

    def _readable(self, key: str, findings: Iterator[Finding]) -> Iterator[Finding]:
        self._read.add(key)
        try:
            yield from findings
        except HistoryDamaged as damaged:
            yield Finding(Code.HISTORY_DAMAGED, key, damaged.why)

    def _lots(self, history: History, key: str) -> Iterator[Finding]:
        for few in batched(history.lots_of_file(key), _BATCH):
            self.rows += len(few)
            known = self.spool.known_lots(found.lot.id for found in few)
            for found in few:
                there = known.get(hashed(found.lot.id))
                if there is None:
                    self.spool.add_past(found.lot, found.generation, key)
                    continue
                generation, content, past = there
                ahead = found.generation > generation
                if past and found.generation == generation:
                    yield Finding(
                        Code.HISTORY_DIFFERS, f"lot {found.lot.id}", f"two files have its generation {generation}"
                    )
                elif ahead or (found.generation == generation and content != content_of_lot(found.lot)):
                    yield from self._recheck_lot(found, key)

    def _objects(self, history: History, key: str) -> Iterator[Finding]:
        number = self.spool.number_of(key)
        for few in batched(history.outlines(key), _BATCH):
            self.rows += len(few)
            known = self.spool.known_objects(outline.id for outline in few)
            for outline in few:
                there = known.get(hashed(outline.id))
                if there is None:
                    yield from self._recheck_object(outline, key)
                    continue
                state, file, settled = there
                if file != number or not settled:
                    continue  # an earlier outcome; the object has another one now, or is worked on
                if state != outline.state:
                    yield from self._recheck_object(outline, key)
                elif state == ObjectState.DONE:
                    self.spool.add_names(hashed(outline.id), outline.lots)

    def _recheck_lot(self, found: FinishedLot, key: str) -> Iterator[Finding]:
        for lot in self.ledger.find_lots([found.lot.id]):
            same = content_of_lot(lot) == content_of_lot(found.lot)
            if lot.generation < found.generation or (
                lot.generation == found.generation and lot.state is LotState.COMMITTED and not same
            ):
                detail = (
                    f"{key} has its generation {found.generation}, with other units, counts or files than the ledger"
                )
                if self.scope.is_everything:
                    yield Finding(Code.HISTORY_DIFFERS, f"lot {lot.id}", detail)

    def _recheck_object(self, outline: Outline, key: str) -> Iterator[Finding]:
        id_ = ObjectId.parse(outline.id)
        known = next(iter(self.ledger.find_objects([id_])), None)
        if known is None and self.scope.is_everything:
            detail = f"{key} has it ({outline.state}), and the ledger does not"
            yield Finding(Code.HISTORY_DIFFERS, outline.id, detail)
        elif known and known.is_archived and known.archived == key and known.state != outline.state:
            detail = f"{key} says {outline.state}, and the ledger says {known.state}"
            if self.scope.has(id_, known.source.created):
                yield Finding(Code.HISTORY_DIFFERS, outline.id, detail)

    # -- reading by name, in the ledger's place --------------------------------------------------------------

    def find_objects(self, ids: Iterable[ObjectId]) -> Iterator[LedgerObject]:
        """Objects never leave the ledger."""
        return self.ledger.find_objects(ids)

    def find_units(self, ids: Iterable[UnitId]) -> Iterator[UnitRecord]:
        """Those of these units that the ledger knows, and those that it has let go."""
        missing = set(ids)
        for record in self.ledger.find_units(list(missing)):
            missing.discard(record.id)
            yield record
        lots = self.spool.bound(missing)
        for unit in missing:
            lot = lots.get(hashed(unit))
            if lot is not None:
                yield UnitRecord(unit, LotId.parse(lot))

    def find_lots(self, ids: Iterable[LotId]) -> Iterator[Lot]:
        """Those of these lots that the ledger has, and those that it has let go."""
        missing = set(ids)
        for lot in self.ledger.find_lots(list(missing)):
            missing.discard(lot.id)
            yield lot
        if self.history is None or not missing:
            return
        for file, lots in self.spool.files_of(missing).items():
            latest: dict[LotId, FinishedLot] = {}
            try:
                for found in self.history.lots_of_file(file, lots):
                    latest[found.lot.id] = found
            except HistoryDamaged:
                continue  # it is a finding already
            yield from (found.lot for found in latest.values())
