"""The quality gate's job: judges the committed files of one partition by the rules of its contract.

    validate_silver.py --runtime local --lake <folder> --plan ge/results/shipments/dt=2025-12-31/<run>/plan.json

It reads a plan (`services.shared.gate.plan`), measures, and writes `result.json` beside the plan, whatever happens.

Exit codes, as every command of smelt has them: 0 passed; 1 failed; 2 error, which is anything else. On AWS Glue a run
of the job succeeds only if the partition has passed; any other end raises, so that nobody takes "succeeded" for a
verdict.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession

from glue.session import session
from glue.store import store_at
from services.shared.contract.model import Contract
from services.shared.gate.plan import GatePlan, PlannedFile
from services.shared.gate.rules import rules_of
from services.shared.gate.verdict import GateResult, Measured, NotMeasured, Verdict, judge, not_judged, nothing_to_judge

Measurements = dict[int, Measured | NotMeasured]
_GLOB = re.compile(r"[][{}*?\\]")  # what Spark takes for a pattern of names
EXIT_CODES = {Verdict.PASSED: 0, Verdict.FAILED: 1, Verdict.ERROR: 2}


class NotPassed(Exception):
    """How a run on AWS Glue ends that is not passed; the message is what Glue shows."""


def main(arguments: Sequence[str]) -> int:
    """Judge as the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--lake", required=True, help="s3://bucket, or a folder.")
    parser.add_argument("--plan", required=True, help="The plan's key in it.")
    parser.add_argument("--runtime", choices=["glue", "local"], default="local", help="Where this runs.")
    asked, _ = parser.parse_known_args(arguments)  # AWS Glue adds arguments of its own
    store = store_at(asked.lake)
    plan = GatePlan.from_json(store.find(asked.plan) or b"")
    result = run(plan, session("smelt-gate", asked.runtime))
    store.put(plan.run.result, result.to_json().encode())
    print(f"{result.verdict}: {plan.run.record_type}, dt={plan.run.dt}: {result.cause or 'every rule holds'}")
    if asked.runtime == "glue" and result.verdict is not Verdict.PASSED:
        raise NotPassed(f"{result.verdict}: {result.cause}")
    return EXIT_CODES[result.verdict]


def run(plan: GatePlan, spark: SparkSession) -> GateResult:
    """Judge a plan. Whatever breaks is the verdict error, never a pass and never an exception."""
    if not plan.files:  # Spark would refuse to read no file at all
        return nothing_to_judge(plan, datetime.now(UTC))
    version = ""
    try:
        contract = plan.contract()
        version = contract.version
        rows, engine, measured = _measured(plan, contract, spark)
        return judge(plan, contract, rows, measured, datetime.now(UTC), engine)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told as the verdict)
        return not_judged(plan, _told(error), datetime.now(UTC), version)


def _measured(plan: GatePlan, contract: Contract, spark: SparkSession) -> tuple[int, str, Measurements]:
    from glue.expectations import ENGINE, measure  # it takes seconds, which an empty partition need not

    sensitive = [field.name for field in contract.fields if field.is_sensitive]
    own = {file.key for file in plan.files}
    other = [file for file in plan.newest if file.key not in own]
    rows, measured = measure(
        rules_of(contract),
        _read(spark, plan.root, plan.files),
        _read(spark, plan.root, plan.newest) if other else None,
        {file.key.rsplit("/", 1)[1]: file.rows for file in plan.files},
        sensitive,
        datetime.now(UTC),
    )
    return rows, f"{ENGINE} on Spark {spark.version}", measured


def _read(spark: SparkSession, root: str, files: Iterable[PlannedFile]) -> DataFrame:
    """The rows of these files, with every column that one of them has: files of before a column hold null in it."""
    options = {"mergeSchema": "true", "datetimeRebaseMode": "CORRECTED"}  # no date of ours is Julian, however old
    return spark.read.options(**options).parquet(*(_GLOB.sub(r"\\\g<0>", f"{root}/{file.key}") for file in files))


def _told(error: Exception) -> str:
    """An error in a line, with what caused it inside Spark."""
    told = [f"{type(error).__name__}: {error}"]
    cause = getattr(error, "java_exception", None)
    while cause is not None:
        told.append(str(cause.getMessage()))
        cause = cause.getCause()
    lines = [next(iter(text.strip().splitlines()), "") for text in told]
    return ": ".join(dict.fromkeys(line.rstrip(". ") for line in lines if line))[:1000]


if __name__ == "__main__":
    if code := main(sys.argv[1:]):  # not for 0: whether AWS Glue takes sys.exit(0) for a failure was not tried
        sys.exit(code)
