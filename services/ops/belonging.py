"""Whether a bucket of Bronze is one that a ledger knows: what it does not know is planned, and never leaves it."""

from __future__ import annotations

from services.ops.errors import OperatorError
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import ObjectState

_KINDS = ("object", "done")


def check_bronze(ledger: Ledger, bucket: str) -> None:
    """Look at the newest entries of the index. A ledger that has none may have any bucket.

    Raises:
        OperatorError: all of their objects are in other buckets.
        ClientError, BotoCoreError: the ledger cannot be read.
    """
    shards = [shard for kind in _KINDS for shard in ledger.open_shards(kind)]
    newest = [entry.object for shard in shards for entry in ledger.open_sample(shard, 1, newest_first=True)]
    known = ledger.find_objects(newest)
    buckets = {one.id.bucket for one in known if one.state is not ObjectState.REJECTED}
    if buckets and bucket not in buckets:
        raise OperatorError(
            f"The objects of this ledger are in the bucket {min(buckets)}, not in {bucket}. Nothing was done. Pass "
            "ledger, bucket and queue of one pipeline. If Bronze has moved, upload one new object there first."
        )
