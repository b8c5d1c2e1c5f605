"""Where a walk over the ledger stopped, so that the next run goes on there. A cursor is a hint, never a fact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from services.shared.identities import milliseconds
from services.shared.ledger.items import Item
from services.shared.ledger.table import LedgerTable

CURSOR_PREFIX = "cursor#"
_MILLISECOND = timedelta(milliseconds=1)


class Cursors:
    """One small item for each kind of walk. The last writer wins: losing a cursor costs reads and nothing else."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def load(self, walk: str, within: timedelta | None = None) -> dict[str, Any] | None:
        """Where this walk stopped; None where it starts from the beginning.

        Args:
            within: a place that was saved longer ago counts for nothing: what is before it has changed since.
        """
        found = self._table.get(_key(walk))
        if not found or (within and self._table.now_ms() - _saved_at_ms(found) > within // _MILLISECOND):
            return None
        return dict(json.loads(found["place"]["S"]))

    def save(self, walk: str, place: Mapping[str, Any]) -> None:
        """Everything before `place` has been looked at. `place` is what JSON can hold."""
        text = json.dumps(dict(place), ensure_ascii=False, separators=(",", ":"))
        self._table.put(_key(walk) | {"place": {"S": text}, "saved_at": self._table.timestamp()})

    def clear(self, walk: str) -> None:
        """The walk has reached the end: the next one starts from the beginning."""
        self._table.delete(_key(walk))


def _saved_at_ms(found: Item) -> int:
    return milliseconds(datetime.fromisoformat(found["saved_at"]["S"]))


def _key(walk: str) -> Item:
    return {"pk": {"S": f"{CURSOR_PREFIX}{walk}"}}
