"""What a message of the dead-letter queue, or of the queue of failed S3 events, is about. Pure: asks nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.ops.dead_letters.looking import Message
from services.shared.errors import SmeltError
from services.shared.events import created_object, notification_records
from services.shared.identities import BronzeKey, ObjectId, UnacceptableKey
from services.shared.units import UnitMessage


class Kind(StrEnum):
    UNIT = "unit"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that failed: a unit, the objects of an event, or `problem`, which says why it is neither."""

    message: Message
    kind: Kind
    reason: str  # a code, such as `attempts_exhausted`
    error: str  # what happened, as whoever gave up says it
    objects: tuple[ObjectId, ...] = ()
    unit: UnitMessage | None = None
    payload: str = ""  # of an event: what ingest is to be invoked with
    attempts: int = 0  # of an event: Lambda's count
    problem: str = ""  # why it can never be work

    @property
    def datasets(self) -> tuple[str, ...]:
        """Of the keys that name one."""
        return tuple(dict.fromkeys(_datasets(self.objects)))

    @property
    def subject(self) -> str:
        """The unit, the objects, or the beginning of what is neither."""
        if self.unit:
            return str(self.unit.id)
        if self.objects:
            return ", ".join(map(str, self.objects))
        return ascii(self.message.body[:120])

    @property
    def sent(self) -> datetime:
        return self.message.sent


def unit_letter(message: Message) -> Letter:
    """A dead letter: transform added `reason` and `error`; without them, SQS moved it after too many receives."""
    told = message.attributes
    by_sqs = "SQS moved it here: it was received max_receive_count times and never acknowledged"
    reason = told.get("reason", "too_many_receives")
    error = told.get("error", "no message" if "reason" in told else by_sqs)
    try:
        unit = UnitMessage.parse(message.body)
    except SmeltError as problem:
        return Letter(message, Kind.UNIT, reason, error, problem=str(problem))
    return Letter(message, Kind.UNIT, reason, error, (unit.object,), unit)


def event_letter(message: Message) -> Letter:
    """A failed S3 event: Lambda's record of the failure with the event in it, or the event, from EventBridge."""
    told = message.attributes
    reason, error = told.get("ERROR_CODE", "not_delivered"), told.get("ERROR_MESSAGE", "EventBridge gives no reason")
    kept = _read(message.body)
    if kept is None:
        problem = f"not JSON, or not an object, so not a failed S3 event: {message.body[:200]!a}"
        return Letter(message, Kind.EVENT, reason, error, problem=problem)
    attempts = 0
    if "requestPayload" in kept:
        context, answer = _mapping(kept.get("requestContext")), _mapping(kept.get("responsePayload"))
        reason = str(context.get("condition", "failed"))
        error = str(answer.get("errorMessage") or answer.get("errorType") or "the record has no error message")
        count = context.get("approximateInvokeCount")
        attempts = count if type(count) is int else 0
        while isinstance(inner := kept.get("requestPayload"), dict):
            kept = inner
    try:
        objects, broken = _created(kept)
    except SmeltError as malformed:
        return Letter(message, Kind.EVENT, reason, error, problem=str(malformed))
    payload = json.dumps(kept, separators=(",", ":"))
    problem = "; ".join(broken) if broken and not objects else ""
    return Letter(message, Kind.EVENT, reason, error, tuple(objects), None, payload, attempts, problem)


def _created(event: Mapping[str, Any]) -> tuple[list[ObjectId], list[str]]:
    """The objects that an event says were created, and what is wrong with its other records."""
    objects, broken = list[ObjectId](), list[str]()
    for record in notification_records(event):
        try:
            if source := created_object(record):
                objects.append(source.id)
        except SmeltError as problem:
            broken.append(str(problem))
    return objects, broken


def _datasets(objects: tuple[ObjectId, ...]) -> Iterator[str]:
    for id_ in objects:
        try:
            yield BronzeKey.parse(id_.key).dataset
        except UnacceptableKey:
            continue


def _read(body: str) -> dict[str, Any] | None:
    try:
        kept = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return kept if isinstance(kept, dict) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


READERS = {Kind.UNIT: unit_letter, Kind.EVENT: event_letter}
