"""Listings of Bronze, page by page, from any key on. Lists only: s3:ListBucket, and s3:ListBucketVersions for versions.

An object comes as smelt knows objects; its time is S3's `LastModified`, which is when its event was due.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from services.shared.identities import ObjectId
from services.shared.units import BronzeObject

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class Versions(NamedTuple):
    """A page of a listing of versions, which may hold none: S3 lists the marks of deleted objects among them."""

    contents: list[BronzeObject]
    whole: str  # all that the listing has up to this key was in this page, or before it; empty where that is no key
    gone: frozenset[ObjectId] = frozenset()  # contents that were overwritten or deleted

    @classmethod
    def of(
        cls, contents: list[BronzeObject], keys: Iterable[str], current: Iterable[ObjectId] | None = None
    ) -> Versions:
        """
        Args:
            keys: those of all of the page's entries, in order. The last one may go on in the next page.
            current: contents that readers of the bucket see; all where there is none.
        """
        different = list(dict.fromkeys(keys))
        gone = frozenset[ObjectId]() if current is None else frozenset(one.id for one in contents) - set(current)
        return cls(contents, different[-2] if len(different) > 1 else "", gone)


class Listing(Protocol):
    """What replay and reconcile ask of Bronze. Pages of up to 1,000 entries, by the bytes of the keys."""

    @property
    def bucket(self) -> str: ...

    def objects(self, prefix: str, after: str = "") -> Iterator[list[BronzeObject]]:
        """The objects that are there now, behind a key."""

    def versions(self, prefix: str, after: str = "") -> Iterator[Versions]:
        """All contents: those that were overwritten or deleted, too, where the bucket keeps versions."""

    def pinned(self, source: BronzeObject) -> BronzeObject | None:
        """A listed object with its version, which a listing of objects does not tell; None where it is gone."""


class S3Bronze:
    """The Bronze bucket on S3."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def objects(self, prefix: str, after: str = "") -> Iterator[list[BronzeObject]]:
        start: dict[str, Any] = {"StartAfter": after} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix, **start)
        for page in pages:
            yield [self._object(entry) for entry in page.get("Contents", [])]

    def versions(self, prefix: str, after: str = "") -> Iterator[Versions]:
        start: dict[str, Any] = {"KeyMarker": after} if after else {}
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix, **start)
        for page in pages:
            found, gone = page.get("Versions", []), page.get("DeleteMarkers", [])
            keys = [*(entry["Key"] for entry in found), *(entry["Key"] for entry in gone)]
            current = [self._object(entry).id for entry in found if entry.get("IsLatest", True)]
            yield Versions.of([self._object(entry) for entry in found], sorted(keys, key=str.encode), current)

    def pinned(self, source: BronzeObject) -> BronzeObject | None:
        for page in self.versions(source.key):  # its own versions come first, the newest before the others
            for version in page.contents:
                if version.key != source.key:
                    return None
                if version.etag == source.etag:
                    return version
        return None

    def _object(self, entry: Any) -> BronzeObject:
        version = entry.get("VersionId")
        # `null` is what S3 calls the version of an object from before the bucket kept any; its event names none.
        pinned = version if version != "null" or not entry.get("IsLatest") else None
        return BronzeObject(
            self.bucket, entry["Key"], entry["Size"], entry["ETag"].strip('"'), pinned, entry["LastModified"]
        )
