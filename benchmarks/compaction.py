#!/usr/bin/env python3
"""The compaction job on this machine: the same rows as DuckDB, time and memory by size, queries before and after.

usage: python benchmarks/compaction.py [--rows 2500000] [--files 500] [--sizes 1 4 16] [--repeat 0.2] [--folder DIR]

Shipments of one day in `--files` files as transform encodes them; a share (`--repeat`) of the rows has a key that an
earlier row has. The largest of `--sizes` has `--rows` rows in `--files` files; one of 4 where the largest is 16 has a
quarter of the rows in as many files. Each run is a process of its own. Peak memory is the most that the job's processes
(the JVM and Python's workers) had at once, as their resident sets add up.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from local.ministack import ROOT
from services.shared.columns import silver_columns
from services.shared.compaction import CompactionPlan, CompactionResult, InputFile, check_result
from services.shared.contract.loader import load_contracts
from services.shared.identities import COMPACTED_ROOT, SILVER_ROOT, CompactionRun, LakeKey, LotId
from services.shared.parquet.files import silver_files
from services.shared.parquet.tables import arrow_type

SHIPMENTS = load_contracts(ROOT / "contracts")["shipments"]
DT = "2026-01-15"
START = datetime(2026, 1, 15, tzinfo=UTC)
CITIES = ["Hamburg", "Rotterdam", "Oslo", "Gdansk", "Lyon", "Vienna", "Madrid", "Bergen", "Turin", "Cork"]
QUERIES = {
    "count": "select count(*) from {rows}",
    "one hour": "select count(*), avg(weight_kg) from {rows} where event_time >= timestamptz '2026-01-15 10:00:00Z'"
    " and event_time < timestamptz '2026-01-15 11:00:00Z'",
    "by carrier": "select carrier, count(*), avg(weight_kg) from {rows} group by carrier",
    "one shipment": "select * from {rows} where shipment_id = 'S000000042'",
}
LATEST = """select * from {rows} qualify row_number() over (
    partition by shipment_id order by event_time desc, _created desc, _source desc, _offset desc) = 1"""
SUMS = """select count(*), count(distinct shipment_id), sum(hash(shipment_id, event_time, origin, destination, carrier,
    weight_kg, _source, _offset, _created, _rescued)::hugeint) from ({rows})"""


def make_day(folder: Path, rows: int, files: int, repeat: float) -> list[InputFile]:
    """A partition of so many rows in so many files."""
    chance = random.Random(20260115)
    schema = pa.schema([(column.name, arrow_type(column)) for column in silver_columns(SHIPMENTS)])
    inputs, ids, number = [], max(1, int(rows * (1 - repeat))), 0
    for lot in range(files):
        size = rows // files + (lot < rows % files)
        numbers = range(number, number + size)
        number += size
        columns: dict[str, Any] = {
            "event_time": [START + timedelta(milliseconds=chance.randrange(86_400_000)) for _ in numbers],
            "shipment_id": [f"S{at if at < ids else chance.randrange(ids):09d}" for at in numbers],
            "origin": [chance.choice(CITIES) for _ in numbers],
            "destination": [chance.choice(CITIES) for _ in numbers],
            "carrier": [chance.choice(["DHL", "UPS", "FedEx", "GLS", None]) for _ in numbers],
            "weight_kg": [round(chance.random() * 500, 2) for _ in numbers],
            "_source": [f"s3://bronze/bronze/shipments/{lot:05d}.jsonl#{lot:032x}"] * size,
            "_offset": [at * 160 for at in range(size)],
            "_created": [START + timedelta(days=1, seconds=lot)] * size,
            "_rescued": [None] * size,
        }
        ((_, data, count),) = silver_files(pa.table(columns, schema), SHIPMENTS, {})
        key = str(LakeKey(SILVER_ROOT, "shipments", DT, LotId("20260115T101500Z", f"{lot:016x}"), "00000000"))
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
        inputs.append(InputFile(key, hashlib.md5(data, usedforsecurity=False).hexdigest(), count, len(data), str(lot)))
    return inputs


class Watch(threading.Thread):
    """The most memory (bytes) that the processes of a session had at once."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self._session, self._end, self.peak = session, threading.Event(), 0

    def run(self) -> None:
        while not self._end.wait(0.2):
            self.peak = max(self.peak, sum(self._resident()))

    def stop(self) -> int:
        self._end.set()
        self.join()
        return self.peak

    def _resident(self) -> list[int]:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            if int(fields[3]) == self._session:
                found.append(int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
        return found


def run_job(folder: Path, plan: CompactionPlan) -> tuple[CompactionResult, float, int]:
    """What came of it, seconds from start to end of the process, peak memory in bytes."""
    python = ROOT / ".venv-spark/bin/python"
    command = [
        python,
        ROOT / "glue/compact_silver.py",
        "--runtime",
        "local",
        "--lake",
        folder,
        "--plan",
        plan.run.plan_key,
    ]
    began = time.perf_counter()
    job = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, start_new_session=True
    )
    watch = Watch(job.pid)
    watch.start()
    code = job.wait()
    seconds = time.perf_counter() - began
    if code:
        raise SystemExit(f"the job failed with {code}")
    result = CompactionResult.from_json((folder / plan.run.manifest_key).read_bytes())
    check_result(plan, result)
    return result, seconds, watch.stop()


def query_times(files: list[str]) -> dict[str, float]:
    """Seconds of each query, the best of three, each time by a new connection."""
    found = {}
    for name, query in QUERIES.items():
        times = []
        for _ in range(3):
            with duckdb.connect() as connection:
                began = time.perf_counter()
                connection.sql(query.format(rows=f"read_parquet({files})")).to_arrow_table()
                times.append(time.perf_counter() - began)
        found[name] = min(times)
    return found


def growth(sizes: list[int], values: list[float]) -> float:
    """The exponent of the power of the size that fits best."""
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in values]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((one - x) ** 2 for one in xs)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread if spread else math.nan


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    runs, queries = [], {}
    for size in sorted(arguments.sizes):
        share = size / max(arguments.sizes)
        here = folder / f"{size}x"
        inputs = make_day(here, int(arguments.rows * share), max(2, int(arguments.files * share)), arguments.repeat)
        plan = CompactionPlan.of(CompactionRun(COMPACTED_ROOT, "shipments", DT, f"bench-{size}"), SHIPMENTS, inputs)
        (here / plan.run.plan_key).parent.mkdir(parents=True, exist_ok=True)
        (here / plan.run.plan_key).write_text(plan.to_json())
        result, seconds, peak = run_job(here, plan)
        before, after = ([str(here / file.key) for file in files] for files in (inputs, result.outputs))
        rows = "read_parquet({})"
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            expected = connection.execute(SUMS.format(rows=LATEST.format(rows=rows.format(before)))).fetchone()
            found = connection.execute(SUMS.format(rows=f"from {rows.format(after)}")).fetchone()
        if expected != found:
            raise SystemExit(f"{size}x: DuckDB finds {expected}, the job wrote {found}")
        runs.append(
            {
                "size": size,
                "rows": plan.rows,
                "files": len(inputs),
                "mb": plan.total_bytes / 1e6,
                "seconds": seconds,
                "peak_mb": peak / 1e6,
                "rows_out": result.rows,
                "files_out": len(result.outputs),
                "mb_out": result.total_bytes / 1e6,
                "same_as_duckdb": True,
            }
        )
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
        if size == max(arguments.sizes):
            queries = {"before": query_times(before), "after": query_times(after)}
    sizes = [run["size"] for run in runs]
    return {
        "runs": runs,
        "growth": {name: growth(sizes, [run[name] for run in runs]) for name in ("seconds", "peak_mb")},
        "queries": queries,
    }


def show(found: dict[str, Any]) -> None:
    print("size       rows  files    MB  seconds  peak MB   rows out  files out  MB out")
    for run in found["runs"]:
        print(
            f"{run['size']:3}x {run['rows']:10,} {run['files']:6} {run['mb']:5.1f} {run['seconds']:8.1f} "
            f"{run['peak_mb']:8.0f} {run['rows_out']:10,} {run['files_out']:10} {run['mb_out']:7.1f}"
        )
    print("the same rows as DuckDB's, by count, keys and a sum of hashes of all columns: yes, at each size")
    print(f"growth: seconds ~ rows^{found['growth']['seconds']:.2f}, memory ~ rows^{found['growth']['peak_mb']:.2f}")
    print("\nquery (DuckDB, best of 3)  small files  compacted")
    for name, seconds in found["queries"]["before"].items():
        print(f"{name:26} {seconds * 1000:8.0f} ms {found['queries']['after'][name] * 1000:7.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_500_000)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--repeat", type=float, default=0.2)
    parser.add_argument("--folder", type=Path, help="where files are made; a temporary folder without it")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(arguments, arguments.folder or Path(temporary))
    print(json.dumps(found, indent=1)) if arguments.json else show(found)


if __name__ == "__main__":
    main()
