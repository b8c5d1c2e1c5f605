"""New files of a lot, on this machine's disk until all of them are made.

They wait one behind the other in one file: a lot may have thousands, and a process may open 1,024 at once on Lambda and
on most machines with Linux, and 256 on macOS.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from typing import IO


class WaitingFiles:
    """The bytes of files by their keys. May be read by several threads."""

    def __init__(self) -> None:
        self._disk: IO[bytes] | None = None
        self._places: dict[str, tuple[int, int]] = {}  # the first byte, and how many

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def add(self, key: str, data: bytes) -> None:
        """
        Raises:
            OSError: there is no room; it names the folder.
        """
        try:
            if self._disk is None:
                self._disk = tempfile.TemporaryFile(prefix="smelt-rewrite-", buffering=0)  # noqa: SIM115 (closed by `clear`)
            at = self._disk.seek(0, os.SEEK_END)
            if self._disk.write(data) < len(data):  # what a full disk had room for
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{tempfile.gettempdir()} (TMPDIR)") from error
        self._places[key] = at, len(data)

    def read(self, key: str) -> bytes:
        at, size = self._places[key]
        if self._disk is None:
            raise KeyError(key)
        return os.pread(self._disk.fileno(), size, at)

    def clear(self) -> None:
        self._places.clear()
        if self._disk is not None:
            self._disk.close()
            self._disk = None
