"""Replay beside everything else: whatever is doubled, lost, late, deleted or killed, each row lands once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

import services.shared.ledger.ledger as ledger_module
from local.stack import Clients
from services.ops.replay.planning import ReplayRequest, Verdict
from services.ops.replay.running import Done, Summary
from services.shared.contract.model import Contract
from services.shared.ledger import items
from services.shared.ledger.records import ObjectState
from services.shared.planning.planner import Outcome
from services.shared.units import BronzeObject, UnitMessage
from tests.faults.rig import Rig, crash, shipment
from tests.faults.test_retry import late
from tests.support.faults import Crash, Interrupter
from tests.support.replaying import RUN, Desk
from tests.support.rewriting import retry

ROWS = [shipment(number) for number in range(20)]  # three units of 1,024 bytes


@pytest.fixture(autouse=True)
def few_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (items, ledger_module):
        monkeypatch.setattr(module, "OPEN_SHARDS", 3)


@pytest.fixture
def desk(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Desk:
    return Desk(Rig(clients.dynamodb, ledger_table, contracts))


Way = Callable[..., Summary]


def by_copy(desk: Desk, stops: Interrupter | None = None) -> Summary:
    """A replay, and what S3 and ingest make of its copies. What the ledger does not know is announced."""
    summary = desk.replay_by_copy(stops=stops, announce=lambda source: void(desk.announce(source)))
    desk.ingest_copies()
    return summary


def by_sending(desk: Desk, stops: Interrupter | None = None) -> Summary:
    return desk.replay_by_sending(stops=stops)


def void(_: object) -> None:
    """Something that is called for what it does."""


WAYS = pytest.mark.parametrize("way", [by_copy, by_sending])


def half_committed(desk: Desk) -> BronzeObject:
    """Announced, the first unit committed, the messages of the others lost."""
    source = desk.upload("shipments", ROWS)
    desk.ingest(source)
    first, *_ = desk.queue
    desk.queue = [first]
    desk.deliver()
    desk.queue = []
    return source


@WAYS
def test_half_committed_objects_get_only_their_missing_units(desk: Desk, way: Way) -> None:
    source = half_committed(desk)
    done = desk.upload("shipments", ROWS[:3])
    desk.ingest(done)
    desk.deliver()
    summary = way(desk)
    assert summary.number(Verdict.COMMITTED) == summary.number(Done.SKIPPED) == 1
    assert (summary.number(Verdict.UNFINISHED), summary.missing) == (1, 2)
    assert {UnitMessage.parse(body).object for body in desk.queue} == {source.id}
    assert sorted(UnitMessage.parse(body).start for body in desk.queue) == [1024, 2048]
    desk.deliver()
    desk.check()
    assert way(desk).number(Verdict.COMMITTED) == 2
    assert desk.queue == []


@WAYS
def test_what_was_never_announced_is_announced_first(desk: Desk, way: Way) -> None:
    source = desk.upload("shipments", ROWS)
    summary = way(desk)
    assert summary.objects == {(Verdict.NEVER_ANNOUNCED, Done.ANNOUNCED): 1}
    desk.deliver()
    desk.check()
    assert desk.ingest(source).outcome is Outcome.DUPLICATE  # its own event, late
    assert desk.queue == []


def test_without_anybody_to_announce_it_a_copy_is_not_made(desk: Desk) -> None:
    desk.upload("shipments", ROWS)
    summary = desk.replay_by_copy()
    assert summary.objects == {(Verdict.NEVER_ANNOUNCED, Done.NOT_ANNOUNCED): 1}
    assert not summary.all_right
    assert desk.bronze.copied == []


def test_without_the_ledger_everything_is_copied_and_ingest_decides(desk: Desk) -> None:
    half_committed(desk)
    done = desk.upload("shipments", ROWS[:3])
    desk.ingest(done)
    desk.deliver()
    summary = desk.replay_by_copy(with_ledger=False)
    assert summary.objects == {(Verdict.NOT_LOOKED_UP, Done.COPIED): 2}
    outcomes = sorted((planned.outcome, planned.units) for planned in desk.ingest_copies())
    assert outcomes == [(Outcome.DUPLICATE, 0), (Outcome.RESUMED, 2)]
    desk.deliver()
    desk.check()


def test_events_that_come_twice_and_copies_before_their_origins_change_nothing(desk: Desk) -> None:
    source = desk.upload("shipments", ROWS)
    desk.replay_by_copy(with_ledger=False)
    (copy,) = desk.bronze.copied
    assert [planned.outcome for planned in desk.ingest_copies()] == [Outcome.REJECTED]  # out of order
    assert desk.ingest(source).outcome is Outcome.PLANNED
    assert desk.ingest(source).outcome is Outcome.RESUMED  # twice: its units are on the queue, and nobody has them yet
    assert desk.ingest(copy).outcome is Outcome.RESUMED
    desk.deliver()
    desk.check()
    assert desk.ingest(copy).outcome is Outcome.DUPLICATE


@pytest.mark.parametrize("gone", ["origin", "copy", "neither"])
def test_the_copy_is_read_where_the_origin_is_gone_and_the_other_way_round(desk: Desk, gone: str) -> None:
    source = half_committed(desk)
    desk.replay_by_copy()
    (copy,) = desk.bronze.copied
    desk.ingest_copies()
    if gone != "neither":
        del desk.rig.lake.objects[str((source if gone == "origin" else copy).id)]
    desk.deliver()
    desk.check()  # every row's source is the origin


def test_refused_rows_whose_origin_is_gone_are_retried_from_the_copy(
    desk: Desk, contracts: dict[str, Contract]
) -> None:
    wider = replace(contracts["shipments"], max_ahead=timedelta(days=30), version="1.1.0")
    source = desk.upload("shipments", [shipment(1), late(2)])
    desk.ingest(source)
    desk.queue = []
    desk.replay_by_copy()
    desk.ingest_copies()
    del desk.rig.lake.objects[str(source.id)]
    desk.deliver()
    done = retry(desk.rig, {**contracts, "shipments": wider})
    assert done is not None
    assert (done.passed, done.unreadable) == ({"shipments": 1}, 0)
    desk.check()


def test_a_copy_of_a_multipart_upload_has_another_etag_and_finishes_its_origin(desk: Desk) -> None:
    source = desk.upload("shipments", ROWS, etag="0123456789abcdef0123456789abcdef-2")
    desk.ingest(source)
    desk.queue = []
    desk.replay_by_copy()
    (copy,) = desk.bronze.copied
    assert copy.etag != source.etag
    desk.ingest_copies()
    del desk.rig.lake.objects[str(source.id)]
    desk.deliver()
    desk.check()


def test_the_bytes_of_both_gone_the_error_names_both(desk: Desk) -> None:
    source = half_committed(desk)
    desk.replay_by_copy()
    (copy,) = desk.bronze.copied
    desk.ingest_copies()
    for one in (source, copy):
        del desk.rig.lake.objects[str(one.id)]
    unit = next(unit for unit in desk.rig.units if unit.start)
    result = desk.rig.deliver_records([desk.rig.record(unit)])
    assert result is not None
    (failure,) = result.failed.values()
    assert str(source.id) in str(failure)
    assert str(copy.id) in str(failure)


@WAYS
def test_what_was_rejected_and_can_be_loaded_today_is_loaded(desk: Desk, way: Way) -> None:
    desk.rig.unit_bytes = 1 << 20
    source = desk.upload("shipments", ROWS)
    desk.ingest(source)
    desk.queue = []
    assert desk.rig.ledger.objects.reject_known(desk.rig.units[0].id, "too_large", "upload it in parts")
    summary = way(desk)
    assert summary.number(Verdict.REJECTED) == 1
    assert desk.rig.state_of(source) is ObjectState.PLANNED
    desk.deliver()
    desk.check()
    assert desk.rig.state_of(source) is ObjectState.DONE


@WAYS
def test_a_replay_at_any_moment_of_a_delivery_doubles_nothing(desk: Desk, way: Way) -> None:
    stops = Interrupter()
    source = desk.upload("shipments", ROWS)
    desk.ingest(source)
    desk.rig.deliver(desk.rig.units, stops)
    steps = len(stops.calls)
    desk.check()
    assert steps > 5
    for step in range(1, steps + 1):
        before = len(desk.rig.units)
        desk.ingest(desk.upload("shipments", ROWS))
        desk.queue = []
        desk.rig.deliver(desk.rig.units[before:], Interrupter(at=step, action=lambda: void(way(desk))))
        desk.deliver()
    desk.check()


def prepared(desk: Desk) -> None:
    """One of each: half committed, never announced, rejected, and a planning that stopped."""
    half_committed(desk)
    desk.upload("shipments", ROWS)
    stopped = desk.upload("shipments", ROWS)
    desk.rig.ledger.objects.give_back(desk.rig.ledger.objects.begin(stopped, desk.rig.unit_bytes, 60), 0)
    small = desk.upload("shipments", ROWS[:2])
    desk.ingest(small)
    desk.queue = []
    assert desk.rig.ledger.objects.reject_known(desk.rig.units[-1].id, "too_large", "upload it in parts")


def calls_of(desk: Desk, way: Way) -> int:
    stops = Interrupter()
    way(desk, stops)
    return len(stops.calls)


@WAYS
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_replay_that_is_killed_at_any_call_is_finished_by_the_next(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], way: Way, before: bool
) -> None:
    def fresh() -> Desk:
        made = Desk(Rig(clients.dynamodb, ledger_table, contracts))
        prepared(made)
        return made

    first = fresh()
    steps = calls_of(first, way)
    first.deliver()
    first.check()
    for step in range(1, steps + 1):
        desk = fresh()
        with suppress(Crash):  # behind a call that fails, as a write whose condition does not hold, nobody dies
            way(desk, Interrupter(at=step, before=before, action=crash))
            assert not before
        desk.ingest_copies()
        desk.hours(1)  # leases are over
        way(desk)
        desk.deliver()
        desk.check()


@WAYS
def test_two_replays_at_once_double_nothing(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], way: Way
) -> None:
    first = Desk(Rig(clients.dynamodb, ledger_table, contracts))
    prepared(first)
    steps = calls_of(first, way)
    for step in range(1, steps + 1):
        desk = Desk(Rig(clients.dynamodb, ledger_table, contracts))
        prepared(desk)
        way(desk, Interrupter(at=step, action=lambda desk=desk: void(way(desk))))  # type: ignore[misc]
        desk.deliver()
        desk.check()


def test_a_second_run_does_not_copy_again_what_the_first_has_copied(desk: Desk) -> None:
    half_committed(desk)
    half_committed(desk)
    assert desk.replay_by_copy().number(Done.COPIED) == 2
    assert desk.replay_by_copy().number(Done.COPIED_BEFORE) == 2
    assert desk.replay_by_copy(prefix="bronze/replay/another").number(Done.COPIED) == 2


def test_copies_that_are_replayed_finish_their_origins(desk: Desk) -> None:
    half_committed(desk)
    desk.replay_by_copy()
    desk.bronze.copied.clear()  # their events are lost
    summary = desk.replay_by_copy(ReplayRequest(f"{RUN}/"), prefix="bronze/replay/again")
    assert summary.objects == {(Verdict.UNFINISHED, Done.COPIED): 1}
    (copy,) = desk.bronze.copied
    assert copy.key.startswith("bronze/replay/again/bronze/shipments/")
    desk.ingest_copies()
    desk.deliver()
    desk.check()


def test_replaying_copies_straight_to_the_queue_reads_them_where_their_origins_are_gone(desk: Desk) -> None:
    source = half_committed(desk)
    desk.replay_by_copy()
    desk.bronze.copied.clear()
    del desk.rig.lake.objects[str(source.id)]
    summary = desk.replay_by_sending(ReplayRequest(f"{RUN}/"))
    assert summary.objects == {(Verdict.UNFINISHED, Done.SENT): 1}
    desk.deliver()
    desk.check()


def test_a_copy_by_hand_of_a_copy_by_hand_finishes_the_origin(desk: Desk) -> None:
    source = half_committed(desk)
    copy = desk.bronze.put_copy(f"bronze/replay/2/{RUN}/{source.key}", source.id, "")
    assert desk.ingest(replace(copy)).outcome is Outcome.RESUMED
    desk.deliver()
    desk.check()
