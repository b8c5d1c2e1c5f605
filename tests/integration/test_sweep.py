"""The sweep finishes what commits leave open, goes on where it stopped, and may die at every step."""

from __future__ import annotations

import json
import uuid
from itertools import chain, repeat
from typing import Any

import pytest

import services.shared.ledger.ledger as ledger_module
from local.stack import CREDENTIALS, Clients
from services.ops import grid
from services.ops.audit.accounts import Outcome
from services.ops.audit.audit import audit
from services.ops.audit.listings import S3Listings
from services.ops.cli.app import app
from services.ops.cli.console import execute
from services.ops.sweep import WALK, Place, Swept, sweep
from services.shared.deadline import Deadline
from services.shared.identities import LakeKey
from services.shared.lake import LakeForbidden, S3Lake
from services.shared.ledger import items
from services.shared.ledger.entries import OpenEntry
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import (
    RETRACT,
    RETRY,
    Counts,
    Intent,
    LedgerObject,
    Lot,
    LotFile,
    LotState,
    ObjectState,
)
from tests.support.faults import Crash, Interrupted, Interrupter
from tests.support.lake import MemoryLake
from tests.support.sweeping import claim, load, plan

WRITES = ("put_item", "update_item", "delete_item")


@pytest.fixture(autouse=True)
def few_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each walk asks every shard of the index, which takes time on an emulator."""
    for module in (items, ledger_module):
        monkeypatch.setattr(module, "OPEN_SHARDS", 3)


@pytest.fixture
def ledger(clients: Clients, ledger_table: str) -> Ledger:
    return Ledger(clients.dynamodb, ledger_table)


@pytest.fixture
def lake() -> MemoryLake:
    return MemoryLake()


def state(ledger: Ledger, known: LedgerObject) -> ObjectState:
    (found,) = ledger.find_objects([known.id])
    return found.state


def test_an_object_of_several_lots_is_done_once_all_are_committed(ledger: Ledger, lake: MemoryLake) -> None:
    whole, half, pending = (plan(ledger, 4) for _ in range(3))
    for units in ([0, 1], [2], [3]):
        load(ledger, lake, [whole.plan.unit(number) for number in units])
    load(ledger, lake, [half.plan.unit(number) for number in (0, 1, 3)])
    load(ledger, lake, [pending.plan.unit(0)])
    claim(ledger, lake, [pending.plan.unit(number) for number in (1, 2, 3)])
    swept = sweep(ledger, lake)
    assert (swept.objects, swept.done) == (3, 1)
    assert [state(ledger, known) for known in (whole, half, pending)] == [
        ObjectState.DONE,
        ObjectState.PLANNED,
        ObjectState.PLANNED,
    ]
    assert set(ledger.open_objects()) == {half.id, pending.id}


def test_files_that_a_commit_left_over_are_deleted_and_nothing_else(ledger: Ledger, lake: MemoryLake) -> None:
    known, pending = plan(ledger, 2), plan(ledger, 1)
    lot = load(ledger, lake, list(known.plan), leftover=True)
    claim(ledger, lake, list(pending.plan), leftover=True)
    (leftover,) = lot.outputs
    before = set(lake.files)
    swept = sweep(ledger, lake)
    assert set(lake.files) == before - {leftover}
    assert (swept.files, swept.files_deleted, swept.refused) == ([leftover], 1, [])
    assert sweep(ledger, lake).files_deleted == 0
    (found,) = ledger.find_lots([lot.id])
    assert (found.state, found.outputs, found.files) == (LotState.COMMITTED, frozenset(), lot.files)


def test_a_file_of_another_lot_is_never_deleted(ledger: Ledger, lake: MemoryLake) -> None:
    first, second = plan(ledger, 1), plan(ledger, 1)
    theirs = load(ledger, lake, list(first.plan)).files[0].key
    lot, file = claim(ledger, lake, list(second.plan))
    lot = ledger.lots.record_outputs(lot, [theirs, "silver/by-hand.parquet"])
    ledger.lots.commit(lot, [file], [])
    swept = sweep(ledger, lake)
    assert sorted(swept.refused) == sorted([theirs, "silver/by-hand.parquet"])
    assert theirs in lake.files


def test_in_a_bucket_without_the_lots_own_files_nothing_is_deleted_or_forgotten(
    ledger: Ledger, lake: MemoryLake
) -> None:
    """S3 deletes what is not there without a word, so in a wrong bucket every leftover would be forgotten."""
    lot = load(ledger, lake, list(plan(ledger, 1).plan), leftover=True)
    another, changed = MemoryLake(), MemoryLake()
    changed.files = {file.key: b"of another pipeline" for file in lot.files}
    for wrong in (another, changed):
        swept = sweep(ledger, wrong)
        assert (swept.elsewhere, swept.files_deleted, swept.all_right) == ([str(lot.id)], 0, False)
    swept = sweep(ledger, lake)
    assert (swept.elsewhere, swept.files, swept.all_right) == ([], sorted(lot.outputs), True)


def test_a_lot_that_s3_forbids_is_reported_and_does_not_stop_the_sweep(ledger: Ledger) -> None:
    class Forbidding(MemoryLake):
        forbidden = ""

        def holds(self, key: str, etag: str) -> bool:
            if key == self.forbidden:
                raise LakeForbidden(f"{key} cannot be looked at (403)")
            return super().holds(key, etag)

    lake = Forbidding()
    lots = [load(ledger, lake, list(plan(ledger, 1).plan), leftover=True) for _ in range(3)]
    lake.forbidden = lots[0].files[0].key
    swept = sweep(ledger, lake)
    assert (len(swept.forbidden), swept.files_deleted, swept.all_right) == (1, 2, False)
    assert "(403)" in swept.forbidden[0]
    lake.forbidden = ""
    assert (sweep(ledger, lake).files_deleted, sweep(ledger, lake).all_right) == (1, True)


@pytest.mark.parametrize("of", ["object", "unit", "lot of a unit", "lot"])
def test_an_item_that_cannot_be_read_is_reported_and_does_not_stop_the_sweep(
    clients: Clients, ledger_table: str, ledger: Ledger, lake: MemoryLake, of: str
) -> None:
    objects = [plan(ledger, 2) for _ in range(5)]
    lots = [load(ledger, lake, list(known.plan), leftover=True) for known in objects]
    broken = objects[2]
    key, attribute = {
        "object": (items.object_key(broken.id), "state"),
        "unit": (items.unit_key(broken.plan.unit(1).id), "lot"),
        "lot of a unit": (items.lot_key(lots[2].id), "state"),
        "lot": (items.lot_key(lots[2].id), "outputs"),
    }[of]
    clients.dynamodb.update_item(
        TableName=ledger_table,
        Key=key,
        UpdateExpression="SET #name = :nonsense",
        ExpressionAttributeNames={"#name": attribute},
        ExpressionAttributeValues={":nonsense": {"S": "nonsense"}},
    )
    swept = sweep(ledger, lake)
    assert not swept.all_right
    assert all(str(broken.id) in told or str(lots[2].id) in told for told in swept.unreadable)
    assert (swept.done, swept.files_deleted) == (4, 4 if "lot" in of else 5)
    assert ledger.cursors.load(WALK) is None


def test_a_dry_run_tells_the_same_and_changes_nothing(ledger: Ledger, lake: MemoryLake) -> None:
    known = plan(ledger, 2)
    for unit in known.plan:
        load(ledger, lake, [unit], leftover=True)
    before = (list(ledger.scan()), dict(lake.files))
    planned = sweep(ledger, lake, dry_run=True)
    assert (list(ledger.scan()), lake.files) == before
    done = sweep(ledger, lake)
    assert (planned.done, planned.files_deleted) == (done.done, done.files_deleted) == (1, 2)


def work(ledger: Ledger, lake: MemoryLake) -> tuple[list[LedgerObject], set[str]]:
    """Objects to be marked done, and the files that must be there in the end."""
    objects = [plan(ledger, units) for units in (1, 3, 12)]
    files = set()
    for known in objects:
        for unit in known.plan:
            files |= {file.key for file in load(ledger, lake, [unit], leftover=unit.start == 0).files}
    return objects, files


def test_a_sweep_may_die_at_every_step(
    clients: Clients, ledger_table: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "UNITS_PER_LOOK", 5)
    for step in range(1, 100):
        lake, interrupter = MemoryLake(), Interrupter(step, before=False, action=crash)
        objects, files = work(ledger, lake)
        died = not interrupted_sweep(clients, ledger_table, lake, interrupter)
        assert files <= set(lake.files)
        sweep(ledger, lake)
        assert {state(ledger, known) for known in objects} == {ObjectState.DONE}, step
        assert set(lake.files) == files
        assert ledger.cursors.load(WALK) is None
        if not died:
            assert step > 13  # the fewest writes that three objects and their leftovers take, in any order
            return
    pytest.fail("a sweep of three objects has no hundred steps")


def crash() -> None:
    raise Crash


def interrupted_sweep(clients: Clients, table: str, lake: MemoryLake, interrupter: Interrupter) -> Swept | None:
    """Its writes go through the interrupter; None where it died."""
    client: Any = Interrupted(clients.dynamodb, interrupter, WRITES)
    bucket: Any = Interrupted(lake, interrupter, ("delete",))
    try:
        return sweep(Ledger(client, table), bucket)
    except Crash:
        return None


def test_a_large_object_is_gone_on_with_at_the_unit_where_the_sweep_stopped(
    clients: Clients, ledger_table: str, ledger: Ledger, lake: MemoryLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "UNITS_PER_LOOK", 10)
    known = plan(ledger, 60)
    units = list(known.plan)
    for first in range(0, 60, 20):
        load(ledger, lake, units[first : first + 20])
    looks: list[int] = []

    def watch(what: str, number: int) -> None:
        if what == "units of one object":
            looks.append(number)
            if number == 40:
                raise Crash

    with pytest.raises(Crash):
        sweep(ledger, lake, watch=watch)
    assert looks == [10, 20, 30, 40]
    looks.clear()
    swept = sweep(ledger, lake, watch=lambda what, number: looks.append(number) if "units" in what else None)
    assert looks == [40, 50]  # 30 to 40 were looked at, and their place was not stored any more
    assert (swept.resumed, swept.done) == (True, 1)


def let_in_again(ledger: Ledger, known: LedgerObject) -> None:
    """An operator takes the object's rows away, and lets it in once more."""
    leaving = ledger.releases.begin(known.id, "ops", "")
    units = [unit.id for unit in known.plan]
    bound = {record.lot for record in ledger.find_units(units) if record.lot}
    for lot in ledger.find_lots(bound):
        ours = ledger.rewrites.begin(lot, Intent(RETRACT, known.id), 60)
        ledger.rewrites.clear_obsolete(ledger.rewrites.finish_rewriting(ours, [], [], lot.units))
    assert ledger.releases.refuse(leaving, units)
    ledger.releases.finish(leaving)
    ledger.objects.finish(ledger.objects.begin(ledger.objects.reopen(known.id).source, 1000, 60))


@pytest.mark.parametrize("stops", [True, False], ids=["between two runs", "while it is looked at"])
def test_units_that_were_committed_before_an_object_was_let_in_again_do_not_count(
    ledger: Ledger, lake: MemoryLake, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    monkeypatch.setattr(grid, "UNITS_PER_LOOK", 10)
    known = plan(ledger, 60)
    units = list(known.plan)
    for first in range(0, 60, 20):
        load(ledger, lake, units[first : first + 20])

    def watch(what: str, number: int) -> None:
        if what == "units of one object" and number == 40:
            let_in_again(ledger, known)
            load(ledger, lake, units[30:])  # the first half is on its way
            if stops:
                raise Crash

    if stops:
        with pytest.raises(Crash):
            sweep(ledger, lake, watch=watch)
    assert sweep(ledger, lake, watch=lambda *_: None if stops else watch(*_)).done == 0
    assert state(ledger, known) is ObjectState.PLANNED
    load(ledger, lake, units[:30])
    sweep(ledger, lake)
    assert state(ledger, known) is ObjectState.DONE


def test_an_unfinished_large_object_is_left_at_its_first_gap(
    ledger: Ledger, lake: MemoryLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "UNITS_PER_LOOK", 10)
    large, small = plan(ledger, 60), plan(ledger, 1)
    load(ledger, lake, list(large.plan)[20:])
    load(ledger, lake, list(small.plan))
    looks: list[str] = []
    swept = sweep(ledger, lake, watch=lambda what, _number: looks.append(what))
    assert (swept.objects, swept.done) == (2, 1)
    assert "units of one object" not in looks


def test_a_sweep_starts_again_where_its_stored_place_cannot_be_read(ledger: Ledger, lake: MemoryLake) -> None:
    load(ledger, lake, list(plan(ledger, 1).plan))
    ledger.cursors.save(WALK, {"kind": "object", "after": "nonsense"})
    assert sweep(ledger, lake).done == 1
    entry = OpenEntry("object#03", 5, "object#s3://b/k#e")
    place = Place("object", entry, "object#s3://b/k#e", 7, 5)
    assert Place.from_json(json.loads(json.dumps(place.to_json()))) == place


def test_the_place_of_a_sweep_is_no_record_of_the_ledger(ledger: Ledger) -> None:
    ledger.cursors.save(WALK, Place("object").to_json())
    assert list(ledger.scan()) == []


def test_what_is_swept_is_audited_as_done(
    clients: Clients, ledger: Ledger, ledger_table: str, monkeypatch: pytest.MonkeyPatch, emulator: str, capsys: Any
) -> None:
    bucket = f"silver-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=bucket)
    s3_lake = S3Lake(clients.s3, bucket)
    known = plan(ledger, 3)
    for unit in known.plan:
        load(ledger, s3_lake, [unit], leftover=True)
    before = audit(ledger, S3Listings(clients.s3, bucket, bucket))
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}).items():
        monkeypatch.setenv(name, value)
    code = execute(app, ["sweep", "--table", ledger_table, "--silver-bucket", bucket, "--json"])
    told = json.loads(capsys.readouterr().out)
    after = audit(ledger, S3Listings(clients.s3, bucket, bucket))
    assert (code, told["marked_done"], told["files_deleted"], told["refused"]) == (0, 1, 3, [])
    assert (before.objects[Outcome.COMMITTED], before.objects.total()) == (1, 1)
    assert (after.objects[Outcome.DONE], after.objects.total()) == (1, 1)
    assert (before.files, after.files, before.leftovers, after.leftovers) == (6, 3, 3, 0)
    assert before.findings.total == after.findings.total == 0


class TestRewrites:
    """What whoever rewrites a lot may leave."""

    def rewriting(self, ledger: Ledger, lake: MemoryLake, lease: float, kind: str = RETRY) -> tuple[Lot, str]:
        known = plan(ledger, 1)
        lot = load(ledger, lake, list(known.plan))
        ledger.objects.mark_done([known.id])
        object_ = known.id if kind == RETRACT else None
        ours = ledger.rewrites.begin(lot, Intent(kind, object_, "Ann", "why"), lease)
        new = str(LakeKey("silver", "shipments", "2026-01-31", lot.id, "1" * 8, generation=2))
        lake.put(new, b"new")
        return ledger.rewrites.record_outputs(ours, [new]), new

    def test_replaced_files_are_deleted_once_a_rewrite_is_finished(self, ledger: Ledger, lake: MemoryLake) -> None:
        ours, new = self.rewriting(ledger, lake, 60)
        ledger.rewrites.finish_rewriting(ours, [LotFile(new, 1, 3, lake.etag(new))], [Counts(1, 1, 0)], [])
        assert len(lake.files) == 2
        assert sweep(ledger, lake, dry_run=True).files_deleted == 1
        assert sweep(ledger, lake).files_deleted == 1
        assert set(lake.files) == {new}
        assert not list(ledger.open_lots())

    def test_a_lot_without_units_is_closed_with_its_last_file(self, ledger: Ledger, lake: MemoryLake) -> None:
        ours, _ = self.rewriting(ledger, lake, 60)
        ledger.rewrites.finish_rewriting(ours, [], [], ours.units)
        sweep(ledger, lake)
        assert not lake.files
        assert not list(ledger.open_lots())

    def test_a_rewrite_that_is_under_way_is_left_alone(self, ledger: Ledger, lake: MemoryLake) -> None:
        ours, _ = self.rewriting(ledger, lake, 60)
        assert sweep(ledger, lake).rewrites == 0
        assert list(ledger.find_lots([ours.id])) == [ours]
        assert len(lake.files) == 2

    def test_a_retry_that_was_left_is_undone(self, ledger: Ledger, lake: MemoryLake) -> None:
        ours, new = self.rewriting(ledger, lake, -1)
        assert sweep(ledger, lake, dry_run=True).rewrites == 1
        assert list(ledger.find_lots([ours.id])) == [ours]
        assert sweep(ledger, lake).rewrites == 1
        (lot,) = ledger.find_lots([ours.id])
        assert (lot.state, lot.files, lot.leftovers) == (LotState.COMMITTED, ours.files, frozenset())
        assert new not in lake.files

    def test_a_retraction_that_was_left_goes_on(self, ledger: Ledger, lake: MemoryLake) -> None:
        ours, _ = self.rewriting(ledger, lake, -1, RETRACT)
        assert sweep(ledger, lake).rewrites == 1
        assert not list(ledger.open_lots())
        assert not lake.files
        assert all(record.refused for record in ledger.find_units(ours.units))


def test_a_sweep_ends_in_time_and_the_next_one_goes_on(
    ledger: Ledger, lake: MemoryLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ops.sweep._BATCH", 1)
    known = [plan(ledger, 1) for _ in range(4)]
    for one in known:
        load(ledger, lake, list(one.plan), leftover=True)
    looks = chain([1.0], repeat(-1.0))  # time is over at the second look at the clock
    first = sweep(ledger, lake, deadline=Deadline(lambda: next(looks), 0))
    assert (first.finished, first.done) == (False, 2)
    second = sweep(ledger, lake)
    assert (second.finished, second.resumed, second.done, second.files_deleted) == (True, True, 2, 4)
