"""`smelt history`: prints which file was loaded when, and what was refused; and runs the archive task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import JsonFlag, RegionOption, explain, finish, show, show_json
from services.ops.cli.options import SilverOption, TableOption
from services.ops.cli.times import parse_time
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from services.ops.history.files import S3HistoryFiles
from services.ops.history.loads import Choice, Loads, LoadState, files_of, loads, lots_of
from services.ops.history.reader import History
from services.ops.history.rows import Outcome
from services.ops.history.writer import DEFAULT_RETENTION, Archived, archive
from services.shared.aws import aws_client
from services.shared.identities import LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LotFile

DEFAULT_WINDOW = timedelta(days=14)
FIRST_TIME = datetime.min.replace(tzinfo=UTC)
MAX_RETENTION_DAYS = 3650
Files = dict[LotId, tuple[LotFile, ...]]

app = typer.Typer(pretty_exceptions_enable=False, invoke_without_command=True)


@app.callback()
def history(
    context: typer.Context,
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    object_: Annotated[
        str, typer.Option("--object", help="Only this file: s3://bucket/key; with #etag, only this content, at once.")
    ] = "",
    dataset: Annotated[str, typer.Option(help="Only files of this dataset.")] = "",
    prefix: Annotated[str, typer.Option(help="Only files whose key begins so.")] = "",
    state: Annotated[
        list[LoadState] | None,
        typer.Option(metavar="STATE", help=f"Only loads in this state: {', '.join(LoadState)}. May be repeated."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="Only what was finished at or after this time (UTC), and what is unfinished. Without it and "
            "--object: the last 14 days.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="Only what was finished before this time (UTC)."),
    ] = None,
    files: Annotated[bool, typer.Option("--files", help="Name the files that hold the rows.")] = False,
    limit: Annotated[
        int, typer.Option(metavar="N", help="How many loads are listed, the latest. All are counted.")
    ] = 100,
    as_json: JsonFlag = False,
) -> None:
    """Tell which file was loaded when, how many rows, what was refused and why. Reads only.

    Reads the ledger and what has left it. Example: smelt history --dataset shipments --since 2026-01-31 --files
    """
    if context.invoked_subcommand:
        return
    if limit < 0:
        raise OperatorError(f"--limit is {limit}: pass 0 or more.")
    _require(table, silver_bucket)
    if since is None and not object_:
        last = until or datetime.now(UTC)
        since = last - min(DEFAULT_WINDOW, last - FIRST_TIME)
    choice = Choice(object_, dataset, prefix, since, until, frozenset(state or ()))
    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        ledger.home.check_bucket(silver_bucket)
        past = History.of(aws_client("s3", region), silver_bucket)
        with watching() as watch:
            found = loads(ledger, past, choice, limit, watch)
            of_lots = files_of(ledger, past, lots_of(found.kept)) if files or as_json else {}
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"Cannot read the ledger {table} and the bucket {silver_bucket}: {explain(error)}"
        ) from error
    if as_json:
        show_json(as_document(found, of_lots, choice))
    else:
        _show(found, of_lots, choice)


@app.command("archive")
def archive_history(
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    retention_days: Annotated[
        int,
        typer.Option(
            envvar="LEDGER_RETENTION_DAYS",
            metavar="N",
            help="Days for which lots and units stay in the ledger after they were archived.",
        ),
    ] = DEFAULT_RETENTION.days,
    as_json: JsonFlag = False,
) -> None:
    """Write what was finished before today (UTC) to the history, and let it expire in the ledger.

    Safe at any time. Stopped, it goes on where it was at the next run. Exits with 1 if the record of a lot contradicts
    itself; such a lot stays in the ledger, and `smelt audit` tells more. Example: smelt history archive --json
    """
    _require(table, silver_bucket)
    if not 1 <= retention_days <= MAX_RETENTION_DAYS:
        raise OperatorError(f"--retention-days is {retention_days}: pass 1 to {MAX_RETENTION_DAYS:,} days.")
    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        ledger.home.check_bucket(silver_bucket)
        put = S3HistoryFiles(aws_client("s3", region), silver_bucket)
        with watching() as watch:
            done = archive(ledger, put, timedelta(days=retention_days), watch=watch)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"Archiving the ledger {table} to the bucket {silver_bucket} stopped: {explain(error)} "
            "What was done is kept; the next run goes on from there."
        ) from error
    if as_json:
        show_json(_archived_document(done))
    else:
        _show_archived(done)
    finish(all_right=not done.damaged)


def as_document(found: Loads, files: Files, choice: Choice) -> dict[str, object]:
    """The JSON that docs/history.md describes."""
    return {
        "since": choice.since and choice.since.isoformat(),
        "until": choice.until and choice.until.isoformat(),
        "loads": {"total": found.total, **{str(state): found.states[state] for state in LoadState}},
        "rows": {
            "read": found.counts.read,
            "silver": found.counts.silver,
            "quarantined": found.counts.quarantined,
        },
        "refused": dict(sorted(found.refused.items())),
        "listed": [_load_document(load, files) for load in found.kept],
        "not_listed": found.total - len(found.kept),
    }


def _load_document(load: Outcome, files: Files) -> dict[str, object]:
    unfinished = LoadState.of(load.state) is LoadState.IN_PROGRESS
    return {
        "object": str(load.id),
        "dataset": load.dataset,
        "state": LoadState.of(load.state),
        "bytes": load.size,
        "created": load.created.isoformat(),
        "announced": load.announced and load.announced.isoformat(),
        "finished": None if unfinished else load.finished.isoformat(),
        "rows_read": load.tally.counts.read,
        "rows_silver": load.tally.counts.silver,
        "rows_quarantined": load.tally.counts.quarantined,
        "refused": dict(sorted(load.tally.refused.items())),
        "reason": load.reason,
        "advice": load.advice,
        "retracted_by": load.by,
        "note": load.note,
        "lots": [str(lot) for lot in load.tally.lots],
        "files": [file.key for lot in load.tally.lots for file in files.get(lot, ())],
    }


def _show(found: Loads, files: Files, choice: Choice) -> None:
    for load in found.kept:
        _show_load(load, files)
    if found.total > len(found.kept):
        show(f"{found.total - len(found.kept):,} earlier loads are not listed: choose fewer, or raise --limit.")
    words = ", ".join(f"{found.states[state]:,} {_word(state)}" for state in LoadState if found.states[state])
    since = f" since {choice.since.isoformat(timespec='minutes')}" if choice.since else ""
    show(f"{found.total:,} loads{since}{': ' if words else ''}{words}")
    counts = found.counts
    show(
        f"{counts.read:,} rows = {counts.silver:,} in Silver + {counts.quarantined:,} in quarantine"
        f"{_reasons(found.refused)}"
    )


def _show_load(load: Outcome, files: Files) -> None:
    """The object on a line of its own, so that its name can be copied; below it what became of it."""
    state, counts = LoadState.of(load.state), load.tally.counts
    style = "yellow" if state is LoadState.REJECTED and load.size else None
    show(str(load.id), style=style)
    since = "since " if state is LoadState.IN_PROGRESS else ""
    show(
        f"  {_word(state)} {since}{load.finished.isoformat(timespec='seconds')}; {load.size:,} bytes; "
        f"{counts.read:,} rows = {counts.silver:,} Silver + {counts.quarantined:,} quarantined"
        f"{_reasons(load.tally.refused)}",
        style=style,
    )
    told = " ".join(filter(None, (load.reason, f"by {load.by}" if load.by else "", load.note)))
    for line in filter(None, (told, load.advice)):
        show(f"  {line}", style=style)
    for lot in load.tally.lots:
        for file in files.get(lot, ()):
            show(f"  {file.key}")


def _word(state: LoadState) -> str:
    return state.replace("_", " ")


def _reasons(refused: Any) -> str:
    told = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(refused.items()))
    return f" ({told})" if told else ""


def _archived_document(done: Archived) -> dict[str, object]:
    return {
        "objects": done.objects,
        "lots": done.lots,
        "files": done.files,
        "expiring_lots": done.expiring_lots,
        "expiring_units": done.expiring_units,
        "damaged_lots": done.damaged,
        "marked_lots": done.marked,
        "complete": done.complete,
        "busy": done.busy,
    }


def _show_archived(done: Archived) -> None:
    show(f"{done.objects:,} objects and {done.lots:,} lots archived in {done.files:,} files")
    show(f"{done.expiring_lots:,} lots and {done.expiring_units:,} units will leave the ledger")
    if done.damaged:
        show(f"{done.damaged:,} lots have records that contradict themselves; `smelt audit` tells more", style="red")
    if done.marked:
        show(f"{done.marked:,} lots stay until the lake or another reader of their marks has dealt with them")
    if done.busy:
        show(f"not complete: {done.busy}")


def _require(table: str, silver_bucket: str) -> None:
    if not (table and silver_bucket):
        raise OperatorError(
            "No pipeline given: pass --table and --silver-bucket, or set LEDGER_TABLE and SILVER_BUCKET."
        )
