"""Compaction beside everything else: rows are in the table once, or superseded once, and nothing is lost between."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from services.ops.history.reader import History
from services.ops.lake.check import check_table
from services.ops.lake.committer import WrongFile
from services.ops.lake.compaction import Outdated
from services.ops.lake.live import record_key
from services.shared.compaction import CompactionResult
from services.shared.contract.model import Field, FieldType
from services.shared.manifest_json import ManifestError
from services.shared.units import BronzeObject
from tests.faults.rig import crash, shipment
from tests.lake.compacting import compact, compaction_of, run_job
from tests.lake.rig import LakeRig, Make, day
from tests.support.faults import Interrupter
from tests.support.rewriting import retract


def load(lake: LakeRig, *numbers: int, on: int = 1) -> BronzeObject:
    """One lot of one object with these shipments."""
    source = lake.rig.upload("shipments", [shipment(number, on) for number in numbers])
    lake.rig.deliver(lake.rig.units[-1:])
    return source


def published(lake: LakeRig) -> LakeRig:
    """Four lots on one day; two shipments come twice."""
    for first in (0, 3, 6, 8):
        load(lake, first, first + 1, first + 2)
    lake.publish()
    return lake


def ids(lake: LakeRig, snapshot: int | None = None) -> Counter[str]:
    return Counter(lake.rows(snapshot=snapshot)["shipment_id"].to_pylist())


def latest(lake: LakeRig) -> set[str]:
    return {f"S{n}" for n in range(11)}


def plain_silver(lake: LakeRig) -> set[Path]:
    return set((lake.folder / "silver").rglob("*.parquet"))


def test_the_latest_row_of_each_key_stays_and_silver_is_untouched(lake: LakeRig) -> None:
    published(lake)
    silver, before = plain_silver(lake), lake.in_silver()
    swap = compact(lake, day(1))
    assert swap is not None
    assert (swap.rows_in, swap.rows_out, swap.superseded) == (12, 11, 1)
    assert ids(lake) == Counter(latest(lake))
    assert plain_silver(lake) == silver
    assert lake.in_silver() == before
    (task,) = lake.table().scan().plan_files()
    assert "silver_compacted/shipments/dt=2026-01-01/run=" in task.file.file_path


def test_the_table_as_it_was_can_still_be_read(lake: LakeRig) -> None:
    published(lake)
    before = lake.table().current_snapshot()
    assert before is not None
    compact(lake, day(1))
    assert ids(lake, before.snapshot_id)["S8"] == 2
    assert ids(lake)["S8"] == 1


def test_a_second_compaction_is_none(lake: LakeRig) -> None:
    published(lake)
    assert compact(lake, day(1)) is not None
    snapshots = lake.snapshots()
    assert compact(lake, day(1)) is None
    assert lake.snapshots() == snapshots


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_day_that_was_compacted_by_another_key_is_made_anew_from_silver(lake: LakeRig, meanwhile: bool) -> None:
    shipments = lake.contracts["shipments"]
    wrong = replace(shipments, keys=("origin",))
    lake.contracts = lake.rig.contracts = {**lake.contracts, "shipments": wrong}
    published(lake)
    compact(lake, day(1))
    assert ids(lake).total() == 1
    lake.contracts = lake.rig.contracts = {**lake.contracts, "shipments": replace(shipments, version="2.0.0")}
    if meanwhile:
        load(lake, 10, 11)
        lake.publish()
    swap = compact(lake, day(1))
    assert swap is not None
    assert (swap.rows_in, swap.rows_out) == ((14, 12) if meanwhile else (12, 11))
    assert ids(lake) == Counter(latest(lake) | ({"S11"} if meanwhile else set()))
    assert compact(lake, day(1)) is None
    checked = check_table(*lake.parts(), History(lake.history), "shipments")
    assert checked.all_right, checked
    retract(lake.rig, lake.rig.units[0].object)
    lake.publish()
    lake.check()


def test_a_run_whose_record_does_not_say_its_keys_is_made_anew_from_silver(lake: LakeRig) -> None:
    swap = compact(published(lake), day(1))
    assert swap is not None
    record = lake.folder / record_key(swap.run)
    told = json.loads(record.read_text())
    del told["keys"]
    record.write_text(json.dumps(told))
    again = compact(lake, day(1))
    assert again is not None
    assert (again.rows_in, again.rows_out) == (12, 11)
    assert compact(lake, day(1)) is None


def test_a_run_that_is_committed_is_not_committed_again(lake: LakeRig) -> None:
    published(lake)
    compaction = compaction_of(lake)
    plan = compaction.prepare(day(1))
    assert plan is not None
    result = run_job(lake, plan)
    assert not compaction.commit(plan, result).was_committed
    assert compaction.commit(plan, result).was_committed
    assert ids(lake) == Counter(latest(lake))


def test_publish_compact_publish_doubles_nothing(make: Make) -> None:
    """The publisher dies after its commit, before a mark is removed; the partition is compacted; it publishes again."""
    watch = Interrupter()
    published(probe := make())
    load(probe, 20)
    probe.publish(watch)
    at = max(n for n, call in enumerate(watch.calls, start=1) if call == "commit_table")
    lake = published(make())
    load(lake, 20)
    assert lake.publish(Interrupter(at, False, crash)) is None
    assert len(list(lake.rig.ledger.open_entries("publish"))) == 1
    swap = compact(lake, day(1))
    assert swap is not None
    assert swap.rows_in == 12  # without the lot that has a mark
    lake.rig.clock.advance(2000)
    lake.publish()
    assert ids(lake) == Counter(latest(lake) | {"S20"})


def test_a_mark_that_comes_back_after_compaction_adds_nothing(lake: LakeRig) -> None:
    """The table's current files are not all that it has: others are in a run."""
    published(lake)
    compact(lake, day(1))
    for lot in lake.lots():
        for write in lake.rig.ledger.marks.of_commit(lot.id, [file.key for file in lot.files]):
            lake.rig.dynamodb.put_item(TableName=lake.rig.table, Item=write["put"])
    done = lake.publish()
    assert done is not None
    assert (done.lots, done.snapshots) == (4, 0)
    assert ids(lake) == Counter(latest(lake))


def test_what_is_published_during_a_run_stays(lake: LakeRig) -> None:
    published(lake)

    def meanwhile() -> None:
        load(lake, 30, 31)
        lake.publish()

    assert compact(lake, day(1), meanwhile=meanwhile) is not None
    assert ids(lake) == Counter(latest(lake) | {"S30", "S31"})


def test_of_two_runs_at_once_one_is_committed(lake: LakeRig) -> None:
    published(lake)
    compaction = compaction_of(lake)
    plans = [compaction.prepare(day(1)), compaction.prepare(day(1))]
    results = [run_job(lake, plan) for plan in plans if plan]
    assert plans[0] is not None
    assert plans[1] is not None
    compaction.commit(plans[0], results[0])
    with pytest.raises(Outdated, match="compact the partition again"):
        compaction.commit(plans[1], results[1])
    assert ids(lake) == Counter(latest(lake))


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_readers_have_old_or_new_wherever_it_stops(make: Make, before: bool) -> None:
    watch = Interrupter()
    compact(published(make()), day(1), watch)
    for at, call in enumerate(watch.calls, start=1):
        lake = published(make())
        assert compact(lake, day(1), Interrupter(at, before, crash)) is None, call
        assert set(ids(lake)) == latest(lake)
        assert ids(lake)["S8"] in (1, 2)
        lake.rig.clock.advance(2000)
        compact(lake, day(1))
        assert ids(lake) == Counter(latest(lake))
        lake.publish()
        assert ids(lake) == Counter(latest(lake))


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_publisher_between_any_two_calls_of_a_compaction(make: Make, before: bool) -> None:
    watch = Interrupter()
    compact(published(make()), day(1), watch)
    for at in range(1, len(watch.calls) + 1):
        lake = published(make())

        def meanwhile(lake: LakeRig = lake) -> None:
            lake.rig.clock.advance(2000)
            load(lake, 40, 41)
            lake.publish()

        compact(lake, day(1), Interrupter(at, before, meanwhile))
        lake.settle()
        found = ids(lake)
        assert set(found) == latest(lake) | {"S40", "S41"}
        assert found.total() - found["S8"] == len(found) - 1


class TestRetractions:
    def test_a_partition_that_was_compacted_is_built_again_without_the_object(self, lake: LakeRig) -> None:
        bad = load(lake, 1, 2, 8)
        published(lake)
        compact(lake, day(1))
        retract(lake.rig, bad)
        done = lake.publish()
        assert done is not None
        assert done.forgotten >= 2
        lake.check()  # rows that other rows superseded are back, until the next compaction
        assert str(bad.id) not in set(lake.rows()["_source"].to_pylist())
        for snapshot in lake.table().snapshots():
            assert str(bad.id) not in set(lake.rows(snapshot=snapshot.snapshot_id)["_source"].to_pylist())
        lake.rig.tidy()
        lake.check()
        compact(lake, day(1))
        assert ids(lake) == Counter(latest(lake))

    @pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
    def test_between_any_two_calls_of_a_compaction(self, make: Make, before: bool) -> None:
        def loaded() -> tuple[LakeRig, BronzeObject]:
            lake = make()
            bad = load(lake, 1, 2, 50)
            return published(lake), bad

        watch = Interrupter()
        lake, _ = loaded()
        compact(lake, day(1), watch)
        for at in range(1, len(watch.calls) + 1):
            lake, bad = loaded()

            def meanwhile(lake: LakeRig = lake, bad: BronzeObject = bad) -> None:
                lake.rig.clock.advance(2000)
                retract(lake.rig, bad)

            with suppress(Outdated, FileNotFoundError):  # the run is given up
                compact(lake, day(1), Interrupter(at, before, meanwhile))
            lake.settle()
            assert str(bad.id) not in set(lake.rows()["_source"].to_pylist())
            assert set(ids(lake)) == latest(lake)
            compact(lake, day(1))
            assert ids(lake) == Counter(latest(lake))

    def test_while_the_job_runs_and_the_lake_publishes_it(self, lake: LakeRig) -> None:
        bad = load(lake, 1, 2, 50)
        published(lake)

        def meanwhile() -> None:
            retract(lake.rig, bad)
            lake.publish()
            lake.rig.tidy()

        with pytest.raises(Outdated):
            compact(lake, day(1), meanwhile=meanwhile)
        assert set(ids(lake)) == latest(lake)
        lake.check()

    @pytest.mark.parametrize("compacted", [False, True], ids=["as files", "as a run's outputs"])
    def test_of_an_object_whose_files_came_back_no_old_snapshot_keeps_rows(
        self, lake: LakeRig, compacted: bool
    ) -> None:
        first = load(lake, 1, 2)
        load(lake, 3, 4)
        lake.publish()
        if compacted:
            compact(lake, day(1))
        second = load(lake, 5, 6)
        lake.publish()
        compact(lake, day(1))
        retract(lake.rig, second)
        lake.publish()
        lake.rig.tidy()
        retract(lake.rig, first)  # its file has come back when the run was dissolved, by a later snapshot
        lake.publish()
        lake.rig.tidy()
        lake.check()
        for snapshot in lake.table().snapshots():
            assert str(first.id) not in set(lake.rows(snapshot=snapshot.snapshot_id)["_source"].to_pylist())

    def test_of_the_only_object_of_a_compacted_partition_leave_nothing(self, lake: LakeRig) -> None:
        bad = load(lake, 1)
        worse = load(lake, 2)
        lake.publish()
        compact(lake, day(1))
        for source in (bad, worse):
            retract(lake.rig, source)
        lake.publish()
        assert lake.rows().num_rows == 0


class TestVerification:
    @pytest.mark.parametrize("damage", ["another size", "missing", "other rows"])
    def test_outputs_must_be_what_the_manifest_says(self, lake: LakeRig, damage: str) -> None:
        published(lake)
        compaction = compaction_of(lake)
        plan = compaction.prepare(day(1))
        assert plan is not None
        result = run_job(lake, plan)
        (output,) = result.outputs
        if damage == "missing":
            lake.store.delete([output.key])
        elif damage == "another size":
            result = replace(result, outputs=(replace(output, bytes=output.bytes + 1),))
        else:
            superseded = {key: rows + (key == plan.inputs[0].key) for key, rows in result.superseded.items()}
            result = replace(result, outputs=(replace(output, rows=output.rows - 1),), superseded=superseded)
        with pytest.raises(WrongFile):
            compaction.commit(plan, result)
        lake.check()

    def test_rows_that_are_missing_are_refused(self, lake: LakeRig) -> None:
        published(lake)
        compaction = compaction_of(lake)
        plan = compaction.prepare(day(1))
        assert plan is not None
        result = run_job(lake, plan)
        short = CompactionResult(result.run, result.plan_digest, result.outputs, dict.fromkeys(result.superseded, 0))
        with pytest.raises(ManifestError, match="12 rows went in"):
            compaction.commit(plan, short)
        lake.check()


def test_columns_that_the_contract_does_not_have_keep_their_values(lake: LakeRig) -> None:
    """It has dropped the field; or it is older than that of the transform that wrote the files."""
    published(lake)
    before = sorted(lake.rows()["weight_kg"].to_pylist())
    contract = lake.contracts["shipments"]
    fields = tuple(field for field in contract.fields if field.name != "weight_kg")
    lake.contracts = {**lake.contracts, "shipments": replace(contract, fields=fields)}
    swap = compact(lake, day(1))
    assert swap is not None
    assert swap.superseded == 1
    assert sorted([*lake.rows()["weight_kg"].to_pylist(), 8.5]) == before


def test_a_day_with_rows_from_before_a_field_was_required_is_compacted(lake: LakeRig) -> None:
    without = json.loads(shipment(20)) | {"carrier": None}
    lake.rig.upload("shipments", [json.dumps(without).encode()])
    lake.rig.deliver(lake.rig.units[-1:])
    published(lake)
    contract = lake.contracts["shipments"]
    stricter = [replace(one, required=True) if one.name == "carrier" else one for one in contract.fields]
    new = Field("seal", FieldType.STRING, required=True, id=11)
    lake.contracts = {**lake.contracts, "shipments": replace(contract, fields=(*stricter, new))}
    lake.publish()
    load(lake, 30)
    assert lake.backfill() is not None  # the table gets the new column
    assert compact(lake, day(1)) is not None
    assert ids(lake) == Counter({*latest(lake), "S20", "S30"})
    assert lake.rows()["carrier"].null_count == 1
    assert lake.rows()["seal"].null_count == 13
