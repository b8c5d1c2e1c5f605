#!/usr/bin/env python3
"""Makes the pipeline's queues where Terraform may not, and writes them down for it. Safe to repeat.

python scripts/create_sqs_queue.py --name smelt-dev-events --with-dlq --region us-east-2 \
  --out infra/terraform/envs/dev/queue.auto.tfvars.json
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

from services.ops.queues import (  # noqa: E402
    Queue,
    QueueError,
    ensure_dead_letters,
    ensure_queue,
    keeping_queue,
    work_queue,
    write_tfvars,
)

console = Console(stderr=True, highlight=False, soft_wrap=True)


def told(queue: Queue) -> None:
    """One line about a queue."""
    state = "made" if queue.created else f"set {', '.join(queue.changed)}" if queue.changed else "as it should be"
    console.print(f"{queue.name}: {state}")


def main(
    name: Annotated[str, typer.Option(help="The queue of units, such as smelt-dev-events.")],
    region: Annotated[str, typer.Option(help="The AWS region.")],
    with_dlq: Annotated[bool, typer.Option("--with-dlq", help="Also make <name>-dlq, for units that fail.")] = False,
    max_receive_count: Annotated[int, typer.Option(help="Tries before a unit goes there.", min=1, max=1000)] = 5,
    visibility_timeout: Annotated[
        int, typer.Option(help="Seconds; six times transform's timeout.", min=0, max=43200)
    ] = 1800,
    out: Annotated[Path | None, typer.Option(help="A *.auto.tfvars.json to write them into.")] = None,
) -> None:
    """Make NAME, NAME-ingest-failures and (--with-dlq) NAME-dlq, or bring them to what the pipeline needs."""
    try:
        sqs = boto3.client("sqs", region_name=region)
        queue = ensure_queue(sqs, name, work_queue(visibility_timeout))
        told(queue)
        failures = ensure_queue(sqs, f"{name}-ingest-failures", keeping_queue())
        told(failures)
        values = {
            "existing_queue_url": queue.url,
            "existing_queue_arn": queue.arn,
            "existing_ingest_failures_queue_url": failures.url,
            "existing_ingest_failures_queue_arn": failures.arn,
        }
        if with_dlq:
            _, dlq = ensure_dead_letters(sqs, queue.url, f"{name}-dlq", max_receive_count)
            told(dlq)
            values |= {"existing_dlq_url": dlq.url, "existing_dlq_arn": dlq.arn}
        if out:
            write_tfvars(out, values)
            console.print(f"written to {out}; Terraform reads it by itself and then manages no queue")
        else:
            print(json.dumps(values, indent=2))
    except (QueueError, ClientError, BotoCoreError, OSError) as error:
        console.print(escape(str(error)), style="red")
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
