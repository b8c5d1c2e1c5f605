"""Copies under `bronze/replay/`: S3 copies, no byte comes here. A copy says of which content it was made.

S3 copies up to 5 GB at once (Amazon S3 User Guide, "Copying, moving, and renaming objects"); larger objects go in
parts. Every request names the source's ETag, so what was overwritten since it was listed is not copied.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from services.shared.errors import Terminal
from services.shared.identities import CopyKey, ObjectId
from services.shared.planning.copies import ORIGIN_ETAG
from services.shared.units import MAX_KEY_BYTES, BronzeObject

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SINGLE_BYTES = 5 * 10**9
COPY_SECONDS = 300  # S3 may be silent so long while it copies
_LEAST_PART_BYTES = 256 * 1024**2
_MOST_PARTS = 10_000
_PART_COPIERS = 8
_CHANGED = {"PreconditionFailed", "412", "NoSuchKey", "404", "NoSuchVersion"}
_NOT_THIS_ONE = {
    "InvalidObjectState": "it is archived; restore it first",
    "ObjectNotInActiveTierError": "it is archived; restore it first",
    "InvalidRequest": "S3 cannot read it for us, as an object that is encrypted with its uploader's own key (SSE-C)",
}


class SourceChanged(Terminal):
    """The object was overwritten or deleted after it was listed."""


class KeyTooLong(Terminal):
    """S3 has no room for the copy's key."""


class NotCopyable(Terminal):
    """S3 does not copy this object as it is; others are not concerned."""


class Copier:
    """Copies objects of one bucket to a prefix in it."""

    def __init__(
        self,
        client: S3Client,
        prefix: str,
        single_bytes: int = SINGLE_BYTES,
        least_part_bytes: int = _LEAST_PART_BYTES,
    ) -> None:
        self._client = client
        self.prefix = prefix
        self._single_bytes = single_bytes
        self._least_part_bytes = least_part_bytes

    def key_of(self, origin: ObjectId) -> str:
        """Where the copy of an origin goes."""
        return str(CopyKey(self.prefix, origin.key))

    def checked_key_of(self, origin: ObjectId) -> str:
        """
        Raises:
            KeyTooLong: the copy's key would be longer than S3 allows.
        """
        key = self.key_of(origin)
        if len(key.encode()) > MAX_KEY_BYTES:
            raise KeyTooLong(f"{origin}: its copy would have a key of {len(key.encode()):,} bytes; S3 takes 1,024")
        return key

    def copy(self, source: BronzeObject, origin: ObjectId) -> None:
        """Copy what was listed as a request to finish `origin`. Safe to repeat.

        Raises:
            SourceChanged: it is not there any more as it was listed.
            KeyTooLong: the copy's key would be longer than S3 allows.
            NotCopyable: it is archived, forbidden, or encrypted with a key that we may not use.
            ClientError, BotoCoreError: S3 refuses, or does not answer.
        """
        key = self.checked_key_of(origin)
        pinned: Any = {
            "CopySource": {"Bucket": source.bucket, "Key": source.key},
            "CopySourceIfMatch": f'"{source.etag}"',
        }
        metadata: Any = {ORIGIN_ETAG: origin.etag}
        try:
            if source.size <= self._single_bytes:
                # Without its tags: to copy them needs two more rights, and S3 would refuse each object that has some.
                self._client.copy_object(
                    Bucket=source.bucket,
                    Key=key,
                    Metadata=metadata,
                    MetadataDirective="REPLACE",
                    TaggingDirective="REPLACE",  # none: copying them would need rights of its own
                    **pinned,
                )
            else:
                self._copy_in_parts(source, key, metadata, pinned)
        except ClientError as error:
            if error.response["Error"]["Code"] in _CHANGED:
                raise SourceChanged(f"{source.id} was overwritten or deleted after it was listed") from error
            if why := _only_this_one(error) or self._forbidden(source, error):
                raise NotCopyable(f"{source.id} cannot be copied: {why}") from error
            raise

    def _forbidden(self, source: BronzeObject, error: ClientError) -> str:
        """Why it cannot be read, where S3 forbids us the object itself, and not only to write copies; else empty.

        A byte of it is asked for: what S3 says of an object, without its bytes, needs no KMS key.
        """
        if error.response["Error"]["Code"] != "AccessDenied":
            return ""
        try:
            self._client.get_object(Bucket=source.bucket, Key=source.key, Range="bytes=0-0")["Body"].close()
        except ClientError as refusal:
            if refusal.response["Error"]["Code"] == "AccessDenied":
                return f"S3 does not let us read it ({refusal}): see its bucket's policy, its KMS key and its owner"
        return ""

    def _copy_in_parts(self, source: BronzeObject, key: str, metadata: Any, pinned: Any) -> None:
        upload = self._client.create_multipart_upload(Bucket=source.bucket, Key=key, Metadata=metadata)["UploadId"]
        step = max(self._least_part_bytes, -(-source.size // _MOST_PARTS))

        def copy_part(number: int) -> Any:
            first = number * step
            last = min(first + step, source.size) - 1
            answer = self._client.upload_part_copy(
                Bucket=source.bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number + 1,
                CopySourceRange=f"bytes={first}-{last}",
                **pinned,
            )
            return {"PartNumber": number + 1, "ETag": answer["CopyPartResult"]["ETag"]}

        try:
            with ThreadPoolExecutor(_PART_COPIERS) as pool:
                parts = list(pool.map(copy_part, range(-(-source.size // step))))
            self._client.complete_multipart_upload(
                Bucket=source.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:  # Ctrl-C, too: parts that nobody finishes cost money for ever
            self._client.abort_multipart_upload(Bucket=source.bucket, Key=key, UploadId=upload)
            raise


def _only_this_one(error: ClientError) -> str:
    """Why S3 refuses to copy one object, where that says nothing of others; empty where all would be refused."""
    told = error.response["Error"]
    code, message = told["Code"], told.get("Message", "")
    if code.startswith("KMS.") or (code == "AccessDenied" and "kms:" in message):
        return f"its KMS key cannot be used ({code}: {message})"
    return _NOT_THIS_ONE.get(code, "")
