"""One object's rows leave the lake, whatever happens meanwhile; all other rows stay exactly once."""

from __future__ import annotations

import os
import re
import resource
import tempfile

import pytest

from local.stack import Clients
from services.ops.rewrite.files import ConservationError
from services.ops.rewrite.retraction import Retraction
from services.ops.rewrite.rewriting import LEASE_SECONDS
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.identities import LakeKey
from services.shared.ledger.records import Counts, LotState, ObjectState
from services.shared.ledger.releases import UNITS_AT_ONCE
from services.shared.units import BronzeObject, Unit
from tests.faults.rig import Rig, crash, shipment
from tests.support.archive import NoArchive
from tests.support.faults import Interrupter
from tests.support.lake import BRONZE
from tests.support.rewriting import ENDLESS, retract

BAD = b'{"event_time": 5}'


def two_files(rig: Rig) -> tuple[BronzeObject, BronzeObject]:
    """A wrong file and a right one, each with good and bad rows on several days and of several units."""
    wrong = rig.upload("shipments", [*(shipment(n, 1 + n % 3) for n in range(9)), BAD, b"{broken"])
    right = rig.upload("shipments", [*(shipment(n, 2 + n % 2) for n in range(9)), BAD])
    return wrong, right


def check_gone(rig: Rig, wrong: BronzeObject, rows: Counts) -> None:
    """Nothing of the object is in the lake, the ledger says so, and everything else is there once."""
    units = [unit for unit in rig.units if unit.object.id == wrong.id]
    rig.forget(wrong)
    rig.check_exactly_once()
    (known,) = rig.ledger.find_objects([wrong.id])
    assert known.state is ObjectState.RETRACTED
    assert known.retraction is not None
    assert known.retraction.rows == rows
    records = list(rig.ledger.find_units(unit.id for unit in units))
    assert len(records) == len(units)
    assert all(record.refused and record.lot is None for record in records)
    assert wrong.id not in set(rig.ledger.open_objects())
    assert not list(rig.ledger.open_lots())


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
@pytest.mark.parametrize("lots", ["in one lot with another file", "in lots of its own"])
def test_retracting_goes_on_wherever_it_stopped(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], before: bool, lots: str
) -> None:
    def loaded() -> tuple[Rig, BronzeObject]:
        rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=600)
        wrong, _ = two_files(rig)
        if lots == "in one lot with another file":
            rig.deliver(rig.units)
        else:
            for unit in rig.units:
                rig.deliver([unit])
        rig.check_exactly_once()
        return rig, wrong

    undisturbed, wrong = loaded()
    watch = Interrupter()
    done = retract(undisturbed, wrong, watch)
    assert done is not None
    assert done.rows == Counts(11, 9, 2)
    check_gone(undisturbed, wrong, Counts(11, 9, 2))

    for at, call in enumerate(watch.calls, start=1):
        rig, wrong = loaded()
        assert retract(rig, wrong, Interrupter(at, before, crash)) is None, call
        redelivered = rig.deliver(rig.units)
        assert redelivered is not None
        assert not redelivered.failed, call
        assert retract(rig, wrong) is not None
        check_gone(rig, wrong, Counts(11, 9, 2))


def test_only_files_that_change_are_written_again(rig: Rig) -> None:
    wrong = rig.upload("shipments", [shipment(1, day=1), shipment(2, day=2)])
    rig.upload("shipments", [shipment(3, day=2), shipment(4, day=3)])
    rig.deliver(rig.units)
    before = dict(rig.lake.files)
    done = retract(rig, wrong)
    assert done is not None
    assert (done.changes.lots, done.changes.written, done.changes.deleted) == (1, 1, 2)
    assert (done.others_before, done.others_after) == (Counts(2, 2, 0), Counts(2, 2, 0))
    kept = {key for key in rig.lake.files if key in before}
    (new,) = rig.lake.files.keys() - before.keys()
    assert {LakeKey.parse(key).dt for key in kept} == {"2026-01-03"}
    assert (LakeKey.parse(new).dt, LakeKey.parse(new).generation) == ("2026-01-02", 2)
    check_gone(rig, wrong, Counts(2, 2, 0))


def test_one_object_of_a_lot_of_many_leaves(rig: Rig) -> None:
    sources = [rig.upload("shipments", [shipment(n), BAD]) for n in range(60)]
    rig.deliver(rig.units)
    assert retract(rig, sources[17]) is not None
    check_gone(rig, sources[17], Counts(2, 1, 1))


def test_a_lot_of_many_more_files_than_a_process_may_open_is_rewritten(rig: Rig) -> None:
    wrong, _ = (rig.upload("shipments", [shipment(n, 1 + n) for n in range(31)]) for _ in range(2))
    rig.deliver(rig.units)
    assert len(rig.lake.files) == 31
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    unused = os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free
    os.close(unused)
    resource.setrlimit(resource.RLIMIT_NOFILE, (unused + 10, most))
    try:
        assert retract(rig, wrong) is not None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
    check_gone(rig, wrong, Counts(31, 31, 0))


def test_a_full_disk_is_named_and_keeps_the_lot_from_nobody(rig: Rig) -> None:
    wrong, _ = two_files(rig)
    rig.deliver(rig.units)
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
    try:
        with pytest.raises(OSError, match=re.escape(tempfile.gettempdir())):
            retract(rig, wrong)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    waits = list[float]()
    assert retract(rig, wrong, sleep=waits.append) is not None
    assert not waits, "for the lease of whoever had no room"
    check_gone(rig, wrong, Counts(11, 9, 2))


def test_files_may_be_written_for_longer_than_a_lease_lasts(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, _ = (rig.upload("shipments", [shipment(n, 1 + n) for n in range(31)]) for _ in range(2))
    rig.deliver(rig.units)
    put, keys = rig.lake.put, list[str]()

    def put_slowly(key: str, data: bytes) -> str:
        assert len(keys) < 31, "it began again"
        keys.append(key)
        rig.clock.advance(LEASE_SECONDS / 20)
        return put(key, data)

    monkeypatch.setattr(rig.lake, "put", put_slowly)
    assert retract(rig, wrong) is not None
    check_gone(rig, wrong, Counts(31, 31, 0))


def test_a_file_that_is_written_for_longer_than_a_lease_lasts_counts_while_nobody_takes_over(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, _ = two_files(rig)
    rig.deliver(rig.units)
    put, keys = rig.lake.put, list[str]()

    def put_slowly(key: str, data: bytes) -> str:
        assert key not in keys, "it began again"
        keys.append(key)
        rig.clock.advance(LEASE_SECONDS * 2)
        return put(key, data)

    monkeypatch.setattr(rig.lake, "put", put_slowly)
    assert retract(rig, wrong) is not None
    check_gone(rig, wrong, Counts(11, 9, 2))


def test_the_objects_of_a_lot_can_leave_one_after_the_other_until_nothing_is_left(rig: Rig) -> None:
    sources = [rig.upload("shipments", [shipment(n), BAD]) for n in range(3)]
    rig.deliver(rig.units)
    lots = list(rig.look_up().lots)
    for source in sources:
        assert retract(rig, source) is not None
        check_gone(rig, source, Counts(2, 1, 1))
    assert not any(lot.units or lot.files for lot in rig.ledger.find_lots(lots))
    assert not rig.lake.files


def test_two_operators_at_once_are_as_one(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> None:
    def loaded() -> tuple[Rig, BronzeObject]:
        rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=600)
        wrong, _ = two_files(rig)
        rig.deliver(rig.units)
        return rig, wrong

    rig, wrong = loaded()
    watch = Interrupter()
    retract(rig, wrong, watch)
    for at, call in enumerate(watch.calls, start=1):
        rig, wrong = loaded()
        second: list[object] = []
        interrupter = Interrupter(
            at, False, lambda rig=rig, wrong=wrong, second=second: second.append(retract(rig, wrong))
        )  # type: ignore[misc]
        assert retract(rig, wrong, interrupter) is not None, call
        assert second, call
        check_gone(rig, wrong, Counts(11, 9, 2))


def test_another_object_of_the_same_lot_is_retracted_side_by_side(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    def loaded() -> tuple[Rig, BronzeObject, BronzeObject]:
        rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=600)
        wrong, other = two_files(rig)
        rig.upload("shipments", [shipment(n) for n in range(3)])
        rig.deliver(rig.units)
        return rig, wrong, other

    rig, wrong, other = loaded()
    watch = Interrupter()
    retract(rig, wrong, watch)
    for at in range(1, len(watch.calls) + 1):
        rig, wrong, other = loaded()

        def another(rig: Rig = rig, other: BronzeObject = other) -> None:
            retract(rig, other)

        assert retract(rig, wrong, Interrupter(at, True, another)) is not None
        rig.forget(other)
        check_gone(rig, wrong, Counts(11, 9, 2))


class TestWhileItIsBeingLoaded:
    def test_at_every_step_of_the_worker(
        self, clients: Clients, ledger_table: str, contracts: dict[str, Contract]
    ) -> None:
        """The operator comes in between any two calls of a worker, and waits for it where he must."""

        def planned() -> tuple[Rig, BronzeObject]:
            rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=600)
            return rig, two_files(rig)[0]

        rig, wrong = planned()
        watch = Interrupter()
        rig.deliver(rig.units, watch)
        for at, call in enumerate(watch.calls, start=1):
            rig, wrong = planned()

            def in_between(rig: Rig = rig, wrong: BronzeObject = wrong) -> None:
                # The worker stands still meanwhile, so this waits until its lease is over, and longer.
                retract(rig, wrong)

            rig.deliver(rig.units, Interrupter(at, True, in_between))
            rig.drain(rig.units)
            done = retract(rig, wrong)
            assert done is not None
            (known,) = rig.ledger.find_objects([wrong.id])
            assert known.retraction is not None
            rig.delete_of_paused_worker()
            check_gone(rig, wrong, known.retraction.rows or Counts())
            assert call

    def test_the_lot_of_a_dead_worker_is_dissolved_and_its_other_units_are_loaded(self, rig: Rig) -> None:
        wrong, right = two_files(rig)
        rig.deliver(rig.units, Interrupter(first="put", before=False, action=crash))
        assert rig.lake.files
        done = retract(rig, wrong)
        assert done is not None
        assert rig.clock.now >= 1_800_000_000 + rig.invocation_seconds  # it waited for the lease
        assert not rig.lake.files
        rig.drain(rig.units)
        assert rig.state_of(right) is ObjectState.DONE
        check_gone(rig, wrong, Counts())

    def test_units_that_were_never_delivered_are_refused(self, rig: Rig) -> None:
        wrong, _ = two_files(rig)
        assert retract(rig, wrong) is not None
        rig.drain(rig.units)
        check_gone(rig, wrong, Counts())

    def test_a_planner_that_is_at_work_stops(self, rig: Rig) -> None:
        source = rig.lake.upload("bronze/shipments/planning.jsonl", shipment(1))
        planning = rig.ledger.objects.begin(source, 1 << 20, 60)
        rig.units += planning.plan
        assert retract(rig, source) is not None
        rig.ledger.objects.finish(planning)
        assert rig.state_of(source) is ObjectState.RETRACTED


class TestMessagesMeanwhileAndAfterwards:
    def test_deliveries_are_acknowledged_while_a_lot_is_rewritten(self, rig: Rig) -> None:
        wrong, _ = two_files(rig)
        rig.deliver(rig.units)
        results = []
        interrupter = Interrupter(first="read", action=lambda: results.append(rig.deliver(rig.units)))
        assert retract(rig, wrong, interrupter) is not None
        (result,) = results
        assert result is not None
        assert (result.duplicates, result.failed, result.dead) == (len(rig.units), {}, {})
        check_gone(rig, wrong, Counts(11, 9, 2))

    def test_deliveries_of_a_retracted_object_are_duplicates_and_forged_ones_are_refused(self, rig: Rig) -> None:
        wrong, _ = two_files(rig)
        rig.deliver(rig.units)
        retract(rig, wrong)
        (unit,) = [unit for unit in rig.units if unit.object.id == wrong.id]
        assert rig.deliver([unit]).duplicates == 1  # type: ignore[union-attr]
        forged = Unit(
            BronzeObject(BRONZE, wrong.key, wrong.size + 1, wrong.etag, None, wrong.created), 0, wrong.size + 1
        )
        result = rig.deliver([forged])
        assert result is not None
        assert list(result.dead) == [f"m-{forged.id}"]
        rig.dead_letters.sent.clear()
        check_gone(rig, wrong, Counts(11, 9, 2))


class TestTime:
    def test_what_runs_out_of_time_says_where_it_goes_on(self, rig: Rig) -> None:
        rig.unit_bytes = 50
        wrong = rig.upload("shipments", [shipment(n) for n in range(120)])
        assert len(rig.units) > 200
        looks = iter([1.0] + [0.0] * 1000)
        stopped = retract(rig, wrong, deadline=Deadline(lambda: next(looks, float("inf")), 0))
        assert stopped is not None
        assert stopped.place == UNITS_AT_ONCE
        assert rig.state_of(wrong) is ObjectState.RETRACTED
        assert wrong.id in set(rig.ledger.open_objects())
        done = retract(rig, wrong, place=stopped.place)
        assert done is not None
        assert done.place is None
        check_gone(rig, wrong, Counts())

    def test_a_worker_whose_lease_has_ended_writes_nothing_more(self, rig: Rig) -> None:
        wrong, _ = two_files(rig)
        rig.deliver(rig.units)

        def too_late() -> None:
            rig.clock.advance(61)
            assert retract(rig, wrong) is not None

        done = retract(rig, wrong, Interrupter(first="put", action=too_late))
        assert done is not None
        check_gone(rig, wrong, Counts(11, 9, 2))


def test_near_the_end_of_its_time_a_worker_does_not_ask_for_the_same_lease_again(rig: Rig) -> None:
    """A lot of many files is an item of hundreds of kilobytes: DynamoDB writes three of those in a second."""
    wrong, _ = (rig.upload("shipments", [shipment(n, 1 + n) for n in range(31)]) for _ in range(2))
    rig.deliver(rig.units)
    watch = Interrupter()
    assert retract(rig, wrong, watch, Deadline(lambda: 20.0, 15.0)) is not None
    assert watch.calls.count("update_item") < 10 < watch.calls.count("put")
    check_gone(rig, wrong, Counts(31, 31, 0))


def test_an_object_that_was_let_in_again_is_loaded_again(rig: Rig) -> None:
    wrong, _ = two_files(rig)
    rig.deliver(rig.units)
    retract(rig, wrong)
    retraction = Retraction(rig.ledger, rig.lake, "Ann", "wrong", NoArchive(), rig.clock)
    assert retraction.let_in_again(wrong.id, ENDLESS).was_retracted
    (known,) = rig.ledger.find_objects([wrong.id])
    assert (known.state, known.sent, known.lease_until) == (ObjectState.PLANNING, 0, 0)
    planning = rig.ledger.objects.begin(wrong, 1, 60)
    assert planning.plan == known.plan
    rig.ledger.objects.finish(planning)
    rig.drain(rig.units)
    rig.check_exactly_once()
    assert rig.state_of(wrong) is ObjectState.DONE
    assert retract(rig, wrong) is not None
    check_gone(rig, wrong, Counts(11, 9, 2))


def test_files_that_are_not_what_the_ledger_says_leave_the_lot_as_it_was(rig: Rig) -> None:
    wrong, _ = two_files(rig)
    rig.deliver(rig.units)
    (lot,) = rig.look_up().lots.values()
    spoiled = next(file for file in lot.files if file.key.startswith("silver/"))
    kept = rig.lake.files.pop(spoiled.key)
    with pytest.raises(ConservationError, match="smelt reload"):
        retract(rig, wrong)
    (after,) = rig.look_up().lots.values()
    assert (after.state, after.files, after.counts) == (LotState.COMMITTED, lot.files, lot.counts)
    assert not after.leftovers
    rig.lake.files[spoiled.key] = kept
    assert retract(rig, wrong) is not None
    check_gone(rig, wrong, Counts(11, 9, 2))


def test_an_object_whose_quarantine_has_expired_can_still_be_retracted(rig: Rig) -> None:
    wrong, right = two_files(rig)
    rig.deliver(rig.units)
    (lot,) = rig.look_up().lots.values()
    rig.lake.delete([file.key for file in lot.files if file.key.startswith("quarantine/")])
    done = retract(rig, wrong)
    assert done is not None
    assert done.rows == Counts(11, 9, 2)
    (after,) = rig.look_up().lots.values()
    assert after.counts == Counts(10, 9, 1)
    assert {row["_source"] for row in rig.lake.rows("silver")} == {str(right.id)}
    assert sum(file.rows for file in after.files) == 10
