"""SQS at the rim: messages ten at a time, and what happens to those that SQS refuses.

SQS may take a batch in part. What it does not confirm is sent again; a message that SQS took although it did not say so
is then there twice, which readers of a queue must expect anyway.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from services.shared.deadline import Deadline
from services.shared.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

BATCH_ENTRIES = 10  # SQS's limit for every batch call
_TRIES = 7  # of one batch, with pauses of 0.1 to 3.2 s in between
_FIRST_PAUSE_SECONDS = 0.1

T = TypeVar("T")


class SendFailed(Transient):
    """SQS did not take all messages of a batch, however often it was asked."""


def in_tens(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in order, in lists of ten; the last list may be shorter."""
    source = iter(items)
    while batch := list(islice(source, BATCH_ENTRIES)):
        yield batch


def send_all(sqs: SQSClient, queue_url: str, bodies: Iterable[str], deadline: Deadline) -> None:
    """Put messages on a queue, in order, one batch after the other. Those before a failure stay on the queue.

    Raises:
        SendFailed: SQS refused some of them again and again.
        OutOfTime: only the deadline's reserve is left.
    """
    for batch in in_tens(bodies):
        send_ten(sqs, queue_url, batch, deadline)


def send_ten(
    sqs: SQSClient,
    queue_url: str,
    bodies: Sequence[str],
    deadline: Deadline,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Put up to ten messages on a queue with one call, and send again what SQS refuses.

    Raises:
        SendFailed: SQS refused some of them seven times.
        OutOfTime: only the deadline's reserve is left.
    """
    waiting = {str(number): body for number, body in enumerate(bodies)}
    for attempt in range(_TRIES):
        deadline.check()
        entries: Any = [{"Id": id_, "MessageBody": body} for id_, body in waiting.items()]
        answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
        for entry in answer.get("Successful", []):
            waiting.pop(entry["Id"], None)
        if not waiting:
            return
        refusals = answer.get("Failed", [])
        if attempt + 1 < _TRIES:
            sleep(random.uniform(0.5, 1) * _FIRST_PAUSE_SECONDS * 2**attempt)
    reasons = sorted({f"{refusal.get('Code')}: {refusal.get('Message')}" for refusal in refusals})
    raise SendFailed(f"SQS refused {len(waiting)} of {len(bodies)} messages to {queue_url}: {'; '.join(reasons)}")
