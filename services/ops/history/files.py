"""The history's files on S3. A file is put once: whoever comes second finds the first one's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from services.shared.identities import HISTORY_ROOT, HistoryKey
from services.shared.lake import find_file

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class HistoryFiles(Protocol):
    """What the history asks of S3."""

    def names(self, table: str, first_day: date | None = None) -> Iterator[str]:
        """All keys of a table's files from this UTC day on, in order, whoever put them there."""

    def read(self, key: str) -> bytes | None:
        """A file's bytes; None where there is none."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Put a file, whole. False where there was one already; that one stays."""


class S3HistoryFiles:
    """The history in the Silver bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def names(self, table: str, first_day: date | None = None) -> Iterator[str]:
        root = f"{HISTORY_ROOT}/{table}/"
        start: Any = {"StartAfter": f"{root}dt={first_day.isoformat()}/"} if first_day else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=root, **start)
        for page in pages:
            yield from (entry["Key"] for entry in page.get("Contents", []))

    def read(self, key: str) -> bytes | None:
        return find_file(self._client, self._bucket, key)

    def put_new(self, key: str, data: bytes) -> bool:
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=data,
                IfNoneMatch="*",
                ContentType="application/vnd.apache.parquet",
            )
        except ClientError as error:
            # 409: another put of the same key is going on; whoever comes next finds that one's file.
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
                return False
            raise
        return True


def parsed(names: Iterator[str]) -> Iterator[HistoryKey]:
    """Those of these keys that are the history's; what else lies there is none of its business."""
    for name in names:
        try:
            yield HistoryKey.parse(name)
        except ValueError:
            continue
