"""The commands behind scripts/create_sqs_queue.py and scripts/ensure_dlq_for_queue.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from infra.deploy.queues import (
    Queue,
    ensure_dead_letters,
    ensure_queue,
    keeping_queue,
    work_queue,
    write_tfvars,
)
from services.ops.cli.console import say, show_json
from services.shared.aws import aws_client

Region = Annotated[str, typer.Option(help="The AWS region.")]
# As Terraform's: attempts in the ledger decide what is dead, and healthy units may be received dozens of times.
MaxReceiveCount = Annotated[int, typer.Option(help="Receives before a message goes there.", min=100, max=1000)]
Out = Annotated[Path | None, typer.Option(help="Write the values to this *.auto.tfvars.json. Without it, print them.")]


def create_queues(
    name: Annotated[str, typer.Option(help="The queue of units, such as smelt-dev-events.")],
    region: Region,
    with_dlq: Annotated[bool, typer.Option("--with-dlq", help="Also create NAME-dlq, for units that fail.")] = False,
    max_receive_count: MaxReceiveCount = 1000,
    visibility_timeout: Annotated[
        int, typer.Option(help="Seconds; six times transform's timeout, plus the batching window.", min=0, max=43200)
    ] = 1820,
    out: Out = None,
) -> None:
    """Create the queues NAME, NAME-ingest-failures and (--with-dlq) NAME-dlq, or give them the settings they need.

    Prints the values for Terraform as JSON, or writes them to a file. Safe to repeat.
    """
    sqs = aws_client("sqs", region)
    queue = ensure_queue(sqs, name, work_queue(visibility_timeout))
    _tell(queue)
    failures = ensure_queue(sqs, f"{name}-ingest-failures", keeping_queue())
    _tell(failures)
    values = {
        "existing_queue_url": queue.url,
        "existing_queue_arn": queue.arn,
        "existing_ingest_failures_queue_url": failures.url,
        "existing_ingest_failures_queue_arn": failures.arn,
    }
    if with_dlq:
        _, dlq = ensure_dead_letters(sqs, queue.url, f"{name}-dlq", max_receive_count)
        _tell(dlq)
        values |= _dlq_values(dlq)
    _write(values, out)


def ensure_dlq(
    queue_url: Annotated[str, typer.Option(help="The queue's URL.")],
    dlq_name: Annotated[str, typer.Option(help="The dead-letter queue's name; it is created if it does not exist.")],
    region: Region,
    max_receive_count: MaxReceiveCount = 1000,
    replace: Annotated[bool, typer.Option("--replace", help="Replace another dead-letter queue.")] = False,
    out: Out = None,
) -> None:
    """Give an existing queue a dead-letter queue.

    Prints the values for Terraform as JSON, or writes them to a file. Safe to repeat.
    """
    queue, dlq = ensure_dead_letters(aws_client("sqs", region), queue_url, dlq_name, max_receive_count, replace)
    _tell(dlq)
    redrive = "set" if queue.changed else "already set"
    say(f"{queue.name}: redrive to {dlq.name} after {max_receive_count} receives: {redrive}")
    _write(_dlq_values(dlq), out)


def _tell(queue: Queue) -> None:
    state = "created" if queue.created else f"set {', '.join(queue.changed)}" if queue.changed else "nothing to change"
    say(f"{queue.name}: {state}")


def _dlq_values(dlq: Queue) -> dict[str, str]:
    return {"existing_dlq_url": dlq.url, "existing_dlq_arn": dlq.arn}


def _write(values: Mapping[str, str], out: Path | None) -> None:
    if out is None:
        show_json(values)
        return
    write_tfvars(out, values)
    say(f"written to {out}; Terraform reads this file itself, and manages no queue that it names")
