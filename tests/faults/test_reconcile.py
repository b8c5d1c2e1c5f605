"""Reconcile pushes what nobody works on, and leaves everything else alone, whatever happens beside it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import services.shared.ledger.ledger as ledger_module
from local.stack import Clients
from services.ops import reconcile as reconcile_module
from services.ops.bronze import Versions
from services.ops.reconcile import LONG_QUEUE, Found, Scope
from services.ops.sweep import sweep
from services.shared import identities
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.lake import ObjectGone
from services.shared.ledger import items
from services.shared.ledger.records import ObjectState
from services.shared.planning.planner import Outcome
from services.shared.units import BronzeObject, Plan, UnitMessage
from tests.faults.rig import Rig, crash, shipment
from tests.support.faults import Crash, Interrupter
from tests.support.lake import CREATED
from tests.support.replaying import RUN, Desk
from tests.support.rewriting import retract

ROWS = [shipment(number) for number in range(20)]  # three units of 1,024 bytes


@pytest.fixture(autouse=True)
def few_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (items, ledger_module):
        monkeypatch.setattr(module, "OPEN_SHARDS", 3)


@pytest.fixture
def desk(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Desk:
    return Desk(Rig(clients.dynamodb, ledger_table, contracts))


def void(_: object) -> None:
    """Something that is called for what it does."""


def planned(desk: Desk, rows: list[bytes] = ROWS) -> None:
    """An object whose messages are all on the queue."""
    desk.ingest(desk.upload("shipments", rows))


def test_an_event_that_was_never_delivered_is_made_up_for_and_does_no_harm_when_it_comes_late(desk: Desk) -> None:
    source = desk.upload("shipments", ROWS)
    found = desk.reconcile()
    assert (found.objects, found.units) == ({Found.NEVER_ANNOUNCED: 1}, 3)
    assert desk.ingest(source).outcome is Outcome.RESUMED
    desk.deliver()
    desk.check()
    assert desk.reconcile().objects == {Found.ALL_COMMITTED: 1} or desk.rig.state_of(source) is ObjectState.DONE


def test_units_whose_messages_are_lost_are_sent_again_and_no_others(desk: Desk) -> None:
    planned(desk)
    first, *_ = desk.queue
    desk.queue = [first]
    desk.deliver()
    desk.queue = []
    desk.hours(2)
    found = desk.reconcile()
    assert (found.objects, found.units) == ({Found.UNITS_LOST: 1}, 2)
    assert sorted(UnitMessage.parse(body).start for body in desk.queue) == [1024, 2048]
    desk.deliver()
    desk.check()


def test_a_planning_whose_planner_died_goes_on(desk: Desk) -> None:
    source = desk.upload("shipments", ROWS)
    with suppress(Crash):
        desk.ingest(source, Interrupter(first="send", action=crash))
    assert desk.reconcile(older_than=timedelta(seconds=-1)).objects == {Found.IN_PROGRESS: 1}  # its lease may be alive
    desk.hours(2)
    found = desk.reconcile()
    assert (found.objects, desk.rig.state_of(source)) == ({Found.PLANNING_STOPPED: 1}, ObjectState.PLANNED)
    desk.deliver()
    desk.check()


def test_a_lot_that_its_worker_left_is_finished(desk: Desk) -> None:
    planned(desk)
    units, desk.queue = list(desk.rig.units), []
    assert desk.rig.deliver(units, Interrupter(first="put", action=crash)) is None
    desk.hours(2)
    found = desk.reconcile()
    assert (found.objects, found.units) == ({Found.LOT_LEFT: 1}, 3)
    desk.deliver()
    desk.check()


class TestLeavesAlone:
    def test_what_is_young(self, desk: Desk) -> None:
        planned(desk)
        desk.queue = []
        assert desk.reconcile().objects == {}
        assert desk.queue == []

    def test_an_upload_that_is_younger_than_its_event_may_be(self, desk: Desk) -> None:
        desk.upload("shipments", ROWS)
        desk.rig.clock.now = CREATED.timestamp() + 60
        assert desk.reconcile().objects == {}

    def test_a_lot_whose_worker_is_alive(self, desk: Desk) -> None:
        planned(desk)
        units, desk.queue = list(desk.rig.units), []
        seen = []
        desk.hours(2)
        desk.rig.deliver(units, Interrupter(first="put", action=lambda: seen.append(desk.reconcile().objects)))
        assert seen == [{Found.IN_PROGRESS: 1}]
        assert desk.queue == []

    def test_what_was_sent_again_a_short_time_ago(self, desk: Desk) -> None:
        planned(desk)
        desk.queue = []
        desk.hours(2)
        assert desk.reconcile().objects == {Found.UNITS_LOST: 1}
        desk.hours(0.5)
        assert desk.reconcile().objects == {Found.SENT_LATELY: 1}
        desk.hours(1)
        assert desk.reconcile().objects == {Found.UNITS_LOST: 1}
        desk.deliver()
        desk.check()

    def test_what_may_be_waiting_in_a_long_queue(self, desk: Desk) -> None:
        planned(desk)
        desk.hours(2)
        assert desk.reconcile(waiting=LONG_QUEUE + 1).objects == {Found.WAITING: 1}
        desk.deliver()
        desk.check()

    def test_dead_letters(self, desk: Desk) -> None:
        planned(desk)
        first, *others = desk.rig.units
        desk.queue = desk.queue[1:]
        desk.deliver()
        assert len(others) == 2
        desk.rig.ledger.units.bury(first.id, "a message", "broken")
        desk.hours(2)
        assert desk.reconcile().objects == {Found.DEAD_LETTERS: 1}
        assert desk.queue == []

    def test_objects_that_are_done_and_those_of_other_prefixes_and_times(self, desk: Desk) -> None:
        desk.upload("shipments", ROWS)
        assert desk.reconcile(scope=Scope("bronze/nonsense/")).objects == {}
        assert desk.reconcile(scope=Scope(start=CREATED + timedelta(seconds=1))).objects == {}
        assert desk.reconcile(scope=Scope(end=CREATED)).objects == {}
        assert desk.reconcile(scope=Scope("bronze/ship", CREATED, CREATED + timedelta(1))).objects != {}
        desk.deliver()
        sweep(desk.rig.ledger, desk.rig.lake)
        desk.hours(2)
        assert desk.reconcile().objects == {}


class TestRejected:
    def test_are_judged_again_on_request_only_and_only_where_todays_code_takes_them(self, desk: Desk) -> None:
        desk.rig.unit_bytes = 1 << 20
        taken = desk.upload("shipments", ROWS)
        desk.ingest(taken)
        desk.queue = []
        assert desk.rig.ledger.objects.reject_known(desk.rig.units[0].id, "too_large", "raise the timeout")
        other = desk.rig.lake.upload(f"bronze/shipments/{desk.rig.name}.csv", b"a,b\n")
        desk.ingest(other)
        desk.hours(2)
        assert desk.reconcile().objects == {}
        found = desk.reconcile(scope=Scope(rejected=True))
        assert found.objects == {Found.REJECTED: 1, Found.STILL_REJECTED: 1}
        assert found.listed[0].detail == "too_large"
        desk.deliver()
        assert desk.rig.state_of(taken) is ObjectState.DONE
        assert desk.rig.state_of(other) is ObjectState.REJECTED

    def test_what_was_deleted_or_overwritten_since_is_given_up(self, desk: Desk) -> None:
        """Its rows came in smaller files, as the advice says. The bucket keeps its version all the same."""
        desk.rig.unit_bytes = 1 << 20
        large = desk.rig.lake.upload(f"bronze/shipments/{desk.rig.name}-large.jsonl", b"".join(r + b"\n" for r in ROWS))
        desk.ingest(large)
        desk.queue = []
        (unit,) = Plan.of(large, desk.rig.unit_bytes)
        assert desk.rig.ledger.objects.reject_known(unit.id, "too_large", "upload several smaller files")
        half = len(ROWS) // 2
        for rows in (ROWS[:half], ROWS[half:]):
            desk.ingest(desk.upload("shipments", rows))
        desk.deliver()
        desk.bronze.old.add(large.id)
        desk.hours(2)
        assert desk.reconcile(scope=Scope(rejected=True)).objects == {}
        desk.deliver()
        assert sum(desk.rig.lake.positions().values()) == len(ROWS)

    def test_what_was_let_in_and_retracted_since_it_was_looked_up_stays_away(self, desk: Desk) -> None:
        """Another operator was faster, saw that the rows are wrong, and has taken them out."""
        desk.rig.unit_bytes = 1 << 20
        source = desk.upload("shipments", ROWS)
        desk.ingest(source)
        desk.queue = []
        desk.rig.ledger.objects.reject_known(desk.rig.units[0].id, "too_large", "raise the timeout")
        (seen,) = desk.rig.ledger.find_objects([source.id])
        desk.planner().judge_again(seen, Deadline.endless())
        desk.deliver()
        retract(desk.rig, source)
        assert desk.planner().judge_again(seen, Deadline.endless()).outcome is Outcome.DUPLICATE
        desk.deliver()
        assert desk.rig.state_of(source) is ObjectState.RETRACTED
        assert desk.rig.lake.positions() == {}

    def test_keys_that_were_not_taken_and_are_today(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        data = b"".join(row + b"\n" for row in ROWS)
        source = desk.rig.lake.upload(f"bronze/shipments/{desk.rig.name}.ldjson", data)
        assert desk.ingest(source).outcome is Outcome.REJECTED
        monkeypatch.setattr(identities, "_FORMATS", (*identities._FORMATS, ".ldjson"))
        assert desk.reconcile(scope=Scope(rejected=True)).objects == {Found.REJECTED: 1}
        desk.deliver()
        assert desk.rig.state_of(source) is ObjectState.DONE

    def test_a_copy_that_was_rejected_is_forgotten_once_its_origin_is_known(self, desk: Desk) -> None:
        source = desk.upload("shipments", ROWS)
        copy = desk.bronze.put_copy(f"{RUN}/{source.key}", source.id, source.etag)
        assert desk.ingest(copy).outcome is Outcome.REJECTED
        found = desk.reconcile(scope=Scope(rejected=True))
        assert found.objects[Found.NEVER_ANNOUNCED] == 1
        desk.reconcile(scope=Scope(rejected=True))
        assert list(desk.rig.ledger.find_objects([copy.id])) == []
        desk.deliver()
        desk.check()

    def test_a_copy_that_is_deleted_while_this_runs_does_not_stop_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = desk.upload("shipments", ROWS)
        copy = desk.bronze.put_copy(f"{RUN}/{source.key}", source.id, source.etag)
        assert desk.ingest(copy).outcome is Outcome.REJECTED
        desk.reconcile()

        def gone(_bronze: object, deleted: BronzeObject) -> str:
            raise ObjectGone(f"{deleted.id} was deleted")

        monkeypatch.setattr(type(desk.bronze), "origin_etag", gone)
        assert desk.reconcile(scope=Scope(rejected=True)).objects[Found.FORGOTTEN] == 1


class TestAsARun:
    def test_a_dry_run_tells_the_same_and_changes_nothing(self, desk: Desk) -> None:
        broken(desk)
        before = sorted(map(repr, desk.rig.ledger.scan()))
        dry = desk.reconcile(dry_run=True)
        assert sorted(map(repr, desk.rig.ledger.scan())) == before
        assert desk.queue == []
        assert desk.reconcile().objects == dry.objects

    def test_without_time_it_says_where_it_goes_on(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reconcile_module, "_BATCH", 1)
        broken(desk)
        place: dict[str, Any] | None = None
        found, runs = 0, 0
        while True:
            left = iter([60.0] * 12)
            done = desk.reconcile(place=place, deadline=Deadline(lambda left=left: next(left, -1.0), 0.0))  # type: ignore[misc]
            found, runs = found + done.repaired, runs + 1
            place = done.place
            if place is None:
                break
            assert runs < 50
        assert runs > 1
        assert found >= 3  # one that ran out of time half-way is in progress when the next run comes
        desk.deliver()
        desk.check()

    def test_an_unreadable_place_is_the_beginning(self, desk: Desk) -> None:
        broken(desk)
        assert desk.reconcile(place={"walk": 5, "after": "nonsense"}).repaired == 4

    def test_memory_does_not_grow_with_what_it_finds(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reconcile_module, "MAX_LISTED", 2)
        broken(desk)
        found = desk.reconcile()
        assert (len(found.listed), found.repaired) == (2, 4)


def broken(desk: Desk) -> None:
    """One of each: never announced, a planning that stopped, lost messages, a lot that was left."""
    planned(desk)
    units, desk.queue = list(desk.rig.units), []
    assert desk.rig.deliver(units, Interrupter(first="put", action=crash)) is None
    planned(desk)
    desk.queue = []
    desk.upload("shipments", ROWS)
    stopped = desk.upload("shipments", ROWS)
    with suppress(Crash):
        desk.ingest(stopped, Interrupter(first="send", action=crash))
    desk.queue = []
    desk.hours(2)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_at_any_call_the_next_run_finishes_it(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], before: bool
) -> None:
    stops = Interrupter()
    first = Desk(Rig(clients.dynamodb, ledger_table, contracts))
    broken(first)
    first.reconcile(stops)
    first.deliver()
    first.check()
    sweep(first.rig.ledger, first.rig.lake)
    for step in range(1, len(stops.calls) + 1):
        desk = Desk(Rig(clients.dynamodb, ledger_table, contracts))
        broken(desk)
        with suppress(Crash):
            desk.reconcile(Interrupter(at=step, before=before, action=crash))
        desk.hours(2)
        desk.reconcile()
        desk.deliver()
        desk.check()
        sweep(desk.rig.ledger, desk.rig.lake)


def test_two_at_once_double_nothing(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> None:
    stops = Interrupter()
    first = Desk(Rig(clients.dynamodb, ledger_table, contracts))
    broken(first)
    first.reconcile(stops)
    first.deliver()
    sweep(first.rig.ledger, first.rig.lake)
    for step in range(1, len(stops.calls) + 1):
        desk = Desk(Rig(clients.dynamodb, ledger_table, contracts))
        broken(desk)
        desk.reconcile(Interrupter(at=step, action=lambda desk=desk: void(desk.reconcile())))  # type: ignore[misc]
        desk.deliver()
        desk.check()
        sweep(desk.rig.ledger, desk.rig.lake)


def test_at_any_moment_of_a_delivery_it_doubles_nothing(desk: Desk) -> None:
    stops = Interrupter()
    planned(desk)
    desk.queue = []
    desk.rig.deliver(desk.rig.units, stops)
    desk.check()
    for step in range(1, len(stops.calls) + 1):
        before = len(desk.rig.units)
        planned(desk)
        desk.queue = []
        run = Interrupter(at=step, action=lambda: void(desk.reconcile(older_than=timedelta(hours=-1))))
        desk.rig.deliver(desk.rig.units[before:], run)
        desk.deliver()
        desk.check()


def test_the_newest_version_of_a_content_is_the_one_that_is_planned(desk: Desk) -> None:
    source = desk.upload("shipments", ROWS)
    versions = [replace(source, version_id=f"v{n}", created=datetime(2026, 1, n, tzinfo=UTC)) for n in (3, 2, 1)]

    def listed(prefix: str, after: str = "") -> Any:
        assert (prefix, after) == ("bronze/", "")
        yield Versions(versions, "")

    desk.bronze.versions = listed  # type: ignore[method-assign]
    assert desk.reconcile().objects == {Found.NEVER_ANNOUNCED: 1}
    (known,) = desk.rig.ledger.find_objects([source.id])
    assert known.source.version_id == "v3"
