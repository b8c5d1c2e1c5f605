"""Which units nobody takes care of. One consistent look at the ledger; what it says may be old a moment later.

Sending a unit that somebody has after all is harmless: transform recognises it by its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice

from services.shared.identities import LotId, UnitId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Lot

_LOTS_READ_AT_ONCE = 20  # a lot's item has up to 400 KB


class Fate(StrEnum):
    """What became of a unit so far."""

    COMMITTED = "committed"
    IN_LOT = "in a lot of a worker that may be alive"
    LEFT = "in a lot that its worker has left"  # nobody may have a message of such a lot any more
    FREE = "in no lot"  # its message is on the queue, or lost
    DEAD = "a dead letter"

    @property
    def is_missing(self) -> bool:
        return self in (Fate.LEFT, Fate.FREE, Fate.DEAD)


def fates(ledger: Ledger, units: Sequence[UnitId]) -> dict[UnitId, Fate]:
    """What became of each of these units."""
    records = {record.id: record for record in ledger.find_units(units)}
    lots = {lot.id: lot for lot in _find_lots(ledger, {record.lot for record in records.values() if record.lot})}
    found = dict.fromkeys(units, Fate.FREE)
    for unit, record in records.items():
        if record.lot is None:
            found[unit] = Fate.DEAD if record.notes.dead else Fate.FREE
        elif record.lot in lots:  # else it was dissolved in between, and the unit is free
            found[unit] = _fate_in(ledger, lots[record.lot])
    return found


def _fate_in(ledger: Ledger, lot: Lot) -> Fate:
    if lot.state.holds_rows:
        return Fate.COMMITTED
    return Fate.LEFT if ledger.lots.is_abandoned(lot) else Fate.IN_LOT


def _find_lots(ledger: Ledger, ids: Iterable[LotId]) -> Iterator[Lot]:
    waiting = iter(ids)
    while some := list(islice(waiting, _LOTS_READ_AT_ONCE)):
        yield from ledger.find_lots(some)
