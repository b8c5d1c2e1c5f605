"""What nothing needs any more: old snapshots, metadata that no snapshot names, runs of compactions likewise.

It deletes under `lake/` and `silver_compacted/` alone, and never under `silver/`: those files are the ledger's.

- Snapshots: all of the last day stay, the last one of each day of the last month, those that were current when this day
  and this month began, and what has a tag or a branch.
- Metadata: what the table's current metadata and its snapshots name stays.
- Runs: what a snapshot names stays; so does a run that was made without a table, which belongs to who made it.
What is younger than the longest commit, or than a run may take, stays too: it may be about to be named. Ages are those
at the beginning, before the table is looked at: whoever is paused in between must not take what came since for old.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from services.ops.grid import batched
from services.ops.lake.catalog import LakeCatalog
from services.ops.lake.committer import LONGEST_COMMIT, TableBusy, names_of_snapshots
from services.ops.lake.live import READERS, key_of, record_key, side_by_side
from services.ops.lake.publish import table_lease
from services.ops.lake.store import Store, StoredFile
from services.shared.compaction import CompactionPlan
from services.shared.deadline import Deadline, OutOfTime
from services.shared.errors import Transient
from services.shared.identities import COMPACTED_ROOT, LAKE_ROOT, CompactionRun
from services.shared.ledger.ledger import Ledger
from services.shared.manifest_json import ManifestError
from services.shared.recompute import recompute_plan_key

KEEP_ALL = timedelta(days=1)
KEEP_DAILY = timedelta(days=30)
UNNAMED_METADATA = timedelta(seconds=4 * LONGEST_COMMIT)
UNNAMED_RUN = timedelta(days=1)  # from then on nobody may name it any more: see `Compaction.find_ended`
_READ_AT_ONCE = 64  # lists of manifests, between two looks at the time
_PAUSES = (7, 15, 25, 40)  # seconds, before those have another turn that somebody else worked on


@dataclass(slots=True)
class Maintained:
    """What was done to one table."""

    dataset: str
    snapshots: int = 0  # that were expired
    metadata: int = 0  # files that were deleted
    runs: int = 0
    run_files: int = 0
    kept: list[str] = field(default_factory=list)  # runs that cannot be judged, and why


@dataclass(slots=True)
class Tidied:
    """What was done to several tables."""

    tables: list[Maintained] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)  # tables that somebody else works on
    problems: list[str] = field(default_factory=list)  # why tables were left, each for somebody to look at
    finished: bool = True  # False: time was over first


class Maintenance:
    """Looks after the tables of one lake."""

    def __init__(
        self,
        ledger: Ledger,
        catalog: LakeCatalog,
        store: Store,
        deadline: Deadline,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger, self._catalog, self._store, self._deadline, self._now = ledger, catalog, store, deadline, now
        self._sleep = sleep

    def run_each(
        self, datasets: Iterable[str], keep_all: timedelta = KEEP_ALL, keep_daily: timedelta = KEEP_DAILY
    ) -> Tidied:
        """Look after tables, one after the other. What is wrong with one concerns no other.

        Those that somebody else works on have another turn, and another: the publisher may start in the same second as
        we do, each time.
        """
        done = Tidied(busy=list(datasets))
        for pause in (0, *_PAUSES):
            if not done.busy:
                break
            try:
                if pause:
                    if self._deadline.left <= pause:
                        raise OutOfTime(f"{done.busy[0]} is worked on, and no time is left to wait for its end")
                    self._sleep(pause)
                turn, done.busy = done.busy, []
                for dataset in turn:
                    self._run_one(dataset, keep_all, keep_daily, done)
            except OutOfTime:
                done.finished = False
                break
        return done

    def _run_one(self, dataset: str, keep_all: timedelta, keep_daily: timedelta, done: Tidied) -> None:
        try:
            done.tables.append(self.run(dataset, keep_all, keep_daily))
        except OutOfTime:
            raise
        except Transient:
            done.busy.append(dataset)
        except Exception as error:  # noqa: BLE001 (whatever catalog or bucket answer for one table)
            done.problems.append(f"{dataset}: {type(error).__name__}: {error}")

    def run(self, dataset: str, keep_all: timedelta = KEEP_ALL, keep_daily: timedelta = KEEP_DAILY) -> Maintained:
        """Look after one table. Whoever stops in between starts again.

        Raises:
            LeaseHeld, TableBusy: somebody else works on the table.
        """
        done, began = Maintained(dataset), self._now()
        with table_lease(self._ledger, dataset, self._deadline):
            table = self._catalog.find(dataset)
            if table is None:
                return done
            table = self._expire(table, began, keep_all, keep_daily, done)
            named = _Named.of(table, self._store.root, self._deadline)
            self._delete_metadata(began - UNNAMED_METADATA, named, done)
            self._delete_runs(began - UNNAMED_RUN, named, done)
        return done

    def _expire(
        self, table: Table, now: datetime, keep_all: timedelta, keep_daily: timedelta, done: Maintained
    ) -> Table:
        old = list(_expirable(table, now, keep_all, keep_daily))
        if not old:
            return table
        try:
            table.maintenance.expire_snapshots().by_ids(old).commit()
        except CommitFailedException as error:
            raise TableBusy(
                f"the table {done.dataset}: somebody else commits to it; it is tried again later"
            ) from error
        done.snapshots = len(old)
        return table.refresh()

    def _delete_metadata(self, before: datetime, named: _Named, done: Maintained) -> None:
        for file in self._store.list(f"{LAKE_ROOT}/{done.dataset}/metadata/"):
            if file.key not in named.metadata and file.modified < before:
                self._deadline.check()
                self._store.delete([file.key])
                done.metadata += 1

    def _delete_runs(self, before: datetime, named: _Named, done: Maintained) -> None:
        for run, files in _runs(self._store.list(f"{COMPACTED_ROOT}/{done.dataset}/")):
            if run in named.runs or max(file.modified for file in files) >= before:
                continue
            if (why := self._keeps(run, files)) is not None:
                if why:
                    done.kept.append(f"{run}: {why}")
                continue
            self._deadline.check()
            outputs = [file.key for file in files if file.key != run.plan_key]
            self._store.delete([*outputs, record_key(run), run.plan_key])  # the plan last: it says whose run this is
            done.runs += 1
            done.run_files += len(outputs)

    def _keeps(self, run: CompactionRun, files: Sequence[StoredFile]) -> str | None:
        """None where a run is the table's to delete; else why not, empty where that is as it should be."""
        if any(file.key == recompute_plan_key(run) for file in files):
            return ""  # a report, which belongs to who asked for it
        text = self._store.read(run.plan_key)
        if text is None:
            return "it has no plan; delete it by hand if it is not needed"
        try:
            plan = CompactionPlan.from_json(text)
        except ManifestError as error:
            return str(error)
        return None if plan.base_snapshot is not None else ""


@dataclass(slots=True)
class _Named:
    """What a table's metadata and snapshots name."""

    metadata: set[str] = field(default_factory=set)
    runs: set[CompactionRun] = field(default_factory=set)

    @classmethod
    def of(cls, table: Table, root: str, deadline: Deadline) -> _Named:
        """A busy table has some thousand manifests, which S3 gives one after the other in minutes.

        Raises:
            OutOfTime: it has too many for what is left.
        """
        manifests: dict[str, ManifestFile] = {}
        runs: set[CompactionRun] = set()
        with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
            for snapshots in batched(table.snapshots(), _READ_AT_ONCE):
                deadline.check()
                for found in pool.map(lambda snapshot: snapshot.manifests(table.io), snapshots):
                    manifests |= {manifest.manifest_path: manifest for manifest in found}
            for some in side_by_side(manifests.values()):
                deadline.check()
                runs.update(*pool.map(lambda manifest: _runs_in(manifest, table, root), some))
        addresses = [table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)]
        addresses += [*(snapshot.manifest_list for snapshot in table.snapshots()), *manifests]
        return cls({key_of(address, root) for address in addresses}, runs)


def _runs_in(manifest: ManifestFile, table: Table, root: str) -> set[CompactionRun]:
    keys = (
        key_of(entry.data_file.file_path, root)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    )
    return {CompactionRun.parse(key) for key in keys if key.startswith(f"{COMPACTED_ROOT}/")}


def _expirable(table: Table, now: datetime, keep_all: timedelta, keep_daily: timedelta) -> Iterator[int]:
    """Snapshots that need not be kept. The current one always is, and what somebody has given a name."""
    current, named = table.current_snapshot(), names_of_snapshots(table)
    last_of_day: dict[str, Snapshot] = {}
    before: dict[timedelta, Snapshot] = {}  # as of a time that is kept, the table may be as it was before
    for snapshot in sorted(table.snapshots(), key=lambda one: one.timestamp_ms):
        last_of_day[_time(snapshot).date().isoformat()] = snapshot
        before |= {kept: snapshot for kept in (keep_all, keep_daily) if now - _time(snapshot) > kept}
    daily = {snapshot.snapshot_id for snapshot in last_of_day.values()}
    named |= {snapshot.snapshot_id: [] for snapshot in before.values()}
    for snapshot in table.snapshots():
        age = now - _time(snapshot)
        stays = (
            snapshot.snapshot_id in named or age <= keep_all or (age <= keep_daily and snapshot.snapshot_id in daily)
        )
        if not stays and (current is None or snapshot.snapshot_id != current.snapshot_id):
            yield snapshot.snapshot_id


def _time(snapshot: Snapshot) -> datetime:
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)


def _runs(files: Iterator[StoredFile]) -> Iterator[tuple[CompactionRun, list[StoredFile]]]:
    """Files by their run. Keys come in order, so those of a run come together; what is in no run is nobody's here."""
    run: CompactionRun | None = None
    together: list[StoredFile] = []
    for file in files:
        try:
            mine = CompactionRun.parse(file.key)
        except ValueError:
            continue
        if run is not None and mine != run:
            yield run, together
            together = []
        run = mine
        together.append(file)
    if run is not None:
        yield run, together
