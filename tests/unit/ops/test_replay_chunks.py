"""A replay that has little time: it ends in time and goes on, also where nothing that it passes is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ops.bronze import Versions
from services.ops.replay.planning import Candidate, ReplayRequest
from services.ops.replay.running import Done, DryRun, Replay, Result, replay_chunk
from services.shared.deadline import Deadline
from services.shared.units import BronzeObject

NEW = datetime(2026, 1, 2, tzinfo=UTC)
OLD = NEW - timedelta(days=400)
PAGES = 100
KEYS = 10  # of a page


class SlowListing:
    """A second for each page. The last key alone is new."""

    bucket = "bronze"

    def __init__(self) -> None:
        self.now = 0.0

    def objects(self, prefix: str, after: str = "") -> Iterator[list[BronzeObject]]:
        every = [f"{prefix}{number:04}.jsonl" for number in range(PAGES * KEYS)]
        keys = [key for key in every if key > after]
        for first in range(0, len(keys), KEYS):
            self.now += 1
            page = keys[first : first + KEYS]
            yield [BronzeObject("bronze", key, 1, "e", None, NEW if key == every[-1] else OLD) for key in page]

    def versions(self, prefix: str, after: str = "") -> Iterator[Versions]:
        raise NotImplementedError

    def pinned(self, source: BronzeObject) -> BronzeObject | None:
        raise NotImplementedError


@pytest.mark.parametrize("start", [NEW, NEW + timedelta(days=1)], ids=["one at the end", "none at all"])
def test_what_is_not_asked_for_is_passed_only_once(start: datetime) -> None:
    listing, place, found, chunks = SlowListing(), None, 0, 0
    request = ReplayRequest("bronze/shipments/", start)
    while chunks < PAGES:
        began = listing.now
        deadline = Deadline(lambda began=began: 20 - (listing.now - began), 0)  # type: ignore[misc]
        summary, place = replay_chunk(Replay(listing, None, DryRun()), request, place, deadline)
        chunks, found = chunks + 1, found + sum(summary["objects"].values())
        assert listing.now - began < 30, "it went on behind its deadline"
        if place is None:
            break
    assert chunks < 10
    assert found == (start == NEW)


def test_a_command_that_is_stopped_keeps_its_place_where_nothing_was_asked_for() -> None:
    kept: list[Any] = []
    Replay(SlowListing(), None, DryRun()).run(ReplayRequest("bronze/shipments/", NEW), keep=kept.append)
    assert kept[0] == {"after": f"bronze/shipments/{KEYS - 1:04}.jsonl"}
    assert len(kept) <= PAGES + 1


def test_why_objects_are_not_copied_is_told_of_the_first_ones() -> None:
    class Refused:
        def handle(self, candidate: Candidate, deadline: Deadline) -> Result:
            return Result(candidate, Done.NOT_COPYABLE, why=f"{candidate.origin}: S3 forbids it")

    told: list[str] = []
    request = ReplayRequest("bronze/shipments/")
    summary, _ = replay_chunk(Replay(SlowListing(), None, Refused()), request, None, Deadline.endless(), told.append)
    assert summary["done"] == {"not copyable": PAGES * KEYS}
    assert [why.partition("#")[0] for why in told] == [f"s3://bronze/bronze/shipments/{n:04}.jsonl" for n in range(20)]
