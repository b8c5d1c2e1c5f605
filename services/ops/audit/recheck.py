"""Each suspect is read again, from the ledger and from the listings, before it becomes a finding.

Why a re-read is enough: a lot appears and disappears in one transaction with the bindings of its units, and its id is
never used again. So while a lot is the same before and after its units are read, no binding has changed in between.
Suspects come and findings go one batch at a time. Reads only.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from services.ops.audit.accounts import MAX_ERRORS, Account, Outcome, outcome_of
from services.ops.audit.findings import Code, Finding
from services.ops.audit.listings import BronzeVersion, ListedFile, Listings
from services.ops.audit.rules import check_files, check_listed, check_record, check_units
from services.ops.audit.scope import Scope
from services.ops.grid import Records, batched, in_batches_of_lots, look_at, slices
from services.shared.identities import LakeKey, LotId, ObjectId, UnitId
from services.shared.ledger.records import Counts, LedgerObject, Lot, ObjectState

_BATCH = 100
_TRIES = 4  # a lot is gone, or the same, by then, unless somebody rewrites it all the time
_COMMITTED_THOUGH = {
    ObjectState.REJECTED: Code.REJECTED_COMMITTED,
    ObjectState.RETRACTED: Code.RETRACTED_COMMITTED,
}


@dataclass(frozen=True, slots=True)
class Recheck:
    """Rechecks against one ledger, with what has left it for the history, and its buckets.

    Quarantine of the day `expired` or an earlier one may be gone.
    """

    ledger: Records
    listings: Listings
    scope: Scope
    expired: date = date.min

    def lots(self, suspects: Iterable[LotId]) -> Iterator[Finding]:
        """What is wrong with these lots, their units and their files."""
        for batch in in_batches_of_lots(suspects):
            undecided = set(batch)
            for _ in range(_TRIES):
                undecided = yield from self._settle(undecided)
                if not undecided:
                    break

    def _settle(self, suspects: set[LotId]) -> Generator[Finding, None, set[LotId]]:
        """Yields the findings of the lots that held still, and returns those that did not."""
        before = {lot.id: lot for lot in self.ledger.find_lots(suspects)}
        found = self._check(before.values())
        after = {lot.id: lot for lot in self.ledger.find_lots(found)}
        moved = {id_ for id_ in after if _essence(after[id_]) != _essence(before[id_])}
        for id_ in after.keys() - moved:
            yield from found[id_]
        return moved

    def _check(self, lots: Collection[Lot]) -> dict[LotId, list[Finding]]:
        """What is wrong with each of these lots; those in order are left out."""
        members = {unit for lot in lots for unit in lot.units}
        objects = {known.id: known for known in self.ledger.find_objects({unit.object for unit in members})}
        units = {record.id: record for record in self.ledger.find_units(members)}
        others = {record.lot for record in units.values() if record.lot} - {lot.id for lot in lots}
        other_lots = {lot.id: lot for lot in lots}
        for batch in in_batches_of_lots(others):
            other_lots |= {lot.id: lot for lot in self.ledger.find_lots(batch)}
        listed = self.listings.find_files(file.key for lot in lots for file in lot.files)
        found = {
            lot.id: [
                *check_record(lot),
                *check_units(lot, units, objects, other_lots),
                *check_files(lot, listed, self.expired),
            ]
            for lot in lots
            if self.scope.has_any((unit.object, _created(objects, unit)) for unit in lot.units)
        }
        return {id_: findings for id_, findings in found.items() if findings}

    def units(self, suspects: Iterable[UnitId]) -> Iterator[Finding]:
        """Units that are bound to a lot that does not list them, or does not exist."""
        for batch in batched(suspects, _BATCH):
            before = {record.id: record.lot for record in self.ledger.find_units(batch) if record.lot}
            lots = {
                lot.id: lot for few in in_batches_of_lots(set(before.values())) for lot in self.ledger.find_lots(few)
            }
            guilty = [unit for unit, lot in before.items() if lot not in lots or unit not in lots[lot].units]
            created = {known.id: known.source.created for known in self.ledger.find_objects(u.object for u in guilty)}
            for record in self.ledger.find_units(guilty):
                lot = before[record.id]
                if record.lot != lot or not self.scope.has_any([(record.id.object, created.get(record.id.object))]):
                    continue
                if lot in lots:
                    detail = f"it is bound to lot {lot} ({lots[lot].state}), which does not list it"
                    yield Finding(Code.UNIT_NOT_IN_LOT, str(record.id), detail)
                else:
                    detail = f"it is bound to lot {lot}, which is not in the ledger"
                    yield Finding(Code.UNIT_OF_MISSING_LOT, str(record.id), detail)

    def files(self, suspects: Iterable[ListedFile]) -> Iterator[Finding]:
        """Files that no lot references.

        The listing is between two looks at the lot. A key is recorded before the file is written, and forgotten after
        it is deleted; so one that neither look has is nobody's, if no rewrite has begun or ended in between.
        """
        for batch in batched(suspects, _BATCH):
            undecided = {file.key: LakeKey.parse(file.key).lot for file in batch}
            for _ in range(_TRIES):
                before = self._lots(undecided.values())
                there = self.listings.find_files(undecided)
                after = self._lots(undecided.values())
                moved: dict[str, LotId] = {}
                for key, file in there.items():
                    lot = undecided[key]
                    found = [*check_listed(file, lot, before.get(lot))]
                    if not found or not any(check_listed(file, lot, after.get(lot))):
                        continue
                    if _stage(before.get(lot)) == _stage(after.get(lot)):
                        yield from found
                    else:
                        moved[key] = lot
                undecided = moved
                if not undecided:
                    break

    def _lots(self, ids: Iterable[LotId]) -> dict[LotId, Lot]:
        return {lot.id: lot for few in in_batches_of_lots(set(ids)) for lot in self.ledger.find_lots(few)}

    def foreign(self, suspects: Iterable[ListedFile]) -> Iterator[Finding]:
        """Files that smelt does not write and that are still there."""
        for batch in batched(suspects, _BATCH):
            for file in self.listings.find_files(file.key for file in batch).values():
                yield Finding(Code.FOREIGN_FILE, file.key, f"not a file that smelt writes ({file.size:,} bytes)")

    def never_announced(self, suspects: Iterable[BronzeVersion]) -> Iterator[Finding]:
        """Contents of Bronze that the ledger does not know."""
        for batch in batched(suspects, _BATCH):
            known = {found.id for found in self.ledger.find_objects(version.id for version in batch)}
            unknown = {version.id: version for version in batch if version.id not in known}
            for id_ in self.listings.find_versions(unknown) if unknown else ():
                version = unknown[id_]
                detail = (
                    f"uploaded at {version.modified.isoformat(timespec='seconds')} ({version.size:,} bytes, version "
                    f"{version.version_id}), and ingest has never seen it"
                )
                yield Finding(Code.NEVER_ANNOUNCED, str(id_), detail)

    def finished(self, suspects: Iterable[ObjectId]) -> Iterator[Finding]:
        """Objects that are DONE and have units that are not committed, or REJECTED or RETRACTED and have some."""
        for batch in batched(suspects, _BATCH):
            finished = (known for known in self.ledger.find_objects(batch) if known.is_finished)
            for tally in tallies(self.ledger, finished):
                units = tally.object.plan.units
                if tally.object.state is not ObjectState.DONE:
                    if tally.committed and not tally.object.is_leaving:
                        detail = f"{tally.committed:,} of its {units:,} units are committed ({tally.object.reason})"
                        yield Finding(_COMMITTED_THOUGH[tally.object.state], str(tally.object.id), detail)
                elif tally.missing:
                    detail = (
                        f"{units - tally.committed:,} of its {units:,} units are not committed, first {tally.missing}"
                    )
                    code = Code.DONE_NOT_COMMITTED
                    if tally.object.archived:
                        code = Code.HISTORY_MISSING
                        detail += (
                            f"; it was archived in {tally.object.archived}, and no file of the history has its lots"
                        )
                    yield Finding(code, str(tally.object.id), detail)


class Tally(NamedTuple):
    """What the ledger says now about all units of one object."""

    object: LedgerObject
    committed: int
    counts: Counts
    dead: int
    missing: str  # the first unit that is not committed
    errors: tuple[str, ...]


def tallies(ledger: Records, objects: Iterable[LedgerObject]) -> Iterator[Tally]:
    """Walk the grids of these objects, in order."""
    tally: Tally | None = None
    for group in slices(objects):
        look = look_at(ledger, [unit for part in group for unit in part.units])
        for part in group:
            tally = tally or Tally(part.object, 0, Counts(), 0, "", ())
            units = list(part.units)
            rows = [look.committed[unit] for unit in units if unit in look.committed]
            missing = next((str(unit) for unit in units if unit not in look.committed), "")
            tally = tally._replace(
                committed=tally.committed + len(rows),
                counts=sum(rows, tally.counts),
                dead=tally.dead + len(look.dead(units)),
                missing=tally.missing or missing,
                errors=(*tally.errors, *look.errors(units))[:MAX_ERRORS],
            )
            if part.ends_object:
                yield tally
                tally = None


def accounts(ledger: Records, ids: Iterable[ObjectId], now: datetime, overdue_after: timedelta) -> Iterator[Account]:
    """The accounts of these objects as they are now, from consistent reads."""
    for batch in batched(ids, _BATCH):
        known = sorted(ledger.find_objects(batch), key=lambda found: found.id)
        for tally in tallies(ledger, known):
            yield account_of(tally, now, overdue_after)


def account_of(tally: Tally, now: datetime, overdue_after: timedelta) -> Account:
    """One object's account."""
    known = tally.object
    outcome = outcome_of(known, tally.committed, tally.dead, now, overdue_after)
    return Account(
        id=known.id,
        state=known.state,
        outcome=outcome,
        created=known.source.created,
        size=known.source.size,
        units=known.plan.units,
        committed=tally.committed,
        counts=tally.counts,
        dead=tally.dead if outcome is Outcome.STOPPED else 0,
        reason=known.reason,
        advice=known.advice,
        errors=tally.errors,
    )


def _created(objects: Mapping[ObjectId, LedgerObject], unit: UnitId) -> datetime | None:
    return objects[unit.object].source.created if unit.object in objects else None


def _stage(lot: Lot | None) -> tuple[object, ...]:
    return (lot.state, lot.generation) if lot else ()


def _essence(lot: Lot) -> tuple[object, ...]:
    """What the rules look at."""
    return lot.state, lot.generation, lot.units, lot.files, lot.counts, lot.unit_counts
