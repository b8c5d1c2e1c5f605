#!/usr/bin/env python3
"""How long readers of the plain tables may see rows twice while a lot is rewritten, and what the rewrite takes.

usage: python benchmarks/rewriting.py [--rows 200000] [--days 1 31] [--milliseconds 0 30]

A lot of two objects with the same number of rows, spread over some days; one object is retracted. Real: the code, the
Parquet files, the ledger on the embedded emulator. The lake is a dictionary whose every request takes `--milliseconds`.
The time that counts is from the first new file to the last deletion of an old one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.ministack import ROOT, ministack
from local.stack import Clients, connect, create_ledger
from services.ops.rewrite.retraction import Retraction
from services.shared.contract.loader import load_contracts
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.transform.protocol.lots import LotWorker
from services.transform.reading.reader import UnitReader
from tests.support.archive import NoArchive
from tests.support.lake import MemoryLake

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


class SlowLake(MemoryLake):
    """Every request takes its time, and deletions run eight at once, as on S3."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.first_put = self.last_delete = 0.0

    def read(self, key: str, etag: str) -> bytes:
        time.sleep(self.seconds)
        return super().read(key, etag)

    def put(self, key: str, data: bytes) -> str:
        time.sleep(self.seconds)
        self.first_put = self.first_put or time.perf_counter()
        return super().put(key, data)

    def delete(self, keys: Iterable[str]) -> None:
        def one(key: str) -> None:
            time.sleep(self.seconds)
            super(SlowLake, self).delete([key])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, keys))
        self.last_delete = time.perf_counter()


def rows(number: int, days: int, mark: str) -> bytes:
    """JSON lines of shipments."""
    lines = []
    for row in range(number):
        moment = FIRST + timedelta(days=row % days, seconds=row % 86_400)
        shipment = {
            "event_time": moment.isoformat(),
            "shipment_id": f"{mark}{row:09d}",
            "origin": "HAM",
            "destination": "OSL",
            "carrier": ("DHL", "UPS", "GLS")[row % 3],
            "weight_kg": row % 1000 + 0.5,
        }
        lines.append(json.dumps(shipment))
    return "\n".join(lines).encode()


def measure(clients: Clients, number: int, days: int, seconds: float) -> dict[str, float]:
    """Load two objects as one lot, and retract one."""
    table = f"rewriting-{uuid.uuid4().hex[:8]}"
    create_ledger(clients.dynamodb, table)
    ledger, lake = Ledger(clients.dynamodb, table), SlowLake(0)
    sources = [lake.upload(f"bronze/shipments/{mark}.jsonl", rows(number // 2, days, mark)) for mark in "ab"]
    units = []
    for source in sources:
        planning = ledger.objects.begin(source, 1 << 30, 60)
        ledger.objects.finish(planning)
        units += list(planning.plan)
    worker = LotWorker(lake, ledger, load_contracts(ROOT / "contracts"), 1 << 30, UnitReader(lake, 1 << 20))
    attempt = worker.start(units, Deadline(lambda: 600.0, 0))
    if attempt.report is None or len(attempt.report.lot.units) != len(sources):
        raise SystemExit(f"the lot was not loaded: {attempt.together}")
    lake.seconds, lake.first_put = seconds, 0.0
    started = time.perf_counter()
    done = Retraction(ledger, lake, "benchmark", "measured", NoArchive()).run(sources[0].id, Deadline.endless())
    return {
        "rows": number,
        "files": done.changes.written,
        "milliseconds_a_request": seconds * 1000,
        "rewrite_seconds": round(time.perf_counter() - started, 2),
        "seen_twice_seconds": round(lake.last_delete - lake.first_put, 2),
    }


def main() -> None:
    """Print one JSON line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--days", type=int, nargs="*", default=[1, 31])
    parser.add_argument("--milliseconds", type=float, nargs="*", default=[0, 30])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ministack(log=Path(folder) / "log") as endpoint:
        clients = connect(endpoint)
        for days in asked.days:
            for milliseconds in asked.milliseconds:
                print(json.dumps(measure(clients, asked.rows, days, milliseconds / 1000)), flush=True)


if __name__ == "__main__":
    main()
