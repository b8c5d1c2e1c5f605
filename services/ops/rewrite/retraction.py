"""Taking one object's rows out of the lake, whatever state it is in: planned, half loaded, loaded, half retracted.

    mark it RETRACTED  ->  unit by unit, until each is refused  ->  count the rows that left
    its messages are       free: refused
    acknowledged from      in a committed lot: the lot is rewritten without the object's rows
    here on                in a pending lot: waited for; once its lease is over, the lot is dissolved, so that its other
                           units are loaded by their own messages

Every step is repeated without harm, so whoever stops goes on by starting again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.ops.errors import OperatorError
from services.ops.grid import LOTS_PER_READ, batched, look_at
from services.ops.rewrite.archive import Archive
from services.ops.rewrite.rewriting import Changes, LakeBehind, Rewriter
from services.shared.deadline import Deadline, OutOfTime
from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.lake import Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import (
    RETRACT,
    Counts,
    Intent,
    LeaseHeld,
    LeaseLost,
    LedgerObject,
    Lot,
    LotState,
    ObjectState,
    UnitRecord,
)
from services.shared.ledger.releases import UNITS_AT_ONCE

Watch = Callable[[str, int], None]  # what is being done, and how many so far
_LONGEST_PAUSE = 5.0  # seconds between two looks at work of others that may end any time
_MISSING_TRIES = 3


@dataclass(slots=True)
class Retracted:
    """What became of one object."""

    id: ObjectId
    rows: Counts = field(default_factory=Counts)  # that are gone
    others_before: Counts = field(default_factory=Counts)  # rows of other objects in the same lots
    others_after: Counts = field(default_factory=Counts)
    changes: Changes = field(default_factory=Changes)
    was_retracted: bool = False  # before this began, every row of it included
    place: int | None = None  # the number of the unit where the next run goes on; None where it is done


@dataclass(frozen=True, slots=True)
class Preview:
    """What retracting an object would do."""

    known: LedgerObject
    rows: Counts  # of it, in committed lots
    committed: int  # units
    lots: int


def preview(ledger: Ledger, archive: Archive, id_: ObjectId) -> Preview:
    """What the ledger and the history have of an object now. Changes nothing.

    Raises:
        OperatorError: the object is not in the ledger.
    """
    known = next(ledger.find_objects([id_]), None)
    if known is None:
        raise OperatorError(f"{id_} is not in the ledger. Check bucket, key and ETag.")
    rows, committed, lots = Counts(), 0, set[LotId]()
    for batch in batched((unit.id for unit in known.plan), UNITS_AT_ONCE):
        look = look_at(ledger, batch)
        rows = sum(look.committed.values(), rows)
        committed += len(look.committed)
        lots |= {record.lot for record in look.records.values() if record.lot}
    if known.state is ObjectState.DONE and committed < known.plan.units:  # some of it has left the ledger
        rows, committed, lots = Counts(), 0, set()
        for lot in archive.lots_with(ledger, id_):
            mine = [counts for unit, counts in zip(lot.units, lot.unit_counts, strict=True) if unit.object == id_]
            rows, committed = sum(mine, rows), committed + len(mine)
            lots |= {lot.id}
    return Preview(known, rows, committed, len(lots))


@dataclass(slots=True)
class Retraction:
    """Retracts objects of one pipeline. `sleep` waits for work of others."""

    ledger: Ledger
    lake: Lake
    by: str
    note: str
    archive: Archive
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    writers: int = 8
    watch: Watch = lambda _what, _number: None
    tell: Callable[[str], None] = lambda _text: None  # why it waits, and what ends that: once for each reason
    lost_files: bool = False  # as `Rewriter.lost_files`
    _told: str = ""

    def run(
        self,
        id_: ObjectId,
        deadline: Deadline,
        place: int = 0,
        reload: bool = False,
        unless_kept_away: bool = False,
    ) -> Retracted:
        """Retract an object, or go on with it at unit number `place`. `reload`: it is to be let in again after that.

        Returns:
            what was done. `place` is set where time ran out: run it again from there, or from the start.

        Raises:
            NothingToRetract: there are no rows of it.
            KeptAway: with `unless_kept_away`, it is retracted for good.
            LetInAgain: somebody else, at the same work, was faster and let the object in again.
            ConservationError, ObjectGone: files are not what the ledger says; nothing of that lot has changed.
        """
        # Its lots come back before the ledger says that it leaves: in between, they would be nobody's.
        if any(known.state is ObjectState.DONE for known in self.ledger.find_objects([id_])):
            self.archive.restore_object(self.ledger, id_)
        known = self.ledger.releases.begin(id_, self.by, self.note, reload, unless_kept_away)
        return self._go_on(known, deadline, place)

    def go_on(self, id_: ObjectId, deadline: Deadline) -> Retracted:
        """Bring a retraction to its end that somebody has begun. As `run`.

        Raises:
            LetInAgain: somebody let the object in since: its rows are wanted.
        """
        return self._go_on(self.ledger.releases.begun(id_), deadline, 0)

    def _go_on(self, known: LedgerObject, deadline: Deadline, place: int) -> Retracted:
        rewriter = Rewriter(self.ledger, self.lake, deadline, self.clock, self.writers, lost_files=self.lost_files)
        result = Retracted(known.id, changes=rewriter.changes)
        if known.retraction and known.retraction.rows is not None:
            result.was_retracted, result.rows = True, known.retraction.rows
            return result
        self.archive.restore_object(self.ledger, known.id)
        at = place
        try:
            for units in _batches(known, place):
                self._release(known, units, rewriter, result, deadline)
                at += len(units)
                self.watch("units", at)
                deadline.check()
        except OutOfTime:
            result.place = at
            return result
        result.rows = self.ledger.releases.finish(known)
        return result

    def let_in_again(
        self,
        id_: ObjectId,
        deadline: Deadline,
        place: int = 0,
        unit_bytes: int | None = None,
        unless_kept_away: bool = False,
    ) -> Retracted:
        """Retract an object, then let it in again: `replay --force` plans it after that. As `run`.

        `unless_kept_away`: it was not retracted when somebody decided to load it again. Who has retracted it for good
        since has the last word.

        Where `place` is set in the result, the object is not let in yet. Who stops in between leaves it as open work:
        audit and status name it, reconcile lets it in.
        """
        done = self.run(id_, deadline, place, reload=True, unless_kept_away=unless_kept_away)
        if done.place is None:
            self.ledger.objects.reopen(id_, unit_bytes, marked=True)
        return done

    def _release(
        self, known: LedgerObject, units: Sequence[UnitId], rewriter: Rewriter, result: Retracted, deadline: Deadline
    ) -> None:
        """Until each of these units is refused and in no lot."""
        missing = 0
        while True:
            deadline.check()
            records = {record.id: record for record in self.ledger.find_units(units)}
            bound = {record.lot for record in records.values() if record.lot}
            free = [unit for unit in units if unit not in records or not (records[unit].lot or records[unit].refused)]
            if free and not self.ledger.releases.refuse(known, free):
                continue
            if not bound:
                self._tidy(records.values(), rewriter)
                return
            lots = [lot for few in batched(bound, LOTS_PER_READ) for lot in self.ledger.find_lots(few)]
            missing = missing + 1 if len(lots) < len(bound) else 0
            if missing > _MISSING_TRIES:
                gone = bound - {lot.id for lot in lots}
                raise OperatorError(
                    f"{result.id} has units in lot {sorted(gone)[0]}, which is not in the ledger. Run smelt audit."
                )
            until = [self._leave(lot, known, rewriter, result) for lot in lots]
            if waits := [moment for moment in until if moment is not None]:
                self._wait(min(waits), deadline)

    def _tidy(self, records: Iterable[UnitRecord], rewriter: Rewriter) -> None:
        """Delete the files that these units have left: whoever took them out may have stopped right afterwards."""
        left = {record.left for record in records if record.left}
        for few in batched(left, LOTS_PER_READ):
            for lot in self.ledger.find_lots(few):
                if lot.state is LotState.COMMITTED and lot.obsolete:
                    with suppress(LeaseLost):  # somebody else has rewritten it since
                        rewriter.check_bucket(lot)
                        rewriter.delete_unless_behind(lot)

    def _leave(self, lot: Lot, known: LedgerObject, rewriter: Rewriter, result: Retracted) -> int | None:
        """One step towards a lot without the object. Returns until when to wait (epoch ms), None where not."""
        try:
            if lot.state.holds_rows:
                intent = Intent(RETRACT, result.id, self.by, self.note, _now(self.clock))
                rewriting = rewriter.take(lot, intent, known)
                if rewriting:
                    others = rewriting.lot.counts
                    gone = rewriting.retract(result.id)
                    result.others_before += minus(others, gone)
                    result.others_after += rewriting.lot.counts
            else:
                self._dissolve(lot)
        except LeaseHeld as held:
            if isinstance(held, LakeBehind) and str(held) != self._told:
                self._told = str(held)
                self.tell(f"{self._told}. This waits for it; stopped, the same command goes on.")
            return held.until_ms
        except LeaseLost:
            return 0
        return None

    def _dissolve(self, lot: Lot) -> None:
        """A lot that its worker left: it is undone, and its other units are free for their own messages.

        Raises:
            LeaseHeld: its worker may be alive.
        """
        ours = self.ledger.lots.take_over(lot, lot.contracts, 60)
        if ours.state is LotState.PENDING:
            ours = self.ledger.lots.begin_dissolving(ours)
        self.lake.delete(sorted(ours.outputs))
        self.ledger.lots.dissolve(ours)

    def _wait(self, until_ms: int, deadline: Deadline) -> None:
        """Wait for somebody else's lease, and look from time to time whether it was given back before."""
        self.watch("seconds until the next look at work of others", max(int(until_ms / 1000 - self.clock()), 0))
        self.sleep(max(min(until_ms / 1000 - self.clock() + 0.1, _LONGEST_PAUSE, deadline.left), 0.05))


def minus(all_: Counts, some: Counts) -> Counts:
    """Counts without some of them."""
    return Counts(all_.read - some.read, all_.silver - some.silver, all_.quarantined - some.quarantined)


def _batches(known: LedgerObject, place: int) -> Iterator[list[UnitId]]:
    return batched((known.plan.unit(number).id for number in range(place, known.plan.units)), UNITS_AT_ONCE)


def _now(clock: Callable[[], float]) -> datetime:
    return datetime.fromtimestamp(clock(), UTC)
