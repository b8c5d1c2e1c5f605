"""The transform as its function runs it, with folders for buckets and the ledger in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, cast

from benchmarks.data import CONTRACTS, DAYS, START
from services.shared.deadline import Deadline
from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import (
    Counts,
    LedgerObject,
    Lookup,
    LostRace,
    Lot,
    LotFile,
    LotState,
    ObjectState,
    Progress,
)
from services.shared.units import BronzeObject, Plan
from services.transform.protocol.dead_letters import DeadLetterQueue
from services.transform.protocol.delivery import DeliveryProcessor
from services.transform.protocol.lots import LotWorker
from services.transform.reading.reader import UnitReader

BUCKET = "bronze"
MIB = 1024 * 1024
UNIT_BYTES, LOT_BYTES, MAX_ROW_BYTES = 64 * MIB, 128 * MIB, 8 * MIB
LEASE_MS = 1 << 62


class FolderLake:
    """One Bronze file, and a folder that takes the files."""

    def __init__(self, source: Path, out: Path) -> None:
        self._source, self._out = source, out

    def open(self, source: BronzeObject, start: int, end: int) -> BinaryIO:  # noqa: ARG002
        file = self._source.open("rb")
        file.seek(start)
        return _Range(file, end - start)  # type: ignore[return-value]

    def put(self, key: str, data: bytes) -> str:
        path = self._out / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self._out / key).unlink(missing_ok=True)


class _Range:
    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file, self._left = file, left

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


class _MemoryLots:
    """Claims and commits in dictionaries."""

    def __init__(self) -> None:
        self.lots: dict[LotId, Lot] = {}
        self.lot_of: dict[UnitId, LotId] = {}

    def check_fits(self, files: Iterable[str], outputs: Iterable[str]) -> None: ...

    def claim(
        self,
        lot_id: LotId,
        units: Sequence[UnitId],
        outputs: Iterable[str],
        contracts: Mapping[str, str],
        lease_seconds: float,  # noqa: ARG002
    ) -> Lot:
        if any(unit in self.lot_of for unit in units):
            raise LostRace(f"lot {lot_id} was not claimed")
        self.lot_of.update(dict.fromkeys(units, lot_id))
        return self._keep(Lot(lot_id, LotState.PENDING, tuple(units), frozenset(outputs), contracts, "ours", LEASE_MS))

    def record_outputs(self, lot: Lot, outputs: Iterable[str]) -> Lot:
        return self._keep(replace(lot, outputs=lot.outputs | set(outputs)))

    def record_progress(self, lot: Lot, progress: Progress) -> Lot:
        return self._keep(replace(lot, progress=progress))

    def commit(self, lot: Lot, files: Sequence[LotFile], unit_counts: Sequence[Counts]) -> Lot:
        return self._keep(
            replace(
                lot,
                state=LotState.COMMITTED,
                outputs=frozenset(),
                counts=sum(unit_counts, Counts()),
                unit_counts=tuple(unit_counts),
                files=tuple(files),
            )
        )

    def _keep(self, lot: Lot) -> Lot:
        self.lots[lot.id] = lot
        return lot


class _MemoryObjects:
    """Objects that are planned, and never finished."""

    def mark_done(self, ids: Iterable[ObjectId]) -> None: ...


class MemoryLedger:
    """What a delivery of new units asks of the ledger, in dictionaries."""

    def __init__(self, plan: Plan) -> None:
        self.lots = _MemoryLots()
        self.objects = _MemoryObjects()
        self._planned = LedgerObject(plan, ObjectState.PLANNED)

    def look_up(self, units: Iterable[UnitId]) -> Lookup:
        asked = frozenset(units)
        lot_of = {unit: self.lots.lot_of[unit] for unit in asked if unit in self.lots.lot_of}
        lots = {lot: self.lots.lots[lot] for lot in lot_of.values()}
        return Lookup(asked, {self._planned.id: self._planned}, {}, lots, lot_of)


def deliver(source: Path, dataset: str, out: Path, rows_path: tuple[str, ...] = ()) -> int:
    """One delivery of all units of a file; returns the rows that were committed, quarantined ones included."""
    contracts = {**CONTRACTS, dataset: replace(CONTRACTS[dataset], rows_path=rows_path)}
    etag = hashlib.md5(source.name.encode(), usedforsecurity=False).hexdigest()
    created = START + timedelta(days=DAYS)
    bronze = BronzeObject(BUCKET, f"bronze/{dataset}/{source.name}", source.stat().st_size, etag, None, created)
    plan = Plan.of(bronze, UNIT_BYTES)
    records = [
        {"messageId": str(number), "body": unit.to_message(), "attributes": {"ApproximateReceiveCount": "1"}}
        for number, unit in enumerate(plan)
    ]
    lake, ledger = FolderLake(source, out), cast("Ledger", MemoryLedger(plan))
    worker = LotWorker(lake, ledger, contracts, LOT_BYTES, UnitReader(lake, MAX_ROW_BYTES))
    no_dead_letters = cast("DeadLetterQueue", None)  # sending one would be an error of the benchmark
    processor = DeliveryProcessor(worker, ledger, no_dead_letters, BUCKET)
    result = processor.process(records, Deadline(lambda: 900.0, 15.0))
    if result.failed:
        raise RuntimeError(f"the delivery failed: {result.failed}")
    return sum(report.counts.read for report in result.reports)
