#!/usr/bin/env python3
"""Replays Bronze objects straight to the queue, planned through the ledger.

python scripts/replay_from_s3.py --bucket <bronze_bucket> --prefix bronze/shipments/ --queue-url <queue_url> \
  --start 2026-01-01T00:00:00Z --end 2026-01-02T00:00:00Z
"""

from _environment import enter

if __name__ == "__main__":
    enter()
    from services.ops.cli.console import run
    from services.ops.cli.replay import replay_from_s3

    run(replay_from_s3)
