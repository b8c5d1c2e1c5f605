"""What `smelt dlq` and `smelt redrive` share: which letters they are about, and how a letter is printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import explain, show
from services.ops.cli.times import parse_time
from services.ops.dead_letters.letters import Kind
from services.ops.dead_letters.standing import Explained, Standing
from services.ops.dead_letters.wanted import Wanted
from services.ops.errors import OperatorError
from services.shared.errors import Transient

TITLES = {Kind.UNIT: "dead letters", Kind.EVENT: "failed S3 events"}
STYLES = {Standing.OPEN: "yellow", Standing.UNKNOWN: "red", Standing.MALFORMED: "red"}


class Only(StrEnum):
    UNITS = "units"
    EVENTS = "events"


OnlyOption = Annotated[
    Only | None,
    typer.Option(metavar="KIND", help="Only dead letters (`units`), or only failed S3 events (`events`)."),
]
DatasetOption = Annotated[str, typer.Option(help="Only letters about objects of this dataset.")]
ErrorOption = Annotated[str, typer.Option(metavar="TEXT", help="Only letters whose reason or error has this text.")]
SinceOption = Annotated[
    datetime | None,
    typer.Option(parser=parse_time, metavar="TIME", help="Only letters that came at or after this time (UTC)."),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option(parser=parse_time, metavar="TIME", help="Only letters that came before this time (UTC)."),
]


def choose(only: Only | None, dead_letters: str, failures: str, table: str) -> dict[Kind, str]:
    """The queues that a command is about: kind -> URL.

    Raises:
        OperatorError: one that is needed has no name.
    """
    urls = {Kind.UNIT: dead_letters, Kind.EVENT: failures}
    if only:
        urls = {kind: url for kind, url in urls.items() if f"{kind}s" == only}
    named = {kind: url for kind, url in urls.items() if url}
    if not table or not named or (only and len(named) < len(urls)):
        raise OperatorError(
            "No pipeline given: pass --table and --dead-letters or --failures, or set LEDGER_TABLE and "
            "DEAD_LETTER_QUEUE_URL or INGEST_FAILURES_QUEUE_URL; or run `make dlq ENV=dev`, which takes them from "
            "Terraform."
        )
    return named


def wanted(dataset: str, error: str, since: datetime | None, until: datetime | None) -> Wanted:
    return Wanted(dataset, error, since, until)


def check_count(name: str, value: int, most: int = 10_000_000) -> None:
    """
    Raises:
        OperatorError: it is negative, or too large to be meant.
    """
    if not 0 <= value <= most:
        raise OperatorError(f"{name} is {value}; it must be from 0 to {most:,}.")


@contextmanager
def stopping(what: str, after: str = "") -> Iterator[None]:
    """Errors of AWS inside of the block are told, with what was being done and what holds afterwards."""
    try:
        yield
    except (BotoCoreError, ClientError, Transient) as error:
        raise OperatorError(f"{what} stopped: {explain(error)} {after}".rstrip()) from error


def number_of(number: int, kind: Kind) -> str:
    """Such as `1 dead letter`."""
    return f"{number:,} {TITLES[kind] if number != 1 else TITLES[kind][:-1]}"


def count_words(counts: Mapping[Standing, int]) -> str:
    """Such as `3 open, 1 committed`."""
    return ", ".join(f"{counts[one]:,} {_word(one)}" for one in Standing if counts.get(one))


def show_letter(found: Explained) -> None:
    """The subject on a line of its own, so that it can be copied; below it what is known of it."""
    letter, style = found.letter, STYLES.get(found.standing)
    show(_printable(found.subject), style=style)
    about = f"{TITLES[letter.kind][:-1]} since {letter.sent:%Y-%m-%d %H:%M:%S} UTC"
    attempts = f"; attempts: {found.attempts}" if found.attempts else ""
    show(f"  {' '.join((*letter.datasets, about))}{attempts}", style=style)
    error = found.last_error.removeprefix(f"{found.subject}: ")
    show(f"  {_printable(letter.reason)}: {_printable(error)}", style=style)
    show(f"  {_word(found.standing)}: {_printable(found.detail)}", style=style)


def letter_document(found: Explained) -> dict[str, object]:
    """A letter as JSON."""
    letter = found.letter
    return {
        "kind": letter.kind,
        "message_id": letter.message.id,
        "subject": letter.subject,
        "objects": [str(id_) for id_ in letter.objects],
        "start": letter.unit.start if letter.unit else None,
        "end": letter.unit.end if letter.unit else None,
        "datasets": list(letter.datasets),
        "since": letter.sent.astimezone(UTC).isoformat(),
        "reason": letter.reason,
        "error": found.last_error,
        "attempts": found.attempts,
        "state": found.standing,
        "detail": found.detail,
    }


def _word(standing: Standing) -> str:
    return standing.value.replace("_", " ")


def _printable(text: str) -> str:
    """What a message says may come from anybody: nothing in it may move the cursor."""
    return "".join(char if char.isprintable() else " " for char in text)
