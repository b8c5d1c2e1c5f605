"""Units of work: how an object is cut into byte ranges, and the SQS message that carries one.

Planning is arithmetic on the size that the S3 event states; nothing here reads an object. A unit owns the rows
that *start* in its range (Hadoop's split rule), so any cut of an object yields every row exactly once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from services.shared.errors import Terminal
from services.shared.identities import BronzeKey, ObjectId, UnacceptableKey, UnitId

MESSAGE_VERSION = 1


class MalformedMessage(Terminal):
    """An SQS body that is not a unit: it goes back, and after `maxReceiveCount` to the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class BronzeObject:
    """One version of a Bronze object, as its S3 event describes it.

    `etag` and `version_id` pin the bytes; `created` is the event's time, the base of the contract's window.
    """

    bucket: str
    key: str
    size: int  # bytes
    etag: str
    version_id: str | None
    created: datetime

    @property
    def id(self) -> ObjectId:
        return ObjectId(self.bucket, self.key, self.version_id or self.etag)

    @property
    def bronze_key(self) -> BronzeKey:
        """The dataset and codec that the key states.

        Raises:
            UnacceptableKey: the key is none that smelt takes.
        """
        return BronzeKey.parse(self.key)


@dataclass(frozen=True, slots=True)
class Unit:
    """Bytes `[start, end)` of an object: what one worker reads, and the body of one SQS message."""

    object: BronzeObject
    start: int
    end: int

    @property
    def id(self) -> UnitId:
        return UnitId(self.object.id, self.start, self.end)

    @property
    def bytes(self) -> int:
        return self.end - self.start

    def to_message(self) -> str:
        """The unit as compact JSON, format version 1."""
        source = self.object
        body = {
            "v": MESSAGE_VERSION,
            "bucket": source.bucket,
            "key": source.key,
            "size": source.size,
            "etag": source.etag,
            "version_id": source.version_id,
            "created": source.created.isoformat(),
            "start": self.start,
            "end": self.end,
        }
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_message(cls, body: str) -> Self:
        """Read a unit back.

        Raises:
            MalformedMessage: the body is not JSON, of another format version, incomplete or inconsistent.
        """
        try:
            message = json.loads(body)
            if not isinstance(message, dict) or message.get("v") != MESSAGE_VERSION:
                raise MalformedMessage(
                    f"not a unit of format version {MESSAGE_VERSION}: {body[:200]!r}; "
                    "messages come from the ingest function, find out who else sends to this queue"
                )
            return cls._from_fields(message)
        except (json.JSONDecodeError, RecursionError, KeyError, TypeError, ValueError, UnacceptableKey) as error:
            raise MalformedMessage(f"not a unit ({error!r}): {body[:200]!r}") from error

    @classmethod
    def _from_fields(cls, message: dict[str, Any]) -> Self:
        texts = [message[name] for name in ("bucket", "key", "etag", "created")]
        numbers = [message[name] for name in ("size", "start", "end")]
        version_id = message["version_id"]
        if not all(isinstance(text, str) and text for text in texts):
            raise ValueError("bucket, key, etag and created must be texts")
        if not all(type(number) is int for number in numbers):
            raise ValueError("size, start and end must be integers")
        if version_id is not None and not isinstance(version_id, str):
            raise ValueError("version_id must be a text or null")
        bucket, key, etag, created = texts
        size, start, end = numbers
        if not 0 <= start < end <= size:
            raise ValueError(f"the range {start}-{end} does not lie in an object of {size} bytes")
        moment = datetime.fromisoformat(created)
        if moment.tzinfo is None:
            raise ValueError("created must state its offset from UTC")
        source = BronzeObject(bucket, key, size, etag, version_id, moment.astimezone(UTC))
        unit = cls(source, start, end)
        if source.bronze_key.codec and (start, end) != (0, size):
            raise ValueError("a compressed object is one unit")
        return unit


def plan(source: BronzeObject, unit_bytes: int) -> Iterator[Unit]:
    """Cut an object into units, in order, in constant memory.

    A plain object becomes ranges of `unit_bytes`; a compressed one is a single unit, since its rows cannot be
    found without reading it from the start. An empty object has no unit.

    Raises:
        UnacceptableKey: the key is none that smelt takes.
    """
    step = source.size if source.bronze_key.codec else unit_bytes
    for start in range(0, source.size, step or 1):
        yield Unit(source, start, min(start + step, source.size))


def unit_count(source: BronzeObject, unit_bytes: int) -> int:
    """How many units `plan` yields."""
    if source.bronze_key.codec:
        return 1 if source.size else 0
    return -(-source.size // unit_bytes)
