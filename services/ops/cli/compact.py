"""`smelt compact`: prints what a compaction read, wrote and left out."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import JsonFlag, RegionOption, explain, finish, say, show, show_json
from services.ops.cli.options import SilverOption, TableOption
from services.ops.compacting.planning import Partition, Planned
from services.ops.compacting.running import latest_on_glue, run_here, start_on_glue, wait_for_glue
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.shared.aws import aws_client
from services.shared.compaction import CompactionPlan, CompactionResult
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract
from services.shared.identities import COMPACTED_ROOT
from services.shared.ledger.ledger import Ledger


class Place(StrEnum):
    """Where the job runs."""

    HERE = "here"
    GLUE = "glue"


_Job = Annotated[str, typer.Option("--job", envvar="GLUE_JOB_NAME", help="The Glue job's name.")]


def compact_partition(
    record_type: Annotated[str, typer.Argument(help="The dataset, such as shipments.")],
    dt: Annotated[str, typer.Argument(metavar="DT", help="The day, YYYY-MM-DD.")],
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    contracts: Annotated[Path, typer.Option(envvar="CONTRACTS_DIR", help="The folder of contracts.")] = Path(
        "contracts"
    ),
    output_prefix: Annotated[str, typer.Option(help="The folder of the Silver bucket to write to.")] = COMPACTED_ROOT,
    on: Annotated[Place, typer.Option(help="Where the job runs: this machine's Spark, or AWS Glue.")] = Place.HERE,
    job: _Job = "",
    force: Annotated[bool, typer.Option("--force", help="Also where it leaves no fewer files.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be read; run nothing.")] = False,
    region: RegionOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the files of one partition again, fewer and larger, with the latest row of each key.

    Silver stays as it is. Safe at any time: the same files are never compacted twice, and a run that was stopped goes
    on from its plan.

    Example: smelt compact shipments 2025-12-31
    """
    if not (table and silver_bucket):
        raise OperatorError(
            "No pipeline given: pass --table and --silver-bucket, or set LEDGER_TABLE and SILVER_BUCKET."
        )
    if on is Place.GLUE and not job:
        raise OperatorError("No job given: pass --job, or set GLUE_JOB_NAME. `make glue-job-start` does.")
    contract = _contract(contracts, record_type)
    _check_day(dt)
    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        ledger.home.check_bucket(silver_bucket)
        s3 = aws_client("s3", region)
        partition = Partition(s3, silver_bucket, record_type, dt, output_prefix)
        inputs = partition.inputs(ledger.find_lots, History.of(s3, silver_bucket).find_lots)
        planned = partition.plan(contract, inputs, datetime.now(UTC), force)
        result = planned.done
        if planned.plan is not None and not dry_run:
            partition.write(planned.plan)
            _run(planned.plan, silver_bucket, on, job, region)
            result = partition.result(planned.plan)
            if result is None:
                raise OperatorError(f"The job ended, and {planned.plan.run.manifest_key} is not there: run this again.")
    except ValueError as error:  # of the output prefix
        raise OperatorError(f"--output-prefix: {error}") from error
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"The compaction of {record_type}, dt={dt}, stopped: {explain(error)} Nothing was replaced; run it again."
        ) from error
    if as_json:
        show_json(_document(planned, result, dry_run))
    else:
        _show(planned, result, dry_run)


def show_job(job: _Job = "", region: RegionOption = None, as_json: JsonFlag = False) -> None:
    """Show the latest run of the Glue job, or why it failed. Exits with 1 if it failed.

    Example: smelt glue-job --job smelt-dev-compact-silver
    """
    if not job:
        raise OperatorError("No job given: pass --job, or set GLUE_JOB_NAME. `make glue-job-status` does.")
    try:
        found = latest_on_glue(aws_client("glue", region), job)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"Glue refuses, or does not answer: {explain(error)}") from error
    if found is None:
        raise OperatorError(f"{job} has not run yet: `make glue-job-start` starts it.")
    plan = found.get("Arguments", {}).get("--plan", "")
    why = found.get("ErrorMessage", "")
    if as_json:
        told = {"job": job, "run": found["Id"], "state": found["JobRunState"], "plan": plan, "error": why or None}
        show_json(told | {"seconds": found.get("ExecutionTime")})
    else:
        show(f"{found['JobRunState']}: {job}, run {found['Id']}, {found.get('ExecutionTime', 0)} s")
        show(plan)
        if why:
            show(why, style="red")
    finish(all_right=found["JobRunState"] not in {"FAILED", "ERROR", "TIMEOUT"})


def _run(plan: CompactionPlan, bucket: str, on: Place, job: str, region: str | None) -> None:
    lake = f"s3://{bucket}"
    say(f"compacting {len(plan.inputs):,} files with {plan.rows:,} rows, as {plan.run.plan_key} says")
    if on is Place.HERE:
        run_here(lake, plan.run.plan_key)
        return
    glue = aws_client("glue", region)
    started = start_on_glue(glue, job, lake, plan.run.plan_key)
    say(f"started: {job}, run {started}")
    wait_for_glue(glue, job, started, say)


def _contract(folder: Path, record_type: str) -> Contract:
    known = load_contracts(folder)
    if record_type not in known:
        raise OperatorError(f"No contract is named {record_type!r} in {folder}: there are {', '.join(sorted(known))}.")
    return known[record_type]


def _check_day(dt: str) -> None:
    try:
        if datetime.strptime(dt, "%Y-%m-%d").strftime("%Y-%m-%d") != dt:
            raise ValueError(dt)
    except ValueError as error:
        raise OperatorError(f"DT is {dt!r}; it must be a day such as 2025-12-31.") from error


def _document(planned: Planned, result: CompactionResult | None, dry_run: bool) -> dict[str, Any]:
    plan = planned.plan
    document: dict[str, Any] = {"dry_run": dry_run, "skipped": planned.why_not or None, "plan": None, "manifest": None}
    if plan is not None:
        document |= {"plan": plan.run.plan_key, "files_in": len(plan.inputs), "rows_in": plan.rows}
        document["bytes_in"] = plan.total_bytes
    if result is not None:
        document |= {
            "manifest": result.run.manifest_key,
            "files_out": len(result.outputs),
            "rows_out": result.rows,
            "bytes_out": result.total_bytes,
            "superseded_rows": result.superseded_rows,
        }
    return document


def _show(planned: Planned, result: CompactionResult | None, dry_run: bool) -> None:
    plan = planned.plan
    if plan is not None and dry_run:
        show(f"would read {len(plan.inputs):,} files: {plan.rows:,} rows in {plan.total_bytes:,} bytes")
        return
    if planned.why_not:
        show(f"nothing to do: {planned.why_not}")
    if result is None:
        return
    if plan is not None:
        show(f"{len(plan.inputs):,} files with {plan.rows:,} rows in {plan.total_bytes:,} bytes")
    show(f"-> {len(result.outputs):,} files with {result.rows:,} rows in {result.total_bytes:,} bytes")
    show(f"{result.superseded_rows:,} rows have a later one with the same key")
    show(result.run.manifest_key)
