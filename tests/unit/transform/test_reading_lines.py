"""Any cut of any file of lines gives the same rows exactly once."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.shared.units import Plan
from services.transform.blocks import OverlongRow
from services.transform.reading.lines import OVERLONG_HEAD_BYTES
from services.transform.reading.reader import UnitReader
from tests.support.lake import MemoryLake
from tests.support.reading import MAX_ROW, Row, rows_of


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


@given(files, st.integers(1, 400), st.integers(1, 200))
@example(b"x\n" + b"y" * 400 + b"\nz", 150, 64)
@example(b"x\r\ny\r\n", 2, 1)
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
