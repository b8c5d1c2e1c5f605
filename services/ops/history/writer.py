"""The archive task: writes what was finished before today to the history, and lets what it holds expire.

    entries of the index --batch persisted--> rows of the ledger --file put--> marks --> expiry --> batch removed

Days end before they are archived (UTC): so files are few and large, and the index tells what was finished today.
Safe at any time, several at once (the others leave the work to one), and to stop anywhere: the next run goes on with
the batch that it finds. What is marked and what expires is what the file has, whoever wrote it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from services.ops.grid import LOTS_PER_READ, batched
from services.ops.history.files import HistoryFiles
from services.ops.history.reader import lots_in, objects_in
from services.ops.history.rows import Row, lot_row, object_row, to_parquet
from services.ops.history.schema import LOTS, OBJECTS
from services.ops.history.tally import Tallies
from services.shared.deadline import LEASE_SLACK_SECONDS, Deadline, OutOfTime
from services.shared.identities import HISTORY_LOTS, HISTORY_OBJECTS, HistoryKey, LotId, ObjectId
from services.shared.ledger.archive import MAX_BATCH_BYTES, Batch, Entry
from services.shared.ledger.entries import OpenEntry
from services.shared.ledger.items import pack
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, LeaseLost, Lot

Watch = Callable[[str, int], None]  # what is being written, and how many so far
DAY_MS = 86_400_000
DEFAULT_RETENTION = timedelta(days=30)
OBJECTS_PER_FILE, LOTS_PER_FILE = 5000, 1000
_WRITERS = 16  # marks that are made side by side
_MARKS_PER_CHECK = 500
_OBJECTS_PER_READ = 500
_LONGEST_LEASE = 900.0  # seconds


@dataclass(slots=True)
class Archived:
    """What a run of the archive task did."""

    objects: int = 0  # outcomes of objects that are in the history now
    lots: int = 0  # generations of lots
    files: int = 0
    expiring_lots: int = 0  # that DynamoDB may delete after the retention, with their units
    expiring_units: int = 0
    damaged: int = 0  # lots whose record contradicts itself: they stay in the ledger, and the audit reports them
    marked: int = 0  # lots that a reader of their marks, such as the lake, has not dealt with: they stay in the ledger
    complete: bool = True  # everything that was finished before today is in the history
    busy: str = ""  # why nothing, or not all, was done: another run is at work


class _Archiver:
    def __init__(
        self, ledger: Ledger, files: HistoryFiles, retention: timedelta, deadline: Deadline, watch: Watch, writers: int
    ) -> None:
        self._ledger = ledger
        self._archive = ledger.archive
        self._files = files
        self._retention = retention
        self._deadline = deadline
        self._watch = watch
        self._writers = writers
        self.done = Archived()

    def run(self) -> None:
        before = self._archive.now_ms() // DAY_MS * DAY_MS
        left_behind = self._archive.open_batch()
        if left_behind:
            self._execute(self._archive.take_over(left_behind, self._lease()), taken_over=True)
        for group in _days(self._ledger.finished_entries("done", before), OBJECTS_PER_FILE):
            self._begin(HISTORY_OBJECTS, group)
        for group in _days(self._ledger.finished_entries("committed", before), LOTS_PER_FILE):
            self._begin_lots(group)

    # -- batches ---------------------------------------------------------------------------------------------

    def _begin_lots(self, entries: Sequence[Entry]) -> None:
        """Later generations have files of their own; what was restored from the history is in it already."""
        first, later = list[Entry](), list[Entry]()
        for few in batched(entries, LOTS_PER_READ):
            finished = self._archive.finished_lots(few)
            marked = self._ledger.marks.holding(found.lot.id for found in finished)
            for found in finished:
                entry = (f"lot#{found.lot.id}", found.since)
                if len(found.lot.units) != len(found.lot.unit_counts):
                    self.done.damaged += 1
                elif found.lot.id in marked:
                    self.done.marked += 1
                elif found.archived_generation == found.generation:
                    self._archive.settle(found)
                    self._expire([found.lot.id])
                else:
                    (later if found.generation > 1 else first).append(entry)
        self._begin(HISTORY_LOTS, first)
        self._begin(HISTORY_LOTS, later, rewritten=True)

    def _begin(self, table: str, entries: Sequence[Entry], rewritten: bool = False) -> None:
        for part in _fitting(entries):
            self._deadline.check()
            key = HistoryKey(table, part[0][1], part[-1][1], _token(part), rewritten)
            self._execute(self._archive.begin_batch(str(key), part, self._lease()), taken_over=False)

    def _execute(self, batch: Batch, taken_over: bool) -> None:
        try:
            self._write(batch, taken_over)
        except OutOfTime:
            self._archive.give_back(batch)
            raise
        self._archive.end_batch(batch)

    def _write(self, batch: Batch, taken_over: bool) -> None:
        there = self._files.read(batch.file) if taken_over else None
        of_lots = HistoryKey.parse(batch.file).table == HISTORY_LOTS
        rows = (self._lots if of_lots else self._objects)(batch.entries)
        if there is None:
            data, number = to_parquet(rows, LOTS if of_lots else OBJECTS)
            if not number:
                return  # all of it has changed since: it has other entries, or none
            if self._files.put_new(batch.file, data):
                there, self.done.files = data, self.done.files + 1
            else:
                there = self._files.read(batch.file)
        if there is None:
            raise LeaseHeld(f"{batch.file} was put and deleted at once; the next run goes on with it")
        if of_lots:
            self._mark_lots(batch.file, there)
        else:
            self._mark_objects(batch.file, there)

    def _objects(self, entries: Sequence[Entry]) -> Iterator[Row]:
        for few in batched(entries, _OBJECTS_PER_READ):
            finished = {found.object.id: found for found in self._archive.finished_objects(few)}
            tallies = Tallies(self._ledger, self._deadline)
            for known, tally in tallies.of(found.object for found in finished.values()):
                yield object_row(finished[known.id], tally)

    def _lots(self, entries: Sequence[Entry]) -> Iterator[Row]:
        for few in batched(entries, LOTS_PER_READ):
            self._deadline.check()
            yield from map(lot_row, self._archive.finished_lots(few))

    # -- marks and expiry ------------------------------------------------------------------------------------

    def _mark_objects(self, file: str, data: bytes) -> None:
        marks, lots = list[tuple[ObjectId, int]](), set[LotId]()
        for outcome in objects_in(file, data):
            marks.append((outcome.id, outcome.since))
            lots.update(outcome.tally.lots)
        self.done.objects += self._each(lambda mark: self._archive.mark_object(mark[0], mark[1], file), marks)
        self._watch("objects", self.done.objects)
        self._expire(sorted(lots))

    def _mark_lots(self, file: str, data: bytes) -> None:
        marks = [(found.lot.id, found.since, found.generation) for found in lots_in(file, data)]
        self.done.lots += self._each(lambda mark: self._archive.mark_lot(mark[0], mark[1], file, mark[2]), marks)
        self._watch("lots", self.done.lots)
        self._expire([lot for lot, _, _ in marks])

    def _expire(self, lots: Sequence[LotId]) -> None:
        """Let those of these lots expire with their units that the history holds with all their objects."""
        at = (self._archive.now_ms() + self._retention // timedelta(milliseconds=1)) // 1000
        for few in batched(lots, LOTS_PER_READ):
            ready: list[Lot] = self._archive.expirable(few)
            units = [(unit, lot.id) for lot in ready for unit in lot.units]
            self.done.expiring_units += self._each(lambda pair: self._archive.expire_unit(pair[0], pair[1], at), units)
            self.done.expiring_lots += self._each(lambda lot: self._archive.expire_lot(lot, at), ready)

    def _each(self, mark: Callable[[Any], bool], marks: Sequence[Any]) -> int:
        """Make these marks, and count those that changed something."""
        changed = 0
        for some in batched(marks, _MARKS_PER_CHECK):
            self._deadline.check()
            changed += sum(map(mark, some) if self._writers == 1 else self._side_by_side(mark, some))
        return changed

    def _side_by_side(self, mark: Callable[[Any], bool], marks: Sequence[Any]) -> list[bool]:
        with ThreadPoolExecutor(self._writers) as pool:
            return list(pool.map(mark, marks))

    def _lease(self) -> float:
        return min(self._deadline.remaining() + LEASE_SLACK_SECONDS, _LONGEST_LEASE)


def archive(
    ledger: Ledger,
    files: HistoryFiles,
    retention: timedelta = DEFAULT_RETENTION,
    deadline: Deadline | None = None,
    watch: Watch = lambda _what, _number: None,
    writers: int = _WRITERS,
) -> Archived:
    """Write everything that was finished before today to the history; let what it holds expire after `retention`.

    Raises:
        ClientError, BotoCoreError: ledger or bucket cannot be read or written; the next run goes on from there.
    """
    endless = Deadline(lambda: _LONGEST_LEASE, 0)
    archiver = _Archiver(ledger, files, retention, deadline or endless, watch, writers)
    try:
        archiver.run()
    except OutOfTime:
        archiver.done.complete = False
    except (LeaseHeld, LeaseLost) as other:
        archiver.done.complete, archiver.done.busy = False, str(other)
    return archiver.done


def _days(entries: Iterable[OpenEntry], most: int) -> Iterator[list[Entry]]:
    """Groups of entries of one UTC day each, in order."""
    group = list[Entry]()
    for entry in entries:
        if group and (len(group) == most or entry.since // DAY_MS != group[-1][1] // DAY_MS):
            yield group
            group = []
        group.append((entry.pk, entry.since))
    if group:
        yield group


def _fitting(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Parts whose lists fit in the batch's item. Names may be long."""
    if not entries:
        return
    if len(entries) > 1 and len(pack([list(entry) for entry in entries])["B"]) > MAX_BATCH_BYTES:
        half = len(entries) // 2
        yield from _fitting(entries[:half])
        yield from _fitting(entries[half:])
    else:
        yield entries


def _token(entries: Sequence[Entry]) -> str:
    return hashlib.blake2b(repr(list(entries)).encode(), digest_size=4).hexdigest()
