"""Any cut of any file of lines gives the same rows exactly once."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.shared.units import Plan
from services.transform.blocks import OverlongRow, RowBlock
from services.transform.reading.lines import OVERLONG_HEAD_BYTES
from services.transform.reading.reader import UnitReader
from tests.support.lake import MemoryLake
from tests.support.reading import MAX_ROW, OVERLONG, Row, pieces_of, read_on, rows_in, rows_of


def lines(data: bytes) -> list[Row]:
    """What the rows of line-delimited bytes are: the plain way."""
    rows, at = [], 0
    if data.startswith(b"\xef\xbb\xbf"):
        at, data = 3, data[3:]
    for line in data.split(b"\n"):
        if line.strip(b" \t\r"):
            rows.append((at, b"OVERLONG" if len(line) > MAX_ROW else line.strip(b" \t\r")))
        at += len(line) + 1
    return rows


line = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"", b" ", b"\r", b'{"a": 1}', b'{"a": 1}\r', b"x" * 290, b"x" * 400, "é".encode(), b"\x00"]),
)
files = st.builds(
    lambda bom, first, parts, end: (b"\xef\xbb\xbf" if bom else b"") + first + b"\n".join(parts) + end,
    st.booleans(),
    st.sampled_from([b'{"a": 0}\n', b"x\n"]),  # the content decides what a file is: these make it lines
    st.lists(line, max_size=20),
    st.sampled_from([b"", b"\n"]),
)


@settings(deadline=None)
@given(files, st.integers(1, 400), st.integers(1, 200))
@example(b"x\n" + b"y" * 400 + b"\nz", 150, 64)
@example(b"x\r\ny\r\n", 2, 1)
@example(b"x\n" + b"y" * 70 + b"\n" + b"z\n" * 50, 75, 64)  # a window that reaches beyond the range
def test_any_cut_of_any_file_of_lines_gives_every_row_once(data: bytes, unit_bytes: int, block_bytes: int) -> None:
    assert rows_of("bronze/a/b.jsonl", data, unit_bytes, block_bytes) == lines(data)


@pytest.mark.parametrize("unit_bytes", range(1, 40))
def test_rows_on_both_sides_of_a_boundary_at_every_offset(unit_bytes: int) -> None:
    data = b'{"a": 1}\n{"b": 2}\n\n{"c": 3}\r\n{"d": 4}'
    assert rows_of("bronze/a/b.jsonl", data, unit_bytes) == lines(data)


def test_a_20_mb_line_comes_out_as_its_first_bytes() -> None:
    lake = MemoryLake()
    source = lake.upload("bronze/a/b.jsonl", b'{"a": 1}\n' + b"x" * 20_000_000 + b'\n{"b": 2}')
    (unit,) = Plan.of(source, 1 << 30)
    found = [piece.rows for piece in UnitReader(lake, 8 * 1024 * 1024, 1024 * 1024).read(unit)]
    (overlong,) = [row for row in found if isinstance(row, OverlongRow)]
    assert overlong == OverlongRow(9, b"x" * OVERLONG_HEAD_BYTES)
    assert sum(len(row.starts) for row in found if not isinstance(row, OverlongRow)) == 2


@settings(deadline=None)
@given(files, st.integers(1, 400), st.integers(1, 200))
@example(b"x\n" + b"y" * 700 + b"\nz\n" + b" " * 500 + b"z\n" + b" " * 500, 150, 64)
def test_reading_goes_on_behind_any_piece_of_any_range(data: bytes, unit_bytes: int, block_bytes: int) -> None:
    lake = MemoryLake()
    reader = UnitReader(lake, MAX_ROW, block_bytes)
    for unit in Plan.of(lake.upload("bronze/a/b.jsonl", data), unit_bytes):
        pieces = list(reader.read(unit))
        for number, piece in enumerate(pieces):
            assert read_on(reader, unit, piece.after) == rows_in(pieces[number + 1 :])


def test_blocks_hold_no_more_rows_than_they_may() -> None:
    _, _, pieces = pieces_of("bronze/a/b.jsonl", b"0\n" * 300_000, block_bytes=1 << 20)
    counts = [len(piece.rows.starts) for piece in pieces if isinstance(piece.rows, RowBlock)]
    assert sum(counts) == 300_000
    assert max(counts) <= 65_536


@pytest.mark.parametrize("blanks", [MAX_ROW - 1, MAX_ROW, MAX_ROW + 1, 5000])
@pytest.mark.parametrize("block_bytes", [1, 64, 10_000])
def test_a_long_run_of_blanks_is_no_row(blanks: int, block_bytes: int) -> None:
    data = b"{}\n" + b" " * blanks + b"\r\n{}\n" + b"\t" * blanks
    assert rows_of("bronze/a/b.jsonl", data, block_bytes=block_bytes) == [(0, b"{}"), (3 + blanks + 2, b"{}")]


@pytest.mark.parametrize("block_bytes", [1, 64, 10_000])
def test_a_row_behind_more_blanks_than_a_row_may_have_is_over_long(block_bytes: int) -> None:
    data = b"{}\n" + b" " * MAX_ROW + b"{}\n{}"
    assert rows_of("bronze/a/b.jsonl", data, block_bytes=block_bytes) == [
        (0, b"{}"),
        (3, OVERLONG),
        (3 + MAX_ROW + 3, b"{}"),
    ]
