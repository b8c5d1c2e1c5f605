"""Batches fly side by side, and the cursor passes only what has really landed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from services.shared.deadline import Deadline, OutOfTime
from services.shared.planning.sending import SENDERS, send_in_order
from services.shared.sqs import SendFailed
from services.shared.units import BronzeObject, Plan, Unit
from tests.support.lake import Clock

ENOUGH = Deadline(lambda: 60.0, 5.0)
CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def plan(units: int) -> Plan:
    return Plan(BronzeObject("bucket", "bronze/shipments/a.jsonl", units, "e", None, CREATED), 1)


def starts(bodies: Sequence[str]) -> list[int]:
    return [json.loads(body)["start"] for body in bodies]


def test_every_unit_is_sent_and_the_cursor_ends_behind_the_last() -> None:
    landed: list[int] = []
    cursor = list(send_in_order(lambda bodies: landed.extend(starts(bodies)), plan(1234), ENOUGH))
    assert sorted(landed) == list(range(1234))
    assert cursor == [*range(10, 1234, 10), 1234]


def test_nothing_to_send_is_nothing_sent() -> None:
    assert list(send_in_order(lambda bodies: None, [], ENOUGH)) == []


def test_as_many_batches_fly_as_there_are_senders() -> None:
    all_there = threading.Barrier(SENDERS, timeout=60)
    list(send_in_order(lambda bodies: all_there.wait() and None, plan(SENDERS * 10), ENOUGH))


def test_the_cursor_does_not_pass_a_batch_that_has_not_landed() -> None:
    others_landed = threading.Event()
    landed: list[int] = []

    def send(bodies: Sequence[str]) -> None:
        if starts(bodies)[0] == 30:
            assert others_landed.wait(60)
            raise SendFailed("refused")
        landed.extend(starts(bodies))
        if len(landed) == 150 - 10:
            others_landed.set()

    cursor = []
    with pytest.raises(SendFailed):
        for sent in send_in_order(send, plan(150), ENOUGH):
            cursor.append(sent)
    assert cursor == [10, 20, 30]
    assert sorted(landed) == [*range(30), *range(40, 150)]


def test_when_time_runs_out_what_is_under_way_still_counts() -> None:
    clock = Clock(0.0)

    def send(bodies: Sequence[str]) -> None:
        if starts(bodies)[0] == 50:
            clock.advance(60)

    cursor = []
    with pytest.raises(OutOfTime):
        for sent in send_in_order(send, plan(100_000), Deadline(lambda: 60 - clock.now, 5.0)):
            cursor.append(sent)
    assert 60 <= cursor[-1] <= 60 + SENDERS * 10


def test_without_time_nothing_is_sent() -> None:
    def send(bodies: Sequence[str]) -> None:
        raise AssertionError("nothing may be sent")

    with pytest.raises(OutOfTime):
        list(send_in_order(send, plan(10), Deadline(lambda: 5.0, 5.0)))


def test_units_are_made_only_as_they_are_sent() -> None:
    made = 0

    def counted() -> Iterator[Unit]:
        nonlocal made
        for unit in plan(5000):
            made += 1
            yield unit

    for sent in send_in_order(lambda bodies: None, counted(), ENOUGH):
        assert made - sent <= (SENDERS + 1) * 10
