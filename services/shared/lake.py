"""The object store at the rim: read a pinned object's bytes, write a file, delete files.

`Lake` is all that the services ask of S3, so tests can put a store in memory in its place. Errors come out as the two
kinds that decide what happens next: the pinned bytes cannot be had any more (terminal), or not now (transient).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Protocol

import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from services.shared.errors import Terminal, Transient
from services.shared.units import BronzeObject

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class ObjectGone(Terminal):
    """The bytes that a unit names do not exist any more, or never did, or must be restored by somebody.

    `advice` is for an object that waits to be loaded. Whoever has its rows in Silver would lose them by it.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"{what}; {advice}" if advice else what)
        self.what = what
        self.advice = advice


class LakeUnavailable(Transient):
    """S3 did not answer, or stopped in the middle."""


class LakeForbidden(LakeUnavailable):
    """S3 refused us. A policy can be corrected, so nothing is given up for it."""


class LakeSignedOut(LakeForbidden):
    """It is not about one object: nobody knows who we are."""


class ByteStream(Protocol):
    """Bytes in order. `read` returns at most `size` bytes, and `b""` only at the end."""

    def read(self, size: int) -> bytes: ...

    def close(self) -> None: ...


class Lake(Protocol):
    """What the services ask of S3."""

    def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
        """Bytes `[start, end)` of exactly this content; `0 <= start < end <= source.size`."""

    def read(self, key: str, etag: str) -> bytes:
        """A whole file of the lake's bucket, with exactly this content."""

    def put(self, key: str, data: bytes) -> str:
        """Write a file into the lake's bucket, whole or not at all. Returns its etag, without quotes."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files from the lake's bucket, one request for each; a missing one is fine."""

    def holds(self, key: str, etag: str) -> bool:
        """Whether a file with this content is in the lake's bucket."""


def open_pinned(lake: Lake, source: BronzeObject, start: int, end: int) -> ByteStream:
    """Bytes `[start, end)` of this content, from a replay's copy where its own are gone.

    Raises:
        ObjectGone: they are nowhere.
        LakeUnavailable: S3 did not answer; try again.
    """
    try:
        return lake.open(source, start, end)
    except ObjectGone as gone:
        if source.copy is None:
            raise
        try:
            return lake.open(source.at(source.copy), start, end)
        except ObjectGone as second:
            raise ObjectGone(f"{gone.what}. Nor can its copy be read: {second.what}", gone.advice) from second


_UPLOAD_AGAIN = "upload the same bytes again or, where they are lost, give it up with `smelt retract`"
_OTHER = "its content is another one than was announced, which has a message of its own"
_GIVE_UP = "give this one up with `smelt retract`"
_GONE = {  # what happened, and the advice
    "NoSuchKey": ("it was deleted", _UPLOAD_AGAIN),
    "404": ("it was deleted", _UPLOAD_AGAIN),
    "NoSuchVersion": ("this version was deleted", _UPLOAD_AGAIN),
    "PreconditionFailed": (_OTHER, _GIVE_UP),
    "412": (_OTHER, _GIVE_UP),
    "InvalidObjectState": ("it is archived; restore it, then run this again, or redrive its dead letter", ""),
    "InvalidRequest": (
        "S3 cannot serve it to us, as an object that is encrypted with its uploader's own key (SSE-C)",
        "upload it without that",
    ),
    "InvalidRange": ("it is shorter than was announced", _UPLOAD_AGAIN),
}
# S3's answer about a missing object, too, unless it takes us for somebody who may list the bucket (see `_lists_key`).
_DENIED = {"AccessDenied", "403"}
_SIGNED_OUT = {"ExpiredToken", "InvalidAccessKeyId"}
_KEY_UNUSABLE = {"KMS.DisabledException", "KMS.KMSInvalidStateException", "KMS.NotFoundException"}  # or to be deleted
_FORBIDDEN = {"AccessDenied", "AllAccessDisabled", "403", *_KEY_UNUSABLE}

# What botocore lets through when a response's body breaks off: its own errors, urllib3's, http.client's and sockets'.
_BROKEN_BODY = (BotoCoreError, urllib3.exceptions.HTTPError, HTTPException, OSError)


_SKIP_BYTES = 1024 * 1024
_DELETERS = 8  # a lot may have thousands of files; one after the other they would take minutes


class S3Lake:
    """The lake on S3. `bucket` is where files are written; objects carry their own bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
        """Bytes of the object, pinned by its etag, and by its version where it has one.

        Raises:
            ObjectGone: these bytes cannot be read any more; the message says why.
            LakeForbidden: our role may not read them. Where it may list the key, a missing object is told apart.
            LakeUnavailable: S3 did not answer.
        """
        pinned: dict[str, Any] = {"IfMatch": f'"{source.etag}"'}
        if source.version_id:
            pinned["VersionId"] = source.version_id
        try:
            answer = self._client.get_object(
                Bucket=source.bucket, Key=source.key, Range=f"bytes={start}-{end - 1}", **pinned
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _DENIED and self._lists_nothing(source):
                code = "NoSuchVersion" if source.version_id else "NoSuchKey"
            if code in _GONE:
                what, advice = _GONE[code]
                raise ObjectGone(f"{source.id} cannot be read ({code}): {what}", advice) from error
            raise _refused(str(source.id), "read", error) from error
        except BotoCoreError as error:
            raise LakeUnavailable(f"{source.id} cannot be read now: {error}") from error
        skip = start - _first_byte(answer, source, start, end)
        return _Body(answer["Body"], source, skip, end - start)

    def read(self, key: str, etag: str) -> bytes:
        """
        Raises:
            ObjectGone: the file is not there, or has another content.
            LakeForbidden: our role may not read it.
            LakeUnavailable: S3 did not answer.
        """
        pinned = f'"{etag.strip(chr(34))}"'
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=pinned)
            data = answer["Body"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _GONE or (code in _DENIED and not _lists_key(self._client, self._bucket, key)):
                raise ObjectGone(
                    f"s3://{self._bucket}/{key} cannot be read as it was written, with etag {etag} ({code}). Somebody "
                    "changed the bucket: smelt audit shows what is missing, and what to do"
                ) from error
            raise _refused(key, "read", error) from error
        except _BROKEN_BODY as error:
            raise LakeUnavailable(f"{key}: the connection broke while reading: {error}") from error
        if len(data) != answer["ContentLength"]:
            raise LakeUnavailable(f"{key}: S3 sent {len(data)} bytes of {answer['ContentLength']}")
        return data

    def put(self, key: str, data: bytes) -> str:
        """
        Raises:
            LakeForbidden: our role may not write it.
            LakeUnavailable: S3 did not answer; the file may have been written.
        """
        try:
            answer = self._client.put_object(
                Bucket=self._bucket, Key=key, Body=data, ContentType="application/vnd.apache.parquet"
            )
        except ClientError as error:
            raise _refused(key, "written", error) from error
        except BotoCoreError as error:
            raise LakeUnavailable(f"{key} cannot be written now: {error}") from error
        return answer["ETag"].strip('"')

    def delete(self, keys: Iterable[str]) -> None:
        """
        Raises:
            LakeForbidden: our role may not delete it.
            LakeUnavailable: S3 did not answer; the file may have been deleted.
        """
        with ThreadPoolExecutor(_DELETERS) as pool:
            deletions = [pool.submit(self._delete, key) for key in keys]
            try:
                for deletion in deletions:
                    deletion.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # after a refusal, the rest would be refused, too

    def holds(self, key: str, etag: str) -> bool:
        """
        Raises:
            LakeForbidden: our role may not read it. Unless it may list the key, a missing file looks the same.
            LakeUnavailable: S3 did not answer, or there is no such bucket.
        """
        try:
            return self._client.head_object(Bucket=self._bucket, Key=key)["ETag"].strip('"') == etag
        except ClientError as error:
            if is_missing(self._client, self._bucket, key, error):
                return False
            raise _refused(key, "looked at", error) from error
        except BotoCoreError as error:
            raise LakeUnavailable(f"{key} cannot be looked at now: {error}") from error

    def _lists_nothing(self, source: BronzeObject) -> bool:
        """Whether a listing shows that the object, or the version that is pinned, does not exist."""
        if source.version_id:
            return not _lists_version(self._client, source.bucket, source.key, source.version_id)
        return not _lists_key(self._client, source.bucket, source.key)

    def _delete(self, key: str) -> None:
        try:
            self._client.delete_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            raise _refused(key, "deleted", error) from error
        except BotoCoreError as error:
            raise LakeUnavailable(f"{key} cannot be deleted now: {error}") from error


def _first_byte(answer: Any, source: BronzeObject, start: int, end: int) -> int:
    """Where in the object an answer begins. HTTP allows a server to ignore the range and to send everything.

    Raises:
        LakeUnavailable: the answer is neither the range that was asked for nor the whole object.
    """
    if answer.get("ContentRange") == f"bytes {start}-{end - 1}/{source.size}":
        return start
    if "ContentRange" not in answer and answer["ContentLength"] == source.size:
        return 0
    raise LakeUnavailable(
        f"{source.id}: bytes {start}-{end - 1} of {source.size} were asked for, and the store sent "
        f"{answer.get('ContentRange', 'no range')} in {answer['ContentLength']} bytes"
    )


def find_file(client: S3Client, bucket: str, key: str) -> bytes | None:
    """A small file; None where there is none.

    Raises:
        ClientError, BotoCoreError: S3 refuses, or does not answer.
    """
    try:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if is_missing(client, bucket, key, error):
            return None
        raise


def is_missing(client: S3Client, bucket: str, key: str, error: ClientError) -> bool:
    """Whether S3's answer to a request for an object means that there is none, also where it only says "forbidden"."""
    code = error.response["Error"]["Code"]
    return code in {"404", "NoSuchKey"} or (code in _DENIED and not _lists_key(client, bucket, key))


def _lists_key(client: S3Client, bucket: str, key: str) -> bool:
    """Whether a listing has this key; True, too, where we may not list it, or S3 does not answer.

    S3 answers 404 for a missing object to whoever may list the bucket, else 403. Our roles may list below a prefix only
    (`s3:prefix`). A request for an object has no such parameter, so a policy with that condition may not match it; a
    listing of the key has. A key comes before all others that begin with it.
    """
    try:
        answer = client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    except (BotoCoreError, ClientError):
        return True  # nothing is known: it stays forbidden
    return any(entry["Key"] == key for entry in answer.get("Contents", []))


def _lists_version(client: S3Client, bucket: str, key: str, version_id: str) -> bool:
    """The same of one version of a key."""
    try:
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
            if any((entry["Key"], entry["VersionId"]) == (key, version_id) for entry in page.get("Versions", [])):
                return True
            if any(entry["Key"] != key for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]):
                return False
    except (BotoCoreError, ClientError):
        return True
    return False


def _refused(name: str, done: str, error: ClientError) -> LakeUnavailable:
    """The error for an answer that may be another one later."""
    code = error.response["Error"]["Code"]
    if code in _SIGNED_OUT:
        return LakeSignedOut(
            f"{name} cannot be {done} ({code}): the credentials are wrong or have expired. Nothing is lost: sign in to "
            "AWS again, then run this again"
        )
    if code in _FORBIDDEN:
        return LakeForbidden(
            f"{name} cannot be {done} ({code}): {error}; check the function's role, the bucket's policy and the policy "
            "of its KMS key. Nothing is lost"
        )
    return LakeUnavailable(f"{name} cannot be {done} now ({code}): {error}")


class _Body:
    """A response body whose broken connections come out as `LakeUnavailable`, never as an early end.

    The first `skip` bytes are passed over.
    """

    def __init__(self, body: Any, source: BronzeObject, skip: int, length: int) -> None:
        self._body = body
        self._source = source
        self._skip = skip
        self._left = length

    def read(self, size: int) -> bytes:
        while self._skip:
            self._skip -= len(self._receive(min(self._skip, _SKIP_BYTES)))
        if not self._left:
            return b""
        data = self._receive(min(size, self._left))
        self._left -= len(data)
        return data

    def _receive(self, size: int) -> bytes:
        try:
            data: bytes = self._body.read(size)
        except _BROKEN_BODY as error:
            raise LakeUnavailable(f"{self._source.id}: the connection broke while reading: {error}") from error
        if not data:
            missing = self._skip + self._left
            raise LakeUnavailable(f"{self._source.id}: S3 sent {missing} bytes less than it announced")
        return data

    def close(self) -> None:
        self._body.close()
