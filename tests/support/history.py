"""The history in memory, and the passing of time: what is past its `expires_at` is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from services.ops.history.reader import History
from services.ops.history.writer import Archived, archive
from services.ops.sweep import sweep
from services.shared.ledger.ledger import Ledger
from tests.faults.rig import Rig
from tests.support.faults import LEDGER_CALLS, Interrupted, Interrupter

DAY = 86_400.0
RETENTION = timedelta(days=30)
HISTORY_CALLS = ("names", "read", "put_new")


class MemoryHistory:
    """Files in a dictionary. Implements `services.ops.history.files.HistoryFiles`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def names(self, table: str, first_day: date | None = None) -> Iterator[str]:
        start = f"history/{table}/" + (f"dt={first_day.isoformat()}/" if first_day else "")
        return iter(sorted(key for key in self.files if key.startswith(f"history/{table}/") and key > start))

    def read(self, key: str) -> bytes | None:
        return self.files.get(key)

    def put_new(self, key: str, data: bytes) -> bool:
        return self.files.setdefault(key, data) is data


def load_everything(rig: Rig) -> None:
    """Deliver every unit of the rig, and mark what is done."""
    rig.drain(rig.units)
    sweep(rig.ledger, rig.lake)


def run_archive(rig: Rig, history: MemoryHistory, interrupter: Interrupter | None = None) -> Archived:
    """One run of the archive task, with every call to the outside through the interrupter."""
    interrupter = interrupter or Interrupter()
    ledger = Ledger(Interrupted(rig.dynamodb, interrupter, LEDGER_CALLS), rig.table, rig.clock)
    files: Any = Interrupted(history, interrupter, HISTORY_CALLS)
    return archive(ledger, files, RETENTION, writers=1)


def let_expire(rig: Rig) -> int:
    """Pass the retention, and delete what DynamoDB would delete then. Gives the number of items."""
    rig.clock.advance(RETENTION.total_seconds() + 4 * DAY)
    items = [
        item for page in rig.dynamodb.get_paginator("scan").paginate(TableName=rig.table) for item in page["Items"]
    ]
    gone = [item for item in items if "expires_at" in item and int(item["expires_at"]["N"]) < rig.clock.now]
    for item in gone:
        rig.dynamodb.delete_item(TableName=rig.table, Key={"pk": item["pk"]})
    return len(gone)


def check_each_once(rig: Rig, history: MemoryHistory) -> None:
    """Every object and lot of the rig is in one file of the history, once, with all rows; nothing waits any more."""
    read = History(history)
    objects = [outcome for outcome in read.objects() if rig.name in outcome.id.key]
    assert Counter(outcome.id for outcome in objects) == Counter({unit.object.id for unit in rig.units})
    lots = [entry.found for entry in read.lots() if any(rig.name in unit.object.key for unit in entry.found.lot.units)]
    assert max(Counter((found.lot.id, found.generation) for found in lots).values()) == 1
    units = Counter(unit for found in lots for unit in found.lot.units)
    assert units == Counter(unit.id for unit in rig.units)
    assert sum(outcome.tally.counts.read for outcome in objects) == rig.expected.total()
    assert sum(found.lot.counts.read for found in lots) == rig.expected.total()
    assert {lot for outcome in objects for lot in outcome.tally.lots} == {found.lot.id for found in lots}
    assert all(sum(out.tally.refused.values()) == out.tally.counts.quarantined for out in objects)
    assert not [*rig.ledger.open_entries("done"), *rig.ledger.open_entries("committed")]
    assert rig.ledger.archive.open_batch() is None
