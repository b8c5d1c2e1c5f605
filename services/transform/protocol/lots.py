"""Lots: from free units, or from a lot that somebody left unfinished, to committed Silver files.

The order of steps is the protocol that makes redelivery harmless:

    read and parse  ->  claim (or record outputs)  ->  write files  ->  delete stale files  ->  commit
    no side effect      the ledger knows every key     same keys, same      keys of an earlier
                        before it is written           rows each time       execution only

A worker may die between any two steps. Whoever gets the units next finds the lot in the ledger, takes it over once
its lease is over and executes all of it again from its unit list. Rows that do not fit in memory at once are written
in parts, each part's keys recorded before they are written.

This module knows neither SQS nor Lambda: it takes units and a deadline.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.shared.aws import FAILURES, Failure
from services.shared.contract.model import Contract
from services.shared.errors import SmeltError, Terminal, Transient
from services.shared.identities import LotId, UnitId
from services.shared.lake import Lake
from services.shared.ledger.ledger import MAX_UNITS_PER_LOT, Counts, LeaseLost, Ledger, Lot, LotFile
from services.shared.units import Unit
from services.transform.blocks import BrokenFrame, OverlongRow
from services.transform.files.buffer import RowBuffer
from services.transform.files.encode import encode
from services.transform.reading.reader import UnitReader
from services.transform.rows.parser import Parsed, RowParser, broken_frame, overlong_row

LEASE_SLACK_SECONDS = 5.0  # a lease outlives its worker: the runtime kills the worker at its deadline


class OutOfTime(Transient):
    """The worker's deadline is too near to go on; the work goes back to the queue untouched."""


class ConservationError(Terminal):
    """Rows read do not equal rows in Silver plus rows in quarantine. The lot is not committed: this is a bug."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long the worker may go on. `reserve` seconds are kept back for writing and committing."""

    remaining: Callable[[], float]  # seconds until the worker is stopped
    reserve: float

    @classmethod
    def of(cls, remaining: Callable[[], float]) -> Deadline:
        return cls(remaining, min(15.0, remaining() / 4))

    def check(self) -> None:
        """
        Raises:
            OutOfTime: only the reserve is left.
        """
        if self.remaining() <= self.reserve:
            raise OutOfTime(f"{self.remaining():.1f} s are left; the rest goes back to the queue")


@dataclass(slots=True)
class LotReport:
    """What one execution of a lot did, for its log line and metrics."""

    lot: LotId
    units: tuple[Unit, ...] = ()
    counts: Counts = field(default_factory=Counts)
    files: list[LotFile] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)  # quarantined rows by reason code
    silver_rows: Counter[str] = field(default_factory=Counter)  # by dataset
    rescued: int = 0  # rows with unknown fields
    seconds: float = 0.0
    taken_over: bool = False


@dataclass(slots=True)
class Attempt:
    """What came of trying some free units: a committed lot, units that failed, units not reached."""

    report: LotReport | None = None
    failed: dict[UnitId, Failure] = field(default_factory=dict)
    left: list[Unit] = field(default_factory=list)


class LotWorker:
    """Executes lots against one lake and one ledger. `clock` gives epoch seconds and is replaced in tests."""

    def __init__(
        self,
        lake: Lake,
        ledger: Ledger,
        contracts: Mapping[str, Contract],
        lot_bytes: int,
        reader: UnitReader,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.lake = lake
        self.ledger = ledger
        self.contracts = contracts
        self.versions = {name: contract.version for name, contract in contracts.items()}
        self.memory_budget = lot_bytes + lot_bytes // 64  # units' last rows end a little beyond their ranges
        self.clock = clock
        self._parser = RowParser(contracts)
        self._reader = reader

    def parse(self, unit: Unit) -> Iterator[tuple[Parsed, int]]:
        """The unit's rows, judged, block by block with the block's raw bytes."""
        dataset, created = unit.object.bronze_key.dataset, unit.object.created
        for rows, _ in self._reader.read(unit):
            if isinstance(rows, OverlongRow):
                yield overlong_row(rows.offset, rows.head, dataset), len(rows.head)
            elif isinstance(rows, BrokenFrame):
                yield broken_frame(rows.offset, rows.detail, rows.raw, dataset), len(rows.raw)
            else:
                yield self._parser.parse(rows, dataset, created), len(rows.data)

    def start(self, candidates: Sequence[Unit], deadline: Deadline) -> Attempt:
        """Make one lot of as many of these free units as fit, in order, and commit it.

        A unit that cannot be read fails alone, unless some of its lot has been written already: then all units of
        the lot fail together, and where trying again cannot help, the lot is dissolved.
        """
        run = _Run(self, deadline)
        attempt = Attempt()
        left = list(candidates)
        try:
            while left and not run.is_full_for(left[0]):
                unit = left.pop(0)
                try:
                    run.read(unit)
                except SmeltError as error:
                    if run.sealed:
                        raise
                    attempt.failed[unit.id] = error
                    if isinstance(error, OutOfTime):
                        break
            if run.units:
                attempt.report = run.finish()
        except FAILURES as error:
            run.give_up(error)
            attempt.failed |= {unit.id: error for unit in run.units}
        attempt.left = left
        return attempt

    def resume(self, lot: Lot, deadline: Deadline) -> LotReport:
        """Execute a lot whose worker is gone, whole, from its unit list.

        Raises:
            LeaseHeld: its worker is not gone yet.
            SmeltError: it could not be committed; it is dissolved if a unit of it cannot be read any more.
        """
        ours = self.ledger.take_over(lot, self.versions, deadline.remaining() + LEASE_SLACK_SECONDS)
        run = _Run(self, deadline, ours)
        try:
            for unit in lot.units:
                run.read(unit)
        except SmeltError as error:
            run.give_up(error)
            raise
        return run.finish()


class _Run:
    """One execution of one lot. `lot` is None until the claim."""

    def __init__(self, worker: LotWorker, deadline: Deadline, lot: Lot | None = None) -> None:
        self._worker = worker
        self._deadline = deadline
        self._started = worker.clock()
        self._id = lot.id if lot else LotId.new(datetime.fromtimestamp(self._started, UTC))
        self._rows = RowBuffer()
        self._part = 0
        self._unit_counts: Counter[tuple[int, str]] = Counter()
        self._report = LotReport(self._id, taken_over=lot is not None)
        self.lot = lot
        self.sealed = lot is not None  # the units are settled: rows have been written, or are about to be
        self.units: list[Unit] = []

    def is_full_for(self, unit: Unit) -> bool:
        """Whether a further unit belongs in another lot."""
        if self.sealed or len(self.units) == MAX_UNITS_PER_LOT:
            return True
        return bool(self.units) and self._rows.bytes + unit.bytes > self._worker.memory_budget

    def read(self, unit: Unit) -> None:
        """Read a unit's rows into memory; once memory is full, write them out as a part of the lot.

        Until then, a unit that fails leaves no trace; afterwards the whole run has failed.
        """
        mark = self._rows.mark()
        self.units.append(unit)
        try:
            for parsed, size in self._worker.parse(unit):
                self._deadline.check()
                if self._rows.bytes and self._rows.bytes + size > self._worker.memory_budget:
                    self._write_part()
                self._rows.add(len(self.units) - 1, parsed, size)
        except SmeltError:
            if not self.sealed:
                self.units.pop()
                self._rows.roll_back(mark)
            raise

    def finish(self) -> LotReport:
        """Write what is left, delete what an earlier execution left behind, and commit."""
        lot = self._write_part()
        counts = [self._counts_of(unit) for unit in range(len(self.units))]
        for unit, count in zip(self.units, counts, strict=True):
            if not count.conserved:
                raise ConservationError(f"{unit.id}: {count}; the lot {lot.id} stays open and its rows in Bronze")
        report = self._report
        self._worker.lake.delete(sorted(lot.outputs - {file.key for file in report.files}))
        self._worker.ledger.commit_lot(lot, report.files, counts)
        report.units = tuple(self.units)
        report.counts = sum(counts, Counts())
        report.seconds = self._worker.clock() - self._started
        return report

    def give_up(self, error: Failure) -> None:
        """Leave a claimed lot. Where trying again cannot help, undo it, so that its other units are free again."""
        if self.lot and isinstance(error, Terminal):
            self._worker.lake.delete(sorted(self.lot.outputs))
            self._worker.ledger.dissolve_lot(self.lot)

    def _write_part(self) -> Lot:
        self.sealed = True
        files = list(self._encode())
        self.lot = lot = self._own_lot([key for key, _, _ in files])
        for key, data, rows in files:
            if self._worker.clock() * 1000 >= lot.lease_until:
                raise LeaseLost(f"lot {lot.id}: the lease ended before {key} was written")
            self._worker.lake.put(key, data)
            self._report.files.append(LotFile(key, rows, len(data)))
        self._part += 1
        return lot

    def _own_lot(self, keys: Sequence[str]) -> Lot:
        """The lot with these keys recorded: claimed now, if it was not before."""
        ledger = self._worker.ledger
        if self.lot:
            return ledger.record_outputs(self.lot, keys)
        lease_seconds = self._deadline.remaining() + LEASE_SLACK_SECONDS
        return ledger.claim_lot(self._id, self.units, keys, self._worker.versions, lease_seconds)

    def _encode(self) -> Iterator[tuple[str, bytes, int]]:
        """The rows in memory as files `(key, Parquet bytes, rows)`; memory is empty afterwards."""
        for unit, parsed in self._rows.entries:
            self._tally(unit, parsed)
        yield from encode(*self._rows.take(self.units), self._worker.contracts, self._id, self._part)

    def _tally(self, unit: int, parsed: Parsed) -> None:
        report = self._report
        self._unit_counts[unit, "read"] += parsed.rows_read
        for dataset, table in parsed.silver.items():
            self._unit_counts[unit, "silver"] += table.num_rows
            report.silver_rows[dataset] += table.num_rows
            report.rescued += table.num_rows - table["_rescued"].null_count
        self._unit_counts[unit, "quarantined"] += parsed.quarantine.num_rows
        report.reasons.update(parsed.quarantine["reason"].to_pylist())

    def _counts_of(self, unit: int) -> Counts:
        count = self._unit_counts
        return Counts(count[unit, "read"], count[unit, "silver"], count[unit, "quarantined"])
