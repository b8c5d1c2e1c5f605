"""The content decides what a file is: lines, an array or one document."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from services.shared.lake import ByteStream
from services.shared.units import BronzeObject, Plan, Unit
from services.transform.blocks import Form, Position
from services.transform.reading.reader import UnitReader
from tests.support.lake import MemoryLake
from tests.support.reading import BROKEN, rows_in, rows_of
from tests.unit.transform.test_reading_lines import lines


@pytest.mark.parametrize("unit_bytes", [7, 1 << 30])
@pytest.mark.parametrize("block_bytes", [1, 1000])
def test_one_pretty_printed_document_is_one_row(unit_bytes: int, block_bytes: int) -> None:
    document = json.dumps({"a": 1, "b": [1, 2]}, indent=2).encode()
    assert rows_of("bronze/a/b.json", b"\n" + document + b"\n", unit_bytes, block_bytes) == [(1, document)]


def test_a_broken_first_line_does_not_make_a_file_a_document() -> None:
    data = b'{"a": \n{"b": 2}\n'
    assert rows_of("bronze/a/b.json", data) == lines(data)


@pytest.mark.parametrize("data", [b" ", b"\n" * 5000, b"\xef\xbb\xbf", b"\r\n \t\n"])
def test_a_file_of_blanks_holds_no_rows(data: bytes) -> None:
    assert rows_of("bronze/a/b.jsonl", data) == []


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b'{"a": 1},\n{"b": 2},\n{"c": 3},\n', [b'{"a": 1}', b'{"b": 2}', b'{"c": 3}', BROKEN, BROKEN]),
        (b'{"a": 1},\n{"b": 2}\n{"c": 3}\n', [b'{"a": 1},', b'{"b": 2}', b'{"c": 3}']),
        (b'{"a": 1}\n{"b": 2},\n{"c": 3},\n', [b'{"a": 1}', b'{"b": 2},', b'{"c": 3},']),
        (b'x{"a": 1}\n{"b": 2}\n', [b'x{"a": 1}', b'{"b": 2}']),
        (b'x[{"a": 1}, {"b": 2}]', [BROKEN, b'{"a": 1}', b'{"b": 2}']),
        (b'{"a": 1}]', [b'{"a": 1}', BROKEN]),
        (b"[INFO] started\n{}\n", [b"INFO", BROKEN, b"{}"]),
        (b"1\n2\n3", [b"1", b"2", b"3"]),
        (b'"a"\n"b"\n', [b'"a"', b'"b"']),
        (b"null", [b"null"]),
        (b"{\n}", [b"{\n}"]),
        (b'{\n"a": NaN}', [b"{", b'"a": NaN}']),
    ],
)
@pytest.mark.parametrize("unit_bytes", [7, 1 << 30])
def test_what_the_content_is_decides_what_the_rows_are(data: bytes, rows: list[bytes], unit_bytes: int) -> None:
    found = [text for _, text in rows_of("bronze/a/b.json", data, unit_bytes)]
    assert sorted(found) == sorted(rows)


def test_a_first_row_of_many_bytes_is_not_read_to_its_end_to_know_that_an_object_is_lines() -> None:
    class CountingLake(MemoryLake):
        bytes_read = 0

        def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
            CountingLake.bytes_read += end - start
            return super().open(source, start, end)

    lake = CountingLake()
    row = b'{"a": "' + b"x" * 100_000 + b'"}\n'
    source = lake.upload("bronze/a/b.jsonl", row * 100)
    _, second, _ = Plan.of(source, 5_000_000)
    assert len(rows_in(UnitReader(lake, 8 << 20).read(second))) > 0
    assert CountingLake.bytes_read < second.bytes + 3 * (1 << 20)


@pytest.mark.parametrize("offset", [3, Decimal(3)])
def test_a_position_goes_through_the_ledger_unharmed(offset: object) -> None:
    for form in Form:
        assert Position.from_list([offset, form.value]) == Position(3, form)
        assert Position(3, form).to_list() == [3, form.value]


@pytest.mark.parametrize(
    "values", [[], [1], ["1", "lines"], [-1, "lines"], [1, "nothing"], "ab", None, [1, "lines", 2]]
)
def test_what_is_no_position_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match=r"position|Form"):
        Position.from_list(values)


def test_units_agree_on_what_their_object_is_however_deep_the_stack_is_from_which_they_are_read() -> None:
    def read(units: list[Unit], frames: int) -> list[bytes]:
        if frames:
            return read(units, frames - 1)
        return [text for unit in units for _, text in rows_in(reader.read(unit))]

    lake = MemoryLake()
    reader = UnitReader(lake, 20_000, 4096)
    ids = [b'{"id":%d}' % number for number in range(500)]
    for levels in range(600, 1000, 20):
        first = b'{"a":' + b"[" * levels + b"]" * levels + b"}"
        first_unit, *others = Plan.of(lake.upload("bronze/a/b.json", b"\n".join([first, b"1,2,3", *ids])), 4096)
        found = read([first_unit], 0) + read(others, 100)
        assert [text for text in found if text.startswith(b'{"id"')] == ids
