#!/usr/bin/env python3
"""Peak memory of the transform function: its whole process, clients included, over one delivery.

usage: python benchmarks/memory.py [--json] [--case NAME]

Each case runs in a process of its own: full lots of units of 64 MiB, objects that are one unit of any size (gzip, an
array), which must stream, and objects that are made to cost memory. The target is 512 MiB for each of them.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.data import jsonl
from benchmarks.pipeline import deliver

CACHE = Path(tempfile.gettempdir()) / "smelt-benchmark"


class Case(NamedTuple):
    """What is delivered: the dataset of its key, how its file is made, and where its contract says that rows are.

    `kept` is what each row gets of its envelope.
    """

    dataset: str
    make: Callable[[], Path]
    path: tuple[str, ...] = ()
    kept: tuple[tuple[str, tuple[str, ...]], ...] = ()


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


TARGET_MIB = 512
MIB = 1024 * 1024


def hostile(
    name: str,
    content: Callable[[], Iterable[bytes]],
    path: tuple[str, ...] = (),
    kept: tuple[tuple[str, tuple[str, ...]], ...] = (),
) -> Case:
    """A case of made content, which is written chunk by chunk."""

    def make() -> Path:
        made = CACHE / f"hostile-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:8]}-{name.split()[-1]}"
        if not made.exists():
            CACHE.mkdir(exist_ok=True)
            with made.open("wb") as out:
                out.writelines(content())
        return made

    return Case("shipments", make, path, kept)


def repeated(part: bytes, size: int, before: bytes = b"", after: bytes = b"") -> Iterator[bytes]:
    """`part` as often as it fits into `size` bytes, in chunks."""
    yield before
    chunk = part * max(MIB // len(part), 1)
    for _ in range(size // len(chunk)):
        yield chunk
    yield after


def row(number: int, more: str = "") -> bytes:
    day = f"2026-{number // 28 % 12 + 1:02d}-{number % 28 + 1:02d}"
    return (
        f'{{"event_time":"{day}T00:00:00Z","shipment_id":"S{number}","origin":"HAM","destination":"OSL",'
        f'"carrier":"DHL","weight_kg":{number}.5{more}}}'
    ).encode()


def rows(count: int, more: Callable[[int], str] = lambda _: "") -> Iterator[bytes]:
    return (row(number, more(number)) + b"\n" for number in range(count))


def random_bytes(size: int) -> Iterator[bytes]:
    generator = random.Random(1)
    return (generator.randbytes(MIB) for _ in range(size // MIB))


def bomb(compress: Callable[[bytes], bytes], part: bytes, size: int) -> Iterator[bytes]:
    member = compress(part * (8 * MIB // len(part)))
    return (member for _ in range(size // (8 * MIB)))


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


def with_a_long_value() -> Iterator[bytes]:
    """Nearly 8 MiB of rows, of which each gets 4 KiB: a hundred times as much."""
    yield b'{"why":"' + b"x" * 4000 + b'","data":{"items":[{}'
    yield from (b"," + row(n) for n in range(50_000))
    yield b"]}}"


ORDINARY = {
    "shipments, units of 64 MiB": Case("shipments", lambda: plain("shipments", 700_000)),
    "1 % bad rows, units of 64 MiB": Case("shipments", lambda: plain("bad", 700_000)),
    "wide, units of 64 MiB": Case("wide", lambda: plain("wide", 118_000)),
    "shipments, one gzip": Case("shipments", lambda: gzipped("shipments", 700_000)),
    "shipments, one array": Case("shipments", lambda: array("shipments", 700_000)),
}
BRACKETS = b"[[]]," * (7 * MIB // 5)
HOSTILE: dict[str, Callable[[], Iterable[bytes]]] = {
    "8 MiB of [0,0,... .json": lambda: repeated(b"0,", 8 * MIB, b"[", b"0]"),
    "8 MiB of lines of one digit .jsonl": lambda: repeated(b"0\n", 8 * MIB),
    "16 MiB of lines of {} .jsonl": lambda: repeated(b"{}\n", 16 * MIB),
    "128 MiB of random bytes .jsonl": lambda: random_bytes(128 * MIB),
    "rows of 8 MiB of brackets .jsonl": lambda: [row(n, ',"x":[' + BRACKETS.decode() + "0]") + b"\n" for n in range(8)],
    "rows of 8 MiB of keys .jsonl": lambda: [
        row(n, "".join(f',"{key:x}":0' for key in range(700_000))) + b"\n" for n in range(4)
    ],
    "rows of 8 MiB of one string .jsonl": lambda: (row(n, ',"x":"' + "x" * (7 * MIB) + '"') + b"\n" for n in range(16)),
    "rows of 2,000 unknown keys .jsonl": lambda: rows(4_000, lambda _: "".join(f',"k{key}":0' for key in range(2_000))),
    "a rescued field in every row .jsonl": lambda: rows(400_000, lambda n: f',"x":"{n:0200d}"'),
    "a dataset for each row .jsonl": lambda: rows(200_000, lambda n: f',"record_type":"d{n}"'),
    "64 MiB of quotes in lines .jsonl": lambda: repeated(b'"' * 63 + b"\n", 64 * MIB),
    "64 MiB of backslashes in lines .jsonl": lambda: repeated(b'{"a":"' + b"\\" * 57 + b"\n", 64 * MIB),
    "64 MiB of NUL bytes .jsonl": lambda: repeated(b"\0", 64 * MIB),
    "64 MiB of brackets .json": lambda: repeated(b"[", 64 * MIB),
    "a string that does not end .json": lambda: repeated(b"x", 64 * MIB, b'[{"a":"'),
    "64 MiB of elements that are not JSON .json": lambda: repeated(
        b'{"a":NaN,"b":"' + b"x" * 100 + b'"},', 64 * MIB, b"[", b"1]"
    ),
    "a bracket lost in every 100th element .json": lambda: [
        b"[",
        *(row(n)[: -1 if n % 100 == 0 else None] + b"," for n in range(200_000)),
        b"{}]",
    ],
    "200 MB of documents one after the other .json": lambda: (row(n) for n in range(1_500_000)),
    "pretty-printed documents .json": lambda: (
        json.dumps(json.loads(row(n)), indent=2).encode() + b"\n" for n in range(400_000)
    ),
    "one document of 1 GB .json": lambda: repeated(b'{"a":"b"},', 1000 * MIB, b'{"x":[', b"0]}" + row(1)),
    "100 MB without a newline .json": lambda: repeated(b"x", 100 * MIB),
    "100 MB of damage between documents .json": lambda: repeated(b"x", 100 * MIB, row(1) + row(2), row(3)),
    "16 MiB of empty documents .json": lambda: repeated(b"{}", 16 * MIB),
    "forms in turn .json": lambda: repeated(
        b'{"a":1}{"b":2}\n[1,2]\n{\n"c": 3\n}\n{"d":4}\n\x1e{"e":5}\n,{"f":6}', 16 * MIB, b"{}{}"
    ),
    "512 MiB of blanks .json.gz": lambda: bomb(gzip.compress, b" ", 512 * MIB),
    "512 MiB of blanks .json.bz2": lambda: bomb(bz2.compress, b" ", 512 * MIB),
    "512 MiB of blanks .json.zst": lambda: bomb(zstd, b" ", 512 * MIB),
    "512 MiB of one row .jsonl.zst": lambda: bomb(zstd, b"x", 512 * MIB),
    "512 MiB of good rows .jsonl.zst": lambda: bomb(zstd, row(1) + b"\n", 512 * MIB),
}
ENVELOPES: dict[str, Callable[[], Iterable[bytes]]] = {
    "an envelope of 200 MB .json": lambda: [
        b'{"v":1,"data":{"items":[{}',
        *(b"," + row(n) for n in range(1_500_000)),
        b"]}}",
    ],
    "an envelope of 1 GB without rows .json": lambda: repeated(b'{"a":"b"},', 1000 * MIB, b'{"data":[', b"0]}"),
    "an envelope nested 10,000 deep .json": lambda: [b'{"data":' * 10_000 + b"1" + b"}" * 10_000],
    "lines without rows at the path .jsonl": lambda: rows(100_000),
    "rows that hold the path .json": lambda: repeated(
        b'{"data":{"items":[{}]}},', 16 * MIB, b'{"data":{"items":[', b"{}]}}"
    ),
    "a long value for each row of one envelope .json": with_a_long_value,
    "a long value for each row of elements .json": lambda: [b"[", *with_a_long_value(), b"]"],
}
CASES = (
    ORDINARY
    | {name: hostile(name, content) for name, content in HOSTILE.items()}
    | {name: hostile(name, content, ("data", "items"), (("why", ("why",)),)) for name, content in ENVELOPES.items()}
)


def run_here(case: str) -> dict[str, float]:
    """Run a case in this process and measure it."""
    source = CASES[case].make()
    os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "true")
    from services.shared.aws import aws_client
    from services.transform import app

    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    app.clients_alive = [aws_client(service) for service in ("s3", "dynamodb")]  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        done = deliver(source, CASES[case].dataset, Path(out), CASES[case].path, CASES[case].kept)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"object_mb": source.stat().st_size / 1e6, "rows": done, "seconds": seconds, "peak_mib": peak}


def measured(case: str) -> dict[str, float]:
    """Run a case in a process of its own; what goes wrong there is the case's result."""
    CASES[case].make()  # made here, so that making it does not count
    done = subprocess.run(
        [sys.executable, __file__, "--here", case], check=False, capture_output=True, text=True, env=os.environ
    )
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or [f"ended with status {done.returncode}"]
        print(f"{case}: {why[0]}", file=sys.stderr)
        return {}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--here":
        print(json.dumps(run_here(sys.argv[2])))
        return
    chosen = [sys.argv[sys.argv.index("--case") + 1]] if "--case" in sys.argv else list(CASES)
    results = {case: measured(case) for case in chosen}
    if "--json" in sys.argv:
        print(json.dumps(results, indent=2))
        return
    table = Table("case", title="Peak memory of one delivery", title_justify="left")
    for column in ("object MB", "rows", "seconds", "peak MiB", f"<= {TARGET_MIB} MiB"):
        table.add_column(column, justify="right")
    for case, found in results.items():
        numbers = (
            [f"{found[name]:,.0f}" for name in ("object_mb", "rows", "seconds", "peak_mib")] if found else ["-"] * 4
        )
        table.add_row(case, *numbers, "yes" if found and found["peak_mib"] <= TARGET_MIB else "NO")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
