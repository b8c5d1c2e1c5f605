"""Any cut of any file gives the same rows exactly once, whatever the file holds."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.shared.lake import LakeUnavailable
from services.shared.units import Unit, plan
from services.transform.blocks import OverlongRow
from services.transform.reading.reader import OVERLONG_HEAD_BYTES, UnitReader, UnreadableUnit
from tests.support.lake import MemoryLake

MAX_ROW = 300
Row = tuple[int, bytes]


def rows_of(key: str, data: bytes, unit_bytes: int = 1 << 30, block_bytes: int = 64) -> list[Row]:
    """Offset and text of every row, by reading all units of an object that holds `data`."""
    lake = MemoryLake()
    source = lake.upload(key, data)
    reader = UnitReader(lake, MAX_ROW, block_bytes)
    return [row for unit in plan(source, unit_bytes) for row in rows_of_unit(reader, unit)]


def rows_of_unit(reader: UnitReader, unit: Unit) -> list[Row]:
    rows: list[Row] = []
    for found in reader.read(unit):
        if isinstance(found, OverlongRow):
            rows.append((found.offset, b"OVERLONG"))
        else:
            bounds = zip(found.starts.tolist(), found.ends.tolist(), strict=True)
            rows += [(found.base + start, found.data[start:end].strip(b" \t\r\n")) for start, end in bounds]
    return sorted(rows)


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


json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10), st.sampled_from(['"', "\\", "],", '\\"'])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(json_values, max_size=12),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.integers(1, 400),
    st.integers(1, 100),
)
def test_any_cut_of_any_array_gives_every_element_once(
    elements: list[Any], indent: int | None, ascii_only: bool, unit_bytes: int, block_bytes: int
) -> None:
    data = json.dumps(elements, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = rows_of("bronze/a/b.json", b"\xef\xbb\xbf \n" + data, unit_bytes, block_bytes)
    assert len(found) == len(elements)
    for (offset, text), element in zip(found, elements, strict=True):
        if text == b"OVERLONG":
            assert len(json.dumps(element, indent=indent, ensure_ascii=ascii_only)) > MAX_ROW / 4
        else:
            assert json.loads(text.decode("utf-8", "surrogatepass")) == element
            assert (b"\xef\xbb\xbf \n" + data)[offset:].startswith(text)


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"[]", []),
        (b"[ ]\n", []),
        (b"[", []),
        (b'[{"a": 1}', [b'{"a": 1}']),
        (b'[{"a": 1},', [b'{"a": 1}']),
        (b'[{"a": 1}, {"a"', [b'{"a": 1}', b'{"a"']),
        (b"[1,,2]", [b"1", b"2"]),
        (b"[1]\n[2]\n", [b"1", b"[2]"]),
        (b"[1] rest", [b"1", b"rest"]),
        (b'["' + b"x" * 400 + b'", 2, ' + b"3" * 301 + b"]", [b"OVERLONG", b"2", b"OVERLONG"]),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 7, 1000])
def test_a_broken_array_loses_no_byte_that_is_not_blank(data: bytes, texts: list[bytes], block_bytes: int) -> None:
    assert [text for _, text in rows_of("bronze/a/b.json", data, block_bytes=block_bytes)] == texts


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


def test_a_20_mb_line_comes_out_as_its_first_bytes() -> None:
    lake = MemoryLake()
    source = lake.upload("bronze/a/b.jsonl", b'{"a": 1}\n' + b"x" * 20_000_000 + b'\n{"b": 2}')
    (unit,) = plan(source, 1 << 30)
    found = list(UnitReader(lake, 8 * 1024 * 1024, 1024 * 1024).read(unit))
    (overlong,) = [row for row in found if isinstance(row, OverlongRow)]
    assert overlong == OverlongRow(9, b"x" * OVERLONG_HEAD_BYTES)
    assert sum(len(row.starts) for row in found if not isinstance(row, OverlongRow)) == 2


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


CODECS = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstd}


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("data", [b'{"a": 1}\n{"b": 2}\n' * 500, b'[{"a": 1}, {"b": 2}]', b""])
def test_compressed_content_reads_like_plain(suffix: str, data: bytes) -> None:
    expected = rows_of("bronze/a/b.json", data)
    assert rows_of(f"bronze/a/b.json{suffix}", CODECS[suffix](data)) == expected


def test_members_of_a_gzip_file_are_all_read() -> None:
    data = gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"b": 2}\n')
    assert [text for _, text in rows_of("bronze/a/b.jsonl.gz", data)] == [b'{"a": 1}', b'{"b": 2}']


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-6],
        lambda packed: packed[: len(packed) // 2],
        lambda _: b"no archive",
        lambda p: p + b"x",
    ],
    ids=["cut by six bytes", "cut in half", "no archive", "followed by garbage"],
)
def test_damaged_compressed_bytes_are_an_error_and_no_early_end(suffix: str, damage: Callable[[bytes], bytes]) -> None:
    packed = CODECS[suffix](np.random.default_rng(1).bytes(5000).hex().encode())
    with pytest.raises(UnreadableUnit, match="damaged or cut short"):
        rows_of(f"bronze/a/b.jsonl{suffix}", damage(packed))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_broken_connection_is_not_taken_for_damage(suffix: str) -> None:
    class BrokenStream:
        def read(self, size: int) -> bytes:
            raise LakeUnavailable("the connection broke")

        def close(self) -> None:
            pass

    class BrokenLake(MemoryLake):
        def open(self, *_: Any) -> BrokenStream:
            return BrokenStream()

    lake = BrokenLake()
    (unit,) = plan(lake.upload(f"bronze/a/b.jsonl{suffix}", b"x"), 100)
    with pytest.raises(LakeUnavailable):
        list(UnitReader(lake, MAX_ROW).read(unit))
