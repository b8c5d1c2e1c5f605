"""The dead-letter queue: where transform itself sends what it gives up, with the reason, before it acknowledges it.

SQS's own redrive policy counts receives, and Lambda uses receives up without running the function when it is throttled.
So receives decide nothing here; attempts in the ledger do. A letter sent by us also gets the queue's full retention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.shared.units import MAX_MESSAGE_CHARACTERS
from services.transform.protocol.messages import Letter

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

_MAX_ERROR = 1000  # characters


class DeadLetterQueue:
    """Sends letters to one queue."""

    def __init__(self, sqs: SQSClient, queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def send(self, letter: Letter, reason: str, error: str) -> None:
        """Send a letter's body on, with `reason` (a code), `error` (a sentence) and `source_message_id`.

        A body that is longer than any unit is not ours: its beginning is enough, and always fits.

        Raises:
            ClientError, BotoCoreError: it was not sent; the letter must come back.
        """
        self._sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=letter.body[:MAX_MESSAGE_CHARACTERS],
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in (
                    ("reason", reason),
                    ("error", _plain(error)),
                    ("source_message_id", letter.message_id),
                )
            },
        )


def _plain(error: str) -> str:
    """The text in characters that every SQS attribute may hold."""
    escaped = error[:_MAX_ERROR].encode("ascii", "backslashreplace").decode()
    return "".join(char if char.isprintable() else " " for char in escaped) or "no message"
