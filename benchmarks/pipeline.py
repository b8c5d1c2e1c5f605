"""The transform as its function runs it, with folders for buckets and the ledger in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from benchmarks.data import CONTRACTS, DAYS, START
from services.shared.identities import LotId, UnitId
from services.shared.ledger.ledger import Counts, Ledger, Lookup, LostRace, Lot, LotFile, LotState
from services.shared.units import BronzeObject, Unit, plan
from services.transform.protocol.delivery import BatchProcessor
from services.transform.protocol.lots import Deadline, LotWorker
from services.transform.reading.reader import UnitReader

BUCKET = "bronze"
MIB = 1024 * 1024
UNIT_BYTES, LOT_BYTES, MAX_ROW_BYTES = 64 * MIB, 128 * MIB, 16 * MIB
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


class MemoryLedger(Ledger):
    """The ledger's claims and commits in dictionaries."""

    def __init__(self) -> None:
        self.lots: dict[LotId, Lot] = {}
        self.lot_of: dict[UnitId, LotId] = {}

    def look_up(self, units: Iterable[UnitId]) -> Lookup:
        lot_of = {unit: self.lot_of[unit] for unit in units if unit in self.lot_of}
        return Lookup({lot: self.lots[lot] for lot in lot_of.values()}, lot_of)

    def claim_lot(
        self,
        lot_id: LotId,
        units: Sequence[Unit],
        outputs: Iterable[str],
        contracts: Mapping[str, str],
        lease_seconds: float,  # noqa: ARG002
    ) -> Lot:
        if any(unit.id in self.lot_of for unit in units):
            raise LostRace(f"lot {lot_id} was not claimed")
        lot = Lot(lot_id, LotState.PENDING, tuple(units), frozenset(outputs), contracts, "ours", LEASE_MS)
        self.lots[lot_id] = lot
        self.lot_of.update(dict.fromkeys((unit.id for unit in units), lot_id))
        return lot

    def record_outputs(self, lot: Lot, outputs: Iterable[str]) -> Lot:
        self.lots[lot.id] = replace(lot, outputs=lot.outputs | set(outputs))
        return self.lots[lot.id]

    def commit_lot(self, lot: Lot, files: Sequence[LotFile], unit_counts: Sequence[Counts]) -> None:
        self.lots[lot.id] = replace(lot, state=LotState.COMMITTED, files=tuple(files), unit_counts=tuple(unit_counts))


def deliver(source: Path, dataset: str, out: Path) -> int:
    """One delivery of all units of a file; returns the rows that were committed, quarantined ones included."""
    etag = hashlib.md5(source.name.encode(), usedforsecurity=False).hexdigest()
    created = START + timedelta(days=DAYS)
    bronze = BronzeObject(BUCKET, f"bronze/{dataset}/{source.name}", source.stat().st_size, etag, None, created)
    records = [
        {"messageId": str(number), "body": unit.to_message()} for number, unit in enumerate(plan(bronze, UNIT_BYTES))
    ]
    lake, ledger = FolderLake(source, out), MemoryLedger()
    worker = LotWorker(lake, ledger, CONTRACTS, LOT_BYTES, UnitReader(lake, MAX_ROW_BYTES))
    result = BatchProcessor(worker, ledger, BUCKET).process(records, Deadline(lambda: 900.0, 15.0))
    if result.failed:
        raise RuntimeError(f"the delivery failed: {result.failed}")
    return sum(report.counts.read for report in result.reports)
