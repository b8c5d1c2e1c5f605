"""Runs in .venv-spark: answers requests in one Spark session, with the jobs' own code.

A request is a line of JSON: `{"call": ..., ...}`; an answer is a line of JSON in the file that is named as an argument.
`die_at` is the step of the job at which it stops as if its machine were gone.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from glue import compact_silver
from glue import recompute as glue_recompute
from glue.session import session
from glue.store import store_at
from services.shared.compaction import CompactionPlan
from services.shared.errors import SmeltError
from services.shared.recompute import RecomputePlan


class Died(BaseException):
    """The machine is gone."""


@cache
def spark() -> SparkSession:
    found = session("smelt-tests", "local")
    found.sparkContext.setLogLevel("OFF")
    return found


def compact(lake: str, plan: str, die_at: str = "", without_spark: bool = False) -> Any:
    def step(name: str) -> None:
        if name == die_at:
            raise Died(name)

    text = store_at(lake).find(plan)
    assert text is not None
    made = compact_silver.compact(_no_spark if without_spark else spark, lake, CompactionPlan.from_json(text), step)
    return json.loads(made.to_json())


def recompute(lake: str, bronze: str, plan: str) -> Any:
    return glue_recompute.recompute(spark(), lake, bronze, RecomputePlan.from_json(plan))


def main(arguments: list[str]) -> Any:
    return compact_silver.main(arguments)


def read(files: list[str], schema: str) -> Any:
    """Rows as Spark itself reads them, matched by name."""
    rows = spark().read.schema(schema).option("datetimeRebaseMode", "CORRECTED").parquet(*files)
    return [json.loads(row) for row in rows.toJSON().collect()]


def plan_of(lake: str, plan: str) -> Any:
    """How Spark would choose the latest rows: the physical plan."""
    text = store_at(lake).find(plan)
    assert text is not None
    made = CompactionPlan.from_json(text)
    chosen = compact_silver.latest(compact_silver.read(spark(), lake, made), made)
    return chosen._jdf.queryExecution().executedPlan().toString()


def _no_spark() -> SparkSession:
    raise AssertionError("Spark was started for nothing")


CALLS = {"compact": compact, "recompute": recompute, "main": main, "read": read, "plan_of": plan_of}


def serve(answers: Path) -> None:
    with answers.open("w") as out:
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer = {"value": CALLS[request.pop("call")](**request)}
            except (SmeltError, Died) as error:
                answer = {"error": type(error).__name__, "says": str(error)}
            except Exception as error:  # noqa: BLE001 (Spark wraps what a worker raises)
                answer = {"error": type(error).__name__, "says": str(error)[:20_000]}
            out.write(json.dumps(answer) + "\n")
            out.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
