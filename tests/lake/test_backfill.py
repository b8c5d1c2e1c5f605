"""Enabling the lake over a ledger that has been in use: everything that is committed comes into the tables, once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from pyiceberg.exceptions import NoSuchTableError

from services.ops.history.reader import History
from services.ops.lake import backfill
from services.ops.lake.backfill import GRACE_MS, Backfill
from services.ops.lake.catalog import sqlite_catalog
from services.ops.lake.check import check_table
from services.ops.lake.publish import Publisher
from services.shared.deadline import Deadline
from services.shared.ledger.marks import Marks
from services.shared.ledger.records import Outbox
from services.shared.units import BronzeObject
from tests.faults.rig import crash, shipment
from tests.lake.compacting import compact
from tests.lake.rig import ENDLESS, LakeRig, Make, day
from tests.support.faults import Interrupter
from tests.support.history import DAY, let_expire, load_everything, run_archive
from tests.support.rewriting import retract

GRACE = GRACE_MS / 1000


def in_use(lake: LakeRig) -> LakeRig:
    """Lots of two days, committed before there was a lake."""
    lake.rig.outboxes = frozenset()
    for first in (0, 10):
        lake.rig.upload("shipments", [shipment(first + n, 1 + n % 2) for n in range(4)])
        lake.rig.deliver(lake.rig.units[-1:])
    return lake


def test_enabling_brings_what_was_committed_before(lake: LakeRig) -> None:
    in_use(lake)
    done = lake.backfill()
    assert done is not None
    assert (done.added, done.listed, done.all_right) == (4, 4, True)
    lake.check()


def test_every_dataset_has_a_table_even_where_it_has_no_rows(lake: LakeRig) -> None:
    in_use(lake).backfill()
    assert all(lake.catalog().find(dataset) is not None for dataset in lake.contracts)


def test_a_second_pass_finds_what_workers_without_the_setting_have_committed_meanwhile(lake: LakeRig) -> None:
    in_use(lake).backfill()
    lake.rig.upload("shipments", [shipment(20)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Marks, "settle", lambda _: None)  # a worker that began before the lake was enabled
        lake.rig.deliver(lake.rig.units[-1:])
    lake.rig.clock.advance(GRACE / 2)
    early = lake.backfill()
    assert early is not None
    assert early.listed == 0
    lake.rig.clock.advance(GRACE)
    late = lake.backfill()
    assert late is not None
    assert (late.listed, late.added) == (5, 1)
    lake.check()
    after = lake.backfill()
    assert after is not None
    assert after.listed == 0


def test_what_only_the_history_has_comes_too(lake: LakeRig) -> None:
    in_use(lake)
    load_everything(lake.rig)
    before = lake.in_silver()
    lake.rig.clock.advance(2 * DAY)
    run_archive(lake.rig, lake.history)
    let_expire(lake.rig)
    assert not lake.lots()
    done = lake.backfill()
    assert done is not None
    assert done.added == 4
    assert lake.positions() == before


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_once_wherever_it_stops(make: Make, before: bool) -> None:
    watch = Interrupter()
    in_use(make()).backfill(watch)
    step = 3  # of which each is like the next: every dataset has the same calls
    for at in range(1, len(watch.calls) + 1, step):
        lake = in_use(make())
        lake.backfill(Interrupter(at, before, crash))
        lake.rig.clock.advance(2000)
        lake.backfill()
        lake.check()


def two_objects(lake: LakeRig) -> BronzeObject:
    lake.rig.outboxes = frozenset()
    bad = lake.rig.upload("shipments", [shipment(n, 1 + n % 2) for n in range(4)])
    lake.rig.upload("shipments", [shipment(n, 1) for n in range(10, 13)])
    lake.rig.deliver(lake.rig.units)
    return bad


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_retraction_that_is_under_way_when_the_lake_is_enabled(make: Make, before: bool) -> None:
    """Its lot was taken for rewriting before anybody read marks; it ends after the backfill has been there."""
    watch = Interrupter()
    lake = make()
    retract(lake.rig, two_objects(lake), watch)
    for at in range(1, len(watch.calls) + 1):
        lake = make()
        bad = two_objects(lake)

        def enabled(lake: LakeRig = lake) -> None:
            assert lake.backfill() is not None

        retract(lake.rig, bad, Interrupter(at, before, enabled))
        for _ in range(2):
            lake.rig.clock.advance(2 * GRACE)
            assert lake.backfill() is not None
        lake.check()
        lake.rig.tidy()
        lake.check()
        assert str(bad.id) not in set(lake.rows()["_source"].to_pylist())


def test_doing_it_again_leaves_compacted_partitions_as_they_are(lake: LakeRig) -> None:
    in_use(lake).backfill()
    compact(lake, day(1))
    rows = lake.positions()
    done = lake.backfill(again=True)
    assert done is not None
    assert (done.listed, done.snapshots) == (4, 0)
    assert lake.positions() == rows


def test_doing_it_again_heals_a_mark_that_was_lost(lake: LakeRig) -> None:
    in_use(lake).backfill()
    lake.rig.upload("shipments", [shipment(30)])
    lake.rig.deliver(lake.rig.units[-1:])
    lake.publish()
    assert lake.positions() != lake.in_silver()
    lake.backfill(again=True)
    lake.check()


def test_a_mark_that_a_worker_left_after_the_lake_was_off_does_not_stay_for_ever(lake: LakeRig) -> None:
    """The lot is rewritten while nobody reads marks; then the lake is enabled again."""
    marks = lake.rig.ledger.marks
    bad = lake.rig.upload("shipments", [shipment(n) for n in range(4)])
    lake.rig.upload("shipments", [shipment(n) for n in range(10, 14)])
    lake.rig.deliver(
        lake.rig.units, Interrupter(action=lambda: marks.close_outbox(Outbox.PUBLISH), first="transact_write_items")
    )
    lake.rig.outboxes = frozenset()
    assert not marks.opened()
    retract(lake.rig, bad)
    lake.rig.tidy()
    assert len(list(lake.rig.ledger.open_entries(Outbox.PUBLISH))) == 1
    for _ in range(2):
        lake.backfill()
        lake.rig.clock.advance(2 * GRACE)
    lake.check()


def _off_and_without_tables(lake: LakeRig) -> None:
    lake.rig.ledger.marks.close_outbox(Outbox.PUBLISH)
    catalog = sqlite_catalog(lake.folder / "catalog.db")
    for dataset in lake.contracts:
        with suppress(NoSuchTableError):
            catalog.drop_table(("lake", dataset))


def test_enabling_again_brings_everything_at_once(lake: LakeRig) -> None:
    """What the passes of before have come to is no matter: the tables are new."""
    in_use(lake).backfill()
    lake.rig.clock.advance(2 * GRACE)
    lake.backfill()
    _off_and_without_tables(lake)
    load_lot(lake)
    lake.rig.clock.advance(60)
    done = lake.backfill()
    assert done is not None
    assert (done.listed, done.added) == (5, 5)
    lake.check()


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "not closed"])
def test_what_was_committed_while_the_lake_was_off(lake: LakeRig, closed: bool) -> None:
    """`lake_enabled` off and on again, with `smelt publish off` in between and without."""
    in_use(lake).backfill()
    lake.rig.clock.advance(2 * GRACE)
    lake.backfill()
    lake.rig.outboxes = frozenset()
    if closed:
        lake.rig.ledger.marks.close_outbox(Outbox.PUBLISH)
    load_lot(lake)
    lake.rig.clock.advance(DAY)
    lake.backfill()
    lake.check()
    lake.rig.upload("shipments", [shipment(50)])
    lake.rig.deliver(lake.rig.units[-1:])  # by a worker that does not have the setting again yet
    for _ in range(2):
        lake.rig.clock.advance(2 * GRACE)
        lake.backfill()
    lake.check()
    after = lake.backfill()
    assert after is not None
    assert after.listed == 0


def test_enabling_again_does_not_go_on_where_a_pass_of_before_has_stopped(lake: LakeRig) -> None:
    in_use(lake)
    ledger, catalog, store = lake.parts()
    files = lake.in_silver()
    left = iter([60.0, 60.0])  # a page of one file, and time is over
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backfill, "FILES_AT_ONCE", 1)
        deadline = Deadline(lambda: next(left, 0.0), 1.0)
        publisher = Publisher(ledger, catalog, store, lake.contracts, ENDLESS, removers=1)
        ledger.marks.open(Outbox.PUBLISH)
        Backfill(
            ledger,
            catalog,
            store,
            {"shipments": lake.contracts["shipments"]},
            History(lake.history),
            publisher,
            deadline,
        ).run()
    assert not publisher.done.finished
    assert 0 < lake.positions().total() < files.total()
    _off_and_without_tables(lake)
    lake.rig.clock.advance(60)
    lake.backfill()
    lake.check()


@pytest.mark.parametrize("compacted", [False, True], ids=["live", "compacted"])
def test_what_was_retracted_while_the_lake_was_off_leaves_tables_that_nobody_dropped(
    lake: LakeRig, compacted: bool
) -> None:
    """Its files are deleted, so no listing names their lot, and whoever reads the table runs into them."""
    whole = lake.rig.upload("shipments", [shipment(n) for n in range(4)])
    lake.rig.deliver(lake.rig.units[-1:])
    lake.rig.upload("shipments", [shipment(n) for n in range(10, 14)])
    lake.rig.deliver(lake.rig.units[-1:])
    lake.backfill()
    if compacted:
        assert compact(lake, day(1)) is not None
    lake.rig.ledger.marks.close_outbox(Outbox.PUBLISH)
    lake.rig.outboxes = frozenset()
    retract(lake.rig, whole)
    lake.rig.tidy()
    lake.rig.clock.advance(60)
    ledger, catalog, store = lake.parts()
    checked = check_table(ledger, catalog, store, History(lake.history), "shipments")
    assert [key.split("/")[1] for key in checked.stale] == ["shipments"]
    done = lake.backfill()
    assert done is not None
    assert done.all_right, done.problems
    lake.check()
    assert check_table(ledger, catalog, store, History(lake.history), "shipments").all_right


def load_lot(lake: LakeRig) -> None:
    lake.rig.upload("shipments", [shipment(40)])
    lake.rig.deliver(lake.rig.units[-1:])


def test_a_field_that_left_the_contract_before_there_was_a_lake_comes_with_its_files(lake: LakeRig) -> None:
    in_use(lake)
    shipments = lake.contracts["shipments"]
    fields = tuple(field for field in shipments.fields if field.name != "weight_kg")
    retired = tuple((field.name, field.id) for field in shipments.fields if field.name == "weight_kg")
    lake.contracts = {**lake.contracts, "shipments": replace(shipments, fields=fields, retired=retired)}
    done = lake.backfill()
    assert done is not None
    assert (done.added, done.problems) == (4, [])
    lake.check()
    assert sorted(lake.rows()["weight_kg"].to_pylist()) == [0.5, 1.5, 2.5, 3.5, 10.5, 11.5, 12.5, 13.5]
    lake.rig.contracts = lake.contracts
    lake.rig.upload("shipments", [shipment(20)])
    lake.rig.deliver(lake.rig.units[-1:])
    assert lake.backfill(again=True) is not None
    lake.check()
    assert lake.rows()["weight_kg"].null_count == 1
    assert compact(lake, day(1)) is not None
    assert lake.rows()["weight_kg"].null_count == 1


def test_a_lot_whose_file_was_away_waits_for_it(lake: LakeRig) -> None:
    in_use(lake)
    file = next(iter(sorted((lake.folder / "silver").rglob("*.parquet"))))
    data = file.read_bytes()
    file.write_bytes(b"changed by hand")
    for _ in range(2):  # both passes
        done = lake.backfill()
        assert done is not None
        assert len(done.problems) == 1
        lake.rig.clock.advance(2 * GRACE)
    later = lake.backfill()
    assert later is not None
    assert len(later.problems) == 1  # until somebody has looked at it
    file.write_bytes(data)
    lake.publish()
    lake.check()
