"""`smelt compact`: prints what a compaction read, wrote and left out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import JsonFlag, RegionOption, explain, finish, say, show, show_json
from services.ops.cli.options import CatalogOption, DatabaseOption, SilverOption, TableOption
from services.ops.committed import find_in
from services.ops.compacting.planning import Partition, Planned
from services.ops.compacting.running import RUNNING, latest_on_glue, run_here, start_on_glue, wait_for_glue
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.shared.aws import aws_client
from services.shared.compaction import CompactionPlan, CompactionResult
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.identities import COMPACTED_ROOT
from services.shared.ledger.ledger import Ledger

if TYPE_CHECKING:
    from services.ops.lake.compaction import Compaction


class Place(StrEnum):
    """Where the job runs."""

    HERE = "here"
    GLUE = "glue"


JobOption = Annotated[str, typer.Option("--job", envvar="GLUE_JOB_NAME", help="The Glue job's name.")]


def compact_partition(
    record_type: Annotated[str, typer.Argument(help="The dataset, such as shipments.")],
    dt: Annotated[str, typer.Argument(metavar="DT", help="The day, YYYY-MM-DD.")],
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    contracts: Annotated[Path, typer.Option(envvar="CONTRACTS_DIR", help="The folder of contracts.")] = Path(
        "contracts"
    ),
    output_prefix: Annotated[str, typer.Option(help="The folder of the Silver bucket to write to.")] = COMPACTED_ROOT,
    database: DatabaseOption = "",
    catalog: CatalogOption = "glue",
    on: Annotated[Place, typer.Option(help="Where the job runs: this machine's Spark, or AWS Glue.")] = Place.HERE,
    job: JobOption = "",
    force: Annotated[bool, typer.Option("--force", help="Also where it leaves no fewer files.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be read; run nothing.")] = False,
    region: RegionOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the files of one partition again, fewer and larger, with the latest row of each key.

    Silver stays as it is. With the lake, the dataset's table gets the new files in place of the old ones, in one
    snapshot. Safe at any time: the same files are never compacted twice, and a run that was stopped changes nothing.

    Example: smelt compact shipments 2025-12-31
    """
    if not (table and silver_bucket):
        raise OperatorError(
            "No pipeline given: pass --table and --silver-bucket, or set LEDGER_TABLE and SILVER_BUCKET."
        )
    if database and (output_prefix.strip("/") != COMPACTED_ROOT or force or dry_run):
        raise OperatorError(
            f"With the lake, compactions go to {COMPACTED_ROOT}, and the table decides what is worthwhile: leave out "
            "--output-prefix, --force and --dry-run."
        )
    if on is Place.GLUE and not job:
        raise OperatorError("No job given: pass --job, or set GLUE_JOB_NAME. `make glue-job-start` does.")
    contract = contract_of(contracts, record_type)
    check_day(dt)

    def run_plan(plan: CompactionPlan) -> None:
        _run(plan, silver_bucket, on, job, region)

    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        ledger.home.check_bucket(silver_bucket)
        s3 = aws_client("s3", region)
        if database:
            compaction = _of_table(ledger, s3, silver_bucket, contract, database, catalog, region)
            _show_swap(compaction, dt, run_plan, as_json)
            return
        partition = Partition(s3, silver_bucket, record_type, dt, output_prefix)
        inputs = partition.inputs(find_in(ledger.find_lots, History.of(s3, silver_bucket).find_lots))
        planned = partition.plan(contract, inputs, datetime.now(UTC), force)
        result = planned.done
        if planned.plan is not None and not dry_run:
            partition.write(planned.plan)
            run_plan(planned.plan)
            result = partition.result(planned.plan)
            if result is None:
                raise OperatorError(f"The job ended, and {planned.plan.run.manifest_key} is not there: run this again.")
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"The compaction of {record_type}, dt={dt}, stopped: {explain(error)} Run it again: it goes on from there."
        ) from error
    if as_json:
        show_json(_document(planned, result, dry_run))
    else:
        _show(planned, result, dry_run)


def show_job(job: JobOption = "", region: RegionOption = None, as_json: JsonFlag = False) -> None:
    """Show the latest run of the Glue job, or why it failed. Exits with 1 if it failed, or was stopped.

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
    finish(all_right=found["JobRunState"] in {*RUNNING, "SUCCEEDED"})


def _of_table(
    ledger: Ledger, s3: Any, bucket: str, contract: Contract, database: str, catalog: str, region: str | None
) -> Compaction:
    from services.ops.lake.compaction import Compaction
    from services.ops.lake.opening import open_lake

    tables, store = open_lake(s3, bucket, database, catalog, region)
    return Compaction(ledger, tables, store, contract, Deadline.endless())


def _show_swap(compaction: Compaction, dt: str, run_job: Callable[[CompactionPlan], None], as_json: bool) -> None:
    from services.ops.compacting.table import Patience, compact_table

    swap = compact_table(compaction, dt, run_job, Patience(say))
    if as_json:
        told = {"run": str(swap.run), "rows_in": swap.rows_in, "rows_out": swap.rows_out} if swap else {}
        counts = {"files_in": swap.done.removed, "files_out": swap.done.added} if swap else {}
        show_json({"skipped": None if swap else "nothing to gain, or no table yet", **told, **counts})
    elif swap is None:
        show(
            "nothing to do: the table has few enough files of this day, or is not there yet (`smelt publish` makes it)"
        )
    else:
        show(f"{swap.done.removed:,} files with {swap.rows_in:,} rows -> {swap.done.added:,} with {swap.rows_out:,}")
        show(f"{swap.superseded:,} rows have a later one with the same key")
        show(f"the table has them since snapshot {swap.done.snapshot_id}, by {swap.run}")


def _run(plan: CompactionPlan, bucket: str, on: Place, job: str, region: str | None) -> None:
    say(f"compacting {len(plan.inputs):,} files with {plan.rows:,} rows, as {plan.run.plan_key} says")
    run_job(f"s3://{bucket}", plan.run.plan_key, "compact", on, job, region)


def run_job(lake: str, plan_key: str, work: str, on: Place, job: str, region: str | None) -> None:
    """Run the job for a plan, and wait until it has ended well.

    Raises:
        OperatorError: it failed, or cannot be run; the message says why.
        ClientError, BotoCoreError: Glue refuses, or does not answer.
    """
    if on is Place.HERE:
        run_here(lake, plan_key, work)
        return
    if not job:
        raise OperatorError("No job given: pass --job, or set GLUE_JOB_NAME. `make glue-job-start` does.")
    glue = aws_client("glue", region)
    started = start_on_glue(glue, job, lake, plan_key, work)
    say(f"started: {job}, run {started}")
    wait_for_glue(glue, job, started, say)


def contract_of(folder: Path, record_type: str) -> Contract:
    known = load_contracts(folder)
    if record_type not in known:
        raise OperatorError(f"No contract is named {record_type!r} in {folder}: there are {', '.join(sorted(known))}.")
    return known[record_type]


def check_day(dt: str) -> None:
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
