"""Each function's role allows exactly what its code asks of AWS, on exactly its own resources.

What the code can ask is read from the code (tests/aws_calls.py); what the role allows, from a real plan of envs/dev. A
recorded run of both functions shows that reading the code has missed nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.stack import Clients
from services.shared.units import BronzeObject
from services.shared.units import plan as plan_units
from tests.aws_calls import api_calls
from tests.integration.test_ingest import Context, event
from tests.support import CREATED
from tests.support_terraform import IMAGES, of_type, plan

# API operation -> the IAM actions that it needs (AWS Service Authorization Reference). The others have their own name.
ACTIONS = {
    "sqs:SendMessageBatch": {"sqs:SendMessage"},
    "sqs:ChangeMessageVisibilityBatch": {"sqs:ChangeMessageVisibility"},
    "s3:GetObject": {"s3:GetObject", "s3:GetObjectVersion"},  # units name a version where the bucket keeps them
    "dynamodb:TransactWriteItems/Put": {"dynamodb:PutItem"},
    "dynamodb:TransactWriteItems/Update": {"dynamodb:UpdateItem"},
    "dynamodb:TransactWriteItems/Delete": {"dynamodb:DeleteItem"},
    "dynamodb:TransactWriteItems/ConditionCheck": {"dynamodb:ConditionCheckItem"},
}
# What Lambda itself does with a function's role: its logs and traces; feeding it from a queue; keeping failed events.
OF_THE_PLATFORM = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
OF_THE_EVENT_SOURCE = {
    "ingest": {"sqs:SendMessage"},
    "transform": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
}
ACCOUNT = "us-east-2:000000000000"
LEDGER = f"arn:aws:dynamodb:{ACCOUNT}:table/smelt-dev-ledger"
SILVER = "arn:aws:s3:::smelt-dev-silver-000000000000-us-east-2"
RESOURCES = {
    "ingest": {
        ("sqs", f"arn:aws:sqs:{ACCOUNT}:smelt-dev-events"),
        ("sqs", f"arn:aws:sqs:{ACCOUNT}:smelt-dev-ingest-failures"),
        ("dynamodb", LEDGER),
        ("logs", f"arn:aws:logs:{ACCOUNT}:log-group:/aws/lambda/smelt-dev-ingest:log-stream:*"),
        ("xray", "*"),  # X-Ray has no resources to name
    },
    "transform": {
        ("sqs", f"arn:aws:sqs:{ACCOUNT}:smelt-dev-events"),
        ("dynamodb", LEDGER),
        ("s3", "arn:aws:s3:::smelt-dev-bronze-000000000000-us-east-2/bronze/*"),
        ("s3", f"{SILVER}/silver/*"),
        ("s3", f"{SILVER}/quarantine/*"),
        ("logs", f"arn:aws:logs:{ACCOUNT}:log-group:/aws/lambda/smelt-dev-transform:log-stream:*"),
        ("xray", "*"),
    },
}
SERVICES = ["ingest", "transform"]


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return plan("envs/dev", "dev.tfvars", {"images": IMAGES}, emulator, tmp_path_factory.mktemp("plan"))


def statements(planned: dict[str, Any], service: str) -> list[dict[str, Any]]:
    policy = of_type(planned, "aws_iam_role_policy")[f"module.pipeline.module.{service}.aws_iam_role_policy.this"]
    return list(json.loads(policy["policy"])["Statement"])


def needed(service: str) -> set[str]:
    return {action for call in api_calls(service) for action in ACTIONS.get(call, {call})}


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_allows_what_its_code_calls_and_nothing_else(planned: dict[str, Any], service: str) -> None:
    allowed = {action for statement in statements(planned, service) for action in statement["Action"]}
    assert allowed == needed(service) | OF_THE_PLATFORM | OF_THE_EVENT_SOURCE[service]


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_reaches_its_own_resources_only(planned: dict[str, Any], service: str) -> None:
    reached = {
        (action.split(":")[0], resource)
        for statement in statements(planned, service)
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
    assert reached == RESOURCES[service]


def test_bronze_is_only_read_and_silver_is_only_written(planned: dict[str, Any]) -> None:
    allowed = {
        (resource.split(":::")[1].split("-")[2], action)
        for statement in statements(planned, "transform")
        for action in statement["Action"]
        for resource in statement["Resource"]
        if action.startswith("s3:")
    }
    assert allowed == {
        ("bronze", "s3:GetObject"),
        ("bronze", "s3:GetObjectVersion"),
        ("silver", "s3:PutObject"),
        ("silver", "s3:DeleteObject"),
    }


def test_roles_carry_nothing_but_that_policy(planned: dict[str, Any]) -> None:
    assert len(of_type(planned, "aws_iam_role")) == len(of_type(planned, "aws_iam_role_policy")) == len(SERVICES)
    assert not of_type(planned, "aws_iam_role_policy_attachment")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, emulator: str) -> Iterator[set[str]]:
    """Every API operation that this process asks for through the default session, as functions do."""
    session = boto3.session.Session()
    seen: set[str] = set()
    session.events.register(
        "before-call", lambda model, **_: seen.add(f"{model.service_model.service_name}:{model.name}")
    )
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    for name, value in {
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield seen


def test_a_run_of_both_functions_asks_for_nothing_that_the_code_did_not_show(
    monkeypatch: pytest.MonkeyPatch, clients: Clients, ledger_table: str, recorded: set[str]
) -> None:
    from services.ingest import app as ingest
    from services.transform import app as transform

    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=bucket)
    data = (
        b'{"event_time":"2026-01-30T00:00:00Z","shipment_id":"S-1","origin":"a","destination":"b","carrier":"c"}\n{\n'
    )
    etag = clients.s3.put_object(Bucket=bucket, Key="bronze/shipments/a.jsonl", Body=data)["ETag"].strip('"')
    source = BronzeObject(bucket, "bronze/shipments/a.jsonl", len(data), etag, None, CREATED)
    for name, value in {
        "BRONZE_BUCKET": bucket,
        "SILVER_BUCKET": bucket,
        "LEDGER_TABLE": ledger_table,
        "QUEUE_URL": clients.sqs.create_queue(QueueName=bucket)["QueueUrl"],
    }.items():
        monkeypatch.setenv(name, value)
    caches = [ingest._settings, ingest._ledger, ingest._sqs, transform._settings, transform._sqs, transform._processor]
    for cached in caches:
        cached.cache_clear()

    planned_twice = event((source.key, source.size), ("bronze/shipments/a.exe", 5), bucket=bucket)
    ingest.handler(planned_twice, Context())
    ingest.handler(planned_twice, Context())
    of_ingest = set(recorded)
    recorded.clear()
    units = [unit.to_message() for unit in plan_units(source, 64 * 1024 * 1024)]
    gone = BronzeObject(bucket, "bronze/shipments/gone.jsonl", 5, "e", None, CREATED)
    bodies = [*units, *units, *(unit.to_message() for unit in plan_units(gone, 64 * 1024 * 1024))]
    received = {
        "receiptHandle": "of a message that this queue does not know",
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    records = [{"messageId": str(n), "body": body, **received} for n, body in enumerate(bodies)]
    answer = transform.handler({"Records": records}, Context())
    for cached in caches:
        cached.cache_clear()

    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert of_ingest == {"dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:UpdateItem", "sqs:SendMessageBatch"}
    assert {
        "s3:GetObject",
        "s3:PutObject",
        "dynamodb:TransactWriteItems",
        "sqs:ChangeMessageVisibilityBatch",
    } <= recorded
    assert of_ingest <= api_calls("ingest")
    assert recorded <= {call.split("/")[0] for call in api_calls("transform")}
