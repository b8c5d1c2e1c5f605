"""Data that the plan would lose: what it deletes or replaces while something is in it, and what has disappeared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.preflight.findings import ABSENT, DENIED, Clients, Finding, Level, code_of, value_of

_KEEP = (
    "another project, region or bucket is another environment: leave this one as it is, and see "
    'infra/terraform/README.md, "Another environment"'
)

_READ_ON = (
    "is queue.auto.tfvars.json missing here? Commit it where it was written. To read another queue on purpose: "
    "stop uploads, and wait until this one is empty"
)


def _bucket(clients: Clients, before: Mapping[str, Any]) -> str:
    found = clients("s3").list_object_versions(Bucket=before["bucket"], MaxKeys=1)
    return "objects" if found.get("Versions") or found.get("DeleteMarkers") else ""


def _table(clients: Clients, before: Mapping[str, Any]) -> str:
    return "items" if clients("dynamodb").scan(TableName=before["name"], Limit=1)["Items"] else ""


_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def _queue(clients: Clients, before: Mapping[str, Any]) -> str:
    found = clients("sqs").get_queue_attributes(QueueUrl=before["url"], AttributeNames=list(_COUNTS))["Attributes"]
    messages = sum(int(found.get(name, 0)) for name in _COUNTS)
    return f"about {messages} messages" if messages else ""


# Type -> what it is called, what is in it, and what to do if it shall be deleted all the same.
_HOLDERS: dict[str, tuple[str, Callable[[Clients, Mapping[str, Any]], str], str]] = {
    "aws_s3_bucket": (  # not `make empty-buckets`, which empties the others too
        "bucket",
        _bucket,
        "to delete it with all that is in it, first empty this one alone: "
        ".venv/bin/python -m infra.deploy empty-buckets --region {region} {name}",
    ),
    "aws_dynamodb_table": (
        "ledger",
        _table,
        "without it nobody knows which rows are in Silver; to delete all: tf-destroy",
    ),
    "aws_sqs_queue": (
        "queue",
        _queue,
        "to delete it: stop what sends to it, and wait until it is empty; dead letters and failed events stay until "
        "they are sent again (docs/observability.md)",
    ),
}

_RESTORE = {
    "bucket": "A bucket that is deleted is lost with what was in it",
    "ledger": "Restore it (DynamoDB keeps a backup for 35 days): with an empty ledger, rows would be loaded twice",
    "queue": "Its messages are lost; make audit lists their units",
}


def deleted(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """What the plan deletes or replaces, although there is something in it.

    Terraform would delete a queue with its messages and a table with its items. Of a bucket it would remove the
    settings (notifications, versioning, policy) before S3 refuses to delete the bucket itself.
    """
    for change in plan["resource_changes"]:
        if change["type"] not in _HOLDERS or "delete" not in change["change"]["actions"]:
            continue
        kind, content, otherwise = _HOLDERS[change["type"]]
        before = change["change"].get("before") or {}
        name = before.get("name") or before.get("bucket") or change["address"]
        try:
            found = content(clients, before)
        except ClientError as error:
            if code_of(error) in ABSENT:
                continue
            if code_of(error) not in DENIED:
                raise
            what = f"the plan deletes the {kind} {name}, and there is no permission to see whether something is in it"
            yield Finding(Level.UNCHECKED, change["address"], what, _KEEP)
            continue
        if found:
            what = f"the plan deletes the {kind} {name}, which holds {found}"
            otherwise = otherwise.format(name=name, region=value_of(plan, "region"))
            yield Finding(Level.PROBLEM, change["address"], what, f"{_KEEP}; {otherwise}")


def orphaned(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """Glue databases that the plan deletes while tables are in them that Terraform has not made: the lake's go too."""
    for change in plan["resource_changes"]:
        if change["type"] != "aws_glue_catalog_database" or "delete" not in change["change"]["actions"]:
            continue
        database = (change["change"].get("before") or {})["name"]
        ours = {
            before["name"]
            for one in plan["resource_changes"]
            if one["type"] == "aws_glue_catalog_table" and (before := one["change"].get("before"))
        }
        try:
            pages = list(clients("glue").get_paginator("get_tables").paginate(DatabaseName=database))
        except ClientError as error:
            if code_of(error) in ABSENT:
                continue
            if code_of(error) not in DENIED:
                raise
            what = f"the plan deletes the Glue database {database}, and there is no permission to list its tables"
            yield Finding(Level.UNCHECKED, change["address"], what, "tables that Terraform did not make would go too")
            continue
        tables = [table for page in pages for table in page["TableList"] if not _is_crawled(table)]
        others = sorted({table["Name"] for table in tables} - ours)
        if others:
            what = f"the plan deletes the Glue database {database}, and with it what it holds: {', '.join(others)}"
            advice = (
                "an Iceberg table's snapshots would be lost (its rows stay in Silver). Leave glue_enabled = true; or "
                "first take each table out of the catalog, its files stay: aws glue delete-table "
                f"--database-name {database} --region {value_of(plan, 'region')} --name <table>"
            )
            yield Finding(Level.PROBLEM, change["address"], what, advice)


def _is_crawled(table: Mapping[str, Any]) -> bool:
    """Whether a crawler has made a table, and can make it again."""
    return "UPDATED_BY_CRAWLER" in table.get("Parameters", {})


def vanished(plan: Mapping[str, Any], _: Clients) -> Iterator[Finding]:
    """What Terraform made and does not find any more. It would make it again, empty, beside what is left."""
    for change in plan.get("resource_drift", []):
        if change["type"] not in _HOLDERS or change["change"]["actions"] != ["delete"]:
            continue
        kind, _content, _otherwise = _HOLDERS[change["type"]]
        before = change["change"].get("before") or {}
        name = before.get("name") or before.get("bucket") or change["address"]
        what = f"the {kind} {name} was made by Terraform and is not there any more"
        advice = f"are region and credentials the right ones? {_RESTORE[kind]}"
        anew = f"To make it anew on purpose: terraform state rm '{change['address']}'"
        yield Finding(Level.PROBLEM, change["address"], what, f"{advice}. {anew}")


def locked(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """Queues that leave a key of one's own while messages are in them: the roles may use the new key only."""
    for change in plan["resource_changes"]:
        before, after = change["change"].get("before") or {}, change["change"].get("after") or {}
        old = before.get("kms_master_key_id")
        if change["type"] != "aws_sqs_queue" or change["change"]["actions"] != ["update"] or not old:
            continue
        if after.get("kms_master_key_id") == old:
            continue
        try:
            found = _queue(clients, before) or "no messages"
        except ClientError as error:
            if code_of(error) not in DENIED:
                raise
            found = "perhaps messages: there is no permission to see that"
        if found != "no messages":
            what = f"the queue {before['name']} holds {found}; they, and objects not yet read, need the key {old}"
            advice = (
                "transform's role would lose it: stop uploads and wait until `make audit` shows no unfinished object"
            )
            yield Finding(Level.WARNING, change["address"], what, advice)


def stranded(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """Queues that stay, but that nobody would read any more, while messages are in them: units that are never loaded.

    So it is where another existing queue is named, or none: a checkout without queue.auto.tfvars.json.
    """
    deleted_queues = {
        (one["change"].get("before") or {}).get("name")
        for one in plan["resource_changes"]
        if one["type"] == "aws_sqs_queue" and "delete" in one["change"]["actions"]
    }
    for change in plan["resource_changes"]:
        before, after = change["change"].get("before") or {}, change["change"].get("after") or {}
        arn = before.get("event_source_arn")
        if change["type"] != "aws_lambda_event_source_mapping" or not arn or after.get("event_source_arn") == arn:
            continue
        account, name = arn.split(":")[4:]
        if name in deleted_queues:  # `deleted` looks into these
            continue
        try:
            url = clients("sqs").get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
            found = _queue(clients, {"url": url})
        except ClientError as error:
            if code_of(error) in ABSENT:
                continue
            if code_of(error) not in DENIED:
                raise
            what = (
                f"nothing would read the queue {name} any more, and there is no permission to see whether it is empty"
            )
            yield Finding(Level.UNCHECKED, change["address"], what, _READ_ON)
            continue
        if found:
            what = f"nothing would read the queue {name} any more, which holds {found}"
            yield Finding(Level.PROBLEM, change["address"], what, _READ_ON)


# Part of a job's address -> the variable that asks for the job.
_ENABLED_BY = {"module.compaction[": "glue_job_enabled", "module.ge_job[": "ge_enabled"}


def unasked(plan: Mapping[str, Any], _: Clients) -> Iterator[Finding]:
    """Glue jobs that the plan deletes although they are asked for: what they run is not known in this checkout.

    With the job of the gate its workflow would go, and the marks of written partitions.
    """
    for change in plan["resource_changes"]:
        if change["type"] != "aws_glue_job" or change["change"]["actions"] != ["delete"]:
            continue
        name = (change["change"].get("before") or {}).get("name") or change["address"]
        for part, variable in _ENABLED_BY.items():
            if part in change["address"] and value_of(plan, variable):
                what = f"the plan deletes the Glue job {name}, although {variable} asks for it"
                advice = (
                    "glue.auto.tfvars.json is not committed, and is missing here: run `make glue-assets`, plan again"
                )
                yield Finding(Level.PROBLEM, change["address"], what, advice)
