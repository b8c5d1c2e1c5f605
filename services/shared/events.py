"""S3's events, read into objects. Knows their formats and nothing of what is done with them.

They come in three shapes: a notification of S3's own, with records; one event by way of EventBridge; and either of them
inside the record that Lambda keeps of an invocation that failed, so that a kept message can be handed back as it is.
Each record is read alone, so that one which cannot be read does not stop the others of its event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from services.shared.errors import Terminal
from services.shared.identities import ObjectId
from services.shared.units import BronzeObject, check_object, read_created

_SHOWN_CHARACTERS = 500
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class MalformedEvent(Terminal):
    """Not an event of S3's: somebody else invokes this function."""


class MalformedRecord(Terminal):
    """One record of a notification that names no object that S3 can hold."""


def notification_records(event: Mapping[str, Any]) -> list[Any]:
    """The records of an event, none of them read yet; none for S3's test event. An event of EventBridge is one record.

    Raises:
        MalformedEvent: the event is not S3's.
    """
    # What Lambda sends to a destination for failures holds the event (AWS Lambda Developer Guide, "Capturing records of
    # Lambda asynchronous invocations"). Handed back and failed again, it holds such a record.
    while isinstance(kept := event.get("requestPayload"), Mapping):
        event = kept
    if event.get("source") == "aws.s3":
        return [event]
    if event.get("Event") == "s3:TestEvent":  # sent once, when the notification is configured
        return []
    records = event.get("Records")
    if not isinstance(records, list):
        raise MalformedEvent(
            f"not an event of S3: {_shown(event)}; only S3 and EventBridge should invoke this function"
        )
    return records


def created_object(record: Any) -> BronzeObject | None:
    """The object that a record says was created; None for other kinds of record, such as removals.

    Raises:
        MalformedRecord: it lacks what S3 always sends, or S3 can hold no such object.
    """
    try:
        by_eventbridge = isinstance(record, Mapping) and record.get("source") == "aws.s3"
        told = _of_eventbridge(record) if by_eventbridge else _of_notification(record)
        if told is None:
            return None
        if type(told.size) is not int:
            raise ValueError(f"the size is {told.size!a}, not an integer")
        id_ = ObjectId(told.bucket, told.key, told.etag.strip('"'))
        check_object(id_, told.size)
        version, created = told.version or None, read_created(told.time)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MalformedRecord(
            f"not a record of an object that S3 can hold ({error!a}): {_shown(record)}; "
            "find the object in the bucket and upload it again, or find out who sends such events"
        ) from error
    return BronzeObject(id_.bucket, id_.key, told.size, id_.etag, version, created)


class _Told(NamedTuple):
    """What a record says of a new object, not checked yet."""

    bucket: Any
    key: Any
    etag: Any
    size: Any
    version: Any
    time: Any


def _of_notification(record: Any) -> _Told | None:
    """From S3's own notification, in which keys are URL-encoded (spaces as `+`)."""
    if not record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
        return None
    item = record["s3"]["object"]
    bucket = record["s3"]["bucket"]["name"]
    return _Told(bucket, _decoded(item["key"]), item["eTag"], item["size"], item.get("versionId"), record["eventTime"])


def _of_eventbridge(record: Mapping[str, Any]) -> _Told | None:
    """From EventBridge, in which keys are as they are (Amazon S3 User Guide, "EventBridge event message structure")."""
    if record["detail-type"] != "Object Created":
        return None
    detail = record["detail"]
    item = detail["object"]
    return _Told(
        detail["bucket"]["name"], item["key"], item["etag"], item["size"], item.get("version-id"), record["time"]
    )


def _decoded(key: str) -> str:
    if escape := _BROKEN_ESCAPE.search(key):
        raise ValueError(f"the key is not URL-encoded: {key[escape.start() : escape.start() + 3]!a}")
    return unquote_plus(key, errors="strict")


def _shown(value: object) -> str:
    """A value for a message: short, and in ASCII, since a key may hold what no log takes."""
    return ascii(value)[:_SHOWN_CHARACTERS]
