"""`smelt redrive`: prints what was sent back to work, and what stays."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from services.ops.cli.console import JsonFlag, RegionOption, finish, say, show, show_json
from services.ops.cli.letters import (
    TITLES,
    DatasetOption,
    ErrorOption,
    OnlyOption,
    SinceOption,
    UntilOption,
    check_count,
    choose,
    count_words,
    letter_document,
    stopping,
    wanted,
)
from services.ops.cli.options import DeadLettersOption, FailuresOption, IngestOption, QueueOption, TableOption
from services.ops.cli.watching import watching
from services.ops.dead_letters.letters import Kind
from services.ops.dead_letters.looking import QueueLook, Watch
from services.ops.dead_letters.moving import MOST_PER_SECOND, NoMoveTask, move_all
from services.ops.dead_letters.redrive import Redriven, redrive
from services.ops.dead_letters.sending import Ingest, Pace, UnitQueue, Work
from services.ops.errors import OperatorError
from services.shared.aws import aws_client
from services.shared.ledger.ledger import Ledger

_PER_SECOND = 50
_AFTER = "What was sent until then is sent, everything else is in its queue: run this again."


def redrive_letters(
    table: TableOption = "",
    dead_letters: DeadLettersOption = "",
    queue: QueueOption = "",
    failures: FailuresOption = "",
    ingest_function: IngestOption = "",
    region: RegionOption = None,
    only: OnlyOption = None,
    dataset: DatasetOption = "",
    error: ErrorOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    rate: Annotated[int, typer.Option(metavar="N", help="Letters in a second, 1 to 500.")] = _PER_SECOND,
    most: Annotated[int, typer.Option("--max", metavar="N", help="Send at most N of each kind; 0: all.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; tell what would be sent.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send dead letters, and S3 events that ingest failed on, back to work. Fix the cause first.

    Each is sent, then deleted, so none can be lost; one that is sent twice does no harm. What can never be work stays,
    with the reason. A whole dead-letter queue is moved by SQS's own task where there is one. Exits with 1 if a letter
    stays that should have gone. `make redrive` takes the names from Terraform.

    Example: smelt redrive --dataset shipments --error AccessDenied
    """
    urls = choose(only, dead_letters, failures, table)
    check_count("--max", most)
    if not 1 <= rate <= MOST_PER_SECOND:
        raise OperatorError(f"--rate is {rate}; it must be from 1 to {MOST_PER_SECOND}.")
    for kind, name, option in ((Kind.UNIT, queue, "--queue"), (Kind.EVENT, ingest_function, "--ingest")):
        if kind in urls and not name:
            raise OperatorError(f"Nowhere to send {TITLES[kind]} to: pass {option}, or --only the other kind.")
    which = wanted(dataset, error, since, until)
    with stopping("Redriving", _AFTER), watching() as watch:
        ledger, sqs = Ledger(aws_client("dynamodb", region), table), aws_client("sqs", region)
        results = []
        for kind, url in urls.items():
            if kind is Kind.UNIT and which.is_everything and not most and not dry_run:
                moved = _move(sqs, url, queue, rate, watch)
                if moved:
                    results.append(moved)
                    continue
            work: Work = UnitQueue(sqs, queue)
            if kind is Kind.EVENT:
                work = Ingest(aws_client("lambda", region), ingest_function)
            look = QueueLook(sqs, url, per_second=rate)
            results.append(redrive(ledger, look, kind, work, Pace(rate), which, most, dry_run, watch=watch))
    if as_json:
        show_json({"dry_run": dry_run, "queues": [_as_document(result) for result in results]})
    else:
        for result in results:
            _show(result, dry_run)
    finish(all_right=all(result.all_right for result in results))


def _move(sqs: Any, url: str, queue: str, rate: int, watch: Watch) -> Redriven | None:
    """By SQS's own task; None where there is none."""
    try:
        moved = move_all(sqs, url, queue, rate, watch)
    except NoMoveTask as why:
        say(f"{why}: moving letter by letter")
        return None
    return Redriven(Kind.UNIT, by_sqs=True, moved=moved.moved)


def _show(result: Redriven, dry_run: bool) -> None:
    title, would = TITLES[result.kind], "would be " if dry_run else ""
    if result.by_sqs:
        show(f"{title}: {result.moved:,} moved back to the queue by SQS; those that can never be work come back")
        return
    counted = f" ({count_words(result.sent)})" if result.sent else ""
    show(f"{title}: {result.looked_at:,} looked at, {result.sent.total():,} {would}sent back to work{counted}")
    tell = partial(show, style="red")
    for number, text in (
        (result.stay.total(), f"stay ({count_words(result.stay)}): they would come back at once"),
        (result.not_sent, "stay: they were not taken"),
        (result.not_deleted, "were sent and not deleted: they are in both queues, which does no harm"),
    ):
        if number:
            tell(f"  {number:,} {text}")
    for staying in result.named:
        show(f"  {staying.found.subject}: {staying.why}")
    if result.not_wanted:
        show(f"  {result.not_wanted:,} not asked for, and left alone")
    if result.newer:
        show(f"  {result.newer:,} came while this ran, and stay")
    if result.in_flight:
        show(f"  {result.in_flight:,} were hidden, as somebody else looks at them: run this again in some minutes.")
    if result.hidden_for:
        show(f"  Some letters could not be made visible again: they are in {result.hidden_for} s.")
    if not result.complete:
        show("  There may be more: this stopped before the end of the queue.")


def _as_document(result: Redriven) -> dict[str, object]:
    return {
        "kind": result.kind,
        "by_sqs": result.by_sqs,
        "moved": result.moved,
        "looked_at": result.looked_at,
        "sent": dict(result.sent),
        "stay": dict(result.stay),
        "not_sent": result.not_sent,
        "not_deleted": result.not_deleted,
        "not_wanted": result.not_wanted,
        "newer": result.newer,
        "in_flight": result.in_flight,
        "complete": result.complete,
        "named": [letter_document(staying.found) | {"why": staying.why} for staying in result.named],
    }
