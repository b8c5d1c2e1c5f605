"""How a pipeline is doing, at a glance: what is open, what was finished today, how late it is, how deep the queues are.

It reads samples of the ledger's index (at most `limit` entries of each kind), what these name, and the queues'
attributes. So a glance costs the same however large the ledger is; what is more than the limit is said to be more.

    kind `object`, `lot`       unfinished, the oldest first
    kind `done`, `committed`   finished since midnight (UTC), the newest first, until the archive has taken them
    kind `publish`, `events`   marks that wait for the lake's publisher or the gate's announcer, where there is one
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from services.ops.dead_letters.looking import Depth
from services.ops.grid import LOTS_PER_READ, batched, look_at, slices
from services.shared.identities import BronzeKey, ObjectId, UnacceptableKey
from services.shared.ledger.archive import FinishedLot
from services.shared.ledger.entries import OpenEntry
from services.shared.ledger.gates import Gate
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, LedgerObject, Lot, ObjectState, Outbox, UnitRecord

LIMIT = 1000
OVERDUE = timedelta(hours=24)
LEFT_AFTER = timedelta(hours=1)  # what a forced replay took out so long ago, nobody is at any more
NO_DATASET = "(no dataset)"  # keys that name none: their objects are rejected
_READERS = 8  # queries side by side


class UnitState(StrEnum):
    """Of the units of unfinished objects."""

    COMMITTED = "committed"
    IN_PROGRESS = "in_progress"  # in a lot that is not committed yet
    WAITING = "waiting"  # in no lot: its message is in the queue, or lost
    DEAD = "dead"  # given up: its message is a dead letter


@dataclass(slots=True)
class Dataset:
    """How late one dataset is."""

    name: str
    open: int = 0  # unfinished objects
    oldest_open: datetime | None = None  # since when the oldest of them is known
    done: int = 0  # today
    last_done: datetime | None = None
    lag: timedelta | None = None  # of the last one that was done: from its creation until then
    rows: Counts = field(default_factory=Counts)  # committed today


@dataclass(frozen=True, slots=True)
class Oldest:
    """The object that has been unfinished for longest."""

    id: ObjectId
    state: ObjectState
    since: datetime


@dataclass(frozen=True, slots=True)
class Marks:
    """Lots that wait for one who follows commits."""

    number: int = 0
    oldest: datetime | None = None


@dataclass(slots=True)
class Status:
    """What a glance saw. A kind in `more` has more entries than were looked at."""

    at: datetime
    objects: Counter[str] = field(default_factory=Counter)  # unfinished ones, by state
    finished: Counter[str] = field(default_factory=Counter)  # today, by state
    units: Counter[UnitState] = field(default_factory=Counter)  # of unfinished objects
    lots: Counter[str] = field(default_factory=Counter)  # unfinished ones, by state
    lots_committed: int = 0  # today
    rows: Counts = field(default_factory=Counts)  # committed today
    oldest: Oldest | None = None
    overdue: int = 0  # objects that are unfinished for more than OVERDUE
    taken_out: int = 0  # objects that `replay --force` took out, and left so for more than LEFT_AFTER
    datasets: dict[str, Dataset] = field(default_factory=dict)
    queues: dict[str, Depth] = field(default_factory=dict)
    more: set[str] = field(default_factory=set)
    gates: list[Gate] = field(default_factory=list)
    marks: dict[Outbox, Marks] = field(default_factory=dict)  # of the outboxes that are open

    def dataset(self, name: str) -> Dataset:
        return self.datasets.setdefault(name, Dataset(name))

    @property
    def needs(self) -> list[tuple[int, str, str]]:
        """What waits for a person: how many, of what, and the command that shows it."""
        dead, failed = (self.queues.get(name, Depth()) for name in ("dead_letters", "failed_events"))
        found = [
            (dead.total, "dead letters", "smelt dlq show"),
            (failed.total, "failed S3 events", "smelt dlq show --only events"),
            (self.overdue, f"objects unfinished for {OVERDUE // timedelta(hours=1)} h", "smelt audit --unfinished"),
            (self.taken_out, "objects taken out by replay --force, not loaded again", "smelt audit --unfinished"),
            (self._without_letter, "units given up, whose dead letters are gone", "smelt audit --unfinished"),
            (
                self.finished[ObjectState.REJECTED],
                "objects rejected today: not loaded",
                "smelt audit --state not_loaded",
            ),
            (
                sum(len(gate.not_passed) for gate in self.gates),
                "partitions that have not passed the gate",
                "make ge-history",
            ),
        ]
        return [one for one in found if one[0]]

    @property
    def _without_letter(self) -> int:
        """Units that are dead, in a pipeline whose dead-letter queue is empty: it was purged, or they are too old."""
        known = self.queues.get("dead_letters")
        return self.units[UnitState.DEAD] if known is not None and not known.total else 0


class Glance:
    """Takes one look after the other; what cannot change any more is read once (`smelt status --watch`)."""

    def __init__(self, ledger: Ledger, limit: int = LIMIT) -> None:
        self._ledger = ledger
        self._limit = limit
        self._committed: dict[OpenEntry, dict[str, Counts]] = {}  # rows by dataset
        self._finished: dict[OpenEntry, LedgerObject] = {}

    def look(self, queues: Mapping[str, Depth], now: datetime | None = None) -> Status:
        """The state now.

        Raises:
            ClientError, BotoCoreError, Throttled: the ledger cannot be read.
        """
        status = Status(now or datetime.now(UTC), queues=dict(queues))
        midnight = status.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self._open_objects(status)
        self._open_lots(status, midnight)
        self._done(status, midnight)
        self._rows(status, midnight)
        status.gates = self._ledger.gates.all()
        status.marks = {outbox: self._marks(status, outbox) for outbox in sorted(self._ledger.marks.opened())}
        return status

    # -- unfinished ------------------------------------------------------------------------------------------

    def _open_objects(self, status: Status) -> None:
        entries = sorted(self._sample(status, "object"), key=lambda entry: entry.since)
        known = {found.id: found for found in self._ledger.find_objects(entry.object for entry in entries)}
        unfinished: list[LedgerObject] = []
        for entry in entries:
            found = known.get(entry.object)
            if found is None or found.state in (ObjectState.DONE, ObjectState.REJECTED):
                continue
            status.objects[found.state] += 1
            status.taken_out += found.is_to_be_reloaded and status.at - _time(entry.since) > LEFT_AFTER
            if found.is_finished:  # it is being retracted: no unit of it will be loaded
                continue
            since = _time(entry.since)
            unfinished.append(found)
            status.oldest = status.oldest or Oldest(found.id, found.state, since)
            status.overdue += status.at - since > OVERDUE
            dataset = status.dataset(dataset_of(found.id))
            dataset.open += 1
            dataset.oldest_open = dataset.oldest_open or since
        self._units(status, unfinished)

    def _units(self, status: Status, unfinished: list[LedgerObject]) -> None:
        for group in slices(unfinished):
            units = [unit for part in group for unit in part.units]
            room = self._limit - status.units.total()
            if len(units) > room:
                status.more.add("unit")
                units = units[:room]
            look = look_at(self._ledger, units)
            for unit in units:
                status.units[_unit_state(unit in look.committed, look.records.get(unit))] += 1
            if "unit" in status.more:
                return

    def _open_lots(self, status: Status, midnight: datetime) -> None:
        """Among them are committed ones whose old files wait for the sweep, and such as are being rewritten."""
        for batch in batched(self._sample(status, "lot"), LOTS_PER_READ):
            for found in self._ledger.archive.finished_lots((entry.pk, entry.since) for entry in batch):
                status.lots[found.lot.state] += 1
                if found.lot.state.holds_rows and _was_committed(found, midnight):
                    self._count(status, _rows_of(found.lot))

    # -- finished today --------------------------------------------------------------------------------------

    def _done(self, status: Status, midnight: datetime) -> None:
        entries = self._sample(status, "done", midnight)
        new = [entry for entry in entries if entry not in self._finished]
        found = {known.id: known for known in self._ledger.find_objects(entry.object for entry in new)}
        read = {entry: found[entry.object] for entry in new if entry.object in found}
        self._finished = {entry: self._finished[entry] for entry in entries if entry in self._finished} | read
        for entry, known in self._finished.items():
            empty = known.state is ObjectState.REJECTED and not known.source.size  # such as a folder of the console
            status.finished["EMPTY" if empty else known.state] += 1
            if known.state is not ObjectState.DONE:
                continue
            dataset, at = status.dataset(dataset_of(known.id)), _time(entry.since)
            dataset.done += 1
            if dataset.last_done is None or at > dataset.last_done:
                dataset.last_done, dataset.lag = at, at - known.source.created

    def _rows(self, status: Status, midnight: datetime) -> None:
        entries = self._sample(status, "committed", midnight)
        self._committed = {entry: self._committed[entry] for entry in entries if entry in self._committed}
        for batch in batched((entry for entry in entries if entry not in self._committed), LOTS_PER_READ):
            finished = self._ledger.archive.finished_lots((entry.pk, entry.since) for entry in batch)
            found = {one.lot.id: one for one in finished}
            # A lot that was rewritten, or restored, today is in the index once more: its rows came on another day.
            self._committed |= {
                entry: _rows_of(found[entry.lot].lot) if _was_committed(found[entry.lot], midnight) else {}
                for entry in batch
                if entry.lot in found
            }
        for rows in self._committed.values():
            self._count(status, rows)

    @staticmethod
    def _count(status: Status, committed_today: Mapping[str, Counts]) -> None:
        status.lots_committed += bool(committed_today)
        for name, counts in committed_today.items():
            status.rows += counts
            status.dataset(name).rows += counts

    def _marks(self, status: Status, outbox: Outbox) -> Marks:
        since = [entry.since for entry in self._sample(status, outbox)]
        return Marks(len(since), _time(min(since)) if since else None)

    def _sample(self, status: Status, kind: str, since: datetime | None = None) -> list[OpenEntry]:
        """The oldest entries of a kind, or those since a time, the newest first; about `limit` of them at most."""
        shards = self._ledger.open_shards(kind)
        most = -(-self._limit // len(shards))
        since_ms = int(since.timestamp() * 1000) if since else 0

        def ask(shard: str) -> list[OpenEntry]:
            return self._ledger.open_sample(shard, most + 1, since_ms, newest_first=since is not None)

        with ThreadPoolExecutor(_READERS) as pool:
            found = list(pool.map(ask, shards))
        if any(len(entries) > most for entries in found):
            status.more.add(kind)
        return [entry for entries in found for entry in entries[:most]]


def dataset_of(id_: ObjectId) -> str:
    """The dataset that an object's key names."""
    try:
        return BronzeKey.parse(id_.key).dataset
    except UnacceptableKey:
        return NO_DATASET


def _rows_of(lot: Lot) -> dict[str, Counts]:
    rows: dict[str, Counts] = {}
    for unit, counts in zip(lot.units, lot.unit_counts, strict=False):
        name = dataset_of(unit.object)
        rows[name] = rows.get(name, Counts()) + counts
    return rows


def _was_committed(found: FinishedLot, since: datetime) -> bool:
    return found.committed is not None and found.committed >= since


def _unit_state(committed: bool, record: UnitRecord | None) -> UnitState:
    if committed:
        return UnitState.COMMITTED
    if record and record.lot:
        return UnitState.IN_PROGRESS
    return UnitState.DEAD if record and record.notes.dead else UnitState.WAITING


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
