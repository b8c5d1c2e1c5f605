"""What becomes of a corpus of rows is pinned: whoever changes it raises `ROWS_VERSION`, and sees here what changed."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from services.shared.columns import ROWS_VERSION
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract
from services.shared.identities import LakeKey, LotId
from services.shared.judge.verdicts import Reason
from services.shared.parquet.encode import encode
from services.shared.units import Plan
from services.transform.blocks import BrokenFrame, BrokenFrames, OverlongRow, Position
from services.transform.files.buffer import RowBuffer
from services.transform.protocol.execution import variant_of
from services.transform.protocol.lots import LotWorker
from services.transform.reading.envelope import Envelope
from services.transform.reading.reader import UnitReader
from services.transform.rows.parser import RowParser, broken_frame, broken_frames, overlong_row
from tests.support.lake import MemoryLake

MAX_ROW = 4096
LOT = LotId.parse("20260201T000000Z-0123456789abcdef")
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: test-pinned
version: 1.0.0
status: active
schema:
  - name: pinned
    logicalType: object
    customProperties:
      - {property: eventTime, value: at}
      - {property: earliest, value: "2020-01-01"}
      - {property: maxAhead, value: P1D}
      - {property: fieldIds, value: {at: 5, id: 6, n: 7, d: 8, x: 9, b: 10, day: 11, tags: 12, o: 13}}
    properties:
      - {name: at, logicalType: timestamp, required: true}
      - {name: id, logicalType: string, required: true, primaryKey: true}
      - {name: n, logicalType: integer}
      - {name: d, logicalType: number, physicalType: "decimal(8,2)"}
      - {name: x, logicalType: number}
      - {name: b, logicalType: boolean}
      - {name: day, logicalType: date}
      - {name: tags, logicalType: array}
      - {name: o, logicalType: object}
"""

WRAPPED = CONTRACT.replace("pinned", "wrapped").replace(
    "      - {property: fieldIds",
    """\
      - {property: rowsPath, value: $.v.rows}
      - {property: envelopeFields, value: {o: $.about}}
      - {property: fieldIds""",
)


def row(**values: str) -> bytes:
    """A row; the values are JSON. A good one unless they say otherwise."""
    known = {"at": '"2026-01-02T03:04:05Z"', "id": '"a"'} | values
    return ("{" + ",".join(f'"{name}": {value}' for name, value in known.items()) + "}").encode()


TIMES = ["2026-01-02", "2026-01-02T03:04:05.678901+05:30", "2026-01-02T23:59:60Z", "2026-01-02 03:04", "nonsense", ""]
TIMES += ["2019-12-31T23:59:59Z", "2026-12-31T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00-00:30"]
NUMBERS = [
    "0",
    "-0",
    "1.0",
    "1.5",
    "1e3",
    "1E-3",
    "123456.789",
    "123456.78",
    "1e400",
    "9223372036854775808",
    '"1"',
    "01",
]
TEXTS = [r'"\u00e4\n"', '"\\ud83d\\ude9a"', '"\\ud800"', '"' + "ä" * 5 + '"', '""', "null", "5", "true", '"\t"']
NESTED = ["[]", "{}", '[1, {"a": [2]}]', '{"a" :1}', "[1,]", "[" * 99 + "]" * 99, "[" * 100 + "]" * 100, '"[]"']
LINES = [
    row(),
    *(row(at=f'"{time}"') for time in TIMES),
    *(row(**{name: number}) for name in ("n", "d", "x") for number in NUMBERS),
    *(row(id=text) for text in TEXTS),
    *(row(**{name: value}) for name in ("tags", "o") for value in NESTED),
    *(row(b=value) for value in ("true", "false", "null", "0", '"true"')),
    *(row(day=value) for value in ('"2026-01-02"', '"2026-13-02"', '"2026-01-02T00:00:00Z"', "null")),
    row(more="1", other='{"a": [1.50]}'),
    row(record_type='"pinned"'),
    row(record_type='"unheard of"'),
    row(record_type="7"),
    row(id='"a", "id": "b"'),
    b'{"id": "a"}',
    b'{"at": null, "id": "a"}',
    b'  {"id":"z","at":"2026-01-02T00:00:00Z"}  ',
    b"",
    b"{",
    b"null",
    b"[1]",
    b'{"id": "\xff"}',
    b"\x00",
    row(id='"' + "x" * MAX_ROW + '"'),
]
GOOD = [row(id=f'"{number}"') for number in range(5)]


def envelope(*rows: bytes, key: bytes = b"rows") -> bytes:
    return b'{"about": {"by": 1}, "v": {"n": [[]], "' + key + b'": [' + b",".join(rows) + b'], "end": 0}}'


OBJECTS = {
    "lines.jsonl": b"\n".join(LINES),
    "crlf.jsonl": b"\xef\xbb\xbf" + b"\r\n".join(GOOD),
    "array.json": b"[" + b",\n".join([*GOOD, b"1", b"[]", *GOOD]) + b"]",
    "damaged.json": b"[" + b",".join([*GOOD, b'{"id": [1}', *GOOD]) + b" " + b"{} ]]" + b",".join(GOOD),
    "cut.json": (b"[" + b",".join(GOOD))[:-3],
    "unopened.json": b",".join(GOOD) + b"]",
    "document.json": GOOD[0].replace(b",", b",\n"),
    "firehose": b"".join([*GOOD, b'{"id": "x", ', *GOOD, row(o="[" * 150 + "]" * 150), *GOOD]),
    "joined.jsonl": b"\n".join([GOOD[0], GOOD[1] + GOOD[2], GOOD[3] + b" " + GOOD[4], b"\xef\xbb\xbf" + GOOD[0]]),
    "pretty.json": b"\n".join(one.replace(b",", b",\n") for one in (*GOOD, LINES[-1], *GOOD)),
    "sequence.json": b"".join(b"\x1e" + one + b"\n" for one in GOOD),
    "wrapped/one.json": envelope(*GOOD, b"1", row(o="{}"), b'{"id": [1}', *GOOD, LINES[-1]),
    "wrapped/lines.jsonl": b"\n".join([envelope(*GOOD), envelope(GOOD[0], key=b"others"), GOOD[1], envelope(), b"["]),
    "wrapped/array.json": b"[" + b",".join([envelope(*GOOD), envelope(*GOOD)[:-20]]),
    "wrapped/damaged.json": envelope(*GOOD).replace(b'{"by"', b'x{"by"') + envelope(*GOOD),
    "wrapped/many.json": (envelope(*GOOD[:2]) + envelope(*GOOD[2:]))[:-5],
    "wrapped/kept.json": b"\n".join(
        envelope(*GOOD).replace(b'"by": 1', about) for about in (b'"by": "' + b"x" * 5000 + b'"', b'"\xff": 1')
    ),
    "wrapped/keys.json": envelope(*GOOD).replace(b'"v"', b'"\xff": 1, "v"'),
}


@pytest.fixture
def contracts(tmp_path: Path) -> dict[str, Contract]:
    (tmp_path / "pinned.yaml").write_text(CONTRACT)
    (tmp_path / "wrapped.yaml").write_text(WRAPPED)
    return load_contracts(tmp_path)


def files_of(contracts: dict[str, Contract]) -> list[Any]:
    """Each file that the corpus becomes: where it is, its columns and their ids, and its rows.

    Without the details of refused rows: they are for people, and some of their words are Python's.
    """
    lake, buffer, units = MemoryLake(), RowBuffer(), []
    reader, parser = UnitReader(lake, MAX_ROW), RowParser(contracts)
    for name, data in OBJECTS.items():
        dataset = "wrapped" if name.startswith("wrapped/") else "pinned"
        source = lake.upload(f"bronze/{dataset}/{name}", data, datetime(2026, 1, 31, tzinfo=UTC))
        (unit,) = Plan.of(source, 1 << 30)
        path, kept = contracts[dataset].rows_path, contracts[dataset].envelope_fields
        for piece in reader.read(unit, envelope=Envelope(path, kept) if path else None):
            match piece.rows:
                case OverlongRow(offset, head):
                    parsed = overlong_row(offset, head, dataset)
                case BrokenFrames(frames):
                    parsed = broken_frames(frames, dataset)
                case BrokenFrame(offset, detail, raw, reason):
                    parsed = broken_frame(offset, detail, raw, dataset, reason)
                case rows:
                    parsed = parser.parse(rows, dataset, source.created)
            buffer.add(len(units), parsed, 1)
        units.append(unit)
    silver, quarantine = buffer.take(units)
    found = []
    for text, data, _ in encode(silver, quarantine, contracts, LOT, "0" * 8, 0):
        key, table = LakeKey.parse(text), pq.read_table(io.BytesIO(data))
        columns = [[field.name, str(field.type), str(field.metadata)] for field in table.schema]
        rows = [{name: value for name, value in row.items() if name != "detail"} for row in table.to_pylist()]
        found.append([key.root, key.record_type, key.dt, columns, rows])
    return found


def test_rows_of_the_corpus_are_those_of_this_version(contracts: dict[str, Contract]) -> None:
    """If this fails, rows have changed. If that is meant: raise ROWS_VERSION, and pin it here with the new digest."""
    text = json.dumps(files_of(contracts), default=str, ensure_ascii=True)
    assert (ROWS_VERSION, hashlib.sha256(text.encode()).hexdigest()[:16]) == (4, "19d189a51be350db")


def test_the_corpus_has_rows_for_each_reason(contracts: dict[str, Contract]) -> None:
    reasons = {row["reason"] for root, *_, rows in files_of(contracts) for row in rows if root == "quarantine"}
    assert reasons == set(Reason)


def test_another_version_has_other_files_and_goes_on_with_nothing_of_this_one(
    contracts: dict[str, Contract], monkeypatch: pytest.MonkeyPatch
) -> None:
    def versions() -> dict[str, str]:
        lake: Any = MemoryLake()
        none: Any = None
        return LotWorker(lake, none, contracts, 1 << 20, UnitReader(lake, MAX_ROW)).versions

    whole: tuple[int, Position | None] = (0, None)
    before = versions()
    monkeypatch.setattr("services.transform.protocol.lots.ROWS_VERSION", ROWS_VERSION + 1)
    after = versions()
    assert before != after  # what progress is compared by: see Lots.take_over
    assert variant_of(before, MAX_ROW, whole, whole) != variant_of(after, MAX_ROW, whole, whole)
