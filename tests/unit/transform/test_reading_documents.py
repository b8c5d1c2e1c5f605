"""Documents one after the other are rows, wherever their lines end, and no byte is lost or read twice."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from services.shared.compression import codec_of
from services.shared.judge.judge import RowJudge
from services.shared.judge.verdicts import Rejected
from services.shared.units import Plan
from services.transform.blocks import Form, OverlongRow, RowBlock
from services.transform.reading.envelope import Envelope
from services.transform.reading.reader import UnitReader
from services.transform.reading.signatures import foreign_kind
from tests.support.lake import CREATED, MemoryLake
from tests.support.reading import MAX_ROW, OVERLONG, Row, pieces_of, read_on, rows_in, rows_of

KEY = "bronze/a/b.json"
DOCUMENTS = [{"id": number, "text": "}{ \n é \\", "in": {"a": [{}, {"b": None}]}} for number in range(40)]
SEPARATORS = {
    "nothing": b"",
    "a space": b" ",
    "newlines": b"\n\n",
    "carriage returns": b"\r\n",
    "tabs": b"\t",
    "record separators": b"\n\x1e",
}


def texts(rows: list[Row]) -> list[bytes]:
    return [text for _, text in rows]


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 20])
@pytest.mark.parametrize("unit_bytes", [1000, 1 << 30])
def test_documents_one_after_the_other_are_rows(
    separator: str, indent: int | None, block_bytes: int, unit_bytes: int
) -> None:
    rows = [json.dumps(document, indent=indent, ensure_ascii=False).encode() for document in DOCUMENTS]
    between = SEPARATORS[separator]
    before = between if separator == "record separators" else b""
    data = before + between.join(rows) + between
    found = rows_of(KEY, data, unit_bytes, block_bytes)
    assert texts(found) == rows
    assert all(data[at : at + len(text)] == text for at, text in found)


def test_pretty_printed_documents_that_are_longer_than_the_first_look_are_rows() -> None:
    rows = [json.dumps({"id": number, "text": ["x" * 50] * 200}, indent=1).encode() for number in range(20)]
    assert texts(rows_of(KEY, b"\n".join(rows), 30_000, 4096, max_row=1 << 20)) == rows


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
def test_a_document_that_is_too_long_does_not_keep_the_others_from_being_rows(
    indent: int | None, number: int, block_bytes: int
) -> None:
    rows = [json.dumps({"id": number, "in": [{}]}, indent=indent).encode() for number in range(8)]
    long = json.dumps({"a": ["x" * 20] * 100, "b": {"c": []}}, indent=indent).encode()
    data = b"".join([*rows[:number], long, *rows[number:]])
    assert texts(rows_of(KEY, data, 100, block_bytes)) == [*rows[:number], OVERLONG, *rows[number:]]


DAMAGE = {
    "a lost bracket": b'{"id": 1, "in": [1}',
    "a lost quote": b'{"id: 1, "in": 2}',
    "a lost end": b'{"id": 1',
    "a surplus bracket": b"}",
    "text": b"oops",
    "a byte order mark": b"\xef\xbb\xbf",
    "not JSON, but balanced": b'{"id": NaN}',
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_damage_costs_its_document_alone(damage: str, block_bytes: int, indent: int | None) -> None:
    rows = [json.dumps({"id": number, "in": [{"b": 1}, {}]}, indent=indent).encode() for number in range(9)]
    for number in range(1, 9):
        data = b"".join([*rows[:number], DAMAGE[damage], *rows[number:]])
        found = texts(rows_of(KEY, data, 50, block_bytes))
        assert found == [*rows[:number], DAMAGE[damage], *rows[number:]]


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
def test_damage_in_the_first_document_does_not_make_a_file_lines(block_bytes: int) -> None:
    rows = [b'{"id":%d}' % number for number in range(200)]
    assert texts(rows_of(KEY, b'{"id":NaN}' + b"".join(rows), 100, block_bytes)) == [b'{"id":NaN}', *rows]
    pretty = [json.dumps({"id": number}, indent=1).encode() for number in range(200)]
    broken = b'{\n "id": 1,\n}'
    assert texts(rows_of(KEY, broken + b"\n" + b"\n".join(pretty), 100, block_bytes)) == [broken, *pretty]


def test_one_document_that_is_cut_is_one_row() -> None:
    text = json.dumps({"id": 1, "in": {"a": 2}}, indent=2).encode()[:-4].rstrip()
    assert rows_of(KEY, text) == [(0, text)]


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
def test_long_damage_is_over_long_and_reading_goes_on_behind_it(block_bytes: int) -> None:
    data = b'{"a":1}{"b":2}' + b"x" * 1000 + b'{"c":3}{"d":4}'
    assert texts(rows_of(KEY, data, 1 << 30, block_bytes)) == [b'{"a":1}', b'{"b":2}', OVERLONG, b'{"c":3}', b'{"d":4}']


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize("unit_bytes", [7, 50, 1 << 30])
@pytest.mark.parametrize("count", [2, 3, 100])
def test_a_line_of_several_documents_is_as_many_rows(block_bytes: int, unit_bytes: int, count: int) -> None:
    several = [b'{"id":%d,"in":{}}' % number for number in range(count)]
    data = b'{"a": 1}\n{"b": "}{"}\n' + b"".join(several) + b'\r\n{"c": 3}\n'
    expected = [b'{"a": 1}', b'{"b": "}{"}', *several, b'{"c": 3}']
    assert texts(rows_of(KEY, data, unit_bytes, block_bytes)) == expected


def test_a_byte_order_mark_between_documents_is_a_row_that_the_judge_names() -> None:
    mark = b"\xef\xbb\xbf"
    for count in (1, 5):
        data = mark + b'{"a":1}' + (mark + b'{"b":2}') * count
        assert texts(rows_of(KEY, data)) == [b'{"a":1}', *[mark, b'{"b":2}'] * count]
    for row in (mark, mark + b"{}", b"{}" + mark):
        verdict = RowJudge({}).judge(row, "a", CREATED)
        assert isinstance(verdict, Rejected) and "a byte order mark, as where files" in verdict.detail


def test_a_line_of_documents_with_blanks_between_them_is_one_row_that_the_judge_refuses() -> None:
    assert texts(rows_of(KEY, b'{"a":1}\n{"b":2} {"c":3}\n')) == [b'{"a":1}', b'{"b":2} {"c":3}']


def test_lines_behind_a_pretty_printed_document_are_rows() -> None:
    first = json.dumps({"id": 0}, indent=2).encode()
    lines = [b'{"id":%d}' % number for number in range(50)]
    assert texts(rows_of(KEY, first + b"\n" + b"\n".join(lines), 30)) == [first, *lines]


def test_pretty_printed_documents_behind_lines_stay_lines_that_the_judge_refuses() -> None:
    pretty = json.dumps({"id": 1}, indent=2).encode()
    assert texts(rows_of(KEY, b'{"id": 0}\n' + pretty, 8)) == [b'{"id": 0}', b"{", b'"id": 1', b"}"]


def test_elements_that_are_not_objects_are_rows_for_the_judge() -> None:
    data = b'{"z":0}{"a":1}12 "x"[1,{}]{"b":2}true{"c":3}'
    expected = [b'{"z":0}', b'{"a":1}', b"12", b'"x"', b"[1,{}]", b'{"b":2}', b"true", b'{"c":3}']
    assert texts(rows_of(KEY, data)) == expected


def test_deep_documents_are_rows_by_their_brackets() -> None:
    deep = b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"
    rows = [b'{"id":%d}' % number for number in range(50)]
    data = b"".join([*rows, deep, *rows, deep, deep])
    for block_bytes in (64, 1 << 20):
        assert texts(rows_of(KEY, data, 1 << 30, block_bytes, max_row=20_000)) == [*rows, deep, *rows, deep, deep]


part = st.one_of(
    st.sampled_from(
        [
            b'{"a":1}',
            b'{\n "b": [1, {"c": 2}]\n}',
            b'{"d":"}{"}',
            b"\n",
            b" ",
            b"\x1e",
            b",",
            b"[",
            b"]",
            b"{",
            b"}",
            b'"',
            b"\\",
            b"\xef\xbb\xbf",
            b"x" * 350,
            b'{"e":"' + b"y" * 350 + b'"}',
            b'{"f":' + b'[{"g":1},' * 3 + b"0]]]}",
            b"NaN",
            b"12",
        ]
    ),
    st.binary(max_size=6),
)
files = st.lists(part, max_size=25).map(b"".join)
BETWEEN = b" \t\r\n\x1e"


def is_conserved(data: bytes, rows: list[Row]) -> bool:
    """Whether nothing but blanks is outside of the rows, and no byte is in two of them."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    for number, (start, text) in enumerate(rows):
        if start < at or data[at:start].strip(BETWEEN):
            return False
        if not data.startswith(text, start):  # it begins with blanks that are not in its text
            start += len(data[start:]) - len(data[start:].lstrip(BETWEEN))
        at = start + len(text)
        if text == OVERLONG:
            at = rows[number + 1][0] if number + 1 < len(rows) else len(data)
        elif data[start:at] != text:
            return False
    return not data[at:].strip(BETWEEN)


@settings(max_examples=300, deadline=None)
@given(files, st.integers(1, 200), st.integers(1, 400))
@example(b'{"a":1}{"b":2}\n{"c":3}', 1, 3)
@example(b'{"a":1}\n{"b":2}{"c":3}' + b'{"d":4}' * 60, 7, 9)
@example(b'{"a":1}\n\x1e', 1, 1)
def test_no_byte_is_lost_or_read_twice_however_the_file_is_cut(data: bytes, block_bytes: int, unit_bytes: int) -> None:
    assume(foreign_kind(data) is None and codec_of(data) is None)
    whole = rows_of(KEY, data, 1 << 30, 1 << 20)
    assert rows_of(KEY, data, 1 << 30, block_bytes) == whole
    assert rows_of(KEY, data, unit_bytes, block_bytes) == whole
    if not data.lstrip(BETWEEN + b"\xef\xbb\xbf").startswith(b"[") and b"BROKEN" not in texts(whole):
        assert is_conserved(data, whole)


@settings(max_examples=200, deadline=None)
@given(files, st.integers(1, 200), st.integers(1, 400))
def test_reading_goes_on_behind_any_piece(data: bytes, block_bytes: int, unit_bytes: int) -> None:
    assume(foreign_kind(data) is None and codec_of(data) is None)
    lake = MemoryLake()
    reader = UnitReader(lake, MAX_ROW, block_bytes)
    for unit in Plan.of(lake.upload(KEY, data), unit_bytes):
        pieces = list(reader.read(unit))
        for number, piece in enumerate(pieces):
            if piece.after is not None:
                assert read_on(reader, unit, piece.after) == rows_in(pieces[number + 1 :])


def test_an_over_long_document_comes_out_as_its_first_bytes_in_bounded_pieces() -> None:
    data = b'{"a":"' + b"x" * 3_000_000 + b'"}' + b'{"b":2}' * 200_000
    _, _, pieces = pieces_of(KEY, data, 1 << 20, 1 << 20)
    first, *others = [piece.rows for piece in pieces]
    assert isinstance(first, OverlongRow)
    assert first.offset == 0 and first.head == data[: 64 * 1024]
    counts = [len(rows.starts) for rows in others if isinstance(rows, RowBlock)]
    assert (len(counts), sum(counts)) == (len(others), 200_000)
    assert max(counts) <= 65_536
    assert {piece.after.form for piece in pieces if piece.after} == {Form.REST_OF_DOCUMENT, Form.DOCUMENTS}


@pytest.mark.parametrize("inside", [b"", b"}", b'"x', b",,", b"1 2"])
@pytest.mark.parametrize("kind", ["documents", "an envelope", "a value of an envelope"])
def test_what_is_found_does_not_depend_on_the_stack_from_which_it_is_read(inside: bytes, kind: str) -> None:
    """Strict reading gets as deep as the stack allows: 900 levels here, and 600 from 300 frames further in."""

    def read(text: bytes, frames: int) -> list[Row]:
        if frames:
            return read(text, frames - 1)
        lake = MemoryLake()
        reader, envelope = UnitReader(lake, 1 << 12, 1 << 14), None if kind == "documents" else Envelope(("rows",))
        (unit,) = Plan.of(lake.upload(KEY, text), 1 << 30)
        return rows_in(reader.read(unit, None, envelope=envelope))

    some = [b'{"id":%d}' % number for number in range(300)]
    for levels in (90, 150, 700, 800):
        deep = b'{"a":' + b"[" * levels + inside + b"]" * levels + b"}"
        if kind == "documents":
            text = b"".join((*some, deep, *some))
        elif kind == "an envelope":
            text = b'{"v":1,\n"rows":[' + b",".join((*some, deep, *some)) + b"]}"
        else:
            text = b'{"v":1,\n"x":' + deep + b',"rows":[' + b",".join(some) + b"]}" + b'{"rows":[7]}'
        assert read(text, 300) == read(text, 0), levels
