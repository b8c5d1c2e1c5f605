"""Retract and retry of what has left the ledger for the history; the history and the audit know what they did."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.stack import Clients
from services.ops.audit.accounts import Outcome
from services.ops.grid import LOTS_PER_READ
from services.ops.history.loads import Choice, LoadState, loads
from services.ops.history.reader import History
from services.ops.rewrite.quarantine import Selection
from services.ops.rewrite.retraction import Retraction, preview
from services.ops.rewrite.retry import Retry
from services.shared.contract.model import Contract
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, crash, shipment
from tests.faults.test_audit_over_time import audited
from tests.faults.test_retry import a_bad_file_and_a_good_one, late
from tests.support.faults import LAKE_CALLS, LEDGER_CALLS, Crash, Interrupted, Interrupter
from tests.support.history import DAY, HISTORY_CALLS, MemoryHistory, let_expire, load_everything, run_archive
from tests.support.rewriting import ENDLESS, MemoryShelf


@pytest.fixture
def history() -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def files(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> tuple[Rig, BronzeObject]:
    """A bad file and a good one in one lot."""
    rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300)
    bad, _ = a_bad_file_and_a_good_one(rig)
    load_everything(rig)
    rig.clock.advance(DAY)
    return rig, bad


def leave_the_ledger(rig: Rig, history: MemoryHistory) -> None:
    run_archive(rig, history)
    rig.clock.advance(DAY)
    run_archive(rig, history)
    assert let_expire(rig)


def retract(rig: Rig, source: BronzeObject, history: MemoryHistory) -> None:
    work = Retraction(rig.ledger, rig.lake, "Ann", "wrong", History(history), rig.clock, rig.clock.advance, writers=1)
    assert work.run(source.id, ENDLESS).place is None


@pytest.mark.parametrize("expired", [True, False], ids=["expired", "still there"])
def test_an_archived_object_is_retracted_and_the_history_says_so(
    files: tuple[Rig, BronzeObject], history: MemoryHistory, expired: bool
) -> None:
    rig, bad = files
    if expired:
        leave_the_ledger(rig, history)
    else:
        run_archive(rig, history)
    retract(rig, bad, history)
    rig.forget(bad)
    rig.check_exactly_once()
    found = audited(rig, history)
    assert (found.findings.kept, +found.objects) == ([], {Outcome.DONE: 1, Outcome.RETRACTED: 1})
    rig.clock.advance(DAY)
    leave_the_ledger(rig, history)
    found = audited(rig, history)
    assert (found.findings.kept, +found.objects) == ([], {Outcome.DONE: 1, Outcome.RETRACTED: 1})
    outcomes = [out for out in History(history).objects() if out.id == bad.id]
    assert [(out.by, out.note) for out in outcomes[1:]] == [("Ann", "wrong")]


@pytest.mark.parametrize("alone", [True, False], ids=["alone in its lot", "beside another"])
def test_killed_at_any_call_the_audit_never_says_that_files_of_an_archived_lot_are_nobodys(
    new_ledger: Callable[[], tuple[Any, str]], contracts: dict[str, Contract], alone: bool
) -> None:
    """Whoever follows that verdict deletes them."""

    def fresh() -> tuple[Rig, BronzeObject, MemoryHistory]:
        rig, history = Rig(*new_ledger(), contracts, unit_bytes=300), MemoryHistory()
        if alone:
            bad = rig.upload("shipments", [*(shipment(row) for row in range(6)), b"{broken"])
        else:
            bad, _ = a_bad_file_and_a_good_one(rig)
        load_everything(rig)
        rig.clock.advance(DAY)
        leave_the_ledger(rig, history)
        return rig, bad, history

    def killed(rig: Rig, bad: BronzeObject, history: MemoryHistory, stops: Interrupter) -> None:
        ledger = Ledger(Interrupted(rig.dynamodb, stops, LEDGER_CALLS), rig.table, rig.clock)
        lake: Any = Interrupted(rig.lake, stops, LAKE_CALLS)
        files: Any = Interrupted(history, stops, HISTORY_CALLS)
        work = Retraction(ledger, lake, "Ann", "wrong", History(files), rig.clock, rig.clock.advance, writers=1)
        with suppress(Crash):
            work.run(bad.id, ENDLESS)

    watch = Interrupter()
    killed(*fresh(), watch)
    for step in range(1, len(watch.calls) + 1):
        rig, bad, history = fresh()
        killed(rig, bad, history, Interrupter(step, action=crash))
        assert [one.code for one in audited(rig, history).findings.kept] == [], watch.calls[step - 1]
        retract(rig, bad, history)
        rig.forget(bad)
        assert audited(rig, history).findings.kept == []
        assert rig.lake.positions() == rig.expected


def test_what_has_left_the_ledger_is_in_the_preview(files: tuple[Rig, BronzeObject], history: MemoryHistory) -> None:
    rig, bad = files
    before = preview(rig.ledger, History(history), bad.id)
    leave_the_ledger(rig, history)
    after = preview(rig.ledger, History(history), bad.id)
    assert before.rows.read == 6
    assert (after.rows, after.committed, after.lots) == (before.rows, before.committed, before.lots)


def test_a_lot_of_which_nothing_is_left_stays_away(files: tuple[Rig, BronzeObject], history: MemoryHistory) -> None:
    rig, bad = files
    leave_the_ledger(rig, history)
    (good,) = {unit.object.id: unit.object for unit in rig.units if unit.object.id != bad.id}.values()
    for source in (bad, good):
        retract(rig, source, history)
        rig.forget(source)
    assert not rig.lake.files
    assert audited(rig, history).findings.kept == []
    rig.clock.advance(DAY)
    leave_the_ledger(rig, history)
    found = audited(rig, history)
    assert (found.findings.kept, +found.objects) == ([], {Outcome.RETRACTED: 2})


def retry(rig: Rig, history: MemoryHistory) -> Retry:
    """Under a contract whose window is wider."""
    fixed = replace(rig.contracts["shipments"], max_ahead=timedelta(days=30), version="1.1.0")
    contracts = {**rig.contracts, "shipments": fixed}
    past = History(history)
    return Retry(rig.ledger, rig.lake, MemoryShelf(rig.lake), contracts, "Ann", "wider", past, rig.clock, writers=1)


def test_archived_rows_are_retried(files: tuple[Rig, BronzeObject], history: MemoryHistory) -> None:
    rig, _ = files
    leave_the_ledger(rig, history)
    assert retry(rig, history).run(Selection(), ENDLESS, dry_run=True).passed.total() == 4
    assert retry(rig, history).run(Selection(), ENDLESS).passed.total() == 4
    rig.check_exactly_once()
    assert audited(rig, history).findings.kept == []
    rig.clock.advance(DAY)
    leave_the_ledger(rig, history)
    found = audited(rig, history)
    assert (found.findings.kept, found.counts.silver) == ([], 7)


def rows_by_history(rig: Rig, history: MemoryHistory, *choices: Choice) -> list[tuple[Counts, dict[str, int]]]:
    """Rows, and refused ones by reason, as `smelt history` tells them for each choice."""
    told = [loads(rig.ledger, History(history), choice, 10) for choice in choices]
    return [(found.counts, dict(found.refused)) for found in told]


@pytest.mark.parametrize("expired", [True, False], ids=["expired", "still there"])
def test_the_history_tells_where_rows_are_that_were_retried_after_they_were_archived(
    files: tuple[Rig, BronzeObject], history: MemoryHistory, expired: bool
) -> None:
    rig, bad = files
    choices = Choice(), Choice(object=str(bad.id)), Choice(prefix=bad.key, states=frozenset({LoadState.DONE}))
    if expired:
        leave_the_ledger(rig, history)
    else:
        run_archive(rig, history)
    late = {"malformed_json": 1, "out_of_window": 3, "wrong_type": 1}
    before = Counts(6, 1, 5), late
    assert rows_by_history(rig, history, *choices) == [(Counts(9, 3, 6), late | {"out_of_window": 4}), before, before]
    assert retry(rig, history).run(Selection(), ENDLESS).passed.total() == 4
    after = Counts(6, 4, 2), {"malformed_json": 1, "wrong_type": 1}
    now = [(Counts(9, 7, 2), after[1]), after, after]
    assert rows_by_history(rig, history, *choices) == now
    rig.clock.advance(DAY)
    leave_the_ledger(rig, history)
    assert rows_by_history(rig, history, *choices) == now


def test_the_history_keeps_what_a_load_was_before_its_object_was_retracted(
    files: tuple[Rig, BronzeObject], history: MemoryHistory
) -> None:
    rig, bad = files
    leave_the_ledger(rig, history)
    retract(rig, bad, history)
    choice = Choice(prefix=bad.key, states=frozenset({LoadState.DONE}))
    assert [counts for counts, _ in rows_by_history(rig, history, choice)] == [Counts(6, 1, 5)]


def test_lots_that_were_retried_and_have_left_the_ledger_are_looked_up_together(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], history: MemoryHistory
) -> None:
    """Each look at the history reads the same files once more."""
    rig, lots, watch = Rig(clients.dynamodb, ledger_table, contracts), 4 * LOTS_PER_READ, Interrupter()
    for number in range(lots):
        rig.upload("shipments", [late(number)])
        rig.deliver(rig.units[-1:])
    load_everything(rig)
    rig.clock.advance(DAY)
    leave_the_ledger(rig, history)
    retry(rig, history).run(Selection(), ENDLESS)
    rig.clock.advance(DAY)
    leave_the_ledger(rig, history)
    files: Any = Interrupted(history, watch, HISTORY_CALLS)
    assert loads(rig.ledger, History(files), Choice(), 10).counts == Counts(lots, lots, 0)
    assert watch.calls.count("names") == 5  # the last of them finds the lots, once for all
