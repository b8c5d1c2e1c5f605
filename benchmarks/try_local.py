"""`smelt try` over a file of 1 GB: its speed and memory beside the transform benchmark's, and with several processes.

    python -m benchmarks.try_local [--json] [--gb N] [--jobs N ...] [--repeat N]

The transform benchmark delivers all units of the same file at once, in one process, and only writes the files; that is
the ratio's 1.00. `smelt try` is the whole command: planning, transform, the account, examples of what was refused.
Seconds are those of the whole process, imports included. All take turns, and the fastest run of each counts. Peak
memory is that of the largest process, and of all of them together at once where the system tells (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.data import jsonl

CACHE = Path(tempfile.gettempdir()) / "smelt-benchmark"
ROWS_PER_GB = 5_290_000  # of shipments with 1 % bad rows
ROOT = Path(__file__).parent.parent
_SECONDS_BETWEEN = 0.1


def transform(source: Path, out: Path) -> list[str]:
    code = "import sys; from pathlib import Path; from benchmarks.pipeline import deliver; "
    return ["-c", f"{code}deliver(Path(sys.argv[1]), 'shipments', Path(sys.argv[2]))", str(source), str(out)]


def trial(source: Path, out: Path, jobs: int) -> list[str]:
    options = ["--contract", str(ROOT / "contracts/shipments.yaml"), "--out", str(out), "--jobs", str(jobs), "--json"]
    return ["-m", "workbench.cli", "try", str(source), *options]


def measured(arguments: list[str], size: int) -> dict[str, float]:
    """Run a program of ours in a process of its own, and those that it starts."""
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        together = [0.0]
        watcher = threading.Thread(target=_watch, args=(process, together))
        watcher.start()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watcher.join()
    seconds = time.perf_counter() - started
    if process.returncode not in (0, 1):  # 1: some rows were refused
        raise RuntimeError(f"{arguments} ended with {process.returncode}")
    return {
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "mb_per_s": size / 1e6 / seconds,
        "largest_mib": used.ru_maxrss / 1024,
        "together_mib": together[0],
    }


def _watch(process: subprocess.Popen[bytes], together: list[float]) -> None:
    while process.returncode is None and Path(f"/proc/{process.pid}").exists():
        together[0] = max(together[0], sum(_resident(pid) for pid in [process.pid, *_children(process.pid)]))
        time.sleep(_SECONDS_BETWEEN)


def _children(pid: int) -> list[int]:
    try:
        found = [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    except OSError:
        return []
    return [*found, *(grandchild for child in found for grandchild in _children(child))]


def _resident(pid: int) -> float:
    """MiB."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        return 0.0


def measure_all(gb: float, jobs: list[int], repeat: int) -> dict[str, dict[str, float]]:
    """The fastest run of each."""
    source = jsonl("bad", int(ROWS_PER_GB * gb), CACHE)
    best: dict[str, dict[str, float]] = {}
    for _ in range(repeat):
        for name in ("transform", *(f"try --jobs {number}" for number in jobs)):
            with tempfile.TemporaryDirectory(prefix="smelt-benchmark-") as folder:
                out = Path(folder) / "out"
                arguments = transform(source, out) if name == "transform" else trial(source, out, int(name.split()[-1]))
                run = measured(arguments, source.stat().st_size)
            if name not in best or run["seconds"] < best[name]["seconds"]:
                best[name] = run
    for run in best.values():
        run["ratio"] = run["mb_per_s"] / best["transform"]["mb_per_s"]
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="`smelt try` over a large file, beside the transform benchmark.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--gb", type=float, default=1.0, help="size of the file")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], help="numbers of processes")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each; the fastest counts")
    options = parser.parse_args()
    found: dict[str, Any] = measure_all(options.gb, options.jobs, options.repeat)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    columns = ("seconds", "CPU s", "MB/s", "ratio", "largest MiB", "together MiB")
    table = Table("", title=f"{options.gb:g} GB of shipments, 1 % bad rows", title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for name, run in found.items():
        numbers = f"{run['seconds']:.1f}", f"{run['cpu_seconds']:.1f}", f"{run['mb_per_s']:.0f}", f"{run['ratio']:.2f}"
        table.add_row(name, *numbers, f"{run['largest_mib']:.0f}", f"{run['together_mib']:.0f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
