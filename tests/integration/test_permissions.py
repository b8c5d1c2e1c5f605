"""permissions.json lists what our own commands ask of AWS: each command is run, and what it asked for is compared."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from infra.deploy import glue_assets
from infra.deploy.cli.app import app as deploy
from infra.deploy.cli.buckets import empty_buckets
from infra.deploy.cli.preflight import check_plan
from infra.deploy.cli.queues import create_queues, ensure_dlq
from infra.terraform.tools import record_permissions
from local.ministack import ROOT
from local.stack import REGION, Clients, create_bucket
from services.ops.cli.app import app as smelt
from services.shared.lake import S3Lake
from services.shared.ledger.ledger import Ledger
from tests.support.catalog import AppliedCatalog
from tests.support.iam import Request, record
from tests.support.running import deployed
from tests.support.sweeping import load
from tests.support.sweeping import plan as plan_object
from tests.support.terraform import IMAGES, plan
from tests.support.workflow import OPS_FUNCTIONS, Workflow

# API operation -> the IAM actions that it needs, where they are called otherwise (AWS Service Authorization Reference).
ACTIONS = {
    "s3:GetBucketEncryption": {"s3:GetEncryptionConfiguration"},
    "s3:GetBucketNotificationConfiguration": {"s3:GetBucketNotification"},
    "s3:DeleteObjects": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    "s3:HeadBucket": {"s3:ListBucket"},
    "s3:HeadObject": {"s3:GetObject", "s3:ListBucket"},  # without the second, what is missing looks forbidden
    "s3:ListMultipartUploads": {"s3:ListBucketMultipartUploads"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "sfn:DescribeStateMachine": {"states:DescribeStateMachine"},
    "stepfunctions:DescribeStateMachine": {"states:DescribeStateMachine"},
}
Asked = Callable[..., set[str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, emulator: str) -> Asked:
    """Runs a command in this process; gives the IAM actions that it needed."""
    recorded: list[Request] = record(monkeypatch, emulator)

    def run(command: Callable[..., Any] | typer.Typer, *arguments: str) -> set[str]:
        app = command
        if not isinstance(app, typer.Typer):
            app = typer.Typer()
            app.command()(command)
        recorded.clear()
        result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return {action for request in recorded for action in ACTIONS.get(request.action, {request.action})}

    return run


def listed_sections() -> list[str]:
    return list(json.loads((ROOT / "infra/terraform/permissions.json").read_text()))


def listed(section: str) -> set[str]:
    return set(json.loads((ROOT / "infra/terraform/permissions.json").read_text())[section])


def test_the_file_is_what_the_script_would_write() -> None:
    assert {section: listed(section) for section in record_permissions.COMMANDS} == record_permissions.COMMANDS


@pytest.mark.parametrize("section", [name for name in listed_sections() if not name.startswith("and kms")])
def test_what_a_later_apply_calls_is_listed_beside_what_the_first_calls(section: str) -> None:
    """A tag or a boundary that is taken away again is a call of its own, which no first apply makes."""
    actions = listed(section)
    for action in actions & set(record_permissions.IMPLIED):
        assert record_permissions.IMPLIED[action] <= actions | listed("pipeline with existing queues")
    undone = {action.replace(":Tag", ":Untag") for action in actions if ":Tag" in action}
    if "iam:PutRolePermissionsBoundary" in actions:
        undone.add("iam:DeleteRolePermissionsBoundary")
    assert undone <= actions


@pytest.mark.parametrize(
    ("section", "creates"),
    [
        ("bootstrap", {"ecr:CreateRepository"}),
        ("pipeline with existing queues", {"iam:CreateRole", "lambda:CreateFunction", "s3:CreateBucket"}),
        ("and managing the queues", {"sqs:CreateQueue"}),
        ("and create_bronze_bucket = false", {"events:PutRule"}),
        ("and observability_enabled", {"cloudwatch:PutMetricAlarm", "cloudwatch:PutDashboard", "sns:CreateTopic"}),
        ("and ops_enabled", {"states:CreateStateMachine", "scheduler:CreateSchedule", "scheduler:CreateScheduleGroup"}),
        ("and operator_policies_enabled", {"iam:CreatePolicy"}),
        ("and glue_job_enabled or ge_enabled", {"glue:CreateJob"}),
        ("and ge_workflow_enabled or lake_enabled, beside ops_enabled and glue_enabled", {"events:PutRule"}),
    ],
)
def test_what_each_toggle_creates_is_listed(section: str, creates: set[str]) -> None:
    assert creates <= listed(section)


def test_an_audit_needs_what_is_listed(asked: Asked, clients: Clients, ledger_table: str) -> None:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=bucket)
    buckets = ("--bronze-bucket", bucket, "--silver-bucket", bucket)
    clients.s3.put_object(Bucket=bucket, Key="bronze/shipments/a.jsonl", Body=b"{}")
    clients.s3.put_object(Bucket=bucket, Key="silver/not-ours", Body=b"")
    asked_for = asked(smelt, "audit", "--table", ledger_table, *buckets, "--in-flight-minutes", "0")
    asked_for |= asked(smelt, "audit", "--table", ledger_table, "--unfinished")
    assert asked_for == listed("and audit")


def test_a_sweep_needs_what_is_listed(asked: Asked, clients: Clients, ledger_table: str) -> None:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=bucket)
    ledger = Ledger(clients.dynamodb, ledger_table)
    for unit in plan_object(ledger, units=2).plan:
        load(ledger, S3Lake(clients.s3, bucket), [unit], leftover=True)
    assert asked(smelt, "sweep", "--table", ledger_table, "--silver-bucket", bucket) == listed("and sweep")


def test_a_smoke_test_needs_what_is_listed(asked: Asked, emulator: str) -> None:
    pipeline = deployed(emulator)
    names = pipeline.names
    buckets = ("--bronze-bucket", names.bronze_bucket, "--silver-bucket", names.silver_bucket)
    assert asked(smelt, "smoke", "--table", names.ledger_table, *buckets) == listed("and smoke")


def test_starting_and_following_the_workflow_needs_what_is_listed(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, emulator: str
) -> None:
    functions = {name: f"arn:aws:lambda:us-east-1:000000000000:function:{name}" for name in OPS_FUNCTIONS}
    machine = Workflow.created(emulator, functions).machine
    created = {"bronze_bucket": "b", "silver_bucket": "s", "region": "us-east-1", "ops_state_machine_arn": machine}
    monkeypatch.setattr("infra.deploy.cli.workflow.outputs", lambda _directory: created)
    found = asked(deploy, "ops-start") | asked(deploy, "ops-status") | asked(deploy, "ops-history")
    renamed = {action.replace("stepfunctions:", "states:").replace("sfn:", "states:") for action in found}
    assert renamed == listed("and ops-start, ops-status, ops-history")


def test_the_crawlers_commands_need_what_is_listed(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, emulator: str
) -> None:
    name = f"crawler-{uuid.uuid4().hex[:8]}"
    glue = AppliedCatalog.client("glue", emulator)
    glue.create_database(DatabaseInput={"Name": name})
    targets = {"S3Targets": [{"Path": "s3://a/b"}]}
    glue.create_crawler(Name=name, Role="role", DatabaseName=name, TablePrefix="silver_", Targets=targets)
    created = {"glue_crawler_name": name, "region": "us-east-2"}
    monkeypatch.setattr("infra.deploy.cli.crawler.outputs", lambda _directory: created)
    found = asked(deploy, "glue-crawler-start") | asked(deploy, "glue-crawler-status")
    assert found == listed("and glue-crawler-start, glue-crawler-status")


def test_emptying_buckets_needs_what_is_listed(asked: Asked, clients: Clients) -> None:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=bucket)
    clients.s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    clients.s3.create_multipart_upload(Bucket=bucket, Key="half")
    assert asked(empty_buckets, bucket, "--yes") == listed("and empty-buckets")


def test_making_queues_needs_what_is_listed(asked: Asked) -> None:
    name = f"queue-{uuid.uuid4().hex[:8]}"
    region = ("--region", "us-east-1")
    found = asked(create_queues, "--name", name, "--with-dlq", *region)
    url = f"http://localhost/000000000000/{name}"
    found |= asked(ensure_dlq, "--queue-url", url, "--dlq-name", f"{name}-dlq", *region)
    assert found == listed("and create_sqs_queue.py, ensure_dlq_for_queue.py")


def test_preflight_needs_what_is_listed(asked: Asked, clients: Clients, emulator: str, tmp_path: Path) -> None:
    queue = {
        "existing_queue_url": "https://sqs.us-east-2.amazonaws.com/000000000000/queue",
        "existing_queue_arn": "arn:aws:sqs:us-east-2:000000000000:queue",
        "existing_dlq_url": "https://sqs.us-east-2.amazonaws.com/000000000000/dlq",
        "existing_dlq_arn": "arn:aws:sqs:us-east-2:000000000000:dlq",
        "existing_ingest_failures_queue_url": "https://sqs.us-east-2.amazonaws.com/000000000000/failures",
        "existing_ingest_failures_queue_arn": "arn:aws:sqs:us-east-2:000000000000:failures",
    }
    topic = {"observability_enabled": True, "alarm_notification_topic_arn": "arn:aws:sns:us-east-2:000000000000:topic"}
    given = f"given-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=given)
    key = "arn:aws:kms:us-east-2:000000000000:key/ours"
    bucket = {"create_bronze_bucket": False, "bronze_bucket_name": given, "kms_key_arn": key}
    found: set[str] = set()
    everything = dict.fromkeys(("observability_enabled", "ops_enabled", "operator_policies_enabled"), True)
    for variables in (everything | record_permissions.CATALOG, queue | topic, bucket | record_permissions.JOBS):
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(plan("envs/dev", "dev.tfvars", {"images": IMAGES} | variables, emulator, tmp_path)))
        found |= asked(check_plan, str(file))
    gone = {
        "actions": ["delete"],
        "before": {"bucket": given, "name": "smelt-dev-ledger", "url": queue["existing_queue_url"]},
    }
    deleted = [
        {"address": kind, "type": kind, "change": gone}
        for kind in ("aws_s3_bucket", "aws_dynamodb_table", "aws_sqs_queue", "aws_glue_catalog_database")
    ]
    file.write_text(json.dumps({"resource_changes": deleted}))
    found |= asked(check_plan, str(file), "--region", "us-east-2")
    assert found == listed("and preflight, which says what it may not look up")


def test_uploading_what_the_jobs_run(asked: Asked, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = f"artifacts-{uuid.uuid4().hex[:8]}"
    create_bucket(clients.s3, bucket)
    monkeypatch.setattr(glue_assets, "artifacts_bucket", lambda _: (bucket, REGION))
    monkeypatch.setattr(glue_assets, "committed_revision", lambda: "a" * 40)
    monkeypatch.setattr(glue_assets, "made_wheels", lambda: b"wheels")
    monkeypatch.setattr(glue_assets, "write_variable", lambda *_: ROOT / "glue.auto.tfvars.json")
    assert asked(deploy, "glue-assets") == listed("and glue-assets")
