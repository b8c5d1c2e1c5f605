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


class UnreadableUnit(Terminal):
    """The unit's bytes are damaged: reading them again gives the same."""


class Decompressed:
    """A compressed stream's content. Damaged and truncated ones raise `UnreadableUnit`."""

    def __init__(self, raw: ByteStream, codec: str, unit: Unit, check: Callable[[], None]) -> None:
        self._unit = unit
        self._raw = _ArrowFile(raw, check)
        self._stream = pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), codec)

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except OSError as error:
            if self._raw.failure:
                raise self._raw.failure from None
            raise UnreadableUnit(
                f"{self._unit.id}: the compressed bytes are damaged or cut short ({error}); upload the object again"
            ) from error

    def close(self) -> None:
        self._stream.close()


class _ArrowFile:
    """A `ByteStream` as the file object that Arrow asks for; it remembers the error that Arrow may rewrap."""

    closed = False

    def __init__(self, raw: ByteStream, check: Callable[[], None]) -> None:
        self._raw = raw
        self._check = check
        self.failure: Exception | None = None

    def read(self, size: int) -> bytes:
        try:
            self._check()
            return self._raw.read(size)
        except Exception as error:
            self.failure = error
            raise

    def close(self) -> None:
        self._raw.close()
