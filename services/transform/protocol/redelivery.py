"""When a message that goes back comes again.

SQS hides a message for the queue's visibility timeout, six times the function's: right for a worker that died, whose
lease must end first. A worker that lives and says what failed need not wait half an hour for it; it tells SQS when to
deliver the message again. If it cannot, the queue's own timeout holds.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from services.shared.aws import Failure
from services.shared.deadline import OutOfTime
from services.shared.errors import Terminal
from services.shared.ledger.records import LeaseHeld
from services.shared.sqs import in_tens

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

TERMINAL_SECONDS = 5  # trying again cannot help: on to the dead-letter queue, where somebody sees it
FIRST_SECONDS = 30  # of a failure that may pass; doubled at each receive, with jitter
LONGEST_SECONDS = 900


def seconds_until_retry(error: Failure, receives: int, now_ms: int) -> int:
    """How long a message stays hidden after this failure.

    Args:
        receives: how often SQS has delivered it, this time included.
        now_ms: the time, epoch milliseconds.
    """
    if isinstance(error, OutOfTime):
        return 0  # nothing is wrong with it; the next worker has all of its time
    if isinstance(error, LeaseHeld) and error.until_ms > now_ms:
        return min((error.until_ms - now_ms) // 1000 + 1, LONGEST_SECONDS)
    if isinstance(error, Terminal):
        return TERMINAL_SECONDS
    longest = min(FIRST_SECONDS * 2 ** (receives - 1), LONGEST_SECONDS)
    return random.randint(longest // 2, longest)


def send_back(
    sqs: SQSClient, queue_url: str, records: Iterable[Mapping[str, Any]], failed: Mapping[str, Failure], now_ms: int
) -> list[str]:
    """Tell SQS when the failed messages of a delivery come again.

    Returns:
        What SQS did not take, for the log: those messages come again after the queue's own timeout.
    """
    entries: list[Any] = [
        {
            "Id": str(number),
            "ReceiptHandle": record["receiptHandle"],
            "VisibilityTimeout": seconds_until_retry(
                failed[record["messageId"]], int(record["attributes"]["ApproximateReceiveCount"]), now_ms
            ),
        }
        for number, record in enumerate(records)
        if record["messageId"] in failed
    ]
    refused = []
    for batch in in_tens(entries):
        try:
            answer = sqs.change_message_visibility_batch(QueueUrl=queue_url, Entries=batch)
        except (ClientError, BotoCoreError) as error:
            refused.append(str(error))
        else:
            refused += [str(entry.get("Message") or entry["Code"]) for entry in answer.get("Failed", [])]
    return refused
