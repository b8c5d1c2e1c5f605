#!/usr/bin/env python3
"""Gives a queue that exists a dead-letter queue. Safe to repeat.

python scripts/ensure_dlq_for_queue.py --queue-url <url> --dlq-name smelt-dev-events-dlq --region us-east-2
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import boto3  # noqa: E402
import typer  # noqa: E402
from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402

from services.ops.queues import QueueError, ensure_dead_letters, write_tfvars  # noqa: E402

console = Console(stderr=True, highlight=False, soft_wrap=True)


def main(
    queue_url: Annotated[str, typer.Option(help="The queue's URL.")],
    dlq_name: Annotated[str, typer.Option(help="The dead-letter queue's name; it is made if it is not there.")],
    region: Annotated[str, typer.Option(help="The AWS region of both.")],
    max_receive_count: Annotated[int, typer.Option(help="Tries before a message goes there.", min=1, max=1000)] = 5,
    replace: Annotated[bool, typer.Option("--replace", help="Though the queue has another one.")] = False,
    out: Annotated[Path | None, typer.Option(help="A *.auto.tfvars.json to write it into.")] = None,
) -> None:
    """Print (or write) the values for Terraform. Exits with 1 if the queue has another dead-letter queue."""
    try:
        sqs = boto3.client("sqs", region_name=region)
        queue, dlq = ensure_dead_letters(sqs, queue_url, dlq_name, max_receive_count, replace)
        values = {"existing_dlq_url": dlq.url, "existing_dlq_arn": dlq.arn}
        state = "made" if dlq.created else "there already"
        redrive = "set" if queue.changed else "as it should be"
        console.print(f"{dlq.name}: {state}; redrive of {queue.name} after {max_receive_count} receives: {redrive}")
        if out:
            write_tfvars(out, values)
            console.print(f"written to {out}")
        else:
            print(json.dumps(values, indent=2))
    except (QueueError, ClientError, BotoCoreError, OSError) as error:
        console.print(escape(str(error)), style="red")
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
