"""S3 event notifications, read into objects. Knows the event's format and nothing of what is done with it.

Each record is read alone, so that one which cannot be read does not stop the others of its event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from services.shared.errors import Terminal
from services.shared.identities import ObjectId
from services.shared.units import BronzeObject, check_object, read_created

_SHOWN_CHARACTERS = 500
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class MalformedEvent(Terminal):
    """Not an S3 notification: somebody else invokes this function."""


class MalformedRecord(Terminal):
    """One record of a notification that names no object that S3 can hold."""


def notification_records(event: Mapping[str, Any]) -> list[Any]:
    """The records of a notification, none of them read yet; none for S3's test event.

    Raises:
        MalformedEvent: the event is not an S3 notification.
    """
    if event.get("Event") == "s3:TestEvent":  # sent once, when the notification is configured
        return []
    records = event.get("Records")
    if not isinstance(records, list):
        raise MalformedEvent(f"not an S3 notification: {_shown(event)}; only S3 should invoke this function")
    return records


def created_object(record: Any) -> BronzeObject | None:
    """The object that a record says was created; None for other kinds of record, such as removals.

    Keys are URL-decoded (S3 writes spaces as `+`).

    Raises:
        MalformedRecord: it lacks what S3 always sends, or S3 can hold no such object.
    """
    try:
        if not record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
            return None
        item = record["s3"]["object"]
        if type(item["size"]) is not int:
            raise ValueError(f"the size is {item['size']!a}, not an integer")
        id_ = ObjectId(record["s3"]["bucket"]["name"], _decoded(item["key"]), item["eTag"].strip('"'))
        check_object(id_, item["size"])
        version, created = item.get("versionId") or None, read_created(record["eventTime"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MalformedRecord(
            f"not a record of an object that S3 can hold ({error!a}): {_shown(record)}; "
            "find the object in the bucket and upload it again, or find out who sends such events"
        ) from error
    return BronzeObject(id_.bucket, id_.key, item["size"], id_.etag, version, created)


def _decoded(key: str) -> str:
    if escape := _BROKEN_ESCAPE.search(key):
        raise ValueError(f"the key is not URL-encoded: {key[escape.start() : escape.start() + 3]!a}")
    return unquote_plus(key, errors="strict")


def _shown(value: object) -> str:
    """A value for a message: short, and in ASCII, since a key may hold what no log takes."""
    return ascii(value)[:_SHOWN_CHARACTERS]
