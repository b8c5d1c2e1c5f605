"""S3 event notifications, read into objects. Knows the event's format and nothing of what is done with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from services.shared.errors import Terminal
from services.shared.units import BronzeObject


class MalformedEvent(Terminal):
    """Not an S3 notification: somebody else invokes this function."""


def created_objects(event: Mapping[str, Any]) -> Iterator[BronzeObject]:
    """The objects that a notification says were created; none for S3's test event.

    Keys are URL-decoded (S3 writes blanks as `+`). Records of other kinds, such as removals, say nothing about
    rows and are passed over.

    Raises:
        MalformedEvent: the event is no S3 notification, or a record lacks what S3 always sends.
    """
    if event.get("Event") == "s3:TestEvent":  # sent once, when the notification is configured
        return
    records = event.get("Records")
    if not isinstance(records, list):
        raise MalformedEvent(f"not an S3 notification: {str(event)[:200]}; invoke this function from S3 only")
    for record in records:
        try:
            if not record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
                continue
            item = record["s3"]["object"]
            yield BronzeObject(
                bucket=record["s3"]["bucket"]["name"],
                key=unquote_plus(item["key"]),
                size=int(item["size"]),
                etag=item["eTag"].strip('"'),
                version_id=item.get("versionId") or None,
                created=_utc(record["eventTime"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MalformedEvent(
                f"an S3 record without what S3 always sends ({error!r}): {str(record)[:500]}"
            ) from error


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
