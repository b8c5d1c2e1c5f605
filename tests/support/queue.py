"""SQS for tests: records as Lambda hands them over, and a queue in memory that takes what is sent."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from services.shared.units import Unit


def record(body: str, message_id: str = "m0", receives: int = 1) -> dict[str, Any]:
    """One message of a delivery, with what transform reads of it."""
    return {
        "messageId": message_id,
        "receiptHandle": f"handle-{message_id}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": str(receives), "SentTimestamp": str(int(time.time() * 1000))},
    }


def records(units: Iterable[Unit], first_id: int = 0) -> list[dict[str, Any]]:
    """Messages that carry these units, each delivered for the first time."""
    return [record(unit.to_message(), f"m{first_id + number}") for number, unit in enumerate(units)]


@dataclass
class MemoryQueue:
    """Keeps what `send_message` was called with."""

    sent: list[dict[str, Any]] = field(default_factory=list)

    def send_message(self, **message: Any) -> dict[str, str]:
        self.sent.append(message)
        return {"MessageId": str(len(self.sent))}
