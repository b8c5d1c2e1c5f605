#!/usr/bin/env python3
"""Fake events for any contract, as JSON lines or a JSON array, to a file or to standard output.

python scripts/gen_fake_events.py --type shipments --count 50 --format jsonl --out /tmp/shipments.jsonl
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import typer  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402

from local.generator import Request, WrongRequest, events, json_safe_events  # noqa: E402
from services.shared.contract.loader import load_contracts  # noqa: E402
from services.shared.contract.model import ContractError  # noqa: E402

errors = Console(stderr=True)


class Format(StrEnum):
    jsonl = "jsonl"
    json = "json"


def write_lines(rows: Iterable[bytes], out: BinaryIO) -> None:
    """One row a line."""
    for row in rows:
        out.write(row + b"\n")


def write_array(rows: Iterable[bytes], out: BinaryIO) -> None:
    """One JSON array, one row a line."""
    separator = b"[\n"
    for row in rows:
        out.write(separator + row)
        separator = b",\n"
    out.write(b"\n]\n" if separator == b",\n" else b"[]\n")


@contextmanager
def opened(out: str) -> Iterator[BinaryIO]:
    """The file to write to; `-` is standard output, and a name that ends in `.gz` is compressed."""
    if out == "-":
        yield sys.stdout.buffer
    elif out.endswith(".gz"):
        with gzip.open(out, "wb", compresslevel=1) as file:
            yield cast(BinaryIO, file)
    else:
        with Path(out).open("wb", buffering=1 << 20) as file:
            yield file


def main(
    type_: Annotated[str, typer.Option("--type", help="The dataset, as its contract names it.")],
    out: Annotated[str, typer.Option(help="The file to write; - is standard output, and *.gz is compressed.")],
    count: Annotated[int, typer.Option(help="How many rows.")] = 50,
    format_: Annotated[Format, typer.Option("--format", help="JSON lines, or one JSON array.")] = Format.jsonl,
    seed: Annotated[int, typer.Option(help="The same seed and times give the same rows.")] = 0,
    bad_rate: Annotated[float, typer.Option(help="Share of rows that the contract rejects, 0 to 1.")] = 0.0,
    duplicate_rate: Annotated[float, typer.Option(help="Share of rows that repeat the good row before, 0 to 1.")] = 0.0,
    start: Annotated[datetime | None, typer.Option(help="First event time, UTC [default: 3 days before end].")] = None,
    end: Annotated[datetime | None, typer.Option(help="End of event times, UTC [default: today, 00:00].")] = None,
    contracts: Annotated[Path, typer.Option(help="The folder of contracts.")] = ROOT / "contracts",
) -> None:
    """Write fake events of one dataset."""
    until = (end or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)).replace(tzinfo=UTC)
    since = (start or until - timedelta(days=3)).replace(tzinfo=UTC)
    try:
        known = load_contracts(contracts)
        if type_ not in known:
            raise WrongRequest(
                f"there is no contract for {type_!r} in {contracts}; there are {', '.join(sorted(known))}"
            )
        latest = datetime.now(UTC) + known[type_].max_ahead
        if until > latest:
            raise WrongRequest(f"end ({until:%Y-%m-%dT%H:%M:%S}Z) is later than the contract of {type_} accepts today")
        request = Request(count, since, until, seed, bad_rate, duplicate_rate)
        make = events if format_ is Format.jsonl else json_safe_events
        rows: Iterable[bytes] = make(known[type_], request)
        if errors.is_terminal and count >= 200_000:
            rows = track(rows, total=count, description=type_, console=errors)
        with opened(out) as file:
            (write_lines if format_ is Format.jsonl else write_array)(rows, file)
    except (WrongRequest, ContractError) as error:
        errors.print(str(error), style="red", highlight=False, markup=False)
        raise typer.Exit(2) from error
    except OSError as error:
        errors.print(f"cannot write {out}: {error.strerror}", style="red", highlight=False, markup=False)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
