"""The compaction job: the files of one partition into fewer and larger ones, the latest row of each key.

    spark-submit glue/compact_silver.py --runtime local --lake FOLDER --plan silver_compacted/.../run=.../_plan.json

It reads exactly the inputs of its plan (`services.shared.compaction`), by their content, and writes files and, last,
the manifest. It deletes nothing and writes over nothing. A run that has a manifest is done: running it again changes
nothing. A run that died has no manifest: run it again, its files of before are in no manifest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (as everybody names it)
from pyspark.sql import types as T  # noqa: N812

from glue.arrow import spark_schema
from glue.files import INPUT, REPORT, reader, writer
from glue.recompute import recompute
from glue.session import session
from glue.store import store_at
from services.shared.columns import OFFSET, SOURCE
from services.shared.compaction import CompactionPlan, CompactionResult, OutputFile, check_result, files_needed
from services.shared.errors import SmeltError, Terminal
from services.shared.recompute import RecomputePlan

_CHOSEN = "_chosen"  # no column of Silver's is named so
_FILES_A_WRITER = 4  # each writer's last file may be small: at most one in so many


def main(arguments: Sequence[str]) -> int:
    """Compact as the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--lake", required=True, help="Where the files are: s3://bucket, or a folder.")
    parser.add_argument("--plan", required=True, help="The plan's key in it.")
    parser.add_argument("--work", choices=["compact", "recompute"], default="compact", help="What the plan is of.")
    parser.add_argument("--bronze", default="", help="A folder in place of the buckets of Bronze.")
    parser.add_argument("--runtime", choices=["glue", "local"], required=True, help="Where this runs.")
    asked, _ = parser.parse_known_args(arguments)  # AWS Glue adds arguments of its own
    text = store_at(asked.lake).find(asked.plan)
    if text is None:
        raise Terminal(f"{asked.lake}/{asked.plan}: there is no such plan")
    if asked.work == "recompute":
        plan = RecomputePlan.from_json(text)
        report = recompute(session("smelt-recompute", asked.runtime), asked.lake, asked.bronze, plan)
        print(json.dumps({"report": plan.report_key, **report["rows"]}))
        return 0
    result = compact(lambda: session("smelt-compact", asked.runtime), asked.lake, CompactionPlan.from_json(text))
    told = {"rows": result.rows, "superseded": result.superseded_rows, "files": len(result.outputs)}
    print(json.dumps({"manifest": result.run.manifest_key, "bytes": result.total_bytes, **told}))
    return 0


def compact(
    spark: Callable[[], SparkSession], root: str, plan: CompactionPlan, step: Callable[[str], None] = lambda _: None
) -> CompactionResult:
    """Follow a plan. Spark is asked for only if there is something to do; `step` is told what has been reached.

    Raises:
        SmeltError: an input is gone or another one, or the rows do not add up. No manifest was written.
    """
    store = store_at(root)
    known = store.find(plan.run.manifest_key)
    if known is not None:
        result = CompactionResult.from_json(known)
        check_result(plan, result)
        return result
    step("planned")
    rows = read(spark(), root, plan)
    result = write(latest(rows, plan), root, plan)
    step("written")
    check_result(plan, result)
    store.put(plan.run.manifest_key, result.to_json().encode())
    step("told")
    return result


def read(spark: SparkSession, root: str, plan: CompactionPlan) -> DataFrame:
    """The rows of the plan's inputs, with the number of the input as the last column."""
    schema = spark_schema(plan.columns).add(INPUT, T.IntegerType())
    tasks = min(len(plan.inputs), max(spark.sparkContext.defaultParallelism * 3, files_needed(plan.total_bytes)))
    return spark.range(0, len(plan.inputs), 1, tasks).mapInArrow(reader(root, plan), schema)


def latest(rows: DataFrame, plan: CompactionPlan) -> DataFrame:
    """Of the rows that agree in all keys, the one that is last in the plan's order.

    Rows with a null in a key are each of their own: they have no key. Each worker first reduces what it has, so that a
    key with millions of rows is no more work for the one who gets it than any other.
    """
    if not plan.keys:
        return rows
    is_keyless = F.lit(False)
    for key in plan.keys:
        is_keyless = is_keyless | F.col(key).isNull()
    own = [F.when(is_keyless, F.col(name)) for name in (SOURCE, OFFSET)]
    rank = F.struct(*plan.order)
    chosen = rows.groupBy(*plan.keys, *own).agg(F.max_by(F.struct(*rows.columns), rank).alias(_CHOSEN))
    return chosen.select(f"{_CHOSEN}.*")


def write(rows: DataFrame, root: str, plan: CompactionPlan) -> CompactionResult:
    """Sort and write; the files' sizes are measured while they are written."""
    writers = max(1, files_needed(plan.total_bytes, plan.target_bytes) // _FILES_A_WRITER)
    spread = rows.repartition(1) if writers == 1 else rows.repartitionByRange(writers, *plan.order)
    metadata = {"smelt.contract_version": plan.contract_version, "smelt.run": plan.run.run}
    reports = spread.sortWithinPartitions(*plan.order).mapInArrow(writer(root, plan, metadata), REPORT).collect()
    outputs = [OutputFile(one.key, one.rows, one.bytes, one.etag) for one in reports if one.key is not None]
    kept = Counter[str]()
    for one in reports:
        if one.key is None:
            kept.update(json.loads(one.kept))
    superseded = {file.key: file.rows - kept[file.key] for file in plan.inputs}
    return CompactionResult(plan.run, plan.digest, tuple(sorted(outputs, key=lambda file: file.key)), superseded)


if __name__ == "__main__":
    try:
        if code := main(sys.argv[1:]):  # not for 0: whether AWS Glue takes sys.exit(0) for a failure was not tried
            sys.exit(code)
    except SmeltError as error:
        print(f"error: {error}", file=sys.stderr)
        if "glue" in sys.argv:
            raise  # a Glue job fails with an exception, and shows its words
        sys.exit(2)
