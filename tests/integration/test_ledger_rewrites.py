"""Transitions that undo and do again, against a real DynamoDB API: who may, who may not, and answers that got lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.stack import Clients
from services.shared.identities import LotId, UnacceptableKey
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import (
    MAX_UNITS_PER_LOT,
    RETRACT,
    Counts,
    Intent,
    LeaseHeld,
    LeaseLost,
    LetInAgain,
    LostRace,
    Lot,
    LotFile,
    LotState,
    ObjectState,
)
from services.shared.ledger.releases import KeptAway, NothingToRetract, NotReopened
from services.shared.units import BronzeObject, Plan
from tests.support.faults import LostAnswers
from tests.support.lake import CREATED, Clock

SOURCE = BronzeObject("bronze-bucket", "bronze/shipments/é#1.jsonl", 5000, "etag", None, CREATED)
UNITS = [unit.id for unit in Plan.of(SOURCE, 1000)]
INTENT = Intent(RETRACT, SOURCE.id, "Ann", "wrong", datetime(2026, 2, 1, tzinfo=UTC))
OLD, NEW = LotFile("silver/old", 4, 100, "e1"), LotFile("silver/new", 2, 50, "e2")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["answers arrive", "answers get lost"])
def ledger(request: pytest.FixtureRequest, clients: Clients, ledger_table: str, clock: Clock) -> Ledger:
    client = clients.dynamodb if request.param == "answers arrive" else LostAnswers(clients.dynamodb)
    return Ledger(client, ledger_table, clock=clock)  # type: ignore[arg-type]


def planned(ledger: Ledger) -> None:
    ledger.objects.finish(ledger.objects.begin(SOURCE, 1000, 60))


def committed(ledger: Ledger, units: int = 2) -> Lot:
    lot = ledger.lots.claim(LotId.new(datetime.now(UTC)), UNITS[:units], [OLD.key], {}, 60)
    rows = [Counts(2, 2, 0), Counts(2, 2, 0), *[Counts()] * (units - 2)]
    return ledger.lots.commit(lot, [OLD], rows)


def seen(ledger: Ledger, lot: Lot) -> Lot:
    (found,) = ledger.find_lots([lot.id])
    return found


class TestRewriting:
    def test_a_lot_keeps_what_it_is_until_it_is_finished(self, ledger: Ledger) -> None:
        lot = committed(ledger)
        ours = ledger.rewrites.record_outputs(ledger.rewrites.begin(lot, INTENT, 60), [NEW.key])
        there = seen(ledger, lot)
        assert there == ours
        assert (there.state, there.generation, there.intent) == (LotState.REWRITING, 2, INTENT)
        assert (there.files, there.counts, there.units) == (lot.files, lot.counts, lot.units)
        assert list(ledger.open_lots()) == [lot.id]

    def test_finishing_swaps_files_counts_and_units_at_once(self, ledger: Ledger) -> None:
        ours = ledger.rewrites.begin(committed(ledger), INTENT, 60)
        ours = ledger.rewrites.record_outputs(ours, [NEW.key, "silver/tried"])
        done = ledger.rewrites.finish_rewriting(ours, [NEW], [Counts(2, 2, 0)], [UNITS[0]])
        there = seen(ledger, ours)
        assert (there.state, there.files, there.counts, there.units) == (
            LotState.COMMITTED,
            (NEW,),
            Counts(2, 2, 0),
            (UNITS[1],),
        )
        assert there.obsolete == done.obsolete == {OLD.key, "silver/tried"}
        assert not there.outputs
        records = {record.id: record for record in ledger.find_units(UNITS)}
        assert (records[UNITS[0]].lot, records[UNITS[0]].refused) == (None, True)
        assert (records[UNITS[0]].retracted, records[UNITS[0]].left) == (Counts(2, 2, 0), ours.id)
        assert records[UNITS[1]].lot == ours.id
        assert list(ledger.open_lots()) == [ours.id]
        ledger.rewrites.clear_obsolete(there)
        assert not list(ledger.open_lots())
        assert not seen(ledger, ours).obsolete

    def test_finishing_whose_answer_was_lost_has_landed(self, ledger: Ledger) -> None:
        ours = ledger.rewrites.begin(committed(ledger), INTENT, 60)
        done = ledger.rewrites.finish_rewriting(ours, [NEW], [Counts(2, 2, 0)], [UNITS[0]])
        assert ledger.rewrites.finish_rewriting(ours, [NEW], [Counts(2, 2, 0)], [UNITS[0]]) == done
        assert seen(ledger, ours).files == (NEW,)

    def test_nobody_claims_a_unit_that_was_taken_out(self, ledger: Ledger) -> None:
        ours = ledger.rewrites.begin(committed(ledger), INTENT, 60)
        ledger.rewrites.finish_rewriting(ours, [NEW], [Counts(2, 2, 0)], [UNITS[0]])
        with pytest.raises(LostRace):
            ledger.lots.claim(LotId.new(datetime.now(UTC)), [UNITS[0]], [], {}, 60)

    def test_a_lot_of_as_many_units_as_there_may_be_loses_all_of_them(
        self, clients: Clients, ledger_table: str
    ) -> None:
        ledger = Ledger(clients.dynamodb, ledger_table)
        units = [unit.id for unit in Plan.of(SOURCE, 50)][:MAX_UNITS_PER_LOT]
        lot = ledger.lots.claim(LotId.new(datetime.now(UTC)), units, [OLD.key], {}, 60)
        lot = ledger.lots.commit(lot, [OLD], [Counts(4, 4, 0), *[Counts()] * (len(units) - 1)])
        done = ledger.rewrites.finish_rewriting(ledger.rewrites.begin(lot, INTENT, 60), [], [], units)
        assert done.obsolete == {OLD.key}
        assert all(record.refused and record.lot is None for record in ledger.find_units(units))
        ledger.rewrites.clear_obsolete(done)
        assert not list(ledger.open_lots())
        assert seen(ledger, lot).units == seen(ledger, lot).files == ()

    def test_a_lot_without_files_and_units_is_closed_at_once(self, ledger: Ledger) -> None:
        lot = ledger.lots.claim(LotId.new(datetime.now(UTC)), UNITS[:1], [], {}, 60)
        lot = ledger.lots.commit(lot, [], [Counts()])
        ledger.rewrites.finish_rewriting(ledger.rewrites.begin(lot, INTENT, 60), [], [], UNITS[:1])
        assert seen(ledger, lot).state is LotState.COMMITTED
        assert not list(ledger.open_lots())

    def test_one_of_two_begins(self, ledger: Ledger) -> None:
        lot = committed(ledger)
        ledger.rewrites.begin(lot, INTENT, 60)
        with pytest.raises(LostRace):
            ledger.rewrites.begin(lot, INTENT, 60)

    def test_files_left_over_block_the_next_rewrite(self, ledger: Ledger) -> None:
        ours = ledger.rewrites.begin(committed(ledger), INTENT, 60)
        done = ledger.rewrites.finish_rewriting(ours, [NEW], [Counts(1, 1, 0), Counts(1, 1, 0)], [])
        with pytest.raises(LostRace):
            ledger.rewrites.begin(done, INTENT, 60)
        ledger.rewrites.clear_obsolete(done)
        assert ledger.rewrites.begin(seen(ledger, ours), INTENT, 60).generation == 3

    def test_a_worker_that_lost_its_lot_can_do_nothing_more(self, ledger: Ledger, clock: Clock) -> None:
        dead = ledger.rewrites.begin(committed(ledger), INTENT, 60)
        with pytest.raises(LeaseHeld):
            ledger.rewrites.take_over(dead, 60)
        clock.advance(61)
        alive = ledger.rewrites.take_over(dead, 60)
        assert (alive.generation, alive.intent) == (2, INTENT)
        for attempt in (
            lambda: ledger.rewrites.renew(dead, 60),
            lambda: ledger.rewrites.record_outputs(dead, ["silver/z"]),
            lambda: ledger.rewrites.finish_rewriting(dead, [NEW], [Counts(1, 1, 0), Counts(1, 1, 0)], []),
            lambda: ledger.rewrites.undo(dead),
        ):
            with pytest.raises(LeaseLost):
                attempt()
        with pytest.raises(LeaseHeld):
            ledger.rewrites.take_over(dead, 60)
        ledger.rewrites.give_back(dead)  # changes nothing
        assert seen(ledger, dead) == alive
        ledger.rewrites.give_back(alive)
        assert ledger.rewrites.is_abandoned(seen(ledger, dead))

    def test_undoing_gives_the_lot_back_and_never_the_generation(self, ledger: Ledger) -> None:
        lot = committed(ledger)
        ours = ledger.rewrites.record_outputs(ledger.rewrites.begin(lot, INTENT, 60), [NEW.key])
        undone = ledger.rewrites.undo(ours)
        there = seen(ledger, lot)
        assert (there.state, there.files, there.counts, there.obsolete) == (
            LotState.COMMITTED,
            lot.files,
            lot.counts,
            {NEW.key},
        )
        ledger.rewrites.clear_obsolete(undone)
        assert ledger.rewrites.begin(seen(ledger, lot), INTENT, 60).generation == 3

    def test_the_worker_of_the_first_commit_may_be_late_with_its_tidying(self, ledger: Ledger) -> None:
        lot = ledger.lots.claim(LotId.new(datetime.now(UTC)), UNITS[:2], [OLD.key, "silver/x"], {}, 60)
        first = ledger.lots.commit(lot, [OLD], [Counts(2, 2, 0), Counts(2, 2, 0)])
        ledger.lots.clear_outputs(first)
        ours = ledger.rewrites.record_outputs(ledger.rewrites.begin(seen(ledger, lot), INTENT, 60), [NEW.key])
        ledger.lots.clear_outputs(first)
        assert seen(ledger, lot).outputs == {NEW.key}
        ledger.rewrites.finish_rewriting(ours, [NEW], [Counts(1, 1, 0), Counts(1, 1, 0)], [])
        ledger.lots.clear_outputs(first)
        assert seen(ledger, lot).obsolete == {OLD.key}
        assert list(ledger.open_lots()) == [lot.id]

    def test_clearing_late_does_not_touch_the_next_generation(self, ledger: Ledger) -> None:
        lot = committed(ledger)
        first = ledger.rewrites.finish_rewriting(
            ledger.rewrites.begin(lot, INTENT, 60), [NEW], [Counts(1, 1, 0), Counts(1, 1, 0)], []
        )
        ledger.rewrites.clear_obsolete(first)
        ours = ledger.rewrites.begin(seen(ledger, lot), INTENT, 60)
        second = ledger.rewrites.finish_rewriting(ours, [OLD], [Counts(2, 2, 0), Counts(2, 2, 0)], [])
        ledger.rewrites.clear_obsolete(first)
        assert seen(ledger, lot).obsolete == second.obsolete == {NEW.key}


class TestReleasing:
    def test_an_object_is_open_until_its_rows_are_counted(self, ledger: Ledger) -> None:
        planned(ledger)
        leaving = ledger.releases.begin(SOURCE.id, "Ann", "wrong file")
        assert leaving.is_leaving
        assert list(ledger.open_objects()) == [SOURCE.id]
        assert ledger.releases.refuse(leaving, UNITS)
        assert ledger.releases.finish(leaving) == Counts()
        assert not list(ledger.open_objects())
        (known,) = ledger.find_objects([SOURCE.id])
        assert known.retraction is not None
        assert (known.retraction.by, known.retraction.note) == ("Ann", "wrong file")

    def test_beginning_again_keeps_who_was_first(self, ledger: Ledger, clock: Clock) -> None:
        planned(ledger)
        first = ledger.releases.begin(SOURCE.id, "Ann", "wrong file")
        clock.advance(5)
        assert ledger.releases.begin(SOURCE.id, "Ben", "as well").retraction == first.retraction

    def test_what_was_never_loaded_cannot_be_retracted(self, ledger: Ledger) -> None:
        with pytest.raises(NothingToRetract, match="is not in the ledger"):
            ledger.releases.begin(SOURCE.id, "Ann", "")
        ledger.objects.reject(SOURCE, "unsupported_format", "upload .jsonl")
        with pytest.raises(NothingToRetract, match="unsupported_format"):
            ledger.releases.begin(SOURCE.id, "Ann", "")

    def test_a_unit_in_a_lot_keeps_its_neighbours_from_being_refused(self, ledger: Ledger) -> None:
        planned(ledger)
        committed(ledger)
        leaving = ledger.releases.begin(SOURCE.id, "Ann", "")
        assert not ledger.releases.refuse(leaving, UNITS)
        assert not any(record.refused for record in ledger.find_units(UNITS))
        with pytest.raises(LostRace):
            ledger.releases.finish(leaving)

    def test_nothing_finishes_an_object_that_leaves(self, ledger: Ledger) -> None:
        planned(ledger)
        ledger.releases.begin(SOURCE.id, "Ann", "")
        ledger.objects.mark_done([SOURCE.id])
        assert not ledger.objects.reject_known(UNITS[0], "too_large", "")
        (known,) = ledger.find_objects([SOURCE.id])
        assert known.state is ObjectState.RETRACTED

    def test_only_a_later_upload_is_one(self, ledger: Ledger, clock: Clock) -> None:
        planned(ledger)
        leaving = ledger.releases.begin(SOURCE.id, "Ann", "")
        assert leaving.retraction is not None
        at = leaving.retraction.at
        assert not ledger.releases.note_upload(leaving, SOURCE)
        for later, expected in ((2, 2), (1, 2), (3, 3)):
            announced = BronzeObject(*SOURCE.id[:2], 5000, "etag", "v2", at + timedelta(hours=later))
            assert ledger.releases.note_upload(leaving, announced)
            (known,) = ledger.find_objects([SOURCE.id])
            assert known.retraction is not None
            assert known.retraction.uploaded_again == at + timedelta(hours=expected)
        assert ledger.releases.begin(SOURCE.id, "Ann", "").retraction.uploaded_again is None  # type: ignore[union-attr]


class TestReopening:
    def test_a_retracted_object_is_planned_once_more_by_its_stored_plan(self, ledger: Ledger) -> None:
        planned(ledger)
        leaving = ledger.releases.begin(SOURCE.id, "Ann", "wrong file")
        ledger.releases.refuse(leaving, UNITS)
        with pytest.raises(NotReopened, match="not all of its rows have left"):
            ledger.objects.reopen(SOURCE.id)
        ledger.releases.finish(leaving)
        known = ledger.objects.reopen(SOURCE.id, unit_bytes=77)
        assert (known.state, known.sent, known.plan.step, known.reason) == (ObjectState.PLANNING, 0, 1000, "")
        assert known.retraction is not None  # who took it away the last time is still known
        assert list(ledger.open_objects()) == [SOURCE.id]
        assert not any(record.refused for record in ledger.find_units(UNITS))
        assert ledger.objects.reopen(SOURCE.id) == known
        planning = ledger.objects.begin(SOURCE, 1, 60)
        ledger.objects.finish(planning)
        ledger.lots.claim(LotId.new(datetime.now(UTC)), UNITS, [], {}, 60)

    def test_a_late_reopening_does_not_undo_the_next_retraction(self, ledger: Ledger, clock: Clock) -> None:
        planned(ledger)
        leaving = ledger.releases.begin(SOURCE.id, "Ann", "wrong file")
        ledger.releases.refuse(leaving, UNITS)
        ledger.releases.finish(leaving)
        (seen_before,) = ledger.find_objects([SOURCE.id])
        ledger.objects.reopen(SOURCE.id)
        clock.advance(1)
        again = ledger.releases.begin(SOURCE.id, "Bob", "still wrong")
        with pytest.raises(NotReopened, match="retracting it again"):
            ledger.releases._let_in(seen_before, seen_before.plan)  # of somebody who had looked before all that
        ledger.releases.refuse(again, UNITS)
        assert ledger.releases.finish(again) == Counts()

    def test_who_was_paused_takes_nothing_away_that_was_loaded_since(self, ledger: Ledger, clock: Clock) -> None:
        """Two operators retract one object; the other has let it in again meanwhile."""
        planned(ledger)
        leaving = ledger.releases.begin(SOURCE.id, "Ann", "wrong file")
        ledger.releases.refuse(leaving, UNITS)
        ledger.releases.finish(leaving)
        ledger.objects.reopen(SOURCE.id)
        with pytest.raises(LetInAgain):
            ledger.releases.refuse(leaving, UNITS)
        assert not any(record.refused for record in ledger.find_units(UNITS))
        lot = committed(ledger)
        with pytest.raises(LetInAgain):
            ledger.rewrites.begin(lot, INTENT, 60, leaving)
        assert seen(ledger, lot).state is LotState.COMMITTED

    def test_an_object_that_is_to_be_loaded_again_stays_open_work_until_it_is_let_in(self, ledger: Ledger) -> None:
        planned(ledger)
        leaving = ledger.releases.begin(SOURCE.id, "Ann", "once more", reload=True)
        ledger.releases.refuse(leaving, UNITS)
        ledger.releases.finish(leaving)
        (known,) = ledger.find_objects([SOURCE.id])
        assert (known.is_to_be_reloaded, known.is_leaving) == (True, False)
        assert list(ledger.open_objects()) == [SOURCE.id]
        known = ledger.objects.reopen(SOURCE.id, marked=True)
        assert (known.state, known.is_to_be_reloaded) == (ObjectState.PLANNING, False)

    def test_who_wants_it_away_for_good_comes_before_who_wanted_it_again(self, ledger: Ledger) -> None:
        planned(ledger)
        leaving = ledger.releases.begin(SOURCE.id, "Ann", "once more", reload=True)
        ledger.releases.refuse(leaving, UNITS)
        ledger.releases.finish(leaving)
        assert not ledger.releases.begin(SOURCE.id, "Ben", "wrong file").is_to_be_reloaded
        assert list(ledger.open_objects()) == []
        with pytest.raises(NotReopened, match="for good"):
            ledger.objects.reopen(SOURCE.id, marked=True)
        assert ledger.releases.begin(SOURCE.id, "Ann", "after all", reload=True).is_to_be_reloaded
        assert ledger.objects.reopen(SOURCE.id, marked=True).state is ObjectState.PLANNING

    def test_who_did_not_know_of_a_retraction_does_not_undo_it(self, ledger: Ledger) -> None:
        planned(ledger)
        ledger.releases.begin(SOURCE.id, "Ben", "wrong file")
        with pytest.raises(KeptAway, match="for good"):
            ledger.releases.begin(SOURCE.id, "Ann", "once more", reload=True, unless_kept_away=True)
        assert not ledger.releases.begun(SOURCE.id).is_to_be_reloaded
        ledger.releases.begin(SOURCE.id, "Ann", "after all", reload=True)
        again = ledger.releases.begin(SOURCE.id, "Ann", "once more", reload=True, unless_kept_away=True)
        assert again.is_to_be_reloaded

    def test_a_retraction_that_nobody_has_begun_is_not_gone_on_with(self, ledger: Ledger) -> None:
        planned(ledger)
        with pytest.raises(LetInAgain):
            ledger.releases.begun(SOURCE.id)
        assert not any(record.refused for record in ledger.find_units(UNITS))

    def test_an_object_that_is_let_in_while_another_begins_is_retracted(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was RETRACTED when the write met it, and is PLANNING when it is looked at."""
        planned(ledger)
        leaving = ledger.releases.begin(SOURCE.id, "Ann", "once more", reload=True)
        ledger.releases.refuse(leaving, UNITS)
        ledger.releases.finish(leaving)
        table = ledger.releases._table
        refused = table._update

        def let_in_after(*args: Any) -> None:
            monkeypatch.setattr(table, "_update", refused)
            try:
                refused(*args)
            finally:
                ledger.objects.reopen(SOURCE.id, marked=True)

        monkeypatch.setattr(table, "_update", let_in_after)
        assert ledger.releases.begin(SOURCE.id, "Ben", "wrong file").state is ObjectState.RETRACTED

    def test_an_object_that_was_given_up_is_let_in_with_its_unit(self, ledger: Ledger) -> None:
        planned(ledger)
        ledger.units.count_failure(UNITS[0], ledger.units.notes(UNITS[0]), "broken")
        assert ledger.objects.reject_known(UNITS[0], "too_large", "upload it in parts")
        known = ledger.objects.reopen(SOURCE.id)
        assert (known.state, known.reason, known.advice) == (ObjectState.PLANNING, "", "")
        assert ledger.units.notes(UNITS[0]).attempts == 0
        ledger.lots.claim(LotId.new(datetime.now(UTC)), UNITS, [], {}, 60)

    def test_an_object_that_never_had_a_plan_is_cut_now(self, ledger: Ledger) -> None:
        ledger.objects.reject(SOURCE, "unsupported_format", "")
        known = ledger.objects.reopen(SOURCE.id, unit_bytes=2000)
        assert (known.plan.units, known.plan.step) == (3, 2000)

    def test_a_key_that_is_still_not_taken_is_not_let_in(self, ledger: Ledger) -> None:
        source = BronzeObject("bronze-bucket", "bronze/shipments/a.csv", 5, "e", None, CREATED)
        ledger.objects.reject(source, "unsupported_format", "")
        with pytest.raises(UnacceptableKey):
            ledger.objects.reopen(source.id, unit_bytes=2000)
        (known,) = ledger.find_objects([source.id])
        assert known.state is ObjectState.REJECTED

    def test_an_unknown_object_is_not_let_in(self, ledger: Ledger) -> None:
        with pytest.raises(NotReopened):
            ledger.objects.reopen(SOURCE.id)
