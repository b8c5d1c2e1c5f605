"""Before an apply: what a plan would delete although something is in it, and what has disappeared."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
from botocore.exceptions import ClientError

from infra.deploy.cli.preflight import check_plan
from infra.deploy.preflight import Level, preflight
from local.stack import CREDENTIALS, REGION, Clients
from services.shared.aws import aws_client


@pytest.fixture
def client(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}).items():
        monkeypatch.setenv(name, value)
    return partial(aws_client, region=REGION)


def planned(kind: str, before: dict[str, Any], *actions: str) -> dict[str, Any]:
    """The parts of a plan that are read."""
    change = {"actions": list(actions or ["delete"]), "before": before, "after": None}
    return {"resource_changes": [{"address": f"module.x.{kind}.this", "type": kind, "change": change}]}


def made(clients: Clients, kind: str) -> tuple[dict[str, Any], Callable[[], object]]:
    """One resource, as the state has it, and what puts something into it."""
    name = f"kept-{uuid.uuid4().hex[:8]}"
    if kind == "aws_s3_bucket":
        clients.s3.create_bucket(Bucket=name)
        return {"bucket": name}, lambda: clients.s3.put_object(Bucket=name, Key="silver/a", Body=b"1")
    if kind == "aws_sqs_queue":
        url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
        return {"name": name, "url": url}, lambda: clients.sqs.send_message(QueueUrl=url, MessageBody="{}")
    clients.dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return {"name": name}, lambda: clients.dynamodb.put_item(TableName=name, Item={"pk": {"S": "object#1"}})


KINDS = ["aws_s3_bucket", "aws_sqs_queue", "aws_dynamodb_table"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("actions", [["delete"], ["delete", "create"], ["create", "delete"]])
def test_what_holds_data_is_not_deleted_or_replaced(
    clients: Clients, client: Callable[[str], Any], kind: str, actions: list[str]
) -> None:
    before, fill = made(clients, kind)
    assert preflight(planned(kind, before, *actions), client) == []
    fill()
    (finding,) = preflight(planned(kind, before, *actions), client)
    assert (finding.level, "which holds" in finding.what) == (Level.PROBLEM, True)
    assert preflight(planned(kind, before, "update"), client) == []


def of_catalog(database: str) -> dict[str, Any]:
    """A plan that deletes a Glue database, and the table in it that Terraform has made."""
    table = planned("aws_glue_catalog_table", {"name": "silver", "database_name": database})["resource_changes"]
    whole = planned("aws_glue_catalog_database", {"name": database, "catalog_id": "000000000000"})["resource_changes"]
    return {"resource_changes": [*table, *whole]}


def test_a_database_is_not_deleted_with_the_tables_of_others_in_it(client: Callable[[str], Any]) -> None:
    """Glue deletes them with it, without asking: with `glue_enabled = false`, the lake's with their snapshots."""
    glue, database = client("glue"), f"kept_{uuid.uuid4().hex[:8]}"
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput={"Name": "silver"})
    glue.create_table(
        DatabaseName=database, TableInput={"Name": "silver_x", "Parameters": {"UPDATED_BY_CRAWLER": "x-silver"}}
    )
    assert preflight(of_catalog(database), client) == []  # it can be crawled again
    glue.create_table(DatabaseName=database, TableInput={"Name": "shipments", "Parameters": {"table_type": "ICEBERG"}})
    (finding,) = preflight(of_catalog(database), client)
    assert finding.level is Level.PROBLEM
    assert finding.what == f"the plan deletes the Glue database {database}, and with it what it holds: shipments"
    assert f"aws glue delete-table --database-name {database}" in finding.advice
    kept = of_catalog(database)
    kept["resource_changes"][1]["change"]["actions"] = ["update"]
    assert preflight(kept, client) == []


def test_a_database_that_nobody_may_look_into_is_named(client: Callable[[str], Any]) -> None:
    (finding,) = preflight(of_catalog("x"), refusing("AccessDeniedException"))
    assert finding.level is Level.UNCHECKED
    assert preflight(of_catalog("not_there"), client) == []
    with pytest.raises(ClientError):
        preflight(of_catalog("x"), refusing("ExpiredToken"))


def test_messages_that_are_being_worked_on_count_too(clients: Clients, client: Callable[[str], Any]) -> None:
    before, fill = made(clients, "aws_sqs_queue")
    fill()
    clients.sqs.receive_message(QueueUrl=before["url"], VisibilityTimeout=600)
    (finding,) = preflight(planned("aws_sqs_queue", before), client)
    assert "about 1 messages" in finding.what


def test_of_a_bucket_it_says_how_to_empty_that_one_alone(clients: Clients, client: Callable[[str], Any]) -> None:
    """`make empty-buckets` would empty Bronze and Silver for the sake of the bucket of artifacts."""
    before, fill = made(clients, "aws_s3_bucket")
    fill()
    region = {"variables": {"region": {"value": REGION}}}
    (finding,) = preflight(planned("aws_s3_bucket", before) | region, client)
    assert f"infra.deploy empty-buckets --region {REGION} {before['bucket']}" in finding.advice
    assert "make empty-buckets" not in finding.advice


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_gone_already_can_be_deleted(client: Callable[[str], Any], kind: str) -> None:
    gone = {"bucket": "gone", "name": "gone", "url": f"https://sqs.{REGION}.amazonaws.com/000000000000/gone"}
    assert preflight(planned(kind, gone), client) == []


@pytest.mark.parametrize(("new", "warned"), [("arn:new", True), (None, True), ("arn:old", False)])
def test_a_queue_with_messages_does_not_leave_its_key_in_silence(
    clients: Clients, client: Callable[[str], Any], new: str | None, warned: bool
) -> None:
    before, fill = made(clients, "aws_sqs_queue")
    update = planned("aws_sqs_queue", before | {"kms_master_key_id": "arn:old"}, "update")
    update["resource_changes"][0]["change"]["after"] = before | {"kms_master_key_id": new}
    assert preflight(update, client) == []
    fill()
    found = preflight(update, client)
    assert [(finding.level, "arn:old" in finding.what) for finding in found] == [(Level.WARNING, True)] * warned
    assert len(preflight(update, refusing("AccessDenied"))) == warned


def test_a_queue_with_messages_does_not_lose_its_reader_in_silence(
    clients: Clients, client: Callable[[str], Any]
) -> None:
    """As in a checkout without queue.auto.tfvars.json, in which Terraform plans queues of its own."""
    before, fill = made(clients, "aws_sqs_queue")
    read = {"event_source_arn": f"arn:aws:sqs:{REGION}:000000000000:{before['name']}"}
    other = {"event_source_arn": f"arn:aws:sqs:{REGION}:000000000000:other"}
    replaced = planned("aws_lambda_event_source_mapping", read, "delete", "create")
    replaced["resource_changes"][0]["change"]["after"] = other
    assert preflight(replaced, client) == []
    fill()
    (finding,) = preflight(replaced, client)
    assert (finding.level, "holds about 1 messages" in finding.what) == (Level.PROBLEM, True)
    (finding,) = preflight(replaced, refusing("AccessDenied"))
    assert finding.level is Level.UNCHECKED
    assert preflight(replaced, refusing("AWS.SimpleQueueService.NonExistentQueue")) == []

    replaced["resource_changes"][0]["change"]["after"] = read  # with another batch size, say
    assert preflight(replaced, client) == []
    gone = planned("aws_sqs_queue", before)["resource_changes"]
    replaced["resource_changes"][0]["change"]["after"] = other
    (finding,) = preflight({"resource_changes": [*replaced["resource_changes"], *gone]}, client)
    assert finding.what.startswith("the plan deletes the queue")


def refusing(code: str) -> Callable[[str], Any]:
    """Clients whose every call ends in an error."""

    class Refusing:
        def __getattr__(self, operation: str) -> Any:
            def call(*_: Any, **__: Any) -> Any:
                raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)

            return call

    return lambda _: Refusing()


@pytest.mark.parametrize("kind", KINDS)
def test_without_permission_to_look_into_it_it_says_so(kind: str) -> None:
    before = {"bucket": "b", "name": "b", "url": "u"}
    (finding,) = preflight(planned(kind, before), refusing("AccessDenied"))
    assert finding.level is Level.UNCHECKED
    with pytest.raises(ClientError):
        preflight(planned(kind, before), refusing("ExpiredToken"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_disappeared_is_not_made_again_in_silence(client: Callable[[str], Any], kind: str) -> None:
    (drift,) = planned(kind, {"name": "gone", "bucket": "gone"})["resource_changes"]
    (finding,) = preflight({"resource_changes": [], "resource_drift": [drift]}, client)
    assert (finding.level, "is not there any more" in finding.what) == (Level.PROBLEM, True)
    assert f"terraform state rm 'module.x.{kind}.this'" in finding.advice
    changed = drift | {"change": drift["change"] | {"actions": ["update"]}}
    assert preflight({"resource_changes": [], "resource_drift": [changed]}, client) == []


@pytest.mark.usefixtures("client")
def test_terraforms_commands_run_as_they_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere Terraform would find no state, and an import without values would ask for them."""
    gone = planned("aws_dynamodb_table", {"name": "gone"})["resource_changes"]
    taken = {"actions": ["create"], "before": None, "after": {"topic": "", "name": "kept-topic"}}
    created = {"address": "module.x.aws_sns_topic.this[0]", "type": "aws_sns_topic", "change": taken}
    aws_client("sns", REGION).create_topic(Name="kept-topic")
    file = tmp_path / "dev.tfplan.json"
    file.write_text(json.dumps({"resource_changes": [created], "resource_drift": gone}))
    with pytest.raises(typer.Exit):
        check_plan(file, REGION, as_json=True)
    vanished, topic = (one["advice"] for one in json.loads(capsys.readouterr().out)["findings"])
    assert f"terraform -chdir={tmp_path} state rm 'module.x.aws_dynamodb_table.this'" in vanished
    assert f"terraform -chdir={tmp_path} import -var-file=dev.tfvars 'module.x.aws_sns_topic.this[0]' 'arn:" in topic
