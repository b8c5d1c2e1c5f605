"""One look at a queue that nothing consumes: each message once, and what stays is visible again when the look ends.

SQS has no reading without receiving: a message that is received is hidden from everybody until its visibility timeout
ends. So the look hides what it has seen (otherwise it would see it again, and never reach the rest), and ends by making
visible what it has not deleted. A look that is killed cannot: then the messages appear when `hidden_seconds` are over.

Memory is bounded: at most MAX_HELD messages are held, of each its id and receipt. SQS bounds it too: it hides 120,000
messages of a queue at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from services.shared.errors import Transient
from services.shared.sqs import BATCH_ENTRIES, in_tens

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

MAX_HELD = 100_000  # SQS hides 120,000 messages of a standard queue at most (SQS Developer Guide, "Quotas")
LOOKS_PER_SECOND = 50  # messages that a look surely gets through: ten in 200 ms
_LEAST_HIDDEN, _LONGEST_HIDDEN = 120, 43_200  # seconds; 12 hours is SQS's limit
_EMPTY_ANSWERS = 2  # in a row, of long polls that ask all of SQS's servers
WAIT_SECONDS = 1  # of a long poll
_DELETE_TRIES = 3
_RELEASERS = 8


class NotOfAws(Transient):
    """Somebody else answers in the place of SQS."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages a queue holds; SQS calls its numbers approximate."""

    visible: int = 0
    in_flight: int = 0
    delayed: int = 0

    @property
    def total(self) -> int:
        return self.visible + self.in_flight + self.delayed


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a queue. `attributes` are those that its sender added, as text."""

    id: str
    body: str
    receipt: str
    sent: datetime  # when it came into this queue, or, moved here by SQS, into the one before
    receives: int
    attributes: Mapping[str, str]

    @classmethod
    def of(cls, received: Mapping[str, Any]) -> Self:
        told = received.get("Attributes", {})
        added = received.get("MessageAttributes", {})
        return cls(
            id=received["MessageId"],
            body=received.get("Body", ""),
            receipt=received["ReceiptHandle"],
            sent=datetime.fromtimestamp(int(told.get("SentTimestamp", 0)) / 1000, UTC),
            receives=int(told.get("ApproximateReceiveCount", 0)),
            attributes={name: str(value.get("StringValue", "")) for name, value in added.items()},
        )


def measure(sqs: SQSClient, queue_url: str) -> tuple[Depth, datetime]:
    """How deep a queue is, and what time it is there: this machine's clock may be wrong.

    Raises:
        ClientError, BotoCoreError: the queue does not answer.
        NotOfAws: something else does, such as the page of a proxy.
    """
    names: Any = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
    told = answer.get("Attributes")
    if told is None:
        raise NotOfAws(f"The answer about {queue_url} tells no number of messages: check the network, AWS_ENDPOINT_URL")
    depth = Depth(*(int(told.get(name, 0)) for name in names))
    now = datetime.now(UTC)
    with suppress(KeyError, ValueError):
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return depth, now.replace(microsecond=0) + timedelta(seconds=1)  # the header has whole seconds


def hidden_seconds(messages: int, per_second: float = LOOKS_PER_SECOND) -> int:
    """How long a look at so many messages hides them: twice the time that it takes, from 2 minutes to 12 hours.

    Shorter, and messages appear again before the look has passed them (it notices, but somebody else may take them);
    longer, and what a killed look has hidden stays hidden for longer.
    """
    return min(max(math.ceil(2 * messages / min(per_second, LOOKS_PER_SECOND)), _LEAST_HIDDEN), _LONGEST_HIDDEN)


@dataclass
class QueueLook:
    """A context: `pages` gives each message once; `delete` removes some; at its end the others are visible again.

    `most` bounds how many messages are looked at; 0 means all.
    """

    sqs: SQSClient
    url: str
    most: int = 0
    per_second: float = LOOKS_PER_SECOND  # how fast the caller wants to go on
    looked_at: int = 0
    complete: bool = False  # the look has reached the end of the queue
    not_released: int = 0  # messages that appear again only after `hidden` seconds
    hidden: int = 0  # seconds for which each message is hidden
    depth: Depth = field(default_factory=Depth)  # at the beginning
    started: datetime = field(default_factory=lambda: datetime.now(UTC))  # by SQS's clock
    _held: dict[str, str] = field(default_factory=dict)  # message id -> the last receipt
    _deleted: dict[str, None] = field(default_factory=dict)  # ids, oldest first

    def __enter__(self) -> Self:
        self.depth, self.started = measure(self.sqs, self.url)
        expected = min(self.depth.visible, self.most or MAX_HELD, MAX_HELD)
        self.hidden = hidden_seconds(expected, self.per_second)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.not_released = self._release()

    def pages(self) -> Iterator[list[Message]]:
        """Up to ten new messages at a time, until no more come, `most` were given, or MAX_HELD are held.

        Raises:
            ClientError, BotoCoreError: the queue does not answer.
        """
        empty = 0
        while len(self._held) < MAX_HELD and (not self.most or self.looked_at < self.most):
            asked = min(BATCH_ENTRIES, self.most - self.looked_at) if self.most else BATCH_ENTRIES
            found = self._receive(asked)
            empty = 0 if found else empty + 1
            if empty == _EMPTY_ANSWERS:
                self.complete = True
                return
            new = self._only_new(found)
            if len(new) < len(found):  # the look is slower than was thought: some are visible again
                self.hidden = min(2 * self.hidden, _LONGEST_HIDDEN)
            if new:
                self.looked_at += len(new)
                yield new

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete messages of this look.

        Returns:
            Those that SQS did not delete. They are there again after the look; nothing is lost by that.

        Raises:
            ClientError: the credentials may not delete.
        """
        for message in messages:
            self._deleted[message.id] = None
        while len(self._deleted) > MAX_HELD:
            del self._deleted[next(iter(self._deleted))]
        left = {message.id: message for message in messages}
        for _ in range(_DELETE_TRIES):
            for gone in self._delete({id_: self._held[id_] for id_ in left if id_ in self._held}):
                self._held.pop(gone, None)
                del left[gone]
            if not left:
                break
        return list(left.values())

    def _receive(self, number: int) -> list[Message]:
        """Up to so many messages, now hidden, whether they were seen before or not."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=number,
            VisibilityTimeout=self.hidden,
            WaitTimeSeconds=WAIT_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        return list(map(Message.of, answer.get("Messages", [])))

    def _only_new(self, found: Sequence[Message]) -> list[Message]:
        new: list[Message] = []
        again: dict[str, str] = {}
        for message in found:
            known = message.id in self._held or message.id in self._deleted
            if message.id in self._deleted:
                again[message.id] = message.receipt
            self._held[message.id] = message.receipt
            if not known:
                new.append(message)
        for gone in self._delete(again):  # it was deleted before, and SQS delivered it once more
            self._held.pop(gone, None)
        return new

    def _delete(self, receipts: Mapping[str, str]) -> list[str]:
        """Ids of those that were deleted."""
        gone: list[str] = []
        for batch in in_tens(receipts.items()):
            entries: Any = [{"Id": str(n), "ReceiptHandle": receipt} for n, (_, receipt) in enumerate(batch)]
            try:
                answer = self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
            except (ClientError, BotoCoreError) as error:  # they stay, and the caller is told which
                if "AccessDenied" in str(error):  # not one of them can be deleted: it is of no use to go on
                    raise
            else:
                gone += [batch[int(entry["Id"])][0] for entry in answer.get("Successful", [])]
        return gone

    def _release(self) -> int:
        """Make everything that is held visible again. Returns how many SQS did not take."""
        batches: Iterable[list[str]] = in_tens(self._held.values())
        with ThreadPoolExecutor(_RELEASERS) as pool:
            failed = sum(pool.map(self._release_ten, batches))
        self._held.clear()
        return failed

    def _release_ten(self, receipts: Sequence[str]) -> int:
        entries: Any = [
            {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": 0} for n, receipt in enumerate(receipts)
        ]
        try:
            answer = self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)
        except (ClientError, BotoCoreError):  # they are visible again when their time is over
            return len(receipts)
        return len(answer.get("Failed", []))


Watch = Callable[[str, int], None]  # what is being looked at, and how many so far
