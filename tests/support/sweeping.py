"""Ledger states that a sweep has to finish, made by the ledger's own transitions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from services.shared.identities import LakeKey, LotId
from services.shared.lake import Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, LedgerObject, Lot, LotFile
from services.shared.units import BronzeObject, Unit
from tests.support.lake import BRONZE, CREATED

UNIT_BYTES = 1000
VERSIONS = {"shipments": "1.0.0"}


def plan(ledger: Ledger, units: int, name: str = "") -> LedgerObject:
    """An object whose units are all on the queue."""
    key = f"bronze/shipments/{name or uuid4().hex}.jsonl"
    source = BronzeObject(BRONZE, key, units * UNIT_BYTES, "etag", None, CREATED)
    planning = ledger.objects.begin(source, UNIT_BYTES, 60)
    ledger.objects.finish(planning)
    return planning


def claim(ledger: Ledger, lake: Lake, units: Sequence[Unit], leftover: bool = False) -> tuple[Lot, LotFile]:
    """A pending lot with its file written; with `leftover`, a second one that its commit will not name."""
    lot_id = LotId.new(datetime.now(UTC))
    days = ("2026-01-31", "2026-01-30")[: 1 + leftover]
    keys = [str(LakeKey("silver", "shipments", day, lot_id, "0" * 8)) for day in days]
    lot = ledger.lots.claim(lot_id, [unit.id for unit in units], keys, VERSIONS, 60)
    etags = [lake.put(key, b"parquet") for key in keys]
    return lot, LotFile(keys[0], len(units), len(b"parquet"), etags[0])


def load(ledger: Ledger, lake: Lake, units: Sequence[Unit], leftover: bool = False) -> Lot:
    """A committed lot of these units, one row in each."""
    lot, file = claim(ledger, lake, units, leftover)
    return ledger.lots.commit(lot, [file], [Counts(1, 1, 0) for _ in units])
