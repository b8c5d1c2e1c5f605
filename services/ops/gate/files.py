"""The files that the gate looks at and writes: Silver's keys, plans, results, pages, markers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from services.shared.lake import find_file, is_missing

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

HTML, JSON = "text/html; charset=utf-8", "application/json"


class GateFiles(Protocol):
    """One bucket, or a folder in its place. `root` is how the job finds it."""

    @property
    def root(self) -> str: ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that begin so, in order."""

    def folders(self, prefix: str) -> list[str]:
        """The names right below a prefix that ends with a slash, in order."""

    def has(self, key: str) -> bool: ...

    def read(self, key: str) -> bytes | None:
        """None where there is no such file."""

    def write(self, key: str, data: bytes, content_type: str) -> None: ...


class S3GateFiles:
    """A bucket on S3."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client, self._bucket = client, bucket
        self.root = f"s3://{bucket}"

    def keys(self, prefix: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", []))

    def folders(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        found = (entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", []))
        return [key.removeprefix(prefix).rstrip("/") for key in found]

    def has(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if is_missing(self._client, self._bucket, key, error):
                return False
            raise
        return True

    def read(self, key: str) -> bytes | None:
        return find_file(self._client, self._bucket, key)

    def write(self, key: str, data: bytes, content_type: str) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=content_type)


class FolderFiles:
    """A folder on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self.root = str(self._folder)

    def keys(self, prefix: str) -> Iterator[str]:
        top = self._folder / prefix.rpartition("/")[0]
        found = (file.relative_to(self._folder).as_posix() for file in top.rglob("*") if file.is_file())
        return iter(sorted(key for key in found if key.startswith(prefix)))

    def folders(self, prefix: str) -> list[str]:
        top = self._folder / prefix
        return sorted(entry.name for entry in top.iterdir() if entry.is_dir()) if top.is_dir() else []

    def has(self, key: str) -> bool:
        return (self._folder / key).is_file()

    def read(self, key: str) -> bytes | None:
        return (self._folder / key).read_bytes() if self.has(key) else None

    def write(self, key: str, data: bytes, content_type: str) -> None:  # noqa: ARG002 (files have none)
        file = self._folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
