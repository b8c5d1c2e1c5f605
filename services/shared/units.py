"""Units of work: how an object is cut into byte ranges, and the SQS message that carries one.

Planning is arithmetic on the size that the S3 event states; nothing here reads an object. A unit owns the rows
that *start* in its range (Hadoop's split rule), so any cut of an object yields every row exactly once.

A message is a claim by whoever could send it, not a fact: `UnitMessage` is what it says, and becomes a `Unit` only
where the ledger's object confirms it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from services.shared.errors import Terminal
from services.shared.identities import BronzeKey, ObjectId, UnitId

MESSAGE_VERSION = 2
MAX_MESSAGE_CHARACTERS = 16_384  # a key has at most 1,024 bytes; the rest of a unit is short
MAX_KEY_BYTES = 1024  # S3's limit
MAX_OBJECT_BYTES = 50 * 1024**4  # S3's limit: 50 TiB
# Outside these years no S3 object was created; inside them a contract's window does not leave the calendar.
FIRST_YEAR, LAST_YEAR = 2006, 2999
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")
_ETAG = re.compile(r"[!-\"$-~]{1,128}")  # visible ASCII without '#', which separates the etag in an object's id


class MalformedMessage(Terminal):
    """An SQS body that is not a unit."""


def is_etag(text: str) -> bool:
    """Whether S3 can give an object this etag, without quotes."""
    return _ETAG.fullmatch(text) is not None


def check_object(id_: ObjectId, size: int) -> None:
    """Whether S3 can hold an object of this name and size, in bytes.

    Raises:
        ValueError: it cannot; the message says why.
    """
    if not _BUCKET.fullmatch(id_.bucket):
        raise ValueError(f"not a bucket's name: {id_.bucket!a}")
    if not is_etag(id_.etag):
        raise ValueError(f"not an etag: {id_.etag!a}")
    try:
        length = len(id_.key.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"the key is not valid Unicode: {id_.key!a}") from error
    if not 0 < length <= MAX_KEY_BYTES:
        raise ValueError(f"the key has {length:,} bytes; S3 allows 1 to {MAX_KEY_BYTES:,}")
    if not 0 <= size <= MAX_OBJECT_BYTES:
        raise ValueError(f"the size is {size:,} bytes; S3 allows 0 to {MAX_OBJECT_BYTES:,}")


def read_created(text: str) -> datetime:
    """The time of an object's creation, in UTC.

    Raises:
        ValueError: it is not an ISO 8601 time with an offset from UTC, or no S3 object was created in that year.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} does not state its offset from UTC")
    # The local year comes first: at the ends of the calendar there is no UTC time to convert to.
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"the time {text!r} does not lie in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Copy:
    """A replay's copy of an object: another place where its bytes can be read. Copies may have another etag."""

    key: str
    etag: str
    version_id: str | None


@dataclass(frozen=True, slots=True)
class BronzeObject:
    """One content of one Bronze key.

    The etag is the content's identity; `version_id` only pins the bytes that are read, and is not part of it.
    `created` is the time of the first event that announced it, the base of the contract's window.
    """

    bucket: str
    key: str
    size: int  # bytes
    etag: str
    version_id: str | None
    created: datetime
    copy: Copy | None = None  # to be read where these bytes are gone

    @property
    def id(self) -> ObjectId:
        return ObjectId(self.bucket, self.key, self.etag)

    @property
    def bronze_key(self) -> BronzeKey:
        """The dataset and codec that the key states.

        Raises:
            UnacceptableKey: the key is not one that smelt reads.
        """
        return BronzeKey.parse(self.key)

    def at(self, copy: Copy) -> Self:
        """What must be read to get these bytes from a copy. It is a place, not an object that the ledger knows."""
        return replace(self, key=copy.key, etag=copy.etag, version_id=copy.version_id, copy=None)


@dataclass(frozen=True, slots=True)
class Unit:
    """Bytes `[start, end)` of an object: what one worker reads."""

    object: BronzeObject
    start: int
    end: int
    open_since: int = field(default=0, compare=False)  # epoch milliseconds: the object's, as the ledger was seen

    @property
    def id(self) -> UnitId:
        return UnitId(self.object.id, self.start, self.end)

    @property
    def bytes(self) -> int:
        return self.end - self.start

    @property
    def is_whole_object(self) -> bool:
        return (self.start, self.end) == (0, self.object.size)

    def to_message(self) -> str:
        """The body of its SQS message: compact JSON, format version 2."""
        return self.as_message().to_body()

    def as_message(self) -> UnitMessage:
        source = self.object
        return UnitMessage(source.id, source.size, source.created, self.start, self.end)


@dataclass(frozen=True, slots=True)
class UnitMessage:
    """What a message says: an object, its size in bytes, its event time, and a range. None of it is confirmed."""

    object: ObjectId
    size: int
    created: datetime
    start: int
    end: int

    @property
    def id(self) -> UnitId:
        return UnitId(self.object, self.start, self.end)

    def to_body(self) -> str:
        body = {
            "v": MESSAGE_VERSION,
            "bucket": self.object.bucket,
            "key": self.object.key,
            "etag": self.object.etag,
            "size": self.size,
            "created": self.created.isoformat(),
            "start": self.start,
            "end": self.end,
        }
        # Pure ASCII: SQS refuses some characters that a key may have, such as U+FFFF.
        return json.dumps(body, separators=(",", ":"))

    @classmethod
    def parse(cls, body: str) -> Self:
        """Read a body back.

        Raises:
            MalformedMessage: it is not JSON, of another format version, incomplete or inconsistent, or S3 can hold no
                such object.
        """
        if len(body) > MAX_MESSAGE_CHARACTERS:
            raise MalformedMessage(f"not a unit: {len(body)} characters, more than {MAX_MESSAGE_CHARACTERS}")
        try:
            message = json.loads(body)
            if not isinstance(message, dict) or message.get("v") != MESSAGE_VERSION:
                raise ValueError(f"not a JSON object of format version {MESSAGE_VERSION}")
            return cls._from_fields(message)
        except (RecursionError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise MalformedMessage(
                f"not a unit ({error!r}): {body[:200]!r}; units come from the ingest function, "
                "find out who else sends to this queue"
            ) from error

    @classmethod
    def _from_fields(cls, message: dict[str, Any]) -> Self:
        texts = [message[name] for name in ("bucket", "key", "etag", "created")]
        numbers = [message[name] for name in ("size", "start", "end")]
        if not all(isinstance(text, str) and text for text in texts):
            raise ValueError("bucket, key, etag and created must be non-empty strings")
        if not all(type(number) is int for number in numbers):
            raise ValueError("size, start and end must be integers")
        bucket, key, etag, created = texts
        size, start, end = numbers
        id_ = ObjectId(bucket, key, etag)
        check_object(id_, size)
        if not 0 <= start < end <= size:
            raise ValueError(f"the range {start}-{end} does not lie in an object of {size} bytes")
        return cls(id_, size, read_created(created), start, end)


@dataclass(frozen=True, slots=True)
class Plan:
    """How an object is cut: `[0, step)`, `[step, 2 * step)`, ... Fixed once by the object's first planning."""

    source: BronzeObject
    step: int  # bytes of each unit but the last

    @classmethod
    def of(cls, source: BronzeObject, unit_bytes: int) -> Self:
        """Cut a plain object into ranges of `unit_bytes`.

        A compressed one is a single unit, since its rows cannot be found without reading it from the start. An
        empty object has no unit.

        Raises:
            UnacceptableKey: the key is not one that smelt reads.
        """
        whole = source.bronze_key.codec is not None or source.size <= unit_bytes
        return cls(source, max(source.size, 1) if whole else unit_bytes)

    @property
    def units(self) -> int:
        """How many units there are."""
        return -(-self.source.size // self.step)

    def unit(self, number: int) -> Unit:
        """Unit number `number`, from 0."""
        start = number * self.step
        return Unit(self.source, start, min(start + self.step, self.source.size))

    def __iter__(self) -> Iterator[Unit]:
        """All units in order, in constant memory."""
        return map(self.unit, range(self.units))

    def has(self, start: int, end: int) -> bool:
        """Whether a range is exactly one of the units."""
        return (
            start % self.step == 0 and 0 <= start < self.source.size and end == min(start + self.step, self.source.size)
        )

    def contradiction(self, message: UnitMessage) -> str:
        """What a message about this object says that is not so; empty where it is about one of the units.

        The caller has found the plan by the message's object.
        """
        if (message.size, message.created) != (self.source.size, self.source.created):
            return (
                f"the message says {message.size} bytes and created {message.created.isoformat()}, the ledger "
                f"{self.source.size} bytes and {self.source.created.isoformat()}"
            )
        if not self.has(message.start, message.end):
            return f"this range is not one of the {self.units} units of {self.step} bytes that the object was cut into"
        return ""
