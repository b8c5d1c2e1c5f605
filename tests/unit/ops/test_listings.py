"""Files and versions are found again with few list requests, whatever their number and their names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.ops.audit.listings import S3Listings
from services.shared.identities import ObjectId

PAGE = 3


class ListOnly:
    """A bucket that can only be listed, three entries a page, in the order of S3."""

    def __init__(self, entries: list[tuple[str, str]]) -> None:
        self.entries = sorted(entries, key=lambda entry: entry[0].encode())
        self.requests = 0

    def list_objects_v2(self, StartAfter: str, **_: Any) -> dict[str, Any]:  # noqa: N803 (S3's name)
        self.requests += 1
        following = [entry for entry in self.entries if entry[0].encode() > StartAfter.encode()]
        contents = [{"Key": key, "Size": 1, "ETag": f'"{etag}"'} for key, etag in following[:PAGE]]
        return {"Contents": contents, "IsTruncated": len(following) > PAGE}

    def list_object_versions(self, KeyMarker: str, VersionIdMarker: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        self.requests += 1
        rest = [entry for entry in self.entries if entry[0].encode() > KeyMarker.encode()]
        if VersionIdMarker:
            same = [entry for entry in self.entries if entry[0] == KeyMarker]
            rest = same[[etag for _, etag in same].index(VersionIdMarker) + 1 :] + rest
        page = rest[:PAGE]
        answer: dict[str, Any] = {
            "Versions": [
                {"Key": key, "Size": 1, "ETag": f'"{e}"', "VersionId": e, "LastModified": datetime.now(UTC)}
                for key, e in page
            ],
            "IsTruncated": len(rest) > PAGE,
        }
        if answer["IsTruncated"]:
            answer |= {"NextKeyMarker": page[-1][0], "NextVersionIdMarker": page[-1][1]}
        return answer


NAMES = ["a", "ab", "abc", "b", "bé", "bz", "c\n", "c ", "cc", "d", "é", "\U0001f600", "\uff5e", "zz"]


def listings(client: ListOnly) -> S3Listings:
    return S3Listings(client, "bronze", "silver")  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 20])
def test_files_are_found_again_in_never_more_requests_than_a_full_listing(step: int) -> None:
    client = ListOnly([(name, "e") for name in NAMES])
    wanted = [*NAMES[::step], "missing", "bb"]
    assert set(listings(client).find_files(wanted)) == set(NAMES[::step])
    assert client.requests <= min(len(wanted), len(NAMES) // PAGE + 2)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 20])
def test_contents_are_found_again_among_many_versions_of_one_key(step: int) -> None:
    entries = [(name, f"e{number}") for name in NAMES for number in range(1 + 7 * (name == "bz"))]
    client = ListOnly(entries)
    there = [ObjectId("bronze", *entry) for entry in entries[::step]]
    missing = [ObjectId("bronze", "bz", "other"), ObjectId("bronze", "missing", "e0"), ObjectId("else", "a", "e0")]
    assert listings(client).find_versions([*there, *missing]) == set(there)
    assert client.requests <= len(entries) // PAGE + 2


def test_nothing_is_asked_for_nothing() -> None:
    client = ListOnly([])
    assert listings(client).find_files([]) == {}
    assert listings(client).find_versions([]) == set()
    assert client.requests == 0
