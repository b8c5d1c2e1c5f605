"""The plan of a compaction, and its commit: what stands before and behind the job that reads and writes rows.

    prepare --> _plan.json --> the job --> outputs, _manifest.json --> commit: verified, recorded, swapped
    (under the table's lease)                                          (under the table's lease)

The plan takes live files only, and none of a lot with a mark: such a lot is about to get other files. A run that is
built upon is taken whole or not at all. If it has superseded rows by other keys than the contract's, the files that it
stands for are read in its place: they have these rows. The commit counts only where every file that the plan replaces
is still live; so of two runs over one file one is committed, and the other's outputs are left to maintenance. What was
published meanwhile stays: the commit names the files that go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyiceberg.table import Table

from services.ops.grid import LOTS_PER_READ, batched
from services.ops.lake.catalog import LakeCatalog
from services.ops.lake.committer import LONGEST_COMMIT, Change, Committed, Committer
from services.ops.lake.live import Covered, Live, LiveFile, RunRecord, read_live
from services.ops.lake.maintenance import UNNAMED_RUN
from services.ops.lake.publish import table_lease
from services.ops.lake.schema import table_columns
from services.ops.lake.store import Store
from services.shared.compaction import (
    TARGET_BYTES,
    CompactionPlan,
    CompactionResult,
    InputFile,
    check_result,
    is_worthwhile,
)
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.errors import Terminal
from services.shared.identities import COMPACTED_ROOT, SILVER_ROOT, CompactionRun, LakeKey, LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox
from services.shared.manifest_json import ManifestError


class Outdated(Terminal):
    """A run whose inputs are not what the table has any more. Nothing was changed; compact the partition again."""


@dataclass(frozen=True, slots=True)
class Swap:
    """What became of a run."""

    run: CompactionRun
    was_committed: bool  # before: nothing was done
    done: Committed
    rows_in: int
    rows_out: int

    @property
    def superseded(self) -> int:
        return self.rows_in - self.rows_out


class Compaction:
    """Plans and commits compactions of one dataset's table."""

    def __init__(
        self, ledger: Ledger, catalog: LakeCatalog, store: Store, contract: Contract, deadline: Deadline
    ) -> None:
        self._ledger, self._catalog, self._store, self._contract = ledger, catalog, store, contract
        self._deadline = deadline

    def prepare(
        self, day: str, now: Callable[[], datetime] = lambda: datetime.now(UTC), target_bytes: int = TARGET_BYTES
    ) -> CompactionPlan | None:
        """Plan the compaction of a partition, and write the plan where the job and the commit find it.

        Returns:
            None where there is nothing to gain, or no table. There is, where a run has rows by other keys.

        Raises:
            LeaseHeld: somebody else works on the table.
            ManifestError: a file of the partition is not in the bucket.
        """
        with table_lease(self._ledger, self._contract.dataset, self._deadline):
            table = self._catalog.find(self._contract.dataset)
            if table is None:
                return None
            live = read_live(table, self._store, [day])
            chosen = self._settled(live)
            read = self._read_for(live, chosen)
            if read == chosen and not is_worthwhile([file.bytes for file in chosen], target_bytes):
                return None
            run = CompactionRun.new(COMPACTED_ROOT, self._contract.dataset, day, now())
            inputs = self._inputs(run, read)
            replaces = [file.key for file in chosen]
            columns = table_columns(table.schema(), self._contract)
            plan = CompactionPlan.of(
                run, self._contract, inputs, live.snapshot_id, replaces, target_bytes=target_bytes, columns=columns
            )
            self._store.put(run.plan_key, plan.to_json().encode())
            return plan

    def find_ended(self, day: str) -> tuple[CompactionPlan, CompactionResult] | None:
        """The latest run of a partition that has ended, that nobody has committed, and that still can be.

        Such a run is left where whoever started the job died before the commit. One that is so old that maintenance
        may be deleting it is left to it: a commit takes up to `LONGEST_COMMIT`.
        """
        table = self._catalog.find(self._contract.dataset)
        if table is None:
            return None
        live = read_live(table, self._store, [day])
        listed = self._young(f"{COMPACTED_ROOT}/{self._contract.dataset}/dt={day}/")
        runs = {CompactionRun.parse(key) for key in listed if key.endswith("/_manifest.json")}
        for run in sorted(runs - live.runs.keys(), key=lambda one: one.run, reverse=True):
            try:
                plan, result = self.load(run)
                check_result(plan, result)
            except ManifestError:
                continue  # another program's, or one that maintenance is deleting: a new plan is made
            is_whole = {file.key for file in result.outputs} <= listed and set(plan.replaces) <= live.files.keys()
            if is_whole and plan.base_snapshot is not None and self._is_of_today(plan, table):
                return plan, result
        return None

    def _young(self, folder: str) -> set[str]:
        """The files of a folder that maintenance leaves for as long as a commit takes, named or not."""
        oldest = datetime.now(UTC) - UNNAMED_RUN + timedelta(seconds=LONGEST_COMMIT)
        return {file.key for file in self._store.list(folder) if file.modified > oldest}

    def _is_of_today(self, plan: CompactionPlan, table: Table) -> bool:
        """Whether the contract and the table would still have this very plan made of these files."""
        columns = table_columns(table.schema(), self._contract)
        today = CompactionPlan.of(
            plan.run, self._contract, plan.inputs, plan.base_snapshot, plan.replaces, plan.target_bytes, columns
        )
        return today.digest == plan.digest

    def load(self, run: CompactionRun) -> tuple[CompactionPlan, CompactionResult]:
        """The plan and the manifest of a run.

        Raises:
            ManifestError: one of them is missing, or cannot be read.
        """
        plan, manifest = self._store.read(run.plan_key), self._store.read(run.manifest_key)
        if plan is None or manifest is None:
            missing = run.plan_key if plan is None else run.manifest_key
            raise ManifestError(f"{missing} is missing: the run has not ended. Compact the partition again")
        return CompactionPlan.from_json(plan), CompactionResult.from_json(manifest)

    def commit(self, plan: CompactionPlan, result: CompactionResult) -> Swap:
        """Verify a run and swap its files in. One that is in the table already stays as it is.

        Raises:
            ManifestError: the manifest does not fit the plan.
            WrongFile: an output is missing or is not what the manifest says.
            Outdated: not all of the files that it replaces are live, or its own are a day old.
            LeaseHeld: somebody else works on the table.
        """
        check_result(plan, result)
        was_committed = False

        def decide(live: Live) -> Change:
            nonlocal was_committed
            outputs = {file.key for file in result.outputs}
            if outputs <= live.files.keys():
                was_committed = True
                return Change()
            if gone := sorted(set(plan.replaces) - live.files.keys()):
                raise Outdated(
                    f"{plan.run}: {gone[0]} and {len(gone) - 1} more files are not in the table any more: they were "
                    "compacted or replaced meanwhile. Nothing was changed; compact the partition again"
                )
            if plan.run.manifest_key not in self._young(str(plan.run)):
                raise Outdated(
                    f"{plan.run} ended a day ago, and maintenance may be deleting it. Nothing was changed; compact the "
                    "partition again"
                )
            self._record(plan, result, live)
            change = Change(add={file.key: file for file in result.outputs})
            change.remove = {key: live.files[key] for key in plan.replaces}
            return change

        about = {"smelt.run": plan.run.run, "smelt.by": "compact", "smelt.superseded": str(result.superseded_rows)}
        with table_lease(self._ledger, self._contract.dataset, self._deadline):
            committer = Committer(self._catalog, self._store, self._contract.dataset, self._contract)
            done = committer.commit([plan.run.dt], decide, about)
        return Swap(plan.run, was_committed, done, plan.rows, result.rows)

    def _settled(self, live: Live) -> list[LiveFile]:
        """Live files of which none belongs to a lot with a mark, nor stands for one of such a lot."""
        marked: set[LotId] = set()
        for some in batched(sorted(live.lots()), LOTS_PER_READ):
            marked |= self._ledger.marks.holding(some, [Outbox.PUBLISH])
        unsettled = {run for run, file in live.covered().values() if file.lot in marked}
        return [
            file
            for file in live.files.values()
            if (
                _lot_of(file.key) not in marked
                if _is_silver(file.key)
                else CompactionRun.parse(file.key) not in unsettled
            )
        ]

    def _read_for(self, live: Live, chosen: list[LiveFile]) -> list[LiveFile | Covered]:
        """What is read to replace these files: themselves, or what runs have superseded rows of by other keys."""
        runs = {CompactionRun.parse(file.key) for file in chosen if not _is_silver(file.key)}
        others = {run for run in runs if live.runs[run].superseded and live.runs[run].keys != self._contract.keys}
        kept = [file for file in chosen if _is_silver(file.key) or CompactionRun.parse(file.key) not in others]
        return [*kept, *(file for run in sorted(others) for file in live.runs[run].files)]

    def _inputs(self, run: CompactionRun, files: Iterable[LiveFile | Covered]) -> list[InputFile]:
        """Files with the etags that the bucket has now."""
        prefixes = [f"{root}/{run.record_type}/dt={run.dt}/" for root in (SILVER_ROOT, COMPACTED_ROOT)]
        stored = {found.key: found for prefix in prefixes for found in self._store.list(prefix)}
        inputs = []
        for file in files:
            found = stored.get(file.key)
            if found is None or found.bytes != file.bytes:
                raise ManifestError(f"{file.key} is in the table, and not in the bucket as it was. Run smelt audit")
            lot = str(_lot_of(file.key)) if _is_silver(file.key) else ""
            inputs.append(InputFile(file.key, found.etag, file.rows, file.bytes, lot))
        return inputs

    def _record(self, plan: CompactionPlan, result: CompactionResult, live: Live) -> None:
        """Write down which files of Silver the run stands for, before its outputs are live."""
        covered: dict[str, Covered] = {}
        for key in plan.replaces:
            if _is_silver(key):
                file = live.files[key]
                covered[key] = Covered(key, file.rows, file.bytes, file.sequence)
            else:
                covered |= {file.key: file for file in live.runs[CompactionRun.parse(key)].files}
        files = tuple(sorted(covered.values(), key=lambda file: file.key))
        record = RunRecord(plan.run, files, result.rows, plan.keys)
        self._store.put(record.key, record.to_json().encode())


def _is_silver(key: str) -> bool:
    return key.startswith(f"{SILVER_ROOT}/")


def _lot_of(key: str) -> LotId:
    return LakeKey.parse(key).lot
