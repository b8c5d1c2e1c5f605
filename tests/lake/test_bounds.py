"""Files whose texts have no bounds: their rows are found by every question, and keep no other row from its table."""

from __future__ import annotations

import json
from typing import Any

from services.ops.lake.live import day_of, day_text
from services.transform.reading.reader import UnitReader
from tests.faults.rig import shipment
from tests.lake.compacting import compaction_of, run_job
from tests.lake.rig import LakeRig, day

LONG = "q" * 5000  # Parquet notes no bounds of a row group with such a text


def carried(number: int, carrier: str) -> bytes:
    return json.dumps(json.loads(shipment(number)) | {"carrier": carrier}).encode()


def carried_by(lake: LakeRig, condition: str) -> list[Any]:
    return sorted(lake.table().scan(row_filter=condition).to_arrow()["shipment_id"].to_pylist())


def test_rows_beside_a_long_text_are_found_by_what_they_have(lake: LakeRig) -> None:
    lake.rig.reader = lambda source: UnitReader(source, max_row_bytes=8192, block_bytes=512)
    for number, carrier in enumerate(["DHL", "UPS", LONG, "Alpha", "posti"]):
        lake.rig.upload("shipments", [carried(number, carrier)])
        lake.rig.deliver(lake.rig.units[-1:])
    lake.publish()
    compaction = compaction_of(lake)
    plan = compaction.prepare(day(1))
    assert plan is not None
    run_job(lake, plan, group_rows=2)
    compaction.commit(*compaction.load(plan.run))
    (task,) = lake.table().scan().plan_files()
    assert task.file.record_count == 5
    assert carried_by(lake, "carrier = 'Alpha'") == ["S3"]
    assert carried_by(lake, f"carrier = '{LONG}'") == ["S2"]
    assert carried_by(lake, "carrier > 'q'") == ["S2"]
    assert carried_by(lake, "carrier is null") == []
    assert not list(lake.table().scan(row_filter="shipment_id = 'T'").plan_files()), "other columns have their bounds"


def test_a_text_that_cannot_be_shortened_keeps_no_row_from_the_table(lake: LakeRig) -> None:
    lake.rig.upload("shipments", [carried(1, "\ud7ff" * 17), carried(2, "DHL"), carried(3, "x" * 16 + "\ud7ff")])
    lake.rig.deliver(lake.rig.units[-1:])
    done = lake.publish()
    assert done is not None
    assert done.all_right, done.problems
    lake.check()
    assert carried_by(lake, "carrier = '" + "\ud7ff" * 17 + "'") == ["S1"]
    (task,) = lake.table().scan().plan_files()
    assert day_text(day_of(task.file)) == day(1)
