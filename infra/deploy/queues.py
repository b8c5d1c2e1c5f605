"""Queues for accounts in which Terraform may not manage them. Safe to repeat; never sets a tag.

A queue that exists gets the wanted attributes, but never a shorter visibility timeout or retention, and it keeps its
owner's encryption key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.ops.errors import OperatorError

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

DAYS = 24 * 3600
MAX_MESSAGE_BYTES = 1024 * 1024  # SQS's limit since August 2025
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_URL = re.compile(r"https?://[^/\s]+/\S*?([A-Za-z0-9_-]{1,80})")
_AT_LEAST = {"VisibilityTimeout", "MessageRetentionPeriod", "MaximumMessageSize"}


class QueueError(OperatorError):
    """A queue cannot be created or changed as asked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it is now. `changed` names the attributes that were set, `created` whether it is new."""

    name: str
    url: str
    arn: str
    created: bool = False
    changed: tuple[str, ...] = field(default=())


def tls_only(arn: str) -> str:
    """The policy that refuses requests without TLS."""
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def ensure_queue(sqs: SQSClient, name: str, attributes: Mapping[str, str]) -> Queue:
    """Create the queue, or give it these attributes.

    Raises:
        QueueError: SQS does not accept such a name.
        ClientError: SQS refused.
    """
    _check_name(name)
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        created = False
    except sqs.exceptions.QueueDoesNotExist:
        url = sqs.create_queue(QueueName=name, Attributes=dict(attributes))["QueueUrl"]  # type: ignore[arg-type]
        created = True
    now = attributes_of(sqs, url)
    wanted = dict(attributes)
    if "Policy" not in now:
        wanted["Policy"] = tls_only(now["QueueArn"])
    if "KmsMasterKeyId" in now:  # SSE-SQS would replace the owner's key
        wanted.pop("SqsManagedSseEnabled", None)
    return Queue(name, url, now["QueueArn"], created, _bring_to(sqs, url, now, wanted))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise QueueError(f"{name!r} is not a valid queue name: use up to 80 letters, digits, hyphens and underscores.")


def _bring_to(sqs: SQSClient, url: str, now: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Set the attributes that differ; gives their names."""
    changes = {key: value for key, value in wanted.items() if _differs(key, now.get(key), value)}
    if changes:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=changes)  # type: ignore[arg-type]
    return tuple(sorted(changes))


def attributes_of(sqs: SQSClient, url: str) -> dict[str, str]:
    """All attributes of a queue."""
    found: Any = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return dict(found)


def _differs(key: str, now: str | None, wanted: str) -> bool:
    if now is None:
        return True
    if key in _AT_LEAST:
        return int(now) < int(wanted)
    if key == "RedrivePolicy":
        return bool(_normal(now) != _normal(wanted))
    return now.lower() != wanted.lower()


def _normal(policy: str) -> Any:
    """A redrive policy as values that can be compared: SQS returns numbers as text or as numbers."""
    return {key: str(value) for key, value in json.loads(policy).items()}


def work_queue(visibility_timeout: int) -> dict[str, str]:
    """Attributes of the queue of units; the timeout in seconds."""
    return {
        "VisibilityTimeout": str(visibility_timeout),
        "MessageRetentionPeriod": str(14 * DAYS),
        "MaximumMessageSize": str(MAX_MESSAGE_BYTES),
        "ReceiveMessageWaitTimeSeconds": "20",
        "SqsManagedSseEnabled": "true",
    }


def keeping_queue() -> dict[str, str]:
    """Attributes of a queue that only keeps messages: dead letters, failed events."""
    return {
        "MessageRetentionPeriod": str(14 * DAYS),
        "MaximumMessageSize": str(MAX_MESSAGE_BYTES),
        "SqsManagedSseEnabled": "true",
    }


def ensure_dead_letters(
    sqs: SQSClient, url: str, dlq_name: str, max_receive_count: int, replace: bool = False
) -> tuple[Queue, Queue]:
    """Give a queue a dead-letter queue. If that one is new, only this queue may use it. Returns both.

    Raises:
        QueueError: the URL or the name cannot be a queue's, or it already has another one, and `replace` is false.
    """
    if not _URL.fullmatch(url):
        raise QueueError(
            f"{url!r} is not a queue's URL, such as https://sqs.us-east-2.amazonaws.com/123456789012/events. "
            "`aws sqs get-queue-url --queue-name <name>` prints it."
        )
    _check_name(dlq_name)
    now = attributes_of(sqs, url)
    arn = now["QueueArn"]
    name = arn.rsplit(":", 1)[1]
    if dlq_name == name:
        raise QueueError(f"{name} cannot be its own dead-letter queue: choose another --dlq-name.")
    has = json.loads(now.get("RedrivePolicy", "{}")).get("deadLetterTargetArn")
    if has and has.rsplit(":", 1)[1] != dlq_name and not replace:
        raise QueueError(
            f"{name} already has a dead-letter queue: {has}. Name that one, or pass --replace; its messages stay in it."
        )
    dlq = ensure_queue(sqs, dlq_name, keeping_queue())
    allow = _allowing(attributes_of(sqs, dlq.url), arn, dlq.created)
    if allow:
        sqs.set_queue_attributes(QueueUrl=dlq.url, Attributes={"RedriveAllowPolicy": json.dumps(allow)})
    redrive = {"deadLetterTargetArn": dlq.arn, "maxReceiveCount": max_receive_count}
    changed = _bring_to(sqs, url, now, {"RedrivePolicy": json.dumps(redrive)})
    return Queue(name, url, arn, changed=changed), dlq


def _allowing(dlq: Mapping[str, str], source_arn: str, created: bool) -> dict[str, Any] | None:
    """The redrive-allow policy that a dead-letter queue needs; None if its present one is enough.

    A queue that existed before may serve others: they keep their right to use it.
    """
    now = json.loads(dlq.get("RedriveAllowPolicy", "{}"))
    sources = now.get("sourceQueueArns", [])
    if source_arn in sources or (not created and now.get("redrivePermission", "allowAll") == "allowAll"):
        return None
    return {"redrivePermission": "byQueue", "sourceQueueArns": [*sources, source_arn]}


def write_tfvars(path: Path, values: Mapping[str, str]) -> None:
    """Put values into a `*.tfvars.json`, completely or not at all; its other values stay.

    Raises:
        QueueError: the file is not a JSON object.
    """
    kept: Any = {}
    if path.exists():
        try:
            kept = json.loads(path.read_text())
        except ValueError as error:
            raise QueueError(
                f"{path} is not JSON ({error}). The queues exist; fix or remove the file and run this again."
            ) from error
        if not isinstance(kept, dict):
            raise QueueError(
                f"{path} is not a JSON object. The queues exist; fix or remove the file and run this again."
            )
    draft = path.with_name(path.name + ".draft")
    draft.write_text(json.dumps(kept | dict(values), indent=2) + "\n")
    draft.replace(path)
