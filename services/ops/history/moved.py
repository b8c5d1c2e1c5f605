"""Rows that `smelt quarantine retry` has moved since the history wrote down the loads that they belong to.

A file of the history is never changed, so a load in it has the rows that it had when it was finished. A retry moves
some of them to Silver, and its lot gets another generation: that one says where the rows are now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from services.ops.grid import batched, in_batches_of_lots
from services.ops.history.reader import History
from services.ops.history.rows import Outcome, Tally
from services.shared.identities import HISTORY_LOTS, HISTORY_OBJECTS, LotId, ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, Lot, ObjectState

_BATCH = 500
_LOTS = 500  # looked up in the history at once: it reads the same files for each lookup


@dataclass(slots=True)
class _Share:
    """What one lot holds of one object."""

    units: int = 0
    counts: Counts = field(default_factory=Counts)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: _Share) -> None:
        self.units += other.units
        self.counts += other.counts
        self.refused += other.refused


def rewritten_lots(ledger: Ledger, history: History, today: int, since: datetime | None) -> set[LotId]:
    """Lots that were rewritten after loads that are in the history, and that were finished from `since` on.

    The index is read before the history: what is archived meanwhile is found there.

    Args:
        today: when it began, in epoch milliseconds. What is in the history was claimed before.

    Raises:
        HistoryDamaged: a file of the history cannot be read.
    """
    if next(history.keys(HISTORY_OBJECTS, since), None) is None:
        return set()
    entries = chain(ledger.open_entries("committed"), ledger.open_entries("lot"))
    old = {entry.lot for entry in entries if entry.lot.claimed_ms < today}
    found = {lot.id for few in in_batches_of_lots(old) for lot in ledger.find_lots(few) if lot.generation > 1}
    for key in history.keys(HISTORY_LOTS, since):
        if key.rewritten:
            found.update(history.lot_names(str(key)))
    return found


def as_they_are(
    ledger: Ledger, history: History, archived: Iterable[Outcome], rewritten: set[LotId] | None = None
) -> Iterator[Outcome]:
    """The same loads in the same order, with the rows that they have now.

    A load whose rows were retracted since stays as it was: its retraction is a load of its own.

    Args:
        rewritten: only loads in these lots are looked up; None: all.

    Raises:
        HistoryDamaged: a file of the history cannot be read.
    """
    for few in batched(archived, _BATCH):
        moved = [load for load in few if load.state is ObjectState.DONE and _is_in(load, rewritten)]
        shares = _shares(ledger, history, moved)
        yield from (_as_it_is(load, shares) for load in few)


def _is_in(load: Outcome, lots: set[LotId] | None) -> bool:
    return lots is None or not lots.isdisjoint(load.tally.lots)


def _shares(ledger: Ledger, history: History, loads: list[Outcome]) -> dict[tuple[LotId, ObjectId], _Share]:
    objects = {load.id for load in loads}
    shares: dict[tuple[LotId, ObjectId], _Share] = {}
    for few in batched(sorted({lot for load in loads for lot in load.tally.lots}), _LOTS):
        for lot in _as_they_stand(ledger, history, few):
            for unit, counts in zip(lot.units, lot.unit_counts, strict=False):
                if unit.object in objects:
                    mine = _Share(1, counts, Counter(lot.reasons_of(unit, counts)))
                    shares.setdefault((lot.id, unit.object), _Share()).add(mine)
    return shares


def _as_they_stand(ledger: Ledger, history: History, ids: list[LotId]) -> Iterator[Lot]:
    """These lots: in the ledger, or else in the history's latest generation."""
    gone = set(ids)
    for few in in_batches_of_lots(ids):
        for lot in ledger.find_lots(few):
            gone.discard(lot.id)
            yield lot
    yield from history.find_lots(gone)


def _as_it_is(load: Outcome, shares: dict[tuple[LotId, ObjectId], _Share]) -> Outcome:
    total = _Share()
    for lot in load.tally.lots:
        if share := shares.get((lot, load.id)):
            total.add(share)
    if not total.units or total.units != load.units:
        return load
    return replace(load, tally=Tally(total.counts, dict(total.refused), load.tally.lots))
