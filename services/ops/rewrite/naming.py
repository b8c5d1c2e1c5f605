"""Which object an operator means: its whole id, or only its key where that is enough."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from services.ops.errors import OperatorError
from services.ops.words import plain
from services.shared.identities import ObjectId
from services.shared.ledger.ledger import Ledger

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_SHOWN = 20


def object_named(name: str, ledger: Ledger, s3: S3Client) -> ObjectId:
    """The object `s3://bucket/key#etag`, or the one content of `s3://bucket/key` that the ledger knows.

    A key's contents are looked for among its versions in Bronze; one that Bronze no longer has needs its whole id.

    Raises:
        OperatorError: it is not such a name, or no content of the key is known, or several are: they are listed.
        ClientError, BotoCoreError: Bronze cannot be listed.
    """
    whole = re.fullmatch(r"s3://[^/]+/.+#[0-9a-fA-F-]{8,}", name, re.DOTALL) is not None
    if whole and any(ledger.find_objects([ObjectId.parse(name)])):
        return ObjectId.parse(name)
    found = re.fullmatch(r"s3://([^/]+)/(.+)", name, re.DOTALL)
    if found is None:
        raise OperatorError(f"{name!r} is not an object. Pass s3://bucket/key, or s3://bucket/key#etag.")
    bucket, key = found.groups()
    candidates = sorted(_contents(s3, bucket, key))
    known = sorted(object_.id for object_ in ledger.find_objects(candidates))
    if len(known) == 1:
        return known[0]
    if not known and whole:
        raise OperatorError(
            f"The ledger does not know {plain(name)}. Check bucket, key, ETag and --table: "
            f"`smelt history --object '{plain(name.rpartition('#')[0])}'` tells what it has of this key. If nothing, "
            "its event was lost, or its record was deleted: `smelt reconcile --dry-run` tells which."
        )
    if not known:
        raise OperatorError(
            f"The ledger knows no content of {name} that is in Bronze now. Check bucket and key; for a content that "
            "Bronze no longer has, pass s3://bucket/key#etag, as `_source` in Silver has it."
        )
    listed = "\n".join(f"  {plain(str(id_))}" for id_ in known[:_SHOWN])
    more = f"\n  and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    raise OperatorError(f"{name} has had {len(known)} contents. Pass the one that you mean:\n{listed}{more}")


def _contents(s3: S3Client, bucket: str, key: str) -> set[ObjectId]:
    pages: Any = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    found = set[ObjectId]()
    for page in pages:
        versions = page.get("Versions", [])
        found |= {ObjectId(bucket, key, entry["ETag"].strip('"')) for entry in versions if entry["Key"] == key}
        if versions and versions[-1]["Key"] != key:  # longer keys that begin with it come behind
            break
    return found
