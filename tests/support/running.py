"""A pipeline that runs somewhere, and what tests do with it from outside: upload, wait, look into ledger and lake."""

from __future__ import annotations

import gzip
import io
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq

from local.generator import Request, events, json_safe_events
from local.ministack import deploy
from local.stack import Clients, Names
from services.shared.contract.model import Contract
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Lot, LotState
from services.shared.units import BronzeObject, Plan

UNIT_BYTES = 64 * 1024 * 1024


def await_true(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Wait until something has happened."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time; read the emulator's log"
        time.sleep(0.25)


@dataclass(frozen=True)
class Running:
    """One pipeline on one emulator."""

    clients: Clients
    names: Names

    def upload(self, key: str, data: bytes) -> BronzeObject:
        """Put an object into Bronze; S3 tells ingest."""
        answer = self.clients.s3.put_object(Bucket=self.names.bronze_bucket, Key=key, Body=data)
        etag, version = answer["ETag"].strip('"'), answer.get("VersionId")
        return BronzeObject(self.names.bronze_bucket, key, len(data), etag, version, datetime.now(UTC))

    def queue_url(self, queue: str) -> str:
        return self.clients.sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def lots_of(self, source: BronzeObject) -> list[Lot]:
        """The committed lots that hold an object; none as long as a unit of it is in no lot."""
        units = [unit.id for unit in Plan.of(source, UNIT_BYTES)]
        found = Ledger(self.clients.dynamodb, self.names.ledger_table).look_up(units)
        if len(found.lot_of) < len(units):
            return []
        return [lot for lot in found.lots.values() if lot.state is LotState.COMMITTED]

    def rows_of(self, source: BronzeObject) -> list[dict[str, Any]]:
        """All rows that stand in the lake for an object: looked for in every file, not only where the ledger points."""
        rows = []
        for page in self.clients.s3.get_paginator("list_objects_v2").paginate(Bucket=self.names.silver_bucket):
            for entry in page.get("Contents", []):
                body = self.clients.s3.get_object(Bucket=self.names.silver_bucket, Key=entry["Key"])["Body"].read()
                table = pq.read_table(io.BytesIO(body)).to_pylist()
                rows += [row | {"_file": entry["Key"]} for row in table if row["_source"] == str(source.id)]
        return rows

    def check_that_every_row_lands_once(self, dataset: str, suffix: str, data: bytes, rows: int) -> None:
        """Upload an object of `rows` rows, some of them bad; its unit is delivered twice, and its bytes come twice."""
        source = self.upload(f"bronze/{dataset}/{uuid.uuid4().hex}{suffix}", data)
        await_true(lambda: bool(self.lots_of(source)))
        (known,) = Ledger(self.clients.dynamodb, self.names.ledger_table).find_objects([source.id])
        (unit,) = known.plan
        self.clients.sqs.send_message(QueueUrl=self.queue_url(self.names.queue), MessageBody=unit.to_message())
        again = self.upload(source.key, data)  # S3 tells ingest again: of another version of the same object
        assert again.id == source.id
        assert again.version_id != source.version_id
        await_true(self.is_queue_empty)

        landed = self.rows_of(source)
        assert len(landed) == rows
        assert len({row["_offset"] for row in landed}) == rows
        reasons = Counter(row["reason"] for row in landed if row["_file"].startswith("quarantine/"))
        assert reasons, "some of the rows were bad"
        (counts,) = (lot.unit_counts[lot.units.index(unit.id)] for lot in self.lots_of(source))
        assert (counts.read, counts.quarantined) == (rows, reasons.total())

    def is_queue_empty(self) -> bool:
        """Whether no unit is waiting or being worked on."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = self.queue_url(self.names.queue)
        found = self.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return not any(int(found[name]) for name in names)

    def check_that_a_message_that_is_not_a_unit_becomes_a_dead_letter(self) -> None:
        """Transform sends it there itself, the first time that it meets it."""
        mark = uuid.uuid4().hex
        body = json.dumps({"not": "a unit", "id": mark})
        self.clients.sqs.send_message(QueueUrl=self.queue_url(self.names.queue), MessageBody=body)
        self.await_message(self.queue_url(self.names.dlq), mark)

    def await_message(self, queue_url: str, text: str) -> None:
        """Wait for a message that holds a text."""
        seen: list[str] = []

        def arrived() -> bool:
            answer = self.clients.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            seen.extend(message.get("Body", "") for message in answer.get("Messages", []))
            return any(text in body for body in seen)

        await_true(arrived)

    def check_that_an_object_that_is_not_taken_is_recorded(self) -> None:
        source = self.upload(f"bronze/shipments/{uuid.uuid4().hex}.csv", b"a,b\n")

        def recorded() -> bool:
            key = {"pk": {"S": f"object#{source.id}"}}
            item = self.clients.dynamodb.get_item(TableName=self.names.ledger_table, Key=key).get("Item", {})
            return item.get("state", {}).get("S") == "REJECTED" and item["reason"]["S"] == "unsupported_format"

        await_true(recorded)


def deployed(emulator: str) -> Running:
    """A pipeline of its own on an emulator that others use too."""
    mark = uuid.uuid4().hex[:8]
    names = Names(
        bronze_bucket=f"bronze-{mark}",
        silver_bucket=f"silver-{mark}",
        ledger_table=f"ledger-{mark}",
        queue=f"units-{mark}",
        dlq=f"units-dlq-{mark}",
        ingest=f"ingest-{mark}",
        transform=f"transform-{mark}",
    )
    clients, _ = deploy(emulator, names)
    return Running(clients, names)


def request(count: int, bad_rate: float) -> Request:
    """Events of the last two days."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Request(count, today - timedelta(days=2), today, seed=uuid.uuid4().int % 10**6, bad_rate=bad_rate)


def json_lines(contract: Contract, asked: Request) -> bytes:
    return b"".join(row + b"\n" for row in events(contract, asked))


def json_array(contract: Contract, asked: Request) -> bytes:
    return b"[" + b", ".join(json_safe_events(contract, asked)) + b"]"


def gzipped(contract: Contract, asked: Request) -> bytes:
    return gzip.compress(json_lines(contract, asked))


# dataset, suffix, how its bytes are made
KINDS = [
    ("shipments", ".jsonl", json_lines),
    ("tracking_events", ".json", json_array),
    ("invoice_lines", ".jsonl.gz", gzipped),
]
