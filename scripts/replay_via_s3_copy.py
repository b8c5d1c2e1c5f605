#!/usr/bin/env python3
"""Replays Bronze objects by copying them to a new key, so that S3 tells ingest. Needs no access to the queue.

python scripts/replay_via_s3_copy.py --bucket <bronze_bucket> --prefix bronze/shipments/ \
  --dest-prefix bronze/replay/2026-01-01T00-00-00Z --start 2026-01-01T00:00:00Z --end 2026-01-02T00:00:00Z
"""

from _environment import enter

if __name__ == "__main__":
    enter()
    from services.ops.cli.console import run
    from services.ops.cli.replay import replay_via_s3_copy

    run(replay_via_s3_copy)
