"""One execution of one lot: its rows in memory, its parts, its files, its counts. `lots` decides what is executed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.shared.deadline import LEASE_SLACK_SECONDS, Deadline, OutOfTime
from services.shared.errors import Terminal
from services.shared.identities import SILVER_ROOT, LakeKey, LotId
from services.shared.ledger.records import (
    MAX_UNITS_PER_LOT,
    Counts,
    LeaseLost,
    Lot,
    LotFile,
    Progress,
)
from services.shared.parquet.encode import EncodedFile, encode
from services.shared.units import Unit
from services.transform.blocks import BrokenFrame, BrokenFrames, OverlongRow, Piece, Position
from services.transform.files.buffer import RowBuffer
from services.transform.reading.envelope import Envelope
from services.transform.rows.parser import Parsed, broken_frame, broken_frames, overlong_row
from services.transform.rows.row_bytes import RowBytes, RowScales

if TYPE_CHECKING:
    from services.transform.protocol.lots import LotWorker


SECONDS_TO_WRITE = 1.0  # less is not worth beginning to write or delete a file


class NoRoom(Exception):  # not an error: the lot is full, and the unit belongs to the next one
    """Memory is full in the middle of a unit that has neighbours. Nothing of the unit is left behind."""


class ConservationError(Terminal):
    """Rows read are not rows in Silver plus rows in quarantine, or not those in the files: a bug. Not committed."""


@dataclass(slots=True)
class LotReport:
    """What one execution of a lot did, for its log line and metrics. All but `lot` counts this execution only."""

    lot: Lot
    units: tuple[Unit, ...]
    seconds: float
    taken_over: bool
    reasons: Counter[str]  # quarantined rows by reason code
    silver_rows: Counter[str]  # by dataset
    rescued: int  # rows with unknown fields
    row_bytes: RowBytes

    @property
    def counts(self) -> Counts:
        return self.lot.counts


@dataclass(slots=True)
class _Tally:
    """Rows of this execution."""

    reasons: Counter[str] = field(default_factory=Counter)
    silver_rows: Counter[str] = field(default_factory=Counter)
    rescued: int = 0
    row_bytes: RowBytes = field(default_factory=RowBytes)
    by_unit: list[Counts] = field(default_factory=list)
    reasons_by_unit: list[Counter[str]] = field(default_factory=list)

    def begin_unit(self) -> None:
        self.by_unit.append(Counts())
        self.reasons_by_unit.append(Counter())

    def forget_unit(self) -> None:
        self.by_unit.pop()
        self.reasons_by_unit.pop()

    def add(self, unit: int, parsed: Parsed, row_bytes: RowBytes) -> None:
        self.row_bytes = self.row_bytes.plus(row_bytes)
        silver = 0
        for dataset, table in parsed.silver.items():
            silver += table.num_rows
            self.silver_rows[dataset] += table.num_rows
            self.rescued += table.num_rows - table["_rescued"].null_count
        self.by_unit[unit] += Counts(parsed.rows_read, silver, parsed.quarantine.num_rows)
        for value in parsed.quarantine["reason"].value_counts():
            reason, rows = value["values"].as_py(), value["counts"].as_py()
            self.reasons[reason] += rows
            self.reasons_by_unit[unit][reason] += rows


class Execution:
    """`lot` is None until the claim. A resumed lot goes on behind its last part, if it was written by our contracts."""

    def __init__(self, worker: LotWorker, deadline: Deadline, lot: Lot | None = None) -> None:
        self._worker = worker
        self._deadline = deadline
        self._started = worker.clock()
        self._id = lot.id if lot else LotId.new(datetime.fromtimestamp(self._started, UTC))
        self._rows = RowBuffer()
        self._tally = _Tally()
        self._taken_over = lot is not None
        progress = lot.progress if lot else None
        self._part = progress.part if progress else 0
        self._files: list[LotFile] = list(progress.files) if progress else []
        self._before = progress.counts if progress else Counts()
        self._reasons_before = Counter(progress.reasons if progress else {})
        self._position = Position.from_list(list(progress.position)) if progress else None
        self._part_start = (0, self._position)
        self.lot = lot
        self.sealed = lot is not None  # rows have left memory, or the units are settled: it succeeds or fails whole
        self.units: list[Unit] = []

    def has_room_for(self, unit: Unit) -> bool:
        """Whether a further unit belongs in this lot."""
        if self.sealed or len(self.units) == MAX_UNITS_PER_LOT:
            return False
        return not self.units or self._rows.bytes + unit.bytes <= self._worker.memory_budget

    def read(self, unit: Unit) -> None:
        """Read a unit's rows into memory; where they do not fit, write them out in parts.

        A unit that fails before the execution is sealed leaves no trace.

        Raises:
            NoRoom: memory is full, and other units are in it.
            OutOfTime: only the reserve is left. What was read of a unit with a lot of its own is written first.
        """
        mark = resumable = self._rows.mark()
        number = len(self.units)
        self.units.append(unit)
        self._tally.begin_unit()
        try:
            scales = RowScales(0 if unit.object.bronze_key.codec else unit.end)
            contract = self._worker.contracts.get(unit.object.bronze_key.dataset)
            envelope = None
            if contract and contract.rows_path:
                envelope = Envelope(contract.rows_path, contract.envelope_fields)
            for piece in self._worker.reader.read(unit, self._position, self._deadline.check, envelope=envelope):
                parsed, size = self._parse(piece, unit)
                self._rows.add(number, parsed, size, scales.weigh(piece, parsed))
                if number and not self.sealed and self._rows.bytes > self._worker.memory_budget:
                    raise NoRoom
                if piece.after is not None:
                    self._position = piece.after
                    if self._rows.bytes > self._worker.memory_budget:
                        self._write_part()
                    resumable = self._rows.mark()
                self._deadline.check()
        except OutOfTime:
            if self._has_lot_of_its_own():
                self._rows.roll_back(resumable)  # rows behind the last position are read again
            if self._has_lot_of_its_own() and self._rows.entries and self._deadline.remaining() > SECONDS_TO_WRITE:
                self._write_part()
            if not self.sealed:
                self._forget(mark)
            raise
        except Exception:  # whatever it is: the units before this one are not concerned
            if not self.sealed:
                self._forget(mark)
            raise
        self._position = None
        self._tally.row_bytes = self._tally.row_bytes.plus(scales.rest())

    def finish(self) -> LotReport:
        """Write what is left, and commit."""
        lot = self._write_part()
        counts, reasons = [*self._tally.by_unit], [*self._tally.reasons_by_unit]
        if counts:  # parts that an earlier execution wrote; there are some for a single unit only
            counts[0] += self._before
            reasons[0] = reasons[0] + self._reasons_before
        self._check_conservation(lot, counts)
        committed = self._worker.ledger.lots.commit(lot, self._files, counts, reasons)
        return LotReport(
            lot=committed,
            units=tuple(self.units),
            seconds=self._worker.clock() - self._started,
            taken_over=self._taken_over,
            reasons=self._tally.reasons,
            silver_rows=self._tally.silver_rows,
            rescued=self._tally.rescued,
            row_bytes=self._tally.row_bytes,
        )

    def _parse(self, piece: Piece, unit: Unit) -> tuple[Parsed, int]:
        """The piece's rows, judged, and how many raw bytes they were."""
        dataset, created, rows = unit.object.bronze_key.dataset, unit.object.created, piece.rows
        if isinstance(rows, OverlongRow):
            return overlong_row(rows.offset, rows.head, dataset), len(rows.head)
        if isinstance(rows, BrokenFrames):
            return broken_frames(rows.frames, dataset), sum(len(frame.raw) for frame in rows.frames)
        if isinstance(rows, BrokenFrame):
            return broken_frame(rows.offset, rows.detail, rows.raw, dataset, rows.reason), len(rows.raw)
        return self._worker.parser.parse(rows, dataset, created, self._deadline.check), len(rows.data)

    def _forget(self, mark: tuple[int, int]) -> None:
        self.units.pop()
        self._tally.forget_unit()
        self._rows.roll_back(mark)
        self._position = None

    def _has_lot_of_its_own(self) -> bool:
        return len(self.units) == 1 and (self.lot is None or len(self.lot.units) == 1)

    def _write_part(self) -> Lot:
        """Encode what is in memory, record the keys, write the files; for a unit of its own, note the progress."""
        self.sealed = True
        for (unit, parsed), row_bytes in zip(self._rows.entries, self._rows.row_bytes, strict=True):
            self._tally.add(unit, parsed, row_bytes)
        silver, quarantine = self._rows.take(self.units)
        part_end = (len(self.units) - 1, self._position)
        variant = variant_of(self._worker.versions, self._worker.reader.max_row, self._part_start, part_end)
        files = list(encode(silver, quarantine, self._worker.contracts, self._id, variant, self._part))
        self._part_start = part_end
        del silver, quarantine
        lot = self._own_lot([key for key, _, _ in files])
        self._files += self._write(files, lot)
        self._part += 1
        if self._has_lot_of_its_own() and self._position is not None:
            counts = self._before + self._tally.by_unit[0]
            progress = Progress(
                tuple(self._position.to_list()),
                self._part,
                counts,
                tuple(self._files),
                self._worker.versions,
                self._tally.reasons_by_unit[0] + self._reasons_before,
            )
            lot = self._worker.ledger.lots.record_progress(lot, progress)
        self.lot = lot
        return lot

    def _own_lot(self, keys: Sequence[str]) -> Lot:
        """The lot with these keys recorded: claimed now, if it was not before. Checks first that its lists will fit."""
        lots = self._worker.ledger.lots
        lots.check_fits([*(file.key for file in self._files), *keys], self.lot.outputs if self.lot else ())
        if self.lot:
            self.lot = lots.record_outputs(self.lot, keys)
        else:
            ids = [unit.id for unit in self.units]
            seconds = self._deadline.remaining() + LEASE_SLACK_SECONDS
            self.lot = lots.claim(self._id, ids, keys, self._worker.versions, seconds)
        return self.lot

    def _write(self, files: Sequence[EncodedFile], lot: Lot) -> list[LotFile]:
        """Write files side by side, each fenced by the lease."""

        def write(file: EncodedFile) -> LotFile:
            key, data, rows = file
            if self._worker.clock() * 1000 >= lot.lease_until:
                raise LeaseLost(f"lot {lot.id}: the lease ended before {key} was written")
            if self._deadline.remaining() <= SECONDS_TO_WRITE:
                raise OutOfTime(f"lot {lot.id}: no time is left to write {key}")
            return LotFile(key, rows, len(data), self._worker.lake.put(key, data))

        if self._worker.writers == 1 or len(files) == 1:
            return [write(file) for file in files]
        with ThreadPoolExecutor(self._worker.writers) as pool:
            return list(pool.map(write, files))

    def _check_conservation(self, lot: Lot, counts: Sequence[Counts]) -> None:
        for unit, count in zip(self.units, counts, strict=True):
            if not count.conserved:
                raise ConservationError(f"{unit.id}: {count}; the lot {lot.id} is not committed. Report this as a bug")
        total = sum(counts, Counts())
        silver = sum(file.rows for file in self._files if LakeKey.parse(file.key).root == SILVER_ROOT)
        quarantined = sum(file.rows for file in self._files) - silver
        if (silver, quarantined) != (total.silver, total.quarantined):
            raise ConservationError(
                f"lot {lot.id}: the files hold {silver} Silver and {quarantined} quarantined rows, the units {total}; "
                "it is not committed. Report this as a bug"
            )


def variant_of(
    versions: Mapping[str, str], max_row: int, start: tuple[int, Position | None], end: tuple[int, Position | None]
) -> str:
    """What the contents of a part's files depend on beside the lot, as 8 hex digits.

    Args:
        versions: of the contracts and of the code: who makes the rows.
        max_row: bytes; longer rows are refused.
        start: number of the unit and position in it where the part begins. Where it ends depends on memory and time.
        end: the same of its end.
    """
    cuts = [[number, position and position.to_list()] for number, position in (start, end)]
    text = json.dumps([dict(versions), max_row, cuts], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
