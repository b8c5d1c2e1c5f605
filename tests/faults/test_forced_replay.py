"""A forced replay takes rows out and loads them again: beside everything else, and killed at any call."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from local.stack import Clients
from services.ops.audit.accounts import Outcome
from services.ops.audit.open_work import unfinished
from services.ops.reconcile import Found
from services.ops.replay.forcing import take_out
from services.ops.replay.planning import Candidate, Verdict
from services.ops.replay.running import Done, Force, Unreadable, check_readable
from services.ops.rewrite.retraction import Retraction
from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.identities import ObjectId
from services.shared.lake import ByteStream, ObjectGone
from services.shared.ledger.records import ObjectState
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, crash
from tests.faults.test_audit_over_time import audited
from tests.faults.test_replay import ROWS
from tests.support.archive import NoArchive
from tests.support.faults import Crash, Interrupter
from tests.support.history import MemoryHistory
from tests.support.replaying import EVERYTHING, Desk


@pytest.fixture
def desk(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Desk:
    return Desk(Rig(clients.dynamodb, ledger_table, contracts))


def retraction_of(desk: Desk, stops: Interrupter | None = None) -> Retraction:
    ledger, clock = desk.ledger(stops or Interrupter()), desk.rig.clock
    return Retraction(ledger, desk.rig.lake, "somebody", "once more", NoArchive(), clock=clock, sleep=clock.advance)


def forcing(desk: Desk, stops: Interrupter | None = None, lake: Any = None) -> Force:
    """Takes an object's rows out and lets it in again, as the command does."""
    retraction = retraction_of(desk, stops)

    def retract_and_reopen(candidate: Candidate) -> None:
        take_out(candidate, retraction, lake or desk.rig.lake, desk.rig.unit_bytes)

    return retract_and_reopen


def loaded(desk: Desk) -> None:
    """Two objects in Silver, in the same lots."""
    for _ in range(2):
        desk.ingest(desk.upload("shipments", ROWS))
    desk.deliver()
    desk.check()


FORCED = replace(EVERYTHING, force=True)


def test_forced_what_is_committed_is_retracted_and_loaded_again_once(desk: Desk) -> None:
    loaded(desk)
    before = set(desk.rig.lake.files)
    summary = desk.replay_by_copy(FORCED, force=forcing(desk))
    assert summary.objects == {(Verdict.FORCED, Done.COPIED): 2}
    assert desk.rig.lake.positions() == {}
    desk.ingest_copies()
    desk.deliver()
    desk.check()
    assert not before & set(desk.rig.lake.files)
    assert desk.replay_by_sending(FORCED, force=forcing(desk)).objects == {(Verdict.FORCED, Done.SENT): 2}
    desk.deliver()
    desk.check()


def test_forced_what_was_retracted_comes_back_only_by_its_whole_key(desk: Desk) -> None:
    loaded(desk)
    (first, second) = dict.fromkeys(unit.object.id for unit in desk.rig.units)
    retraction_of(desk).run(first, Deadline.endless())
    assert desk.replay_by_copy().objects == {(Verdict.COMMITTED, Done.SKIPPED): 1, (Verdict.RETRACTED, Done.SKIPPED): 1}
    summary = desk.replay_by_sending(FORCED, force=forcing(desk))
    assert summary.objects == {(Verdict.FORCED, Done.SENT): 1, (Verdict.RETRACTED, Done.SKIPPED): 1}
    desk.deliver()
    assert {source for source, _ in in_silver(desk)} == {str(second)}
    desk.replay_by_sending(replace(FORCED, prefix=first.key), force=forcing(desk))
    desk.deliver()
    desk.check()


def in_silver(desk: Desk) -> Counter[tuple[str, int]]:
    return desk.rig.lake.positions()


def test_forced_what_cannot_be_read_any_more_stays_in_silver(desk: Desk) -> None:
    loaded(desk)
    (unreadable, *_) = next(desk.bronze.objects("bronze/shipments/"))
    before = in_silver(desk)

    class Archived:
        """Bronze, with one object that is listed and cannot be read."""

        def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
            if source.id == unreadable.id:
                raise ObjectGone(f"{source.id} is archived")
            return desk.rig.lake.open(source, start, end)

    for replay in (desk.replay_by_copy, desk.replay_by_sending):
        summary = replay(replace(FORCED, prefix=unreadable.key), force=forcing(desk, lake=Archived()))
        assert summary.objects == {(Verdict.FORCED, Done.UNREADABLE): 1}
        assert not summary.all_right
    assert in_silver(desk) == before


def test_forced_what_has_no_room_for_the_key_of_a_copy_stays_in_silver(desk: Desk) -> None:
    loaded(desk)
    before = in_silver(desk)
    summary = desk.replay_by_copy(FORCED, prefix="bronze/replay/" + "x" * 1000, force=forcing(desk))
    assert summary.objects == {(Verdict.FORCED, Done.KEY_TOO_LONG): 2}
    assert in_silver(desk) == before


def test_forced_straight_to_the_queue_what_was_deleted_since_it_was_listed_stays_in_silver(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(desk)
    before = in_silver(desk)
    monkeypatch.setattr(type(desk.bronze), "pinned", lambda _bronze, _source: None)
    summary = desk.replay_by_sending(FORCED, force=forcing(desk))
    assert summary.objects == {(Verdict.FORCED, Done.CHANGED): 2}
    assert in_silver(desk) == before


def test_a_forced_replay_that_is_killed_at_any_call_is_finished_by_the_next(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    stops = Interrupter()
    first = Desk(Rig(clients.dynamodb, ledger_table, contracts))
    loaded(first)
    first.replay_by_sending(FORCED, stops, forcing(first, stops))
    for step in range(1, len(stops.calls) + 1, 3):
        desk = Desk(Rig(clients.dynamodb, ledger_table, contracts))
        loaded(desk)
        again = Interrupter(at=step, action=crash)
        with suppress(Crash):
            desk.replay_by_sending(FORCED, again, forcing(desk, again))
        desk.hours(1)
        desk.replay_by_sending(FORCED, force=forcing(desk))
        desk.deliver()
        desk.check()


def test_what_a_forced_replay_took_out_and_left_is_named_and_reconcile_loads_it(desk: Desk) -> None:
    """Its operator was killed between the last row's leaving and the letting in."""
    loaded(desk)
    (first, second) = dict.fromkeys(unit.object.id for unit in desk.rig.units)
    retraction_of(desk).run(first, Deadline.endless(), reload=True)
    retraction_of(desk).run(second, Deadline.endless())
    desk.rig.tidy()
    assert {one.id: one.outcome for one in unfinished(desk.rig.ledger).accounts} == {first: Outcome.RELOADING}
    found = audited(desk.rig, MemoryHistory())
    assert (+found.objects, found.all_right) == ({Outcome.RELOADING: 1, Outcome.RETRACTED: 1}, False)
    desk.hours(2)
    assert desk.reconcile(dry_run=True).objects == {Found.TAKEN_OUT: 1}
    assert desk.reconcile().objects == {Found.TAKEN_OUT: 1}
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    found = audited(desk.rig, MemoryHistory())
    assert (+found.objects, found.all_right) == ({Outcome.DONE: 1, Outcome.RETRACTED: 1}, True)


def test_what_a_forced_replay_has_not_taken_out_whole_is_left_to_the_same_command(desk: Desk) -> None:
    loaded(desk)
    (first, _) = dict.fromkeys(unit.object.id for unit in desk.rig.units)
    desk.rig.ledger.releases.begin(first, "Ann", "once more", reload=True)
    desk.hours(2)
    assert desk.reconcile().objects == {Found.RETRACTING: 1}
    desk.replay_by_sending(FORCED, force=forcing(desk))
    desk.deliver()
    desk.check()


@pytest.mark.parametrize("leaving", [True, False])
def test_a_retraction_after_a_forced_replay_that_was_left_is_for_good(desk: Desk, leaving: bool) -> None:
    loaded(desk)
    (first, second) = dict.fromkeys(unit.object.id for unit in desk.rig.units)
    if leaving:
        desk.rig.ledger.releases.begin(first, "Ann", "once more", reload=True)
    else:
        retraction_of(desk).run(first, Deadline.endless(), reload=True)
    desk.hours(1)
    assert retraction_of(desk).run(first, Deadline.endless()).rows.read
    desk.hours(2)
    assert desk.reconcile().objects == {}
    assert +audited(desk.rig, MemoryHistory()).objects == {Outcome.RETRACTED: 1, Outcome.DONE: 1}
    assert second.key in str(desk.rig.lake.positions())
    assert list(desk.rig.ledger.open_objects()) == []


def test_what_somebody_retracts_while_a_forced_replay_goes_on_stays_away(desk: Desk) -> None:
    """The replay has looked it up before, with thousands of others that wait their turn."""
    loaded(desk)
    (_, wrong) = dict.fromkeys(unit.object.id for unit in desk.rig.units)
    force, others = forcing(desk), list[str]()

    def first_ben(candidate: Candidate) -> None:
        if not others:
            retraction_of(desk).run(wrong, Deadline.endless())
        others.append(str(candidate.origin))
        force(candidate)

    summary = desk.replay_by_sending(FORCED, force=first_ben)
    assert summary.objects == {(Verdict.FORCED, Done.SENT): 1, (Verdict.FORCED, Done.LEFT): 1}
    desk.deliver()
    assert desk.rig.state_of(desk.rig.units[-1].object) is ObjectState.RETRACTED
    assert {source for source, _ in desk.rig.lake.positions()} == {others[0]}


def test_two_operators_of_whom_one_wants_it_away_and_one_again(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    """Whoever comes last decides; the other is told."""
    stops = Interrupter()
    first = Desk(Rig(clients.dynamodb, ledger_table, contracts))
    loaded(first)
    first.replay_by_sending(FORCED, stops, forcing(first, stops))
    left = 0
    for step in range(1, len(stops.calls) + 1, 2):
        desk = Desk(Rig(clients.dynamodb, ledger_table, contracts))
        loaded(desk)
        (wrong, _) = dict.fromkeys(unit.object.id for unit in desk.rig.units)

        def retract(desk: Desk = desk, wrong: ObjectId = wrong) -> None:
            retraction_of(desk).run(wrong, Deadline.endless())

        again = Interrupter(at=step, action=retract)
        left += desk.replay_by_sending(FORCED, again, forcing(desk, again)).number(Done.LEFT)
        desk.hours(1)
        desk.deliver()
        states = {known.id: known.state for known in desk.rig.ledger.find_objects(u.object.id for u in desk.rig.units)}
        rows = Counter(name for name, _ in desk.rig.lake.positions())
        assert rows[str(wrong)] == (0 if states[wrong] is ObjectState.RETRACTED else len(ROWS))
        assert sum(rows.values()) - rows[str(wrong)] == len(ROWS)
    assert left


def test_forced_the_version_that_is_there_now_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version that was loaded may have expired since; the same bytes were uploaded again."""
    loaded(desk)
    monkeypatch.setattr(desk.bronze, "pinned", lambda source: replace(source, version_id="the new one"))
    desk.replay_by_sending(FORCED, force=forcing(desk))
    found = desk.rig.ledger.find_objects({unit.object.id for unit in desk.rig.units})
    assert {known.source.version_id for known in found} == {"the new one"}
    desk.deliver()
    desk.check()


def test_forced_no_row_leaves_that_could_not_come_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(desk)
    too_long = desk.replay_by_copy(FORCED, prefix=f"bronze/replay/{'x' * 990}", force=forcing(desk))
    assert too_long.objects == {(Verdict.FORCED, Done.KEY_TOO_LONG): 2}
    monkeypatch.setattr(desk.bronze, "pinned", lambda _source: None)  # it was deleted after it was listed
    for run in (desk.replay_by_copy, desk.replay_by_sending):
        assert run(FORCED, force=forcing(desk)).objects == {(Verdict.FORCED, Done.CHANGED): 2}
    desk.check()


def test_nobody_is_told_to_retract_what_cannot_be_loaded_again(desk: Desk) -> None:
    """The advice is for what was never loaded; what is left of this object would go."""

    class Empty:
        def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
            raise ObjectGone(f"{source.key} was deleted", "give it up with `smelt retract`")

    source = desk.upload("shipments", ROWS)
    lake: Any = Empty()
    with pytest.raises(Unreadable) as raised:
        check_readable(lake, source)
    assert str(raised.value) == f"{source.key} was deleted"
