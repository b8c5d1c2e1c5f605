"""Blocks that are made to cost memory or time: every row is accounted for, and memory has a bound."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from services.shared.contract.model import Contract, Field, FieldType
from services.transform.blocks import lines_block
from services.transform.rows import any_order, columns, fields, parser, text
from services.transform.rows.fields import read_unknown
from services.transform.rows.parser import RowParser

BLOCK = 256 * 1024
MOST = 40 * 1024 * 1024  # bytes: the indexes of one piece and 4096 judged rows
CREATED = datetime(2026, 6, 1, tzinfo=UTC)
CONTRACT = Contract(
    dataset="parcels",
    version="1.0.0",
    fields=(
        Field("at", FieldType.TIMESTAMP, required=True),
        Field("name", FieldType.STRING),
        Field("ratio", FieldType.NUMBER),
        Field("price", FieldType.DECIMAL, precision=38, scale=2),
        Field("day", FieldType.DATE),
        Field("tags", FieldType.ARRAY),
    ),
    event_time="at",
    keys=("at",),
    earliest=datetime(1, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)
AT = '{"at":"2026-05-01T10:00:00Z"'


def fill(part: str) -> str:
    return part * (BLOCK // len(part))


def lines(row: str) -> bytes:
    return fill(row + "\n").encode()


def many_keys(count: int) -> str:
    return "".join(f',"{number:x}":0' for number in range(count))


BLOCKS = {
    "numbers": lines("0"),
    "empty objects": lines("{}"),
    "one row of numbers": f'{AT},"tags":[{fill("0,")}0]}}'.encode(),
    "one row of brackets": f'{AT},"tags":[{fill("[[]],")}0]}}'.encode(),
    "random bytes": random.Random(1).randbytes(BLOCK),
    "bytes that are not UTF-8": b"\xff\n" * (BLOCK // 2),
    "rows that are not UTF-8 between others": f'{AT},"name":"é"}}\n'.encode().join([b"\xc3\n"] * 5_000),
    "quotes": lines('"' * 60),
    "escaped quotes": lines(f'{AT},"name":"{chr(92)}""}}'),
    "brackets": lines("[" * 60),
    "empty arrays": lines(f'{AT},"tags":[{"[]," * 30}0]}}'),
    "backslashes": lines('{"a":"' + "\\" * 60),
    "blanks": lines(AT + " " * 200 + ',"name":"a"}'),
    "tabs": lines(AT + "\t" * 200 + ',"name":"a"}'),
    "control characters in strings": lines(f'{AT},"name":"{chr(1) * 90}"}}'),
    "rows of many keys": "\n".join([f"{AT}{many_keys(2000)}}}"] * 70).encode(),
    "a few rows of many keys among short ones": "\n".join(
        f"{AT}{many_keys(900)}}}" if number % 500 == 0 else f'{AT},"name":"a"}}' for number in range(5_000)
    ).encode(),
    "values in the first and last rows only": "\n".join(
        f'{AT},"tags":{tags},"z":{tags}}}' for tags in ["[1]", *["null"] * 3_500, "[1]"]
    ).encode(),
    "rows that differ in one blank": "\n".join(
        f'{AT}{many_keys(250)},"z"{" " * (number % 64)}:1}}' for number in range(130)
    ).encode(),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", BLOCKS)
def test_memory_is_bounded_whatever_a_block_holds(kind: str) -> None:
    block = lines_block(BLOCKS[kind], 0)
    rows = RowParser({"parcels": CONTRACT})
    rows.parse(lines_block(b"0", 0), "parcels", CREATED)  # what is imported late does not count
    tracemalloc.start()
    try:
        parsed = rows.parse(block, "parcels", CREATED)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    found = sum(table.num_rows for table in parsed.silver.values()) + parsed.quarantine.num_rows
    assert found == parsed.rows_read == len(block.starts)
    assert peak < MOST
    assert sum(parsed.reasons.values()) == parsed.quarantine.num_rows


@pytest.mark.parametrize("kind", BLOCKS)
def test_arrow_asks_for_little_memory_whatever_a_block_holds(kind: str) -> None:
    """What it asks for and never uses counts too: a system that does not overcommit refuses it."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    try:
        RowParser({"parcels": CONTRACT}).parse(lines_block(BLOCKS[kind], 0), "parcels", CREATED)
    finally:
        pa.set_memory_pool(before)
    assert 0 < pool.max_memory() < MOST


@pytest.mark.parametrize("key", ["tags", "unknown"])
def test_arrays_that_are_not_closed_are_not_copied_up_to_the_next_row_that_closes_one(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0

    def counting(texts: pa.StringArray) -> Any:
        nonlocal looked_at
        looked_at += texts.nbytes
        return are_json(texts)

    are_json = fields.are_json
    monkeypatch.setattr(fields, "are_json", counting)
    good, cut = f'{AT},"{key}":[1]}}', f'{AT},"{key}":[1'
    data = "\n".join([*[good] * 500, *[cut] * 500, good]).encode()
    parsed = RowParser({"parcels": CONTRACT}).parse(lines_block(data, 0), "parcels", CREATED)
    assert (parsed.silver["parcels"].num_rows, parsed.reasons) == (501, {"malformed_json": 500})
    assert 0 < looked_at < len(data)


@pytest.mark.parametrize("rows", [1, 200])
@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("price", "123456789.1" + "0" * 39, Decimal("123456789.10")),
        ("price", "0." + "0" * 100 + "1e101", Decimal("1.00")),
        ("price", "9" * 36 + ".99", Decimal("9" * 36 + ".99")),
        ("price", "1" + "0" * 60 + "e-60", Decimal("1.00")),
        ("price", "-0.000e9999999999", Decimal("0.00")),
        ("ratio", "1.7976931348623157e308", 1.7976931348623157e308),
        ("ratio", "4.9e-324", 5e-324),
        ("ratio", "1" * 309, float("1" * 309)),
        ("day", '"0001-01-01"', datetime(1, 1, 1, tzinfo=UTC).date()),
        ("day", '"9999-12-31"', datetime(9999, 12, 31, tzinfo=UTC).date()),
        ("at", '"0001-01-01T00:00:00-00:00"', datetime(1, 1, 1, tzinfo=UTC)),
        ("at", '"0001-01-01T23:59:00+23:59"', datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_every_value_that_the_judge_accepts_is_one_that_arrow_takes(
    rows: int, field: str, value: str, kept: object
) -> None:
    row = f'{{"at":{value}}}' if field == "at" else f'{AT},"{field}":{value}}}'
    parsed = RowParser({"parcels": CONTRACT}).parse(lines_block(f"{row}\n".encode() * rows, 0), "parcels", CREATED)
    assert parsed.reasons == {}
    assert parsed.silver["parcels"][field].to_pylist() == [kept] * rows


@pytest.mark.parametrize("dataset", ["parcels", "\ud800"])
@pytest.mark.parametrize("row", ['{"\\ud800":1}', '{"at":"\\udc00"}', '{"record_type":"\\ud800"}', "\\ud800", "{"])
def test_half_a_surrogate_pair_is_refused_wherever_it_is(row: str, dataset: str) -> None:
    parsed = RowParser({"parcels": CONTRACT}).parse(lines_block(row.encode(), 0), dataset, CREATED)
    assert parsed.quarantine.num_rows == 1
    parsed.quarantine.validate(full=True)


def test_a_block_that_is_cut_into_pieces_gives_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f'{AT},"name":"{number}","tags":[{{}},"]"]}}' for number in range(1000)]
    data = "\n".join([*rows[:500], "{", *rows[500:]]).encode()
    whole = RowParser({"parcels": CONTRACT}).parse(lines_block(data, 7), "parcels", CREATED)
    monkeypatch.setattr(parser, "_MOST_ROWS", 300)
    monkeypatch.setattr(parser, "_JUDGED_ROWS", 3)
    monkeypatch.setattr(text, "_MOST_MARKS", 400)
    cut = RowParser({"parcels": CONTRACT}).parse(lines_block(data, 7), "parcels", CREATED)
    assert by_offset(cut.silver["parcels"]) == by_offset(whole.silver["parcels"])
    assert cut.quarantine.to_pylist() == whole.quarantine.to_pylist()
    assert cut.reasons == {"malformed_json": 1}
    assert cut.rows_read == 1001


@pytest.mark.parametrize(
    ("row", "rows", "checks"),
    [(AT + "}", 70_000, 2), ("0", 5000, 4), (f'{AT},"tags":[{"[[]]," * 2000}{{]}}', 200, 7)],
    ids=["good rows", "many bad rows", "long bad rows"],
)
def test_parsing_can_be_interrupted_between_any_two_pieces_of_work(row: str, rows: int, checks: int) -> None:
    class OutOfTime(Exception):
        pass

    left = 0

    def check() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise OutOfTime

    parser_, block = RowParser({"parcels": CONTRACT}), lines_block(f"{row}\n".encode() * rows, 0)
    parser_.parse(block, "parcels", CREATED, check)
    assert -left >= checks
    for last in (1, checks):
        left = last
        with pytest.raises(OutOfTime):
            parser_.parse(block, "parcels", CREATED, check)


def by_offset(table: pa.Table) -> list[dict[str, object]]:
    return sorted(table.to_pylist(), key=lambda row: row["_offset"])


@pytest.mark.parametrize("keys_are_the_same", [True, False])
def test_keys_of_a_few_wide_rows_cost_little_in_all_the_narrow_ones(
    keys_are_the_same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0

    def counting(read: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            nonlocal reads
            reads += 1
            return read(*args)

        return counted

    monkeypatch.setattr(columns, "read_unknown", counting(read_unknown))
    monkeypatch.setattr(any_order._Reading, "_cursor", counting(any_order._Reading._cursor))
    rows, keys = [AT.encode() + b',"k0":1}'] * 30_000, 900
    for sample, row in enumerate(np.linspace(0, len(rows) - 1, 8).astype(int).tolist()):
        first = 0 if keys_are_the_same else keys * sample
        unknown = b"".join(b',"k%d":1' % number for number in range(first, first + keys))
        rows[row] = AT.encode() + unknown + b"}"
    parsed = RowParser({"parcels": CONTRACT}).parse(lines_block(b"\n".join(rows), 0), "parcels", CREATED)
    assert parsed.silver["parcels"].num_rows == len(rows)
    assert 0 < reads < 10 * keys
