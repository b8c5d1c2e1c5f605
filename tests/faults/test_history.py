"""The archive task: whatever dies, and however many run, each outcome is in the history once, and only then expires."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from local.stack import Clients
from services.ops.history.loads import Choice, loads
from services.ops.history.reader import History, HistoryDamaged
from services.ops.history.writer import archive
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.identities import LotId, ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, LotState, ObjectState
from tests.faults.rig import Rig, crash, shipment, shipments_and_nonsense
from tests.support.faults import LEDGER_CALLS, Crash, Interrupted, Interrupter
from tests.support.history import (
    DAY,
    RETENTION,
    MemoryHistory,
    check_each_once,
    let_expire,
    load_everything,
    run_archive,
)


def loaded(clients: Clients, table: str, contracts: Mapping[str, Contract], history: MemoryHistory) -> Rig:
    """Objects of several units in several lots, all loaded yesterday."""
    rig = shipments_and_nonsense(Rig(clients.dynamodb, table, contracts))
    load_everything(rig)
    rig.clock.advance(DAY)
    return rig


@pytest.fixture
def history() -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract], history: MemoryHistory) -> Rig:
    return loaded(clients, ledger_table, contracts, history)


def test_everything_is_archived_once_and_a_second_run_finds_nothing(rig: Rig, history: MemoryHistory) -> None:
    done = run_archive(rig, history)
    assert (done.objects, done.files, done.complete) == (2, 2, True)
    check_each_once(rig, history)
    files = dict(history.files)
    assert run_archive(rig, history).objects == 0
    assert history.files == files


def test_what_was_finished_today_waits_for_the_end_of_the_day(rig: Rig, history: MemoryHistory) -> None:
    rig.clock.advance(-DAY)
    assert run_archive(rig, history).objects == 0
    assert not history.files


def test_a_crash_at_every_step_is_made_good_by_the_next_run(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], history: MemoryHistory
) -> None:
    calls = Interrupter()
    run_archive(loaded(clients, ledger_table, contracts, history), history, calls)
    assert calls.calls.count("put_new") == 2
    for at in range(1, len(calls.calls) + 1):
        for before in (True, False):
            rig = loaded(clients, ledger_table, contracts, history)
            with pytest.raises(Crash):
                run_archive(rig, history, Interrupter(at, before, crash))
            rig.clock.advance(1000)
            assert run_archive(rig, history).complete
            check_each_once(rig, history)
            assert len(rig.units) + 1 <= let_expire(rig)


def test_a_run_that_died_at_any_step_lets_no_load_be_told_twice_or_left_out(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    def told(rig: Rig, history: MemoryHistory) -> tuple[list[ObjectId], Counts]:
        found = loads(rig.ledger, History(history), Choice(), 100)
        return sorted(load.id for load in found.kept if rig.name in load.id.key), found.counts

    calls = Interrupter()
    run_archive(loaded(clients, ledger_table, contracts, MemoryHistory()), MemoryHistory(), calls)
    for at in range(1, len(calls.calls) + 1):
        for before in (True, False):
            history = MemoryHistory()
            rig = loaded(clients, ledger_table, contracts, history)
            expected = told(rig, history)
            with pytest.raises(Crash):
                run_archive(rig, history, Interrupter(at, before, crash))
            assert told(rig, history) == expected, calls.calls[:at]
            rig.clock.advance(1000)
            run_archive(rig, history)


def test_a_run_that_was_paused_at_any_step_while_another_did_the_work_changes_nothing(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], history: MemoryHistory
) -> None:
    calls = Interrupter()
    run_archive(loaded(clients, ledger_table, contracts, history), history, calls)
    for at in range(1, len(calls.calls) + 1):
        rig = loaded(clients, ledger_table, contracts, history)

        def another(rig: Rig = rig) -> None:
            rig.clock.advance(1000)
            run_archive(rig, history)

        run_archive(rig, history, Interrupter(at, True, another))
        run_archive(rig, history)
        check_each_once(rig, history)


def test_a_second_run_leaves_the_work_to_the_first(rig: Rig, history: MemoryHistory) -> None:
    seen = []
    run_archive(rig, history, Interrupter(first="put_new", action=lambda: seen.append(run_archive(rig, history))))
    assert [(other.busy, other.complete) for other in seen] == [("another run is writing the history", False)]
    check_each_once(rig, history)


def test_a_run_without_time_gives_its_batch_to_the_next(rig: Rig, history: MemoryHistory) -> None:
    left = iter([60.0] * 8)
    done = archive(rig.ledger, history, RETENTION, Deadline(lambda: next(left, 0.0), 1.0), writers=1)
    assert not done.complete
    assert rig.ledger.archive.open_batch() is not None
    assert run_archive(rig, history).complete
    check_each_once(rig, history)


def test_after_expiry_every_message_and_every_event_is_still_a_duplicate(rig: Rig, history: MemoryHistory) -> None:
    run_archive(rig, history)
    lots = {entry.found.lot.id for entry in History(history).lots()}
    assert let_expire(rig) == len(rig.units) + len(lots)
    files = dict(rig.lake.files)
    assert rig.acknowledged(rig.units, rig.deliver(rig.units)) == rig.units
    for unit in rig.units:
        known = rig.ledger.objects.begin(unit.object, 1024, 60)
        assert known.state is ObjectState.DONE
    assert rig.lake.files == files
    assert rig.lake.positions() == rig.expected


def test_nothing_expires_while_an_object_of_its_lot_is_unfinished(rig: Rig, history: MemoryHistory) -> None:
    rig.unit_bytes = 1 << 20
    whole = rig.upload("shipments", [shipment(1)])
    rig.unit_bytes = 120
    cut = rig.upload("shipments", [shipment(2), shipment(3)])
    units = [unit for unit in rig.units if unit.object.id in (whole.id, cut.id)]
    rig.deliver(units[:-1])  # one lot: the whole object, and a part of the other one
    rig.clock.advance(DAY)
    run_archive(rig, history)
    (lot,) = rig.look_up().lots.keys() & {rig.look_up().lot_of[units[0].id]}
    let_expire(rig)
    assert rig.look_up().lots[lot].is_archived
    assert {unit.id for unit in units[:-1]} <= rig.look_up().lot_of.keys()
    rig.drain(units[-1:])
    load_everything(rig)
    rig.clock.advance(DAY)
    run_archive(rig, history)
    let_expire(rig)
    assert not rig.look_up().lots
    check_each_once(rig, history)


def test_refused_objects_are_archived_with_their_reason(rig: Rig, history: MemoryHistory) -> None:
    refused = replace(rig.units[0].object, key=f"bronze/shipments/{rig.name}.csv")
    rig.ledger.objects.reject(refused, "unsupported_format", "upload .jsonl")
    rig.clock.advance(DAY)
    run_archive(rig, history)
    (outcome,) = History(history).objects(states=[ObjectState.REJECTED])
    assert (outcome.id, outcome.reason, outcome.advice) == (refused.id, "unsupported_format", "upload .jsonl")
    let_expire(rig)
    assert rig.state_of(refused) is ObjectState.REJECTED


def test_a_restored_object_has_its_lots_and_units_and_expires_again_later(rig: Rig, history: MemoryHistory) -> None:
    before = rig.look_up()
    run_archive(rig, history)
    let_expire(rig)
    assert not rig.look_up().lots
    for _ in range(2):
        for source in {unit.object for unit in rig.units}:
            History(history).restore_object(rig.ledger, source.id)
        after = rig.look_up()
        assert after.lot_of == before.lot_of
        for lot in after.lots.values():
            same = before.lots[lot.id]
            told = (lot.units, lot.files, lot.counts, lot.unit_counts, lot.reasons, lot.contracts, lot.state)
            assert told == (
                same.units, same.files, same.counts, same.unit_counts, same.reasons, same.contracts, LotState.COMMITTED
            )  # fmt: skip
    rig.clock.advance(DAY)
    files = dict(history.files)
    assert run_archive(rig, history).expiring_lots == len(before.lots)
    assert history.files == files
    check_each_once(rig, history)
    let_expire(rig)
    assert not rig.look_up().lots


def test_what_was_about_to_expire_is_kept_by_a_restore(rig: Rig, history: MemoryHistory) -> None:
    run_archive(rig, history)
    for source in {unit.object for unit in rig.units}:
        History(history).restore_object(rig.ledger, source.id)
    assert let_expire(rig) == 0


def test_a_restore_that_died_at_any_step_is_repeated(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], history: MemoryHistory
) -> None:
    rig = loaded(clients, ledger_table, contracts, history)
    run_archive(rig, history)
    before = {unit.id for unit in rig.units}
    let_expire(rig)
    source = rig.units[0].object
    for at in range(1, 40):
        interrupter = Interrupter(at, True, crash)
        ledger = Ledger(Interrupted(rig.dynamodb, interrupter, LEDGER_CALLS), rig.table, rig.clock)
        with suppress(Crash):
            History(history).restore_object(ledger, source.id)
        if len(interrupter.calls) < at:
            break
    assert 5 < at < 39
    assert {unit for unit in before if unit.object == source.id} <= rig.look_up().lot_of.keys()


def test_a_later_generation_is_a_further_row_in_a_file_of_its_own(rig: Rig, history: MemoryHistory) -> None:
    run_archive(rig, history)
    (lot, *_) = rig.look_up().lots.values()
    entered = {":g": {"N": "2"}, ":open": {"S": "committed#00"}, ":since": {"N": str(int(rig.clock.now * 1000))}}
    rig.dynamodb.update_item(
        TableName=rig.table,
        Key={"pk": {"S": f"lot#{lot.id}"}},
        UpdateExpression="SET generation = :g, #open = :open, since = :since REMOVE expires_at",
        ExpressionAttributeNames={"#open": "open"},
        ExpressionAttributeValues=entered,
    )
    rig.clock.advance(DAY)
    run_archive(rig, history)
    generations = [entry.found.generation for entry in History(history).lots() if entry.found.lot.id == lot.id]
    assert generations == [1, 2]
    found = History(history).locate([lot.id])[lot.id]
    assert (found.found.generation, found.file.endswith("-rewritten.parquet")) == (2, True)
    let_expire(rig)
    History(history).restore_object(rig.ledger, lot.units[0].object)
    assert {back.id: back.generation for back in rig.look_up().lots.values()}[lot.id] == 2


def test_lots_are_restored_by_name_but_not_one_that_was_retracted_whole(rig: Rig, history: MemoryHistory) -> None:
    before = rig.look_up()
    run_archive(rig, history)
    let_expire(rig)
    History(history).restore_lots(rig.ledger, [*before.lots, LotId("20260131T120000Z", "0" * 16)])
    assert rig.look_up().lot_of == before.lot_of
    let_expire(rig)
    for key in [f"lot#{lot}" for lot in before.lots] + [f"unit#{unit.id}" for unit in rig.units]:
        rig.dynamodb.delete_item(TableName=rig.table, Key={"pk": {"S": key}})
    for source in {unit.object for unit in rig.units}:
        rig.dynamodb.update_item(
            TableName=rig.table,
            Key={"pk": {"S": f"object#{source.id}"}},
            UpdateExpression="SET #state = :state",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":state": {"S": "REJECTED"}},
        )
    History(history).restore_lots(rig.ledger, before.lots)
    assert not list(rig.ledger.find_lots(before.lots))


def test_an_object_whose_lots_no_file_has_is_not_restored_silently(rig: Rig, history: MemoryHistory) -> None:
    run_archive(rig, history)
    let_expire(rig)
    for key in list(history.names("lots")):
        del history.files[key]
    with pytest.raises(HistoryDamaged, match="no file of the history has it"):
        History(history).restore_object(rig.ledger, rig.units[0].object.id)


@pytest.mark.parametrize("mark", [1, 2, 3])
def test_a_late_run_never_replaces_the_file_of_one_that_died_between_its_marks(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], history: MemoryHistory, mark: int
) -> None:
    """The late one has begun the batch and read none of its rows yet; half of them are marked when it goes on."""
    rig = loaded(clients, ledger_table, contracts, history)
    rig.ledger.objects.reject(replace(rig.units[0].object, etag="refused"), "unsupported_format", "")
    rig.clock.advance(DAY)

    def another() -> None:
        rig.clock.advance(1000)
        taking_over = 1  # its first update is the lease's
        with suppress(Crash):
            run_archive(rig, history, NthUpdate(taking_over + mark))

    run_archive(rig, history, Interrupter(first="put_item", before=False, action=another))
    rig.clock.advance(1000)
    run_archive(rig, history)
    outcomes = [outcome.id for outcome in History(history).objects() if rig.name in outcome.id.key]
    assert len(outcomes) == len(set(outcomes)) == 3
    assert not [*rig.ledger.open_entries("done"), *rig.ledger.open_entries("committed")]


class NthUpdate(Interrupter):
    """The worker dies after its nth update of an item."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = super().call(name, function, *args, **kwargs)
        if name == "update_item" and self.calls.count(name) == self.number:
            crash()
        return result
