"""A ledger that nothing has ever left."""

from __future__ import annotations

from collections.abc import Iterable

from services.shared.identities import LotId, ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Lot


class NoArchive:
    """Implements `services.ops.rewrite.archive.Archive`."""

    def restore_object(self, ledger: Ledger, id_: ObjectId) -> None: ...

    def restore_lots(self, ledger: Ledger, ids: Iterable[LotId]) -> None: ...

    def lots_with(self, ledger: Ledger, id_: ObjectId) -> Iterable[Lot]:
        return ()

    def find_lots(self, ids: Iterable[LotId]) -> Iterable[Lot]:
        return ()
