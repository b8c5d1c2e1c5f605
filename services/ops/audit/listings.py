"""What the audit asks of S3: every version in Bronze, every file in Silver and quarantine. Lists only, reads no data.

Permissions: s3:ListBucket on the Silver bucket, s3:ListBucketVersions on the Bronze bucket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT, ObjectId

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

ROOTS = (f"{QUARANTINE_ROOT}/", f"{SILVER_ROOT}/")


@dataclass(frozen=True, slots=True)
class BronzeVersion:
    """One version of one Bronze key. A noncurrent one counts: its content was uploaded, so its rows are owed."""

    id: ObjectId
    size: int  # bytes
    version_id: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file as the listing shows it."""

    key: str
    size: int  # bytes
    etag: str  # without quotes


class Listings(Protocol):
    """What the audit asks of S3. Pages hold up to 1,000 entries."""

    def bronze(self, prefix: str) -> Iterator[list[BronzeVersion]]:
        """All versions of all keys in Bronze, page by page."""

    def files(self) -> Iterator[list[ListedFile]]:
        """All files in Silver and quarantine, page by page."""

    def find_versions(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Those of these contents that are in Bronze now."""

    def find_files(self, keys: Iterable[str]) -> Mapping[str, ListedFile]:
        """Those of these files that are there now."""


class S3Listings:
    """Listings of two buckets on S3."""

    def __init__(self, client: S3Client, bronze_bucket: str, silver_bucket: str) -> None:
        self._client = client
        self._bronze = bronze_bucket
        self._silver = silver_bucket

    def bronze(self, prefix: str) -> Iterator[list[BronzeVersion]]:
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bronze, Prefix=prefix)
        for page in pages:
            yield self._versions(page)

    def files(self) -> Iterator[list[ListedFile]]:
        for root in ROOTS:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._silver, Prefix=root)
            for page in pages:
                yield _files(page)

    def find_versions(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """As `find_files`: never more requests than listing Bronze once more."""
        wanted = {id_ for id_ in ids if id_.bucket == self._bronze}
        keys, found = _in_order(id_.key for id_ in wanted), set[ObjectId]()
        marker: dict[str, Any] = {}
        while keys:
            start = marker or {"KeyMarker": _before(keys[0])}
            answer = self._client.list_object_versions(Bucket=self._bronze, **start)
            found |= wanted & {version.id for version in self._versions(answer)}
            if not answer.get("IsTruncated"):
                break
            last = answer["NextKeyMarker"]
            while keys and keys[0].encode() < last.encode():
                keys.popleft()
            further = bool(keys) and _before(keys[0]).encode() > last.encode()
            marker = {} if further else {"KeyMarker": last, **_version_marker(answer)}
        return found

    def find_files(self, keys: Iterable[str]) -> Mapping[str, ListedFile]:
        """Each request answers for all keys of its page, so there are never more than in listing everything again."""
        wanted, found = _in_order(keys), dict[str, ListedFile]()
        asked, last = set(wanted), ""
        while wanted:
            start = max(last, _before(wanted[0]), key=str.encode)
            answer = self._client.list_objects_v2(Bucket=self._silver, StartAfter=start)
            page = _files(answer)
            found |= {file.key: file for file in page if file.key in asked}
            if not answer.get("IsTruncated") or not page:
                break
            last = page[-1].key
            while wanted and wanted[0].encode() <= last.encode():
                wanted.popleft()
        return found

    def _versions(self, page: Any) -> list[BronzeVersion]:
        return [
            BronzeVersion(
                ObjectId(self._bronze, entry["Key"], entry["ETag"].strip('"')),
                entry["Size"],
                entry["VersionId"],
                entry["LastModified"],
            )
            for entry in page.get("Versions", [])
        ]


def _files(page: Any) -> list[ListedFile]:
    return [ListedFile(entry["Key"], entry["Size"], entry["ETag"].strip('"')) for entry in page.get("Contents", [])]


def _in_order(keys: Iterable[str]) -> deque[str]:
    """As S3 lists them: by the bytes of UTF-8."""
    return deque(sorted(set(keys), key=str.encode))


def _before(key: str) -> str:
    """A name that sorts before `key`, with few names in between."""
    return key[:-1]


def _version_marker(answer: Any) -> dict[str, str]:
    return {"VersionIdMarker": answer["NextVersionIdMarker"]} if answer.get("NextVersionIdMarker") else {}
