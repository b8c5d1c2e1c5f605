"""`smelt publish`: brings the lake's tables to what the ledger says, and looks after them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import JsonFlag, RegionOption, explain, finish, show, show_json
from services.ops.cli.options import CatalogOption, ContractsOption, DatabaseOption, SilverOption, TableOption
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from services.shared.aws import aws_client
from services.shared.contract.loader import load_contracts
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox

if TYPE_CHECKING:
    from services.ops.lake.maintenance import Maintained, Tidied
    from services.ops.lake.publish import Published

app = typer.Typer(pretty_exceptions_enable=False, invoke_without_command=True)


@app.callback()
def publish_lots(
    context: typer.Context,
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    database: DatabaseOption = "",
    catalog: CatalogOption = "glue",
    contracts: ContractsOption = Path("contracts"),
    region: RegionOption = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Look at all of Silver again, not only at what waits.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Publish committed rows into the lake's Iceberg tables, one for each dataset, made and evolved from its contract.

    Whatever the schedule has not published yet is published now. The first run also brings what was committed before.
    Safe at any time, also several at once. Exits with 1 if lots had to wait for a reason that somebody must look at.

    Examples: smelt publish; smelt publish --backfill --json; smelt publish --catalog lake.db --database lake
    """
    if context.invoked_subcommand:
        return
    _require(table, silver_bucket, database)
    from services.ops.history.reader import History
    from services.ops.lake.opening import open_lake
    from services.ops.lake.run import publish  # PyIceberg is slow to import

    try:
        ledger, s3 = Ledger(aws_client("dynamodb", region), table), aws_client("s3", region)
        ledger.home.check_bucket(silver_bucket)
        lake, store = open_lake(s3, silver_bucket, database, catalog, region)
        with watching() as watch:
            history = History.of(s3, silver_bucket)
            done = publish(
                ledger, lake, store, load_contracts(contracts), history, Deadline.endless(), watch, again=backfill
            )
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"Publishing from the ledger {table} stopped: {explain(error)} What was done is kept; run it again."
        ) from error
    if as_json:
        show_json(published_document(done))
    else:
        _show(done)
    finish(all_right=done.all_right)


@app.command("tidy")
def tidy(
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    database: DatabaseOption = "",
    catalog: CatalogOption = "glue",
    contracts: ContractsOption = Path("contracts"),
    region: RegionOption = None,
    keep_days: Annotated[
        int, typer.Option(metavar="N", help="Days for which the last snapshot of each day stays.")
    ] = 30,
    as_json: JsonFlag = False,
) -> None:
    """Expire old snapshots of the tables, and delete metadata and compaction runs that no snapshot names.

    Never deletes anything in Silver. Safe at any time; the schedule does the same. Exits with 1 if a table was left for
    a reason that somebody must look at. Example: smelt publish tidy --json
    """
    _require(table, silver_bucket, database)
    if keep_days < 1:
        raise OperatorError(f"--keep-days is {keep_days}: pass 1 or more.")
    from services.ops.lake.maintenance import Maintenance
    from services.ops.lake.opening import open_lake

    try:
        ledger, s3 = Ledger(aws_client("dynamodb", region), table), aws_client("s3", region)
        ledger.home.check_bucket(silver_bucket)
        lake, store = open_lake(s3, silver_bucket, database, catalog, region)
        datasets = sorted(load_contracts(contracts))
        maintenance = Maintenance(ledger, lake, store, Deadline.endless())
        done = maintenance.run_each(datasets, keep_daily=timedelta(days=keep_days))
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"The tables of {database} were not tidied: {explain(error)} Run it again.") from error
    if as_json:
        tables = [_maintained_document(one) for one in done.tables]
        show_json({"tables": tables, "busy": done.busy, "problems": done.problems})
    else:
        _show_tidied(done)
    finish(all_right=not done.problems)


@app.command("check")
def check(
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    database: DatabaseOption = "",
    catalog: CatalogOption = "glue",
    contracts: ContractsOption = Path("contracts"),
    region: RegionOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare the tables with the ledger: each committed file is in its table once, or a compaction stands for it.

    Reads only. Exits with 1 if a file is missing or left behind, if a compaction's rows do not add up, or if a table
    cannot be read. `smelt publish --backfill` heals the first two. Example: smelt publish check --json
    """
    _require(table, silver_bucket, database)
    from services.ops.history.reader import History
    from services.ops.lake.check import check_each, check_table
    from services.ops.lake.opening import open_lake

    try:
        ledger, s3 = Ledger(aws_client("dynamodb", region), table), aws_client("s3", region)
        ledger.home.check_bucket(silver_bucket)
        lake, store = open_lake(s3, silver_bucket, database, catalog, region)
        past = History.of(s3, silver_bucket)
        datasets = sorted(load_contracts(contracts))
        done = list(check_each(lambda dataset: check_table(ledger, lake, store, past, dataset), datasets))
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"The tables of {database} cannot be read: {explain(error)}") from error
    if as_json:
        show_json({"all_right": all(one.all_right for one in done), "tables": [asdict(one) for one in done]})
    else:
        for one in done:
            show(f"{one.dataset}: {one.files:,} files of committed lots; {one.waiting:,} lots wait for the publisher")
            if one.unreadable:
                show(f"  cannot be compared: {one.unreadable}", style="red")
            for title, listed in (("missing", one.missing), ("left behind", one.stale), ("uneven", one.uneven)):
                for what in listed:
                    show(f"  {title}: {what}", style="red")
    finish(all_right=all(one.all_right for one in done))


@app.command("off")
def switch_off(table: TableOption = "", region: RegionOption = None) -> None:
    """Forget what waits to be published: nobody keeps the lake's tables any more.

    First deploy without the lake, so that transform leaves no more marks. From here on, retractions delete files that
    the tables still name: drop the tables before the lake is enabled again, by `aws glue delete-table`, never by DROP
    TABLE in Athena, which removes rows too. Run it again after 15 minutes: functions of before may have left marks
    until then. Example: smelt publish off
    """
    if not table:
        raise OperatorError("No pipeline given: pass --table, or set LEDGER_TABLE.")
    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        forgotten = ledger.marks.close_outbox(Outbox.PUBLISH)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"Cannot change the ledger {table}: {explain(error)}") from error
    show(f"The lake is off: {forgotten:,} marks were waiting, and are forgotten")


def published_document(done: Published) -> dict[str, Any]:
    """The JSON that docs/lake.md describes."""
    return {
        "lots": done.lots,
        "snapshots": done.snapshots,
        "files_added": done.added,
        "files_removed": done.removed,
        "snapshots_forgotten": done.forgotten,
        "files_listed": done.listed,
        "busy": done.busy,
        "problems": done.problems,
        "complete": done.finished and not (done.busy or done.problems),
    }


def _maintained_document(one: Maintained) -> dict[str, Any]:
    return {
        "table": one.dataset,
        "snapshots_expired": one.snapshots,
        "metadata_files_deleted": one.metadata,
        "runs_deleted": one.runs,
        "run_files_deleted": one.run_files,
        "runs_kept": one.kept,
    }


def _show_tidied(done: Tidied) -> None:
    for one in done.tables:
        show(
            f"{one.dataset}: {one.snapshots:,} snapshots expired, {one.metadata:,} metadata files and "
            f"{one.runs:,} compaction runs ({one.run_files:,} files) deleted"
        )
        for kept in one.kept:
            show(f"  not deleted: {kept}", style="yellow")
    for dataset in done.busy:
        show(f"{dataset}: somebody else works on the table: run this again later", style="yellow")
    for problem in done.problems:
        show(f"not tidied: {problem}", style="red")


def _show(done: Published) -> None:
    for problem in done.problems:
        show(f"not published: {problem}", style="red")
    for dataset in done.busy:
        show(f"{dataset}: somebody else works on the table: its lots wait for the next run", style="yellow")
    if done.listed:
        show(f"{done.listed:,} files of Silver looked at")
    show(f"{done.lots:,} lots published: {done.added:,} files in {done.snapshots:,} snapshots")
    if done.removed:
        show(f"{done.removed:,} replaced files taken out, {done.forgotten:,} snapshots forgotten that named them")


def _require(table: str, silver_bucket: str, database: str) -> None:
    if not (table and silver_bucket and database):
        raise OperatorError(
            "No lake given: pass --table, --silver-bucket and --database, or set LEDGER_TABLE, SILVER_BUCKET and "
            "LAKE_DATABASE."
        )
