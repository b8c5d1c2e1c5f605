"""What the deploy service of compose saves when it stops, and restores in an emulator that has forgotten everything."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from local import kept as kept_by_compose
from local.kept import announce_unfinished, restore, save
from local.ministack import deploy, ministack
from local.stack import Clients, Names, connect, create_resources
from services.ops.audit.audit import Audit, audit
from services.ops.audit.listings import S3Listings
from services.ops.sweep import sweep
from services.shared.lake import S3Lake
from services.shared.ledger.ledger import Ledger
from tests.support.running import Running, await_true

NAMES = Names()
ROW = {"record_type": "shipments", "event_time": "2026-01-31T10:00:00Z", "origin": "Gdansk", "destination": "Cork"}
PART = 5 * 1024 * 1024


def rows(count: int, mark: str) -> bytes:
    text = (json.dumps(ROW | {"shipment_id": f"{mark}-{number}"}) for number in range(count))
    return "\n".join(text).encode()


def upload_in_parts(clients: Clients, key: str, data: bytes) -> None:
    where = {"Bucket": NAMES.bronze_bucket, "Key": key}
    upload = where | {"UploadId": clients.s3.create_multipart_upload(**where)["UploadId"]}
    parts = []
    for number, first in enumerate(range(0, len(data), PART), start=1):
        done = clients.s3.upload_part(**upload, PartNumber=number, Body=data[first : first + PART])
        parts.append({"PartNumber": number, "ETag": done["ETag"]})
    clients.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def audited(clients: Clients) -> Audit:
    ledger = Ledger(clients.dynamodb, NAMES.ledger_table)
    sweep(ledger, S3Lake(clients.s3, NAMES.silver_bucket))
    return audit(ledger, S3Listings(clients.s3, NAMES.bronze_bucket, NAMES.silver_bucket))


def test_every_object_and_its_account_come_back_and_what_was_not_finished_is_finished(tmp_path: Path) -> None:
    large = rows(50_000, "large")
    with ministack(log=tmp_path / "log") as endpoint:
        clients, resources = deploy(endpoint, NAMES)
        done = Running(clients, NAMES).upload("bronze/shipments/done.jsonl", rows(10, "done"))
        upload_in_parts(clients, "bronze/shipments/large.jsonl", large)
        await_true(lambda: audited(clients).counts.read == 50_010)
        (mapping,) = clients.functions.list_event_source_mappings()["EventSourceMappings"]
        clients.functions.delete_event_source_mapping(UUID=mapping["UUID"])
        Running(clients, NAMES).upload("bronze/shipments/waiting.jsonl", rows(7, "waiting"))
        await_true(lambda: audited(clients).unfinished == 1)
        assert save(clients, NAMES, resources, tmp_path / "kept") >= 5

    with ministack(log=tmp_path / "log") as endpoint:
        clients = connect(endpoint)
        create_resources(clients, NAMES)
        assert restore(clients, NAMES, tmp_path / "kept") >= 5
        deploy(endpoint, NAMES)
        assert announce_unfinished(clients, NAMES) == 1
        await_true(lambda: audited(clients).counts.read == 50_017)
        found = audited(clients)
        assert (found.all_right, found.unfinished, found.objects.total()) == (True, 0, 3), found.findings
        assert len(Running(clients, NAMES).rows_of(done)) == 10
        assert restore(clients, NAMES, tmp_path / "kept") == 0  # it is not empty any more


def test_a_restore_that_was_interrupted_is_done_again_as_a_whole(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = uuid.uuid4().hex[:8]
    names = Names(*(f"{part}-{mark}" for part in ("bronze", "silver", "ledger", "queue", "dlq")))
    create_resources(clients, names)
    (tmp_path / "objects").mkdir()
    objects = []
    for number in range(3):
        data = rows(number + 1, "kept")
        kept = kept_by_compose.Kept(
            names.bronze_bucket,
            f"bronze/shipments/{number}.jsonl",
            hashlib.md5(data).hexdigest(),  # noqa: S324 (S3's etag)
        )
        (tmp_path / "objects" / kept.file_name).write_bytes(data)
        objects.append({"bucket": kept.bucket, "key": kept.key, "etag": kept.etag})
    ledger = [{"pk": {"S": "object#1"}}]
    (tmp_path / "state.json").write_text(json.dumps({"objects": objects, "ledger": ledger}))

    put_back = kept_by_compose._put_back
    done: list[kept_by_compose.Kept] = []

    def stopping(clients: Clients, kept: kept_by_compose.Kept, file: Path) -> None:
        if len(done) == 2:
            raise EndpointConnectionError(endpoint_url="localstack")
        done.append(kept)
        put_back(clients, kept, file)

    monkeypatch.setattr(kept_by_compose, "_put_back", stopping)
    with pytest.raises(EndpointConnectionError):
        restore(clients, names, tmp_path)
    monkeypatch.undo()
    assert restore(clients, names, tmp_path) == 3
    listed = clients.s3.list_objects_v2(Bucket=names.bronze_bucket)["Contents"]
    assert len(listed) == 3
    assert clients.dynamodb.scan(TableName=names.ledger_table)["Items"] == ledger
    assert restore(clients, names, tmp_path) == 0  # it is what it was
