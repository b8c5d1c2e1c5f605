"""Publishing: every committed row is in its table exactly once, whoever dies where and whoever else publishes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from services.ops.rewrite.retraction import Retraction
from services.shared.contract.model import Field, FieldType
from services.shared.ledger.records import Outbox
from services.shared.units import BronzeObject
from tests.faults.rig import crash, shipment
from tests.lake.rig import LakeRig, Make, day
from tests.support.archive import NoArchive
from tests.support.faults import Interrupter
from tests.support.rewriting import ENDLESS, retract


def two_lots(lake: LakeRig) -> LakeRig:
    for first in (0, 10):
        lake.rig.upload("shipments", [*(shipment(first + n, 1 + n % 3) for n in range(5)), b"{broken"])
        lake.rig.deliver(lake.rig.units[-1:])
    return lake


def test_committed_rows_are_in_the_table_over_the_very_files_of_silver(lake: LakeRig) -> None:
    two_lots(lake)
    done = lake.publish()
    assert done is not None
    assert (done.lots, done.snapshots, done.added, done.all_right) == (2, 1, 6, True)
    lake.check()
    files = {task.file.file_path for task in lake.table().scan().plan_files()}
    assert files == {f"file://{path}" for path in (lake.folder / "silver").resolve().rglob("*.parquet")}
    (snapshot,) = lake.table().snapshots()
    assert snapshot.summary is not None
    assert snapshot.summary["smelt.lots"] == ",".join(sorted(str(lot.id) for lot in lake.lots()))


def test_what_is_published_is_not_published_again(lake: LakeRig) -> None:
    two_lots(lake).publish()
    again = lake.publish()
    assert again is not None
    assert (again.lots, again.snapshots) == (0, 0)
    lake.check()
    assert lake.snapshots() == 1


def test_each_day_is_a_partition(lake: LakeRig) -> None:
    two_lots(lake).publish()
    partitions = lake.table().inspect.partitions().to_pylist()
    assert sorted(str(one["partition"]["dt"]) for one in partitions) == [day(1), day(2), day(3)]


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_exactly_once_wherever_the_publisher_stops(make: Make, before: bool) -> None:
    watch = Interrupter()
    assert two_lots(make()).publish(watch, lots_per_commit=1) is not None
    assert watch.calls.count("commit_table") >= 4
    for at, call in enumerate(watch.calls, start=1):
        lake = two_lots(make())
        stopped = lake.publish(Interrupter(at, before, crash), lots_per_commit=1) is None
        assert stopped or call in {"load_table", "create_table"}, call  # which raise where there is nothing yet
        lake.settle()
        lake.check()


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_two_publishers_publish_once(make: Make, before: bool) -> None:
    """The second one runs between any two calls of the first, its lease being over by then."""
    watch = Interrupter()
    two_lots(make()).publish(watch)
    for at in range(1, len(watch.calls) + 1):
        lake = two_lots(make())

        def second(lake: LakeRig = lake) -> None:
            lake.rig.clock.advance(2000)
            lake.publish()

        lake.publish(Interrupter(at, before, second))
        lake.settle()
        lake.check()


def test_a_table_that_somebody_else_works_on_is_left_for_later(lake: LakeRig) -> None:
    two_lots(lake)
    lease = lake.rig.ledger.leases.take("lake#shipments", 60)
    done = lake.publish()
    assert done is not None
    assert (done.busy, done.lots) == (["shipments"], 0)
    lake.rig.ledger.leases.return_lease(lease)
    lake.publish()
    lake.check()


def test_a_retracted_object_leaves_the_table_and_its_old_snapshots(lake: LakeRig) -> None:
    bad = lake.rig.upload("shipments", [shipment(n, 1 + n % 2) for n in range(4)])
    lake.rig.upload("shipments", [shipment(n, 1) for n in range(10, 13)])
    lake.rig.deliver(lake.rig.units)
    lake.publish()
    before = {file.key for lot in lake.lots() for file in lot.files}
    retract(lake.rig, bad)
    assert all((lake.folder / key).exists() for key in before)
    done = lake.publish()
    assert done is not None
    assert (done.removed, done.forgotten) == (2, 1)
    lake.check()
    assert lake.snapshots() == 1
    assert str(bad.id) not in set(lake.rows()["_source"].to_pylist())
    lake.rig.tidy()
    assert not any((lake.folder / key).exists() for key in before)
    assert lake.rows().num_rows == 3


def test_the_table_as_it_was_is_never_told_wrong_after_a_retraction(lake: LakeRig) -> None:
    """The snapshots since the retracted file are gone: for their time, the one before would lack S3."""
    told = {}
    for number in (1, 2, 3):
        source = lake.rig.upload("shipments", [shipment(number, number)])
        lake.rig.deliver(lake.rig.units[-1:])
        lake.publish()
        snapshot = lake.table().current_snapshot()
        assert snapshot is not None
        told[number] = source, snapshot.timestamp_ms
    assert lake.table().snapshot_as_of_timestamp(told[3][1]) is not None
    retract(lake.rig, told[2][0])
    lake.publish()
    lake.check()
    assert lake.table().snapshot_as_of_timestamp(told[3][1]) is None
    now = lake.table().current_snapshot()
    assert now is not None
    assert lake.table().snapshot_as_of_timestamp(now.timestamp_ms) == now
    first = min(lake.table().snapshots(), key=lambda one: one.timestamp_ms)
    assert lake.rows(snapshot=first.snapshot_id)["shipment_id"].to_pylist() == ["S1"]


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_swap_is_made_once_wherever_it_stops(make: Make, before: bool) -> None:
    def retracted() -> LakeRig:
        lake = make()
        bad = lake.rig.upload("shipments", [shipment(n, 1 + n % 2) for n in range(4)])
        lake.rig.upload("shipments", [shipment(n, 1) for n in range(10, 13)])
        lake.rig.deliver(lake.rig.units)
        lake.publish()
        retract(lake.rig, bad)
        return lake

    watch = Interrupter()
    retracted().publish(watch)
    for at, call in enumerate(watch.calls, start=1):
        lake = retracted()
        assert lake.publish(Interrupter(at, before, crash)) is None, call
        lake.rig.tidy()
        assert lake.rows().num_rows in (3, 7)  # no file is gone that the table names
        lake.settle()
        lake.check()
        assert all(task.file.file_path for task in lake.table().scan().plan_files())
        for snapshot in lake.table().snapshots():
            lake.rows(snapshot=snapshot.snapshot_id)


def test_a_lot_that_dissolves_is_never_published(make: Make) -> None:
    watch = Interrupter()
    probe = make()
    probe.rig.upload("shipments", [shipment(1)])
    probe.rig.deliver(probe.rig.units, watch)
    for at in range(1, len(watch.calls) + 1):
        lake = make()
        source = lake.rig.upload("shipments", [shipment(n, 1 + n % 3) for n in range(4)])
        lake.rig.upload("shipments", [shipment(9)])
        lake.rig.deliver(lake.rig.units, Interrupter(at, False, crash))
        lake.publish()
        assert lake.positions() == lake.in_silver()
        if not lake.lots():
            del lake.rig.lake.objects[str(source.id)]  # type: ignore[attr-defined]
        lake.rig.clock.advance(200)
        lake.rig.drain(lake.rig.units)
        lake.settle()
        lake.check()


def test_a_missing_file_keeps_its_lot_and_no_other(lake: LakeRig) -> None:
    two_lots(lake)
    lost = sorted(Path(lake.folder / "silver").rglob("*.parquet"))[0]
    data = lost.read_bytes()
    lost.unlink()
    done = lake.publish()
    assert done is not None
    assert done.lots == 1
    assert not done.all_right
    assert f"{lost.name} is missing" in done.problems[0]
    assert len(list(lake.rig.ledger.open_entries(Outbox.PUBLISH))) == 1
    lost.write_bytes(data)
    lake.publish()
    lake.check()


def test_rows_of_several_datasets_in_one_lot_go_to_their_tables(lake: LakeRig) -> None:
    other = b'{"record_type": "tracking_events", "event_time": "2026-01-09T00:00:00Z", "shipment_id": "S1", '
    other += b'"status": "DELIVERED", "city": "Oslo"}'
    lake.rig.upload("shipments", [shipment(1), other])
    lake.rig.deliver(lake.rig.units)
    lake.publish()
    lake.check("shipments", "tracking_events")
    assert (lake.rows("shipments").num_rows, lake.rows("tracking_events").num_rows) == (1, 1)


def one_is_bad(lake: LakeRig) -> tuple[LakeRig, BronzeObject]:
    bad = lake.rig.upload("shipments", [shipment(n, 1 + n % 2) for n in range(4)])
    lake.rig.upload("shipments", [shipment(n, 1) for n in range(10, 13)])
    lake.rig.deliver(lake.rig.units)
    return lake, bad


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_publisher_that_was_overtaken_by_a_rewrite_brings_nothing_old_back(make: Make, before: bool) -> None:
    """It is paused at any call for longer than its lease; meanwhile a lot is rewritten, and published by another."""
    watch = Interrupter()
    one_is_bad(make())[0].publish(watch)
    for at in range(1, len(watch.calls) + 1):
        lake, bad = one_is_bad(make())

        def meanwhile(lake: LakeRig = lake, bad: BronzeObject = bad) -> None:
            lake.rig.clock.advance(2000)
            retract(lake.rig, bad)
            lake.publish()

        lake.publish(Interrupter(at, before, meanwhile))
        lake.settle()
        lake.check()
        lake.rig.tidy()
        lake.check()  # and no file is gone that the table names


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_publisher_that_was_overtaken_brings_nothing_back_of_a_lot_that_has_no_rows_left(
    make: Make, before: bool
) -> None:
    """The table never had the lot, and shall not have it: whoever publishes that finds nothing to change."""

    def waiting() -> tuple[LakeRig, BronzeObject]:
        lake = make()
        bad = lake.rig.upload("shipments", [shipment(n, 1 + n % 2) for n in range(4)])
        lake.rig.deliver(lake.rig.units)
        return lake, bad

    watch = Interrupter()
    waiting()[0].publish(watch)
    for at in range(1, len(watch.calls) + 1):
        lake, bad = waiting()

        def meanwhile(lake: LakeRig = lake, bad: BronzeObject = bad) -> None:
            lake.rig.clock.advance(2000)
            retract(lake.rig, bad)
            lake.publish()
            lake.rig.tidy()

        lake.publish(Interrupter(at, before, meanwhile))
        lake.settle()
        lake.check()


def test_a_tag_on_a_snapshot_with_retracted_rows_keeps_only_their_lot_and_is_named(lake: LakeRig) -> None:
    bad = two_lots(lake).rig.upload("shipments", [shipment(30)])
    lake.rig.deliver(lake.rig.units[-1:])
    lake.publish()
    table = lake.table()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_tag(snapshot.snapshot_id, "month-end").commit()
    retract(lake.rig, bad)
    lake.rig.upload("shipments", [shipment(31)])
    lake.rig.deliver(lake.rig.units[-1:])
    done = lake.publish()
    assert done is not None
    assert done.lots == 1
    assert "DROP TAG `month-end`" in done.problems[0]
    lake.rig.tidy()
    lake.rows(snapshot=snapshot.snapshot_id)  # no file is gone that it names
    lake.table().manage_snapshots().remove_tag("month-end").commit()
    lake.publish()
    lake.check()


def test_who_comes_too_late_deletes_no_file_that_the_table_names(lake: LakeRig) -> None:
    """Another has finished his rewrite, it was published, and a further one has replaced its files."""
    sources = [lake.rig.upload("shipments", [shipment(30 + number)]) for number in range(3)]
    lake.rig.deliver(lake.rig.units[-3:])
    lake.publish()

    def meanwhile() -> None:
        lake.rig.clock.advance(2000)
        lake.rig.tidy()
        lake.publish()
        retract(lake.rig, sources[1])

    retract(lake.rig, sources[0], Interrupter(first="put", before=False, action=meanwhile))
    assert len(lake.rows()) == 2  # of the files that wait to be replaced
    for source in sources[:2]:
        lake.rig.forget(source)
    lake.settle()
    lake.check()
    lake.rig.check_exactly_once()


def test_who_waits_for_the_tables_is_told_once_what_keeps_them_and_what_to_do(lake: LakeRig) -> None:
    """Two files of one lot are wrong: the second rewrite waits until the tables have taken over the first one."""
    pair = [lake.rig.upload("shipments", [shipment(30 + number)]) for number in range(3)]
    lake.rig.deliver(lake.rig.units[-3:])
    lake.publish()
    table = lake.table()
    table.manage_snapshots().create_tag(table.snapshots()[-1].snapshot_id, "month-end").commit()
    retract(lake.rig, pair[0])
    told, looks = list[str](), 0

    def wait(seconds: float) -> None:
        nonlocal looks
        looks += 1
        lake.rig.clock.advance(seconds)
        if looks in (3, 9):
            lake.publish()
        if looks == 6:
            lake.table().manage_snapshots().remove_tag("month-end").commit()

    clock = lake.rig.clock
    retraction = Retraction(
        lake.rig.ledger, lake.rig.lake, "Ann", "wrong", NoArchive(), clock, wait, writers=1, tell=told.append
    )
    retraction.run(pair[1].id, ENDLESS)
    for source in pair[:2]:
        lake.rig.forget(source)
    lake.settle()
    lake.check()
    lake.rig.check_exactly_once()
    first, second = told
    assert "`smelt publish` does that, as its schedule does, or says what keeps it" in first
    assert "DROP TAG `month-end` in Spark. Then run `smelt publish`" in second


def test_a_file_without_the_event_time_of_the_table_keeps_its_lot_and_no_other(lake: LakeRig) -> None:
    lake.rig.upload("shipments", [shipment(1)])
    lake.rig.deliver(lake.rig.units[-1:])
    lake.publish()
    before = lake.rig.contracts
    shipments = before["shipments"]
    when = Field("happened_at", FieldType.TIMESTAMP, required=True, id=11)
    fields = (*(field for field in shipments.fields if field.name != "event_time"), when)
    renamed = replace(shipments, fields=fields, event_time="happened_at", retired=(("event_time", 5),))
    lake.contracts = lake.rig.contracts = {**before, "shipments": renamed}
    row = json.loads(shipment(2))
    lake.rig.upload("shipments", [json.dumps(row | {"happened_at": row.pop("event_time")}).encode()])
    lake.rig.deliver(lake.rig.units[-1:])
    lake.rig.contracts = before
    lake.rig.upload("shipments", [shipment(3)])  # by a worker that has begun before
    lake.rig.deliver(lake.rig.units[-1:])
    done = lake.publish()
    assert done is not None
    assert done.lots == 1
    assert "has no event_time, by whose days the table is partitioned" in done.problems[0]
    assert sorted(lake.rows()["shipment_id"].to_pylist()) == ["S1", "S3"]


@pytest.mark.parametrize("has_table", [True, False])
def test_rows_of_a_dataset_without_a_contract_can_be_retracted(lake: LakeRig, has_table: bool) -> None:
    sources = [lake.rig.upload("shipments", [shipment(n)]) for n in range(2)]
    lake.rig.deliver(lake.rig.units)
    if has_table:
        lake.publish()
    lake.contracts = {name: one for name, one in lake.contracts.items() if name != "shipments"}
    for left in (1, 0):
        retract(lake.rig, sources[left])
        done = lake.publish()
        assert done is not None
        told = ["shipments: no contract describes it. Bring its contract back, or retract its objects"]
        assert done.problems == (told if left and not has_table else [])
        lake.rig.tidy()
        assert len(list(lake.folder.glob("silver/shipments/*/*"))) == left
        if has_table:
            lake.check()
    assert not list(lake.rig.ledger.open_entries("publish"))


def test_a_table_without_a_contract_gets_what_was_committed_before(lake: LakeRig) -> None:
    lake.rig.upload("shipments", [shipment(1)])
    lake.rig.deliver(lake.rig.units)
    lake.publish()
    lake.rig.upload("shipments", [shipment(2)])
    lake.rig.deliver(lake.rig.units[-1:])
    lake.contracts = {name: one for name, one in lake.contracts.items() if name != "shipments"}
    done = lake.publish()
    assert done is not None
    assert done.all_right, done.problems
    lake.check()
