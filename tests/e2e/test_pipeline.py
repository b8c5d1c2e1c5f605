"""Bronze to Silver through the real images: S3 -> ingest -> SQS -> transform -> S3."""

from __future__ import annotations

import gzip
import io
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from local.generator import Request, events, json_safe_events
from local.stack import Clients, Names
from services.shared.contract import Contract
from services.shared.ledger import Ledger, LotState
from services.shared.units import BronzeObject, plan

NAMES = Names()
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def await_true(condition: Callable[[], bool], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time; read `docker compose logs`"
        time.sleep(0.25)


def upload(stack: Clients, key: str, data: bytes) -> BronzeObject:
    etag = stack.s3.put_object(Bucket=NAMES.bronze_bucket, Key=key, Body=data)["ETag"].strip('"')
    return BronzeObject(NAMES.bronze_bucket, key, len(data), etag, None, datetime.now(UTC))


def lots_of(stack: Clients, source: BronzeObject) -> list[Any]:
    units = [unit.id for unit in plan(source, 64 * 1024 * 1024)]
    found = Ledger(stack.dynamodb, NAMES.ledger_table).look_up(units)
    if len(found.lot_of) < len(units):
        return []
    return [lot for lot in found.lots.values() if lot.state is LotState.COMMITTED]


def rows_of(stack: Clients, source: BronzeObject) -> list[dict[str, Any]]:
    """All rows that stand in the lake for an object: looked for in every file, not only where the ledger points."""
    rows = []
    for page in stack.s3.get_paginator("list_objects_v2").paginate(Bucket=NAMES.silver_bucket):
        for entry in page.get("Contents", []):
            body = stack.s3.get_object(Bucket=NAMES.silver_bucket, Key=entry["Key"])["Body"].read()
            table = pq.read_table(io.BytesIO(body)).to_pylist()
            rows += [row | {"_file": entry["Key"]} for row in table if row["_source"] == str(source.id)]
    return rows


def request(count: int, bad_rate: float) -> Request:
    return Request(count, TODAY - timedelta(days=2), TODAY, seed=uuid.uuid4().int % 10**6, bad_rate=bad_rate)


def json_lines(contract: Contract, asked: Request) -> bytes:
    return b"".join(row + b"\n" for row in events(contract, asked))


def json_array(contract: Contract, asked: Request) -> bytes:
    return b"[" + b", ".join(json_safe_events(contract, asked)) + b"]"


def gzipped(contract: Contract, asked: Request) -> bytes:
    return gzip.compress(json_lines(contract, asked))


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("dataset", "suffix", "make"),
    [
        ("shipments", ".jsonl", json_lines),
        ("tracking_events", ".json", json_array),
        ("invoice_lines", ".jsonl.gz", gzipped),
    ],
)
def test_every_row_lands_once_though_its_event_and_its_unit_are_delivered_twice(
    stack: Clients,
    contracts: dict[str, Contract],
    dataset: str,
    suffix: str,
    make: Callable[[Contract, Request], bytes],
) -> None:
    data = make(contracts[dataset], request(2000, bad_rate=0.02))
    source = upload(stack, f"bronze/{dataset}/{uuid.uuid4().hex}{suffix}", data)
    (unit,) = plan(source, 64 * 1024 * 1024)
    queue_url = stack.sqs.get_queue_url(QueueName=NAMES.queue)["QueueUrl"]
    stack.sqs.send_message(QueueUrl=queue_url, MessageBody=unit.to_message())
    upload(stack, source.key, data)  # the same bytes under the same key: S3 tells ingest again

    await_true(lambda: bool(lots_of(stack, source)))
    rows = rows_of(stack, source)
    assert len(rows) == 2000
    assert len({row["_offset"] for row in rows}) == 2000
    reasons = Counter(row["reason"] for row in rows if row["_file"].startswith("quarantine/"))
    assert reasons, "some of the rows were bad"
    (lot,) = lots_of(stack, source)
    assert (lot.counts.read, lot.counts.quarantined) == (2000, reasons.total())


@pytest.mark.e2e
def test_a_message_that_is_no_unit_ends_in_the_dead_letter_queue(stack: Clients) -> None:
    queue_url = stack.sqs.get_queue_url(QueueName=NAMES.queue)["QueueUrl"]
    dlq_url = stack.sqs.get_queue_url(QueueName=NAMES.dlq)["QueueUrl"]
    body = json.dumps({"not": "a unit", "id": uuid.uuid4().hex})
    before = stack.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    stack.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": "1"})
    try:
        stack.sqs.send_message(QueueUrl=queue_url, MessageBody=body)
        seen: list[str] = []

        def arrived() -> bool:
            answer = stack.sqs.receive_message(QueueUrl=dlq_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            seen.extend(message.get("Body", "") for message in answer.get("Messages", []))
            return body in seen

        await_true(arrived)
    finally:
        stack.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes=before)


@pytest.mark.e2e
def test_an_object_that_is_not_taken_is_recorded_with_its_reason(stack: Clients) -> None:
    source = upload(stack, f"bronze/shipments/{uuid.uuid4().hex}.csv", b"a,b\n")

    def recorded() -> bool:
        key = {"pk": {"S": f"object#{source.id}"}}
        item = stack.dynamodb.get_item(TableName=NAMES.ledger_table, Key=key).get("Item", {})
        return item.get("state", {}).get("S") == "REJECTED" and item["reason"]["S"] == "unsupported_format"

    await_true(recorded)
