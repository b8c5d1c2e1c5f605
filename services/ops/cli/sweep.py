"""`smelt sweep`: prints what the sweep did."""

from __future__ import annotations

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import JsonFlag, RegionOption, explain, finish, show, show_json
from services.ops.cli.options import SilverOption, TableOption
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from services.ops.sweep import Swept, sweep
from services.shared.aws import aws_client
from services.shared.lake import S3Lake
from services.shared.ledger.ledger import Ledger


def sweep_pipeline(
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would be done.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Mark objects DONE whose units are all committed, and delete the files that commits left over.

    Safe at any time, also several at once. Stopped, it goes on where it was at the next run. Exits with 1 if a lot
    wants a file deleted that is not its own, if none of a lot's files are in the bucket, or if an item of the ledger
    cannot be read; these are left alone.
    """
    if not (table and silver_bucket):
        raise OperatorError(
            "No pipeline given: pass --table and --silver-bucket, or set LEDGER_TABLE and SILVER_BUCKET."
        )
    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        ledger.home.check_bucket(silver_bucket)
        with watching() as watch:
            swept = sweep(ledger, S3Lake(aws_client("s3", region), silver_bucket), dry_run, watch)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"The sweep of the ledger {table} and the bucket {silver_bucket} stopped: {explain(error)} "
            "What was done is kept; the next run goes on from there."
        ) from error
    if as_json:
        show_json(_as_document(swept, dry_run))
    else:
        _show(swept, dry_run, silver_bucket)
    finish(all_right=swept.all_right)


def _as_document(swept: Swept, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "resumed": swept.resumed,
        "open_objects": swept.objects,
        "marked_done": swept.done,
        "open_lots": swept.lots,
        "rewrites_ended": swept.rewrites,
        "files_deleted": swept.files_deleted,
        "files": swept.files,
        "refused": swept.refused,
        "lots_of_another_bucket": swept.elsewhere,
        "unreadable": swept.unreadable,
        "forbidden": swept.forbidden,
        "lots_behind_in_the_lake": swept.behind,
    }


def _show(swept: Swept, dry_run: bool, bucket: str) -> None:
    if swept.resumed:
        show("went on where an earlier sweep stopped")
    would = "would be " if dry_run else ""
    for key in swept.files:
        show(f"{would}deleted: {key}")
    for key in swept.refused:
        show(
            f"not deleted: {key}: a committed lot lists it for deletion, but it is not a file of that lot", style="red"
        )
    for lot in swept.elsewhere:
        show(
            f"not tidied: lot {lot}: the files that it committed are not in {bucket}. Pass the Silver bucket of this "
            "ledger; if it is the right one, `smelt audit` shows what is missing",
            style="red",
        )
    for item in swept.unreadable:
        show(f"passed over: {item}. Somebody has changed this item of the ledger, or this is a bug", style="red")
    for refusal in swept.forbidden:
        show(f"not tidied: {refusal}. It is tried again by the next sweep", style="red")
    if swept.behind:
        show(f"{swept.behind:,} lots were rewritten and wait for `smelt publish` before their old files are deleted")
    show(f"{swept.objects:,} open objects, {swept.done:,} {would}marked DONE")
    if swept.rewrites:
        show(f"{swept.rewrites:,} rewrites that somebody left {would or 'were '}ended")
    show(f"{swept.lots:,} open lots, {swept.files_deleted:,} files {would}deleted")
