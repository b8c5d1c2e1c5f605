"""Single rows of an object read again: where they start is known, and so are their bytes, which must be there still.

A plain object is read in ranges that hold the rows; a compressed one (its first bytes say so) is decompressed from its
start, once for all rows that come in their order. Memory holds one row at a time, and never what is between two rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import replace
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.shared.compression import HEAD_BYTES, codec_to_read
from services.shared.decompress import Decompressed, UnreadableUnit
from services.shared.judge.verdicts import JSON_BLANKS
from services.shared.lake import ByteStream, Lake, LakeForbidden, LakeSignedOut, ObjectGone, open_pinned
from services.shared.units import BronzeObject, Unit

_STEP = 64 * 1024
_STAYS = "What is loaded of it stays; with the same bytes under its key again, this row can be retried"
_LONGEST_GAP = 1024 * 1024  # bytes between two rows that are read and left, rather than asked for by a new request
_BLANKS = 64 * 1024  # before a row, that one range surely holds


class Wanted(NamedTuple):
    """A row: the byte at which it starts, after decompression, and its text without the blanks around it."""

    offset: int
    text: bytes


class WantedRows(Sequence[Wanted]):
    """Rows of one object, made when they are asked for: memory holds their text only once."""

    def __init__(self, rows: pa.Table, numbers: npt.NDArray[np.int64]) -> None:
        self._offsets, self._raw, self._numbers = rows["_offset"], rows["raw"], numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> Wanted: ...
    @overload
    def __getitem__(self, at: slice) -> WantedRows: ...
    def __getitem__(self, at: int | slice) -> Wanted | WantedRows:
        if isinstance(at, slice):
            part = copy(self)
            part._numbers = self._numbers[at]
            return part
        number = int(self._numbers[at])
        return Wanted(self._offsets[number].as_py(), self._raw[number].as_py().encode())


class Unreadable(Exception):  # not an error: the row stays where it is, and the operator reads why
    """The row cannot be read any more."""


class Rereader:
    """Reads rows of objects again.

    Of a compressed object, the place that was reached is kept: a lot's files hold its rows one part after the other, so
    the next part goes on there, and the object is decompressed once and not once for each of them.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._kept: _Kept | None = None

    def read(
        self, source: BronzeObject, rows: Sequence[Wanted], check: Callable[[], None]
    ) -> Iterator[bytes | Unreadable]:
        """The rows of one object, in the order of their offsets, which is the order of `rows`.

        Yields:
            a row's bytes, the same as its text, or why it cannot be had.

        Raises:
            LakeUnavailable: S3 did not answer; try again. Where it refuses us this object, others may be readable.
        """
        answered = 0
        try:
            for row in self._read(source, rows, check):
                answered += 1
                yield row
        except LakeSignedOut:
            raise
        except ObjectGone as error:  # its advice would take the rows away that are in Silver
            for _ in rows[answered:]:
                yield Unreadable(f"{error.what}. {_STAYS}")
        except (UnreadableUnit, LakeForbidden) as error:
            for _ in rows[answered:]:
                yield Unreadable(str(error))

    def close(self) -> None:
        if self._kept is not None:
            self._kept.raw.close()
            self._kept = None

    def _read(
        self, source: BronzeObject, rows: Sequence[Wanted], check: Callable[[], None]
    ) -> Iterator[bytes | Unreadable]:
        if not rows:
            return
        kept = self._kept
        if kept is None or (kept.source, kept.check) != (source, check) or kept.content.at > rows[0].offset:
            self.close()
            codec = _codec(self._lake, source, check)
            if codec is None:
                yield from _plain(self._lake, source, rows, check)
                return
            raw = _open(self._lake, source, 0, source.size)
            content = Decompressed(raw, codec, Unit(source, 0, source.size), check)
            kept = self._kept = _Kept(source, check, raw, _Stream(content, 0, check))
        try:
            yield from _out_of(kept.content, rows)
        except BaseException:  # nobody knows where it stopped
            self.close()
            raise


class _Kept(NamedTuple):
    """A compressed object that has been read up to some place."""

    source: BronzeObject
    check: Callable[[], None]
    raw: ByteStream
    content: _Stream


def _plain(
    lake: Lake, source: BronzeObject, rows: Sequence[Wanted], check: Callable[[], None]
) -> Iterator[bytes | Unreadable]:
    for first, last in _runs(rows):
        run = rows[first:last]
        end = min(run[-1].offset + len(run[-1].text) + _BLANKS, source.size)
        if run[0].offset >= end:
            yield from (Unreadable(f"{source.id} ends before byte {row.offset}") for row in run)
            continue
        with closing(_open(lake, source, run[0].offset, end)) as raw:
            yield from _out_of(_Stream(raw, run[0].offset, check), run)


def _codec(lake: Lake, source: BronzeObject, check: Callable[[], None]) -> str | None:
    with closing(_open(lake, source, 0, min(HEAD_BYTES, source.size))) as raw:
        return codec_to_read(_Stream(raw, 0, check).take(HEAD_BYTES), source.bronze_key.codec)


def _open(lake: Lake, source: BronzeObject, start: int, end: int) -> ByteStream:
    """The version that was read at first; where that is gone, a replay's copy, or the current one with these bytes."""
    try:
        return open_pinned(lake, source, start, end)
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
