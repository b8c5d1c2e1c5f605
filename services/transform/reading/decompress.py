"""The content of compressed objects: every member and frame of them, or an error, never an early end.

Arrow decompresses. What it does not do is done here: limiting the memory that zstd frames ask for, calling `check` for
compressed bytes too, which may hold next to nothing, and reading bzip2 streams that are empty.
"""

from __future__ import annotations

import bz2
from collections.abc import Callable

import pyarrow as pa

from services.shared.errors import Terminal
from services.shared.lake import ByteStream
from services.shared.units import Unit
from services.transform.reading.zstd_frames import FrameGuard, RefusedFrame

_RAW_BYTES = 64 * 1024  # of compressed bytes that are read at once, as Arrow does


class UnreadableUnit(Terminal):
    """The unit's bytes are damaged, or ask for too much memory: reading them again gives the same."""


class Decompressed:
    """A compressed stream's content. Damaged and truncated ones raise `UnreadableUnit`."""

    def __init__(self, raw: ByteStream, codec: str, unit: Unit, check: Callable[[], None]) -> None:
        self._unit = unit
        self._raw = _ArrowFile(raw, check, FrameGuard() if codec == "zstd" else None)
        self._stream = (
            _Bzip2(self._raw) if codec == "bz2" else pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), codec)
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


class _Bzip2:
    """The content of bzip2 streams that follow each other."""

    def __init__(self, raw: _ArrowFile) -> None:
        self._raw = raw
        self._stream = bz2.BZ2Decompressor()
        self._is_begun = False  # whether any byte of the current stream has been read

    def read(self, size: int) -> bytes:
        """At most `size` bytes, and none only at the end.

        Raises:
            OSError: the bytes are not bzip2, or they are cut short.
        """
        while True:
            if self._stream.eof:
                left, self._stream = self._stream.unused_data, bz2.BZ2Decompressor()
            else:
                left = b""
            if not left and self._stream.needs_input:
                left = self._raw.read(_RAW_BYTES)
                if not left:
                    if self._is_begun:
                        raise OSError("the stream is truncated")
                    return b""
            data = self._stream.decompress(left, size)
            self._is_begun = not self._stream.eof
            if data:
                return data

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
