"""Where letters go back to work: units to the queue, S3 events to ingest; and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from services.ops.dead_letters.letters import Letter

if TYPE_CHECKING:
    from mypy_boto3_lambda.client import LambdaClient
    from mypy_boto3_sqs.client import SQSClient

# Answers that may be better for the next letter; anything else (no access, no such function) holds for all of them.
_PASSING = {"TooManyRequestsException", "ServiceException", "RequestThrottled", "ThrottlingException", "Throttling"}


class Work(Protocol):
    """Takes letters back to work."""

    def send(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Send up to ten letters on.

        Returns:
            Message id -> why it was not taken. Those that are not named are safe with the service that took them.

        Raises:
            ClientError, BotoCoreError: no letter can be sent, or nobody knows whether these were.
        """
        ...


@dataclass(frozen=True)
class UnitQueue:
    """The queue of units. A message that is taken gets a new id, from which transform knows that it was redriven."""

    sqs: SQSClient
    url: str

    def send(self, letters: Sequence[Letter]) -> dict[str, str]:
        entries: Any = [{"Id": str(n), "MessageBody": letter.message.body} for n, letter in enumerate(letters)]
        answer = self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
        refused = {int(entry["Id"]): entry.get("Message") for entry in answer.get("Failed", [])}
        taken = {int(entry["Id"]) for entry in answer.get("Successful", [])}
        return {
            letter.message.id: str(refused.get(n) or "SQS did not confirm it")
            for n, letter in enumerate(letters)
            if n not in taken
        }


@dataclass(frozen=True)
class Ingest:
    """The ingest function. An event that Lambda has accepted is Lambda's; after three failures it is kept again."""

    functions: LambdaClient
    name: str

    def send(self, letters: Sequence[Letter]) -> dict[str, str]:
        refused = {}
        for letter in letters:
            try:
                answer = self.functions.invoke(
                    FunctionName=self.name, InvocationType="Event", Payload=letter.payload.encode()
                )
            except ClientError as error:
                if error.response["Error"].get("Code") not in _PASSING:
                    raise
                refused[letter.message.id] = str(error)
            else:
                if answer["StatusCode"] != 202:
                    refused[letter.message.id] = f"Lambda answered {answer['StatusCode']}"
        return refused


class Pace:
    """Lets `per_second` letters pass in a second. `clock` gives seconds."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.per_second = per_second
        self._clock, self._sleep = clock, sleep
        self._free_at = 0.0

    def wait(self, letters: int) -> None:
        """Until so many letters may pass."""
        now = self._clock()
        if self._free_at > now:
            self._sleep(self._free_at - now)
        self._free_at = max(self._free_at, now) + letters / self.per_second
