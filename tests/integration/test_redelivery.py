"""On a queue that hides messages for half an hour, what failed comes again when the function has said."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from local.stack import Clients
from services.shared.ledger.ledger import Ledger
from services.shared.units import BronzeObject
from services.transform import app
from tests.integration.test_ingest import Context
from tests.support.lake import CREATED
from tests.support.running import await_true


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch, emulator: str, clients: Clients, ledger_table: str) -> Any:
    """Transform's handler on a queue of its own."""
    queue = clients.sqs.create_queue(
        QueueName=f"units-{uuid.uuid4().hex[:8]}", Attributes={"VisibilityTimeout": "1800"}
    )
    for name, value in {
        "BRONZE_BUCKET": "bronze-bucket",
        "SILVER_BUCKET": "silver-bucket",
        "LEDGER_TABLE": ledger_table,
        "QUEUE_URL": queue["QueueUrl"],
        "DEAD_LETTER_QUEUE_URL": queue["QueueUrl"],
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    caches = (app._settings, app._sqs, app._processor)
    for cached in caches:
        cached.cache_clear()
    yield app.handler
    for cached in caches:
        cached.cache_clear()


def received(clients: Clients, queue_url: str) -> list[Any]:
    return clients.sqs.receive_message(
        QueueUrl=queue_url, AttributeNames=["ApproximateReceiveCount", "SentTimestamp"]
    ).get("Messages", [])


def test_a_unit_that_cannot_be_read_comes_again_in_seconds_and_its_age_is_told(
    handler: Any, clients: Clients, ledger_table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    queue_url = app._settings().queue_url
    gone = BronzeObject("bronze-bucket", "bronze/shipments/never-there.jsonl", 10, "e", None, CREATED)
    (unit,) = Ledger(clients.dynamodb, ledger_table).objects.begin(gone, 1000, 60).plan
    clients.sqs.send_message(QueueUrl=queue_url, MessageBody=unit.to_message())
    (message,) = received(clients, queue_url)
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "attributes": message["Attributes"]
        | {"SentTimestamp": str(int(message["Attributes"]["SentTimestamp"]) - 7_200_000)},
        "body": message["Body"],
    }
    assert received(clients, queue_url) == []  # it is hidden, for half an hour if nobody says otherwise
    answer = handler({"Records": [record]}, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": message["MessageId"]}]}
    told = time.monotonic()
    (metrics,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"ReturnedAge"' in line]
    assert 7200 <= metrics["ReturnedAge"][0] < 7260  # two hours before, as CloudWatch gets it
    again: list[Any] = []

    def it_is_back() -> bool:
        again.extend(received(clients, queue_url))
        return bool(again)

    await_true(it_is_back, seconds=30)
    assert time.monotonic() - told > 3
    assert again[0]["Attributes"]["ApproximateReceiveCount"] == "2"
