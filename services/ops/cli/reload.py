"""`smelt reload`: prints which objects are loaded again because files of theirs were lost, asks, and does it."""

from __future__ import annotations

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.belonging import check_bronze
from services.ops.bronze import S3Bronze
from services.ops.cli.asking import ByOption, DryRunFlag, ReasonOption, YesFlag, confirm, operator
from services.ops.cli.console import JsonFlag, RegionOption, finish, say, sentence, show, show_json
from services.ops.cli.options import BronzeOption, QueueOption, SilverOption, TableOption
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.ops.queue_planner import queue_planner
from services.ops.reload import Done, Reload, Reloaded, lots_of_files, objects_of_lots
from services.ops.rewrite.retraction import Retraction
from services.shared.aws import aws_client
from services.shared.lake import LakeUnavailable, S3Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LedgerObject
from services.shared.planning.copies import S3Copies


def reload_files(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Keys of Silver or quarantine, as smelt audit shows them.")
    ],
    table: TableOption = "",
    bronze_bucket: BronzeOption = "",
    silver_bucket: SilverOption = "",
    queue_url: QueueOption = "",
    region: RegionOption = None,
    reason: ReasonOption = "",
    by: ByOption = "",
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Read the rows of lost or changed files from Bronze again.

    All objects that share a lot with such a file are taken out of Silver and quarantine, with what is left of them, and
    loaded again. Restore the file's previous version instead, where there is one. Stopped, run it again. Exits with 1
    if an object is not in Bronze any more: what is left of it stays.

    Example: smelt reload silver/shipments/dt=2026-01-31/20260131T120000Z-0011223344556677-8899aabb.parquet
    --reason "deleted by hand"
    """
    if not (table and bronze_bucket and silver_bucket and queue_url):
        raise OperatorError(
            "No pipeline given: pass --table, --bronze-bucket, --silver-bucket and --queue-url, or set LEDGER_TABLE, "
            "BRONZE_BUCKET, SILVER_BUCKET and QUEUE_URL."
        )
    if not (dry_run or reason.strip()):
        raise OperatorError("No reason given: pass --reason; the ledger keeps it for whoever asks later.")
    lots = lots_of_files(files, silver_bucket)
    try:
        ledger, s3 = Ledger(aws_client("dynamodb", region), table), aws_client("s3", region)
        ledger.home.check_bucket(silver_bucket)
        check_bronze(ledger, bronze_bucket)
        lake, history = S3Lake(s3, silver_bucket), History.of(s3, silver_bucket)
        objects = objects_of_lots(ledger, history, lots, restore=False)
        if dry_run or not yes:
            _preview(objects, as_json, dry_run)
        confirm(f"Take {len(objects):,} objects out of Silver and quarantine, and load them again?", yes)
        objects = objects_of_lots(ledger, history, lots, restore=True)
        retraction = Retraction(ledger, lake, operator(by), reason, history, tell=say, lost_files=True)
        planner = queue_planner(ledger, bronze_bucket, aws_client("sqs", region), queue_url, S3Copies(s3))
        with watching() as watch:
            done = list(Reload(S3Bronze(s3, bronze_bucket), lake, retraction, planner).run(objects, watch))
    except (BotoCoreError, ClientError, LakeUnavailable) as error:
        raise OperatorError(
            f"Reloading files of the ledger {table} and the bucket {silver_bucket} stopped: {sentence(error)} "
            "What was done is kept; run the same command again, and it goes on."
        ) from error
    if as_json:
        show_json({"dry_run": False, "objects": [_document(one) for one in done]})
    else:
        for one in done:
            show(f"{one.id}: {one.done}{f' ({one.why})' if one.why else ''}", style=_STYLE.get(one.done))
        show(f"{sum(one.units for one in done):,} units sent; `smelt audit` shows when they are loaded")
    finish(all_right=all(one.done is not Done.UNREADABLE for one in done))


_STYLE = {Done.UNREADABLE: "red", Done.LEFT: "yellow"}


def _preview(objects: list[LedgerObject], as_json: bool, dry_run: bool) -> None:
    if not as_json:
        for known in objects:
            show(f"{known.id}: {known.state}")
    if dry_run:
        if as_json:
            show_json({"dry_run": True, "objects": [{"object": str(one.id), "state": one.state} for one in objects]})
        else:
            show(f"{len(objects):,} objects would be taken out and loaded again")
        finish(all_right=True)


def _document(one: Reloaded) -> dict[str, object]:
    return {"object": str(one.id), "done": one.done, "units_sent": one.units, "why": one.why}
