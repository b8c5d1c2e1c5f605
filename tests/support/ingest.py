"""Events for ingest, what it puts on the queue, and planners that are stopped in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from botocore.exceptions import ClientError

from local.stack import Clients
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LedgerObject
from services.shared.planning.planner import Outcome, Planner
from services.shared.sqs import send_ten
from services.shared.units import BronzeObject, UnitMessage
from tests.support.faults import Interrupted, Interrupter
from tests.support.lake import CREATED, Clock

BUCKET = "bronze-bucket"
KEY = "bronze/shipments/a.jsonl"


@dataclass
class Context:
    """As much of Lambda's context as the handler and Powertools use."""

    milliseconds: int = 60_000
    function_name: str = "smelt-ingest"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:smelt-ingest"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


class FailingQueue:
    """An SQS client that takes no batch that begins at a unit of this number or a higher one."""

    def __init__(self, client: Any, error: Exception, first: int = 0) -> None:
        self._client = client
        self._error = error
        self._first = first

    def send_message_batch(self, **request: Any) -> Any:
        if UnitMessage.parse(request["Entries"][0]["MessageBody"]).start >= self._first * 1024:
            raise self._error
        return self._client.send_message_batch(**request)


def outage(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "come back"}}, operation)


@dataclass
class Planning:
    """A planner over the emulator whose ledger has a clock of its own, and whose calls can be interrupted."""

    clients: Clients
    ledger_table: str
    queue_url: str
    clock: Clock

    def plan(
        self, source: BronzeObject, interrupter: Interrupter | None = None, sqs: Any = None, seconds: float = 60.0
    ) -> Outcome:
        stops = interrupter or Interrupter()
        until = self.clock.now + seconds
        deadline = Deadline(lambda: until - self.clock.now, 5.0)
        dynamodb = Interrupted(self.clients.dynamodb, stops, ["put_item", "update_item"])
        client = Interrupted(sqs or self.clients.sqs, stops, ["send_message_batch"])

        def send(bodies: Sequence[str]) -> None:
            send_ten(client, self.queue_url, bodies, deadline)

        ledger = Ledger(dynamodb, self.ledger_table, clock=self.clock)  # type: ignore[arg-type]
        return Planner(ledger, BUCKET, 1024, send).plan(source, deadline).outcome

    def messages(self) -> list[str]:
        return messages(self.clients, self.queue_url)

    def known(self, source: BronzeObject) -> LedgerObject:
        (found,) = Ledger(self.clients.dynamodb, self.ledger_table).find_objects([source.id])
        return found


def source(units: int, key: str = KEY) -> BronzeObject:
    """An object of this many units of 1,024 bytes."""
    return BronzeObject(BUCKET, key, units * 1024, "e1", None, CREATED)


def record(announced: BronzeObject) -> dict[str, Any]:
    item = {"key": quote_plus(announced.key, safe="/"), "size": announced.size, "eTag": announced.etag}
    version = {"versionId": announced.version_id} if announced.version_id else {}
    return {
        "eventName": "ObjectCreated:Put",
        "eventTime": announced.created.isoformat(),
        "s3": {"bucket": {"name": announced.bucket}, "object": item | version},
    }


def event(*objects: tuple[str, int], bucket: str = BUCKET) -> dict[str, Any]:
    return {"Records": [record(BronzeObject(bucket, key, size, "e1", None, CREATED)) for key, size in objects]}


def events_of(*announced: BronzeObject) -> dict[str, Any]:
    return {"Records": [record(one) for one in announced]}


def messages(clients: Clients, queue_url: str) -> list[str]:
    bodies: list[str] = []
    while found := clients.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", []):
        bodies += [message.get("Body", "") for message in found]
    return bodies


def ranges(bodies: Sequence[str]) -> list[tuple[int, int]]:
    return sorted((message.start, message.end) for message in map(UnitMessage.parse, bodies))


def grid(units: int, step: int = 1024) -> list[tuple[int, int]]:
    return [(number * step, (number + 1) * step) for number in range(units)]
