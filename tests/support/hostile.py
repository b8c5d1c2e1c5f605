"""Objects that are made to cost memory, time or rows, and what reading them costs in a process of its own.

python -m tests.support.hostile <case>     prints what became of the case's rows, as JSON
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
import random
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from services.shared.contract.loader import load_contracts
from services.shared.lake import ByteStream
from services.shared.units import BronzeObject, Plan
from services.transform.blocks import BrokenFrame, BrokenFrames, OverlongRow, RowBlock
from services.transform.files.buffer import RowBuffer
from services.transform.reading.envelope import Envelope
from services.transform.reading.reader import UnitReader
from services.transform.rows.parser import Parsed, RowParser, broken_frame, broken_frames, overlong_row
from tests.support.lake import CREATED, MemoryLake
from tests.support.memory import begin_peak, peak_bytes

MIB = 1024 * 1024
SIZE = 12 * MIB  # of a case's content: more than one block
DENSE = 2 * MIB  # of a case of many short rows, each of which the judge looks at
BOMB = 128 * MIB  # of what a bomb holds
MAX_ROW_BYTES = 8 * MIB
BUFFER_BYTES = 64 * MIB
CONTRACTS = Path(__file__).parents[2] / "contracts"


def fill(part: bytes, size: int = SIZE) -> bytes:
    return part * (size // len(part))


def shipment(number: int, record_type: str = "shipments") -> bytes:
    day = f"{2020 + number // 336 % 6}-{number // 28 % 12 + 1:02d}-{number % 28 + 1:02d}"
    return (
        f'{{"record_type":"{record_type}","event_time":"{day}T00:00:00Z","shipment_id":"S{number}","origin":"HAM",'
        f'"destination":"OSL","carrier":"DHL","weight_kg":{number}.5}}'
    ).encode()


def good(count: int = 40_000) -> list[bytes]:
    return [shipment(number) for number in range(count)]


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


def bomb(compress: Callable[[bytes], bytes], part: bytes) -> bytes:
    """Many members, each of 8 MiB: made without holding what they hold."""
    member = compress(fill(part, 8 * MIB))
    return member * (BOMB // (8 * MIB))


def utf16() -> bytes:
    return b"{}\n" + b"\n".join(good(30_000)).decode().encode("utf-16-le")


Made = Callable[[], bytes]

LINES: dict[str, Made] = {
    "good rows": lambda: b"\n".join(good()),
    "carriage returns and newlines": lambda: b"\r\n".join(good()),
    "carriage returns alone": lambda: b"\r".join(good(60_000)),
    "a byte order mark before each row": lambda: b"\n".join(b"\xef\xbb\xbf" + row for row in good()),
    "UTF-16": utf16,
    "a row for each day of six years": lambda: b"\n".join(good(8_000)),
    "a dataset for each row": lambda: b"\n".join(shipment(n, f"d{n}") for n in range(40_000)),
    "numbers": lambda: fill(b"0\n", DENSE),
    "empty objects": lambda: fill(b"{}\n", DENSE),
    "newlines": lambda: fill(b"\n"),
    "blanks in one line": lambda: fill(b" ") + b"{}",
    "blank lines": lambda: fill(b" \t\r\n"),
    "NUL bytes": lambda: fill(b"\0"),
    "NUL bytes in rows": lambda: fill(b'{"a":"\0"}\n', DENSE),
    "quotes": lambda: fill(b'"'),
    "quotes in rows": lambda: fill(b'""""""""\n', DENSE),
    "backslashes": lambda: fill(b'"' + b"\\" * 99 + b"\n"),
    "brackets in rows": lambda: fill(b"{[" * 50 + b"\n"),
    "objects in objects": lambda: fill(b'{"a":'),
    "a huge key": lambda: b'{"' + fill(b"k", 7 * MIB) + b'":1}\n' + shipment(1),
    "many keys": lambda: b"{" + b",".join(b'"%x":0' % n for n in range(500_000)) + b"}\n" + shipment(1),
    "one string of a row that is too long": lambda: b'{"a":"' + fill(b"x") + b'"}\n' + shipment(1),
    "random bytes": lambda: random.Random(1).randbytes(SIZE),
    "newlines behind damage": lambda: b"{x" + fill(b"\n"),
    "a document of numbers": lambda: b'{\n"a": [' + fill(b"0,", 7 * MIB) + b"0]\n}",
}

ARRAYS: dict[str, Made] = {
    "good elements": lambda: b"[" + b",".join(good()) + b"]",
    "numbers": lambda: b"[" + fill(b"0,", DENSE) + b"0]",
    "empty objects": lambda: b"[" + fill(b"{},", DENSE) + b"{}]",
    "commas": lambda: fill(b"[,"),
    "commas alone": lambda: b"[" + fill(b","),
    "opening brackets": lambda: fill(b"["),
    "closing brackets": lambda: b"[" + fill(b"]"),
    "deep elements": lambda: b"[" + b",".join([b"[" * 3000 + b"]" * 3000] * 2000) + b"]",
    "deep elements that do not end": lambda: b"[" + fill(b'{"a":[1,'),
    "blanks": lambda: b"[" + fill(b" \n"),
    "quotes": lambda: b"[" + fill(b'"'),
    "backslashes": lambda: b'["' + fill(b"\\"),
    "NUL bytes": lambda: b"[" + fill(b"\0"),
    "a string that does not end": lambda: b'[{"a":"' + fill(b"x"),
    "numbers that are no JSON": lambda: b"[" + fill(b'{"a":NaN,"b":1},', DENSE) + b"1]",
    "every fifth element is no JSON": lambda: (
        b"[" + b",".join(shipment(n) if n % 5 else b'{"a":NaN}' for n in range(40_000)) + b"]"
    ),
    "every fiftieth element lacks a bracket": lambda: (
        b"[" + b",".join(shipment(n) if n % 50 else shipment(n)[:-1] for n in range(40_000)) + b"]"
    ),
    "damage everywhere": lambda: b"[" + fill(b"{},{[,", 2 * MIB),
    "missing commas": lambda: b"[" + fill(b"{} ", MIB // 8) + b"]",
    "missing opening bracket": lambda: b",".join(good()) + b"]",
    "one element that is too long": lambda: b'[{"a":"' + fill(b"x") + b'"},' + shipment(1) + b"]",
    "brackets that are opened and never closed": lambda: (
        b"[" + b",".join(b"[" * (n % 500 == 0) + shipment(n) for n in range(80_000))
    ),
    "surplus closing brackets": lambda: b"[" + b"],".join(good()) + b"]",
    "an array that is too long": lambda: b"[[" + b",".join(good(80_000)) + b"]]",
}

PACKED: dict[str, tuple[str, Made]] = {
    f"{kind} in {suffix}": ("b.json" + suffix, lambda compress=compress, part=part: bomb(compress, part))  # type: ignore[misc]
    for (suffix, compress), (kind, part) in itertools.product(
        ((".gz", gzip.compress), (".bz2", bz2.compress), (".zst", zstd)), (("blanks", b" "), ("one endless row", b"x"))
    )
} | {
    "empty gzip members": ("b.json.gz", lambda: gzip.compress(b"") * 100_000 + gzip.compress(shipment(1))),
    "empty bzip2 streams": ("b.json.bz2", lambda: bz2.compress(b"") * 100_000 + bz2.compress(shipment(1))),
    "empty zstd frames": ("b.json.zst", lambda: zstd(b"") * 200_000 + zstd(shipment(1))),
    "skippable zstd frames": ("b.json.zst", lambda: b"\x50\x2a\x4d\x18\0\0\0\0" * 200_000 + zstd(shipment(1))),
}

DOCUMENTS: dict[str, Made] = {
    "good rows": lambda: b"".join(good()),
    "pretty-printed": lambda: b"\n".join(json.dumps(json.loads(row), indent=2).encode() for row in good(10_000)),
    "record separators": lambda: b"".join(b"\x1e" + row + b"\n" for row in good()),
    "every fifth is no JSON": lambda: b"".join(shipment(n) if n % 5 else b'{"a":NaN}' for n in range(40_000)),
    "every fiftieth lacks a bracket": lambda: b"".join(
        shipment(n) if n % 50 else shipment(n)[:-1] for n in range(40_000)
    ),
    "one that is too long": lambda: b'{"a":"' + fill(b"x") + b'"}' + shipment(1),
    "one over many lines that is too long": lambda: b'{\n"a":[' + fill(b"0,\n") + b"0]}\n" + shipment(1),
    "damage that is too long": lambda: shipment(1) + shipment(2) + fill(b"x") + shipment(3),
    "empty objects": lambda: fill(b"{}", DENSE),
    "numbers": lambda: b"{}{}" + fill(b"0 ", MIB // 4),
    "opening brackets": lambda: b"{}{}" + fill(b"{"),
    "closing brackets": lambda: b"{}{}" + fill(b"}"),
    "objects that are not closed": lambda: b"{}{}" + fill(b'{"a":1'),
    "objects in objects": lambda: b"{}{}" + fill(b'{"a":'),
    "deep ones": lambda: b"{}{}" + (b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}") * 2000,
    "less deep ones": lambda: b"{}{}" + fill(b'{"a":' + b"[" * 120 + b"]" * 120 + b"}", DENSE),
    "candidates everywhere": lambda: b"{}{}" + fill(b'}{"a":{},', DENSE),
    "lines that start objects": lambda: b"{}{}" + fill(b'\n{"a":[{"b":1},', DENSE),
    "commas": lambda: b"{}{}" + fill(b","),
    "quotes": lambda: b"{}{}" + fill(b'"', DENSE // 4),
    "backslashes": lambda: b'{}{}"' + fill(b"\\"),
    "NUL bytes": lambda: b"{}{}" + fill(b"\0"),
    "blanks": lambda: b"{}{}" + fill(b" \n\x1e"),
    "damage and then record separators": lambda: b"{}{}x" + fill(b"\x1e"),
    "random bytes": lambda: b"{}{}" + random.Random(2).randbytes(SIZE),
    "forms in turn": lambda: (
        b"{}{}" + b'{"a":1}{"b":2}\n[1,2]\n{\n"c": 3\n}\n{"d":4}\n\x1e{"e":5}\n,{"f":6}' * (DENSE // 64)
    ),
    "many in one line behind a line": lambda: b"{}\n" + b"".join(good()),
    "two in each line": lambda: b"".join(row + row + b"\n" for row in good(20_000)),
    "strings that look like two": lambda: b"".join(row[:-1] + b',"x":"}{"}\n' for row in good(20_000)),
}

ENVELOPES: dict[str, Made] = {
    "good rows": lambda: b'{"v":1,"data":{"x":[],"items":[' + b",".join(good()) + b']},"next":null}',
    "one a line": lambda: b"".join(b'{"data":{"items":[' + row + b"]}}\n" for row in good(5_000)),
    "one after the other": lambda: b"".join(b'{"data":{"items":[' + row + b"]}}" for row in good(5_000)),
    "nested 10,000 deep": lambda: b'{"data":' * 10_000 + b"1" + b"}" * 10_000,
    "long values around the rows": lambda: (
        b'{"a":"' + fill(b"x") + b'","data":{"items":[' + shipment(1) + b'],"b":[' + fill(b"[],") + b"0]}}"
    ),
    "a path that is nowhere": lambda: b'{"a":[' + b",".join(good()) + b"]}",
    "a path that is nowhere in any line": lambda: b"".join(row + b"\n" for row in good(10_000)),
    "a path that is everywhere": lambda: b'{"data":{"items":[' + fill(b'{"data":{"items":[{}]}},', DENSE) + b"{}]}}",
    "arrays at the path again and again": lambda: b'{"data":{' + fill(b'"items":[{}],', MIB // 4) + b'"items":[]}}',
    "many keys": lambda: b'{"data":{' + fill(b'"k":0,', DENSE // 2) + b'"items":[' + shipment(1) + b"]}}",
    "a huge key": lambda: b'{"' + fill(b"k") + b'":0}{"data":{"items":[' + shipment(1) + b"]}}",
    "an array that is not closed": lambda: b'{"data":{"items":[' + b",".join(good()),
    "every fiftieth row lacks a bracket": lambda: (
        b'{"data":{"items":[' + b",".join(shipment(n) if n % 50 else shipment(n)[:-1] for n in range(40_000)) + b"]}}"
    ),
    "frames that do not end": lambda: fill(b'{"data":{', DENSE),
    "keys that do not end": lambda: fill(b'{"data', DENSE),
    "colons": lambda: b'{"data"' + fill(b":"),
    "blanks": lambda: b'{"data"' + fill(b" "),
    "random bytes": lambda: b'{"data":{"items":[{}]}}' + random.Random(3).randbytes(DENSE),
    "a long value for each of many rows": lambda: (
        b'{"v":"' + b"x" * 4000 + b'","data":{"items":[' + b",".join(good(20_000)) + b"]}}"
    ),
    "a long value for each row of an element": lambda: (
        b'[{"v":"' + b"x" * 4000 + b'","data":{"items":[' + b",".join(good(20_000)) + b"]}}]"
    ),
    "a value that is too long for rows": lambda: (
        b'{"v":"' + b"x" * 60_000 + b'","data":{"items":[' + b",".join(good(20_000)) + b"]}}"
    ),
    "keys that are not UTF-8": lambda: b'{"\xff":1,"data":{"\xfe":2,"items":[' + b",".join(good(5_000)) + b"]}}",
    "blank lines behind damage": lambda: b'{"data":1 x' + fill(b"\n"),
    "an array of them": lambda: b"[" + b",".join(b'{"data":{"items":[' + row + b"]}}" for row in good(5_000)) + b"]",
}
PATH = ("data", "items")
KEPT = (("v", ("v",)),)

CASES: dict[str, tuple[str, Made]] = (
    {f"lines: {name}": ("b.jsonl", made) for name, made in LINES.items()}
    | {f"array: {name}": ("b.json", made) for name, made in ARRAYS.items()}
    | {f"documents: {name}": ("b.json", made) for name, made in DOCUMENTS.items()}
    | {f"envelopes: {name}": ("b.json", made) for name, made in ENVELOPES.items()}
    | {f"packed: {name}": case for name, case in PACKED.items()}
)


@dataclass
class Cost:
    """What became of a case, and what it cost."""

    rows_read: int = 0
    silver: int = 0
    quarantined: int = 0
    broken_frames: int = 0
    positions: int = 0  # distinct offsets
    checks: int = 0
    object_bytes: int = 0
    bytes_read: int = 0  # from the lake
    largest_block: int = 0
    most_rows: int = 0  # of a block
    peak_mib: float = 0  # of the whole process, making the case excluded


class CountingLake(MemoryLake):
    """A lake that counts the bytes that are read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes_read = 0

    def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
        stream = super().open(source, start, end)
        read = stream.read

        def counted(size: int) -> bytes:
            data = read(size)
            self.bytes_read += len(data)
            return data

        stream.read = counted  # type: ignore[method-assign]
        return stream


def run(name: str) -> Cost:
    """Read a case, parse it and keep the rows as the transform does, up to the writing of files."""
    key, made = CASES[name]
    begin_peak()
    cost, lake, buffer = Cost(), CountingLake(), RowBuffer()
    source = lake.upload(f"bronze/shipments/{key}", made())
    cost.object_bytes = source.size
    (unit,) = Plan.of(source, 1 << 40)
    parser = RowParser(load_contracts(CONTRACTS))
    offsets: list[np.typing.NDArray[np.int64]] = []

    def check() -> None:
        cost.checks += 1

    envelope = Envelope(PATH, KEPT) if name.startswith("envelopes:") else None
    for found, _ in UnitReader(lake, MAX_ROW_BYTES).read(unit, None, check, envelope):
        parsed: Parsed
        match found:
            case OverlongRow(offset, head):
                parsed, size = overlong_row(offset, head, "shipments"), len(head)
                offsets.append(np.array([offset]))
            case BrokenFrame(offset, detail, raw):
                parsed, size = broken_frame(offset, detail, raw, "shipments"), len(raw)
                cost.broken_frames += 1
                offsets.append(np.array([offset]))
            case BrokenFrames(frames):
                parsed, size = broken_frames(frames, "shipments"), sum(len(frame.raw) for frame in frames)
                cost.broken_frames += len(frames)
                offsets.append(np.array([frame.offset for frame in frames]))
            case RowBlock():
                cost.largest_block = max(cost.largest_block, len(found.data))
                cost.most_rows = max(cost.most_rows, len(found.starts))
                offsets.append(found.starts + found.base)
                parsed, size = parser.parse(found, "shipments", CREATED), len(found.data)
        cost.rows_read += parsed.rows_read
        cost.silver += sum(table.num_rows for table in parsed.silver.values())
        cost.quarantined += parsed.quarantine.num_rows
        buffer.add(0, parsed, size)
        if buffer.bytes > BUFFER_BYTES:
            buffer.take([unit])
    cost.bytes_read = lake.bytes_read
    cost.peak_mib = peak_bytes() / MIB
    cost.positions = _distinct(np.concatenate(offsets)) if offsets else 0
    return cost


def _distinct(offsets: np.typing.NDArray[np.int64]) -> int:
    """How many different ones there are: sorted, since numpy's `unique` is slow on numbers in a row."""
    offsets.sort()
    return int(np.count_nonzero(np.diff(offsets))) + 1


if __name__ == "__main__":
    for case in sys.argv[1:]:
        print(json.dumps({"case": case, **asdict(run(case))}), flush=True)
