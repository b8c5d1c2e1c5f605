"""Folders for buckets: local files are read where they are, and the lake's files are written into a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from services.shared.identities import ObjectId
from services.shared.lake import ByteStream, ObjectGone
from services.shared.units import BronzeObject

BUCKET = "local"  # in place of a bucket's name; `_source` of a row begins with s3://local/bronze/
ACCOUNT = "account.json"  # in a lake's folder: what a trial wrote about itself
CONTRACTS = "contracts"  # and the folder of the contracts that judged
_KEY_BYTES = 800  # of a path; S3's keys have 1,024 bytes at most


def local_object(file: Path, dataset: str, created: datetime) -> BronzeObject:
    """A local file as an object of Bronze: its path is the key's end, and its size and time stand for its content.

    Raises:
        OSError: the file cannot be looked at.
    """
    found = file.stat()
    absolute = file.resolve()
    working = Path.cwd()
    name = absolute.relative_to(working) if absolute.is_relative_to(working) else Path(*absolute.parts[1:])
    end = shown(name).encode()[-_KEY_BYTES:].decode("utf-8", "ignore")  # the etag tells long names apart
    return BronzeObject(BUCKET, f"bronze/{dataset}/{end}", found.st_size, _etag(absolute, found), None, created)


def pattern(folder: Path, *parts: str) -> str:
    """A pattern, for glob and DuckDB, of what is in a folder; signs of patterns in the folder's own name are text."""
    return str(Path("".join(f"[{char}]" if char in "*?[" else char for char in str(folder)), *parts))


def walk(folder: Path, *, follow_links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, which leaves out a folder that cannot be looked into, and what is in it, without a word.

    Raises:
        OSError: a folder cannot be looked into.
    """

    def fail(error: OSError) -> None:
        raise error

    return os.walk(folder, onerror=fail, followlinks=follow_links)


def shown(file: Path) -> str:
    """A path as text: bytes of it that are not UTF-8 appear as escapes."""
    return str(file).encode("utf-8", "backslashreplace").decode()


def _etag(file: Path, found: os.stat_result) -> str:
    """What takes the place of a content's hash, which would cost reading the file once more."""
    known = f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns} {file}"
    return hashlib.blake2b(known.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


class FolderLake:
    """Implements `services.shared.lake.Lake`.

    Args:
        files: where the bytes of each object are. Other objects do not exist.
        out: the folder that is written to.
        on_bytes: told how many bytes were read, each time.

    `failure` keeps the error of the disk that made a write or a read fail: no other try helps against that.
    """

    def __init__(
        self, files: Mapping[ObjectId, Path], out: Path, on_bytes: Callable[[int], None] = lambda _: None
    ) -> None:
        self._files, self._out, self._on_bytes = files, out, on_bytes
        self.failure: OSError | None = None

    def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
        path = self._files[source.id]
        try:
            file = path.open("rb")
        except OSError as error:
            self.failure = self.failure or error
            raise

        def check() -> None:
            if _etag(path, os.fstat(file.fileno())) != source.etag:
                raise ObjectGone(f"{path}: was changed while it was read. Run this again when nothing writes to it")

        try:
            check()
        except ObjectGone:
            file.close()
            raise
        file.seek(start)
        return _Range(file, end - start, self._on_bytes, check)

    def put(self, key: str, data: bytes) -> str:
        path = self._out / key
        unfinished = path.with_name(f".{path.name}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(data)
            unfinished.replace(path)
        except OSError as error:
            self.failure = self.failure or error
            raise
        return _md5(data)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self._out / key).unlink(missing_ok=True)

    def read(self, key: str, etag: str) -> bytes:
        data = (self._out / key).read_bytes()
        if _md5(data) != etag:
            raise ObjectGone(f"{self._out / key}: was changed by another program")
        return data

    def holds(self, key: str, etag: str) -> bool:
        path = self._out / key
        return path.is_file() and _md5(path.read_bytes()) == etag


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class _Range:
    """Some bytes of a file. At their end, `check` says whether the file is still the one that was opened."""

    def __init__(self, file: BinaryIO, left: int, on_bytes: Callable[[int], None], check: Callable[[], None]) -> None:
        self._file, self._left, self._on_bytes, self._check = file, left, on_bytes, check

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        if not data or not self._left:
            self._check()
        self._on_bytes(len(data))
        return data

    def close(self) -> None:
        self._file.close()
