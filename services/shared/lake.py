"""The object store at the rim: read a pinned version's bytes, write a file, delete files.

`Lake` is all that the services ask of S3, so tests can stand a store in memory in its place. Errors come out as
the two kinds that decide what happens next: the pinned bytes are gone (terminal), or S3 did not answer (transient).
"""

from __future__ import annotations

from collections.abc import Iterable
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from services.shared.errors import Terminal, Transient
from services.shared.units import BronzeObject

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class ObjectGone(Terminal):
    """The version of the object that a unit names cannot be read any more, or never could be by us."""


class LakeUnavailable(Transient):
    """S3 did not answer, or stopped in the middle."""


class LakeForbidden(Transient):
    """S3 refuses us. A role or a policy can be repaired, so the work waits for that instead of failing."""


class ByteStream(Protocol):
    """Bytes in order. `read` returns at most `size` bytes, and `b""` only at the end."""

    def read(self, size: int) -> bytes: ...

    def close(self) -> None: ...


class Lake(Protocol):
    """What the services ask of S3."""

    def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
        """Bytes `[start, end)` of exactly this version; `0 <= start < end <= source.size`."""

    def put(self, key: str, data: bytes) -> str:
        """Write a file into the lake's bucket, whole or not at all. Gives its etag."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files from the lake's bucket; a missing one is fine."""


_GONE = {
    "NoSuchKey": "it was deleted",
    "NoSuchVersion": "this version was deleted",
    "404": "it was deleted",
    "PreconditionFailed": "it was overwritten, and the version that was announced is not kept",
    "412": "it was overwritten, and the version that was announced is not kept",
    "InvalidObjectState": "it is archived and must be restored first",
    "InvalidRange": "it is shorter than its event said",
}
# With s3:ListBucket, S3 answers 404 for a missing object, so these mean what they say.
_FORBIDDEN = {"AccessDenied", "403", "AllAccessDisabled", "KMS.DisabledException", "KMS.AccessDeniedException"}


class S3Lake:
    """The lake on S3. `bucket` is where files are written; objects carry their own bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
        version: dict[str, Any] = {"VersionId": source.version_id} if source.version_id else {}
        try:
            answer = self._client.get_object(
                Bucket=source.bucket,
                Key=source.key,
                Range=f"bytes={start}-{end - 1}",
                IfMatch=f'"{source.etag}"',
                **version,
            )
        except ClientError as error:
            raise _refusal(source, error) from error
        except (BotoCoreError, HTTPError) as error:
            raise LakeUnavailable(f"{source.id}: {error}") from error
        return _Body(answer["Body"], source, end - start)

    def put(self, key: str, data: bytes) -> str:
        answer = self._client.put_object(
            Bucket=self._bucket, Key=key, Body=data, ContentType="application/vnd.apache.parquet"
        )
        return answer["ETag"].strip('"')

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._client.delete_object(Bucket=self._bucket, Key=key)


def _refusal(source: BronzeObject, error: ClientError) -> ObjectGone | LakeForbidden | LakeUnavailable:
    code = error.response["Error"]["Code"]
    if code in _GONE:
        return ObjectGone(
            f"{source.id} cannot be read: {_GONE[code]} ({code}). If the bytes can be had, upload them again to the "
            "same key: they are the same object, and its missing rows are read"
        )
    if code in _FORBIDDEN:
        return LakeForbidden(
            f"{source.id} cannot be read: S3 refuses ({error}). Allow transform's role s3:GetObject, "
            "s3:GetObjectVersion and, for an encrypted object, kms:Decrypt; it is tried again until then"
        )
    return LakeUnavailable(f"{source.id}: {error}")


class _Body:
    """A response body whose broken connections come out as `LakeUnavailable`, never as an early end."""

    def __init__(self, body: Any, source: BronzeObject, length: int) -> None:
        self._body = body
        self._source = source
        self._left = length

    def read(self, size: int) -> bytes:
        if not self._left:
            return b""
        try:
            data: bytes = self._body.read(min(size, self._left))
        except (BotoCoreError, HTTPError, HTTPException, OSError) as error:  # SSLError and broken chunks among them
            raise LakeUnavailable(f"{self._source.id}: the connection broke while reading: {error}") from error
        if not data:
            raise LakeUnavailable(f"{self._source.id}: S3 sent {self._left} bytes less than it announced")
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._body.close()
