"""Ingest against the emulator: every kind of event has its outcome, and no crash loses or doubles a unit."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.stack import Clients
from services.ingest import app
from services.ingest.events import MalformedEvent
from services.ingest.planner import Outcome, SendFailed, plan_object, send_units
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, LedgerObject, ObjectState
from services.shared.units import BronzeObject, Unit, plan
from tests.support.faults import Crash, Interrupted, Interrupter
from tests.support.lake import CREATED, Clock

BUCKET = "bronze-bucket"


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


@pytest.fixture
def queue_url(clients: Clients) -> str:
    return clients.sqs.create_queue(QueueName=f"units-{time.monotonic_ns()}")["QueueUrl"]


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch, emulator: str, queue_url: str, ledger_table: str) -> Iterator[Any]:
    """The function's handler, its environment set to the emulator."""
    settings = {
        "BRONZE_BUCKET": BUCKET,
        "QUEUE_URL": queue_url,
        "LEDGER_TABLE": ledger_table,
        "UNIT_BYTES": "1024",
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    caches = (app._settings, app._ledger, app._sqs)
    for cached in caches:
        cached.cache_clear()
    yield app.handler
    for cached in caches:
        cached.cache_clear()


def event(*objects: tuple[str, int], bucket: str = BUCKET) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventName": "ObjectCreated:Put",
                "eventTime": CREATED.isoformat(),
                "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": size, "eTag": "e1"}},
            }
            for key, size in objects
        ]
    }


def messages(clients: Clients, queue_url: str) -> list[str]:
    bodies: list[str] = []
    while found := clients.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", []):
        bodies += [message.get("Body", "") for message in found]
    return bodies


def ledger_objects(clients: Clients, table: str) -> dict[str, LedgerObject]:
    return {item.id.key: item for item in Ledger(clients.dynamodb, table).scan() if isinstance(item, LedgerObject)}


def test_an_object_becomes_units_on_the_queue_once(
    handler: Any, clients: Clients, queue_url: str, ledger_table: str
) -> None:
    first = handler(event(("bronze/shipments/a.jsonl", 5000)), Context())
    again = handler(event(("bronze/shipments/a.jsonl", 5000)), Context())
    assert (first["planned"], again["duplicate"]) == (1, 1)
    units = [Unit.from_message(body) for body in messages(clients, queue_url)]
    assert sorted((unit.start, unit.end) for unit in units) == [
        (0, 1024),
        (1024, 2048),
        (2048, 3072),
        (3072, 4096),
        (4096, 5000),
    ]
    assert ledger_objects(clients, ledger_table)["bronze/shipments/a.jsonl"].units == 5


@pytest.mark.parametrize(
    ("key", "bucket", "reason"),
    [
        ("bronze/shipments/", BUCKET, "directory_marker"),
        ("bronze/shipments/a.csv", BUCKET, "unsupported_format"),
        ("elsewhere/a.jsonl", BUCKET, "outside_bronze"),
        ("bronze/shipments/a.jsonl", "another-bucket", "foreign_bucket"),
    ],
)
def test_what_is_not_taken_is_recorded_with_its_reason(
    handler: Any, clients: Clients, queue_url: str, ledger_table: str, key: str, bucket: str, reason: str
) -> None:
    assert handler(event((key, 10), bucket=bucket), Context())["rejected"] == 1
    found = ledger_objects(clients, ledger_table)[key]
    assert (found.state, found.reason) == (ObjectState.REJECTED, reason)
    assert messages(clients, queue_url) == []


def test_an_empty_object_is_planned_with_no_unit(
    handler: Any, clients: Clients, queue_url: str, ledger_table: str
) -> None:
    assert handler(event(("bronze/shipments/a.jsonl", 0)), Context())["planned"] == 1
    assert ledger_objects(clients, ledger_table)["bronze/shipments/a.jsonl"].units == 0
    assert messages(clients, queue_url) == []


def test_the_test_event_does_nothing(handler: Any, clients: Clients, ledger_table: str) -> None:
    assert handler({"Event": "s3:TestEvent"}, Context()) == {"planned": 0, "duplicate": 0, "rejected": 0}
    assert ledger_objects(clients, ledger_table) == {}


def test_what_is_no_notification_is_an_error_that_lambda_sees(handler: Any) -> None:
    with pytest.raises(MalformedEvent):
        handler({"hello": "world"}, Context())


def test_one_object_that_must_wait_does_not_keep_the_others_from_being_planned(
    handler: Any, clients: Clients, queue_url: str, ledger_table: str
) -> None:
    busy = BronzeObject(BUCKET, "bronze/shipments/busy.jsonl", 10, "e1", None, CREATED)
    Ledger(clients.dynamodb, ledger_table).begin_planning(busy, 1, 1024, 60)
    with pytest.raises(app.PlanningIncomplete, match="busy"):
        handler(event(("bronze/shipments/busy.jsonl", 10), ("bronze/shipments/free.jsonl", 10)), Context())
    assert [Unit.from_message(body).object.key for body in messages(clients, queue_url)] == [
        "bronze/shipments/free.jsonl"
    ]


def test_without_time_an_object_is_left_for_the_retry(handler: Any, clients: Clients, queue_url: str) -> None:
    with pytest.raises(app.PlanningIncomplete, match="not all units"):
        handler(event(("bronze/shipments/a.jsonl", 10)), Context(milliseconds=1500))
    assert messages(clients, queue_url) == []


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_planner_that_dies_at_any_step_is_replaced_and_no_unit_is_missing(
    clients: Clients, queue_url: str, ledger_table: str, step: int, before: bool
) -> None:
    clock = Clock()
    source = BronzeObject(BUCKET, "bronze/shipments/a.jsonl", 15 * 1024, "e1", None, CREATED)
    expected = {unit.to_message() for unit in plan(source, 1024)}

    def attempt(interrupter: Interrupter) -> Outcome:
        ledger = Ledger(
            Interrupted(clients.dynamodb, interrupter, ["put_item", "update_item"]), ledger_table, clock=clock
        )
        sqs = Interrupted(clients.sqs, interrupter, ["send_message_batch"])
        return plan_object(
            source, BUCKET, 1024, ledger, lambda units: send_units(sqs, queue_url, units, lambda: 60.0), 60
        ).outcome

    def die() -> None:
        raise Crash

    with pytest.raises(Crash):
        attempt(Interrupter(step, before, die))
    nothing_done = step == 1 and before
    all_done = step == 4 and not before
    if not nothing_done and not all_done:
        with pytest.raises(LeaseHeld):
            attempt(Interrupter())
        clock.advance(66)
    assert attempt(Interrupter()) is (Outcome.DUPLICATE if all_done else Outcome.PLANNED)
    assert set(messages(clients, queue_url)) == expected  # some may be there twice; the transform knows them


def test_a_batch_that_sqs_takes_in_part_is_an_error() -> None:
    class PartlyRefusing:
        def send_message_batch(self, **_: Any) -> dict[str, Any]:
            return {"Successful": [], "Failed": [{"Id": "0", "Message": "throttled"}]}

    source = BronzeObject(BUCKET, "bronze/shipments/a.jsonl", 10, "e1", None, CREATED)
    with pytest.raises(SendFailed, match="throttled"):
        send_units(PartlyRefusing(), "queue", plan(source, 1024), lambda: 60.0)  # type: ignore[arg-type]


def test_100_gb_is_planned_in_constant_memory_and_seconds() -> None:
    class Counting:
        sent = 0

        def send_message_batch(self, Entries: list[Any], **_: Any) -> dict[str, Any]:  # noqa: N803
            assert len(json.dumps(Entries)) < 1024 * 1024
            self.sent += len(Entries)
            return {}

    sqs = Counting()
    source = BronzeObject(BUCKET, f"bronze/shipments/{'x' * 900}.jsonl", 100 * 10**9, "e1", None, CREATED)
    send_units(sqs, "queue", plan(source, 64 * 1024 * 1024), lambda: 60.0)  # type: ignore[arg-type]
    assert sqs.sent == 1491
