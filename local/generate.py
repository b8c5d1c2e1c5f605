"""The command behind scripts/gen_fake_events.py: fake events into a file or to standard output."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer
from rich.progress import track

from local.generator import Request, events, json_safe_events
from services.ops.cli.console import messages
from services.ops.cli.times import parse_time
from services.ops.errors import OperatorError
from services.shared.contract.loader import load_contracts

CONTRACTS = Path(__file__).resolve().parent.parent / "contracts"
_WORTH_A_PROGRESS_BAR = 200_000  # rows


class Format(StrEnum):
    """How rows are written."""

    jsonl = "jsonl"
    json = "json"


def generate(
    type_: Annotated[str, typer.Option("--type", help="The dataset, as its contract names it.")],
    out: Annotated[str, typer.Option(help="The file to write. `-` is standard output; *.gz is compressed.")],
    count: Annotated[int, typer.Option(metavar="N", help="How many rows.")] = 50,
    format_: Annotated[
        Format, typer.Option("--format", metavar="FORMAT", help="jsonl: lines; json: one array.")
    ] = Format.jsonl,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed and times give the same rows.")] = 0,
    bad_rate: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of rows that the contract rejects, 0 to 1.")
    ] = 0.0,
    duplicate_rate: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of rows that repeat the last good row, 0 to 1.")
    ] = 0.0,
    start: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="First event time, UTC; without it, 3 days before end."),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="End of event times, UTC; without it, today, 00:00."),
    ] = None,
    contracts: Annotated[
        Path, typer.Option(help="The folder of contracts.", show_default="this checkout's")
    ] = CONTRACTS,
) -> None:
    """Write fake events of one dataset."""
    if not contracts.is_dir():
        raise OperatorError(f"{contracts}: no such folder. Pass the folder that holds the contracts.")
    known = load_contracts(contracts)
    if type_ not in known:
        raise OperatorError(f"No contract for {type_!r} in {contracts}. There are: {', '.join(sorted(known))}.")
    until = end or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = start or until - min(timedelta(days=3), until - known[type_].earliest)
    latest = datetime.now(UTC) + known[type_].max_ahead
    if until > latest:
        raise OperatorError(f"end ({until:%Y-%m-%dT%H:%M:%S}Z) is later than the contract of {type_} accepts today.")
    make = events if format_ is Format.jsonl else json_safe_events
    rows: Iterable[bytes] = make(known[type_], Request(count, since, until, seed, bad_rate, duplicate_rate))
    if messages.is_terminal and count >= _WORTH_A_PROGRESS_BAR:
        rows = track(rows, total=count, description=type_, console=messages)
    with _opened(out) as file:
        (_write_lines if format_ is Format.jsonl else _write_array)(rows, file)


def _write_lines(rows: Iterable[bytes], out: BinaryIO) -> None:
    for row in rows:
        out.write(row + b"\n")


def _write_array(rows: Iterable[bytes], out: BinaryIO) -> None:
    separator = b"[\n"
    for row in rows:
        out.write(separator + row)
        separator = b",\n"
    out.write(b"\n]\n" if separator == b",\n" else b"[]\n")


@contextmanager
def _opened(out: str) -> Iterator[BinaryIO]:
    if out == "-":
        yield sys.stdout.buffer
    elif out.endswith(".gz"):
        with gzip.open(out, "wb", compresslevel=1) as file:
            yield cast(BinaryIO, file)
    else:
        with Path(out).open("wb", buffering=1 << 20) as file:
            yield file
