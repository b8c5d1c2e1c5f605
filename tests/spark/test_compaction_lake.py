"""A table of the lake, compacted by the real job: what readers see before, meanwhile and afterwards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import duckdb
import pytest

from services.ops.compacting.table import compact_table
from services.ops.lake.compaction import Compaction, Outdated
from services.shared.compaction import CompactionPlan
from services.shared.contract.model import Contract
from tests.faults.rig import shipment
from tests.lake.rig import ENDLESS, LakeRig, day
from tests.support.spark import Spark

pytestmark = pytest.mark.spark


@pytest.fixture
def lake(tmp_path: Path, contracts: dict[str, Contract]) -> LakeRig:
    return LakeRig(tmp_path / "lake", {"shipments": contracts["shipments"]})


def _load(lake: LakeRig, *numbers: int) -> None:
    lake.rig.upload("shipments", [shipment(number, 1) for number in numbers])
    lake.rig.deliver(lake.rig.units[-1:])


def _ids(lake: LakeRig, snapshot: int | None = None) -> Counter[str]:
    return Counter(lake.rows(snapshot=snapshot)["shipment_id"].to_pylist())


def _compaction(lake: LakeRig) -> Compaction:
    return Compaction(*lake.parts(), lake.contracts["shipments"], ENDLESS)


def test_the_table_has_the_jobs_files_and_what_was_published_meanwhile(lake: LakeRig, spark: Spark) -> None:
    for first in (0, 3, 6, 8):
        _load(lake, first, first + 1, first + 2)
    lake.publish()
    before = lake.table().current_snapshot()
    silver = lake.in_silver()

    def job(plan: CompactionPlan) -> None:
        spark.ask("compact", lake=str(lake.folder), plan=plan.run.plan_key)
        _load(lake, 20, 21)
        lake.publish()

    swap = compact_table(_compaction(lake), day(1), job)
    assert swap is not None
    assert (swap.rows_in, swap.rows_out) == (12, 11)
    assert _ids(lake) == Counter({f"S{n}": 1 for n in (*range(11), 20, 21)})
    assert before is not None
    assert _ids(lake, before.snapshot_id)["S8"] == 2  # time travel
    files = [task.file.file_path for task in lake.table().scan().plan_files()]
    assert sorted("silver_compacted" in file for file in files) == [False, True]
    assert lake.in_silver() - silver == Counter(dict.fromkeys(lake.in_silver() - silver, 1))
    by_duckdb = duckdb.connect().sql(
        "select count(distinct shipment_id), count(*) from read_parquet($f)", params={"f": files}
    )
    assert by_duckdb.fetchall() == [(13, 13)]


def test_of_two_runs_at_once_one_is_committed(lake: LakeRig, spark: Spark) -> None:
    for number in range(4):
        _load(lake, number)
    lake.publish()
    first = _compaction(lake)
    other = _compaction(lake).prepare(day(1))
    assert other is not None

    def both(plan: CompactionPlan) -> None:
        for run in (other.run, plan.run):
            spark.ask("compact", lake=str(lake.folder), plan=run.plan_key)

    assert compact_table(first, day(1), both)
    with pytest.raises(Outdated):
        first.commit(*first.load(other.run))
    assert _ids(lake) == Counter({f"S{n}": 1 for n in range(4)})
    assert compact_table(first, day(1), lambda _: pytest.fail("nothing is left to gain")) is None
