"""The sweep: finishes what commits leave open. Safe to run at any time, several at once, and to stop anywhere.

- An object whose units are all in COMMITTED lots becomes DONE. Transform marks only objects that one lot holds whole.
- Files that an execution wrote and its lot's commit does not name (`outputs` of a COMMITTED lot) are deleted, and those
  that a rewrite has replaced (`obsolete`). Whoever commits or rewrites does so; this is for those who died then. First
  it looks for a file that the commit names: S3 deletes what is not there without a word, and in a wrong bucket the
  leftovers would be forgotten.
- A rewrite whose lease is over is brought to an end (`Rewriter.settle`).

An item that cannot be read is reported and passed over, so that it does not keep the sweep from all that follow.

It walks the index of open work and keeps its place in the ledger, so that the next run goes on there; a large object is
gone on with at the unit where the walk stopped, because a committed unit stays committed, unless the object is let in
again: then it is looked at from its first unit. What it does is the same however often it is done, so a crash at any
step costs reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from services.ops.grid import LOTS_PER_READ, Slice, batched, look_at, slices
from services.shared.aws import FAILURES
from services.shared.deadline import Deadline, OutOfTime
from services.shared.errors import Terminal
from services.shared.identities import LakeKey, ObjectId
from services.shared.lake import Lake, LakeForbidden
from services.shared.ledger.entries import OpenEntry
from services.shared.ledger.items import object_key
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, LeaseLost, LedgerObject, Lot, LotState

Asked = TypeVar("Asked")
Found = TypeVar("Found")
Watch = Callable[[str, int], None]  # what is being looked at, and how many so far
WALK = "sweep"
_BATCH = 100


@dataclass(slots=True)
class Swept:
    """What a sweep did; in a dry run, what it would have done."""

    resumed: bool = False  # it went on where an earlier one stopped
    objects: int = 0  # open objects that were looked at
    done: int = 0  # of them, marked DONE
    lots: int = 0  # open lots that were looked at
    files: list[str] = field(default_factory=list)  # deleted: at most MAX_LISTED are named
    files_deleted: int = 0
    refused: list[str] = field(default_factory=list)  # files that a lot wants deleted and that are not its own
    rewrites: int = 0  # that somebody left, and that are finished or undone now
    behind: int = 0  # lots whose replaced files the lake's tables may still name: `smelt publish` first
    finished: bool = True  # False: time was over first; the next run goes on there
    elsewhere: list[str] = field(default_factory=list)  # lots none of whose committed files are in this bucket
    unreadable: list[str] = field(default_factory=list)  # items of the ledger that were passed over, and why
    forbidden: list[str] = field(default_factory=list)  # lots whose files S3 did not let us look at or delete, and why

    @property
    def all_right(self) -> bool:
        return not (self.refused or self.elsewhere or self.unreadable or self.forbidden)


MAX_LISTED = 1000
_FILES_TO_LOOK_AT = 3  # of a lot; one of them shows that the bucket is the ledger's


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk stopped: behind the entry `after`, and at unit number `units` of the object `pk` that follows it.

    The object counts only as it was then: `since` is when it came into the index.
    """

    kind: str  # "object" or "lot"
    after: OpenEntry | None = None
    pk: str = ""
    units: int = 0
    since: int = 0  # epoch milliseconds

    def to_json(self) -> dict[str, Any]:
        after = [self.after.shard, self.after.since, self.after.pk] if self.after else None
        return {"kind": self.kind, "after": after, "pk": self.pk, "units": self.units, "since": self.since}

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> Self:
        """The beginning, if nothing readable is stored: a place only saves work."""
        try:
            told = stored or {}
            after = told["after"]
            entry = OpenEntry(str(after[0]), int(after[1]), str(after[2])) if after else None
            return cls(str(told["kind"]), entry, str(told["pk"]), int(told["units"]), int(told["since"]))
        except (KeyError, IndexError, TypeError, ValueError):
            return cls("object")


class Sweep:
    """One run over a ledger and the lake's bucket."""

    def __init__(self, ledger: Ledger, lake: Lake, dry_run: bool, watch: Watch, deadline: Deadline) -> None:
        self._ledger = ledger
        self._lake = lake
        self._dry_run = dry_run
        self._watch = watch
        self._deadline = deadline
        self._swept = Swept()

    def run(self) -> Swept:
        stored = None if self._dry_run else self._ledger.cursors.load(WALK)
        place = Place.from_json(stored)
        self._swept.resumed = stored is not None
        try:
            if place.kind == "object":
                self._objects(place)
                place = Place("lot")
            self._lots(place)
        except OutOfTime:
            self._swept.finished = False
            return self._swept
        if not self._dry_run:
            self._ledger.cursors.clear(WALK)
        return self._swept

    # -- objects ---------------------------------------------------------------------------------------------

    def _objects(self, place: Place) -> None:
        after = place.after
        for batch in batched(self._ledger.open_entries("object", after), _BATCH):
            found = self._read(batch, lambda part: self._ledger.find_objects([entry.object for entry in part]))
            known = {object_key(known.id)["pk"]["S"]: known for known in found}
            unfinished = [entry for entry in batch if entry.pk in known and not known[entry.pk].is_finished]
            first = known[unfinished[0].pk] if unfinished else None
            is_same = first is not None and (unfinished[0].pk, first.since) == (place.pk, place.since)
            resumed = place.units if is_same else 0
            self._mark([(entry, known[entry.pk]) for entry in unfinished], after, resumed)
            self._swept.objects += len(unfinished)
            self._watch("open objects", self._swept.objects)
            after = batch[-1]
            self._save(Place("object", after))

    def _mark(self, entries: list[tuple[OpenEntry, LedgerObject]], after: OpenEntry | None, first_unit: int) -> None:
        """Mark those DONE whose units are all committed. `after` is the entry before the first one."""
        ids = [entry.object for entry, _ in entries]
        before = dict(zip(ids, [after, *(entry for entry, _ in entries)], strict=False))
        incomplete: set[ObjectId] = set()
        for group in slices((known for _, known in entries), first_unit, incomplete):
            looked = self._read(group, self._committed_of, lambda part: f"units or lots of {part.object.id}")
            complete = {(part.object.id, part.first) for part, is_complete in looked if is_complete}
            incomplete |= {part.object.id for part in group if (part.object.id, part.first) not in complete}
            done = [part.object for part in group if part.ends_object and part.object.id not in incomplete]
            self._swept.done += len(done) if self._dry_run else self._mark_done(done)
            last = group[-1]
            if not last.ends_object and last.object.id not in incomplete:
                self._watch("units of one object", last.last)
                pk = f"object#{last.object.id}"
                self._save(Place("object", before[last.object.id], pk, last.last, last.object.since))

    def _mark_done(self, done: Sequence[LedgerObject]) -> int:
        return self._ledger.objects.mark_done_as_seen((known.id, known.since) for known in done)

    def _committed_of(self, group: Sequence[Slice]) -> list[tuple[Slice, bool]]:
        """Each slice with whether all of its units are committed."""
        look = look_at(self._ledger, [unit for part in group for unit in part.units])
        return [(part, all(unit in look.committed for unit in part.units)) for part in group]

    # -- lots ------------------------------------------------------------------------------------------------

    def _lots(self, place: Place) -> None:
        for batch in batched(self._ledger.open_entries("lot", place.after), LOTS_PER_READ):
            for lot in self._read(batch, lambda part: self._ledger.find_lots([entry.lot for entry in part])):
                self._try_to_tidy(lot)
            self._swept.lots += len(batch)
            self._watch("open lots", self._swept.lots)
            self._save(Place("lot", batch[-1]))

    def _try_to_tidy(self, lot: Lot) -> None:
        """What S3 forbids for one lot, such as one prefix or one key, does not keep the sweep from all others.

        Raises:
            LakeForbidden: it forbids nearly everything, so that there is no point in going on.
        """
        try:
            self._tidy(lot)
        except LakeForbidden as error:
            if len(self._swept.forbidden) == MAX_LISTED:
                raise
            self._swept.forbidden.append(f"lot {lot.id}: {error}")

    def _tidy(self, lot: Lot) -> None:
        """Delete what a committed lot has left over. Only its own files, and none that it committed."""
        if lot.state is LotState.REWRITING:
            self._settle(lot)
            return
        if lot.state is not LotState.COMMITTED:
            return
        leftover = sorted(lot.leftovers - {file.key for file in lot.files})
        if lot.obsolete and self._ledger.marks.is_behind(lot.id):
            self._swept.behind += 1
            return
        foreign = [key for key in leftover if not _is_of(key, lot)]
        if foreign:
            self._swept.refused += foreign
            return
        looked_at = lot.files[:_FILES_TO_LOOK_AT]
        if leftover and looked_at and not any(self._lake.holds(file.key, file.etag) for file in looked_at):
            self._swept.elsewhere.append(str(lot.id))
            return
        self._swept.files += leftover[: MAX_LISTED - len(self._swept.files)]
        self._swept.files_deleted += len(leftover)
        if not self._dry_run:
            self._lake.delete(leftover)
            if lot.outputs:
                self._ledger.lots.clear_outputs(lot)
            if lot.obsolete:
                self._ledger.rewrites.clear_obsolete(lot)

    def _settle(self, lot: Lot) -> None:
        """End a rewrite that somebody left; one that is under way, or that is damaged, is left alone."""
        if not self._ledger.rewrites.is_abandoned(lot):
            return
        self._swept.rewrites += 1
        if self._dry_run:
            return
        from services.ops.rewrite.rewriting import Rewriter  # slow to import, and seldom needed

        # Another has it; or its files are damaged: then it is undone, and the audit tells what is missing.
        with suppress(LeaseHeld, LeaseLost, Terminal):
            Rewriter(self._ledger, self._lake, self._deadline).settle(lot)

    def _read(
        self,
        asked: Sequence[Asked],
        read: Callable[[Sequence[Asked]], Iterable[Found]],
        name: Callable[[Asked], str] = lambda entry: entry.pk,  # type: ignore[attr-defined]
    ) -> list[Found]:
        """What `read` finds. Where an item cannot be understood, it is found by halves, reported and left out."""
        try:
            return list(read(asked))
        except FAILURES:
            raise
        except Exception as error:  # noqa: BLE001 (the border between one item and all others: whatever is wrong in it)
            if len(asked) > 1:
                middle = len(asked) // 2
                return [*self._read(asked[:middle], read, name), *self._read(asked[middle:], read, name)]
            self._swept.unreadable.append(f"{name(asked[0])}: {type(error).__name__}: {error}")
            return []

    def _save(self, place: Place) -> None:
        """
        Raises:
            OutOfTime: the next run goes on at this place.
        """
        if not self._dry_run:
            self._ledger.cursors.save(WALK, place.to_json())
        self._deadline.check()


def sweep(
    ledger: Ledger,
    lake: Lake,
    dry_run: bool = False,
    watch: Watch = lambda _what, _number: None,
    deadline: Deadline = Deadline.endless(),  # noqa: B008 (immutable)
) -> Swept:
    """Mark finished objects DONE and delete the files that commits left over, from the stored place to the end.

    With a deadline it ends in time, and the next run goes on there.

    Raises:
        ClientError, BotoCoreError: ledger or bucket cannot be read or written; the next run goes on from there.
    """
    return Sweep(ledger, lake, dry_run, watch, deadline).run()


def _is_of(key: str, lot: Lot) -> bool:
    try:
        return LakeKey.parse(key).lot == lot.id
    except ValueError:
        return False
