"""In place of Spark: what a compaction's job does, in a few lines of Arrow."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitFailedException

from services.ops.lake.compaction import Compaction, Swap
from services.shared.compaction import CompactionPlan, CompactionResult, OutputFile
from services.shared.parquet.schema import described
from services.shared.parquet.tables import arrow_type
from tests.lake.rig import ENDLESS, LakeRig
from tests.support.faults import Crash, Interrupter

__all__ = ["CommitFailedException", "compact", "compaction_of", "run_job"]


def compaction_of(lake: LakeRig, interrupter: Interrupter | None = None) -> Compaction:
    return Compaction(*lake.parts(interrupter), lake.contracts["shipments"], ENDLESS)


def run_job(lake: LakeRig, plan: CompactionPlan, group_rows: int | None = None) -> CompactionResult:
    """Read the inputs, keep the latest row of each key, write one output and the manifest."""
    rows = []
    for file in plan.inputs:
        for row in pq.read_table(lake.folder / file.key).to_pylist():
            rows.append((tuple(row[key] for key in plan.keys), tuple(row[name] for name in plan.order), file.key, row))
    rows.sort(key=lambda one: one[1])
    latest = {one[0]: one for one in rows} if plan.keys else dict(enumerate(rows))
    kept = sorted(latest.values(), key=lambda one: one[1])
    superseded = Counter({file.key: file.rows for file in plan.inputs})
    superseded.subtract(one[2] for one in kept)
    arrays = [pa.array([one[3].get(column.name) for one in kept], arrow_type(column)) for column in plan.columns]
    table = described(pa.Table.from_arrays(arrays, names=[column.name for column in plan.columns]), plan.columns)
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=group_rows, store_schema=False)
    key = f"{plan.run}part-0.parquet"
    lake.store.put(key, sink.getvalue())
    etag = hashlib.md5(sink.getvalue(), usedforsecurity=False).hexdigest()
    output = OutputFile(key, table.num_rows, len(sink.getvalue()), etag)
    result = CompactionResult(plan.run, plan.digest, (output,), dict(superseded))
    lake.store.put(plan.run.manifest_key, result.to_json().encode())
    return result


def compact(
    lake: LakeRig, day: str, interrupter: Interrupter | None = None, meanwhile: Callable[[], object] = lambda: None
) -> Swap | None:
    """A whole compaction; None where there is nothing to gain, or it crashed. `meanwhile` runs after the job."""
    compaction = compaction_of(lake, interrupter)
    try:
        plan = compaction.prepare(day)
        if plan is None:
            return None
        run_job(lake, plan)
        meanwhile()
        return compaction.commit(*compaction.load(plan.run))
    except Crash:
        return None
