"""What IAM decides about the requests of a run, and about requests that nobody should be able to make.

The policies are those of a real plan; the requests of the run are recorded from both functions' code; the decisions
are IAM's, by iam-simulate. Every statement of a role that is loosened lets one of the forbidden requests through.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.stack import Clients
from tests.integration.test_least_privilege import Context, created, deployed  # noqa: F401 (a fixture)
from tests.support.iam import Need, Request, needs, record
from tests.support.iam_policies import Policy, bucket_policy, queue_policies, role_policy, trust_policy
from tests.support.iam_simulate import Ask, Decision, administrator, decide
from tests.support.queue import record as delivered
from tests.support.terraform import IMAGES, need_terraform, plan

ACCOUNT = "000000000000"
HERE = f"us-east-2:{ACCOUNT}"
SQS, DYNAMODB, LOGS = f"arn:aws:sqs:{HERE}", f"arn:aws:dynamodb:{HERE}:table", f"arn:aws:logs:{HERE}:log-group"
BRONZE = f"arn:aws:s3:::smelt-dev-bronze-{ACCOUNT}-us-east-2"
SILVER = f"arn:aws:s3:::smelt-dev-silver-{ACCOUNT}-us-east-2"
LEDGER = f"{DYNAMODB}/smelt-dev-ledger"
UNITS, DEAD, FAILED = (f"{SQS}:smelt-dev-{name}" for name in ("events", "events-dlq", "ingest-failures"))
SERVICES = ("ingest", "transform")
ROLES = {service: f"arn:aws:iam::{ACCOUNT}:role/smelt-dev-{service}" for service in SERVICES}
FUNCTION = f"arn:aws:lambda:{HERE}:function:smelt-dev"


@dataclass(frozen=True)
class Policies:
    """Everything that IAM looks at."""

    roles: dict[str, Policy]
    guards: dict[str, Policy]  # ARN of a queue or a bucket -> its own policy
    trust: dict[str, Policy]  # service -> who may become its role

    def ask(self, service: str, need: Need, **context: str) -> Ask:
        """A function's request: with its role, against the resource's own policy where there is one."""
        guard = self.guards.get(need.resource.split("/")[0])
        return Ask(ROLES[service], need.action, need.resource, (self.roles[service],), guard, context)


@pytest.fixture(scope="module")
def policies(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Policies:
    need_terraform()
    planned = plan("envs/dev", "dev.tfvars", {"images": IMAGES}, emulator, tmp_path_factory.mktemp("plan"))
    scratch: Path = tmp_path_factory.mktemp("bucket")
    made = json.dumps(bucket_policy("one-of-ours", emulator, scratch))
    buckets = {bucket: json.loads(made.replace("arn:aws:s3:::one-of-ours", bucket)) for bucket in (BRONZE, SILVER)}
    return Policies(
        roles={service: role_policy(planned, service) for service in SERVICES},
        guards=queue_policies(planned) | buckets,
        trust={service: trust_policy(planned, service) for service in SERVICES},
    )


# ---- what a run asks for


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    emulator: str,
    clients: Clients,
    deployed: None,  # noqa: F811 (the fixture)
) -> dict[str, set[Need]]:
    """Service -> what it needed in a run with good rows, bad rows, a duplicate, a dead letter and a missing object."""
    from services.ingest import app as ingest
    from services.transform import app as transform

    requests: list[Request] = record(monkeypatch, emulator)
    row = b'{"event_time":"2026-01-30T00:00:00Z","shipment_id":"S-1","origin":"a","destination":"b","carrier":"c"}\n{\n'
    stored = clients.s3.put_object(Bucket=BRONZE.rsplit(":", 1)[1], Key="bronze/shipments/run.jsonl", Body=row)
    good = created("bronze/shipments/run.jsonl", len(row), stored["ETag"].strip('"'))
    del good["s3"]["object"]["versionId"]  # this bucket keeps none
    versioned = created("bronze/shipments/lost.jsonl", 5, "e")
    copy = created("bronze/replay/1/bronze/shipments/run.jsonl", len(row), stored["ETag"].strip('"'))
    of_a_copy = created("bronze/replay/2/bronze/shipments/run.jsonl", len(row), stored["ETag"].strip('"'))
    del of_a_copy["s3"]["object"]["versionId"]
    event = {"Records": [good, versioned, created("bronze/shipments/run.exe", 5, "e"), copy, of_a_copy]}
    for _ in range(2):
        ingest.handler(event, Context())
    found = {"ingest": {need for request in requests for need in needs(request, HERE)}}
    requests.clear()
    queue = clients.sqs.get_queue_url(QueueName="smelt-dev-events")["QueueUrl"]
    units = clients.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    bodies = [*(message["Body"] for message in units), "not a unit"]
    for _ in range(2):
        transform.handler({"Records": [delivered(body, str(n)) for n, body in enumerate(bodies)]}, Context())
    return found | {"transform": {need for request in requests for need in needs(request, HERE)}}


# What Lambda does with the role, which no code of ours asks for (AWS Lambda Developer Guide, "Execution role").
BY_LAMBDA = {
    "ingest": {
        Need("sqs:SendMessage", FAILED),
        Need("logs:CreateLogStream", f"{LOGS}:/aws/lambda/smelt-dev-ingest:log-stream:2026/01/01/x"),
        Need("logs:PutLogEvents", f"{LOGS}:/aws/lambda/smelt-dev-ingest:log-stream:2026/01/01/x"),
    },
    "transform": {
        Need("sqs:ReceiveMessage", UNITS),
        Need("sqs:DeleteMessage", UNITS),
        Need("sqs:GetQueueAttributes", UNITS),
        Need("logs:PutLogEvents", f"{LOGS}:/aws/lambda/smelt-dev-transform:log-stream:2026/01/01/x"),
    },
}


def test_everything_that_a_run_asks_for_is_allowed(policies: Policies, run: dict[str, set[Need]]) -> None:
    asked = [(service, need) for service in SERVICES for need in sorted(run[service] | BY_LAMBDA[service])]
    actions = {need.action for _, need in asked}
    assert {"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "sqs:SendMessage", "dynamodb:PutItem"} <= actions
    decisions = decide([policies.ask(service, need) for service, need in asked], ACCOUNT)
    assert [pair for pair, decision in zip(asked, decisions, strict=True) if decision is not Decision.ALLOWED] == []


def test_nothing_of_a_run_is_allowed_without_tls_where_a_policy_guards_it(
    policies: Policies, run: dict[str, set[Need]]
) -> None:
    guarded = [
        policies.ask(service, need, **{"aws:SecureTransport": "false"})
        for service in SERVICES
        for need in sorted(run[service])
        if need.resource.split("/")[0] in policies.guards
    ]
    assert {ask.action.split(":")[0] for ask in guarded} == {"s3", "sqs"}
    assert set(decide(guarded, ACCOUNT)) == {Decision.DENIED}


def test_an_administrator_needs_tls_too(policies: Policies) -> None:
    for bucket in (BRONZE, SILVER):
        asks = [
            Ask(f"arn:aws:iam::{ACCOUNT}:role/admin", action, resource, administrator(), policies.guards[bucket], plain)
            for action, resource in (("s3:GetObject", f"{bucket}/silver/a"), ("s3:ListBucket", bucket))
            for plain in ({"aws:SecureTransport": "false"}, {"aws:SecureTransport": "true"})
        ]
        assert decide(asks, ACCOUNT) == [Decision.DENIED, Decision.ALLOWED] * 2


# ---- what nobody should be able to ask for

OTHER = f"{DYNAMODB}/smelt-prod-ledger"
LISTING = {"s3:prefix": "silver/"}
FORBIDDEN: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "ingest": [
        # It plans and never reads: no object of any bucket, but for what a replay's copy says of itself.
        ("s3:GetObject", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
        ("s3:GetObjectVersion", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
        ("s3:PutObject", f"{BRONZE}/bronze/replay/1/bronze/shipments/a.jsonl", {}),
        ("s3:GetObjectAcl", f"{BRONZE}/bronze/replay/1/bronze/shipments/a.jsonl", {}),
        ("s3:PutObject", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
        ("s3:DeleteObject", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
        ("s3:ListBucket", BRONZE, {"s3:prefix": "bronze/"}),
        ("s3:GetObject", f"{SILVER}/silver/shipments/dt=2026-01-01/a.parquet", {}),
        # It sends units and failed events, and receives nothing.
        ("sqs:SendMessage", DEAD, {}),
        ("sqs:SendMessage", f"{SQS}:another-queue", {}),
        ("sqs:SendMessage", f"arn:aws:sqs:us-east-2:111111111111:{UNITS.rsplit(':', 1)[1]}", {}),
        ("sqs:ReceiveMessage", UNITS, {}),
        ("sqs:ReceiveMessage", FAILED, {}),
        ("sqs:PurgeQueue", UNITS, {}),
        ("sqs:SetQueueAttributes", FAILED, {}),
        # It adds to its own ledger, and removes nothing.
        ("dynamodb:DeleteItem", LEDGER, {}),
        ("dynamodb:DeleteTable", LEDGER, {}),
        ("dynamodb:Scan", LEDGER, {}),
        ("dynamodb:PutItem", OTHER, {}),
        ("dynamodb:GetItem", OTHER, {}),
        ("dynamodb:PutItem", LEDGER.replace("us-east-2", "eu-west-1"), {}),
        ("logs:PutLogEvents", f"{LOGS}:/aws/lambda/smelt-dev-transform:log-stream:x", {}),
        ("logs:DeleteLogStream", f"{LOGS}:/aws/lambda/smelt-dev-ingest:log-stream:x", {}),
        ("xray:GetTraceSummaries", "*", {}),
        ("lambda:InvokeFunction", f"{FUNCTION}-transform", {}),
        ("iam:PassRole", ROLES["transform"], {}),
    ],
    "transform": [
        # It reads below bronze/ in its own bucket, and changes nothing there.
        ("s3:GetObject", f"{BRONZE}/private/a.jsonl", {}),
        ("s3:GetObjectVersion", f"{BRONZE}/private/a.jsonl", {}),
        ("s3:GetObject", "arn:aws:s3:::another-bucket/bronze/shipments/a.jsonl", {}),
        ("s3:PutObject", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
        ("s3:DeleteObject", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
        ("s3:DeleteObjectVersion", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
        ("s3:GetObjectAcl", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
        ("s3:ListBucket", BRONZE, {"s3:prefix": "private/"}),
        ("s3:ListBucket", BRONZE, {}),
        ("s3:ListBucketVersions", BRONZE, {"s3:prefix": "private/"}),
        ("s3:ListBucketVersions", BRONZE, {}),
        ("s3:ListBucket", "arn:aws:s3:::another-bucket", {"s3:prefix": "bronze/"}),
        # It writes Silver and quarantine, and neither reads nor lists them.
        ("s3:PutObject", f"{SILVER}/silver_compacted/shipments/a.parquet", {}),
        ("s3:PutObject", "arn:aws:s3:::another-bucket/silver/shipments/a.parquet", {}),
        ("s3:DeleteObject", f"{SILVER}/history/objects/a.parquet", {}),
        ("s3:DeleteObjectVersion", f"{SILVER}/silver/shipments/a.parquet", {}),
        ("s3:GetObject", f"{SILVER}/silver/shipments/a.parquet", {}),
        ("s3:ListBucket", SILVER, LISTING),
        ("s3:PutBucketPolicy", SILVER, {}),
        # It receives units and sends dead letters, and nothing the other way round.
        ("sqs:SendMessage", UNITS, {}),
        ("sqs:SendMessage", FAILED, {}),
        ("sqs:SendMessage", f"{SQS}:another-queue", {}),
        ("sqs:ReceiveMessage", DEAD, {}),
        ("sqs:ReceiveMessage", f"{SQS}:another-queue", {}),
        ("sqs:DeleteMessage", DEAD, {}),
        ("sqs:PurgeQueue", UNITS, {}),
        ("sqs:SetQueueAttributes", DEAD, {}),
        # It keeps its own ledger.
        ("dynamodb:DeleteTable", LEDGER, {}),
        ("dynamodb:Scan", LEDGER, {}),
        ("dynamodb:PutItem", OTHER, {}),
        ("dynamodb:DeleteItem", OTHER, {}),
        ("dynamodb:UpdateItem", LEDGER.replace("us-east-2", "eu-west-1"), {}),
        ("logs:PutLogEvents", f"{LOGS}:/aws/lambda/smelt-dev-ingest:log-stream:x", {}),
        ("logs:DeleteLogStream", f"{LOGS}:/aws/lambda/smelt-dev-transform:log-stream:x", {}),
        ("xray:GetTraceSummaries", "*", {}),
        ("lambda:UpdateFunctionCode", f"{FUNCTION}-transform", {}),
        ("iam:PassRole", ROLES["ingest"], {}),
    ],
}


# Both actions that S3 asks for a prefix: there is no third one that the condition would let through.
EVERY_LISTING = {"s3:ListBucket", "s3:ListBucketVersions"}


def let_through(service: str, *variants: Policies) -> list[list[str]]:
    """The forbidden requests that each variant of a role's policy allows, whatever the resources' own policies say."""
    asks = [
        Policies(variant.roles, {}, {}).ask(service, Need(action, resource), **more)
        for variant in variants
        for action, resource, more in FORBIDDEN[service]
    ]
    decisions = iter(decide(asks, ACCOUNT))
    return [
        [f"{action} {resource}" for action, resource, _ in FORBIDDEN[service] if next(decisions) is Decision.ALLOWED]
        for _ in variants
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_allows_nothing_else(policies: Policies, service: str) -> None:
    assert let_through(service, policies) == [[]]


def loosened(policies: Policies, service: str, sid: str, **wider: Any) -> Policies:
    """The same policies, one statement of a role wider."""
    roles = copy.deepcopy(policies.roles)
    (statement,) = (one for one in roles[service]["Statement"] if one["Sid"] == sid)
    statement |= wider
    return Policies(roles, policies.guards, policies.trust)


@pytest.mark.parametrize("service", SERVICES)
def test_a_statement_that_is_loosened_lets_a_forbidden_request_through(policies: Policies, service: str) -> None:
    """So the table above has a request for every statement: for its actions, its resources and its condition."""
    variants = {}
    for statement in policies.roles[service]["Statement"]:
        sid, prefix = statement["Sid"], statement["Action"][0].split(":")[0]
        if set(statement["Action"]) != EVERY_LISTING:
            variants[f"{sid}: any action"] = loosened(policies, service, sid, Action=[f"{prefix}:*"])
        if statement["Resource"] != ["*"]:
            variants[f"{sid}: any resource"] = loosened(policies, service, sid, Resource=["*"])
        if "Condition" in statement:
            variants[f"{sid}: no condition"] = loosened(policies, service, sid, Condition={})
    assert len(variants) > 7
    found = dict(zip(variants, let_through(service, *variants.values()), strict=True))
    assert [name for name, allowed in found.items() if not allowed] == []


@pytest.mark.parametrize("service", SERVICES)
def test_only_lambda_may_become_a_role(policies: Policies, service: str) -> None:
    asked = ["lambda.amazonaws.com", "ec2.amazonaws.com", "glue.amazonaws.com", "states.amazonaws.com", None]
    own = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"{FUNCTION}-{service}"}
    asks = [Ask(who, "sts:AssumeRole", ROLES[service], (), policies.trust[service], own) for who in asked]
    decisions = decide(asks, ACCOUNT)
    assert [who for who, decision in zip(asked, decisions, strict=True) if decision is Decision.ALLOWED] == asked[:1]
