"""Reconcile: finds what never became Silver and nobody works on, and gives just that another push.

    open work   objects of the index that are older than `older_than`: a planning that stopped goes on; units that are
                in no lot, or in one that its worker has left, are sent again (transform finishes or dissolves it)
    Bronze      contents (all versions) that the ledger does not know: they are planned, as their events would have
                done. On request also those that were rejected and are taken today: they are judged again

It leaves alone: what is younger than `older_than`; what it has sent itself within that time; units that are dead
letters (`smelt redrive` is for those); what is planned, while the queue is so long that its units may wait in it.
A unit that is sent although somebody has it is recognised by transform, so two runs, or a run during traffic, cost
messages and nothing else. Walks keep a place, memory is bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from services.ops.bronze import Listing, Versions
from services.ops.grid import batched, slices
from services.ops.parallel import in_order, read_ahead
from services.shared.deadline import Deadline, OutOfTime
from services.shared.identities import CopyKey, ObjectId
from services.shared.lake import ObjectGone
from services.shared.ledger.entries import OpenEntry
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, LeaseLost, LedgerObject, ObjectState
from services.shared.ledger.releases import NotReopened
from services.shared.planning.missing import Fate, fates
from services.shared.planning.planner import Outcome, Planned, Planner, find_origin
from services.shared.units import BronzeObject

if TYPE_CHECKING:
    from services.ops.history.remembered import Remembered

WALK = "reconcile"
OLDER_THAN = timedelta(hours=1)
LONG_QUEUE = 1000  # messages; so many units may wait their turn, however old their objects are
MAX_LISTED = 1000
_BATCH = 500  # objects of the index between two places
_IDS_PER_READ = 100  # BatchGetItem's limit
_LOOKERS = 8
_WORKERS = 16  # objects that are pushed side by side: the connections that a client keeps

Watch = Callable[[str, int], None]
_NO_HURRY = Deadline(lambda: float("inf"), 0)


class Found(StrEnum):
    """What is wrong with an object, and so what is done."""

    NEVER_ANNOUNCED = "never announced"  # its event was lost: it is planned
    PLANNING_STOPPED = "planning stopped"  # its planner died: the planning goes on
    UNITS_LOST = "units lost"  # planned, and units are in no lot: they are sent again
    LOT_LEFT = "lot left"  # units are in a lot that its worker has left: they are sent again
    TAKEN_OUT = "taken out"  # by a `replay --force` that stopped before it let it in: it is let in and planned
    REJECTED = "rejected"  # today's code takes its key: it is judged again
    # Nothing is done about these:
    DEAD_LETTERS = "dead letters"  # what is missing has failed five times: smelt redrive
    RETRACTING = "being taken out"  # by a `replay --force` that stopped in the middle: the same command goes on
    WAITING = "waiting"  # its units may be in the long queue
    SENT_LATELY = "sent lately"  # by another run, which its units have had no time for
    ALL_COMMITTED = "all committed"  # smelt sweep marks it
    IN_PROGRESS = "in progress"  # a worker or a planner has it
    STILL_REJECTED = "still rejected"  # today's code does not take its key either
    PUT_BACK = "lost by the ledger"  # the history has it, finished: its record is put back, and nothing is loaded
    FORGOTTEN = "copy forgotten"  # it was rejected since nobody knew its origin; now the ledger does

    @property
    def is_repaired(self) -> bool:
        return self in _REPAIRED


_REPAIRED = frozenset(
    {
        Found.NEVER_ANNOUNCED,
        Found.PLANNING_STOPPED,
        Found.UNITS_LOST,
        Found.LOT_LEFT,
        Found.TAKEN_OUT,
        Found.REJECTED,
    }
)

_TOLD = frozenset({Found.DEAD_LETTERS, Found.PUT_BACK, Found.RETRACTING})  # listed, too


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: keys that begin so, objects that came in `[start, end)`."""

    prefix: str = "bronze/"
    start: datetime | None = None
    end: datetime | None = None
    rejected: bool = False  # judge again what was rejected, where today's code takes it
    listed_from: datetime | None = None  # a start for what Bronze lists only: open work is there, however old it is

    def has(self, key: str, created: datetime) -> bool:
        return (
            key.startswith(self.prefix)
            and (self.start is None or created >= self.start)
            and (self.end is None or created < self.end)
        )

    def has_listed(self, source: BronzeObject) -> bool:
        """Whether the ledger is asked about this content of Bronze."""
        return self.has(source.key, source.created) and (self.listed_from is None or source.created >= self.listed_from)


@dataclass(frozen=True, slots=True)
class Repair:
    """One object that needed a push, or would have."""

    id: ObjectId
    found: Found
    units: int = 0  # that were sent; in a dry run, that nobody takes care of
    detail: str = ""  # what the planner said, where it did not plan
    refused: bool = False  # announced, and recorded as not taken


@dataclass(slots=True)
class Reconciled:
    """What one run found and did. `place` is where the next one goes on; None at the end."""

    objects: Counter[Found] = field(default_factory=Counter)
    units: int = 0
    open: int = 0  # entries of the index that were looked at
    contents: int = 0  # versions in Bronze that were looked at
    refused: int = 0  # never announced, and now recorded as not taken or retracted
    listed: list[Repair] = field(default_factory=list)
    place: dict[str, Any] | None = None

    def add(self, repair: Repair) -> None:
        self.objects[repair.found] += 1
        self.units += repair.units
        self.refused += repair.refused
        if (repair.found.is_repaired or repair.found in _TOLD) and len(self.listed) < MAX_LISTED:
            self.listed.append(repair)

    @property
    def repaired(self) -> int:
        return sum(number for found, number in self.objects.items() if found.is_repaired)

    def to_json(self) -> dict[str, Any]:
        """Counts only."""
        return {
            "objects": {str(found): self.objects[found] for found in Found if self.objects[found]},
            "units": self.units,
            "open_looked_at": self.open,
            "contents_looked_at": self.contents,
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk stopped: behind an entry of the index, or behind a key of Bronze."""

    walk: str = "open"  # or "bronze"
    after: tuple[str, int, str] | None = None  # an entry of the index
    key: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"walk": self.walk, "after": list(self.after) if self.after else None, "key": self.key}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> Self:
        """The beginning, if nothing readable is stored."""
        try:
            told = stored or {}
            after = told["after"]
            entry = (str(after[0]), int(after[1]), str(after[2])) if after else None
            return cls(str(told["walk"]), entry, str(told["key"]))
        except (KeyError, IndexError, TypeError, ValueError):
            return cls()


def reconcile(
    ledger: Ledger,
    listings: Listing,
    planner: Planner,
    older_than: timedelta = OLDER_THAN,
    place: Mapping[str, Any] | None = None,
    deadline: Deadline = _NO_HURRY,
    dry_run: bool = False,
    scope: Scope = Scope(),
    waiting: int = 0,
    keep: Callable[[Mapping[str, Any]], None] = lambda _place: None,
    watch: Watch = lambda _what, _number: None,
    now: datetime | None = None,
    past: Remembered | None = None,
) -> Reconciled:
    """Look at open work and at Bronze from `place` on, and push what nobody works on.

    Args:
        older_than: younger work is left alone.
        waiting: messages in the queue. Above LONG_QUEUE, units of planned objects may be among them.
        keep: hears from time to time up to which place everything has been looked at.
        now: replaced in tests; the ledger has a clock of its own.
        past: the history. Without it, an object that somebody deleted from the ledger is planned as a new one, which
            doubles its rows where its lots have left the ledger, too.

    Raises:
        ClientError, BotoCoreError, Throttled, SendFailed: AWS refuses or does not answer; what was done is kept.
    """
    moment = now or datetime.now(UTC)
    run = _Run(ledger, listings, planner, moment - older_than, deadline, dry_run, scope, waiting, keep, watch, past)
    return run.run(Place.from_json(place))


class _Run:
    def __init__(
        self,
        ledger: Ledger,
        listing: Listing,
        planner: Planner,
        cut: datetime,
        deadline: Deadline,
        dry_run: bool,
        scope: Scope,
        waiting: int,
        keep: Callable[[Mapping[str, Any]], None],
        watch: Watch,
        past: Remembered | None,
    ) -> None:
        self._past = past
        self._ledger, self._listing, self._planner = ledger, listing, planner
        self._cut, self._deadline, self._dry_run, self._scope = cut, deadline, dry_run, scope
        self._waiting, self._keep, self._watch = waiting, keep, watch
        self._done = Reconciled()
        self._place = Place()

    def run(self, place: Place) -> Reconciled:
        self._place = place
        try:
            if place.walk == "open":
                self._open_work(place.after)
                self._move(Place("bronze"))
            self._bronze(self._place.key)
        except OutOfTime:
            self._done.place = self._place.to_json()
        finally:
            self._keep(self._place.to_json())
        return self._done

    def _move(self, place: Place) -> None:
        """Everything before `place` has been looked at."""
        self._place = place
        self._keep(place.to_json())

    # -- open work ---------------------------------------------------------------------------------------------

    def _open_work(self, stored: tuple[str, int, str] | None) -> None:
        after = OpenEntry(*stored) if stored else None
        for batch in batched(self._ledger.open_entries("object", after), _BATCH):
            self._deadline.check()
            old = [entry.object for entry in batch if entry.since < self._cut.timestamp() * 1000]
            ids = [id_ for id_ in old if id_.key.startswith(self._scope.prefix)]
            known = [one for one in self._ledger.find_objects(ids) if self._scope.has(one.id.key, one.source.created)]
            judged = self._look([one for one in known if not one.is_finished])
            taken_out = ((one, Found.TAKEN_OUT, one.plan.units) for one in known if one.is_to_be_reloaded)
            for repair in in_order(self._repair, chain(judged, taken_out), _WORKERS):
                self._done.add(repair)
            self._done.open += len(batch)
            self._watch("open objects", self._done.open)
            last = batch[-1]
            self._move(Place("open", (last.shard, last.since, last.pk)))

    def _look(self, objects: Sequence[LedgerObject]) -> Iterator[tuple[LedgerObject, Found, int]]:
        """What is wrong with each of these unfinished objects, and how many of its units nobody takes care of."""
        tally = {known.id: Counter[Fate]() for known in objects}
        for group in slices(objects):
            fate = fates(self._ledger, [unit for part in group for unit in part.units])
            for part in group:
                tally[part.object.id].update(fate[unit] for unit in part.units)
                if part.ends_object:
                    found = tally.pop(part.object.id)
                    missing = found[Fate.FREE] + found[Fate.LEFT]
                    yield part.object, self._judge(part.object, found, missing), missing

    def _repair(self, judged: tuple[LedgerObject, Found, int]) -> Repair:
        known, found, missing = judged
        if not found.is_repaired:
            return Repair(known.id, found)
        if found is Found.TAKEN_OUT and known.is_leaving:  # its rows must leave first, which needs the lake
            return Repair(known.id, Found.RETRACTING)
        if self._dry_run:
            return Repair(known.id, found, missing)
        self._deadline.check()
        try:
            if found is Found.TAKEN_OUT:
                return _planned(known.source, found, self._planner.judge_again(known, self._deadline))
            if found is Found.PLANNING_STOPPED:
                return _planned(known.source, found, self._planner.plan(known.source, self._deadline))
            sent = self._planner.send_missing(known.plan, self._deadline, also_dead=False)
        except (LeaseHeld, LeaseLost, NotReopened):
            return Repair(known.id, Found.IN_PROGRESS)
        self._ledger.objects.note_resent(known.id)
        return Repair(known.id, found, sent)

    def _judge(self, known: LedgerObject, fate: Counter[Fate], missing: int) -> Found:
        if known.state is ObjectState.PLANNING:
            is_ours = known.lease_until < self._ledger.now_ms()
            return Found.PLANNING_STOPPED if is_ours else Found.IN_PROGRESS
        if not missing:
            if fate[Fate.DEAD]:
                return Found.DEAD_LETTERS
            return Found.IN_PROGRESS if fate[Fate.IN_LOT] else Found.ALL_COMMITTED
        if known.resent and known.resent > self._cut:
            return Found.SENT_LATELY
        if self._waiting > LONG_QUEUE:
            return Found.WAITING
        return Found.LOT_LEFT if fate[Fate.LEFT] else Found.UNITS_LOST

    # -- Bronze ------------------------------------------------------------------------------------------------

    def _bronze(self, after: str) -> None:
        pages = read_ahead(self._listing.versions(self._scope.prefix, after))
        for looked_at, page in in_order(self._look_up, pages, _LOOKERS, 0):
            self._deadline.check()
            for repair in in_order(self._push, looked_at, _WORKERS):
                self._done.add(repair)
            self._done.contents += len(page.contents)
            self._watch("contents of Bronze", self._done.contents)
            if page.whole:  # the last key's versions may go on in the next page
                self._move(Place("bronze", key=page.whole))

    def _look_up(self, page: Versions) -> tuple[list[tuple[BronzeObject, LedgerObject | None]], Versions]:
        """Contents that may need a push, with what the ledger knows. The newest version of a content stands for it."""
        meant: dict[ObjectId, BronzeObject] = {}
        for source in page.contents:
            old = source.created < self._cut and self._scope.has_listed(source)
            if old and (self._scope.rejected or not CopyKey.is_copy(source.key)):
                meant.setdefault(source.id, source)
        known: dict[ObjectId, LedgerObject] = {}
        for batch in batched(meant, _IDS_PER_READ):
            known |= {one.id: one for one in self._ledger.find_objects(batch)}
        found = [(source, known.get(id_)) for id_, source in meant.items()]
        return [(source, one) for source, one in found if self._needs_a_look(source, one, page)], page

    def _needs_a_look(self, source: BronzeObject, known: LedgerObject | None, page: Versions) -> bool:
        if known is None:
            return not CopyKey.is_copy(source.key)
        given_up = source.id in page.gone and not CopyKey.is_copy(source.key)  # its rows came in another form
        return self._scope.rejected and known.state is ObjectState.REJECTED and not given_up

    def _push(self, found: tuple[BronzeObject, LedgerObject | None]) -> Repair:
        """A content that the ledger does not know, or has rejected."""
        source, known = found
        self._deadline.check()
        try:
            if known is None:
                return self._announce(source)
            if CopyKey.is_copy(source.key):
                return self._forget_copy(source)
            return self._judge_again(known)
        except (LeaseHeld, LeaseLost):  # its event has come at last, or somebody was faster
            return Repair(source.id, Found.IN_PROGRESS)

    def _announce(self, source: BronzeObject) -> Repair:
        if self._past is not None and self._past.outcome_of(source.id) is not None:
            if not self._dry_run:
                self._past.put_back(self._ledger, source.id)
            return Repair(source.id, Found.PUT_BACK)
        if self._dry_run:
            return Repair(source.id, Found.NEVER_ANNOUNCED)
        return _planned(source, Found.NEVER_ANNOUNCED, self._planner.plan(source, self._deadline))

    def _judge_again(self, known: LedgerObject) -> Repair:
        if not self._planner.takes(known):
            return Repair(known.id, Found.STILL_REJECTED)
        if self._dry_run:
            return Repair(known.id, Found.REJECTED, known.plan.units, known.reason)
        planned = self._planner.judge_again(known, self._deadline)
        return Repair(known.id, Found.REJECTED, planned.units, known.reason)

    def _forget_copy(self, copy: BronzeObject) -> Repair:
        """A copy that was rejected because nobody knew its origin is no object: once that is known, it is forgotten."""
        try:
            etag = self._planner.origin_etag(copy)
        except ObjectGone:  # deleted since it was listed; its own etag is all that is known of it
            etag = copy.etag
        if find_origin(self._ledger, copy, etag) is None:
            return Repair(copy.id, Found.STILL_REJECTED)
        if not self._dry_run:
            self._ledger.objects.forget_copy(copy.id)
        return Repair(copy.id, Found.FORGOTTEN)


def _planned(source: BronzeObject, found: Found, planned: Planned) -> Repair:
    if planned.outcome is Outcome.DUPLICATE:
        return Repair(source.id, Found.IN_PROGRESS)  # somebody was faster
    refused = planned.outcome in (Outcome.REJECTED, Outcome.REFUSED)
    return Repair(source.id, found, planned.units, planned.reason, refused)
