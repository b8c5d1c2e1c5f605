# ruff: noqa: N803 (the parameters have SQS's own names)
"""SQS in memory: queues with visibility timeouts by a clock that a test moves, and what SQS may refuse."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from botocore.exceptions import ClientError

from tests.support.faults import Crash
from tests.support.lake import Clock
from tests.support.queue import record

UNITS, DEAD, FAILED = "units", "dead-letters", "failed-events"


@dataclass
class Stored:
    """A message of a queue."""

    id: str
    body: str
    attributes: dict[str, Any]
    sent: float
    visible_at: float
    receipt: str = ""
    receives: int = 0


@dataclass
class MemorySqs:
    """As much of SQS as letters need. It gives visible messages in the order of their sending.

    `refused_deletes` and `refused_sends` are bodies that SQS does not take, each as often as it is listed.
    """

    clock: Clock = field(default_factory=Clock)
    queues: dict[str, list[Stored]] = field(default_factory=lambda: {UNITS: [], DEAD: [], FAILED: []})
    refused_deletes: list[str] = field(default_factory=list)
    refused_sends: list[str] = field(default_factory=list)
    hidden_for: list[int] = field(default_factory=list)  # the visibility timeout of each receive
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def sent(self) -> list[str]:
        """Bodies in the dead-letter queue."""
        return self.bodies(DEAD)

    def bodies(self, queue: str) -> list[str]:
        return [message.body for message in self.queues[queue]]

    def visible(self, queue: str) -> list[Stored]:
        return [message for message in self.queues[queue] if message.visible_at <= self.clock.now]

    # -- SQS's operations ------------------------------------------------------------------------------------

    def send_message(
        self, QueueUrl: str, MessageBody: str, MessageAttributes: dict[str, Any] | None = None
    ) -> dict[str, str]:
        id_ = f"id-{next(self._numbers)}"
        now = self.clock.now
        self.queues[QueueUrl].append(Stored(id_, MessageBody, MessageAttributes or {}, now, now))
        return {"MessageId": id_}

    def send_message_batch(self, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in Entries:
            if entry["MessageBody"] in self.refused_sends:
                self.refused_sends.remove(entry["MessageBody"])
                answer["Failed"].append({"Id": entry["Id"], "Code": "InternalError", "Message": "come back"})
            else:
                answer["Successful"].append({"Id": entry["Id"], **self.send_message(QueueUrl, entry["MessageBody"])})
        return answer

    def receive_message(
        self, QueueUrl: str, MaxNumberOfMessages: int, VisibilityTimeout: int, **_: Any
    ) -> dict[str, Any]:
        self.hidden_for.append(VisibilityTimeout)
        found = self.visible(QueueUrl)[:MaxNumberOfMessages]
        for message in found:
            message.visible_at = self.clock.now + VisibilityTimeout
            message.receives += 1
            message.receipt = f"{message.id}/{message.receives}"
        return {
            "Messages": [
                {
                    "MessageId": message.id,
                    "Body": message.body,
                    "ReceiptHandle": message.receipt,
                    "MessageAttributes": message.attributes,
                    "Attributes": {
                        "SentTimestamp": str(int(message.sent * 1000)),
                        "ApproximateReceiveCount": str(message.receives),
                    },
                }
                for message in found
            ]
        }

    def delete_message_batch(self, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in Entries:
            found = [message for message in self.queues[QueueUrl] if message.receipt == entry["ReceiptHandle"]]
            if found and found[0].body in self.refused_deletes:
                self.refused_deletes.remove(found[0].body)
                answer["Failed"].append({"Id": entry["Id"], "Code": "InternalError"})
                continue
            self.queues[QueueUrl] = [message for message in self.queues[QueueUrl] if message not in found]
            answer["Successful"].append({"Id": entry["Id"]})
        return answer

    def change_message_visibility_batch(self, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:
        for entry in Entries:
            for message in self.queues[QueueUrl]:
                if message.receipt == entry["ReceiptHandle"]:
                    message.visible_at = self.clock.now + entry["VisibilityTimeout"]
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries], "Failed": []}

    def get_queue_attributes(self, QueueUrl: str, **_: Any) -> dict[str, Any]:
        visible, stored = len(self.visible(QueueUrl)), len(self.queues[QueueUrl])
        date = format_datetime(datetime.fromtimestamp(int(self.clock.now), UTC), usegmt=True)
        return {
            "Attributes": {
                "QueueArn": f"arn:aws:sqs:us-east-2:000000000000:{QueueUrl}",
                "ApproximateNumberOfMessages": str(visible),
                "ApproximateNumberOfMessagesNotVisible": str(stored - visible),
            },
            "ResponseMetadata": {"HTTPHeaders": {"date": date}},
        }

    def list_message_move_tasks(self, **_: Any) -> Any:
        raise ClientError(
            {"Error": {"Code": "InvalidAction", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}},  # type: ignore[typeddict-item]
            "ListMessageMoveTasks",
        )

    def receive_records(self, queue: str = UNITS, number: int = 10) -> list[dict[str, Any]]:
        """One delivery, as Lambda hands it over; each receipt handle stands in its record."""
        found = self.receive_message(queue, number, 360)["Messages"]
        return [
            record(one["Body"], one["MessageId"], int(one["Attributes"]["ApproximateReceiveCount"]))
            | {"receiptHandle": one["ReceiptHandle"]}
            for one in found
        ]


class Mortal:
    """A client whose program is killed at call number `at`, before or after it: from then on no call goes through."""

    def __init__(self, client: Any, at: int, before: bool) -> None:
        self._client, self._at, self._before = client, at, before
        self.calls = 0
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.dead or (self._before and self.calls == self._at):
                self.dead = True
                raise Crash
            result = method(*args, **kwargs)
            if self.calls == self._at:
                self.dead = True
                raise Crash
            return result

        return call
