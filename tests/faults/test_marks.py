"""Marks: there is one exactly where a committed generation of a lot has not been dealt with, whoever dies where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.shared.contract.model import Contract
from services.shared.identities import LakeKey, LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.marks import Waiting
from services.shared.ledger.records import MAX_UNITS_PER_LOT, RETRACT, Intent, Lot, LotState, Outbox
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, crash, shipment, shipments_and_nonsense
from tests.faults.test_random_histories import CASES, INVOCATION_SECONDS
from tests.support.faults import LEDGER_CALLS, Crash, Interrupted, Interrupter
from tests.support.history import DAY, MemoryHistory, load_everything, run_archive
from tests.support.rewriting import retract, retry

NewLedger = Callable[[], tuple[Any, str]]
BOTH = frozenset(Outbox)


@dataclass
class Reader:
    """Deals with marks of one outbox, as the lake does: notes which files of each lot it has, then removes the mark."""

    rig: Rig
    outbox: Outbox = Outbox.PUBLISH
    files: dict[LotId, set[str]] = field(default_factory=dict)
    partitions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def run(self, interrupter: Interrupter | None = None, meanwhile: Callable[[], Any] = lambda: None) -> None:
        client = Interrupted(self.rig.dynamodb, interrupter or Interrupter(), LEDGER_CALLS)
        ledger = Ledger(client, self.rig.table, self.rig.clock)
        try:
            for waiting in ledger.marks.to_deal_with(self.outbox):
                self._deal_with(waiting)
                meanwhile()
                ledger.marks.remove(waiting.mark)
        except Crash:
            return

    def _deal_with(self, waiting: Waiting) -> None:
        self.files[waiting.lot.id] = {file.key for file in waiting.lot.files if file.key.startswith("silver/")}
        for dataset, days in waiting.mark.partitions.items():
            self.partitions.update((dataset, day) for day in days)


def marked(rig: Rig, outbox: Outbox = Outbox.PUBLISH) -> set[LotId]:
    return {entry.lot for entry in rig.ledger.open_entries(outbox)}


def lots_of(rig: Rig) -> list[Lot]:
    return [record for record in rig.ledger.scan() if isinstance(record, Lot)]


def committed(rig: Rig) -> dict[LotId, set[str]]:
    """Silver files of each committed lot, those without units included."""
    lots = lots_of(rig)
    return {
        lot.id: {file.key for file in lot.files if file.key.startswith("silver/")}
        for lot in lots
        if lot.state.holds_rows
    }


def check(rig: Rig, reader: Reader) -> None:
    """What a reader does not know of is marked; it knows nothing that is not so; in the end nothing waits."""
    for lot, files in committed(rig).items():
        assert reader.files.get(lot, set()) == files or lot in marked(rig, reader.outbox)
    reader.run()
    known = {lot: files for lot, files in reader.files.items() if files}
    assert known == {lot: files for lot, files in committed(rig).items() if files}
    assert not marked(rig, reader.outbox)


@pytest.fixture
def make(new_ledger: NewLedger, contracts: Mapping[str, Contract]) -> Callable[[], Rig]:
    def rig() -> Rig:
        return Rig(*new_ledger(), contracts, unit_bytes=300, outboxes=BOTH)

    return rig


def test_marks_name_the_partitions_of_each_dataset(make: Callable[[], Rig]) -> None:
    rig = make()
    other = b'{"record_type": "tracking_events", "event_time": "2026-01-09T00:00:00Z", "event_id": "E1", '
    other += b'"shipment_id": "S1", "event_type": "picked_up", "location": "HAM"}'
    rig.upload("shipments", [shipment(1, 1), shipment(2, 3), other])
    rig.deliver(rig.units)
    for outbox in Outbox:
        (waiting,) = rig.ledger.marks.to_deal_with(outbox)
        days = {(key.record_type, key.dt) for key in map(LakeKey.parse, committed(rig)[waiting.lot.id])}
        assert {(d, day) for d, all_ in waiting.mark.partitions.items() for day in all_} == days
        assert ("shipments", "2026-01-03") in days
        assert waiting.mark.generation == 1


def test_a_lot_without_rows_in_silver_leaves_no_mark(make: Callable[[], Rig]) -> None:
    rig = make()
    rig.upload("shipments", [b"{broken"])
    rig.deliver(rig.units)
    rig.check_exactly_once()
    assert not marked(rig)


def test_without_the_setting_there_are_no_marks_and_the_commit_is_one_write(
    make: Callable[[], Rig],
) -> None:
    calls = {}
    for outboxes in (frozenset[Outbox](), BOTH):
        rig, watch = make(), Interrupter()
        rig.outboxes = outboxes
        rig.upload("shipments", [shipment(1)])
        rig.deliver(rig.units, watch)
        assert bool(marked(rig)) == bool(outboxes)
        calls[bool(outboxes)] = Counter(watch.calls)
    assert calls[False]["transact_write_items"] == 1  # the claim
    assert calls[True]["transact_write_items"] == 2


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_commit_and_its_mark_stand_or_fall_together(make: Callable[[], Rig], before: bool) -> None:
    watch = Interrupter()
    shipments_and_nonsense(rig := make()).deliver(rig.units, watch)
    for at, call in enumerate(watch.calls, start=1):
        rig = shipments_and_nonsense(make())
        assert rig.deliver(rig.units, Interrupter(at, before, crash)) is None, call
        lots = {lot for lot, files in committed(rig).items() if files}
        assert marked(rig) == marked(rig, Outbox.EVENTS) == lots
        rig.drain(rig.units)
        rig.check_exactly_once()
        check(rig, Reader(rig))
        check(rig, Reader(rig, Outbox.EVENTS))


def two_objects(rig: Rig) -> BronzeObject:
    """Two objects in one lot; the first has days of its own."""
    bad = rig.upload("shipments", [shipment(n, 1 + n % 3) for n in range(6)])
    rig.upload("shipments", [shipment(n, 3 + n % 2) for n in range(5)])
    rig.deliver(rig.units)
    assert len(committed(rig)) == 1
    return bad


@pytest.mark.parametrize("is_published", [True, False], ids=["after publishing", "before publishing"])
def test_a_retraction_leaves_a_mark_wherever_it_stops(make: Callable[[], Rig], is_published: bool) -> None:
    def loaded() -> tuple[Rig, BronzeObject, Reader]:
        rig = make()
        bad = two_objects(rig)
        reader = Reader(rig)
        if is_published:
            reader.run()
        return rig, bad, reader

    rig, bad, _ = loaded()
    watch = Interrupter()
    assert retract(rig, bad, watch) is not None
    for at, call in enumerate(watch.calls, start=1):
        for before in (True, False):
            rig, bad, reader = loaded()
            assert retract(rig, bad, Interrupter(at, before, crash)) is None, call
            (lot,) = lots_of(rig)
            old = reader.files.get(lot.id, set())
            assert old <= set(rig.lake.files), "a file was deleted that the lake still names"
            rig.clock.advance(2 * INVOCATION_SECONDS)
            assert retract(rig, bad) is not None
            assert old <= set(rig.lake.files)
            check(rig, reader)
            rig.tidy()
            rig.forget(bad)
            rig.check_exactly_once()


def test_a_reader_that_stops_anywhere_meets_the_mark_again(make: Callable[[], Rig]) -> None:
    watch = Interrupter()
    shipments_and_nonsense(rig := make()).deliver(rig.units)
    Reader(rig).run(watch)
    for at in range(1, len(watch.calls) + 1):
        for before in (True, False):
            rig = shipments_and_nonsense(make())
            rig.deliver(rig.units)
            reader = Reader(rig)
            reader.run(Interrupter(at, before, crash))
            check(rig, reader)


def test_a_mark_that_a_rewrite_has_replaced_is_not_removed(make: Callable[[], Rig]) -> None:
    rig = make()
    bad = two_objects(rig)
    reader = Reader(rig)
    reader.run(meanwhile=lambda: retract(rig, bad))
    assert marked(rig)
    check(rig, reader)


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_rewrite_between_any_two_calls_of_a_reader_is_met_again(make: Callable[[], Rig], before: bool) -> None:
    two_objects(rig := make())
    watch = Interrupter()
    Reader(rig).run(watch)
    for at in range(1, len(watch.calls) + 1):
        rig = make()
        bad = two_objects(rig)
        reader = Reader(rig)
        reader.run(Interrupter(at, before, lambda rig=rig, bad=bad: retract(rig, bad)))  # type: ignore[misc]
        check(rig, reader)


def test_a_day_that_only_a_retry_has_written_is_told(make: Callable[[], Rig]) -> None:
    rig = make()
    rig.upload("shipments", [shipment(1, 2), shipment(1, 1).replace(b"2026-01-01", b"2026-02-09")])
    rig.deliver(rig.units)
    reader = Reader(rig, Outbox.EVENTS)
    reader.run()
    assert reader.partitions == {("shipments", "2026-01-02"): 1}
    wider = replace(rig.contracts["shipments"], max_ahead=timedelta(days=30), version="1.1.0")
    done = retry(rig, {**rig.contracts, "shipments": wider})
    assert done is not None
    assert done.passed.total() == 1
    reader.run()
    assert ("shipments", "2026-02-09") in reader.partitions


def test_partitions_of_a_generation_that_nobody_was_told_of_are_told_with_the_next(make: Callable[[], Rig]) -> None:
    rig = make()
    bad = two_objects(rig)
    retract(rig, bad)
    reader = Reader(rig, Outbox.EVENTS)
    reader.run()
    assert {day for _, day in reader.partitions} == {"2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"}


def test_the_second_rewrite_waits_until_the_lake_has_the_first(make: Callable[[], Rig]) -> None:
    rig = make()
    bad = two_objects(rig)
    worse = next(unit.object for unit in rig.units if unit.object.id != bad.id)
    reader = Reader(rig)
    reader.run()
    retract(rig, bad)
    waits: list[float] = []

    def wait_then_publish(seconds: float) -> None:
        waits.append(seconds)
        rig.clock.advance(seconds)
        if len(waits) == 3:
            reader.run()

    assert retract(rig, worse, sleep=wait_then_publish) is not None
    assert len(waits) == 3
    check(rig, reader)


def test_rewrites_leave_marks_although_only_the_ledger_knows_the_outbox(make: Callable[[], Rig]) -> None:
    rig = make()
    rig.outboxes = frozenset()
    bad = two_objects(rig)
    assert not marked(rig)
    rig.ledger.marks.open(Outbox.PUBLISH)
    retract(rig, bad)
    assert marked(rig)
    assert not marked(rig, Outbox.EVENTS)
    assert rig.ledger.marks.close_outbox(Outbox.PUBLISH) == 1
    rig.tidy()
    rig.forget(bad)
    rig.check_exactly_once()


def test_a_rewrite_that_began_before_anybody_read_marks_can_be_given_one(make: Callable[[], Rig]) -> None:
    rig = make()
    rig.outboxes = frozenset()
    bad = two_objects(rig)
    (lot,) = lots_of(rig)
    rig.ledger.rewrites.begin(lot, Intent(RETRACT, bad.id), 60)
    rig.ledger.marks.open(Outbox.PUBLISH)
    assert not marked(rig)
    (begun,) = lots_of(rig)
    rig.ledger.rewrites.leave_mark(begun)
    assert marked(rig) == {lot.id}
    assert not list(rig.ledger.marks.to_deal_with(Outbox.PUBLISH))
    rig.ledger.rewrites.undo(begun)
    (waiting,) = rig.ledger.marks.to_deal_with(Outbox.PUBLISH)
    assert waiting.mark.generation == 2
    rig.ledger.marks.remove(waiting.mark)
    rig.ledger.rewrites.leave_mark(begun)
    assert not marked(rig)


def test_a_lot_of_as_many_units_as_there_may_be_is_committed_and_retracted_with_its_marks(
    make: Callable[[], Rig],
) -> None:
    rig = make()
    rig.invocation_seconds = 6000
    line = shipment(10, 4)
    source = rig.upload("shipments", [line] * (MAX_UNITS_PER_LOT * rig.unit_bytes // (len(line) + 1)))
    rig.deliver(rig.units, lot_bytes=1 << 24)
    (lot,) = lots_of(rig)
    assert len(lot.units) == MAX_UNITS_PER_LOT
    assert marked(rig) == marked(rig, Outbox.EVENTS) == {lot.id}
    reader = Reader(rig)
    assert retract(rig, source) is not None
    check(rig, reader)
    assert not lots_of(rig)[0].units


def test_a_lot_leaves_the_ledger_only_when_its_mark_is_dealt_with(make: Callable[[], Rig]) -> None:
    rig, history = make(), MemoryHistory()
    rig.upload("shipments", [shipment(1)])
    load_everything(rig)
    rig.clock.advance(2 * DAY)
    done = run_archive(rig, history)
    assert (done.objects, done.lots, done.marked, done.expiring_lots) == (1, 0, 1, 0)
    for outbox in Outbox:
        Reader(rig, outbox).run()
    done = run_archive(rig, history)
    assert (done.lots, done.marked, done.expiring_lots) == (1, 0, 1)


@dataclass(frozen=True)
class Step:
    what: str
    step: int
    before: bool
    crashes: bool


STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(["deliver", "retract", "read"]),
        step=st.integers(0, 20),
        before=st.booleans(),
        crashes=st.booleans(),
    ),
    max_size=8,
)


@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(days=st.lists(st.integers(1, 4), min_size=3, max_size=9), steps=STEPS)
def test_marks_and_readers_agree_after_any_history(
    make: Callable[[], Rig], days: Sequence[int], steps: list[Step]
) -> None:
    """Whoever is interrupted is either gone, or another reader runs in between."""
    rig = make()
    thirds = [days[0::3], days[1::3], days[2::3]]
    sources = [rig.upload("shipments", [shipment(n, day) for n, day in enumerate(third)]) for third in thirds]
    reader, left, retracted = Reader(rig), list(sources), list[BronzeObject]()
    for number, step in enumerate(steps):
        interrupter = Interrupter(step.step, step.before, crash if step.crashes else reader.run)
        if step.what == "deliver":
            rig.deliver(rig.units[number % len(rig.units) :], interrupter, lot_bytes=2000)
        elif step.what == "retract" and left:
            bad = left[number % len(left)]
            retracted += [bad] if bad not in retracted else []
            retract(rig, bad, interrupter, sleep=lambda seconds: (rig.clock.advance(seconds), reader.run()))
        elif step.what == "read":
            reader.run(interrupter if step.crashes else None)
        for lot, files in reader.files.items():
            if lot in committed(rig):
                assert files <= set(rig.lake.files), "a file was deleted that the lake still names"
        rig.clock.advance(2 * INVOCATION_SECONDS)
    for bad in retracted:
        assert retract(rig, bad, sleep=lambda seconds: (rig.clock.advance(seconds), reader.run())) is not None
        rig.forget(bad)
    rig.drain(rig.units, lot_bytes=2000)
    check(rig, reader)
    rig.tidy()
    rig.check_exactly_once()
    assert all(lot.state is LotState.COMMITTED for lot in lots_of(rig))
