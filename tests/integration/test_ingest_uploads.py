"""What S3 makes of uploads to one key, and ingest of that: the same bytes are the same object."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.stack import Clients, create_bucket
from services.ingest import app
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import ObjectState
from services.shared.units import BronzeObject, UnitMessage
from tests.support.ingest import (
    KEY,
    Context,
    events_of,
    messages,
    source,
)
from tests.support.lake import CREATED


class TestUploads:
    """What S3 makes of uploads to one key of a versioned bucket, and ingest of that."""

    @pytest.fixture
    def bucket(self, clients: Clients, monkeypatch: pytest.MonkeyPatch, handler: Any) -> str:
        name = f"bronze-{uuid.uuid4().hex[:12]}"
        create_bucket(clients.s3, name)
        monkeypatch.setenv("BRONZE_BUCKET", name)
        app._settings.cache_clear()
        return name

    def upload(self, clients: Clients, bucket: str, data: bytes, hours: int = 0) -> BronzeObject:
        answer = clients.s3.put_object(Bucket=bucket, Key=KEY, Body=data)
        created = CREATED + timedelta(hours=hours)
        return BronzeObject(bucket, KEY, len(data), answer["ETag"].strip('"'), answer["VersionId"], created)

    def upload_in_parts(self, clients: Clients, bucket: str, data: bytes, part_bytes: int) -> BronzeObject:
        s3, where = clients.s3, {"Bucket": bucket, "Key": KEY}
        upload = s3.create_multipart_upload(**where)["UploadId"]
        parts: list[Any] = []
        for number, start in enumerate(range(0, len(data), part_bytes), 1):
            part = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=data[start : start + part_bytes])
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        answer = s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
        return BronzeObject(bucket, KEY, len(data), answer["ETag"].strip('"'), answer["VersionId"], CREATED)

    def test_the_same_bytes_again_are_the_same_object(
        self, handler: Any, clients: Clients, queue_url: str, bucket: str
    ) -> None:
        """It was: on a versioned bucket, which is what Terraform creates, every row came twice."""
        first, second = (self.upload(clients, bucket, b"x" * 2000, hours) for hours in (0, 1))
        assert first.version_id != second.version_id
        assert first.id == second.id
        handler(events_of(first), Context())
        handler(events_of(second), Context())
        units = {UnitMessage.parse(body).id for body in messages(clients, queue_url)}
        assert sorted((unit.start, unit.end) for unit in units) == [(0, 1024), (1024, 2000)]

    @pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (2, 0, 1)], ids=str)
    def test_a_then_b_then_a_are_two_objects_in_whatever_order_their_events_come(
        self, handler: Any, clients: Clients, queue_url: str, ledger: Ledger, bucket: str, order: tuple[int, ...]
    ) -> None:
        uploads = [self.upload(clients, bucket, data, n) for n, data in enumerate([b"a" * 10, b"b" * 20, b"a" * 10])]
        for number in order:
            handler(events_of(uploads[number]), Context())
        known = {found.id: found for found in ledger.find_objects(upload.id for upload in uploads)}
        assert {found.source.size for found in known.values()} == {10, 20}
        assert known[uploads[0].id].source.version_id == uploads[2].version_id
        units = {UnitMessage.parse(body).id for body in messages(clients, queue_url)}
        assert units == {unit.id for found in known.values() for unit in found.plan}
        assert len(units) == 2

    def test_another_part_size_gives_another_etag_and_so_another_object(self, clients: Clients, bucket: str) -> None:
        """What S3 does, and ObjectId documents: an etag is the content's only within one way of uploading."""
        mib = 1024 * 1024
        data = b"0123456789abcdef" * (11 * mib // 16)
        whole = self.upload(clients, bucket, data)
        fives, fives_again, sixes = (self.upload_in_parts(clients, bucket, data, part * mib) for part in (5, 5, 6))
        assert fives.id == fives_again.id
        assert len({whole.id, fives.id, sixes.id}) == 3
        assert fives.etag.endswith("-3") and sixes.etag.endswith("-2")


class TestRetractedObjects:
    """An operator took the rows of an object away; then S3 announces it."""

    @pytest.fixture
    def retracted(self, handler: Any, ledger: Ledger, clients: Clients, queue_url: str) -> BronzeObject:
        known = source(2)
        handler(events_of(known), Context())
        messages(clients, queue_url)
        leaving = ledger.releases.begin(known.id, "Ann", "wrong file")
        ledger.releases.refuse(leaving, [unit.id for unit in leaving.plan])
        ledger.releases.finish(leaving)
        return known

    def test_an_event_from_before_is_a_duplicate(
        self, handler: Any, ledger: Ledger, clients: Clients, queue_url: str, retracted: BronzeObject
    ) -> None:
        assert handler(events_of(retracted), Context())["duplicate"] == 1
        (known,) = ledger.find_objects([retracted.id])
        assert known.retraction is not None
        assert known.retraction.uploaded_again is None
        assert not messages(clients, queue_url)

    def test_the_same_bytes_uploaded_again_are_refused_and_noted(
        self, handler: Any, ledger: Ledger, clients: Clients, queue_url: str, retracted: BronzeObject
    ) -> None:
        again = replace(retracted, created=datetime.now(UTC) + timedelta(minutes=1))
        assert handler(events_of(again), Context())["refused"] == 1
        (known,) = ledger.find_objects([retracted.id])
        assert known.state is ObjectState.RETRACTED
        assert known.retraction is not None
        assert known.retraction.uploaded_again == again.created
        assert "smelt replay --force" in known.advice
        assert not messages(clients, queue_url)

    def test_one_that_was_let_in_again_is_planned_by_the_next_event(
        self, handler: Any, ledger: Ledger, clients: Clients, queue_url: str, retracted: BronzeObject
    ) -> None:
        ledger.objects.reopen(retracted.id)
        assert handler(events_of(retracted), Context())["planned"] == 1
        assert len(messages(clients, queue_url)) == 2
