#!/usr/bin/env python3
"""Peak memory of the transform function: its whole process, clients included, over one delivery.

usage: python benchmarks/memory.py [--json]

Each case runs in a process of its own: full lots of units of 64 MiB, and objects that are one unit of any size (gzip,
an array), which must stream. The target is 512 MiB.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.data import jsonl
from benchmarks.pipeline import deliver

CACHE = Path(tempfile.gettempdir()) / "smelt-benchmark"
COPIES = 6  # of 132 MB, so that the streamed cases are far larger than memory may be


def plain(dataset: str, rows: int) -> Path:
    return jsonl(dataset, rows, CACHE)


def gzipped(dataset: str, rows: int) -> Path:
    source, packed = plain(dataset, rows), CACHE / f"{dataset}-{rows}-copies.jsonl.gz"
    if not packed.exists():
        with gzip.open(packed, "wb", compresslevel=1) as out:
            for _ in range(COPIES):
                with source.open("rb") as lines:
                    shutil.copyfileobj(lines, out)
    return packed


def array(dataset: str, rows: int) -> Path:
    source, made = plain(dataset, rows), CACHE / f"{dataset}-{rows}-copies.json"
    if not made.exists():
        with made.open("wb") as out:
            separator = b"["
            for line in _lines(source):
                out.write(separator + line)
                separator = b", "
            out.write(b"]")
    return made


def _lines(source: Path) -> Iterator[bytes]:
    for _ in range(COPIES):
        with source.open("rb") as lines:
            yield from (line.rstrip(b"\n") for line in lines)


CASES = {
    "shipments, units of 64 MiB": ("shipments", plain, 700_000),
    "1 % bad rows, units of 64 MiB": ("bad", plain, 700_000),
    "wide, units of 64 MiB": ("wide", plain, 118_000),
    "shipments, one gzip": ("shipments", gzipped, 700_000),
    "shipments, one array": ("shipments", array, 700_000),
}


def run_here(case: str) -> dict[str, float]:
    """Run a case in this process and measure it."""
    dataset, make, rows = CASES[case]
    source = make(dataset, rows)
    os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "true")
    from services.shared.aws import aws_client
    from services.transform import app

    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    app.clients_alive = [aws_client(service) for service in ("s3", "dynamodb")]  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        done = deliver(source, "wide" if dataset == "wide" else "shipments", Path(out))
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"object_mb": source.stat().st_size / 1e6, "rows": done, "seconds": seconds, "peak_mib": peak}


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--case":
        print(json.dumps(run_here(sys.argv[2])))
        return
    results = {}
    for case, (dataset, make, rows) in CASES.items():
        make(dataset, rows)  # made here, so that making it does not count
        done = subprocess.run([sys.executable, __file__, "--case", case], check=True, capture_output=True, text=True)
        results[case] = json.loads(done.stdout.splitlines()[-1])
    if "--json" in sys.argv:
        print(json.dumps(results, indent=2))
        return
    table = Table("case", title="Peak memory of one delivery", title_justify="left")
    for column in ("object MB", "rows", "seconds", "peak MiB"):
        table.add_column(column, justify="right")
    for case, found in results.items():
        numbers = (f"{found[name]:,.0f}" for name in ("object_mb", "rows", "seconds", "peak_mib"))
        table.add_row(case, *numbers)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
