"""From one object to its units on the queue, once.

    begin planning (lease)  ->  send every unit  ->  finish planning

A crash in between leaves the object PLANNING; the retry sends the same units again, with the same ids, which the
transform recognises. The object itself is never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from services.shared.errors import Transient
from services.shared.identities import UnacceptableKey
from services.shared.ledger.ledger import Ledger
from services.shared.units import BronzeObject, Unit, plan, unit_count

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

LEASE_SLACK_SECONDS = 5.0
_BATCH_ENTRIES = 10  # SQS's limit for one SendMessageBatch; ten units stay far below its 1 MiB


class Outcome(StrEnum):
    PLANNED = "planned"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class SendFailed(Transient):
    """SQS took a batch in part or not at all; the retry sends all units again."""


class OutOfTime(Transient):
    """The function's deadline is too near; the retry sends all units again."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What became of one object."""

    outcome: Outcome
    units: int = 0
    reason: str = ""


def send_units(sqs: SQSClient, queue_url: str, units: Iterable[Unit], remaining: Callable[[], float]) -> None:
    """Put units on the queue, ten at a time.

    Raises:
        SendFailed: SQS refused some of them.
        OutOfTime: less than two seconds of `remaining` are left.
    """
    for batch in _in_tens(units):
        if remaining() < 2:
            raise OutOfTime("not all units are on the queue yet; the retry starts again")
        answer = sqs.send_message_batch(
            QueueUrl=queue_url,
            Entries=[{"Id": str(n), "MessageBody": unit.to_message()} for n, unit in enumerate(batch)],
        )
        if refused := answer.get("Failed"):
            raise SendFailed(f"SQS refused {len(refused)} of {len(batch)} units: {refused[0].get('Message')}")


def _in_tens(units: Iterable[Unit]) -> Iterator[list[Unit]]:
    source = iter(units)
    while batch := list(islice(source, _BATCH_ENTRIES)):
        yield batch


def plan_object(
    source: BronzeObject,
    bronze_bucket: str,
    unit_bytes: int,
    ledger: Ledger,
    send: Callable[[Iterable[Unit]], None],
    lease_seconds: float,
) -> Planned:
    """Plan one object, or record why it is none of ours.

    Raises:
        LeaseHeld: another invocation is planning it; come back.
        SendFailed, OutOfTime: it is not planned yet; come back.
    """
    try:
        if source.bucket != bronze_bucket:
            raise UnacceptableKey(source.key, "foreign_bucket", f"this pipeline reads {bronze_bucket}")
        units = unit_count(source, unit_bytes)
    except UnacceptableKey as error:
        known = not ledger.reject_object(source, error.reason)
        return Planned(Outcome.DUPLICATE if known else Outcome.REJECTED, reason=str(error))
    token = ledger.begin_planning(source, units, unit_bytes, lease_seconds + LEASE_SLACK_SECONDS)
    if token is None:
        return Planned(Outcome.DUPLICATE)
    send(plan(source, unit_bytes))
    ledger.finish_planning(source, token)
    return Planned(Outcome.PLANNED, units)
