"""Where a job's files are: a bucket, or a folder in its place. Both in the driver and in Spark's workers.

Files are read by their content: whoever changed one after the plan was made is noticed. Nothing is ever deleted or
written over, so a job that dies at any step leaves what others read as it was.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from services.shared.aws import aws_client
from services.shared.lake import LakeUnavailable, ObjectGone, S3Lake, find_file, is_missing


class Store(Protocol):
    """What the jobs ask of their files' place."""

    def size(self, key: str) -> int:
        """The bytes of a file, whatever its content. Raises ObjectGone, LakeUnavailable."""

    def read(self, key: str, etag: str) -> bytes:
        """A whole file with exactly this content. Raises ObjectGone, LakeUnavailable."""

    def put(self, key: str, data: bytes) -> str:
        """Write a file, whole or not at all; its etag. Raises LakeUnavailable."""

    def find(self, key: str) -> bytes | None:
        """A small file, or None where there is none. Raises LakeUnavailable."""


def store_at(root: str) -> Store:
    """The store of `s3://bucket`, or of a folder."""
    if root.startswith("s3://"):
        return S3Store(root.removeprefix("s3://").strip("/"))
    return FolderStore(Path(root))


def bronze_at(root: str, bucket: str) -> Store:
    """Where the objects of a bucket of Bronze are: there, or in a folder in its place."""
    return FolderStore(Path(root)) if root else S3Store(bucket)


class S3Store(S3Lake):
    """A bucket, with the credentials that the job has."""

    def __init__(self, bucket: str) -> None:
        client = aws_client("s3", silence=60)
        super().__init__(client, bucket)
        self._finder = client

    def size(self, key: str) -> int:
        try:
            return int(self._finder.head_object(Bucket=self._bucket, Key=key)["ContentLength"])
        except ClientError as error:
            if is_missing(self._finder, self._bucket, key, error):
                raise ObjectGone(f"s3://{self._bucket}/{key} is not there any more") from error
            raise LakeUnavailable(f"s3://{self._bucket}/{key} cannot be looked at: {error}") from error
        except BotoCoreError as error:
            raise LakeUnavailable(f"s3://{self._bucket}/{key} cannot be looked at now: {error}") from error

    def find(self, key: str) -> bytes | None:
        try:
            return find_file(self._finder, self._bucket, key)
        except ClientError as error:
            raise LakeUnavailable(f"s3://{self._bucket}/{key} cannot be read: {error}") from error
        except BotoCoreError as error:
            raise LakeUnavailable(f"s3://{self._bucket}/{key} cannot be read now: {error}") from error


class FolderStore:
    """A folder. Etags are MD5, as S3's are for such files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def size(self, key: str) -> int:
        path = self._root / key
        if not path.is_file():
            raise ObjectGone(f"{path} is not there any more")
        return path.stat().st_size

    def read(self, key: str, etag: str) -> bytes:
        data = self.find(key)
        if data is None or _md5(data) != etag:
            raise ObjectGone(f"{self._root / key} is not there, or has another content than the plan says")
        return data

    def put(self, key: str, data: bytes) -> str:
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.tmp")
        unfinished.write_bytes(data)
        unfinished.replace(path)
        return _md5(data)

    def find(self, key: str) -> bytes | None:
        path = self._root / key
        return path.read_bytes() if path.is_file() else None


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
