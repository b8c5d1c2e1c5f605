#!/usr/bin/env python3
"""Writes fake events of a dataset, as JSON lines or as a JSON array.

python scripts/gen_fake_events.py --type shipments --count 50 --format jsonl --out /tmp/shipments.jsonl
"""

from _environment import enter

if __name__ == "__main__":
    enter()
    from local.generate import generate
    from services.ops.cli.console import run

    run(generate)
