"""Publishing: the ledger's marks become commits of the tables, one snapshot for many lots, then the marks go.

    marks that wait --> lots, some hundred at a time --> for each dataset: what is in the table, what should be
                                                                 |
                 marks removed <-- one commit a table <----------'

For each lot the table shall have exactly the lot's files, or a compaction that stands for exactly these:
- a file that is neither live nor covered by a run comes;
- a live file that the lot does not have any more goes: the lot was rewritten, and this is the swap;
- if a run covers a file that the lot does not have any more, the run's outputs go, and all files that it stands for
  come back, without that one: the partition's rebuild is the swap. Snapshots since the first of them are forgotten.
A file that is lost, or was changed by hand, cannot come: its lot's mark waits for it, and notes that the swap is done
without it. So the replaced files go, and `smelt reload` can take the lot's objects out, one after the other.
What is so already is left alone, so every step may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice

from botocore.exceptions import ClientError

from services.ops.lake.catalog import LakeCatalog
from services.ops.lake.committer import Change, Committed, Committer, HeldByTag, WrongFile
from services.ops.lake.live import Live
from services.ops.lake.store import Store
from services.shared.contract.model import Contract
from services.shared.deadline import LEASE_SLACK_SECONDS, Deadline, OutOfTime
from services.shared.errors import Terminal, Transient
from services.shared.identities import SILVER_ROOT, LakeKey, LotId
from services.shared.ledger.leases import Lease
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.marks import Waiting
from services.shared.ledger.records import LeaseHeld, LotFile, LotState, Outbox

Watch = Callable[[str, int], None]  # what is being done, and how many so far
LOTS_PER_COMMIT = 500  # each is named in the snapshot's summary
FILES_PER_COMMIT = 4_000  # of which memory holds what Iceberg notes of them
_REMOVERS = 16
_LONGEST_LEASE = 900.0  # seconds
_NO_CONTRACT = "no contract describes it. Bring its contract back"


@dataclass(slots=True)
class Published:
    """What a run did."""

    lots: int = 0  # whose marks are dealt with
    snapshots: int = 0
    added: int = 0  # files
    removed: int = 0
    forgotten: int = 0  # snapshots that named replaced files
    busy: list[str] = field(default_factory=list)  # tables that somebody else works on; their lots wait
    problems: list[str] = field(default_factory=list)  # why lots wait, and what to do
    replaced: int = 0  # lots that were rewritten meanwhile: the next run deals with them
    listed: int = 0  # files of Silver that a backfill has looked at
    finished: bool = True  # False: time was over first

    @property
    def all_right(self) -> bool:
        return not self.problems

    def add(self, done: Committed) -> None:
        self.snapshots += done.snapshot_id is not None
        self.added += done.added
        self.removed += done.removed
        self.forgotten += done.forgotten


def wanted_files(files: Iterable[LotFile], dataset: str) -> dict[str, LotFile]:
    """The files of Silver that a lot has of a dataset."""
    prefix = f"{SILVER_ROOT}/{dataset}/"
    return {file.key: file for file in files if file.key.startswith(prefix)}


def change_for(live: Live, lots: Mapping[LotId, Mapping[str, LotFile]]) -> Change:
    """What must come and go so that the table has exactly these files of each of these lots."""
    change = Change()
    of_lots, covered = live.of_lots(), live.covered()
    stale = {file.key for id_, wanted in lots.items() for file in of_lots.get(id_, ()) if file.key not in wanted}
    outdated = {key for key, (_, file) in covered.items() if file.lot in lots and key not in lots[file.lot]}
    for key in stale:
        change.remove[key] = live.files[key]
        change.forget(live.files[key].sequence)
    for wanted in lots.values():
        for key, file in wanted.items():
            if key not in live.files and key not in covered:
                change.add[key] = file
    for run in {covered[key][0] for key in outdated}:
        # Files that come back are of this commit for Iceberg. If one of them must go later, nobody will know any more
        # which snapshots name it, or hold its rows by an earlier run: so those go now.
        for left in live.runs[run].files:
            change.forget(left.sequence)
        change.remove |= {output.key: output for output in live.outputs(run)}
        change.add |= {other.key: other for other in live.runs[run].files if other.key not in outdated}
    return change


class Publisher:
    """Publishes the marks of one ledger into the tables of one lake."""

    def __init__(
        self,
        ledger: Ledger,
        catalog: LakeCatalog,
        store: Store,
        contracts: Mapping[str, Contract],
        deadline: Deadline,
        watch: Watch = lambda _what, _number: None,
        lots_per_commit: int = LOTS_PER_COMMIT,
        removers: int = _REMOVERS,
    ) -> None:
        self._ledger, self._catalog, self._store, self._contracts = ledger, catalog, store, contracts
        self._deadline, self._watch = deadline, watch
        self._lots_per_commit, self._removers = lots_per_commit, removers
        self._unusable: set[str] = set()  # tables that no lot can be published to in this run
        self._incomplete: set[LotId] = set()  # lots whose marks wait for a file, and for nothing else
        self._held: dict[LotId, str] = {}  # lots that a snapshot keeps from their swap, and how
        self.done = Published()

    def run(self) -> Published:
        """Publish what waits, until nothing does or time is over."""
        waiting = self._ledger.marks.to_deal_with(Outbox.PUBLISH)
        try:
            for batch in _batches(waiting, self._lots_per_commit):
                self._deadline.check()
                self._publish(batch)
                self._watch("lots published", self.done.lots)
        except OutOfTime:
            self.done.finished = False
        return self.done

    def publish_lots(
        self,
        dataset: str,
        lots: Mapping[LotId, Mapping[str, LotFile]],
        days: Iterable[str],
        without: frozenset[str] = frozenset(),
        barrier: bool = False,
    ) -> Committed:
        """Make the table have exactly these files of each of these lots; `days` are all that they ever were in.

        Files of `without` do not come; one that is live stays. With `barrier`, nothing that somebody decided before can
        land afterwards, also where nothing is to be done.

        Raises:
            LeaseHeld: somebody else works on the table.
            Terminal, Transient: as `Committer.commit`.
        """
        contract, ever = self._contracts.get(dataset), frozenset(days)
        with table_lease(self._ledger, dataset, self._deadline):
            about = {"smelt.lots": ",".join(map(str, sorted(lots))), "smelt.by": "publish"}
            committer = Committer(self._catalog, self._store, dataset, contract)

            def decide(live: Live) -> Change:
                change = change_for(live, self._as_now(dataset, lots, ever))
                for key in without & change.add.keys():
                    del change.add[key]
                return replace(change, barrier=barrier)

            return committer.commit(ever, decide, about)

    def _as_now(
        self, dataset: str, lots: Mapping[LotId, Mapping[str, LotFile]], days: frozenset[str]
    ) -> dict[LotId, Mapping[str, LotFile]]:
        """These lots as the ledger has them behind the look at the table.

        Since they were read, somebody may have rewritten and published them; the files from before must not come back.
        One that is being rewritten has another mark, and waits for it. One that has left the ledger is as it was.
        """
        now: dict[LotId, Mapping[str, LotFile]] = dict(lots)
        for lot in self._ledger.find_lots(lots):
            if lot.state is LotState.COMMITTED:
                files = wanted_files(lot.files, dataset)
                now[lot.id] = {key: file for key, file in files.items() if LakeKey.parse(key).dt in days}
            else:
                del now[lot.id]
        return now

    def _publish(self, batch: Sequence[Waiting]) -> None:
        waits: set[LotId] = set()
        blocked: set[LotId] = set()
        datasets = sorted({dataset for waiting in batch for dataset in waiting.mark.partitions})
        for dataset in datasets:
            mine = [waiting for waiting in batch if dataset in waiting.mark.partitions]
            self._incomplete.clear()
            left = self._publish_dataset(dataset, mine)
            waits |= left
            blocked |= left - self._incomplete
        self._remove([waiting for waiting in batch if waiting.lot.id not in waits])
        for waiting in batch:
            if waiting.lot.id in waits - blocked:
                self._ledger.marks.note_swap(waiting.mark)
            elif waiting.lot.id in self._held:
                self._ledger.marks.note_held(waiting.mark, self._held[waiting.lot.id])

    def attempt(self, dataset: str, work: Callable[[], None]) -> bool:
        """Do something with one table. What keeps it from succeeding is noted, and concerns no other table.

        Raises:
            OutOfTime: for the caller to deal with.
        """
        if dataset in self._unusable:
            return False
        try:
            work()
        except OutOfTime:
            raise
        except LeaseHeld:
            if dataset not in self.done.busy:
                self.done.busy.append(dataset)
            return False
        except Transient as error:
            self._problem(f"{dataset}: {error}")
            return False
        except Terminal as error:
            self._unusable.add(dataset)
            self._problem(f"{dataset}: {error}")
            return False
        except Exception as error:  # noqa: BLE001 (whatever catalog or bucket answer for one table, it keeps no other)
            self._unusable.add(dataset)
            self._problem(f"{dataset}: {type(error).__name__}: {error}. Its lots wait, and the next run tries again")
            return False
        return True

    def publish_each(
        self,
        dataset: str,
        lots: Mapping[LotId, Mapping[str, LotFile]],
        days: Iterable[str],
        barrier: bool = False,
    ) -> set[LotId]:
        """`publish_lots`; one lot that cannot be published keeps no other. Gives those that were not published.

        What a lot has beside its lost files is published; it is among those that were not.
        """
        ever = frozenset(days)
        own = {key: lot for lot, files in lots.items() for key in files}
        lost: dict[str, str] = {}
        while True:
            try:
                self.done.add(self.publish_lots(dataset, lots, ever, frozenset(lost), barrier))
                break
            except WrongFile as error:
                beside = self._lost_beside({key for key in error.wrong if key not in own})
                own |= beside
                if new := {key: what for key, what in error.wrong.items() if key in own and key not in lost}:
                    lost |= new
                    continue
                why: Terminal = error
            except HeldByTag as error:
                why = error
            if len(lots) == 1:
                self._problem(f"{dataset}, lot {next(iter(lots))}: {why}")
                if isinstance(why, HeldByTag):
                    self._held |= dict.fromkeys(lots, f"{dataset}: {why}")
                return set(lots)
            ids = sorted(lots)
            halves = ids[: len(ids) // 2], ids[len(ids) // 2 :]
            first, second = ({id_: lots[id_] for id_ in half} for half in halves)
            return self.publish_each(dataset, first, ever, barrier) | self.publish_each(dataset, second, ever, barrier)
        incomplete = {own[key] for key in lost} & lots.keys()
        for key, what in lost.items():
            self._problem(f"{dataset}, lot {own[key]}: {key} {what}")
        self._incomplete |= incomplete
        return incomplete

    def _lost_beside(self, keys: Collection[str]) -> dict[str, LotId]:
        """Files of other lots that a rebuilt partition has lost, where a mark keeps each in mind from now on.

        A lot that has left the ledger cannot have one: `smelt reload` brings it back.
        """
        of = {key: LakeKey.parse(key).lot for key in keys if key.startswith(f"{SILVER_ROOT}/")}
        known = {lot.id: lot for lot in self._ledger.find_lots(dict.fromkeys(of.values()))}
        for lot in known.values():
            self._ledger.rewrites.ask_to_publish(lot)
        return {key: lot for key, lot in of.items() if lot in known}

    def _publish_dataset(self, dataset: str, mine: Sequence[Waiting]) -> set[LotId]:
        """Publish these lots to one table. Gives those that it does not have afterwards."""
        left = {waiting.lot.id for waiting in mine}
        lots = {waiting.lot.id: wanted_files(waiting.lot.files, dataset) for waiting in mine}
        days = {day for waiting in mine for day in waiting.mark.partitions[dataset]}
        days |= {LakeKey.parse(key).dt for wanted in lots.values() for key in wanted}
        # The sweep deletes what a rewrite has replaced as soon as its mark is gone. Somebody who was paused may still
        # want to bring these very files; and while the table has none of them, there is nothing to change here.
        is_rewritten = any(waiting.lot.generation > 1 for waiting in mine)

        def publish() -> None:
            nonlocal left
            if dataset not in self._contracts and not self._has_table(dataset):
                left = {id_ for id_, wanted in lots.items() if wanted}
                self._incomplete |= left  # no table names a file that a rewrite has replaced
                if left:
                    self._problem(f"{dataset}: {_NO_CONTRACT}, or retract its objects")
                return
            left = self.publish_each(dataset, lots, days, is_rewritten)

        self.attempt(dataset, publish)
        return left

    def _has_table(self, dataset: str) -> bool:
        """Whether a dataset that no contract describes has a table of before.

        Raises:
            Terminal: our role may not look. That of the function is made for the tables of contracts.
        """
        try:
            return self._catalog.find(dataset) is not None
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            raise Terminal(f"{_NO_CONTRACT}, or run `smelt publish` as somebody who may change its table") from error

    def _remove(self, dealt_with: Sequence[Waiting]) -> None:
        def remove(waiting: Waiting) -> bool:
            return self._ledger.marks.remove(waiting.mark)

        if self._removers == 1:
            removed = sum(map(remove, dealt_with))
        else:
            with ThreadPoolExecutor(self._removers, thread_name_prefix="remove") as pool:
                removed = sum(pool.map(remove, dealt_with))
        self.done.lots += removed
        self.done.replaced += len(dealt_with) - removed

    def _problem(self, text: str) -> None:
        if text not in self.done.problems:
            self.done.problems.append(text)


@contextmanager
def table_lease(ledger: Ledger, dataset: str, deadline: Deadline) -> Iterator[Lease]:
    """The lease of a table, for as long as this takes.

    Raises:
        LeaseHeld: somebody else has it.
    """
    seconds = min(deadline.remaining() + LEASE_SLACK_SECONDS, _LONGEST_LEASE)
    lease = ledger.leases.take(f"lake#{dataset}", seconds)
    try:
        yield lease
    finally:
        with suppress(Transient):  # it ends by itself
            ledger.leases.return_lease(lease)


def _batches(waiting: Iterator[Waiting], lots: int) -> Iterator[list[Waiting]]:
    """Marks, so many at a time, and fewer where their lots have many files."""
    while batch := list(islice(waiting, 1)):
        files = len(batch[0].lot.files)
        for one in islice(waiting, lots - 1):
            batch.append(one)
            files += len(one.lot.files)
            if files >= FILES_PER_COMMIT:
                break
        yield batch
