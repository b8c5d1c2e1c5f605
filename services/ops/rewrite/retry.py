"""Quarantined rows judged again by today's contracts: what passes moves to Silver, everything else stays as it is.

Each row is read again from Bronze, at `_source` and `_offset`, and judged by the reference judge under the dataset and
the creation time that its object had. What passes is written to Silver as a file of its lot's next generation, the
quarantine without it, and one transaction swaps them: of each unit, as many rows leave quarantine as come to Silver.
Rows that no contract can accept (not UTF-8, too long, damage of a file's frame) are not read, nor are documents
without rows: what they hold is for the reader to find.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.ops.rewrite.archive import Archive
from services.ops.rewrite.bronze import Rereader, Unreadable, Wanted, WantedRows
from services.ops.rewrite.files import ConservationError, files_of
from services.ops.rewrite.quarantine import Folder, Replaced, Selection, Shelf, files_as_they_are, folders, lots_of
from services.ops.rewrite.rewriting import Changes, Rewriter, Rewriting
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline, OutOfTime
from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT, LakeKey, ObjectId, UnitId
from services.shared.judge.judge import RowJudge
from services.shared.judge.verdicts import Accepted, Reason
from services.shared.lake import Lake, ObjectGone
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import (
    RETRY,
    Counts,
    Intent,
    LeaseHeld,
    LeaseLost,
    LedgerObject,
    Lot,
    LotFile,
    LotState,
    reasons_key,
)
from services.shared.parquet.files import silver_files
from services.shared.parquet.subset import read_rows, without
from services.shared.parquet.tables import silver_table, with_lineage
from services.shared.units import BronzeObject

HOPELESS = frozenset(
    reason.value for reason in (Reason.BAD_UTF8, Reason.ROW_TOO_LONG, Reason.BROKEN_FRAME, Reason.NO_ROWS)
)
_NEEDS_ENVELOPE = (
    "its contract gives each row values of the envelope around it (envelopeFields), and a retry reads the row alone; "
    "load the object again with `smelt replay --force`"
)
MAX_LISTED = 1000
_ROWS_AT_ONCE = 5000  # that are accepted and not yet in a table
_TRIES = 10


@dataclass(slots=True)
class Retried:
    """What a retry did; in a dry run, what it would have done."""

    judged: int = 0  # rows that were read again
    passed: Counter[str] = field(default_factory=Counter)  # rows that moved to Silver, by dataset
    reasons: Counter[str] = field(default_factory=Counter)  # the reasons that those had
    stayed: Counter[str] = field(default_factory=Counter)  # rows that stay, by the reason that they have
    hopeless: int = 0  # of those, not read: no contract can accept them
    unreadable: int = 0  # of those, not to be had from Bronze any more
    listed: list[tuple[str, int, str]] = field(default_factory=list)  # source, offset, why: at most MAX_LISTED
    before: Counts = field(default_factory=Counts)  # of the lots that were rewritten
    after: Counts = field(default_factory=Counts)
    busy: list[str] = field(default_factory=list)  # lots that somebody else is rewriting
    changes: Changes = field(default_factory=Changes)
    place: str | None = None  # the key behind which the next run goes on; None where it is done


@dataclass(frozen=True, slots=True)
class _Judged:
    """One quarantine file: which of its rows pass, and these as tables of Silver."""

    rows: pa.Table  # `_source`, `_offset` and `reason` of all
    passing: npt.NDArray[np.bool_]
    tables: dict[str, list[pa.Table]]  # by dataset, with lineage


@dataclass(slots=True)
class Retry:
    """Retries quarantined rows of one pipeline."""

    ledger: Ledger
    lake: Lake
    shelf: Shelf
    contracts: Mapping[str, Contract]
    by: str
    note: str
    archive: Archive
    clock: Callable[[], float] = time.time
    writers: int = 8
    watch: Callable[[str, int], None] = lambda _what, _number: None

    def run(self, wanted: Selection, deadline: Deadline, dry_run: bool = False, place: str = "") -> Retried:
        """Retry the chosen rows, from behind the key `place` on.

        Raises:
            ConservationError: a lot's files do not hold what the ledger says; nothing of it has changed.
            LakeUnavailable: S3 did not answer; run it again.
        """
        rewriter = Rewriter(self.ledger, self.lake, deadline, self.clock, self.writers)
        result = Retried(changes=rewriter.changes)
        done = place
        found = folders(self.shelf, wanted.dataset, place)
        try:
            for number, (folder, lot) in enumerate(lots_of(self.ledger, self.archive, found, restore=not dry_run), 1):
                self.watch("lots with rows in quarantine", number)
                deadline.check()
                if lot is not None:
                    with closing(Rereader(self.lake)) as bronze:
                        self._folder(lot, folder, bronze, wanted, rewriter, result, dry_run)
                done = folder.last
        except OutOfTime:
            result.place = done
        return result

    def _folder(
        self,
        lot: Lot,
        folder: Folder,
        bronze: Rereader,
        wanted: Selection,
        rewriter: Rewriter,
        result: Retried,
        dry_run: bool,
    ) -> None:
        judging = _Judging(bronze, self.ledger, RowJudge(self.contracts), self.contracts, wanted)
        current: Lot | None = lot
        for _ in range(_TRIES):
            if current is None or not current.state.holds_rows:
                return
            try:
                if dry_run:
                    self._look(current, folder, judging, rewriter, result)
                    return
                if current.state is LotState.COMMITTED and current.leftovers:
                    rewriter.tidy(current)
                if current.state is LotState.COMMITTED and not self._any_passes(
                    current, folder, judging, rewriter, result
                ):
                    return
                intent = Intent(RETRY, None, self.by, self.note, datetime.fromtimestamp(self.clock(), UTC))
                rewriting = rewriter.take(current, intent)
                if rewriting is not None:
                    self._rewrite(rewriting, folder, judging, result)
                    return
            except LeaseHeld:
                break
            except (LeaseLost, Replaced):
                pass
            current = self.ledger.lots.look_again(lot)
        result.busy.append(str(lot.id))

    def _any_passes(self, lot: Lot, folder: Folder, judging: _Judging, rewriter: Rewriter, result: Retried) -> bool:
        """Whether the lot must be rewritten at all. Where not, its rows are counted."""
        seen = Retried()
        for data in files_as_they_are(self.ledger, self.lake, lot, folder):
            if judging.judge(data, rewriter.deadline.check, seen).passing.any():
                return True
        _add(result, seen)
        return False

    def _look(self, lot: Lot, folder: Folder, judging: _Judging, rewriter: Rewriter, result: Retried) -> None:
        """Judge all rows, and change nothing."""
        seen = Retried()
        for data in files_as_they_are(self.ledger, self.lake, lot, folder):
            judging.judge(data, rewriter.deadline.check, seen)
        _add(result, seen)

    def _rewrite(self, rewriting: Rewriting, folder: Folder, judging: _Judging, result: Retried) -> None:
        lot = rewriting.lot
        seen = Retried()

        def change() -> None:
            nonlocal seen
            seen = Retried(before=lot.counts)
            chosen = files_of(lot, QUARANTINE_ROOT, folder.record_type)
            files = sorted(set(lot.files).difference(chosen), key=lambda file: file.key)
            moved: Counter[tuple[UnitId, str]] = Counter()
            for file in chosen:
                try:
                    data = rewriting.read(file)
                except ObjectGone:  # quarantine expires, file by file; the others can still be retried
                    files.append(file)
                    continue
                judged = judging.judge(data, rewriting.check, seen)
                if not judged.passing.any():
                    files.append(file)
                    continue
                moved += _units_of(lot, judged)
                files += self._swap(rewriting, file, data, judged)
            rewriting.finish(files, _moved(lot, moved), reasons=_reasons(lot, moved))

        rewriting.run(change)
        seen.after = rewriting.lot.counts
        _add(result, seen)

    def _swap(self, rewriting: Rewriting, file: LotFile, data: bytes, judged: _Judged) -> Iterator[LotFile]:
        """The rows that pass as files of Silver, and the quarantine file without them."""
        lot, part = rewriting.lot.id, LakeKey.parse(file.key).part
        for dataset, tables in sorted(judged.tables.items()):
            table = pa.concat_tables(tables).unify_dictionaries()
            for day, content, rows in silver_files(table, self.contracts[dataset], {"smelt.lot": str(lot)}):
                yield rewriting.make(SILVER_ROOT, dataset, day.isoformat(), content, rows, part)
        if not judged.passing.all():
            yield rewriting.replace(file, *without(data, pa.array(judged.passing)))


class _Column:
    """A string column with few different values, as their numbers."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        encoded = column.combine_chunks().dictionary_encode()
        self.names: list[str] = encoded.dictionary.to_pylist()
        self.numbers: npt.NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)

    def __getitem__(self, row: int) -> str:
        return str(self.names[self.numbers[row]])


@dataclass(slots=True)
class _Judging:
    bronze: Rereader
    ledger: Ledger
    judge_row: RowJudge
    contracts: Mapping[str, Contract]
    wanted: Selection

    def judge(self, data: bytes, check: Callable[[], None], result: Retried) -> _Judged:
        """Read the chosen rows of one quarantine file again, object by object, and judge them."""
        rows = read_rows(data)
        judged = _Judged(rows.select(["_source", "_offset", "reason"]), np.zeros(rows.num_rows, dtype=bool), {})
        if not rows.num_rows:
            return judged
        sources, reasons = _Column(rows["_source"]), _Column(rows["reason"])
        chosen = self.wanted.mask(rows).to_numpy()
        hopeless = chosen & np.isin(reasons.numbers, [n for n, name in enumerate(reasons.names) if name in HOPELESS])
        result.hopeless += int(hopeless.sum())
        result.stayed.update(reasons[row] for row in np.flatnonzero(hopeless).tolist())
        readable = np.flatnonzero(chosen & ~hopeless)
        order = readable[np.lexsort((rows["_offset"].to_numpy()[readable], sources.numbers[readable]))]
        cuts = np.flatnonzero(np.diff(sources.numbers[order])) + 1
        for mine in np.split(order, cuts) if len(order) else []:
            self._judge_object(sources[int(mine[0])], rows, mine, reasons, judged, check, result)
        return judged

    def _judge_object(
        self,
        source: str,
        rows: pa.Table,
        mine: npt.NDArray[np.int64],
        reasons: _Column,
        judged: _Judged,
        check: Callable[[], None],
        result: Retried,
    ) -> None:
        known = self._object(source)
        accepted: dict[str, list[tuple[int, Accepted]]] = {}

        def into_tables() -> None:
            for dataset, found in accepted.items():
                if known is not None:
                    table = with_lineage(silver_table(self.contracts[dataset], found), known.source)
                    judged.tables.setdefault(dataset, []).append(table)
            accepted.clear()

        verdicts = self._verdicts(known, source, WantedRows(rows, mine), check)
        for number, verdict in zip(mine.tolist(), verdicts, strict=True):
            if isinstance(verdict, Accepted):
                judged.passing[number] = True
                accepted.setdefault(verdict.dataset, []).append((rows["_offset"][number].as_py(), verdict))
                result.passed[verdict.dataset] += 1
                result.reasons[reasons[number]] += 1
                if sum(map(len, accepted.values())) >= _ROWS_AT_ONCE:
                    into_tables()
            else:
                result.stayed[reasons[number]] += 1
            if isinstance(verdict, Unreadable):
                result.unreadable += 1
                if len(result.listed) < MAX_LISTED:
                    result.listed.append((source, rows["_offset"][number].as_py(), str(verdict)))
            else:
                result.judged += 1
        into_tables()

    def _object(self, source: str) -> LedgerObject | None:
        return next(self.ledger.find_objects([ObjectId.parse(source)]), None)

    def _verdicts(
        self, known: LedgerObject | None, source: str, wanted: Sequence[Wanted], check: Callable[[], None]
    ) -> Iterator[Accepted | Unreadable | None]:
        """For each row: accepted, not to be had, or (None) still refused."""
        if known is None:
            yield from (Unreadable(f"{source} is not in the ledger") for _ in wanted)
            return
        origin: BronzeObject = known.source
        dataset = origin.bronze_key.dataset
        contract = self.contracts.get(dataset)
        if contract and contract.envelope_fields:
            yield from (Unreadable(_NEEDS_ENVELOPE) for _ in wanted)
            return
        for row in self.bronze.read(origin, wanted, check):
            check()
            if isinstance(row, Unreadable):
                yield row
                continue
            verdict = self.judge_row.judge(row, dataset, origin.created)
            yield verdict if isinstance(verdict, Accepted) else None


def _units_of(lot: Lot, judged: _Judged) -> Counter[tuple[UnitId, str]]:
    """How many of the rows that pass each unit owns, by the reason that they had.

    A row of lines belongs to the unit in whose range it starts; all rows of an array or a compressed object, wherever
    they start, to the object's first one, and then no other unit of it has any.
    """
    counts = dict(zip(lot.units, lot.unit_counts, strict=True))
    units: dict[str, list[UnitId]] = {}
    for unit in lot.units:
        units.setdefault(str(unit.object), []).append(unit)
    moved: Counter[tuple[UnitId, str]] = Counter()
    passing = judged.rows.filter(pa.array(judged.passing))
    reasons = _Column(passing["reason"])
    sources, offsets = _Column(passing["_source"]), passing["_offset"].to_numpy().tolist()
    for row, offset in enumerate(offsets):
        source = sources[row]
        mine = units.get(source, [])
        owner = next((unit for unit in mine if unit.start <= offset < unit.end and counts[unit].quarantined), None)
        owner = owner or next((unit for unit in mine if unit.start == 0), None)
        if owner is None:
            raise ConservationError(f"lot {lot.id}: no unit of it owns byte {offset} of {source}. Report this as a bug")
        moved[owner, reasons[row]] += 1
    return moved


def _moved(lot: Lot, moved: Mapping[tuple[UnitId, str], int]) -> list[Counts]:
    """The lot's counts once these rows are in Silver."""
    by_unit: Counter[UnitId] = Counter()
    for (unit, _), rows in moved.items():
        by_unit[unit] += rows
    after = [
        Counts(counts.read, counts.silver + by_unit[unit], counts.quarantined - by_unit[unit])
        for unit, counts in zip(lot.units, lot.unit_counts, strict=True)
    ]
    if any(counts.quarantined < 0 for counts in after):
        raise ConservationError(f"lot {lot.id}: a unit has fewer rows in quarantine than pass. Report this as a bug")
    return after


def _reasons(lot: Lot, moved: Mapping[tuple[UnitId, str], int]) -> dict[str, dict[str, int]]:
    """Why the rows that stay are refused, by unit."""
    reasons = {name: Counter(told) for name, told in lot.reasons.items()}
    for (unit, reason), rows in moved.items():
        if reasons_key(unit) in reasons:
            reasons[reasons_key(unit)][reason] -= rows
    return {name: {reason: rows for reason, rows in told.items() if rows > 0} for name, told in reasons.items()}


def _add(result: Retried, seen: Retried) -> None:
    result.judged += seen.judged
    result.passed += seen.passed
    result.reasons += seen.reasons
    result.stayed += seen.stayed
    result.hopeless += seen.hopeless
    result.unreadable += seen.unreadable
    result.listed += seen.listed[: MAX_LISTED - len(result.listed)]
    result.before += seen.before
    result.after += seen.after
