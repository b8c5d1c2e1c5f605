#!/usr/bin/env python3
"""Gives an existing queue a dead-letter queue. Safe to repeat.

python scripts/ensure_dlq_for_queue.py --queue-url <url> --dlq-name smelt-dev-events-dlq --region us-east-2
"""

from _environment import enter

if __name__ == "__main__":
    enter()
    from infra.deploy.cli.queues import ensure_dlq
    from services.ops.cli.console import run

    run(ensure_dlq)
