"""`smelt reconcile`: prints what never became Silver, and what was done about it."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.belonging import check_bronze
from services.ops.bronze import S3Bronze
from services.ops.cli.console import JsonFlag, RegionOption, explain, make_table, say, show, show_json
from services.ops.cli.options import BronzeOption, QueueOption, SilverOption, TableOption
from services.ops.cli.times import parse_time
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.ops.history.remembered import Remembered
from services.ops.queue_planner import messages_waiting, queue_planner
from services.ops.reconcile import LONG_QUEUE, OLDER_THAN, WALK, Found, Reconciled, Repair, Scope, reconcile
from services.shared.aws import aws_client
from services.shared.ledger.ledger import Ledger
from services.shared.planning.copies import S3Copies

_SHOWN = 20
_PLACE_HOLDS = timedelta(days=1)  # what lies before the place of an older run may have been lost since
_MINUTE = timedelta(minutes=1)
_TEN_YEARS = timedelta(days=3650)


def reconcile_pipeline(
    table: TableOption = "",
    bronze_bucket: BronzeOption = "",
    queue_url: QueueOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    prefix: Annotated[str, typer.Option(help="Only objects whose key begins so.")] = "bronze/",
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="Only objects created at or after this time (UTC)."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="Only objects created before this time (UTC)."),
    ] = None,
    older_than_minutes: Annotated[
        int, typer.Option(metavar="N", help="Younger work is left alone: it is on its way.")
    ] = OLDER_THAN // _MINUTE,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Judge again what was rejected and is in Bronze still.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would be done.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Find objects that never became Silver, and push just those.

    Their events or messages were lost, or somebody left their planning or their lot.
    Safe at any time, also several at once. Stopped, it goes on where it was at the next run. docs/replay.md says what
    it finds and what it leaves alone. With --silver-bucket, an object that the ledger has lost is put back from the
    history instead of being loaded a second time.

    Example: smelt reconcile --prefix bronze/shipments/ --dry-run
    """
    if not (table and bronze_bucket and queue_url):
        raise OperatorError(
            "No pipeline given: pass --table, --bronze-bucket and --queue-url, or set LEDGER_TABLE, BRONZE_BUCKET and "
            "QUEUE_URL."
        )
    if not 0 <= older_than_minutes <= _TEN_YEARS // _MINUTE:
        raise OperatorError(f"--older-than-minutes is {older_than_minutes}; it must be from 0 to ten years.")
    scope = Scope(prefix, since, until, rejected)
    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        s3, sqs = aws_client("s3", region), aws_client("sqs", region)
        check_bronze(ledger, bronze_bucket)
        if silver_bucket:
            ledger.home.check_bucket(silver_bucket)
        past = Remembered(History.of(s3, silver_bucket)) if silver_bucket else None
        planner = queue_planner(ledger, bronze_bucket, sqs, queue_url, S3Copies(s3))
        waiting = messages_waiting(sqs, queue_url)
        walk = _walk(scope, bronze_bucket)
        place = None if dry_run else ledger.cursors.load(walk, _PLACE_HOLDS)
        if place:
            say("An earlier run was stopped: going on where it was")

        def keep(reached: Any) -> None:
            if not dry_run:
                ledger.cursors.save(walk, reached)

        with watching() as watch:
            found = reconcile(
                ledger,
                S3Bronze(s3, bronze_bucket),
                planner,
                older_than_minutes * _MINUTE,
                place,
                dry_run=dry_run,
                scope=scope,
                waiting=waiting,
                keep=keep,
                watch=watch,
                past=past,
            )
        if not dry_run:
            ledger.cursors.clear(walk)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"Reconciling the ledger {table} with the bucket {bronze_bucket} stopped: {explain(error)} "
            "What was done is kept; the next run goes on from there."
        ) from error
    if as_json:
        show_json(_as_document(found, dry_run, bool(place), waiting))
    else:
        _show(found, dry_run, waiting)
        if place:
            show("Only what the earlier run had left was looked at: run this again to look at everything.")


def _walk(scope: Scope, bucket: str) -> str:
    """The name of the place in the ledger: the same for the same question."""
    question = repr((bucket, scope))
    return f"{WALK}#{hashlib.blake2b(question.encode(), digest_size=8).hexdigest()}"


def _as_document(found: Reconciled, dry_run: bool, resumed: bool, waiting: int) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "resumed": resumed,
        "messages_waiting": waiting,
        **found.to_json(),
        "listed": [
            {"object": str(one.id), "found": one.found, "units": one.units, "detail": one.detail}
            for one in found.listed
        ],
    }


_DONE = {
    Found.NEVER_ANNOUNCED: "planned",
    Found.PLANNING_STOPPED: "planned to its end",
    Found.UNITS_LOST: "units sent again",
    Found.LOT_LEFT: "units sent again",
    Found.TAKEN_OUT: "let in again, and planned",
    Found.REJECTED: "judged again",
    Found.DEAD_LETTERS: "nothing: smelt redrive; if their letters are gone, smelt replay",
    Found.RETRACTING: "nothing: run the same command again (smelt replay --force, or smelt reload)",
    Found.WAITING: "nothing: its units may be in the queue",
    Found.SENT_LATELY: "nothing: sent again a short time ago",
    Found.ALL_COMMITTED: "nothing: smelt sweep marks it done",
    Found.IN_PROGRESS: "nothing: somebody is at work on it",
    Found.STILL_REJECTED: "nothing: it is not taken today either",
    Found.PUT_BACK: "its record is put back from the history",
    Found.FORGOTTEN: "forgotten: its origin is known today",
}


def _show(found: Reconciled, dry_run: bool, waiting: int) -> None:
    for repair in found.listed[:_SHOWN]:
        show(_line(repair))
    if len(found.listed) > _SHOWN:
        show(f"and more; --json lists up to {len(found.listed):,}")
    if found.objects:
        table = make_table("", "objects", "found", "would be done" if dry_run else "done", right={"objects"})
        for what in Found:
            if found.objects[what]:
                table.add_row(f"{found.objects[what]:,}", str(what), _DONE[what])
        show(table)
    show(f"{found.open:,} open objects and {found.contents:,} contents of Bronze were looked at")
    if found.objects[Found.WAITING]:
        show(f"The queue is long ({waiting:,} messages; the limit is {LONG_QUEUE:,}): run this again when it is short.")
    if found.refused:
        show(f"{found.refused:,} of the announced ones are not taken: see smelt audit", style="yellow")
    verb = "would be sent" if dry_run else "sent"
    show(f"{found.repaired:,} objects {'need' if dry_run else 'got'} a push; {found.units:,} units {verb}")


def _line(repair: Repair) -> str:
    units = f", {repair.units:,} units" if repair.units else ""
    detail = f" ({repair.detail})" if repair.detail else ""
    return f"{repair.id}: {repair.found}{units}{detail}"
