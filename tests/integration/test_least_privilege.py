"""Each function's role allows exactly what its code asks of AWS, on exactly its own resources.

What the code can ask is read from the code (tests/support/aws_calls.py); what the role allows, from a real plan of
envs/dev. A recorded run of both functions shows that reading the code has missed nothing, and every request of that
run, with the names that it carries, is compared with the role's statements.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.stack import Clients, create_ledger
from tests.support.aws_calls import api_calls, names_in, reached
from tests.support.iam import TRANSACTION_ACTIONS, Request, needs, record, refused
from tests.support.lake import CREATED
from tests.support.queue import record as delivered
from tests.support.terraform import IMAGES, of_type, plan

# API operation -> the IAM actions that it needs (AWS Service Authorization Reference). The others have their own name.
ACTIONS = {
    "sqs:SendMessageBatch": {"sqs:SendMessage"},
    "sqs:ChangeMessageVisibilityBatch": {"sqs:ChangeMessageVisibility"},
    "s3:GetObject": {"s3:GetObject", "s3:GetObjectVersion"},  # units name a version where the bucket keeps them
    "s3:HeadObject": {"s3:GetObject", "s3:GetObjectVersion"},  # and so do copies
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
    **{f"dynamodb:TransactWriteItems/{kind}": {action} for kind, action in TRANSACTION_ACTIONS.items()},
}
# What Lambda does with a function's role: its logs and traces; feeding it from a queue; keeping failed events.
OF_THE_PLATFORM = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
OF_THE_EVENT_SOURCE = {
    "ingest": {"sqs:SendMessage"},
    "transform": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
}
# Reached by the name of a method alone: `S3Lake.read`, where ingest makes no `S3Lake`.
OF_A_LAKE = {"s3:ListBucket"}
ACCOUNT = "us-east-2:000000000000"
LEDGER = f"arn:aws:dynamodb:{ACCOUNT}:table/smelt-dev-ledger"
BRONZE = "arn:aws:s3:::smelt-dev-bronze-000000000000-us-east-2"
SILVER = "arn:aws:s3:::smelt-dev-silver-000000000000-us-east-2"
RESOURCES = {
    "ingest": {
        ("sqs", f"arn:aws:sqs:{ACCOUNT}:smelt-dev-events"),
        ("sqs", f"arn:aws:sqs:{ACCOUNT}:smelt-dev-ingest-failures"),
        ("dynamodb", LEDGER),
        ("s3", f"{BRONZE}/bronze/replay/*"),
        ("logs", f"arn:aws:logs:{ACCOUNT}:log-group:/aws/lambda/smelt-dev-ingest:log-stream:*"),
        ("xray", "*"),  # X-Ray has no resources to name
    },
    "transform": {
        ("sqs", f"arn:aws:sqs:{ACCOUNT}:smelt-dev-events"),
        ("sqs", f"arn:aws:sqs:{ACCOUNT}:smelt-dev-events-dlq"),
        ("dynamodb", LEDGER),
        ("s3", BRONZE),
        ("s3", f"{BRONZE}/bronze/*"),
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
    policy = of_type(planned, "aws_iam_role_policy")[
        f"module.platform.module.pipeline.module.{service}.module.role.aws_iam_role_policy.this[0]"
    ]
    return list(json.loads(policy["policy"])["Statement"])


def needed(service: str) -> set[str]:
    makes_a_lake = any("S3Lake" in names_in(node) for node in reached(service))
    called = {action for call in api_calls(service) for action in ACTIONS.get(call, {call})}
    return called if makes_a_lake else called - OF_A_LAKE


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_allows_what_its_code_calls_and_nothing_else(planned: dict[str, Any], service: str) -> None:
    allowed = {action for statement in statements(planned, service) for action in statement["Action"]}
    assert allowed == needed(service) | OF_THE_PLATFORM | OF_THE_EVENT_SOURCE[service]


def test_transform_sends_dead_letters_and_no_units(planned: dict[str, Any]) -> None:
    sent_to = {
        resource
        for statement in statements(planned, "transform")
        if "sqs:SendMessage" in statement["Action"]
        for resource in statement["Resource"]
    }
    assert sent_to == {f"arn:aws:sqs:{ACCOUNT}:smelt-dev-events-dlq"}


def test_the_only_condition_limits_listing_to_bronze(planned: dict[str, Any]) -> None:
    conditions = [
        (statement["Action"], statement["Resource"], statement["Condition"])
        for service in SERVICES
        for statement in statements(planned, service)
        if "Condition" in statement
    ]
    listing = ["s3:ListBucket", "s3:ListBucketVersions"]
    assert conditions == [(listing, [BRONZE], {"StringLike": {"s3:prefix": ["bronze/*"]}})]


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
        ("bronze", "s3:ListBucket"),
        ("bronze", "s3:ListBucketVersions"),
        ("silver", "s3:PutObject"),
        ("silver", "s3:DeleteObject"),
    }


def test_ingest_looks_at_copies_and_at_nothing_else_in_s3(planned: dict[str, Any]) -> None:
    allowed = {
        (action, resource)
        for statement in statements(planned, "ingest")
        for action in statement["Action"]
        for resource in statement["Resource"]
        if action.startswith("s3:")
    }
    copies = f"{BRONZE}/bronze/replay/*"
    assert allowed == {("s3:GetObject", copies), ("s3:GetObjectVersion", copies)}


def test_roles_carry_nothing_but_that_policy(planned: dict[str, Any]) -> None:
    assert len(of_type(planned, "aws_iam_role")) == len(of_type(planned, "aws_iam_role_policy")) == len(SERVICES)
    assert not of_type(planned, "aws_iam_role_policy_attachment")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, emulator: str) -> list[Request]:
    return record(monkeypatch, emulator)


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch, clients: Clients) -> Iterator[None]:
    """What the roles name, on the emulator, and both functions new."""
    from services.ingest import app as ingest
    from services.transform import app as transform

    table = LEDGER.rsplit("/", 1)[1]
    for bucket in (BRONZE, SILVER):
        clients.s3.create_bucket(Bucket=bucket.removeprefix("arn:aws:s3:::"))
    create_ledger(clients.dynamodb, table)
    for name, value in {
        "BRONZE_BUCKET": BRONZE.removeprefix("arn:aws:s3:::"),
        "SILVER_BUCKET": SILVER.removeprefix("arn:aws:s3:::"),
        "LEDGER_TABLE": table,
        "QUEUE_URL": clients.sqs.create_queue(QueueName="smelt-dev-events")["QueueUrl"],
        "DEAD_LETTER_QUEUE_URL": clients.sqs.create_queue(QueueName="smelt-dev-events-dlq")["QueueUrl"],
    }.items():
        monkeypatch.setenv(name, value)
    caches = [value for app in (ingest, transform) for value in vars(app).values() if hasattr(value, "cache_clear")]
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()
    # Other tests plan the same names.
    for bucket in (BRONZE.removeprefix("arn:aws:s3:::"), SILVER.removeprefix("arn:aws:s3:::")):
        for entry in clients.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            clients.s3.delete_object(Bucket=bucket, Key=entry["Key"])
        clients.s3.delete_bucket(Bucket=bucket)
    clients.dynamodb.delete_table(TableName=table)
    for queue in ("smelt-dev-events", "smelt-dev-events-dlq"):
        clients.sqs.delete_queue(QueueUrl=clients.sqs.get_queue_url(QueueName=queue)["QueueUrl"])


@dataclass(frozen=True)
class Context:
    """As much of Lambda's context as the handlers and Powertools use."""

    function_name: str = "smelt-dev"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:us-east-2:000000000000:function:smelt-dev"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def created(key: str, size: int, etag: str) -> dict[str, Any]:
    """S3's record of a new object."""
    bucket = BRONZE.removeprefix("arn:aws:s3:::")
    object_ = {"key": key, "size": size, "eTag": etag, "versionId": "a-version"}
    return {
        "eventName": "ObjectCreated:Put",
        "eventTime": CREATED.isoformat(),
        "s3": {"bucket": {"name": bucket}, "object": object_},
    }


@pytest.mark.usefixtures("deployed")
def test_a_run_of_both_functions_asks_for_what_the_code_showed_and_the_roles_allow(
    clients: Clients, recorded: list[Request], planned: dict[str, Any]
) -> None:
    from services.ingest import app as ingest
    from services.transform import app as transform

    data = (
        b'{"event_time":"2026-01-30T00:00:00Z","shipment_id":"S-1","origin":"a","destination":"b","carrier":"c"}\n{\n'
    )
    bucket = BRONZE.removeprefix("arn:aws:s3:::")
    stored = clients.s3.put_object(Bucket=bucket, Key="bronze/shipments/a.jsonl", Body=data)
    good = created("bronze/shipments/a.jsonl", len(data), stored["ETag"].strip('"'))
    del good["s3"]["object"]["versionId"]  # this bucket keeps none
    event = {
        "Records": [good, created("bronze/shipments/a.exe", 5, "e"), created("bronze/shipments/gone.jsonl", 5, "e")]
    }
    copy = created("bronze/replay/1/bronze/shipments/a.jsonl", len(data), stored["ETag"].strip('"'))
    event["Records"].append(copy)
    ingest.handler(event, Context())
    ingest.handler(event, Context())
    of_ingest = list(recorded)
    recorded.clear()

    queue = clients.sqs.get_queue_url(QueueName="smelt-dev-events")["QueueUrl"]
    units = clients.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    bodies = [*(message["Body"] for message in units), units[0]["Body"], "not a unit"]
    answer = transform.handler({"Records": [delivered(body, str(n)) for n, body in enumerate(bodies)]}, Context())

    returned = [{"itemIdentifier": str(n)} for n, body in enumerate(bodies) if "gone" in body]
    assert returned
    assert answer == {"batchItemFailures": returned}
    operations = {
        service: {request.action for request in requests}
        for service, requests in (("ingest", of_ingest), ("transform", recorded))
    }
    assert {"dynamodb:PutItem", "dynamodb:UpdateItem", "sqs:SendMessageBatch", "s3:HeadObject"} <= operations["ingest"]
    assert {
        "s3:GetObject",
        "s3:PutObject",
        "dynamodb:TransactWriteItems",
        "sqs:ChangeMessageVisibilityBatch",
        "sqs:SendMessage",
    } <= operations["transform"]
    assert operations["ingest"] <= api_calls("ingest")
    assert operations["transform"] <= {call.split("/")[0] for call in api_calls("transform")}
    for service, requests in (("ingest", of_ingest), ("transform", recorded)):
        found = [need for request in requests for need in needs(request, ACCOUNT)]
        assert refused(found, statements(planned, service)) == set()
