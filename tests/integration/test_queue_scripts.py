"""Queues for accounts in which Terraform may not create them: created once, kept up to date, written for Terraform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from local.ministack import ROOT
from local.stack import CREDENTIALS, Clients

BACKSTOP = 1000  # receives; attempts in the ledger decide


@pytest.fixture
def name() -> str:
    return f"queue-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def run(emulator: str) -> Any:
    """Run one of the scripts as the documents say."""

    def script(which: str, *arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        environment = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": emulator, "COLUMNS": "200"}
        command = [sys.executable, str(ROOT / "scripts" / which), *arguments, "--region", "us-east-1"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode != 0) == fails, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return script


def attributes(clients: Clients, name: str) -> dict[str, str]:
    url = clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found: Any = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return dict(found)


def test_three_queues_are_created_and_written_for_terraform(
    run: Any, clients: Clients, name: str, tmp_path: Path
) -> None:
    out = tmp_path / "queue.auto.tfvars.json"
    run("create_sqs_queue.py", "--name", name, "--with-dlq", "--out", str(out))
    written = json.loads(out.read_text())
    of_variable = {"queue": name, "dlq": f"{name}-dlq", "ingest_failures_queue": f"{name}-ingest-failures"}
    for variable, queue in of_variable.items():
        assert written[f"existing_{variable}_url"].endswith(f"/{queue}")
        assert written[f"existing_{variable}_arn"] == attributes(clients, queue)["QueueArn"]
    assert len(written) == 6


def test_queues_are_encrypted_tls_only_and_large_enough(run: Any, clients: Clients, name: str) -> None:
    run("create_sqs_queue.py", "--name", name, "--with-dlq")
    for queue in (name, f"{name}-dlq", f"{name}-ingest-failures"):
        found = attributes(clients, queue)
        assert found["SqsManagedSseEnabled"] == "true"
        assert found["MaximumMessageSize"] == "1048576"
        assert found["MessageRetentionPeriod"] == "1209600"
        (statement,) = json.loads(found["Policy"])["Statement"]
        assert (statement["Effect"], statement["Resource"]) == ("Deny", found["QueueArn"])
    work, dlq = attributes(clients, name), attributes(clients, f"{name}-dlq")
    assert work["VisibilityTimeout"] == "1820"
    redrive = json.loads(work["RedrivePolicy"])
    assert (redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])) == (dlq["QueueArn"], BACKSTOP)
    assert json.loads(dlq["RedriveAllowPolicy"])["sourceQueueArns"] == [work["QueueArn"]]


def test_a_second_run_changes_nothing(run: Any, clients: Clients, name: str) -> None:
    first = run("create_sqs_queue.py", "--name", name, "--with-dlq")
    before = [attributes(clients, queue) for queue in (name, f"{name}-dlq", f"{name}-ingest-failures")]
    second = run("create_sqs_queue.py", "--name", name, "--with-dlq")
    assert first.stdout == second.stdout
    assert second.stderr.count("nothing to change") == 3
    assert [attributes(clients, queue) for queue in (name, f"{name}-dlq", f"{name}-ingest-failures")] == before


def test_a_run_that_was_interrupted_is_completed(run: Any, clients: Clients, name: str) -> None:
    clients.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30", "MessageRetentionPeriod": "60"})
    done = run("create_sqs_queue.py", "--name", name, "--with-dlq")
    assert f"{name}: set" in done.stderr
    assert "VisibilityTimeout" in done.stderr
    found = attributes(clients, name)
    assert (found["VisibilityTimeout"], "RedrivePolicy" in found) == ("1820", True)


def test_a_longer_visibility_timeout_and_an_existing_policy_stay(run: Any, clients: Clients, name: str) -> None:
    policy = '{"Version":"2012-10-17","Statement":[]}'
    clients.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7200", "Policy": policy})
    run("create_sqs_queue.py", "--name", name)
    assert attributes(clients, name)["VisibilityTimeout"] == "7200"
    assert json.loads(attributes(clients, name)["Policy"]) == json.loads(policy)


def test_a_queue_keeps_the_key_that_its_owner_gave_it(run: Any, clients: Clients, name: str) -> None:
    clients.sqs.create_queue(QueueName=name, Attributes={"KmsMasterKeyId": "alias/ours"})
    run("create_sqs_queue.py", "--name", name)
    found = attributes(clients, name)
    assert (found["KmsMasterKeyId"], found.get("SqsManagedSseEnabled", "false")) == ("alias/ours", "false")


def test_other_values_in_the_file_stay(run: Any, name: str, tmp_path: Path) -> None:
    out = tmp_path / "queue.auto.tfvars.json"
    out.write_text('{"project": "mine", "existing_queue_arn": "old"}')
    run("create_sqs_queue.py", "--name", name, "--out", str(out))
    written = json.loads(out.read_text())
    assert written["project"] == "mine"
    assert written["existing_queue_arn"].endswith(name)


@pytest.mark.parametrize("broken", ["{", "[]"])
def test_a_file_that_is_not_a_json_object_is_refused_and_kept(run: Any, name: str, tmp_path: Path, broken: str) -> None:
    out = tmp_path / "queue.auto.tfvars.json"
    out.write_text(broken)
    assert "fix or remove the file" in run("create_sqs_queue.py", "--name", name, "--out", str(out), fails=True).stderr
    assert out.read_text() == broken


def test_a_name_that_sqs_does_not_accept_is_refused(run: Any) -> None:
    assert "is not a valid queue name" in run("create_sqs_queue.py", "--name", "with.dots", fails=True).stderr


def test_an_existing_queue_gets_a_dead_letter_queue(run: Any, clients: Clients, name: str) -> None:
    url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
    arguments = ["--queue-url", url, "--dlq-name", f"{name}-dead"]
    first = run("ensure_dlq_for_queue.py", *arguments)
    dlq = attributes(clients, f"{name}-dead")
    assert json.loads(first.stdout)["existing_dlq_arn"] == dlq["QueueArn"]
    assert json.loads(attributes(clients, name)["RedrivePolicy"])["deadLetterTargetArn"] == dlq["QueueArn"]
    assert "Policy" not in attributes(clients, name)  # the queue is somebody else's: nothing but the redrive is set

    second = run("ensure_dlq_for_queue.py", *arguments)
    assert (second.stdout, "already set" in second.stderr) == (first.stdout, True)


def test_another_dead_letter_queue_is_replaced_only_with_replace(run: Any, clients: Clients, name: str) -> None:
    url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
    run("ensure_dlq_for_queue.py", "--queue-url", url, "--dlq-name", f"{name}-one")
    arguments = ["--queue-url", url, "--dlq-name", f"{name}-two"]
    assert "--replace" in run("ensure_dlq_for_queue.py", *arguments, fails=True).stderr
    assert attributes(clients, name)["RedrivePolicy"].count(f"{name}-one") == 1
    run("ensure_dlq_for_queue.py", *arguments, "--replace")
    assert attributes(clients, name)["RedrivePolicy"].count(f"{name}-two") == 1


def test_a_dead_letter_queue_that_serves_other_queues_keeps_serving_them(run: Any, clients: Clients, name: str) -> None:
    urls = [clients.sqs.create_queue(QueueName=f"{name}-{n}")["QueueUrl"] for n in range(2)]
    for url in urls:
        run("ensure_dlq_for_queue.py", "--queue-url", url, "--dlq-name", f"{name}-shared")
    allowed = json.loads(attributes(clients, f"{name}-shared")["RedriveAllowPolicy"])["sourceQueueArns"]
    assert [arn.rsplit(":", 1)[1] for arn in allowed] == [f"{name}-0", f"{name}-1"]


def test_a_queue_that_does_not_exist_is_named(run: Any, name: str) -> None:
    url = f"http://localhost/000000000000/{name}"
    done = run("ensure_dlq_for_queue.py", "--queue-url", url, "--dlq-name", "dead", fails=True)
    assert "does not exist" in done.stderr
