"""How fast JSON lines become Parquet by day: smelt beside what one would use otherwise, on one core.

    python -m benchmarks.transform [--json] [--rows N] [--repeat N]

Each engine turns the same file into zstd Parquet partitioned by day (the baseline into snappy), in a process of its
own that is pinned to one core. All take turns, several times, and the fastest run of each counts: what disturbs a run
only ever makes it slower, and CPU seconds show how much other work took away. Seconds do not include the interpreter,
imports and a first run over 200 rows ("start"), in which every engine loads what it loads lazily.

smelt runs the real delivery: messages, look-up, reading in blocks, validation, lineage columns, quarantine, claim,
files, commit. Only the ledger is in memory and the buckets are folders. The others just convert.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = {"shipments": 420_000, "wide": 55_000}
VARIANTS = {
    "shipments": ("shipments", "bad", "drift", "shuffled", "renamed", "inside"),
    "wide": ("wide", "wide-shuffled"),
}  # of which only smelt's figures are asked
CACHE = Path(tempfile.gettempdir()) / "smelt-benchmark"
WARM_UP_ROWS = 200
SQS_BATCH = 10_000  # messages in the largest batch that an event source mapping delivers (AWS's limit)

Engine = Callable[[Path, str, Path], int]  # source, dataset, folder for the files -> rows written


def smelt(source: Path, dataset: str, out: Path) -> int:
    from benchmarks.pipeline import deliver

    return deliver(source, dataset, out)


def baseline(source: Path, dataset: str, out: Path) -> int:  # noqa: ARG001
    """One message per record, as functions are usually written, in the largest deliveries that SQS makes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = batch = 0
    with source.open("rb") as messages:
        while bodies := list(itertools.islice(messages, SQS_BATCH)):
            days: dict[str, list[dict[str, Any]]] = {}
            for body in bodies:
                record = json.loads(body)
                days.setdefault(record["event_time"][:10], []).append(record)
            for day, records in days.items():
                file = _file(out, day, f"batch-{batch}.parquet")
                pq.write_table(pa.Table.from_pylist(records), file, compression="snappy")
            rows, batch = rows + len(bodies), batch + 1
    return rows


def pandas(source: Path, dataset: str, out: Path) -> int:  # noqa: ARG001
    import pandas as pd

    frame = pd.read_json(source, lines=True)
    frame["event_time"] = pd.to_datetime(frame["event_time"])
    for day, rows in frame.groupby(frame["event_time"].dt.strftime("%Y-%m-%d")):
        rows.to_parquet(_file(out, str(day)), compression="zstd", index=False)
    return len(frame)


def pyarrow(source: Path, dataset: str, out: Path) -> int:  # noqa: ARG001
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.json as pj
    import pyarrow.parquet as pq

    table = pj.read_json(source, read_options=pj.ReadOptions(use_threads=False))
    times = table["event_time"].cast(pa.timestamp("us", tz="UTC"))
    table = table.set_column(table.schema.get_field_index("event_time"), "event_time", times)
    days = pc.strftime(times, "%Y-%m-%d")
    for day in pc.unique(days).to_pylist():
        pq.write_table(table.filter(pc.equal(days, day)), _file(out, day), compression="zstd")
    return int(table.num_rows)


def polars(source: Path, dataset: str, out: Path) -> int:  # noqa: ARG001
    import polars as pl

    frame = pl.read_ndjson(source).with_columns(pl.col("event_time").str.to_datetime(time_zone="UTC"))
    parts = frame.with_columns(pl.col("event_time").dt.date().alias("dt")).partition_by("dt", as_dict=True)
    for (day,), rows in parts.items():
        rows.drop("dt").write_parquet(_file(out, str(day)), compression="zstd")
    return frame.height


def duckdb(source: Path, dataset: str, out: Path) -> int:  # noqa: ARG001
    import duckdb as db

    with db.connect(config={"threads": 1}) as connection:
        copied = connection.execute(
            f"""COPY (SELECT *, strftime(event_time, '%Y-%m-%d') AS dt
                      FROM read_json('{source}', format = 'newline_delimited'))
                TO '{out}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (dt), OVERWRITE_OR_IGNORE)"""  # noqa: S608
        ).fetchone()
    return int(copied[0]) if copied else 0


ENGINES: dict[str, Engine] = {
    "smelt": smelt,
    "duckdb": duckdb,
    "polars": polars,
    "pyarrow": pyarrow,
    "pandas": pandas,
    "baseline": baseline,
}


def _file(out: Path, day: str, name: str = "part.parquet") -> str:
    folder = out / f"dt={day}"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder / name)


# One engine, in its own process


def run_here(engine: str, source: Path, warm_up: Path, dataset: str) -> dict[str, float]:
    """Run an engine in this process, pinned to one core, and measure it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="smelt-benchmark-") as folder:
        begun = time.perf_counter()
        ENGINES[engine](warm_up, dataset, Path(folder) / "warm-up")
        started, cpu = time.perf_counter(), time.process_time()
        rows = ENGINES[engine](source, dataset, Path(folder) / "out")
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        written = sum(file.stat().st_size for file in Path(folder, "out").rglob("*.parquet"))
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "start_seconds": started - begun,
        "rows_per_s": rows / seconds,
        "mb_per_s": source.stat().st_size / 1e6 / seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "written_mb": written / 1e6,
        "rows": rows,
    }


# All of them


def measure(runs: list[tuple[str, str]], scale: float, repeat: int) -> dict[tuple[str, str], dict[str, float]]:
    """The fastest run of each (engine, variant of the data); each run is a new process.

    All take turns, in another order each round: a process that follows one of much memory gets its pages more slowly.
    """
    from benchmarks.data import jsonl

    best: dict[tuple[str, str], dict[str, float]] = {}
    rounds = [random.Random(number).sample(runs, len(runs)) for number in range(repeat)]
    for engine, variant in itertools.chain(*rounds):
        dataset = next(name for name, variants in VARIANTS.items() if variant in variants)
        source = jsonl(variant, int(ROWS[dataset] * scale), CACHE)
        warm_up = jsonl(variant, WARM_UP_ROWS, CACHE)
        command = [sys.executable, "-m", "benchmarks.transform", "--run", engine, dataset, str(source), str(warm_up)]
        run = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        fastest = best.setdefault((engine, variant), run)
        if run["seconds"] < fastest["seconds"]:
            best[engine, variant] = run
    return best


def measure_all(datasets: list[str], engines: list[str], scale: float, repeat: int) -> dict[str, Any]:
    """Every engine on every dataset, and smelt on their variants."""
    runs = [(engine, dataset) for dataset in datasets for engine in engines]
    variants = [variant for dataset in datasets for variant in VARIANTS[dataset]] if "smelt" in engines else []
    runs += [("smelt", variant) for variant in variants if variant not in datasets]
    best = measure(runs, scale, repeat)
    found: dict[str, Any] = {dataset: {engine: best[engine, dataset] for engine in engines} for dataset in datasets}
    if variants:
        found["variants"] = {variant: best["smelt", variant] for variant in variants}
    return found


def show(found: dict[str, Any]) -> None:
    """Print the figures as tables; `x` is how many times the seconds of the first line."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for name, runs in found.items():
        table = Table(title="smelt on variants of the rows" if name == "variants" else name)
        first = next(iter(runs.values()))["seconds"]
        for column in ("", "seconds", "CPU s", "start s", "rows/s", "MB/s", "peak MB", "Parquet MB", "x"):
            table.add_column(column, justify="right" if column else "left")
        for engine, run in runs.items():
            table.add_row(
                engine,
                f"{run['seconds']:.2f}",
                f"{run['cpu_seconds']:.2f}",
                f"{run['start_seconds']:.2f}",
                f"{run['rows_per_s']:,.0f}",
                f"{run['mb_per_s']:.0f}",
                f"{run['peak_mb']:.0f}",
                f"{run['written_mb']:.1f}",
                f"{run['seconds'] / first:.2f}",
            )
        console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Transform's speed beside other engines, each on one core.")
    parser.add_argument("--json", action="store_true", help="print JSON: shipments by engine, wide, variants")
    parser.add_argument("--datasets", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows (1 = 77 MB of shipments)")
    parser.add_argument("--repeat", type=int, default=5, help="processes per engine and file; the fastest counts")
    parser.add_argument("--run", nargs=4, metavar=("ENGINE", "DATASET", "FILE", "WARM_UP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        engine, dataset, source, warm_up = options.run
        print(json.dumps(run_here(engine, Path(source), Path(warm_up), dataset)))
        return
    found = measure_all(options.datasets, options.engines, options.scale, options.repeat)
    if options.json:
        print(json.dumps({**found.pop("shipments", {}), **found}, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
