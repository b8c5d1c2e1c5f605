"""Each recipe of docs/runbook.md: the failure is made, the block is run as it stands there, and all is audited."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.ministack import ROOT
from local.stack import CREDENTIALS
from services.shared.ledger.ledger import Ledger
from services.shared.units import BronzeObject
from tests.integration.test_audit_runbook import found
from tests.integration.test_runbook import keep_failed_events, set_ledger, waiting
from tests.support.running import Running, await_true, deployed, json_lines, request

PAGE = ROOT / "docs/runbook.md"
ROWS = 50
RECIPES = dict(re.findall(r"<!-- recipe: ([a-z ]+) -->\n```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL))


@dataclass
class OnCall:
    """A shell of somebody who has only the page."""

    pipeline: Running
    failures: str
    endpoint: str
    folder: Path

    def follow(self, recipe: str, **variables: str) -> str:
        """Run a recipe's block; gives what it prints. Its last command must find everything all right."""
        names = self.pipeline.names
        program = self.folder / "smelt"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m services.ops.cli "$@"\n')
        program.chmod(0o755)
        environment = CREDENTIALS | {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "AWS_ENDPOINT_URL": self.endpoint,
            "LEDGER_TABLE": names.ledger_table,
            "BRONZE_BUCKET": names.bronze_bucket,
            "SILVER_BUCKET": names.silver_bucket,
            "QUEUE_URL": self.pipeline.queue_url(names.queue),
            "DEAD_LETTER_QUEUE_URL": self.pipeline.queue_url(names.dlq),
            "INGEST_FAILURES_QUEUE_URL": self.failures,
            "INGEST_FUNCTION": names.ingest,
            "COLUMNS": "120",
            **variables,
        }
        done = subprocess.run(
            ["sh", "-c", RECIPES[recipe]], env=os.environ | environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def dead(self) -> str:
        return self.pipeline.queue_url(self.pipeline.names.dlq)

    def await_letters(self, url: str, number: int = 1) -> None:
        await_true(lambda: waiting(self.pipeline.clients, url) == number)

    def check(self, *sources: BronzeObject) -> None:
        """Every row of these is there once, the queues are empty, and nothing contradicts anything."""
        for source in sources:
            await_true(lambda source=source: bool(self.pipeline.lots_of(source)))  # type: ignore[misc]
            rows = self.pipeline.rows_of(source)
            assert len(rows) == len({row["_offset"] for row in rows}) == ROWS
        await_true(self.pipeline.is_queue_empty)
        audited = found(self.pipeline.clients, self.pipeline.names)
        assert (audited.findings.total, audited.all_right) == (0, True)
        assert [waiting(self.pipeline.clients, url) for url in (self.dead, self.failures)] == [0, 0]


@pytest.fixture(scope="module")
def pipeline(emulator: str) -> Running:
    return deployed(emulator)


@pytest.fixture(scope="module")
def failures(pipeline: Running) -> str:
    return keep_failed_events(pipeline)


@pytest.fixture
def on_call(pipeline: Running, failures: str, emulator: str, tmp_path: Path) -> OnCall:
    return OnCall(pipeline, failures, emulator, tmp_path)


@pytest.fixture
def data(contracts: dict[str, Any]) -> bytes:
    return json_lines(contracts["shipments"], request(ROWS, bad_rate=0.1))


def test_every_block_is_tested() -> None:
    """By a test that follows it, here or beside here."""
    folder = Path(__file__).parent
    tests = "".join(file.read_text() for file in folder.glob("test_runbook_*.py"))
    assert {name for name in RECIPES if f'on_call.follow("{name}"' not in tests} == set()


def test_a_message_that_is_not_ours(on_call: OnCall, data: bytes) -> None:
    source = on_call.pipeline.upload(f"bronze/shipments/{uuid.uuid4().hex}.jsonl", data)
    queue = on_call.pipeline.queue_url(on_call.pipeline.names.queue)
    on_call.pipeline.clients.sqs.send_message(QueueUrl=queue, MessageBody='{"hello": "world"}')
    on_call.await_letters(on_call.dead)
    said = on_call.follow("not ours")
    assert "malformed: not a unit" in said
    on_call.check(source)


def lose(on_call: OnCall, data: bytes) -> BronzeObject:
    """An object whose only version is deleted before it is read: its unit becomes a dead letter."""
    clients, names = on_call.pipeline.clients, on_call.pipeline.names
    functions = clients.functions
    (mapping,) = functions.list_event_source_mappings(FunctionName=names.transform)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    source = on_call.pipeline.upload(f"bronze/shipments/{uuid.uuid4().hex}.jsonl", data)
    ledger = Ledger(clients.dynamodb, names.ledger_table)
    await_true(lambda: any(one.state == "PLANNED" for one in ledger.find_objects([source.id])))
    assert source.version_id is not None
    clients.s3.delete_object(Bucket=names.bronze_bucket, Key=source.key, VersionId=source.version_id)
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    on_call.await_letters(on_call.dead)
    return source


def test_bytes_that_are_gone(on_call: OnCall, data: bytes) -> None:
    source = lose(on_call, data)
    on_call.pipeline.upload(source.key, data)
    await_true(lambda: bool(on_call.pipeline.lots_of(source)))
    said = on_call.follow("gone")
    assert "committed: its rows were committed" in said
    on_call.check(source)


def test_damaged_bytes(on_call: OnCall, data: bytes) -> None:
    key, whole = f"bronze/shipments/{uuid.uuid4().hex}.jsonl.gz", gzip.compress(data)
    damaged = on_call.pipeline.upload(key, whole[:-20])
    on_call.await_letters(on_call.dead)
    right = on_call.pipeline.upload(key, whole)
    await_true(lambda: bool(on_call.pipeline.lots_of(right)))
    said = on_call.follow("damaged", OBJECT=str(damaged.id))
    assert f"{damaged.id}@0-{damaged.size}" in said
    assert on_call.pipeline.rows_of(damaged) == []
    on_call.check(right)


def test_a_cause_that_has_passed(on_call: OnCall, data: bytes) -> None:
    """Here: the bytes are back, and nobody was told, since the bucket notified nobody at that moment."""
    source = lose(on_call, data)
    clients, names = on_call.pipeline.clients, on_call.pipeline.names
    notification = clients.s3.get_bucket_notification_configuration(Bucket=names.bronze_bucket)
    notification.pop("ResponseMetadata")  # type: ignore[misc]
    clients.s3.put_bucket_notification_configuration(Bucket=names.bronze_bucket, NotificationConfiguration={})
    back = on_call.pipeline.upload(source.key, data)
    key = {"pk": {"S": f"object#{source.id}"}}
    clients.dynamodb.update_item(  # as the fix of a bug would: the version is one that can be read
        TableName=names.ledger_table,
        Key=key,
        UpdateExpression="SET version_id = :v",
        ExpressionAttributeValues={":v": {"S": str(back.version_id)}},
    )
    clients.s3.put_bucket_notification_configuration(
        Bucket=names.bronze_bucket,
        NotificationConfiguration=notification,  # type: ignore[arg-type]
    )
    said = on_call.follow("passed")
    assert "1 sent back to work (1 open)" in said
    on_call.check(source)


def test_events_that_ingest_failed_on(on_call: OnCall, data: bytes) -> None:
    set_ledger(on_call.pipeline, "gone")
    source = on_call.pipeline.upload(f"bronze/shipments/{uuid.uuid4().hex}.jsonl", data)
    on_call.await_letters(on_call.failures)
    set_ledger(on_call.pipeline, on_call.pipeline.names.ledger_table)
    said = on_call.follow("failed events")
    assert "open: the ledger does not know its object" in said
    on_call.check(source)


def test_work_that_a_dead_worker_left(on_call: OnCall, data: bytes) -> None:
    """A lot is committed, and its worker died before it could mark the object."""
    source = on_call.pipeline.upload(f"bronze/shipments/{uuid.uuid4().hex}.jsonl", data)
    await_true(lambda: bool(on_call.pipeline.lots_of(source)))
    names = on_call.pipeline.names
    ledger = Ledger(on_call.pipeline.clients.dynamodb, names.ledger_table)
    await_true(lambda: all(one.is_finished for one in ledger.find_objects([source.id])))
    on_call.pipeline.clients.dynamodb.update_item(
        TableName=names.ledger_table,
        Key={"pk": {"S": f"object#{source.id}"}},
        UpdateExpression="SET #state = :planned, #open = :open, since = :since",
        ExpressionAttributeNames={"#state": "state", "#open": "open"},
        ExpressionAttributeValues={
            ":planned": {"S": "PLANNED"},
            ":open": {"S": "object#03"},
            ":since": {"N": "1800000000000"},
        },
    )
    said = on_call.follow("left")
    assert "1 open objects, 1 marked DONE" in said
    on_call.check(source)


def test_every_alarm_has_a_recipe() -> None:
    """The alarms are those that docs/observability.md lists, which a test there compares with Terraform's."""
    listed = (ROOT / "docs/observability.md").read_text().split("## Alarms")[1].split("\n## ")[0]
    alarms = {
        name
        for row in re.findall(r"^\| (`[^|]*) \|", listed, flags=re.MULTILINE)
        for name in re.findall(r"`([a-z-]+)`", row)
    }
    text = PAGE.read_text()
    mapped = text.split("## From an alarm")[1].split("\n## ")[0]
    assert len(alarms) >= 15
    assert {name for name in alarms if f"`{name}`" not in mapped} == set()


def test_every_link_of_the_page_leads_to_a_heading() -> None:
    text = PAGE.read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.*)$", text, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= headings
