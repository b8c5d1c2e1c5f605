"""The content of compressed objects: every member and frame of them, or an error, never an early end.

Arrow decompresses. What it does not do is done here: limiting the memory that zstd frames ask for, and calling `check`
for compressed bytes too, which may hold next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from services.shared.errors import Terminal
from services.shared.lake import ByteStream
from services.shared.units import Unit
from services.transform.reading.zstd_frames import MAX_WINDOW_BYTES, FrameGuard, WindowTooLarge


class UnreadableUnit(Terminal):
    """The unit's bytes are damaged, or ask for too much memory: reading them again gives the same."""


class Decompressed:
    """A compressed stream's content. Damaged and truncated ones raise `UnreadableUnit`."""

    def __init__(self, raw: ByteStream, codec: str, unit: Unit, check: Callable[[], None]) -> None:
        self._unit = unit
        self._raw = _ArrowFile(raw, check, FrameGuard() if codec == "zstd" else None)
        self._stream = pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), codec)

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except WindowTooLarge as error:
            raise self._too_large(error) from None
        except OSError as error:
            match self._raw.failure:
                case WindowTooLarge() as failure:
                    raise self._too_large(failure) from None
                case Exception() as failure:
                    raise failure from None
            raise UnreadableUnit(
                f"{self._unit.id}: the compressed bytes are damaged or cut short ({error}); upload the object again"
            ) from error

    def _too_large(self, error: WindowTooLarge) -> UnreadableUnit:
        return UnreadableUnit(
            f"{self._unit.id}: a zstd frame needs a window of {error.window:,} bytes, and {MAX_WINDOW_BYTES:,} are "
            "allowed; compress the object again without --long and --ultra, and upload it"
        )

    def close(self) -> None:
        self._stream.close()


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
