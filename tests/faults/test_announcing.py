"""Every written partition is announced after its last commit, a busy one once in a while, whatever dies in between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from services.ops.gate.announcing import MARGIN, Announced, Events, announce
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox
from tests.faults.rig import Rig, crash, shipment
from tests.support.faults import LEDGER_CALLS, Crash, Interrupted, Interrupter
from tests.support.rewriting import retract

NewLedger = Callable[[], tuple[Any, str]]
EVERY = timedelta(minutes=15)
A_WHILE = (EVERY + MARGIN).total_seconds() + 1
JANUARY_1, JANUARY_2 = ("shipments", "2026-01-01"), ("shipments", "2026-01-02")


class Bus:
    """EventBridge: what arrived and when. It refuses the partitions in `refuses`."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.arrived: list[tuple[float, tuple[str, str]]] = []
        self.refuses: set[str] = set()

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 (boto3's name)
        assert 1 <= len(Entries) <= 10
        answers = []
        for entry in Entries:
            detail = json.loads(entry["Detail"])
            assert (entry["Source"], detail["pipeline"]) == ("smelt", "smelt-test")
            if detail["dt"] in self.refuses:
                answers.append({"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"})
                continue
            self.arrived.append((self._rig.clock.now, (detail["record_type"], detail["dt"])))
            answers.append({"EventId": "1"})
        return {"FailedEntryCount": len(self.refuses), "Entries": answers}

    @property
    def partitions(self) -> Counter[tuple[str, str]]:
        return Counter(partition for _, partition in self.arrived)

    def times(self, partition: tuple[str, str]) -> list[float]:
        return [at for at, one in self.arrived if one == partition]


@pytest.fixture
def rig(new_ledger: NewLedger, contracts: Mapping[str, Contract]) -> Rig:
    return Rig(*new_ledger(), contracts, outboxes=frozenset({Outbox.EVENTS}))


@pytest.fixture
def bus(rig: Rig) -> Bus:
    return Bus(rig)


def _write(rig: Rig, *days: int) -> None:
    """Commit a lot that writes these days of January."""
    before = len(rig.units)
    rig.upload("shipments", [shipment(number, day) for number, day in enumerate(days)])
    rig.drain(rig.units[before:])


def _announce(rig: Rig, bus: Bus, interrupter: Interrupter | None = None) -> Announced | None:
    interrupter = interrupter or Interrupter()
    ledger = Ledger(Interrupted(rig.dynamodb, interrupter, LEDGER_CALLS), rig.table, rig.clock, rig.outboxes)
    events = Events(Interrupted(bus, interrupter, ["put_events"]), "smelt-test")
    try:
        return announce(ledger, events.send, EVERY, Deadline.of(lambda: 60.0))
    except Crash:
        return None


def _waiting(rig: Rig) -> int:
    return len(list(rig.ledger.marks.to_deal_with(Outbox.EVENTS)))


def test_each_written_partition_is_announced_once(rig: Rig, bus: Bus) -> None:
    _write(rig, 1, 2, 2)
    done = _announce(rig, bus)
    assert done == Announced(events=2, marks=1)
    assert bus.partitions == Counter([JANUARY_1, JANUARY_2])
    rig.clock.advance(A_WHILE)
    assert _announce(rig, bus) == Announced()
    assert _waiting(rig) == 0


def test_a_busy_partition_is_announced_once_in_a_while_and_after_its_last_commit(rig: Rig, bus: Bus) -> None:
    for _ in range(10):
        _write(rig, 1)
        last = rig.clock.now
        _announce(rig, bus)
    for _ in range(5):
        rig.clock.advance(300)
        _announce(rig, bus)
    times = bus.times(JANUARY_1)
    assert all(later - earlier >= EVERY.total_seconds() for earlier, later in pairwise(times))
    assert times[-1] >= last
    assert _waiting(rig) == 0


def test_a_quiet_partition_does_not_wait_for_a_busy_one_of_the_same_lot(rig: Rig, bus: Bus) -> None:
    _write(rig, 1)
    _announce(rig, bus)
    _write(rig, 1, 2)
    rig.clock.advance(MARGIN.total_seconds() + 1)
    done = _announce(rig, bus)
    assert done is not None
    assert (done.events, done.waiting) == (1, 1)
    rig.clock.advance(A_WHILE)
    _announce(rig, bus)
    assert bus.partitions == Counter({JANUARY_1: 2, JANUARY_2: 1})
    assert _waiting(rig) == 0


def test_what_eventbridge_refuses_is_sent_by_the_next_run(rig: Rig, bus: Bus) -> None:
    _write(rig, 1, 2)
    bus.refuses = {"2026-01-02"}
    done = _announce(rig, bus)
    assert done is not None
    assert (done.events, done.waiting) == (1, 1)
    assert done.refused == ["shipments, dt=2026-01-02: ThrottlingException: slow down"]
    bus.refuses = set()
    _announce(rig, bus)
    assert JANUARY_2 in bus.partitions


class _Failing:
    """EventBridge that answers each request with an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def put_events(self, **_request: Any) -> Any:
        raise self._error


def _client_error(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutEvents")


@pytest.mark.parametrize(
    "error",
    [
        _client_error("ThrottlingException", 400),
        _client_error("AccessDeniedException", 400),
        EndpointConnectionError(endpoint_url="https://events"),
        ConnectTimeoutError(endpoint_url="https://events"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_where_eventbridge_refuses_a_request_no_partition_waits_for_the_next_while(
    rig: Rig, bus: Bus, error: Exception
) -> None:
    _write(rig, 1, 2)
    done = announce(rig.ledger, Events(_Failing(error), "smelt-test").send, EVERY, Deadline.endless())
    assert (done.events, done.marks, done.waiting, len(done.refused)) == (0, 0, 1, 2)
    _announce(rig, bus)
    assert bus.partitions == Counter([JANUARY_1, JANUARY_2])


@pytest.mark.parametrize(
    "error", [_client_error("InternalException", 500), ReadTimeoutError(endpoint_url="https://events")], ids=str
)
def test_where_nobody_knows_whether_an_event_is_out_it_waits_and_comes(rig: Rig, bus: Bus, error: Exception) -> None:
    _write(rig, 1, 2)
    with pytest.raises(type(error)):
        announce(rig.ledger, Events(_Failing(error), "smelt-test").send, EVERY, Deadline.endless())
    assert _announce(rig, bus) == Announced(waiting=1)
    rig.clock.advance(A_WHILE)
    _announce(rig, bus)
    assert bus.partitions == Counter([JANUARY_1, JANUARY_2])


def test_a_lot_of_many_partitions_is_gone_on_with_where_time_was_over(rig: Rig, bus: Bus) -> None:
    _write(rig, *range(1, 26))
    left = iter([60.0] * 3 + [0.0] * 99)
    done = announce(rig.ledger, Events(bus, "smelt-test").send, EVERY, Deadline(lambda: next(left), 1.0))
    assert (done.events, done.marks, done.waiting, done.finished) == (20, 0, 1, False)
    done = announce(rig.ledger, Events(bus, "smelt-test").send, EVERY, Deadline.endless())
    assert done.events == 5
    rig.clock.advance(A_WHILE)
    announce(rig.ledger, Events(bus, "smelt-test").send, EVERY, Deadline.endless())
    assert set(bus.partitions) == {("shipments", f"2026-01-{number:02d}") for number in range(1, 26)}
    assert _waiting(rig) == 0


def test_more_partitions_than_one_call_takes(rig: Rig, bus: Bus) -> None:
    _write(rig, *range(1, 26))
    assert _announce(rig, bus) == Announced(events=25, marks=1)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_no_crash_loses_an_event_and_none_comes_twice_in_a_while(
    new_ledger: NewLedger, contracts: Mapping[str, Contract], before: bool
) -> None:
    at = 0
    while True:
        at += 1
        rig = Rig(*new_ledger(), contracts, outboxes=frozenset({Outbox.EVENTS}))
        bus = Bus(rig)
        _write(rig, 1, 2)
        written = rig.clock.now
        interrupter = Interrupter(at=at, before=before, action=crash)
        crashed = _announce(rig, bus, interrupter) is None
        for _ in range(20):
            rig.clock.advance(120)
            _announce(rig, bus)
        for partition in (JANUARY_1, JANUARY_2):
            times = bus.times(partition)
            assert times and times[-1] >= written, (at, partition)
            assert all(b - a >= EVERY.total_seconds() for a, b in pairwise(times)), (at, times)
        assert _waiting(rig) == 0, at
        if not crashed:
            break
    assert at > 8  # it did stop at many places


def test_of_two_at_once_one_announces(rig: Rig, bus: Bus) -> None:
    _write(rig, 1, 2)
    for at in range(1, _calls_of_a_run(rig, bus) + 1):
        _write(rig, 1, 2)
        rig.clock.advance(A_WHILE)
        seen = bus.partitions
        other = Interrupter(at=at, action=lambda: _announce(rig, bus))
        _announce(rig, bus, other)
        for partition in (JANUARY_1, JANUARY_2):
            assert bus.partitions[partition] == seen[partition] + 1, at
        rig.clock.advance(A_WHILE)
        _announce(rig, bus)
        assert _waiting(rig) == 0, at


def _calls_of_a_run(rig: Rig, bus: Bus) -> int:
    interrupter = Interrupter()
    _announce(rig, bus, interrupter)
    rig.clock.advance(A_WHILE)
    return len(interrupter.calls)


def test_a_commit_while_its_partition_is_announced_is_announced_later(rig: Rig, bus: Bus) -> None:
    _write(rig, 1)
    interrupter = Interrupter(first="put_events", action=lambda: _write(rig, 1))
    _announce(rig, bus, interrupter)
    last = rig.clock.now
    rig.clock.advance(A_WHILE)
    _announce(rig, bus)
    assert bus.times(JANUARY_1)[-1] > last
    assert _waiting(rig) == 0


def test_a_rewrite_that_ends_after_its_partition_was_announced_is_announced_later(rig: Rig, bus: Bus) -> None:
    wrong = rig.upload("shipments", [shipment(1, 1)])
    rig.upload("shipments", [shipment(2, 1)])
    rig.drain(rig.units)
    _announce(rig, bus)
    rig.clock.advance(A_WHILE)

    def another_is_written_and_announced() -> None:  # while the rewrite is at its file
        rig.clock.advance(2 * MARGIN.total_seconds())
        _write(rig, 1)
        assert _announce(rig, bus) is not None

    rig.ledger.marks.open(Outbox.EVENTS)
    assert retract(rig, wrong, Interrupter(first="put", action=another_is_written_and_announced)) is not None
    ended = rig.clock.now
    assert len(bus.times(JANUARY_1)) == 2
    for _ in range(3):
        rig.clock.advance(A_WHILE)
        _announce(rig, bus)
    assert bus.times(JANUARY_1)[-1] >= ended
    assert len(bus.times(JANUARY_1)) == 3
    assert _waiting(rig) == 0


def test_a_rewrite_by_a_machine_whose_clock_is_minutes_behind_is_announced(rig: Rig, bus: Bus) -> None:
    wrong = rig.upload("shipments", [shipment(1, 1)])
    rig.drain(rig.units)
    rig.clock.advance(EVERY.total_seconds())
    _write(rig, 1)
    _announce(rig, bus)
    behind = 4 * 60  # seconds; AWS takes requests with such a time
    rig.clock.advance(60 - behind)
    assert retract(rig, wrong) is not None
    rig.clock.advance(behind)
    for _ in range(3):
        _announce(rig, bus)
        rig.clock.advance(A_WHILE)
    assert len(bus.times(JANUARY_1)) == 2
    assert _waiting(rig) == 0


def test_a_commit_that_reaches_the_ledger_only_at_its_last_try_is_announced_after_it(rig: Rig, bus: Bus) -> None:
    rig.ledger.marks.open(Outbox.EVENTS)
    _write(rig, 1)
    dynamodb, slow = rig.dynamodb, Mock(wraps=rig.dynamodb)
    answered = 0.0

    def at_its_last_try(**asked: Any) -> Any:  # a try may be without an answer for 15 s, and there are four
        nonlocal answered
        if "mark#events#" in str(asked) and not answered:
            rig.clock.advance(45)
            rig.dynamodb = dynamodb
            assert _announce(rig, bus) is not None
            rig.clock.advance(15)
            answered = rig.clock.now
        return dynamodb.transact_write_items(**asked)

    slow.transact_write_items.side_effect = at_its_last_try
    rig.dynamodb = slow
    _write(rig, 1)
    for _ in range(3):
        rig.clock.advance(A_WHILE)
        _announce(rig, bus)
    assert bus.times(JANUARY_1)[-1] >= answered > 0
    assert _waiting(rig) == 0
