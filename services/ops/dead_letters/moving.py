"""A whole dead-letter queue back to the queue of units by SQS's own task (StartMessageMoveTask).

It needs a destination: letters that transform has sent itself have no source queue to go back to. It runs in SQS, goes
on when this program ends, and asks neither the ledger nor the letters: what can never be work comes back with its
reason. So it is only for the queue's own dead letters; others, and those of an emulator that has no such task
(MiniStack), the caller moves letter by letter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from services.ops.dead_letters.looking import Watch
from services.ops.errors import OperatorError

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

MOST_PER_SECOND = 500  # StartMessageMoveTask's limit
_POLL_SECONDS = 2.0
_NO_ACCESS = ("AccessDenied", "AuthFailure", "Token", "Signature")


class NoMoveTask(OperatorError):
    """SQS's own task cannot be had here; letters can be moved one by one."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What SQS says at the end of a task, in its own approximate numbers."""

    moved: int
    of: int


def move_all(
    sqs: SQSClient,
    queue_url: str,
    destination_url: str,
    per_second: int,
    watch: Watch = lambda _what, _number: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Moved:
    """Start the task, or join the one that somebody has started, and wait for its end.

    Raises:
        NoMoveTask: the service has no such task, or not for this queue.
        OperatorError: the task failed or was cancelled, or another one moves the messages elsewhere.
        ClientError, BotoCoreError: no access, or no answer.
    """
    source, destination = _arn(sqs, queue_url), _arn(sqs, destination_url)
    before = _last_task(sqs, source)
    is_joined = before.get("Status") in ("RUNNING", "CANCELLING")
    if is_joined and before.get("DestinationArn", destination) != destination:
        raise OperatorError(
            f"Somebody's task moves the messages of {source} to {before['DestinationArn']}, and SQS runs one task of a "
            "queue at a time. Nothing was sent. Wait for its end, or cancel it (aws sqs cancel-message-move-task). "
            "Then run this again."
        )
    if not is_joined:
        if not _is_dead_letter_queue_of(sqs, source, destination_url):
            raise NoMoveTask(f"{source} is not the queue of dead letters of {destination}, so each is looked at first")
        rate = {"MaxNumberOfMessagesPerSecond": per_second} if per_second else {}
        _ask(sqs.start_message_move_task, SourceArn=source, DestinationArn=destination, **rate)
    while True:
        task = _last_task(sqs, source)
        if not is_joined and before and task.get("StartedTimestamp") == before.get("StartedTimestamp", -1):
            task = {}  # ours is not listed yet: this is the end of an earlier one, with its numbers
        moved, of = (int(task.get(f"ApproximateNumberOfMessages{name}", 0)) for name in ("Moved", "ToMove"))
        watch("letters moved by SQS", moved)
        if task.get("Status") == "COMPLETED":
            return Moved(moved, of)
        if task.get("Status") in ("FAILED", "CANCELLED"):
            reason = f": {task['FailureReason']}" if task.get("FailureReason") else ""
            raise OperatorError(
                f"SQS's task from {source} to {destination} is {task['Status']} after {moved:,} messages{reason}. "
                "Nothing is lost: the other letters are where they were. SQS sends them as you, so you must be one of "
                "operator_principal_arns (infra/terraform/README.md). Then run this again."
            )
        sleep(_POLL_SECONDS)


def _is_dead_letter_queue_of(sqs: SQSClient, source: str, url: str) -> bool:
    """Whether what fails in the queue at `url` comes to `source`. The task asks nobody what it moves, or to whom."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"]).get("Attributes", {})
    return bool(json.loads(found.get("RedrivePolicy", "{}")).get("deadLetterTargetArn") == source)


def _last_task(sqs: SQSClient, source: str) -> dict[str, Any]:
    results = _ask(sqs.list_message_move_tasks, SourceArn=source, MaxResults=1).get("Results", [])
    return dict(results[0]) if results else {}


def _ask(call: Callable[..., Any], **request: Any) -> Any:
    try:
        return call(**request)
    except ClientError as error:
        told = error.response["Error"]
        code = told.get("Code", "")
        if (
            any(word in code for word in _NO_ACCESS)
            or error.response["ResponseMetadata"].get("HTTPStatusCode", 0) >= 500
        ):
            raise
        raise NoMoveTask(f"SQS's own move task is not to be had here ({code}: {told.get('Message')})") from error


def _arn(sqs: SQSClient, url: str) -> str:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return found["Attributes"]["QueueArn"]
