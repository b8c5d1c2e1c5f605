"""What IAM decides about operators: the policies of docs/operations.md allow their commands, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from local.stack import Clients, create_ledger
from services.ops.cli.app import app
from services.ops.dead_letters import looking
from services.shared.ledger.ledger import Ledger
from tests.integration.test_policies import (
    ACCOUNT,
    BRONZE,
    DEAD,
    FAILED,
    FUNCTION,
    HERE,
    LEDGER,
    OTHER,
    SILVER,
    SQS,
    UNITS,
)
from tests.support.iam import Need, Request, record
from tests.support.iam_policies import Policy
from tests.support.iam_simulate import Ask, Decision, decide
from tests.support.ingest import event
from tests.support.sweeping import plan as planned_object
from tests.support.terraform import IMAGES, need_terraform, of_type, plan

INGEST = f"{FUNCTION}-ingest"
OPERATOR = f"arn:aws:iam::{ACCOUNT}:role/operator"
KINDS = ("read", "redrive", "replay", "retract")


@pytest.fixture(scope="module")
def policies(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Policy]:
    """Kind -> the policy of a real plan."""
    need_terraform()
    variables = {"images": IMAGES, "operator_policies_enabled": True}
    scratch: Path = tmp_path_factory.mktemp("plan")
    planned = of_type(plan("envs/dev", "dev.tfvars", variables, emulator, scratch), "aws_iam_policy")
    return {values["name"].rsplit("-", 1)[1]: json.loads(values["policy"]) for values in planned.values()}


def decisions(given: list[Policy], needs: list[Need]) -> list[Decision]:
    return decide([Ask(OPERATOR, need.action, need.resource, tuple(given)) for need in needs], ACCOUNT)


def needs_of(request: Request) -> set[Need]:
    """What a command's request needs of IAM (AWS Service Authorization Reference)."""
    service, operation, parameters = request
    if service == "sqs":
        name = parameters["QueueUrl"].rsplit("/", 1)[1] if "QueueUrl" in parameters else parameters["SourceArn"]
        return {Need(request.action.removesuffix("Batch"), f"{SQS}:{name.rsplit(':', 1)[-1]}")}
    if service == "lambda":
        return {Need("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:{parameters['FunctionName']}")}
    if operation == "BatchGetItem":
        return {Need("dynamodb:BatchGetItem", LEDGER)}
    index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
    return {Need(f"dynamodb:{operation}", LEDGER + index)}


@pytest.fixture
def ask(clients: Clients, emulator: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., set[Need]]:
    """Runs a command on a pipeline with an open object, two dead letters and a failed event; gives what it needs."""
    table = LEDGER.rsplit("/", 1)[1]
    create_ledger(clients.dynamodb, table)
    monkeypatch.setattr(looking, "WAIT_SECONDS", 0)
    urls = {}
    for arn in (UNITS, DEAD, FAILED):
        urls[arn] = clients.sqs.create_queue(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
        clients.sqs.purge_queue(QueueUrl=urls[arn])
    known = planned_object(Ledger(clients.dynamodb, table), 1)
    for body in (known.plan.unit(0).to_message(), "not a unit"):
        clients.sqs.send_message(QueueUrl=urls[DEAD], MessageBody=body)
    kept = {"requestPayload": event(("bronze/shipments/lost.jsonl", 1))}
    clients.sqs.send_message(QueueUrl=urls[FAILED], MessageBody=json.dumps(kept))
    names = {
        "LEDGER_TABLE": table,
        "QUEUE_URL": urls[UNITS],
        "DEAD_LETTER_QUEUE_URL": urls[DEAD],
        "INGEST_FAILURES_QUEUE_URL": urls[FAILED],
        "INGEST_FUNCTION": INGEST.rsplit(":", 1)[1],
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)

    def run(*command: str) -> set[Need]:
        requests = record(monkeypatch, emulator)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # the emulator's
        CliRunner().invoke(app, list(command))
        return {need for request in requests for need in needs_of(request)}

    return run


COMMANDS = {
    "status": (("status",), ("read",)),
    "audit --unfinished": (("audit", "--unfinished"), ("read",)),
    "dlq show": (("dlq", "show"), ("read",)),
    "redrive --dry-run": (("redrive", "--dry-run"), ("read",)),
    "redrive": (("redrive",), ("read", "redrive")),
    "redrive --max": (("redrive", "--max", "9"), ("read", "redrive")),
    "dlq drop": (("dlq", "drop", "--refused", "--yes"), ("read", "redrive")),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_needs_nothing_but_what_its_policies_allow(
    name: str, ask: Callable[..., set[Need]], policies: dict[str, Policy]
) -> None:
    command, kinds = COMMANDS[name]
    needs = sorted(ask(*command))
    assert len(needs) > 1
    allowed = decisions([policies[kind] for kind in kinds], needs)
    assert [need for need, decision in zip(needs, allowed, strict=True) if decision is not Decision.ALLOWED] == []


def test_redriving_needs_each_of_its_statements(ask: Callable[..., set[Need]]) -> None:
    needs = ask("redrive", "--max", "9")
    assert {Need("sqs:SendMessage", UNITS), Need("sqs:DeleteMessage", DEAD)} <= needs
    assert Need("lambda:InvokeFunction", INGEST) in needs


FORBIDDEN = {
    "read": [
        Need("dynamodb:PutItem", LEDGER),
        Need("dynamodb:UpdateItem", LEDGER),
        Need("dynamodb:Scan", OTHER),
        Need("sqs:ReceiveMessage", UNITS),  # it would take units away from transform
        Need("sqs:ReceiveMessage", f"{SQS}:another-queue"),
        Need("sqs:DeleteMessage", DEAD),
        Need("sqs:PurgeQueue", DEAD),
        Need("sqs:SetQueueAttributes", UNITS),
        Need("sqs:GetQueueAttributes", f"{SQS}:another-queue"),
        Need("s3:GetObject", f"{BRONZE}/bronze/shipments/a.jsonl"),
        Need("s3:GetObject", f"{SILVER}/silver/shipments/a.parquet"),
        Need("s3:DeleteObject", f"{SILVER}/history/objects/a.parquet"),
        Need("s3:GetObject", "arn:aws:s3:::another-bucket/history/a.parquet"),
        Need("s3:PutBucketPolicy", SILVER),
        Need("s3:ListBucket", "arn:aws:s3:::another-bucket"),
        Need("lambda:InvokeFunction", INGEST),
    ],
    "redrive": [
        Need("sqs:PurgeQueue", DEAD),
        Need("sqs:DeleteMessage", UNITS),
        Need("sqs:DeleteMessage", f"{SQS}:another-queue"),
        Need("sqs:SendMessage", f"{SQS}:another-queue"),
        Need("sqs:SendMessage", DEAD),
        Need("sqs:SetQueueAttributes", DEAD),
        Need("sqs:StartMessageMoveTask", f"{SQS}:another-queue"),
        Need("lambda:InvokeFunction", f"{FUNCTION}-transform"),
        Need("lambda:UpdateFunctionCode", INGEST),
        Need("dynamodb:UpdateItem", LEDGER),
    ],
    "replay": [
        Need("s3:PutObject", f"{BRONZE}/bronze/shipments/a.jsonl"),
        Need("s3:DeleteObject", f"{BRONZE}/bronze/replay/x/a.jsonl"),
        Need("s3:DeleteObjectVersion", f"{BRONZE}/bronze/shipments/a.jsonl"),
        Need("s3:GetObject", f"{BRONZE}/private/a.jsonl"),
        Need("s3:PutObject", f"{SILVER}/silver/shipments/a.parquet"),
        Need("s3:PutObject", "arn:aws:s3:::another-bucket/bronze/replay/a"),
        Need("dynamodb:PutItem", OTHER),
        Need("dynamodb:DeleteTable", LEDGER),
        Need("sqs:DeleteMessage", UNITS),
        Need("sqs:SendMessage", f"{SQS}:another-queue"),
        Need("lambda:InvokeFunction", f"{FUNCTION}-transform"),
        Need("lambda:DeleteFunction", INGEST),
    ],
    "retract": [
        Need("s3:DeleteObject", f"{BRONZE}/bronze/shipments/a.jsonl"),
        Need("s3:PutObject", f"{BRONZE}/bronze/shipments/a.jsonl"),
        Need("s3:GetObject", f"{BRONZE}/private/a.jsonl"),
        Need("s3:DeleteObject", f"{SILVER}/history/objects/a.parquet"),
        Need("s3:DeleteObjectVersion", f"{SILVER}/silver/shipments/a.parquet"),
        Need("s3:PutObject", "arn:aws:s3:::another-bucket/silver/a.parquet"),
        Need("dynamodb:DeleteItem", OTHER),
        Need("dynamodb:DeleteTable", LEDGER),
        Need("sqs:SendMessage", UNITS),
        Need("lambda:InvokeFunction", INGEST),
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_allows_nothing_else(kind: str, policies: dict[str, Policy]) -> None:
    found = decisions([policies[kind]], FORBIDDEN[kind])
    assert [need for need, decision in zip(FORBIDDEN[kind], found, strict=True) if decision is Decision.ALLOWED] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_statement_that_is_loosened_lets_a_forbidden_request_through(kind: str, policies: dict[str, Policy]) -> None:
    """So the table above has a request for every statement: for its actions and for its resources."""
    variants: dict[str, Policy] = {}
    for number, statement in enumerate(policies[kind]["Statement"]):
        wider: dict[str, dict[str, Any]] = {
            "any action": {"Action": [f"{statement['Action'][0].split(':')[0]}:*"]},
            "any resource": {"Resource": ["*"]},
        }
        for what, change in wider.items():
            variant = copy.deepcopy(policies[kind])
            variant["Statement"][number] |= change
            variants[f"{statement['Sid']}: {what}"] = variant
    asks = [
        Ask(OPERATOR, need.action, need.resource, (variant,))
        for variant in variants.values()
        for need in FORBIDDEN[kind]
    ]
    found = iter(decide(asks, ACCOUNT))
    let_through = {name: [next(found) is Decision.ALLOWED for _ in FORBIDDEN[kind]] for name in variants}
    assert [name for name, allowed in let_through.items() if not any(allowed)] == []
