"""S3 notifications as S3 really sends them, and things that are none."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest.events import MalformedEvent, created_objects

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


def test_a_key_is_url_decoded_and_the_event_time_kept() -> None:
    (source,) = created_objects({"Records": [RECORD]})
    assert source.key == "bronze/shipments/a b+cé.jsonl"
    assert source.created == datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)
    assert (source.size, source.etag, source.version_id) == (10, "abc", None)


def test_a_versioned_object_is_identified_by_its_version() -> None:
    (source,) = created_objects({"Records": [record(s3__object__versionId="v1")]})
    assert source.id.version == "v1"


@pytest.mark.parametrize(
    "name", ["ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload", "s3:ObjectCreated:Put"]
)
def test_every_kind_of_creation_counts(name: str) -> None:
    assert len(list(created_objects({"Records": [record(eventName=name)]}))) == 1


def test_the_test_event_and_removals_hold_no_objects() -> None:
    assert list(created_objects({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})) == []
    assert list(created_objects({"Records": [record(eventName="ObjectRemoved:Delete")]})) == []


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": "x"},
        {"Records": [{}]},
        {"Records": [None]},
        {"Records": [record(s3__object__eTag=None)]},
        {"Records": [record(s3__object__size="large")]},
        {"Records": [record(eventTime="noon")]},
    ],
)
def test_what_is_no_notification_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        list(created_objects(event))
