"""Compressed content reads like plain content, or is an error: it never ends early without a word."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from services.shared.lake import LakeUnavailable
from services.shared.units import Plan
from services.transform.reading.reader import UnitReader, UnreadableUnit
from tests.support.lake import MemoryLake
from tests.support.reading import MAX_ROW, rows_of


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
    (unit,) = Plan.of(lake.upload(f"bronze/a/b.jsonl{suffix}", b"x"), 100)
    with pytest.raises(LakeUnavailable):
        list(UnitReader(lake, MAX_ROW).read(unit))
