"""Maintenance takes away what nothing names, and no row of anybody."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.table.snapshots import Snapshot

from services.ops.lake.live import side_by_side
from services.ops.lake.maintenance import Maintenance
from services.shared.compaction import CompactionPlan
from services.shared.deadline import Deadline, OutOfTime
from services.shared.identities import CompactionRun
from services.shared.recompute import RecomputePlan
from tests.faults.rig import crash
from tests.lake.compacting import compact, compaction_of, run_job
from tests.lake.rig import ENDLESS, LakeRig, Make, day
from tests.lake.test_compaction import ids, latest, load, plain_silver, published
from tests.support.faults import Interrupter
from tests.support.rewriting import retract

LATER = timedelta(days=40)


def files(lake: LakeRig, root: str) -> set[Path]:
    return {path for path in (lake.folder / root).rglob("*") if path.is_file()}


def well_used(lake: LakeRig) -> LakeRig:
    """Published and compacted, then a retraction, and compacted again."""
    bad = load(lake, 1, 2, 50)
    published(lake)
    compact(lake, day(1))
    retract(lake.rig, bad)
    lake.publish()
    compact(lake, day(1))
    lake.rig.tidy()
    return lake


def test_the_same_rows_before_and_after_in_the_table_and_in_silver(lake: LakeRig) -> None:
    well_used(lake)
    silver, rows, table = plain_silver(lake), lake.in_silver(), lake.rows().sort_by("shipment_id")
    before = {file: file.read_bytes() for file in silver}
    done = lake.maintain(LATER)
    assert done is not None
    assert done.metadata > 0
    assert (done.runs, lake.snapshots()) == (1, 1)
    assert {file: file.read_bytes() for file in plain_silver(lake)} == before
    assert lake.in_silver() == rows
    assert lake.rows().sort_by("shipment_id") == table


def test_many_manifests_are_read_at_once_and_only_while_there_is_time(
    lake: LakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 takes some time for each: a table with a commit a minute has 3,000 of them a day."""
    for number in (1, 2):
        load(lake, number)
        lake.publish()
    together, read = threading.Barrier(2, timeout=10), Snapshot.manifests

    def manifests(snapshot: Snapshot, io: FileIO) -> list[ManifestFile]:
        together.wait()
        return read(snapshot, io)

    monkeypatch.setattr(Snapshot, "manifests", manifests)
    maintenance = Maintenance(*lake.parts(), ENDLESS)
    assert maintenance.run("shipments").kept == []
    with pytest.raises(OutOfTime):
        Maintenance(*lake.parts(), Deadline(lambda: 10.0, reserve=15.0)).run("shipments")


def test_of_large_manifests_one_is_read_at_a_time() -> None:
    mb = 1024 * 1024
    lengths = [1, 2, 8 * mb, 8 * mb, *[3] * 9, mb, mb]
    batches = side_by_side([ManifestFile(str(at), length) for at, length in enumerate(lengths)])
    assert [[one.manifest_length for one in some] for some in batches] == [
        [1, 2],
        [8 * mb],
        [8 * mb],
        [3] * 8,
        [3, mb],
        [mb],
    ]


def test_the_table_as_of_a_young_time_is_told_right(lake: LakeRig) -> None:
    """When the time to keep began, the second snapshot was the current one: it is the answer until the third."""
    for number in (1, 2, 3):
        load(lake, number)
        lake.publish()
    _, second, third = sorted(lake.table().snapshots(), key=lambda one: one.timestamp_ms)
    now = datetime.fromtimestamp(third.timestamp_ms / 1000, UTC)
    keep = timedelta(milliseconds=(third.timestamp_ms - second.timestamp_ms) / 2)
    done = Maintenance(*lake.parts(), ENDLESS, lambda: now).run("shipments", keep, timedelta(0))
    assert done.snapshots == 1
    assert lake.table().snapshot_as_of_timestamp(third.timestamp_ms - 1) == second.model_copy(
        update={"parent_snapshot_id": None}
    )


def test_the_table_as_of_the_first_of_the_days_to_keep_is_told(lake: LakeRig) -> None:
    """When these days began, the first snapshot was the current one, however old it is by now."""
    for number in (1, 2, 3):
        load(lake, number)
        lake.publish()
    first, second, third = sorted(lake.table().snapshots(), key=lambda one: one.timestamp_ms)
    now = datetime.fromtimestamp(third.timestamp_ms / 1000, UTC) + timedelta(milliseconds=1)
    days = timedelta(milliseconds=1 + third.timestamp_ms - (first.timestamp_ms + second.timestamp_ms) / 2)
    Maintenance(*lake.parts(), ENDLESS, lambda: now).run("shipments", timedelta(0), days)
    then = lake.table().snapshot_as_of_timestamp(second.timestamp_ms - 1)
    assert then is not None
    assert then.snapshot_id == first.snapshot_id


def test_young_snapshots_stay_and_can_be_read(lake: LakeRig) -> None:
    published(lake)
    first = lake.table().current_snapshot()
    compact(lake, day(1))
    done = lake.maintain()
    assert done is not None
    assert (done.snapshots, done.metadata, done.runs) == (0, 0, 0)
    assert first is not None
    assert ids(lake, first.snapshot_id)["S8"] == 2


def test_of_older_days_the_last_snapshot_stays(lake: LakeRig) -> None:
    published(lake)
    compact(lake, day(1))
    load(lake, 60)
    lake.publish()
    done = lake.maintain(timedelta(days=3))
    assert done is not None
    assert done.snapshots == 2
    assert ids(lake)["S60"] == 1


def test_a_run_under_way_is_left_alone_and_a_given_up_one_goes(lake: LakeRig) -> None:
    published(lake)
    compaction = compaction_of(lake)
    plan = compaction.prepare(day(1))
    assert plan is not None
    result = run_job(lake, plan)
    lake.maintain()
    assert len(files(lake, "silver_compacted")) == 3
    compaction.commit(plan, result)
    other = compaction_of(lake)
    load(lake, 70)
    load(lake, 71)
    lake.publish()
    given_up = other.prepare(day(1), target_bytes=1 << 40)
    assert given_up is not None
    run_job(lake, given_up)
    done = lake.maintain(timedelta(days=2))
    assert done is not None
    assert (done.runs, done.run_files) == (1, 2)
    assert {CompactionRun.parse(str(path.relative_to(lake.folder))) for path in files(lake, "silver_compacted")} == {
        plan.run
    }


def test_a_run_without_a_table_belongs_to_who_made_it(lake: LakeRig) -> None:
    published(lake)
    compaction = compaction_of(lake)
    plan = compaction.prepare(day(1))
    assert plan is not None
    loose = CompactionPlan(**{name: getattr(plan, name) for name in plan.__slots__} | {"base_snapshot": None})
    lake.store.put(plan.run.plan_key, loose.to_json().encode())
    run_job(lake, loose)
    before = files(lake, "silver_compacted")
    done = lake.maintain(LATER)
    assert done is not None
    assert (done.runs, done.kept) == (0, [])
    assert files(lake, "silver_compacted") == before


def test_nothing_breaks_wherever_it_stops(make: Make) -> None:
    watch = Interrupter()
    well_used(make()).maintain(LATER, watch)
    assert {"commit_table", "delete"} <= set(watch.calls)
    lake = well_used(make())
    for at in range(1, len(watch.calls) + 1):
        lake.maintain(LATER, Interrupter(at, True, crash))
        assert ids(lake) == {**dict.fromkeys(latest(lake), 1)}
        lake.rig.clock.advance(2000)
    lake.maintain(LATER)
    for snapshot in lake.table().snapshots():
        lake.rows(snapshot=snapshot.snapshot_id)
    load(lake, 80)
    lake.publish()
    assert ids(lake)["S80"] == 1


@pytest.mark.parametrize("root", ["silver", "quarantine", "history", "bronze"])
def test_it_asks_for_no_other_folder(lake: LakeRig, root: str) -> None:
    well_used(lake)
    asked: list[str] = []

    class Watching(type(lake.store)):  # type: ignore[misc]
        def delete(self, keys: list[str]) -> None:
            asked.extend(listed := list(keys))
            super().delete(listed)

    lake.store = Watching(lake.folder)
    lake.maintain(LATER)
    assert asked
    assert not [key for key in asked if key.split("/")[0] == root]


def test_what_somebody_has_tagged_stays(lake: LakeRig) -> None:
    published(lake)
    first = lake.table().current_snapshot()
    assert first is not None
    lake.table().manage_snapshots().create_tag(first.snapshot_id, "month-end").commit()
    for number in (60, 61):
        load(lake, number)
        lake.publish()
    done = lake.maintain(LATER)
    assert done is not None
    assert (done.snapshots, lake.snapshots()) == (1, 2)
    assert ids(lake, first.snapshot_id)["S8"] == 2


def test_the_report_of_a_recompute_belongs_to_who_asked_for_it(lake: LakeRig) -> None:
    published(lake)
    run = CompactionRun.new("silver_compacted", "shipments", day(1), datetime.now(UTC))
    plan = RecomputePlan(run, {}, (), ())
    for key in (plan.plan_key, plan.report_key):
        lake.store.put(key, b"{}")
    done = lake.maintain(LATER)
    assert done is not None
    assert (done.runs, done.kept) == (0, [])
    assert len(files(lake, "silver_compacted")) == 2


def test_what_comes_while_it_is_paused_is_not_taken_for_old(make: Make) -> None:
    """It is paused for days at any call; meanwhile others publish and compact."""
    watch = Interrupter()
    published(make()).maintain(LATER, watch)
    for at in range(1, len(watch.calls) + 1):
        lake, now = published(make()), datetime.now(UTC)

        def meanwhile(lake: LakeRig = lake) -> None:
            nonlocal now
            lake.rig.clock.advance(2000)
            load(lake, 90)
            lake.publish()
            compact(lake, day(1))
            now += timedelta(days=3)

        ledger, catalog, store = lake.parts(Interrupter(at, True, meanwhile))
        Maintenance(ledger, catalog, store, ENDLESS, lambda: now).run("shipments")  # noqa: B023
        assert ids(lake)["S90"] == 1
        for snapshot in lake.table().snapshots():
            lake.rows(snapshot=snapshot.snapshot_id)
