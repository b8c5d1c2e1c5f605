"""A planner for operators: as ingest's, with a queue that it may send to and no function's deadline behind it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.shared.planning.copies import S3Copies
from services.shared.planning.planner import Planner
from services.shared.settings import unit_bytes_of
from services.shared.sqs import send_ten

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

_NO_HURRY = Deadline(lambda: float("inf"), 0)


def queue_planner(
    ledger: Ledger,
    bronze_bucket: str,
    sqs: SQSClient,
    queue_url: str,
    copies: S3Copies,
    deadline: Deadline = _NO_HURRY,
) -> Planner:
    """Plans into this queue, up to the deadline.

    Raises:
        SettingsError: UNIT_BYTES is set, and is not a number of bytes.
    """

    def send(bodies: Sequence[str]) -> None:
        send_ten(sqs, queue_url, bodies, deadline)

    return Planner(ledger, bronze_bucket, unit_bytes_of(os.environ), send, copies.origin_etag)


def messages_waiting(sqs: SQSClient, queue_url: str) -> int:
    """About how many messages of the queue nobody has received yet."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    told = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
    return sum(int(told.get(name, 0)) for name in names)
