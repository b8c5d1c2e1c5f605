"""Recipes of docs/runbook.md for what was lost, refused or wrong, and for trouble that passes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from local.ministack import ROOT
from services.ops.audit.accounts import Outcome
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import ObjectState
from services.shared.units import BronzeObject
from tests.integration.test_audit_runbook import found
from tests.integration.test_runbook import keep_failed_events, set_ledger
from tests.integration.test_runbook_recipes import ROWS, OnCall, data, failures, on_call, pipeline  # noqa: F401
from tests.support.running import Running, await_true, deployed, json_lines, request


def some_key() -> str:
    return f"bronze/shipments/{uuid.uuid4().hex}.jsonl"


def state_of(pipeline: Running, source: BronzeObject) -> ObjectState | None:  # noqa: F811
    ledger = Ledger(pipeline.clients.dynamodb, pipeline.names.ledger_table)
    return next((one.state for one in ledger.find_objects([source.id])), None)


def refused(pipeline: Running, source: BronzeObject) -> list[tuple[str, str]]:  # noqa: F811
    """Reason and field of an object's rows in quarantine."""
    rows = [row for row in pipeline.rows_of(source) if row["_file"].startswith("quarantine/")]
    return [(row["reason"], row["field"]) for row in rows]


def is_received(pipeline: Running) -> bool:  # noqa: F811
    """Whether transform has the unit, or has given it back for some seconds."""
    url, name = pipeline.queue_url(pipeline.names.queue), "ApproximateNumberOfMessagesNotVisible"
    return pipeline.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name] == "1"


@contextmanager
def nobody_is_notified(pipeline: Running) -> Iterator[None]:  # noqa: F811
    s3, bucket = pipeline.clients.s3, pipeline.names.bronze_bucket
    notification = s3.get_bucket_notification_configuration(Bucket=bucket)
    notification.pop("ResponseMetadata")  # type: ignore[misc]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    yield
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=notification)  # type: ignore[arg-type]


@contextmanager
def transform_is_paused(pipeline: Running) -> Iterator[None]:  # noqa: F811
    functions = pipeline.clients.functions
    (mapping,) = functions.list_event_source_mappings(FunctionName=pipeline.names.transform)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    yield
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def test_a_lost_event(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    known = pipe.upload(some_key(), data)
    await_true(lambda: state_of(pipe, known) is ObjectState.DONE)
    with nobody_is_notified(pipe):
        lost = pipe.upload(some_key(), data)
    assert [finding.code for finding in found(pipe.clients, pipe.names).findings.kept] == ["never_announced"]
    on_call.follow("lost event")
    on_call.check(known, lost)


def test_a_lost_message(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    with transform_is_paused(pipe):
        source = pipe.upload(some_key(), data)
        await_true(lambda: state_of(pipe, source) is ObjectState.PLANNED)
        pipe.clients.sqs.purge_queue(QueueUrl=pipe.queue_url(pipe.names.queue))
    assert pipe.rows_of(source) == []
    on_call.follow("lost message")
    on_call.check(source)


def test_objects_that_are_not_loaded(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    """As if an earlier release did not take such keys yet."""
    pipe = on_call.pipeline
    with nobody_is_notified(pipe):
        source = pipe.upload(some_key(), data)
    Ledger(pipe.clients.dynamodb, pipe.names.ledger_table).objects.reject(source, "unsupported_format", "not yet")
    said = on_call.follow("rejected")
    assert "unsupported_format" in said
    on_call.check(source)


def test_rows_that_came_again_in_another_file(emulator: str, data: bytes, tmp_path: Path) -> None:  # noqa: F811
    """The refused object is deleted, as its advice says. The audit lists it all the same, and is asked from then on."""
    pipe = deployed(emulator)
    on_call = OnCall(pipe, keep_failed_events(pipe), emulator, tmp_path)  # noqa: F811
    refused_one = pipe.upload(some_key().replace(".jsonl", ".csv"), b"a,b\n")
    await_true(lambda: state_of(pipe, refused_one) is ObjectState.REJECTED)
    pipe.clients.s3.delete_object(Bucket=pipe.names.bronze_bucket, Key=refused_one.key)
    since = datetime.now(UTC)
    good = pipe.upload(some_key(), data)
    await_true(lambda: state_of(pipe, good) is ObjectState.DONE)
    audited = found(pipe.clients, pipe.names)
    assert (audited.objects, audited.all_right) == ({Outcome.NOT_LOADED: 1, Outcome.DONE: 1}, False)
    assert "1 objects: 1 done" in on_call.follow("since", SINCE=since.strftime("%Y-%m-%dT%H:%M:%S.%f"))


def test_a_changed_contract(on_call: OnCall, contracts: dict[str, Any], tmp_path: Path) -> None:  # noqa: F811
    """Rows without an origin are refused; then the contract no longer asks for one."""
    pipe = on_call.pipeline
    rows = [json.loads(line) for line in json_lines(contracts["shipments"], request(ROWS, bad_rate=0)).splitlines()]
    for row in rows[:7]:
        del row["origin"]
    source = pipe.upload(some_key(), b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    await_true(lambda: len(pipe.rows_of(source)) == ROWS)
    assert refused(pipe, source) == [("missing_required", "origin")] * 7

    folder = tmp_path / "contracts"
    folder.mkdir()
    for file in (ROOT / "contracts").glob("*.yaml"):
        document: Any = yaml.safe_load(file.read_text())
        if file.stem == "shipments":
            document["version"] = "1.1.0"
            (origin,) = (one for one in document["schema"][0]["properties"] if one["name"] == "origin")
            origin["required"] = False
        (folder / file.name).write_text(yaml.safe_dump(document))
    said = on_call.follow("quarantine", CONTRACTS_DIR=str(folder))
    assert "origin" in said
    assert refused(pipe, source) == []
    on_call.check(source)


def test_a_wrong_file_was_uploaded(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    wrong, right = pipe.upload(some_key(), data), pipe.upload(some_key(), data + b"\n")
    await_true(lambda: {state_of(pipe, one) for one in (wrong, right)} == {ObjectState.DONE})
    on_call.follow("wrong file", OBJECT=f"s3://{wrong.bucket}/{wrong.key}")
    assert pipe.rows_of(wrong) == []
    on_call.check(right)


def test_silver_is_late_because_transform_was_paused(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    pipe = on_call.pipeline
    with transform_is_paused(pipe):
        source = pipe.upload(some_key(), data)
        await_true(lambda: state_of(pipe, source) is ObjectState.PLANNED)
    await_true(lambda: state_of(pipe, source) is ObjectState.DONE)
    on_call.follow("over")
    on_call.check(source)


def test_region_trouble_makes_no_dead_letter(on_call: OnCall, data: bytes) -> None:  # noqa: F811
    """Transform cannot reach its ledger: the unit goes back, and no attempt is counted."""
    pipe = on_call.pipeline
    with transform_is_paused(pipe):
        source = pipe.upload(some_key(), data)
        await_true(lambda: state_of(pipe, source) is ObjectState.PLANNED)
        set_ledger(pipe, "gone", pipe.names.transform)
        queue = pipe.queue_url(pipe.names.queue)
        pipe.clients.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})
    await_true(lambda: is_received(pipe))
    set_ledger(pipe, pipe.names.ledger_table, pipe.names.transform)
    await_true(lambda: state_of(pipe, source) is ObjectState.DONE)
    on_call.follow("over")
    on_call.check(source)
