"""The bucket's files as the tables need them: listed, read and written by key, and each key's address for Iceberg.

A folder takes a bucket's place on this machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from services.shared.lake import find_file

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True, slots=True)
class StoredFile:
    key: str
    bytes: int
    etag: str
    modified: datetime


class Store(Protocol):
    """`root` is what stands before a key in an address, such as `s3://bucket/`."""

    @property
    def root(self) -> str: ...

    def list(self, prefix: str, after: str = "") -> Iterator[StoredFile]:
        """Files whose keys begin with `prefix` and come behind `after`, in the order of their keys."""

    def read(self, key: str) -> bytes | None:
        """A whole file; None where there is none."""

    def put(self, key: str, data: bytes) -> None:
        """Write a file, whole or not at all."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files; a missing one is fine."""


class S3Store:
    """A bucket of S3."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    @property
    def root(self) -> str:
        return f"s3://{self._bucket}/"

    def list(self, prefix: str, after: str = "") -> Iterator[StoredFile]:
        start: dict[str, Any] = {"StartAfter": after} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix, **start)
        for page in pages:
            for entry in page.get("Contents", []):
                yield StoredFile(entry["Key"], entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])

    def read(self, key: str) -> bytes | None:
        return find_file(self._client, self._bucket, key)

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=data)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._client.delete_object(Bucket=self._bucket, Key=key)


class FolderStore:
    """A folder. Etags are MD5, as S3's are of files that are uploaded in one piece."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    @property
    def root(self) -> str:
        return f"file://{self._folder}/"

    def list(self, prefix: str, after: str = "") -> Iterator[StoredFile]:
        top = self._folder / prefix.rpartition("/")[0]
        keys = sorted(file.relative_to(self._folder).as_posix() for file in top.rglob("*") if file.is_file())
        for key in keys:
            if key.startswith(prefix) and key > after:
                data, found = (self._folder / key).read_bytes(), (self._folder / key).stat()
                etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
                yield StoredFile(key, len(data), etag, datetime.fromtimestamp(found.st_mtime, UTC))

    def read(self, key: str) -> bytes | None:
        file = self._folder / key
        return file.read_bytes() if file.is_file() else None

    def put(self, key: str, data: bytes) -> None:
        file = self._folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.name}.tmp")
        unfinished.write_bytes(data)
        unfinished.replace(file)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self._folder / key).unlink(missing_ok=True)
