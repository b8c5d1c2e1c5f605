"""What the runbook tells people to type: it works as it stands there, and it loads nothing twice."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import Session

from local.ministack import ROOT
from local.stack import CREDENTIALS, Clients
from tests.support.running import Running, await_true, deployed, json_lines, request

RUNBOOK = ROOT / "docs/observability.md"
PAGES = [RUNBOOK, ROOT / "docs/runbook.md", ROOT / "infra/terraform/README.md", ROOT / "docs/aws-checklist.md"]
ROWS = 50
CALLED = {"notification-endpoint": "endpoint"}  # the CLI's own name for `sns subscribe`'s parameter


def blocks(page: Path) -> list[str]:
    """The shell blocks of a page."""
    return re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The words of every `aws` command on a page."""
    joined = [block.replace("\\\n", " ") for block in blocks(page)]
    lines = [line.strip() for block in joined for line in block.splitlines() if line.strip().startswith("aws ")]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("command", [command for page in PAGES for command in commands(page)], ids=" ".join)
def test_every_aws_command_exists_with_its_options(command: list[str]) -> None:
    _, service, operation, *words = command
    if service == "s3":  # the CLI's own commands, not the API's
        assert operation in {"cp", "ls"}
        return
    model = Session().get_service_model("s3" if service == "s3api" else service)
    if operation == "wait":
        waiters = Session().get_waiter_model(service)
        (name,) = (name for name in waiters.waiter_names if xform_name(name, "-") == words[0])
        operation = xform_name(waiters.get_waiter(name).operation, "-")
    (found,) = (name for name in model.operation_names if xform_name(name, "-") == operation)
    assert model.operation_model(found).input_shape is not None
    members: dict[str, Any] = model.operation_model(found).input_shape.members  # type: ignore[union-attr]
    options = {xform_name(name, "-"): shape.type_name for name, shape in members.items()}
    options |= {f"no-{name}": kind for name, kind in options.items() if kind == "boolean"}
    given = {word.removeprefix("--") for word in words if word.startswith("--")}
    assert given
    assert {CALLED.get(name, name) for name in given - {"output", "query"}} <= set(options)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs/audit.md"], ids=lambda page: page.name)
def test_every_page_makes_the_shells_region_that_of_the_deployment(page: Path) -> None:
    """Terraform does not need it. The AWS CLI finds a bucket from any region, but no queue, alarm or function."""
    used = re.search(r"^(aws (?!s3|sts)|announce company)", "".join(blocks(page)), flags=re.MULTILINE)
    assert used
    before = "".join(blocks(page))[: used.start()]
    assert 'AWS_REGION="$(terraform -chdir=infra/terraform/envs/dev output -raw region)"' in before
    assert 'export AWS_DEFAULT_REGION="$AWS_REGION"' in before  # which version 1 of the CLI reads


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_a_setting_of_the_aws_cli_is_made_for_the_profile_that_is_in_use(page: Path) -> None:
    """`default.` names the profile `default`, whatever AWS_PROFILE says: then nothing changes, without a word."""
    assert "aws configure set default." not in page.read_text()


@pytest.fixture(scope="module")
def pipeline(emulator: str) -> Running:
    return deployed(emulator)


def keep_failed_events(pipeline: Running) -> str:
    """Give ingest a queue for events that it fails on; gives its URL."""
    sqs = pipeline.clients.sqs
    url = sqs.create_queue(QueueName=f"{pipeline.names.ingest}-failures")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pipeline.clients.functions.put_function_event_invoke_config(
        FunctionName=pipeline.names.ingest,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    return url


def set_ledger(pipeline: Running, table: str, function: str | None = None) -> None:
    """Let ingest, or another function, look for its ledger under this name."""
    functions, name = pipeline.clients.functions, function or pipeline.names.ingest
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables | {"LEDGER_TABLE": table}}
    )
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)


def waiting(clients: Clients, url: str) -> int:
    """Messages of a queue, visible or not."""
    names: list[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(number) for number in found.values())


def run_block(block: str, outputs: dict[str, str], endpoint: str, folder: Path) -> None:
    """Run a block as it stands on the page, where Terraform gives these outputs."""
    cli = shutil.which("aws")
    if cli is None:
        pytest.skip("the AWS CLI is not installed, so the runbook's commands cannot be run")
    told = "\n".join(f"{name}) printf %s {shlex.quote(value)} ;;" for name, value in outputs.items())
    scripts = {
        "terraform": f'for name; do :; done\ncase "$name" in\n{told}\n*) exit 1 ;;\nesac',
        "aws": f'exec {shlex.quote(cli)} --endpoint-url {endpoint} "$@"',  # version 1 ignores AWS_ENDPOINT_URL for SQS
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    environment = os.environ | CREDENTIALS | {"TMPDIR": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", block], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_failed_events_are_sent_again_and_their_rows_land_once(
    pipeline: Running, emulator: str, contracts: dict[str, Any], tmp_path: Path
) -> None:
    failures = keep_failed_events(pipeline)
    set_ledger(pipeline, "gone")
    data = json_lines(contracts["shipments"], request(ROWS, bad_rate=0.1))
    source = pipeline.upload("bronze/shipments/a file+.jsonl", data)
    await_true(lambda: waiting(pipeline.clients, failures) == 1)

    # The same record twice: somebody was interrupted between invoking and deleting.
    (kept,) = pipeline.clients.sqs.receive_message(QueueUrl=failures, VisibilityTimeout=0)["Messages"]
    pipeline.clients.sqs.send_message(QueueUrl=failures, MessageBody=kept["Body"])
    set_ledger(pipeline, pipeline.names.ledger_table)
    (block,) = (block for block in blocks(RUNBOOK) if "requestPayload" in block)
    outputs = {"ingest_failures_queue_url": failures, "ingest_function": pipeline.names.ingest}
    run_block(block, outputs, emulator, tmp_path)

    assert waiting(pipeline.clients, failures) == 0
    await_true(lambda: len(pipeline.rows_of(source)) >= ROWS)
    event = json.dumps(json.loads(kept["Body"])["requestPayload"])
    answer = pipeline.clients.functions.invoke(FunctionName=pipeline.names.ingest, Payload=event)["Payload"].read()
    assert json.loads(answer)["duplicate"] == 1
    rows = pipeline.rows_of(source)
    assert len(rows) == len({row["_offset"] for row in rows}) == ROWS


def test_a_message_that_is_no_failed_event_stops_the_block_and_stays(
    pipeline: Running, emulator: str, tmp_path: Path
) -> None:
    sqs = pipeline.clients.sqs
    url = sqs.create_queue(QueueName=f"mixed-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"a": "dead letter"}))
    (block,) = (block for block in blocks(RUNBOOK) if "requestPayload" in block)
    with pytest.raises(AssertionError, match="KeyError: 'requestPayload'"):
        run_block(block, {"ingest_failures_queue_url": url, "ingest_function": "none"}, emulator, tmp_path)
    assert waiting(pipeline.clients, url) == 1


def test_an_event_that_eventbridge_could_not_deliver_is_sent_to_ingest(
    pipeline: Running, emulator: str, contracts: dict[str, Any], tmp_path: Path
) -> None:
    sqs = pipeline.clients.sqs
    failures = keep_failed_events(pipeline)
    set_ledger(pipeline, "gone")
    source = pipeline.upload(
        "bronze/shipments/b file+.jsonl", json_lines(contracts["shipments"], request(ROWS, bad_rate=0))
    )
    await_true(lambda: waiting(pipeline.clients, failures) == 1)
    (kept,) = sqs.receive_message(QueueUrl=failures)["Messages"]
    sqs.delete_message(QueueUrl=failures, ReceiptHandle=kept["ReceiptHandle"])
    set_ledger(pipeline, pipeline.names.ledger_table)
    (by_s3,) = json.loads(kept["Body"])["requestPayload"]["Records"]
    item = by_s3["s3"]["object"]
    event = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": by_s3["eventTime"],
        "detail": {
            "bucket": {"name": pipeline.names.bronze_bucket},
            "object": {"key": "bronze/shipments/b file+.jsonl", "size": item["size"], "etag": item["eTag"]},
        },
    }
    sqs.send_message(QueueUrl=failures, MessageBody=json.dumps(event))
    (block,) = (block for block in blocks(RUNBOOK) if "requestPayload" in block)
    outputs = {"ingest_failures_queue_url": failures, "ingest_function": pipeline.names.ingest}
    run_block(block, outputs, emulator, tmp_path)
    assert waiting(pipeline.clients, failures) == 0
    await_true(lambda: len(pipeline.rows_of(source)) >= ROWS)
