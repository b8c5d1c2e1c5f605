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
from tests.support.reading import MAX_ROW, pieces_of, read_on, rows_in, rows_of


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


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("empty", [0, 1, 5000])
def test_members_are_all_read_however_many_and_whether_empty_or_not(suffix: str, empty: int) -> None:
    pack = CODECS[suffix]
    data = pack(b'{"a": 1}\n') + pack(b"") * empty + pack(b'{"b": 2}\n' * 3) + pack(b"") * empty
    texts = [text for _, text in rows_of(f"bronze/a/b.jsonl{suffix}", data)]
    assert texts == [b'{"a": 1}', *[b'{"b": 2}'] * 3]


@pytest.mark.parametrize("suffix", CODECS)
def test_content_that_is_cut_anywhere_is_an_error(suffix: str) -> None:
    pack = CODECS[suffix]
    first, second = pack(b'{"a": 1}\n'), pack(b'{"b": 2}\n')
    for length in range(1, len(first + second)):
        if length != len(first):
            with pytest.raises(UnreadableUnit, match="damaged or cut short"):
                rows_of(f"bronze/a/b.jsonl{suffix}", (first + second)[:length])


PADDED = {".gz": gzip.compress, ".bz2": bz2.compress}  # the formats whose own tools pass over zeros at the end


@pytest.mark.parametrize("suffix", PADDED)
@pytest.mark.parametrize("zeros", [1, 511, 65_536, 300_000])
@pytest.mark.parametrize("members", [1, 2])
def test_zero_bytes_behind_the_last_member_are_padding(suffix: str, zeros: int, members: int) -> None:
    data = PADDED[suffix](b'{"a": 1}\n') * members + b"\0" * zeros
    assert [text for _, text in rows_of(f"bronze/a/b.jsonl{suffix}", data)] == [b'{"a": 1}'] * members


BEHIND = {
    "text": b"text",
    "zeros, then text": b"\0" * 10 + b"text",
    "zeros, then far away one byte": b"\0" * 200_000 + b"x",
    "zeros, then a member": None,
    "a member without its first byte": None,
}


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("behind", BEHIND)
def test_what_follows_the_last_member_and_is_no_padding_is_never_left_out(suffix: str, behind: str) -> None:
    """bzip2's own tool would leave it out without a word, and gzip's with a warning: it may be a damaged member."""
    member = CODECS[suffix](b'{"a": 1}\n')
    text = BEHIND[behind] or (b"\0" * 10 + member if behind.startswith("zeros") else member[1:])
    with pytest.raises(UnreadableUnit, match="damaged or cut short"):
        rows_of(f"bronze/a/b.jsonl{suffix}", member + text)


@pytest.mark.parametrize("zeros", [1, 4, 512])
def test_zstd_has_no_padding(zeros: int) -> None:
    """Its own tool refuses zeros, too; padding is what its skippable frames are for."""
    with pytest.raises(UnreadableUnit, match="damaged or cut short"):
        rows_of("bronze/a/b.jsonl.zst", zstd(b'{"a": 1}\n') + b"\0" * zeros)


@pytest.mark.parametrize("suffix", CODECS)
def test_zero_bytes_alone_are_no_compressed_content(suffix: str) -> None:
    with pytest.raises(UnreadableUnit, match="damaged or cut short"):
        rows_of(f"bronze/a/b.jsonl{suffix}", b"\0" * 512)


@pytest.mark.parametrize("suffix", PADDED)
def test_reading_goes_on_in_padded_content_behind_any_piece(suffix: str) -> None:
    lines = [b'{"a": %d}' % number for number in range(200)]
    pack = PADDED[suffix]
    data = pack(b"\n".join(lines[:99]) + b"\n" + lines[99][:3]) + pack(lines[99][3:] + b"\n" + b"\n".join(lines[100:]))
    reader, unit, pieces = pieces_of(f"bronze/a/b.jsonl{suffix}", data + b"\0" * 1000)
    rows = rows_in(pieces)
    assert [text for _, text in rows] == lines
    for number, piece in enumerate(pieces):
        assert piece.after is not None
        assert rows_in(pieces[: number + 1]) + read_on(reader, unit, piece.after) == rows


def zstd_frame(content: bytes, window_log: int) -> bytes:
    """A frame of raw blocks that asks for a window of this size."""
    header = b"\x28\xb5\x2f\xfd\x00" + bytes([(window_log - 10) << 3])
    cuts = [content[at : at + 100_000] for at in range(0, len(content), 100_000)] or [b""]
    blocks = [(len(cut) << 3 | (cut is cuts[-1])).to_bytes(3, "little") + cut for cut in cuts]
    return header + b"".join(blocks)


SKIPPABLE = b"\x50\x2a\x4d\x18\x05\0\0\0hello"


@pytest.mark.parametrize("before", [b"", zstd(b'{"a": 0}\n'), SKIPPABLE, zstd_frame(b'{"a": 0}\n' * 50_000, 20)])
def test_a_zstd_frame_that_asks_for_too_large_a_window_is_refused_wherever_it_is(before: bytes) -> None:
    assert rows_of("bronze/a/b.jsonl.zst", before + zstd_frame(b'{"a": 1}\n', 23))[-1][1] == b'{"a": 1}'
    with pytest.raises(UnreadableUnit, match="window of 16,777,216 bytes, and 8,388,608 are allowed"):
        rows_of("bronze/a/b.jsonl.zst", before + zstd_frame(b'{"a": 1}\n', 24))


LEGACY = [bytes([version]) + b"\xb5\x2f\xfd" for version in (0x1E, *range(0x22, 0x28))]


@pytest.mark.parametrize("before", [b"", zstd(b'{"a": 0}\n'), SKIPPABLE])
@pytest.mark.parametrize("magic", [b"\xfd\x2f\xb5\x1e", *LEGACY])
def test_a_frame_of_a_zstd_version_before_0_8_is_refused_with_advice(before: bytes, magic: bytes) -> None:
    with pytest.raises(UnreadableUnit, match=r"a zstd version before 0\.8; compress the object again"):
        rows_of("bronze/a/b.jsonl.zst", before + magic + b"x" * 100)


@pytest.mark.parametrize("before", [b"", zstd(b'{"a": 0}\n'), SKIPPABLE])
@pytest.mark.parametrize("size", [1, 2, 3], ids=["1 byte", "2 bytes", "4 bytes"])
@pytest.mark.parametrize("is_single", [False, True])
def test_a_zstd_frame_that_needs_a_dictionary_is_refused_with_advice(before: bytes, size: int, is_single: bool) -> None:
    number = (77).to_bytes((0, 1, 2, 4)[size], "little")
    header = bytes([size | is_single << 5]) + (b"" if is_single else b"\x50") + number + bytes([9] * is_single)
    frame = b"\x28\xb5\x2f\xfd" + header + (9 << 3 | 1).to_bytes(3, "little") + b'{"a": 1}\n'
    with pytest.raises(UnreadableUnit, match="needs the dictionary that it was made with; compress the object again"):
        rows_of("bronze/a/b.jsonl.zst", before + frame)


@pytest.mark.parametrize("level", [1, 3, 19])
@pytest.mark.parametrize("size", [0, 100, 300, 70_000, 9_000_000])
def test_the_usual_levels_of_zstd_are_read_whatever_the_size(level: int, size: int) -> None:
    data = b'{"a": 1}\n' * (size // 9)
    packed = bytes(pa.Codec("zstd", level).compress(data, asbytes=True))
    assert len(rows_of("bronze/a/b.jsonl.zst", packed, block_bytes=1 << 20)) == size // 9


@pytest.mark.parametrize("suffix", CODECS)
def test_what_check_raises_ends_the_reading(suffix: str) -> None:
    class OutOfTime(Exception):
        pass

    def check() -> None:
        raise OutOfTime

    lake = MemoryLake()
    (unit,) = Plan.of(lake.upload(f"bronze/a/b.jsonl{suffix}", CODECS[suffix](b'{"a": 1}\n')), 1 << 30)
    with pytest.raises(OutOfTime):
        list(UnitReader(lake, MAX_ROW).read(unit, None, check))
