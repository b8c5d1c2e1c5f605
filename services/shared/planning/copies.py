"""A replay's copy of an object, as S3 describes it: which content it says it is a copy of. Its bytes are never read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from services.shared.lake import LakeForbidden, LakeUnavailable, ObjectGone
from services.shared.units import BronzeObject, is_etag

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# A copy of a multipart upload has another etag than its origin, so the copy says which one it was made of. A key is not
# in it: S3 takes 2 KB of metadata, in ASCII, and the origin's key is part of the copy's.
ORIGIN_ETAG = "smelt-origin-etag"
_GONE = {"404", "NoSuchKey", "NoSuchVersion", "NotFound", "412", "PreconditionFailed", "405", "MethodNotAllowed"}
_FORBIDDEN = {"403", "Forbidden", "AccessDenied"}


class S3Copies:
    """Asks S3 about copies. Ingest may do so for `bronze/replay/*` and nothing else."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def origin_etag(self, copy: BronzeObject) -> str:
        """The etag of the content that this is a copy of: what its metadata says, if that can be one, or its own.

        Raises:
            ObjectGone: the copy was deleted, or another one is in its place.
            LakeForbidden: S3 refuses; without s3:ListBucket it does so for a deleted copy, too.
            LakeUnavailable: S3 did not answer.
        """
        pinned: dict[str, Any] = {"IfMatch": f'"{copy.etag}"'}
        if copy.version_id:
            pinned["VersionId"] = copy.version_id
        try:
            answer = self._client.head_object(Bucket=copy.bucket, Key=copy.key, **pinned)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _GONE:
                raise ObjectGone(f"the copy {copy.id} was deleted or replaced ({code})") from error
            if code in _FORBIDDEN:
                raise LakeForbidden(
                    f"the copy {copy.id} was deleted, or S3 forbids its metadata ({code}): check s3:GetObject and "
                    "s3:GetObjectVersion on bronze/replay/* in the function's role and in the bucket's policy"
                ) from error
            raise LakeUnavailable(f"the copy {copy.id} cannot be looked up now ({code}): {error}") from error
        except BotoCoreError as error:
            raise LakeUnavailable(f"the copy {copy.id} cannot be looked up now: {error}") from error
        told = answer.get("Metadata", {}).get(ORIGIN_ETAG, "").strip('"')
        return told if is_etag(told) else copy.etag  # anybody's text of up to 2 KB: no key of the ledger is so long
