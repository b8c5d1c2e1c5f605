"""Emptying a bucket: every object, every version, every delete marker, every unfinished upload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True, slots=True)
class Contents:
    """What emptying would delete. `versions` counts delete markers too; `bytes` are those of all versions."""

    versions: int = 0
    bytes: int = 0
    uploads: int = 0

    @property
    def entries(self) -> int:
        return self.versions + self.uploads


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that S3 would not delete, and why."""

    key: str
    version_id: str
    reason: str


def exists(s3: S3Client, bucket: str) -> bool:
    """Whether the bucket exists.

    Raises:
        ClientError: S3 does not say, for example without permission.
    """
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchBucket"}:
            return False
        raise
    return True


def contents(s3: S3Client, bucket: str) -> Contents:
    """Count what is in a bucket."""
    versions = size = 0
    for page in _pages_of_versions(s3, bucket):
        versions += len(page)
        size += sum(version.get("Size", 0) for version in page)
    return Contents(versions, size, sum(1 for _ in _uploads(s3, bucket)))


def empty(s3: S3Client, bucket: str) -> Iterator[list[Kept]]:
    """Delete everything, up to a thousand entries in each step. Yields after each step what it could not delete."""
    for upload in _uploads(s3, bucket):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in _pages_of_versions(s3, bucket):
        entries: Any = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in page]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": entries, "Quiet": True})
        yield [
            Kept(error.get("Key", ""), error.get("VersionId", ""), f"{error.get('Code')}: {error.get('Message')}")
            for error in answer.get("Errors", [])
        ]


def _pages_of_versions(s3: S3Client, bucket: str) -> Iterator[list[Any]]:
    """Versions and delete markers, at most a thousand in a page: the most that S3 deletes in one request."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        if found := [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            yield found


def _uploads(s3: S3Client, bucket: str) -> Iterator[Any]:
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        yield from page.get("Uploads", [])
