"""A lot that can never be committed has an end: nothing of it stays in Silver, and its units are tried alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from services.shared.contract.model import Contract
from services.shared.ledger.records import LeaseLost, LotState, ObjectState
from services.shared.units import BronzeObject
from services.transform.protocol.lots import MAX_TAKE_OVERS
from services.transform.reading.reader import UnitReader
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipment
from tests.support.faults import Interrupter
from tests.support.readers import SlowReader


def abandoned_lot(rig: Rig) -> None:
    """Two objects in a lot whose worker died after it had written its first file."""
    rig.upload("shipments", [shipment(number, 1 + number % 3) for number in range(6)])
    rig.upload("shipments", [shipment(number, 1 + number % 3) for number in range(5)])
    assert rig.deliver(rig.units, Interrupter(first="put", before=False, action=crash)) is None
    assert len(rig.lake.files) == 1
    rig.clock.advance(2 * INVOCATION_SECONDS)


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_dissolving_goes_on_wherever_its_worker_stops(rig: Rig, before: bool) -> None:
    """A unit of the lot is gone; the worker that dissolves the lot dies at each of its calls."""
    for step in range(1, 40):
        abandoned_lot(rig)
        units = rig.units
        vanished = units[1].object
        del rig.lake.objects[str(vanished.id)]
        died = rig.deliver(units, Interrupter(step, before, crash)) is None
        rig.drain(units)
        assert len(rig.dead_letters.sent) == 1
        rig.dead_letters.sent.clear()
        rig.forget(vanished)
        rig.check_exactly_once()
        if not died:
            return
        rig.lake.files.clear()
        rig.units.clear()
        rig.expected.clear()
    raise AssertionError("the worker died at every step")


def test_a_lot_that_always_kills_its_worker_is_dissolved_after_three_take_overs(rig: Rig) -> None:
    abandoned_lot(rig)
    for number in range(MAX_TAKE_OVERS):
        (lot,) = rig.look_up().lots.values()
        assert lot.take_overs == number
        assert rig.deliver(rig.units, Interrupter(first="open", before=True, action=crash)) is None
        rig.clock.advance(2 * INVOCATION_SECONDS)
    result = rig.deliver(rig.units)
    assert result is not None
    assert len(result.failed) == 2
    assert result.dissolved == 1
    found = rig.look_up()
    assert not found.lots
    assert not rig.lake.files
    assert {notes.suspect for notes in found.notes.values()} == {1}
    rig.drain(rig.units)
    assert len(rig.look_up().lots) == 2  # each alone
    rig.check_exactly_once()


def test_a_worker_that_was_paused_while_dissolving_deletes_nothing_that_is_committed(rig: Rig) -> None:
    """It sleeps right before each delete for longer than its lease, and others finish the work meanwhile."""
    abandoned_lot(rig)
    vanished = rig.units[1].object
    content = rig.lake.objects.pop(str(vanished.id))

    def others_finish() -> None:
        rig.clock.advance(2 * INVOCATION_SECONDS)
        rig.lake.objects[str(vanished.id)] = content  # an outage, after all
        rig.drain(rig.units)

    rig.deliver(rig.units, Interrupter(first="delete", before=True, action=others_finish))
    rig.drain(rig.units)
    rig.check_exactly_once()


def test_a_lot_whose_lists_do_not_fit_is_refused_before_anything_is_written(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.shared.ledger import items, lots

    monkeypatch.setattr(lots, "FILES_THAT_SURELY_FIT", 0)
    monkeypatch.setattr(items, "MAX_LOT_BYTES", 300)
    source = rig.upload("shipments", [shipment(number, 1 + number % 28) for number in range(28)])
    calls = Interrupter()
    result = rig.deliver(rig.units, calls)
    assert result is not None
    assert not result.failed
    assert "put" not in calls.calls
    check_rejected_as_too_wide(rig, source)


def check_rejected_as_too_wide(rig: Rig, source: BronzeObject) -> None:
    (known,) = rig.ledger.find_objects([source.id])
    assert (known.state, known.reason) == (ObjectState.REJECTED, "too_wide")
    assert "too many different days" in known.advice
    assert not rig.lake.files
    assert not rig.look_up().lots
    assert not rig.dead_letters.sent


@pytest.mark.parametrize("crashes", [False, True], ids=["at once", "after a crash"])
def test_an_object_in_parts_whose_lists_do_not_fit_is_rejected_in_its_first_execution(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, crashes: bool
) -> None:
    """It was written and deleted five times before it was a dead letter."""
    from services.shared.ledger import items

    monkeypatch.setattr(items, "MAX_LOT_BYTES", 1200)
    lines = [shipment(number, 1 + number % 28) for number in range(200)]
    source = rig.upload("shipments", lines, suffix=".jsonl.gz")
    if crashes:
        assert rig.deliver(rig.units, Interrupter(first="put", before=False, action=crash), lot_bytes=2048) is None
        rig.clock.advance(2 * INVOCATION_SECONDS)
    calls = Interrupter()
    result = rig.deliver(rig.units, calls, lot_bytes=2048)
    assert result is not None
    assert not result.failed
    assert "put" in calls.calls
    check_rejected_as_too_wide(rig, source)


def test_an_object_is_not_rejected_while_files_of_it_may_be_left(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lists do not fit, and S3 refuses to delete what was written."""
    from services.shared.ledger import items

    monkeypatch.setattr(items, "MAX_LOT_BYTES", 1200)
    source = rig.upload("shipments", [shipment(n, 1 + n % 28) for n in range(200)], suffix=".jsonl.gz")
    assert rig.deliver(rig.units, Interrupter(first="put", before=False, action=crash), lot_bytes=2048) is None

    def refuse() -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no s3:DeleteObject"}}, "DeleteObjects")

    for _ in range(2):
        rig.clock.advance(2 * INVOCATION_SECONDS)
        result = rig.deliver(rig.units, Interrupter(first="delete", before=True, action=refuse), lot_bytes=2048)
        assert result is not None
        assert result.failed
        assert rig.lake.files
        assert rig.state_of(source) is ObjectState.PLANNED
    rig.drain(rig.units, lot_bytes=2048)
    check_rejected_as_too_wide(rig, source)


def test_a_resumed_lot_whose_lists_do_not_fit_any_more_is_dissolved(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.shared.ledger import items, lots

    abandoned_lot(rig)
    monkeypatch.setattr(lots, "FILES_THAT_SURELY_FIT", 0)
    monkeypatch.setattr(items, "MAX_LOT_BYTES", 250)
    rig.deliver(rig.units)
    assert not rig.lake.files
    assert not rig.look_up().lots
    monkeypatch.undo()
    rig.drain(rig.units)
    rig.check_exactly_once()


class TestFilesThatAnotherContractVersionWrote:
    """The window of event times is narrower in the new version: some files of the first execution have no rows now."""

    def narrower(self, rig: Rig) -> dict[str, Contract]:
        contract = rig.contracts["shipments"]
        earliest = contract.earliest.replace(year=2026, month=1, day=2)
        return {**rig.contracts, "shipments": replace(contract, version="9.0.0", earliest=earliest)}

    def first_version_dies(self, rig: Rig) -> dict[str, Contract]:
        rig.upload("shipments", [shipment(number, 1 + number % 3) for number in range(6)])
        new = self.narrower(rig)
        assert rig.deliver(rig.units, Interrupter(first="put", before=False, action=crash)) is None
        rig.clock.advance(2 * INVOCATION_SECONDS)
        return new

    @pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
    def test_are_deleted_after_the_commit_wherever_the_worker_stops(self, rig: Rig, before: bool) -> None:
        for step in range(1, 40):
            new = self.first_version_dies(rig)
            old_files = set(rig.lake.files)
            assert old_files
            died = rig.deliver(rig.units, Interrupter(step, before, crash), contracts=new) is None
            for _ in range(3):  # a duplicate of the message tidies up what the dead worker left
                rig.clock.advance(2 * INVOCATION_SECONDS)
                rig.deliver(rig.units, contracts=new)
            rig.check_exactly_once()
            assert {row["reason"] for row in rig.lake.rows("quarantine")} == {"out_of_window"}
            if not died:
                return
            rig.lake.files.clear()
            rig.units.clear()
            rig.expected.clear()
        raise AssertionError("the worker died at every step")


def test_a_late_write_never_replaces_a_file_of_another_contract_version(rig: Rig) -> None:
    """A worker is paused beyond its lease between the fence and the write. Its file is one that no lot names."""
    other = TestFilesThatAnotherContractVersionWrote()
    rig.upload("shipments", [shipment(number, 2 + number % 2) for number in range(6)])
    committed: dict[str, str] = {}

    def others_finish() -> None:
        rig.clock.advance(2 * INVOCATION_SECONDS)
        result = rig.deliver(rig.units, contracts=other.narrower(rig))
        assert result is not None
        assert not result.failed
        rig.check_exactly_once()
        committed.update({key: rig.lake.etag(key) for key in rig.lake.files})

    rig.deliver(rig.units, Interrupter(first="put", before=True, action=others_finish))
    assert committed
    assert committed == {key: rig.lake.etag(key) for key in committed}
    (late,) = set(rig.lake.files) - set(committed)
    rig.lake.delete([late])  # what `smelt audit` calls an orphan file
    rig.check_exactly_once()


WORKERS_THAT_CUT_OTHERWISE: dict[str, tuple[Callable[[Rig], Any], Callable[[Rig], Any]]] = {
    "one had less time": (
        lambda rig: lambda lake: SlowReader(lake, rig.clock, 5),
        lambda rig: lambda lake: SlowReader(lake, rig.clock, 0),
    ),
    "one allows longer rows": (
        lambda _: lambda lake: UnitReader(lake, max_row_bytes=150, block_bytes=512),
        lambda _: lambda lake: UnitReader(lake, max_row_bytes=4096, block_bytes=512),
    ),
}


@pytest.mark.parametrize("readers", WORKERS_THAT_CUT_OTHERWISE.values(), ids=WORKERS_THAT_CUT_OTHERWISE)
def test_a_late_write_never_replaces_a_file_with_other_rows(rig: Rig, readers: Any) -> None:
    """As before, under the same contract version."""
    late, other = readers
    rows = [shipment(number) for number in range(60)]
    rig.upload("shipments", [*rows, shipment(60)[:-1] + b', "extra": "' + b"x" * 200 + b'"}'], ".jsonl.gz")
    committed: dict[str, str] = {}

    def others_finish() -> None:
        rig.clock.advance(2 * INVOCATION_SECONDS)
        rig.reader = other(rig)
        result = rig.deliver(rig.units)
        assert result is not None
        assert not result.failed
        rig.check_exactly_once()
        committed.update({key: rig.lake.etag(key) for key in rig.lake.files})

    rig.reader = late(rig)
    rig.deliver(rig.units, Interrupter(first="put", before=True, action=others_finish))
    assert committed
    assert committed == {key: rig.lake.etag(key) for key in committed}


def test_a_commit_of_a_lot_that_was_taken_over_is_refused(rig: Rig) -> None:
    abandoned_lot(rig)
    (lot,) = rig.look_up().lots.values()
    assert lot.state is LotState.PENDING
    rig.ledger.lots.take_over(lot, lot.contracts, 60)
    with pytest.raises(LeaseLost):
        rig.ledger.lots.commit(lot, [], [])
    with pytest.raises(LeaseLost):
        rig.ledger.lots.begin_dissolving(lot)
