"""Rewriting one lot: its new files are written beside the old ones, one transaction swaps them, the old ones go.

    tidy what is left over  ->  begin (or take over)  ->  make new files,  ->  finish  ->  delete the old files
    nothing is obsolete         the ledger knows why,     record their keys,   one          names that are never
                                and the generation        write them, fenced   transaction  used again

A file's name holds the lot, the generation and a hash of the file's bytes. So whoever writes a name writes the same
bytes, however late; and what is obsolete is needed by nobody, however late it is deleted.
Whoever stops in between leaves a lot that is REWRITING, with a lease that ends. `settle` brings it to an end: a
retraction goes on forward; a retry, which needs contracts, is undone and may be started again.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock

import pyarrow.compute as pc

from services.ops.rewrite.files import ConservationError, parsed_name, without_lost
from services.ops.rewrite.waiting import WaitingFiles
from services.shared.aws import FAILURES
from services.shared.deadline import LEASE_SLACK_SECONDS, Deadline
from services.shared.errors import Terminal
from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT, LakeKey, LotId, ObjectId, UnitId
from services.shared.lake import Lake, ObjectGone
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.marks import Behind
from services.shared.ledger.records import (
    RETRACT,
    Counts,
    Intent,
    LeaseHeld,
    LeaseLost,
    LedgerObject,
    LetInAgain,
    LostRace,
    Lot,
    LotFile,
    LotState,
)
from services.shared.parquet.subset import read_rows, without

LEASE_SECONDS = 60.0
_FILES_TO_LOOK_AT = 3
_PUBLISH_MS = 5_000  # until another look at what the lake has


class LakeBehind(LeaseHeld):
    """The lake has not taken over what a rewrite did: until then the old files stay, and block the next rewrite."""

    def __init__(self, lot: LotId, behind: Behind, now_ms: int) -> None:
        since = datetime.fromtimestamp(behind.since / 1000, UTC)
        told = f"Lot {lot}: the lake's tables have not taken over its last rewrite, of {since:%Y-%m-%d %H:%M:%S} UTC. "
        if behind.held:
            told += f"{behind.held}. Then run `smelt publish`"
        else:
            told += "`smelt publish` does that, as its schedule does, or says what keeps it"
        super().__init__(told, now_ms + _PUBLISH_MS)


@dataclass(slots=True)
class Changes:
    """What rewriting has changed in the lake."""

    lots: int = 0  # that were rewritten
    written: int = 0  # files
    deleted: int = 0  # files
    waiting: set[str] = field(
        default_factory=set
    )  # replaced files that the sweep deletes once the lake's tables do not name them


@dataclass(slots=True)
class Rewriter:
    """Rewrites lots of one ledger and lake. `clock` gives epoch seconds, as the ledger's does."""

    ledger: Ledger
    lake: Lake
    deadline: Deadline
    clock: Callable[[], float] = time.time
    writers: int = 8  # files that are written at the same time
    changes: Changes = field(default_factory=Changes)
    lost_files: bool = False  # a file of Silver that is gone, or was changed, has lost the rows that leave

    def take(self, lot: Lot, intent: Intent, leaving: LedgerObject | None = None) -> Rewriting | None:
        """Make a lot that holds rows ours to rewrite for this intent. `leaving` is the object whose rows are to leave.

        Returns:
            None where the lot has changed under our eyes: look again.

        Raises:
            LeaseHeld: somebody else is rewriting it, or (LakeBehind) the lake has not taken over the last rewrite.
            LetInAgain: the object is not being retracted any more.
        """
        if lot.state is LotState.REWRITING:
            ours = self.ledger.rewrites.take_over(lot, self._lease())
            if ours.intent and (ours.intent.kind, ours.intent.object) == (intent.kind, intent.object):
                return Rewriting(self, ours)
            self._settle(ours)
            return None
        if lot.leftovers:
            self.tidy(lot)
            return None
        try:
            return Rewriting(self, self.ledger.rewrites.begin(lot, intent, self._lease(), leaving))
        except LetInAgain:
            raise
        except LostRace:
            return None

    def settle(self, lot: Lot) -> None:
        """Bring a rewrite to an end that somebody left: forward where nothing but the lake is needed, else undone.

        Raises:
            LeaseHeld: whoever does it is alive.
        """
        self._settle(self.ledger.rewrites.take_over(lot, self._lease()))

    def _settle(self, ours: Lot) -> None:
        rewriting = Rewriting(self, ours)
        if ours.intent and ours.intent.kind == RETRACT and ours.intent.object:
            rewriting.retract(ours.intent.object)
        else:
            rewriting.undo()

    def tidy(self, lot: Lot) -> None:
        """Delete the files that somebody's work on a committed lot has left over, if this is their bucket.

        Raises:
            ConservationError: none of the lot's files is in this bucket, or it names a file that is not its own.
            LakeBehind: as `delete_leftovers`.
        """
        self.check_bucket(lot)
        self.delete_leftovers(lot)

    def delete_leftovers(self, lot: Lot) -> None:
        """Delete the files that a lot has left over that was just read or written here. None that it has now.

        Raises:
            ConservationError: it names a file that is not its own.
            LakeBehind: the lake's tables may still name the files that were replaced.
        """
        if lot.obsolete and (behind := self.ledger.marks.behind(lot.id)):
            raise LakeBehind(lot.id, behind, self.ledger.now_ms())
        leftover = sorted(lot.leftovers - {file.key for file in lot.files})
        for key in leftover:
            if parsed_name(key).lot != lot.id:
                raise ConservationError(f"lot {lot.id} wants {key} deleted, which is not its own. Report this as a bug")
        self.lake.delete(leftover)
        if lot.outputs:
            self.ledger.lots.clear_outputs(lot)
        else:
            self.ledger.rewrites.clear_obsolete(lot)
        self.changes.deleted += len(leftover)

    def delete_unless_behind(self, lot: Lot) -> None:
        """`delete_leftovers`, or leave it to the sweep where the lake is behind."""
        try:
            self.delete_leftovers(lot)
        except LakeBehind:
            self.changes.waiting |= lot.obsolete

    def check_bucket(self, lot: Lot) -> None:
        """Look for a file of Silver that the lot has: S3 deletes what is not there without a word.

        With `lost_files` none of them need be there: `Home` has told that it is the ledger's bucket.

        Raises:
            ConservationError: none is there, so this is not the lake of this ledger, or it is damaged.
            LeaseLost: somebody has rewritten the lot since it was read.
        """
        if self.lost_files:
            return
        files = [file for file in lot.files if file.key.startswith(f"{SILVER_ROOT}/")][:_FILES_TO_LOOK_AT]
        if files and not any(self.lake.holds(file.key, file.etag) for file in files):
            if (now := self.ledger.lots.look_again(lot)) is None or now.files != lot.files:
                raise LeaseLost(f"lot {lot.id} was rewritten by somebody else meanwhile")
            raise ConservationError(
                f"lot {lot.id}: none of its files is in this bucket; nothing is changed. Check --silver-bucket; if it "
                "is the right one, run smelt audit"
            )

    def _lease(self) -> float:
        """Seconds. A lease never outlives its worker by more than the slack."""
        return min(LEASE_SECONDS, self.deadline.remaining() + LEASE_SLACK_SECONDS)


class Rewriting:
    """One lot that is REWRITING, and ours.

    New files wait on this machine's disk until all are made, and are then written at once: readers of the plain tables
    see rows twice from the first new file to the last old one.
    """

    def __init__(self, rewriter: Rewriter, lot: Lot) -> None:
        self._rewriter = rewriter
        self._made = WaitingFiles()
        self._put_keys: list[str] = []  # of those, what was put, or was to be
        self._renewing = Lock()  # by one of the threads that write
        self.lot = lot

    def retract(self, id_: ObjectId) -> Counts:
        """Take the rows of one object out of the lot. Its units become free and refused.

        Returns:
            the rows that left.
        """
        leaving = [unit for unit in self.lot.units if unit.object == id_]
        counts = dict(zip(self.lot.units, self.lot.unit_counts, strict=True))
        gone = sum((counts[unit] for unit in leaving), Counts())

        def change() -> None:
            files: list[LotFile] = []
            self._rewriter.check_bucket(self.lot)
            if len(leaving) < len(self.lot.units):
                files = self._files_without(str(id_), gone)
            self.finish(files, [counts[unit] for unit in self.lot.units if unit.object != id_], leaving)

        self.run(change)
        return gone

    def _files_without(self, source: str, gone: Counts) -> list[LotFile]:
        """The lot's files without an object's rows, of which there must be as many as the ledger says."""
        files: list[LotFile] = []
        lost: list[LotFile] = []
        removed: Counter[str] = Counter()
        for file in self.lot.files:
            root = parsed_name(file.key).root
            try:
                kept, rows = self._without_object(file, source)
            except ObjectGone as error:
                if root != QUARANTINE_ROOT and not self._rewriter.lost_files:
                    raise ConservationError(
                        f"lot {self.lot.id}: {error}, so nothing is changed. Restore the version that the ledger "
                        f"names, or run `smelt reload {file.key}`, which reads its rows from Bronze again"
                    ) from error
                lost.append(file)  # quarantine may expire: its rows have left by themselves
                continue
            files += [kept] if kept else []
            removed[root] += rows
        leave = {SILVER_ROOT: gone.silver, QUARANTINE_ROOT: gone.quarantined}
        for file in lost:
            root = parsed_name(file.key).root
            rows = min(file.rows, leave[root] - removed[root])
            removed[root] += rows
            files += [without_lost(file, rows)] if rows < file.rows else []
        if any(removed[root] != rows for root, rows in leave.items()):
            raise ConservationError(
                f"lot {self.lot.id}: the ledger says that {source} has {gone.silver:,} rows in Silver and "
                f"{gone.quarantined:,} in quarantine, its files hold {removed[SILVER_ROOT]:,} and "
                f"{removed[QUARANTINE_ROOT]:,}; nothing is changed. Run smelt audit"
            )
        return files

    def _without_object(self, file: LotFile, source: str) -> tuple[LotFile | None, int]:
        """The file without an object's rows (itself where there are none, None where there are no others); how many."""
        data = self.read(file)
        leaving = pc.equal(read_rows(data, ["_source"])["_source"], source)
        rows = int(pc.sum(leaving).as_py() or 0)
        if not rows:
            return file, 0
        return (self.replace(file, *without(data, leaving)) if rows < file.rows else None), rows

    # -- steps -----------------------------------------------------------------------------------------------

    def run(self, change: Callable[[], None]) -> None:
        """Do what changes the lot and finishes it, then delete the old files. Where it fails, nothing has changed.

        Raises:
            Exception: whatever `change` raised.
        """
        try:
            change()
        except LeaseLost:
            with suppress(*FAILURES):  # the audit names what is left then
                self._delete_late(self._put_keys)
            raise
        except Terminal:  # it would fail again
            self.undo()
            raise
        except (*FAILURES, OSError, KeyboardInterrupt):  # OSError: no room for the files that wait
            with suppress(*FAILURES):  # the lease ends by itself
                self._rewriter.ledger.rewrites.give_back(self.lot)
            raise
        finally:
            self._made.clear()
        if self.lot.obsolete:
            self._rewriter.delete_unless_behind(self.lot)

    def undo(self) -> None:
        """Leave the lot as it was, and delete what was written."""
        undone = self._rewriter.ledger.rewrites.undo(self.lot)
        if undone.obsolete:
            self._rewriter.check_bucket(undone)
            self._rewriter.delete_unless_behind(undone)

    def check(self) -> None:
        """To be called from time to time by what takes long: keeps the lease alive.

        Raises:
            OutOfTime: only the deadline's reserve is left.
            LeaseLost: the lot is not ours any more.
        """
        self._rewriter.deadline.check()
        self._keep_lease()

    def _keep_lease(self) -> None:
        rewriter = self._rewriter
        with self._renewing:
            left, lease = self.lot.lease_until / 1000 - rewriter.clock(), rewriter._lease()
            if left < min(LEASE_SECONDS / 2, lease - 1):  # near its end, a worker has all that it can have
                self.lot = rewriter.ledger.rewrites.renew(self.lot, lease)

    def read(self, file: LotFile) -> bytes:
        self.check()
        return self._rewriter.lake.read(file.key, file.etag)

    def replace(self, file: LotFile, data: bytes, rows: int) -> LotFile:
        """Make a file in place of one of the lot's."""
        key = parsed_name(file.key)
        return self.make(key.root, key.record_type, key.dt, data, rows, key.part)

    def make(self, root: str, record_type: str, dt: str, data: bytes, rows: int, part: int) -> LotFile:
        """Make a file of the lot's new generation; `finish` writes it, and knows its etag."""
        self.check()
        variant = hashlib.blake2b(data, digest_size=4).hexdigest()
        key = str(LakeKey(root, record_type, dt, self.lot.id, variant, part, self.lot.generation))
        self._made.add(key, data)
        return LotFile(key, rows, len(data), "")

    def _write(self, files: Sequence[LotFile]) -> list[LotFile]:
        """Write those that were made: their keys are recorded first, and the lease fences each."""
        self.check()
        self.lot = self._rewriter.ledger.rewrites.record_outputs(self.lot, self._made)
        made = [file for file in files if file.key in self._made]
        if self._rewriter.writers == 1:
            etags = {file.key: self._put(file.key) for file in made}
        else:
            with ThreadPoolExecutor(self._rewriter.writers, thread_name_prefix="write") as pool:
                keys = [file.key for file in made]
                etags = dict(zip(keys, pool.map(self._put, keys), strict=True))
        return [replace(file, etag=etags[file.key]) if file.key in etags else file for file in files]

    def _put(self, key: str) -> str:
        data = self._made.read(key)
        self._keep_lease()  # a lot may have thousands of files, and a line may be slow
        self._put_keys.append(key)
        etag = self._rewriter.lake.put(key, data)
        self._keep_lease()
        return etag

    def _delete_late(self, keys: Collection[str]) -> None:
        """Files were written after the lease had ended, by whatever clock: delete those that nobody knows.

        Their keys were recorded. Where one is not any more, this generation has been finished or undone without it.
        """
        ledger = self._rewriter.ledger
        lot = ledger.lots.look_again(self.lot) if keys else None
        known = lot.outputs | {file.key for file in lot.files} if lot else frozenset[str]()
        if lot and ledger.marks.is_behind(lot.id):
            known |= lot.obsolete  # the lake's tables may name them; the sweep deletes them
        if late := sorted(set(keys) - known):
            self._rewriter.lake.delete(late)

    def finish(
        self,
        files: Sequence[LotFile],
        unit_counts: Sequence[Counts],
        freed: Sequence[UnitId] = (),
        reasons: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Write the files that were made, and swap; `run` deletes those that are replaced.

        Raises:
            ConservationError: the files do not hold the rows of the counts.
        """
        total = sum(unit_counts, Counts())
        rows: Counter[str] = Counter()
        for file in files:
            rows[parsed_name(file.key).root] += file.rows
        conserved = all(counts.conserved for counts in unit_counts)
        if not conserved or (rows[SILVER_ROOT], rows[QUARANTINE_ROOT]) != (total.silver, total.quarantined):
            raise ConservationError(
                f"lot {self.lot.id}: its files would hold {rows[SILVER_ROOT]:,} Silver and {rows[QUARANTINE_ROOT]:,} "
                f"quarantined rows, its units {total}; nothing is changed. Report this as a bug"
            )
        written = self._write(files)
        self.lot = self._rewriter.ledger.rewrites.finish_rewriting(self.lot, written, unit_counts, freed, reasons)
        self._rewriter.changes.lots += 1
        self._rewriter.changes.written += len(self._made)
