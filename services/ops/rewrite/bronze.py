"""Single rows of an object read again: where they start is known, and so are their bytes, which must be there still.

A plain object is read in ranges that hold the rows; a compressed one (its first bytes say so) is decompressed from its
start, once for all of its rows. Memory holds one row at a time, and what is between two rows is never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from services.shared.compression import HEAD_BYTES, codec_to_read
from services.shared.decompress import Decompressed, UnreadableUnit
from services.shared.judge.verdicts import JSON_BLANKS
from services.shared.lake import ByteStream, Lake, ObjectGone
from services.shared.units import BronzeObject, Unit

_STEP = 64 * 1024
_LONGEST_GAP = 1024 * 1024  # bytes between two rows that are read and left, rather than asked for by a new request
_BLANKS = 64 * 1024  # before a row, that one range surely holds


class Wanted(NamedTuple):
    """A row: the byte at which it starts, after decompression, and its text without the blanks around it."""

    offset: int
    text: bytes


class Unreadable(Exception):  # not an error: the row stays where it is, and the operator reads why
    """The row cannot be read any more."""


def read_again(
    lake: Lake, source: BronzeObject, rows: Sequence[Wanted], check: Callable[[], None]
) -> Iterator[bytes | Unreadable]:
    """The rows of one object, in the order of their offsets, which is the order of `rows`.

    Yields:
        a row's bytes, the same as its text, or why it cannot be had.

    Raises:
        LakeUnavailable: S3 did not answer; try again.
    """
    answered = 0
    try:
        for row in _read(lake, source, rows, check):
            answered += 1
            yield row
    except (ObjectGone, UnreadableUnit) as error:
        for _ in rows[answered:]:
            yield Unreadable(str(error))


def _read(
    lake: Lake, source: BronzeObject, rows: Sequence[Wanted], check: Callable[[], None]
) -> Iterator[bytes | Unreadable]:
    if not rows:
        return
    codec = _codec(lake, source, check)
    if codec is None:
        for first, last in _runs(rows):
            run = rows[first:last]
            end = min(run[-1].offset + len(run[-1].text) + _BLANKS, source.size)
            if run[0].offset >= end:
                yield from (Unreadable(f"{source.id} ends before byte {row.offset}") for row in run)
                continue
            with closing(_open(lake, source, run[0].offset, end)) as raw:
                yield from _out_of(_Stream(raw, run[0].offset, check), run)
    else:
        with closing(_open(lake, source, 0, source.size)) as raw:
            content = Decompressed(raw, codec, Unit(source, 0, source.size), check)
            yield from _out_of(_Stream(content, 0, check), rows)


def _codec(lake: Lake, source: BronzeObject, check: Callable[[], None]) -> str | None:
    with closing(_open(lake, source, 0, min(HEAD_BYTES, source.size))) as raw:
        return codec_to_read(_Stream(raw, 0, check).take(HEAD_BYTES), source.bronze_key.codec)


def _open(lake: Lake, source: BronzeObject, start: int, end: int) -> ByteStream:
    """The version that was read at first or, where that was deleted, the current one, if it has the same content."""
    try:
        return lake.open(source, start, end)
    except ObjectGone:
        if source.version_id is None:
            raise
        return lake.open(replace(source, version_id=None), start, end)


def _runs(rows: Sequence[Wanted]) -> Iterator[tuple[int, int]]:
    """Rows that one request is made for, as `[first, last)`."""
    first = 0
    for number in range(1, len(rows) + 1):
        behind = rows[number - 1].offset + len(rows[number - 1].text) + _LONGEST_GAP
        if number == len(rows) or rows[number].offset > behind:
            yield first, number
            first = number


def _out_of(stream: _Stream, rows: Sequence[Wanted]) -> Iterator[bytes | Unreadable]:
    for row in rows:
        if row.offset < stream.at:
            yield Unreadable(f"byte {row.offset} is in the middle of the row before it")
            continue
        stream.skip_to(row.offset)
        stream.skip_blanks()
        found = stream.take(len(row.text))
        yield found if found == row.text else Unreadable(f"other bytes are at byte {row.offset}, or none")


class _Stream:
    """A stream with a place in it, `at`."""

    def __init__(self, raw: ByteStream | Decompressed, at: int, check: Callable[[], None]) -> None:
        self._raw, self._check = raw, check
        self._data = b""
        self.at = at

    def skip_to(self, offset: int) -> None:
        while self.at < offset and self._fill():
            self._drop(min(len(self._data), offset - self.at))

    def skip_blanks(self) -> None:
        while self._fill():
            rest = self._data.lstrip(JSON_BLANKS)
            self._drop(len(self._data) - len(rest))
            if rest:
                return

    def take(self, size: int) -> bytes:
        parts = list[bytes]()
        while size and self._fill():
            parts.append(self._data[:size])
            size -= len(parts[-1])
            self._drop(len(parts[-1]))
        return b"".join(parts)

    def _fill(self) -> bool:
        if not self._data:
            self._check()
            self._data = self._raw.read(_STEP)
        return bool(self._data)

    def _drop(self, size: int) -> None:
        self._data = self._data[size:]
        self.at += size
