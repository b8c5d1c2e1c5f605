"""How long publishing takes, and how much memory, by the number of lots that wait.

    .venv/bin/python -m benchmarks.lake 1000 10000

Each lot has one file of a hundred rows; they lie on ten days. The ledger is in memory and the bucket is a folder, so
network time is not in it: on S3 each file costs some requests for its footer, sixteen files at a time, and each mark
one delete.
Every number of lots is measured in a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from local.ministack import ROOT
from services.ops.lake.catalog import LakeCatalog, sqlite_catalog
from services.ops.lake.publish import Publisher
from services.ops.lake.store import FolderStore
from services.shared.contract.loader import load_contracts
from services.shared.deadline import Deadline
from services.shared.identities import LakeKey, LotId, ObjectId, UnitId
from services.shared.judge.judge import RowJudge
from services.shared.judge.verdicts import Accepted
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, LotFile, Outbox
from services.shared.parquet.files import silver_files
from services.shared.parquet.tables import silver_table, with_lineage
from services.shared.units import BronzeObject
from workbench.inprocess.dynamodb import TABLE, MemoryDynamoDB

DAYS, ROWS = 10, 100
CREATED = datetime(2026, 1, 31, tzinfo=UTC)


def contents() -> dict[str, bytes]:
    """One file for each day."""
    contract = load_contracts(ROOT / "contracts")["shipments"]
    judge = RowJudge({"shipments": contract})
    found = {}
    for day in range(1, DAYS + 1):
        rows = []
        for number in range(ROWS):
            row = {
                "event_time": f"2026-01-{day:02d}T00:00:{number % 60:02d}Z",
                "shipment_id": f"S{day}-{number}",
                "origin": "Oslo",
                "destination": "Cork",
            }
            verdict = judge.judge(json.dumps(row).encode(), "shipments", CREATED)
            if not isinstance(verdict, Accepted):
                raise TypeError(f"a row that is refused: {verdict}")
            rows.append((number, verdict))
        source = BronzeObject("bronze", "bronze/shipments/x.jsonl", 1, "e", None, CREATED)
        table = with_lineage(silver_table(contract, rows), source)
        for date, data, _ in silver_files(table, contract, {}):
            found[date.isoformat()] = data
    return found


def load(ledger: Ledger, store: FolderStore, lots: int) -> None:
    """Committed lots with their files and marks."""
    files = sorted(contents().items())
    for number in range(lots):
        day, data = files[number % len(files)]
        lot = LotId.new(CREATED)
        key = str(LakeKey("silver", "shipments", day, lot, "00000000"))
        store.put(key, data)
        unit = UnitId(ObjectId("bronze", f"bronze/shipments/{number}.jsonl", "e"), 0, 1)
        claimed = ledger.lots.claim(lot, [unit], [key], {}, 60)
        ledger.lots.commit(claimed, [LotFile(key, ROWS, len(data), "e")], [Counts(ROWS, ROWS, 0)])


def measure(lots: int) -> None:
    contracts = load_contracts(ROOT / "contracts")
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        ledger = Ledger(MemoryDynamoDB(), TABLE, outboxes=[Outbox.PUBLISH])  # type: ignore[arg-type]
        load(ledger, store, lots)
        catalog = LakeCatalog(sqlite_catalog(Path(folder) / "catalog.db"), "lake", store.root)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.perf_counter(), time.process_time()
        done = Publisher(ledger, catalog, store, contracts, Deadline.endless()).run()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        table = catalog.find("shipments")
        if done.lots != lots or table is None or table.scan().count() != lots * ROWS:
            raise RuntimeError(f"not all of it was published: {done}")
        print(
            f"{lots:,} lots: {seconds:.1f} s ({cpu:.1f} s of CPU), {done.snapshots} snapshots, "
            f"{1000 * cpu / lots:.1f} ms of CPU a lot, {before / 1024:.0f} MiB before, peak {peak / 1024:.0f} MiB",
            flush=True,
        )


def main() -> None:
    numbers = sys.argv[1:] or ["1000", "4000"]
    if len(numbers) == 1:
        measure(int(numbers[0]))
        return
    for number in numbers:
        subprocess.run([sys.executable, "-m", "benchmarks.lake", number], check=True)


if __name__ == "__main__":
    main()
