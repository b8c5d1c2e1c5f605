"""Which lots have files below a folder: a listing only names them; ledger or history say what they committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from services.ops.grid import in_batches_of_lots
from services.shared.identities import LakeKey, LotId
from services.shared.ledger.records import Lot

FindLots = Callable[[Iterable[LotId]], Iterator[Lot]]


def find_in(ledger_lots: FindLots, archived_lots: FindLots) -> FindLots:
    """Lots from the ledger, and from the history those that have left it."""

    def find(ids: Iterable[LotId]) -> Iterator[Lot]:
        gone = set(ids)
        for few in in_batches_of_lots(sorted(gone)):
            for lot in ledger_lots(few):
                gone.discard(lot.id)
                yield lot
        if gone:
            yield from archived_lots(gone)

    return find


def lots_of(keys: Iterable[str]) -> set[LotId]:
    """The lots that files are named after. Somebody else's file is of none: no lot has committed it."""
    return {lot for key in keys if (lot := _lot_of(key)) is not None}


def _lot_of(key: str) -> LotId | None:
    try:
        return LakeKey.parse(key).lot
    except ValueError:
        return None
