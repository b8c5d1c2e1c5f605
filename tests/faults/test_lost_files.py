"""Files of Silver and quarantine that are lost or changed by hand: their rows are read from Bronze again, once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from local.stack import Clients
from services.ops.audit.findings import Code
from services.ops.history.reader import History
from services.ops.reload import Done, Reload, Reloaded, lots_of_files, objects_of_lots
from services.ops.rewrite.files import ConservationError
from services.ops.rewrite.retraction import Retraction
from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.ledger.records import ObjectState
from tests.faults.rig import Rig, crash, shipment
from tests.faults.test_audit_over_time import audited
from tests.support.faults import LAKE_CALLS, Crash, Interrupted, Interrupter
from tests.support.history import DAY, MemoryHistory, let_expire, run_archive
from tests.support.lake import SILVER
from tests.support.replaying import Desk


def loaded(desk: Desk, first: int = 0) -> None:
    """Three objects of several units, in lots that they share; rows of two days, and some that are refused."""
    for number in range(first, first + 3):
        lines = [shipment(number * 10 + row, 1 + row % 2) for row in range(6)]
        desk.ingest(desk.upload("shipments", [*lines, b"{broken"]))
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    desk.check()


@pytest.fixture
def desk(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Desk:
    made = Desk(Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300))
    loaded(made)
    return made


def delete(desk: Desk, key: str) -> None:
    del desk.rig.lake.files[key]


def overwrite(desk: Desk, key: str) -> None:
    desk.rig.lake.files[key] = b"by hand"


def reload(
    desk: Desk,
    *files: str,
    history: MemoryHistory | None = None,
    stops: Interrupter | None = None,
    sleep: Callable[[float], None] | None = None,
) -> list[Reloaded]:
    """What `smelt reload` does. Waiting lets the clock go on, unless `sleep` does something else."""
    stops = stops or Interrupter()
    ledger, clock, past = desk.ledger(stops), desk.rig.clock, History(history or MemoryHistory())
    lake: Any = Interrupted(desk.rig.lake, stops, LAKE_CALLS)
    sleep = sleep or clock.advance
    retraction = Retraction(ledger, lake, "Ann", "by hand", past, clock, sleep, writers=1, lost_files=True)
    objects = objects_of_lots(ledger, past, lots_of_files(files, SILVER), restore=True)
    return list(Reload(desk.bronze, lake, retraction, desk.planner(stops)).run(objects))


@pytest.mark.parametrize("root", ["silver", "quarantine"])
@pytest.mark.parametrize("harm", [delete, overwrite])
def test_the_rows_of_a_lost_file_come_back_once(desk: Desk, harm: Callable[[Desk, str], None], root: str) -> None:
    lost = next(key for key in sorted(desk.rig.lake.files) if key.startswith(root))
    harm(desk, lost)
    assert not audited(desk.rig, MemoryHistory()).all_right
    assert {one.done for one in reload(desk, lost)} == {Done.SENT}
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    desk.check()
    assert lost not in desk.rig.lake.files
    assert audited(desk.rig, MemoryHistory()).all_right


def test_all_files_of_a_lot_may_be_lost(desk: Desk) -> None:
    lost, *_ = sorted(desk.rig.lake.files)
    desk.rig.lake.files.clear()
    reload(desk, lost)
    desk.deliver()
    desk.check()


def test_files_of_a_lot_that_has_left_the_ledger_come_back(desk: Desk) -> None:
    history = MemoryHistory()
    desk.rig.clock.advance(DAY)
    run_archive(desk.rig, history)
    assert let_expire(desk.rig)
    lost, *_ = sorted(desk.rig.lake.files)
    delete(desk, lost)
    reload(desk, lost, history=history)
    desk.deliver()
    desk.check()
    assert audited(desk.rig, history).all_right


@pytest.mark.parametrize("every", [False, True], ids=["one file", "all files of Silver"])
def test_killed_at_any_call_it_is_finished_by_the_next(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], every: bool
) -> None:
    def fresh() -> tuple[Desk, str]:
        made = Desk(Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300))
        loaded(made)
        lost = [key for key in sorted(made.rig.lake.files) if key.startswith("silver")]
        for key in lost if every else lost[:1]:
            delete(made, key)
        return made, lost[0]

    stops = Interrupter()
    first, lost = fresh()
    reload(first, lost, stops=stops)
    first.deliver()
    for step in range(1, len(stops.calls) + 1, 2):
        desk, lost = fresh()
        with suppress(Crash):
            reload(desk, lost, stops=Interrupter(step, action=crash))
        desk.hours(2)
        reload(desk, lost)
        desk.reconcile()  # a planning that stopped, as after any other command
        desk.deliver()
        sweep(desk.rig.ledger, desk.rig.lake)
        desk.check()


def test_what_bronze_has_no_more_stays_as_it_is(desk: Desk) -> None:
    lost = next(key for key in sorted(desk.rig.lake.files) if key.startswith("silver"))
    before = desk.rig.lake.positions()
    delete(desk, lost)
    left = desk.rig.lake.positions()
    gone = str(desk.rig.units[0].object.id)
    del desk.rig.lake.objects[gone]
    done = {str(one.id): one.done for one in reload(desk, lost)}
    assert done.pop(gone) is Done.UNREADABLE
    assert set(done.values()) == {Done.SENT}
    desk.deliver()
    expected = {row: number for row, number in before.items() if row[0] != gone}
    expected |= {row: number for row, number in left.items() if row[0] == gone}
    assert desk.rig.lake.positions() == expected


@pytest.mark.parametrize("every", [False, True], ids=["one file", "all files of Silver"])
def test_what_bronze_has_no_more_can_be_given_up(desk: Desk, every: bool) -> None:
    lost = [key for key in sorted(desk.rig.lake.files) if key.startswith("silver")]
    for key in lost if every else lost[:1]:
        delete(desk, key)
    given_up = desk.rig.units[0].object
    del desk.rig.lake.objects[str(given_up.id)]
    assert Done.UNREADABLE in {one.done for one in reload(desk, *lost)}
    clock, past = desk.rig.clock, History(MemoryHistory())
    retraction = Retraction(desk.rig.ledger, desk.rig.lake, "Ann", "gone", past, clock, clock.advance, writers=1)
    if every:
        with pytest.raises(ConservationError, match="none of its files"):
            retraction.run(given_up.id, Deadline.endless())
        assert Done.KEPT_AWAY in {one.done for one in reload(desk, *lost)}
    else:
        retraction.run(given_up.id, Deadline.endless())
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    desk.rig.forget(given_up)
    desk.check()


def test_a_retraction_that_meets_a_lost_file_says_what_to_do_and_is_finished_by_a_reload(desk: Desk) -> None:
    lost = next(key for key in sorted(desk.rig.lake.files) if key.startswith("silver"))
    delete(desk, lost)
    (wrong, *_) = dict.fromkeys(unit.object for unit in desk.rig.units)
    clock = desk.rig.clock
    retraction = Retraction(
        desk.rig.ledger, desk.rig.lake, "Ann", "wrong", History(MemoryHistory()), clock, clock.advance, writers=1
    )
    with pytest.raises(ConservationError, match=f"smelt reload {lost}"):
        retraction.run(wrong.id, Deadline.endless())
    done = {one.id: one.done for one in reload(desk, lost)}
    assert done[wrong.id] is Done.KEPT_AWAY
    desk.deliver()
    desk.rig.forget(wrong)
    desk.check()


def test_what_somebody_retracts_for_good_while_a_reload_goes_on_stays_away(desk: Desk) -> None:
    lost = next(key for key in sorted(desk.rig.lake.files) if key.startswith("silver"))
    delete(desk, lost)
    (_, *others) = dict.fromkeys(unit.object for unit in desk.rig.units)
    wrong, clock, past = others[-1], desk.rig.clock, History(MemoryHistory())

    def retract() -> None:
        """The file that is lost keeps it from its end; the ledger knows what is wanted."""
        retraction = Retraction(desk.rig.ledger, desk.rig.lake, "Ben", "wrong", past, clock, clock.advance, writers=1)
        with suppress(ConservationError):
            retraction.run(wrong.id, Deadline.endless())

    done = {one.id: one.done for one in reload(desk, lost, stops=Interrupter(first="open", action=retract))}
    assert done[wrong.id] is Done.KEPT_AWAY
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    assert desk.rig.state_of(wrong) is ObjectState.RETRACTED
    desk.rig.forget(wrong)
    desk.check()


def test_what_somebody_lets_in_again_while_a_reload_goes_on_stays_loaded(desk: Desk) -> None:
    """It was retracted for good when the reload looked it up."""
    lost = next(key for key in sorted(desk.rig.lake.files) if key.startswith("silver"))
    (*_, wanted) = dict.fromkeys(unit.object for unit in desk.rig.units)
    clock, past = desk.rig.clock, History(MemoryHistory())
    retraction = Retraction(desk.rig.ledger, desk.rig.lake, "Ben", "wrong", past, clock, clock.advance, writers=1)
    planner = desk.planner()
    run = Reload(desk.bronze, desk.rig.lake, replace(retraction, lost_files=True), planner)
    objects = objects_of_lots(desk.rig.ledger, past, lots_of_files([lost], SILVER), restore=True)
    retraction.run(wanted.id, Deadline.endless())
    objects = list(desk.rig.ledger.find_objects(one.id for one in objects))  # as an earlier run has left it
    retraction.let_in_again(wanted.id, Deadline.endless())  # `replay --force`
    planner.plan(wanted, Deadline.endless())
    desk.deliver()
    assert {one.id: one.done for one in run.run(objects)}[wanted.id] is Done.LEFT
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    desk.check()


def test_a_reload_leaves_an_object_that_somebody_plans_at_the_moment(desk: Desk) -> None:
    """A reconcile may find it as soon as it is let in."""
    lost = next(key for key in sorted(desk.rig.lake.files) if key.startswith("silver"))
    delete(desk, lost)
    stops, begin = Interrupter(), desk.rig.ledger.objects

    def look() -> None:
        (first, *_) = dict.fromkeys(unit.object for unit in desk.rig.units)
        if not begun and desk.rig.state_of(first) is ObjectState.PLANNING:
            begun.append(begin.begin(first, desk.rig.unit_bytes, 60))

    begun: list[object] = []
    call = stops.call
    stops.call = lambda *args, **kwargs: (look(), call(*args, **kwargs))[1]  # type: ignore[method-assign]
    done = [one.done for one in reload(desk, lost, stops=stops)]
    assert begun
    assert done.count(Done.LEFT) == 1
    desk.hours(2)
    desk.reconcile()
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    desk.check()


def test_a_lost_file_that_is_brought_back_too_late_is_reported(desk: Desk) -> None:
    """Some of its rows are loaded elsewhere by then."""
    lost = next(key for key in sorted(desk.rig.lake.files) if key.startswith("silver"))
    version = desk.rig.lake.files[lost]
    delete(desk, lost)
    gone = str(desk.rig.units[0].object.id)
    bytes_ = desk.rig.lake.objects.pop(gone)
    assert {one.done for one in reload(desk, lost)} == {Done.UNREADABLE, Done.SENT}
    desk.deliver()
    desk.rig.lake.objects[gone] = bytes_
    assert [one.code for one in audited(desk.rig, MemoryHistory()).findings.kept] == [Code.FILE_MISSING]
    desk.rig.lake.files[lost] = version
    assert max(desk.rig.lake.positions().values()) == 2
    (found,) = audited(desk.rig, MemoryHistory()).findings.kept
    assert found.code is Code.FILE_DIFFERS
    assert "etag lost-" in found.detail
    reload(desk, lost)
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    desk.check()
    assert audited(desk.rig, MemoryHistory()).all_right
