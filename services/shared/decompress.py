"""The content of compressed objects: every member and frame of them, or an error, never an early end.

Arrow decompresses zstd; for gzip and bzip2 its streams know neither padding nor, for the latter, empty streams. What
Arrow does not do is done here: limiting the memory that zstd frames ask for, and calling `check` for compressed bytes
too, which may hold next to nothing.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Mapping

import pyarrow as pa

from services.shared.errors import Terminal
from services.shared.lake import ByteStream
from services.shared.units import Unit
from services.shared.zstd_frames import FrameGuard, RefusedFrame

_RAW_BYTES = 64 * 1024  # of compressed bytes that are read at once, as Arrow does
_FIRST_BYTES = 512  # of a member; what it leaves is copied, and there may be thousands of empty ones in a row


class UnreadableUnit(Terminal):
    """The unit's bytes are damaged, or ask for too much memory: reading them again gives the same."""


class Decompressed:
    """A compressed stream's content. Damaged and truncated ones raise `UnreadableUnit`."""

    def __init__(self, raw: ByteStream, codec: str, unit: Unit, check: Callable[[], None]) -> None:
        self._unit = unit
        self._raw = _ArrowFile(raw, check, FrameGuard() if codec == "zstd" else None)
        self._stream = (
            _Members(self._raw, _MEMBERS[codec])
            if codec in _MEMBERS
            else pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), codec)
        )

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except RefusedFrame as error:
            raise self._refused(error) from None
        except OSError as error:
            match self._raw.failure:
                case RefusedFrame() as failure:
                    raise self._refused(failure) from None
                case Exception() as failure:
                    raise failure from None
            raise UnreadableUnit(
                f"{self._unit.id}: the compressed bytes are damaged or cut short ({error}); upload the object again"
            ) from error

    def _refused(self, error: RefusedFrame) -> UnreadableUnit:
        return UnreadableUnit(f"{self._unit.id}: {error}")

    def close(self) -> None:
        self._stream.close()


class _GzipMember:
    """One member of a gzip file, to be used as `bz2.BZ2Decompressor` is."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def decompress(self, data: bytes, size: int) -> bytes:
        try:
            return self._zlib.decompress(self._zlib.unconsumed_tail + data, size)
        except zlib.error as error:
            raise OSError(str(error)) from error

    @property
    def needs_input(self) -> bool:
        return not self._zlib.eof and not self._zlib.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data


class _Members:
    """The content of gzip members, or bzip2 streams, that follow each other; zero bytes may follow the last one.

    Tapes and block devices pad files with zeros, and gzip and bzip2 pass over them. What else follows may be a damaged
    member: it is an error, where these would leave it out.
    """

    def __init__(self, raw: _ArrowFile, member: Callable[[], _GzipMember | bz2.BZ2Decompressor]) -> None:
        self._raw = raw
        self._new = member
        self._member = member()
        self._data, self._at = b"", 0  # what was read, and how much of it a member has got
        self._step = _FIRST_BYTES
        self._is_begun = False  # whether any byte of the current member has been read
        self._is_first = True

    def read(self, size: int) -> bytes:
        """At most `size` bytes, and none only at the end.

        Raises:
            OSError: the bytes are not compressed, or they are damaged or cut short.
        """
        while True:
            fed = b""
            if self._member.needs_input:
                if not self._has_more():
                    if self._is_begun:
                        raise OSError("the stream is truncated")
                    return b""
                if not self._is_begun and not self._is_first and self._data[self._at] == 0:
                    self._skip_padding()
                    return b""
                fed = self._data[self._at : self._at + self._step]
                self._at += len(fed)
                self._step = min(2 * self._step, _RAW_BYTES)
                self._is_begun = True
            data = self._member.decompress(fed, size)
            if self._member.eof:
                self._at -= len(self._member.unused_data)
                self._member, self._step = self._new(), _FIRST_BYTES
                self._is_begun = self._is_first = False
            if data:
                return data

    def _has_more(self) -> bool:
        if self._at == len(self._data):
            self._data, self._at = self._raw.read(_RAW_BYTES), 0
        return self._at < len(self._data)

    def _skip_padding(self) -> None:
        while self._has_more():
            if self._data.count(0, self._at) < len(self._data) - self._at:
                raise OSError("something follows the zero bytes behind the last member")
            self._at = len(self._data)

    def close(self) -> None:
        self._raw.close()


class _ArrowFile:
    """A `ByteStream` as the file object that Arrow asks for; it remembers the error that Arrow may rewrap."""

    closed = False

    def __init__(self, raw: ByteStream, check: Callable[[], None], guard: FrameGuard | None) -> None:
        self._raw = raw
        self._check = check
        self._guard = guard
        self.failure: Exception | None = None

    def read(self, size: int) -> bytes:
        try:
            self._check()
            data = self._raw.read(size)
            if self._guard:
                self._guard.feed(data)
        except Exception as error:
            self.failure = error
            raise
        return data

    def close(self) -> None:
        self._raw.close()


_MEMBERS: Mapping[str, Callable[[], _GzipMember | bz2.BZ2Decompressor]] = {
    "gzip": _GzipMember,
    "bz2": bz2.BZ2Decompressor,
}
