"""The modules that deploy to AWS, on MiniStack with the real images: used, changed, and destroyed, in this order."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from infra.deploy.images import ACCEPTED_MANIFESTS, SOURCES
from infra.terraform.tools.draw_architecture import draw
from local.generator import Request
from local.ministack import ROOT
from local.stack import Names
from services.shared.contract.model import Contract
from tests.support.running import KINDS, Running, await_true, request
from tests.support.workflow import Workflow, states_client
from tests.terraform.conftest import ENV, Deployment

pytestmark = pytest.mark.terraform
# MiniStack forgets a part of these, so a plan right after an apply wants to change them; AWS keeps them.
FORGOTTEN_BY_THE_EMULATOR = {"aws_cloudwatch_metric_alarm", "aws_sfn_state_machine"}


def pipeline(deployment: Deployment) -> Running:
    """The pipeline by the names that Terraform's outputs give."""
    outputs = deployment.outputs()
    names = Names(
        bronze_bucket=outputs["bronze_bucket"],
        silver_bucket=outputs["silver_bucket"],
        ledger_table=outputs["ledger_table"],
        queue=outputs["queue_url"].rsplit("/", 1)[1],
        dlq=outputs["dlq_url"].rsplit("/", 1)[1],
        ingest=outputs["ingest_function"],
        transform=outputs["transform_function"],
    )
    return Running(deployment.clients, names)


def send_and_check(deployment: Deployment, contracts: dict[str, Contract]) -> None:
    data = KINDS[0][2](contracts["shipments"], request(500, bad_rate=0.02))
    pipeline(deployment).check_that_every_row_lands_once("shipments", ".jsonl", data, rows=500)


def test_functions_run_the_images_that_were_pushed_by_digest(deployment: Deployment) -> None:
    images = json.loads((ENV / "images.auto.tfvars.json").read_text())["images"]
    running = pipeline(deployment)
    for service, name in (("ingest", running.names.ingest), ("transform", running.names.transform)):
        function = deployment.clients.functions.get_function(FunctionName=name)
        assert function["Configuration"]["PackageType"] == "Image"
        assert function["Code"]["ImageUri"] == images[service]
        assert "@sha256:" in images[service]


@pytest.mark.parametrize(("dataset", "suffix", "make"), KINDS)
def test_every_row_lands_once_though_its_event_and_its_unit_are_delivered_twice(
    deployment: Deployment,
    contracts: dict[str, Contract],
    dataset: str,
    suffix: str,
    make: Callable[[Contract, Request], bytes],
) -> None:
    data = make(contracts[dataset], request(2000, bad_rate=0.02))
    pipeline(deployment).check_that_every_row_lands_once(dataset, suffix, data, rows=2000)


def test_the_workflow_is_started_as_the_guide_says_and_finds_everything(
    deployment: Deployment, contracts: dict[str, Contract]
) -> None:
    running = pipeline(deployment)
    data = KINDS[0][2](contracts["shipments"], request(100, bad_rate=0.02))
    source = running.upload("bronze/shipments/workflow/a.jsonl", data)
    await_true(lambda: bool(running.lots_of(source)))
    options = ("OPS_PREFIX=bronze/shipments/workflow/", "OPS_WINDOW_HOURS=24", "OPS_POLL_INTERVAL_SECONDS=1")
    deployment.make("ops-start", *options)
    await_true(lambda: '"status": "RUNNING"' not in deployment.make("ops-status", "OPS_OPTIONS=--json"))
    printed = deployment.make("ops-status")
    assert printed.startswith("SUCCEEDED: "), printed
    assert '"rows_read": 100' in printed
    # The guide's raw command, with this deployment's bucket names.
    outputs = deployment.outputs()
    document = {
        "bronze_bucket": outputs["bronze_bucket"],
        "src_prefix": "bronze/shipments/",
        "dest_prefix_base": "bronze/replay/manual",
        "window_hours": 24,
        "silver_bucket": outputs["silver_bucket"],
        "silver_prefix": "silver",
        "record_type": "shipments",
        "min_parquet_objects": 1,
        "poll_interval_seconds": 30,
        "max_attempts": 20,
    }
    workflow = Workflow(states_client(deployment.endpoint), outputs["ops_state_machine_arn"])
    assert workflow.run(document).status == "SUCCEEDED"


def test_the_schedule_starts_the_sweep(deployment: Deployment) -> None:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    logs: Any = boto3.client("logs", endpoint_url=deployment.endpoint, region_name="us-east-1", **keys)

    def has_swept() -> bool:
        found = logs.filter_log_events(logGroupName="/aws/lambda/smelt-local-ops-sweep")["events"]
        return any("marked_done" in event["message"] for event in found)

    await_true(has_swept, 150)


def test_the_account_of_what_was_deployed_has_no_gap(deployment: Deployment) -> None:
    printed = deployment.make("audit")
    assert re.search(r"(^|\n)[1-9]\d* objects: [1-9]\d* done(, \d+ committed)?\n", printed), printed
    assert "\n0 findings\n" in printed


def test_a_message_that_is_not_a_unit_ends_in_the_dead_letter_queue(deployment: Deployment) -> None:
    pipeline(deployment).check_that_a_message_that_is_not_a_unit_becomes_a_dead_letter()


def test_an_object_that_is_not_taken_is_recorded_with_its_reason(deployment: Deployment) -> None:
    pipeline(deployment).check_that_an_object_that_is_not_taken_is_recorded()


def test_an_event_that_ingest_fails_on_is_kept(deployment: Deployment) -> None:
    running = pipeline(deployment)
    mark = uuid.uuid4().hex
    deployment.clients.functions.invoke(
        FunctionName=running.names.ingest, InvocationType="Event", Payload=json.dumps({"no": "S3 event", "mark": mark})
    )
    running.await_message(deployment.outputs()["ingest_failures_queue_url"], mark)


def test_the_readme_draws_what_was_created(deployment: Deployment) -> None:
    assert draw(json.loads(deployment.terraform("show", "-json"))) in (ROOT / "README.md").read_text()


def test_images_are_single_manifests_that_say_where_they_come_from(deployment: Deployment) -> None:
    images = json.loads((ENV / "images.auto.tfvars.json").read_text())["images"]
    for image in images.values():
        inspected = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=True).stdout
        labels = json.loads(inspected)[0]["Config"]["Labels"]
        commit = ["git", "log", "-1", "--format=%H %cI", labels["org.opencontainers.image.revision"]]
        asked = subprocess.run(commit, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
        assert asked == [
            labels["org.opencontainers.image.revision"],
            labels["org.opencontainers.image.created"],
        ]
        repository, digest = image.split("/", 1)[1].split("@")
        (kind,) = (
            found["imageManifestMediaType"]
            for found in deployment.registry().describe_images(repositoryName=repository)["imageDetails"]
            if found["imageDigest"] == digest
        )
        assert kind in ACCEPTED_MANIFESTS


def test_a_second_push_of_the_same_revision_builds_nothing(deployment: Deployment) -> None:
    written = (ENV / "images.auto.tfvars.json").read_text()
    printed = deployment.make("push-images", "PUSH_OPTIONS=--emulated")
    changed = subprocess.run(["git", "status", "--porcelain", "--", *SOURCES], cwd=ROOT, capture_output=True, text=True)
    if not changed.stdout:  # else each push is a revision of its own
        assert "is in the registry already" in printed
        assert (ENV / "images.auto.tfvars.json").read_text() == written


def test_a_second_apply_changes_nothing(deployment: Deployment) -> None:
    deployment.make("tf-plan")
    planned = json.loads((ENV / "local.tfplan.json").read_text())
    changed = {
        change["address"]: change["type"]
        for change in planned["resource_changes"]
        if change["change"]["actions"] not in (["no-op"], ["read"])
    }
    assert set(changed.values()) <= FORGOTTEN_BY_THE_EMULATOR, changed


def test_with_queues_made_beforehand_terraform_manages_none(
    deployment: Deployment, contracts: dict[str, Contract]
) -> None:
    script = [sys.executable, "scripts/create_sqs_queue.py", "--name", "given-events", "--with-dlq"]
    out = ENV / "queue.auto.tfvars.json"
    created = deployment.outputs()
    subprocess.run([*script, "--region", "us-east-1", "--out", out], cwd=ROOT, env=deployment.environment, check=True)
    assert "smelt-local-events-dlq, which holds about" in deployment.make("tf-apply", fails=True)  # of the tests before
    for queue in ("dlq_url", "ingest_failures_queue_url"):
        deployment.clients.sqs.purge_queue(QueueUrl=created[queue])
    deployment.make("tf-apply")
    assert {address for address in deployment.addresses() if "aws_sqs" in address} == set()
    assert pipeline(deployment).names.queue == "given-events"
    send_and_check(deployment, contracts)

    out.unlink()
    deployment.make("tf-apply")
    assert pipeline(deployment).names.queue == "smelt-local-events"
    send_and_check(deployment, contracts)


def test_buckets_are_not_emptied_without_a_yes(deployment: Deployment) -> None:
    before = deployment.clients.s3.list_objects_v2(Bucket=deployment.outputs()["silver_bucket"])["KeyCount"]
    deployment.make("empty-buckets", fails=True)
    after = deployment.clients.s3.list_objects_v2(Bucket=deployment.outputs()["silver_bucket"])["KeyCount"]
    assert before == after > 0


def test_nothing_is_destroyed_while_there_is_data(deployment: Deployment) -> None:
    before = deployment.addresses()
    assert "is not empty" in deployment.make("tf-destroy", fails=True)
    assert deployment.addresses() == before


def test_all_of_it_can_be_destroyed(deployment: Deployment) -> None:
    deployment.make("empty-buckets", "YES=1")
    deployment.make("tf-destroy")
    clients = deployment.clients
    assert deployment.addresses() == set()
    assert [bucket["Name"] for bucket in clients.s3.list_buckets()["Buckets"]] == []
    assert clients.dynamodb.list_tables()["TableNames"] == []
    assert clients.functions.list_functions()["Functions"] == []
    left = {url.rsplit("/", 1)[1] for url in clients.sqs.list_queues().get("QueueUrls", [])}
    assert left == {"given-events", "given-events-dlq", "given-events-ingest-failures"}  # not Terraform's
