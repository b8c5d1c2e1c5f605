"""`smelt dlq`: prints dead letters and failed S3 events with what the ledger says of each; drops what is settled."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Annotated

import typer

from services.ops.cli.console import JsonFlag, RegionOption, finish, make_app, show, show_json
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
    number_of,
    show_letter,
    stopping,
    wanted,
)
from services.ops.cli.options import DeadLettersOption, FailuresOption, TableOption
from services.ops.cli.watching import watching
from services.ops.dead_letters.dropping import REFUSED, SETTLED, Dropped, drop
from services.ops.dead_letters.letters import Kind
from services.ops.dead_letters.looking import QueueLook, Watch
from services.ops.dead_letters.redrive import read
from services.ops.dead_letters.standing import Explained, Standing
from services.ops.errors import OperatorError
from services.shared.aws import aws_client
from services.shared.ledger.ledger import Ledger

app = make_app("Dead letters of units, and S3 events that ingest failed on: look at them, or drop what is settled.")


@app.command("show")
def show_letters(
    table: TableOption = "",
    dead_letters: DeadLettersOption = "",
    failures: FailuresOption = "",
    region: RegionOption = None,
    only: OnlyOption = None,
    dataset: DatasetOption = "",
    error: ErrorOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    most: Annotated[int, typer.Option("--max", metavar="N", help="Look at N of each kind; 0: all.")] = 1000,
    limit: Annotated[int, typer.Option(metavar="N", help="How many are listed. All are counted.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """Explain each letter: what it is about, why it failed, and what the ledger says of it now. Changes nothing.

    While it looks, the letters are hidden from others; then they are visible again. Exits with 1 if a letter needs
    somebody. `make dlq` takes the names from Terraform.

    Example: smelt dlq show --dataset shipments
    """
    urls = choose(only, dead_letters, failures, table)
    check_count("--max", most)
    check_count("--limit", limit)
    which = wanted(dataset, error, since, until)
    counts: dict[Kind, Counter[Standing]] = {kind: Counter() for kind in urls}
    listed: list[Explained] = []
    looks: dict[Kind, QueueLook] = {}
    with stopping("Looking at the letters"), watching() as watch:
        ledger, sqs = Ledger(aws_client("dynamodb", region), table), aws_client("sqs", region)
        for kind, url in urls.items():
            looks[kind] = QueueLook(sqs, url, most)
            with looks[kind] as look:
                for page in read(ledger, look, kind):
                    chosen = [found for found in page if which.has(found)]
                    counts[kind].update(found.standing for found in chosen)
                    listed += chosen[: max(limit - len(listed), 0)]
                    watch(TITLES[kind], look.looked_at)
    if as_json:
        show_json(_as_document(counts, listed, looks))
    else:
        _show(counts, listed, looks)
    finish(all_right=not any(not one.is_settled and found[one] for found in counts.values() for one in found))


@app.command("drop")
def drop_letters(
    table: TableOption = "",
    dead_letters: DeadLettersOption = "",
    failures: FailuresOption = "",
    region: RegionOption = None,
    committed: Annotated[
        bool, typer.Option("--committed", help="Those with nothing left to do: committed since, or object given up.")
    ] = False,
    refused: Annotated[
        bool, typer.Option("--refused", help="Those that are no work of this pipeline: malformed, or not confirmed.")
    ] = False,
    only: OnlyOption = None,
    dataset: DatasetOption = "",
    error: ErrorOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing; tell what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete letters that have nothing left to do. Says what they are, and asks first.

    Each is judged again by the ledger right before it is deleted. A letter whose rows are not in Silver or quarantine
    is never deleted: nothing here can lose a row. Exits with 1 if one could not be deleted.

    Example: smelt dlq drop --committed
    """
    if not (committed or refused):
        raise OperatorError(
            "Nothing to drop: pass --committed or --refused. Other letters have rows to load: `smelt redrive`."
        )
    urls = choose(only, dead_letters, failures, table)
    which = wanted(dataset, error, since, until)
    standings = (SETTLED if committed else frozenset()) | (REFUSED if refused else frozenset())
    with stopping("Dropping", "Nothing else was deleted."), watching() as watch:
        ledger, sqs = Ledger(aws_client("dynamodb", region), table), aws_client("sqs", region)

        def go(dry: bool, watch: Watch) -> list[Dropped]:
            return [drop(ledger, QueueLook(sqs, url), kind, standings, which, dry, watch) for kind, url in urls.items()]

        results = go(dry_run or not yes, watch)
    if not (yes or dry_run) and any(result.dropped for result in results):
        _confirm(results)
        with stopping("Dropping", "Nothing else was deleted."), watching() as watch:
            results = go(False, watch)
    if as_json:
        show_json({"dry_run": dry_run, "queues": [_drop_document(result) for result in results]})
    else:
        for result in results:
            _show_dropped(result, dry_run)
    finish(all_right=not any(result.not_deleted for result in results))


def _confirm(results: list[Dropped]) -> None:
    """Name what is lost, and have a person agree."""
    if not sys.stdin.isatty():
        raise OperatorError("Nobody is here to confirm. Pass --yes to delete without asking. Nothing was deleted.")
    for result in results:
        for found in result.named:
            show_letter(found)
    number = sum(result.dropped.total() for result in results)
    if not typer.confirm(f"Delete these {number:,} letters? No row is lost by it", err=True):
        raise OperatorError("Nothing was deleted.")


def _show(counts: dict[Kind, Counter[Standing]], listed: list[Explained], looks: dict[Kind, QueueLook]) -> None:
    for found in listed:
        show_letter(found)
    more = sum(found.total() for found in counts.values()) - len(listed)
    if more:
        show(f"{more:,} more are not listed: choose fewer, or raise --limit.")
    for kind, counted in counts.items():
        look = looks[kind]
        first, of = ("", "") if look.complete else ("the first ", f" of about {look.depth.visible:,}")
        words = f": {count_words(counted)}" if counted else ""
        chosen = "" if counted.total() == look.looked_at else f", {counted.total():,} of them as asked"
        show(f"{first}{number_of(look.looked_at, kind)}{of}{chosen}{words}")
        if look.not_released:
            show(f"  {look.not_released:,} could not be made visible again: they are in {look.hidden} s.")
        elif look.depth.in_flight:
            show(f"  {look.depth.in_flight:,} others were hidden, as somebody else is looking at them.")
    total = sum(counts.values(), Counter[Standing]())
    if total[Standing.OPEN] or total[Standing.IN_PROGRESS]:
        show("Fix the cause; then `smelt redrive` sends them back to work.")
    if settled := sum(total[one] for one in SETTLED):
        show(f"{settled:,} have nothing left to do: `smelt dlq drop --committed` deletes them; redriving does no harm.")
    if refused := sum(total[one] for one in REFUSED):
        show(f"{refused:,} can never be work: find out who sent them; `smelt dlq drop --refused` deletes them.")


def _as_document(
    counts: dict[Kind, Counter[Standing]], listed: list[Explained], looks: dict[Kind, QueueLook]
) -> dict[str, object]:
    return {
        "queues": [
            {
                "kind": kind,
                "looked_at": looks[kind].looked_at,
                "complete": looks[kind].complete,
                "in_flight": looks[kind].depth.in_flight,
                "states": dict(found),
            }
            for kind, found in counts.items()
        ],
        "letters": [letter_document(found) for found in listed],
        "letters_not_listed": sum(found.total() for found in counts.values()) - len(listed),
    }


def _show_dropped(result: Dropped, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    words = f" ({count_words(result.dropped)})" if result.dropped else ""
    show(f"{TITLES[result.kind]}: {result.looked_at:,} looked at, {result.dropped.total():,} {would}deleted{words}")
    if result.not_deleted:
        show(f"  {result.not_deleted:,} could not be deleted: run this again", style="red")
    if result.left:
        show(f"  {result.left.total():,} stay ({count_words(result.left)})")
    if result.in_flight:
        show(f"  {result.in_flight:,} were hidden, as somebody else looks at them: run this again in some minutes.")
    if not result.complete:
        show("  There may be more: this stopped before the end of the queue. Run it again.")


def _drop_document(result: Dropped) -> dict[str, object]:
    return {
        "kind": result.kind,
        "looked_at": result.looked_at,
        "complete": result.complete,
        "deleted": dict(result.dropped),
        "not_deleted": result.not_deleted,
        "left": dict(result.left),
        "in_flight": result.in_flight,
        "listed": [letter_document(found) for found in result.named],
    }
