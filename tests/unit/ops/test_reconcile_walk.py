"""Reconcile's walk through Bronze, run by run, where S3 lists nothing but the marks of deleted objects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from services.ops.bronze import S3Bronze, Versions
from services.ops.reconcile import reconcile
from services.shared.deadline import Deadline
from services.shared.identities import ObjectId

PAGES, KEYS = 20, 10


class Deleted:
    """S3 with a bucket whose objects were deleted long ago, and whose lifecycle keeps the marks."""

    listed = 0  # pages

    def get_paginator(self, _: str) -> Deleted:
        return self

    def paginate(self, KeyMarker: str = "", **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803 (S3's name)
        keys = [key for key in (f"bronze/shipments/{number:04}" for number in range(PAGES * KEYS)) if key > KeyMarker]
        for first in range(0, len(keys), KEYS):
            self.listed += 1
            yield {"DeleteMarkers": [{"Key": key, "VersionId": "v"} for key in keys[first : first + KEYS]]}


def test_the_next_run_goes_on_behind_them() -> None:
    client: Any = Deleted()
    ledger: Any = SimpleNamespace(open_entries=lambda *_: iter(()), find_objects=lambda _: iter(()))
    planner: Any = None
    place: Any = None
    for _ in range(PAGES):
        left = iter(range(5, -1000, -1))
        deadline = Deadline(lambda left=left: next(left), 0)  # type: ignore[misc]
        place = reconcile(ledger, S3Bronze(client, "bronze"), planner, place=place, deadline=deadline).place
        if place is None:
            break
    assert place is None


def test_the_last_key_of_a_page_is_not_whole_yet() -> None:
    assert Versions.of([], ["a", "a", "b", "b"]).whole == "a"
    assert Versions.of([], ["a", "a"]).whole == ""
    assert Versions.of([], []).whole == ""


def test_a_content_is_gone_where_no_version_of_it_is_the_latest() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    listed = [("a", "new", True), ("a", "old", False), ("b", "same", True), ("b", "same", False), ("c", "last", False)]
    page = {
        "Versions": [
            {"Key": key, "ETag": f'"{etag}"', "IsLatest": latest, "VersionId": "v", "Size": 1, "LastModified": at}
            for key, etag, latest in listed
        ],
        "DeleteMarkers": [{"Key": "c", "VersionId": "mark", "IsLatest": True}],
    }
    client: Any = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: iter([page])))
    (versions,) = S3Bronze(client, "bronze").versions("")
    assert versions.gone == {ObjectId("bronze", "a", "old"), ObjectId("bronze", "c", "last")}
