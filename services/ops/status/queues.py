"""How deep the queues of a pipeline are, by SQS's own approximate numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from services.ops.dead_letters.looking import Depth, measure

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

NAMES = {"units": "units", "dead_letters": "dead letters", "failed_events": "failed S3 events"}


def depths(sqs: SQSClient, urls: Mapping[str, str]) -> dict[str, Depth]:
    """Name of a queue -> its depth, for those that have a URL.

    Raises:
        ClientError, BotoCoreError: a queue does not answer.
    """
    return {name: measure(sqs, url)[0] for name, url in urls.items() if url}
