"""S3 notifications as S3 really sends them, and records that S3 would not send."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.events import MalformedEvent, MalformedRecord, created_object, notification_records
from services.shared.identities import UnitId
from services.shared.units import MAX_OBJECT_BYTES, Plan, UnitMessage

RECORD: dict[str, Any] = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "eventTime": "2026-01-31T12:00:00.123Z",
    "eventName": "ObjectCreated:Put",
    "s3": {
        "bucket": {"name": "bronze-bucket"},
        "object": {"key": "bronze/shipments/a+b%2Bc%C3%A9.jsonl", "size": 10, "eTag": "abc", "sequencer": "0A"},
    },
}


# Amazon S3 User Guide, "EventBridge event message structure": the key is not URL-encoded there.
BY_EVENTBRIDGE: dict[str, Any] = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2026-01-31T12:00:00Z",
    "region": "ca-central-1",
    "resources": ["arn:aws:s3:::bronze-bucket"],
    "detail": {
        "version": "0",
        "bucket": {"name": "bronze-bucket"},
        "object": {
            "key": "bronze/shipments/a b+c%2Bé.jsonl",
            "size": 10,
            "etag": "abc",
            "version-id": "v1",
            "sequencer": "00617F08299329D189",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "source-ip-address": "1.2.3.4",
        "reason": "PutObject",
    },
}


def changed(original: dict[str, Any], *path: str, to: Any = None) -> dict[str, Any]:
    """A copy with another value at the path; without `to`, with none."""
    made = copy.deepcopy(original)
    target = made
    for parent in path[:-1]:
        target = target[parent]
    if to is None:
        del target[path[-1]]
    else:
        target[path[-1]] = to
    return made


def record(**changes: Any) -> dict[str, Any]:
    made = copy.deepcopy(RECORD)
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = made
        for parent in parents:
            target = target[parent]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return made


class TestObjects:
    def test_a_key_is_url_decoded_and_the_event_time_kept(self) -> None:
        source = created_object(RECORD)
        assert source
        assert source.key == "bronze/shipments/a b+cé.jsonl"
        assert source.created == datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)
        assert (source.size, source.etag, source.version_id) == (10, "abc", None)

    def test_a_version_is_kept_but_does_not_identify_the_object(self) -> None:
        first, second = (created_object(record(s3__object__versionId=version)) for version in ("v1", "v2"))
        assert first and second
        assert (first.version_id, second.version_id) == ("v1", "v2")
        assert first.id == second.id

    @pytest.mark.parametrize(
        "name", ["ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload", "s3:ObjectCreated:Put"]
    )
    def test_every_kind_of_creation_counts(self, name: str) -> None:
        assert created_object(record(eventName=name))

    @pytest.mark.parametrize("name", ["ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "ObjectTagging:Put"])
    def test_what_creates_no_object_is_passed_over(self, name: str) -> None:
        assert created_object(record(eventName=name)) is None

    @pytest.mark.parametrize("etag", ["d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e-10000"])
    def test_etags_of_single_and_multipart_uploads_are_taken_as_they_are(self, etag: str) -> None:
        source = created_object(record(s3__object__eTag=etag))
        assert source and source.etag == etag

    @pytest.mark.parametrize("size", [0, MAX_OBJECT_BYTES])
    def test_every_size_that_s3_allows_is_taken(self, size: int) -> None:
        source = created_object(record(s3__object__size=size))
        assert source and source.size == size

    @pytest.mark.parametrize(
        "name",
        ["#", "@1-2", "a#b@0-5", "line\nbreak", "\r", "\x00", "\uffff", "%2F", "+ ", "é" * 491, "x" * 982],
        ids=ascii,
    )
    def test_every_key_that_s3_allows_reads_back_from_its_event_its_message_and_its_id(self, name: str) -> None:
        key = f"bronze/shipments/x/{name}.jsonl.gz"
        source = created_object(record(s3__object__key=quote_plus(key, safe="/"), s3__object__size=5))
        assert source and source.key == key
        (unit,) = Plan.of(source, 1024)
        body = unit.to_message()
        assert body.isascii()
        assert UnitMessage.parse(body).id == UnitId.parse(str(unit.id)) == unit.id

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80))
    def test_any_key_reads_back_from_its_event(self, key: str) -> None:
        source = created_object(record(s3__object__key=quote_plus(key)))
        assert source and source.key == key


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({}, "eventName"),
        (None, "NoneType"),
        ("ObjectCreated:Put", "string indices"),
        (record(eventName=5), "removeprefix"),
        (record(s3__object__eTag=None), "eTag"),
        (record(s3__object__eTag=""), "not an etag"),
        (record(s3__object__eTag="a#b"), "not an etag"),
        (record(s3__object__eTag="a b"), "not an etag"),
        (record(s3__object__eTag="a" * 129), "not an etag"),
        (record(s3__bucket__name="a/b"), "not a bucket's name"),
        (record(s3__object__size="large"), "not an integer"),
        (record(s3__object__size=True), "not an integer"),
        (record(s3__object__size=-1), "S3 allows 0 to"),
        (record(s3__object__size=MAX_OBJECT_BYTES + 1), "S3 allows 0 to"),
        (record(s3__object__key=""), "S3 allows 1 to 1,024"),
        (record(s3__object__key="bronze/shipments/" + "x" * 1008), "1,025 bytes"),
        (record(s3__object__key="bronze/shipments/" + "%C3%A9" * 504), "1,025 bytes"),
        (record(s3__object__key="bronze/shipments/%FF.jsonl"), "invalid start byte"),
        (record(s3__object__key="bronze/shipments/%C3.jsonl"), "invalid continuation byte"),
        (record(s3__object__key="bronze/shipments/%ED%A0%80.jsonl"), "invalid continuation byte"),
        (record(s3__object__key="bronze/shipments/\ud800.jsonl"), "not valid Unicode"),
        (record(s3__object__key="bronze/shipments/100%.jsonl"), "not URL-encoded"),
        (record(s3__object__key="bronze/shipments/%C.jsonl"), "not URL-encoded"),
        (record(eventTime="noon"), "isoformat"),
        (record(eventTime="2026-01-31T12:00:00"), "offset from UTC"),
        (record(eventTime="0001-01-01T00:00:00+14:00"), "years 2006 to 2999"),
        (record(eventTime="9999-12-31T23:59:59-14:00"), "years 2006 to 2999"),
        (record(eventTime="2005-12-31T23:59:59Z"), "years 2006 to 2999"),
        (record(eventTime="3000-01-01T00:00:00Z"), "years 2006 to 2999"),
    ],
)
def test_a_record_of_no_possible_object_is_refused_with_the_reason_in_plain_ascii(broken: Any, reason: str) -> None:
    with pytest.raises(MalformedRecord, match=reason) as caught:
        created_object(broken)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 3000


class TestEvents:
    def test_the_records_come_as_they_are(self) -> None:
        assert notification_records({"Records": [RECORD, None]}) == [RECORD, None]

    def test_the_test_event_has_no_records(self) -> None:
        assert notification_records({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}) == []

    @pytest.mark.parametrize("event", [{}, {"Records": "x"}, {"Records": None}, {"hello": "world"}])
    def test_what_is_not_a_notification_is_refused(self, event: dict[str, Any]) -> None:
        with pytest.raises(MalformedEvent, match="not an event of S3"):
            notification_records(event)


class TestEventBridge:
    def test_an_event_is_one_record_whose_key_is_taken_as_it_is(self) -> None:
        (only,) = notification_records(BY_EVENTBRIDGE)
        source = created_object(only)
        assert source
        assert (source.bucket, source.key) == ("bronze-bucket", "bronze/shipments/a b+c%2Bé.jsonl")
        assert (source.size, source.etag, source.version_id) == (10, "abc", "v1")
        assert source.created == datetime(2026, 1, 31, 12, tzinfo=UTC)

    def test_it_is_the_object_that_s3_itself_announces(self) -> None:
        key = BY_EVENTBRIDGE["detail"]["object"]["key"]
        by_s3 = created_object(record(s3__object__key=quote_plus(key)))
        by_eventbridge = created_object(BY_EVENTBRIDGE)
        assert by_s3 and by_eventbridge and by_s3.id == by_eventbridge.id

    def test_a_bucket_without_versions_names_none(self) -> None:
        source = created_object(changed(BY_EVENTBRIDGE, "detail", "object", "version-id"))
        assert source and source.version_id is None

    @pytest.mark.parametrize("kind", ["Object Deleted", "Object Tags Added", "Object Restore Completed"])
    def test_what_creates_no_object_is_passed_over(self, kind: str) -> None:
        assert created_object(changed(BY_EVENTBRIDGE, "detail-type", to=kind)) is None

    @pytest.mark.parametrize(
        ("broken", "reason"),
        [
            (changed(BY_EVENTBRIDGE, "detail-type"), "detail-type"),
            (changed(BY_EVENTBRIDGE, "detail"), "detail"),
            (changed(BY_EVENTBRIDGE, "detail", to="text"), "string indices"),
            (changed(BY_EVENTBRIDGE, "detail", "bucket"), "bucket"),
            (changed(BY_EVENTBRIDGE, "detail", "bucket", "name", to="a/b"), "not a bucket's name"),
            (changed(BY_EVENTBRIDGE, "detail", "object"), "object"),
            (changed(BY_EVENTBRIDGE, "detail", "object", "key"), "key"),
            (changed(BY_EVENTBRIDGE, "detail", "object", "key", to=5), "."),
            (changed(BY_EVENTBRIDGE, "detail", "object", "key", to="\ud800"), "not valid Unicode"),
            (changed(BY_EVENTBRIDGE, "detail", "object", "etag"), "etag"),
            (changed(BY_EVENTBRIDGE, "detail", "object", "etag", to="a b"), "not an etag"),
            (changed(BY_EVENTBRIDGE, "detail", "object", "size"), "size"),
            (changed(BY_EVENTBRIDGE, "detail", "object", "size", to="10"), "not an integer"),
            (changed(BY_EVENTBRIDGE, "time"), "time"),
            (changed(BY_EVENTBRIDGE, "time", to="noon"), "isoformat"),
        ],
    )
    def test_an_event_of_no_possible_object_is_refused(self, broken: dict[str, Any], reason: str) -> None:
        (only,) = notification_records(broken)
        with pytest.raises(MalformedRecord, match=reason) as caught:
            created_object(only)
        assert str(caught.value).isascii()

    @pytest.mark.parametrize("source", ["aws.ec2", "mine", 5])
    def test_an_event_of_another_service_is_refused(self, source: object) -> None:
        with pytest.raises(MalformedEvent, match="not an event of S3"):
            notification_records(changed(BY_EVENTBRIDGE, "source", to=source))


class TestKeptEvents:
    """What the queue of failed events holds is an event that ingest takes, as it is."""

    @staticmethod
    def kept(event: dict[str, Any]) -> dict[str, Any]:
        """Lambda's record of an invocation that failed."""
        return {
            "version": "1.0",
            "timestamp": "2026-01-31T12:05:00.000Z",
            "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
            "requestPayload": event,
            "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
            "responsePayload": {"errorType": "PlanningIncomplete"},
        }

    @pytest.mark.parametrize("event", [{"Records": [RECORD]}, BY_EVENTBRIDGE], ids=["S3", "EventBridge"])
    def test_its_records_are_those_of_the_event(self, event: dict[str, Any]) -> None:
        once = self.kept(event)
        assert notification_records(once) == notification_records(self.kept(once)) == notification_records(event)

    def test_a_kept_event_of_somebody_else_is_refused_again(self) -> None:
        with pytest.raises(MalformedEvent, match="not an event of S3"):
            notification_records(self.kept({"hello": "world"}))
