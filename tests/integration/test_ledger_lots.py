"""Transitions of lots and units against a real DynamoDB API: who may, who may not, and answers that got lost."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from local.stack import Clients
from services.shared.identities import LakeKey, LotId
from services.shared.ledger.items import MAX_FILES_PER_LOT, OPEN_SHARDS, open_shard
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import (
    MAX_UNITS_PER_LOT,
    Counts,
    LeaseHeld,
    LeaseLost,
    LostRace,
    Lot,
    LotFile,
    LotState,
    LotTooWide,
    Progress,
    UnitNotes,
)
from services.shared.units import BronzeObject, Plan, Unit
from tests.support.faults import LostAnswers
from tests.support.lake import CREATED, Clock

SOURCE = BronzeObject("bronze-bucket", "bronze/shipments/é#1.jsonl", 5000, "etag", None, CREATED)
UNITS = list(Plan.of(SOURCE, 1000))
VERSIONS = {"shipments": "1.0.0"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clients: Clients, ledger_table: str, clock: Clock) -> Ledger:
    return Ledger(clients.dynamodb, ledger_table, clock=clock)


@pytest.fixture
def forgetful(clients: Clients, ledger_table: str, clock: Clock) -> Ledger:
    """A ledger on the same table whose answers get lost."""
    return Ledger(LostAnswers(clients.dynamodb), ledger_table, clock=clock)  # type: ignore[arg-type]


def new_lot(ledger: Ledger, units: list[Unit] = UNITS[:2], lease: float = 60) -> Lot:
    return ledger.lots.claim(LotId.new(datetime.now(UTC)), [unit.id for unit in units], ["silver/a"], VERSIONS, lease)


class TestLots:
    def test_a_claim_binds_its_units_and_keeps_what_it_needs_to_be_executed_again(self, ledger: Ledger) -> None:
        lot = new_lot(ledger)
        found = ledger.look_up(unit.id for unit in UNITS)
        assert found.lots == {lot.id: lot}
        assert found.lots[lot.id].units == tuple(unit.id for unit in UNITS[:2])
        assert set(found.lot_of) == {unit.id for unit in UNITS[:2]}

    def test_a_claim_is_all_or_nothing(self, ledger: Ledger) -> None:
        lot = new_lot(ledger, UNITS[1:3])
        with pytest.raises(LostRace):
            new_lot(ledger, UNITS[:2])
        assert set(ledger.look_up(unit.id for unit in UNITS).lot_of) == {unit.id for unit in UNITS[1:3]}
        assert set(ledger.look_up(unit.id for unit in UNITS).lots) == {lot.id}

    def test_a_lot_takes_as_many_units_as_a_transaction_holds(self, ledger: Ledger) -> None:
        units = list(Plan.of(SOURCE, 5000 // MAX_UNITS_PER_LOT))[:MAX_UNITS_PER_LOT]
        lot = new_lot(ledger, units)
        assert len(ledger.look_up(unit.id for unit in units).lot_of) == MAX_UNITS_PER_LOT
        ledger.lots.dissolve(ledger.lots.begin_dissolving(lot))
        assert not ledger.look_up(unit.id for unit in units).lot_of

    def test_a_committed_lot_tells_its_counts_and_files(self, ledger: Ledger) -> None:
        lot = new_lot(ledger)
        files = [LotFile("silver/a", 3, 100, "e1"), LotFile("quarantine/c", 1, 50, "e2")]
        committed = ledger.lots.commit(lot, files, [Counts(3, 3, 0), Counts(1, 0, 1)])
        assert committed.counts == Counts(4, 3, 1)
        found = ledger.look_up([UNITS[0].id]).lots[lot.id]
        assert found.state is LotState.COMMITTED
        assert found.counts == Counts(4, 3, 1)
        assert found.unit_counts == (Counts(3, 3, 0), Counts(1, 0, 1))
        assert list(found.files) == files
        assert not found.outputs

    def test_a_committed_lot_names_the_files_that_are_still_to_be_deleted(self, ledger: Ledger) -> None:
        lot = ledger.lots.record_outputs(new_lot(ledger), ["silver/b"])
        committed = ledger.lots.commit(lot, [LotFile("silver/b", 1, 10, "e")], [Counts(1, 1, 0), Counts()])
        assert committed.outputs == {"silver/a"}
        assert list(ledger.open_lots()) == [lot.id]
        ledger.lots.clear_outputs(committed)
        assert not ledger.look_up([UNITS[0].id]).lots[lot.id].outputs
        assert not list(ledger.open_lots())

    def test_a_live_lot_is_not_taken_over(self, ledger: Ledger) -> None:
        with pytest.raises(LeaseHeld):
            ledger.lots.take_over(new_lot(ledger), VERSIONS, 60)

    def test_one_of_two_takers_wins_and_the_old_worker_can_do_nothing_more(self, ledger: Ledger, clock: Clock) -> None:
        dead = new_lot(ledger)
        clock.advance(61)
        alive = ledger.lots.take_over(dead, {"shipments": "2.0.0"}, 60)
        assert (alive.units, alive.outputs, alive.contracts) == (dead.units, dead.outputs, {"shipments": "2.0.0"})
        with pytest.raises(LeaseHeld):
            ledger.lots.take_over(dead, VERSIONS, 60)
        for attempt in (
            lambda: ledger.lots.commit(dead, [], [Counts(), Counts()]),
            lambda: ledger.lots.record_outputs(dead, ["silver/z"]),
            lambda: ledger.lots.begin_dissolving(dead),
            lambda: ledger.lots.dissolve(dead),
            lambda: ledger.lots.record_progress(dead, progress()),
        ):
            with pytest.raises(LeaseLost):
                attempt()
        ledger.lots.commit(alive, [], [Counts(), Counts()])

    def test_a_committed_lot_is_committed_for_good(self, ledger: Ledger, clock: Clock) -> None:
        lot = new_lot(ledger)
        ledger.lots.commit(lot, [], [Counts(), Counts()])
        clock.advance(61)
        with pytest.raises(LeaseHeld):
            ledger.lots.take_over(lot, VERSIONS, 60)
        with pytest.raises(LeaseLost):
            ledger.lots.begin_dissolving(lot)

    def test_outputs_are_recorded_on_top_of_those_before(self, ledger: Ledger) -> None:
        lot = ledger.lots.record_outputs(new_lot(ledger), ["silver/b"])
        assert lot.outputs == {"silver/a", "silver/b"}
        assert ledger.look_up([UNITS[0].id]).lots[lot.id].outputs == lot.outputs

    def test_a_dissolved_lot_leaves_its_units_free(self, ledger: Ledger) -> None:
        ledger.lots.dissolve(ledger.lots.begin_dissolving(new_lot(ledger)))
        found = ledger.look_up(unit.id for unit in UNITS)
        assert not found.lot_of
        assert [found.notes[unit.id].suspect for unit in UNITS[:2]] == [1, 1]
        new_lot(ledger)

    def test_a_lot_that_is_being_dissolved_is_never_committed(self, ledger: Ledger, clock: Clock) -> None:
        lot = new_lot(ledger)
        ledger.lots.begin_dissolving(lot)
        with pytest.raises(LeaseLost):
            ledger.lots.commit(lot, [], [Counts(), Counts()])
        clock.advance(61)
        found = ledger.look_up([UNITS[0].id]).lots[lot.id]
        taken = ledger.lots.take_over(found, VERSIONS, 60)
        assert taken.state is LotState.DISSOLVING
        ledger.lots.dissolve(ledger.lots.begin_dissolving(taken))
        assert not ledger.look_up([UNITS[0].id]).lots

    def test_a_lease_that_is_given_back_is_over_at_once(self, ledger: Ledger) -> None:
        lot = new_lot(ledger)
        ledger.lots.give_back(lot, forgive=False)
        found = ledger.look_up([UNITS[0].id]).lots[lot.id]
        assert ledger.lots.take_over(found, VERSIONS, 60).take_overs == 1

    def test_take_overs_are_counted_until_there_is_progress_or_they_are_forgiven(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        lot = new_lot(ledger)
        for expected in (1, 2):
            clock.advance(61)
            lot = ledger.lots.take_over(lot, VERSIONS, 60)
            assert lot.take_overs == expected
        ledger.lots.give_back(lot, forgive=True)
        lot = ledger.look_up([UNITS[0].id]).lots[lot.id]
        assert lot.take_overs == 1
        clock.advance(1)
        lot = ledger.lots.record_progress(ledger.lots.take_over(lot, VERSIONS, 60), progress())
        assert lot.take_overs == 0
        assert ledger.look_up([UNITS[0].id]).lots[lot.id].progress == progress()

    def test_a_lot_has_run_out_of_time_until_its_next_worker_dies_or_gets_on(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        """What happens to the worker after, and is not the lot's fault, changes nothing."""

        def look() -> Lot:
            return ledger.look_up([UNITS[0].id]).lots[lot.id]

        def take_over() -> Lot:
            clock.advance(1)
            return ledger.lots.take_over(look(), VERSIONS, 60)

        lot = new_lot(ledger)
        ledger.lots.give_back(lot, forgive=True)
        assert not look().ran_out_of_time
        ledger.lots.give_back(take_over(), forgive=False)
        assert look().ran_out_of_time
        ledger.lots.give_back(take_over(), forgive=True)
        assert look().ran_out_of_time
        take_over()
        clock.advance(61)  # that worker died
        assert not look().ran_out_of_time
        ledger.lots.give_back(take_over(), forgive=True)
        assert not look().ran_out_of_time
        assert look().take_overs == 2
        ledger.lots.give_back(take_over(), forgive=False)
        ledger.lots.give_back(ledger.lots.record_progress(take_over(), progress()), forgive=True)
        assert not look().ran_out_of_time

    def test_progress_under_other_contracts_is_forgotten(self, ledger: Ledger, clock: Clock) -> None:
        lot = ledger.lots.record_progress(new_lot(ledger), progress())
        clock.advance(61)
        lot = ledger.lots.take_over(lot, VERSIONS, 60)
        assert lot.progress == progress()
        clock.advance(61)
        lot = ledger.lots.take_over(lot, {"shipments": "2.0.0"}, 60)
        assert lot.progress is None
        assert ledger.look_up([UNITS[0].id]).lots[lot.id].progress is None

    def test_writes_whose_answers_got_lost_count(self, forgetful: Ledger, clock: Clock) -> None:
        lot = new_lot(forgetful)
        clock.advance(61)
        taken = forgetful.lots.take_over(lot, VERSIONS, 60)
        taken = forgetful.lots.record_progress(forgetful.lots.record_outputs(taken, ["silver/b"]), progress())
        forgetful.lots.commit(taken, [], [Counts(), Counts()])

    def test_dissolving_whose_answers_got_lost_counts(self, forgetful: Ledger) -> None:
        forgetful.lots.dissolve(forgetful.lots.begin_dissolving(new_lot(forgetful)))

    def test_a_lot_whose_lists_do_not_fit_is_refused_before_anything_is_written(self, ledger: Ledger) -> None:
        outputs = [f"silver/{n * 7919 % 1_000_003}-{n}" for n in range(100_000)]
        with pytest.raises(LotTooWide, match="Narrow the contract"):
            ledger.lots.claim(LotId.new(datetime.now(UTC)), [UNITS[0].id], outputs, VERSIONS, 60)
        assert not ledger.look_up([UNITS[0].id]).lot_of

    def test_a_lot_of_as_many_files_as_are_promised_fits_in_an_item(self, ledger: Ledger) -> None:
        """The longest keys in all units, the etags random: what the limits in the documents rest on."""
        names = [f"bronze/shipments/{secrets.token_hex(480)}.jsonl" for _ in range(MAX_UNITS_PER_LOT)]
        long_keys = [replace(SOURCE, key=name) for name in names]
        units = [Plan.of(source, 5000).unit(0) for source in long_keys]
        id_ = LotId.new(datetime.now(UTC))
        keys = [
            str(LakeKey("silver", "shipments", (date(2000, 1, 1) + timedelta(days=day)).isoformat(), id_, "0" * 8))
            for day in range(MAX_FILES_PER_LOT)
        ]
        files = [LotFile(key, 10**6 + n * 37, 10**8 + n * 7919, secrets.token_hex(16)) for n, key in enumerate(keys)]
        ledger.lots.check_fits(keys, ())
        lot = ledger.lots.claim(id_, [unit.id for unit in units], keys, VERSIONS, 60)
        committed = ledger.lots.commit(lot, files, [Counts()] * len(units))
        (found,) = ledger.find_lots([lot.id])
        assert found.files == committed.files == tuple(files)

    def test_a_lot_of_far_more_files_is_refused(self, ledger: Ledger) -> None:
        keys = [f"silver/shipments/dt={n:010d}/x.parquet" for n in range(3 * MAX_FILES_PER_LOT)]
        with pytest.raises(LotTooWide):
            ledger.lots.check_fits(keys, ())


def progress() -> Progress:
    return Progress((1234, "lines"), 2, Counts(5, 4, 1), (LotFile("silver/a", 4, 100, "e"),), VERSIONS)


class TestUnits:
    ID = UNITS[0].id

    def notes(self, ledger: Ledger) -> UnitNotes:
        return ledger.look_up([self.ID]).notes.get(self.ID, UnitNotes())

    def test_marks_and_attempts_are_counted_and_can_be_taken_back(self, ledger: Ledger) -> None:
        ledger.units.suspect(self.ID)
        before = self.notes(ledger)
        ledger.units.begin_attempt(self.ID, 60)
        ledger.units.count_failure(self.ID, UnitNotes(attempts=1), "cut short")
        ledger.units.count_stall(self.ID, UnitNotes())
        noted = self.notes(ledger)
        assert noted.lease_until > 0
        assert replace(noted, lease_until=0) == UnitNotes(1, 2, stalls=1, last_error="cut short")
        ledger.units.restore(self.ID, before)
        assert self.notes(ledger) == UnitNotes(1, 0, stalls=1, last_error="cut short")

    def test_an_attempt_ends_with_its_error(self, ledger: Ledger) -> None:
        ledger.units.begin_attempt(self.ID, 60)
        ledger.units.note_error(self.ID, "cut short")
        assert self.notes(ledger) == UnitNotes(attempts=1, last_error="cut short")

    def test_a_unit_that_is_in_a_lot_is_not_tried_alone(self, ledger: Ledger) -> None:
        lot = new_lot(ledger)
        with pytest.raises(LostRace, match=str(lot.id)):
            ledger.units.begin_attempt(self.ID, 60)

    def test_a_dead_unit_starts_from_zero_once_it_is_revived(self, ledger: Ledger) -> None:
        ledger.units.begin_attempt(self.ID, 0)
        ledger.units.bury(self.ID, "message-1", "damaged")
        assert self.notes(ledger) == UnitNotes(attempts=1, dead="message-1", last_error="damaged")
        ledger.units.revive(self.ID)
        assert self.notes(ledger) == UnitNotes(last_error="damaged")

    def test_a_unit_that_is_in_a_lot_takes_no_notes(self, ledger: Ledger) -> None:
        new_lot(ledger)
        ledger.units.bury(self.ID, "message-1", "damaged")
        ledger.units.count_failure(self.ID, UnitNotes(), "damaged")
        assert self.notes(ledger) == UnitNotes()

    def test_an_error_of_aws_comes_through(self, clients: Clients) -> None:
        with pytest.raises(ClientError):
            Ledger(clients.dynamodb, "no-such-table").look_up([self.ID])


def test_only_open_work_is_in_the_sparse_index(ledger: Ledger) -> None:
    planning = ledger.objects.begin(SOURCE, 1000, 60)
    lot = new_lot(ledger)
    ledger.objects.finish(planning)
    assert (list(ledger.open_objects()), list(ledger.open_lots())) == ([SOURCE.id], [lot.id])
    ledger.lots.commit(lot, [LotFile("silver/a", 0, 1, "e")], [Counts(), Counts()])
    ledger.objects.mark_done([SOURCE.id])
    assert (list(ledger.open_objects()), list(ledger.open_lots())) == ([], [])


def test_what_is_finished_waits_in_the_same_index_for_the_history(ledger: Ledger, clock: Clock) -> None:
    refused, given_up = (replace(SOURCE, key=f"bronze/shipments/{name}.jsonl") for name in ("refused", "given-up"))
    ledger.objects.begin(SOURCE, 1000, 60)
    ledger.objects.begin(given_up, 5000, 60)
    tidy, untidy = new_lot(ledger), ledger.lots.record_outputs(new_lot(ledger, UNITS[2:3]), ["silver/b"])
    clock.advance(5)
    ledger.objects.mark_done([SOURCE.id])
    ledger.objects.reject(refused, "unsupported_format", "")
    ledger.objects.reject_known(Plan.of(given_up, 5000).unit(0).id, "too_large", "")
    ledger.lots.commit(tidy, [LotFile("silver/a", 0, 1, "e")], [Counts(), Counts()])
    untidy = ledger.lots.commit(untidy, [LotFile("silver/b", 0, 1, "e")], [Counts()])
    finished = list(ledger.open_entries("done"))
    assert {entry.object for entry in finished} == {SOURCE.id, refused.id, given_up.id}
    assert {entry.since for entry in finished} == {int(clock.now * 1000)}
    assert [entry.lot for entry in ledger.open_entries("committed")] == [tidy.id]
    ledger.lots.clear_outputs(untidy)
    assert {entry.lot for entry in ledger.open_entries("committed")} == {tidy.id, untidy.id}


def test_leftovers_are_cleared_once(ledger: Ledger, clock: Clock) -> None:
    lot = ledger.lots.record_outputs(new_lot(ledger), ["silver/b"])
    committed = ledger.lots.commit(lot, [LotFile("silver/b", 0, 1, "e")], [Counts(), Counts()])
    ledger.lots.clear_outputs(committed)
    before = list(ledger.open_entries("committed"))
    clock.advance(5)
    ledger.lots.clear_outputs(committed)
    assert list(ledger.open_entries("committed")) == before


def test_open_work_is_spread_over_many_keys_of_the_index() -> None:
    shards = {open_shard("object", replace(SOURCE, key=f"bronze/shipments/{number}").id) for number in range(1000)}
    assert len(shards) == OPEN_SHARDS
