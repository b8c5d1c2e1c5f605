"""A compaction whose operator's machine dies in the middle: running it again finishes the work, or does it anew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace

import pytest

from services.ops.compacting.table import Patience, compact_table
from services.ops.lake.compaction import Outdated, Swap
from services.ops.lake.maintenance import Maintenance
from services.shared.compaction import CompactionPlan
from services.shared.ledger.records import LeaseHeld
from tests.faults.rig import crash
from tests.lake.compacting import compaction_of, run_job
from tests.lake.rig import ENDLESS, LakeRig, Make, day
from tests.lake.test_compaction import ids, latest, load, published
from tests.support.faults import Crash, Interrupter
from tests.support.rewriting import retract


def _compact(lake: LakeRig, jobs: list[CompactionPlan], interrupter: Interrupter | None = None) -> Swap | None:
    """What `smelt compact` does; `jobs` gets the plans whose job was run here."""

    def job(plan: CompactionPlan) -> None:
        jobs.append(plan)
        run_job(lake, plan)

    return compact_table(compaction_of(lake, interrupter), day(1), job)


def _die_before_the_commit(lake: LakeRig) -> CompactionPlan:
    plan = compaction_of(lake).prepare(day(1))
    assert plan is not None
    run_job(lake, plan)
    return plan


def test_a_job_that_has_ended_is_not_run_again(lake: LakeRig) -> None:
    plan = _die_before_the_commit(published(lake))
    jobs: list[CompactionPlan] = []
    swap = _compact(lake, jobs)
    assert swap is not None
    assert (jobs, swap.run, swap.rows_in, swap.rows_out) == ([], plan.run, 12, 11)
    assert set(ids(lake)) == latest(lake)
    assert ids(lake).total() == 11
    assert _compact(lake, jobs) is None
    assert not jobs


def test_of_a_job_that_still_runs_one_result_counts(lake: LakeRig) -> None:
    plan = compaction_of(published(lake)).prepare(day(1))
    assert plan is not None
    jobs: list[CompactionPlan] = []
    swap = _compact(lake, jobs)
    assert swap is not None
    assert [one.run for one in jobs] == [swap.run] != [plan.run]
    run_job(lake, plan)  # AWS Glue ends the first one only now
    snapshots = lake.snapshots()
    assert _compact(lake, jobs) is None
    assert lake.snapshots() == snapshots
    assert ids(lake).total() == 11


@pytest.mark.parametrize("what", ["retracted", "another contract", "a damaged manifest", "a lost output"])
def test_what_does_not_fit_any_more_is_compacted_anew(lake: LakeRig, what: str) -> None:
    bad = load(lake, 90)
    plan = _die_before_the_commit(published(lake))
    rows = 11
    if what == "retracted":
        retract(lake.rig, bad)
        lake.publish()
        lake.rig.tidy()
    elif what == "another contract":
        shipments = lake.contracts["shipments"]
        lake.contracts = {**lake.contracts, "shipments": replace(shipments, version="9.9.9")}
        rows = 12
    elif what == "a damaged manifest":
        lake.store.put(plan.run.manifest_key, b"{")
        rows = 12
    else:
        lake.store.delete([f"{plan.run}part-0.parquet"])
        rows = 12
    jobs: list[CompactionPlan] = []
    swap = _compact(lake, jobs)
    assert swap is not None
    assert [one.run for one in jobs] == [swap.run] != [plan.run]
    assert ids(lake).total() == rows


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_wherever_it_dies_running_it_again_ends_well(make: Make, before: bool) -> None:
    watch = Interrupter()
    _compact(published(make()), [], watch)
    for at in range(1, len(watch.calls) + 1):
        lake = published(make())
        jobs: list[CompactionPlan] = []
        try:
            _compact(lake, jobs, Interrupter(at, before, crash))
        except Crash:
            lake.rig.clock.advance(2000)
        _compact(lake, jobs)
        assert len(jobs) <= 2
        assert set(ids(lake)) == latest(lake)
        assert ids(lake).total() == 11


def test_while_somebody_publishes_a_compaction_waits(lake: LakeRig) -> None:
    leases, told = published(lake).rig.ledger.leases, list[str]()
    lease = leases.take("lake#shipments", 60)

    def job(plan: CompactionPlan) -> None:
        nonlocal lease
        run_job(lake, plan)
        lease = leases.take("lake#shipments", 60)

    patience = Patience(told.append, lambda _seconds: leases.return_lease(lease))
    swap = compact_table(compaction_of(lake), day(1), job, patience)
    assert swap is not None
    assert ids(lake).total() == 11
    assert told == ["somebody else works on lake#shipments: waiting for its end"]


def test_who_never_ends_is_not_waited_for(lake: LakeRig) -> None:
    published(lake).rig.ledger.leases.take("lake#shipments", 10_000)
    slept: list[float] = []
    with pytest.raises(LeaseHeld):
        compact_table(compaction_of(lake), day(1), lambda _plan: None, Patience(lambda _text: None, slept.append))
    assert sum(slept) == 1000


def test_a_run_that_maintenance_may_be_deleting_is_not_committed(
    lake: LakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _die_before_the_commit(published(lake))
    two_days_ago = time.time() - 2 * 24 * 3600
    for file in (lake.folder / str(plan.run)).iterdir():
        os.utime(file, (two_days_ago, two_days_ago))
    compaction = compaction_of(lake)
    with pytest.raises(Outdated, match="ended a day ago"):
        compaction.commit(*compaction.load(plan.run))
    delete, jobs = lake.store.delete, list[CompactionPlan]()

    def delete_slowly(keys: Iterable[str]) -> None:
        if not jobs:
            lake.rig.clock.advance(2000)  # the lease is over, and the laptop wakes up
            _compact(lake, jobs)
        delete(keys)

    ledger, catalog, store = lake.parts()
    monkeypatch.setattr(store, "delete", delete_slowly)
    Maintenance(ledger, catalog, store, ENDLESS).run("shipments")
    assert not (lake.folder / str(plan.run)).exists() or not list((lake.folder / str(plan.run)).iterdir())
    assert set(ids(lake)) == latest(lake)
    assert ids(lake).total() == 11
