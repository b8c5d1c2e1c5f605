"""What this part asks of history: whatever has left the ledger comes back before it is rewritten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from services.shared.identities import LotId, ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Lot


class Archive(Protocol):
    """The finished part of the ledger. Restoring what is in the ledger changes nothing."""

    def restore_object(self, ledger: Ledger, id_: ObjectId) -> None:
        """Put the lots back that hold an object, and their units, and let none of it expire."""

    def restore_lots(self, ledger: Ledger, ids: Iterable[LotId]) -> None:
        """Put these lots back, and their units, and let none of it expire."""

    def lots_with(self, ledger: Ledger, id_: ObjectId) -> Iterable[Lot]:
        """The lots that held an archived object's units, as they are now, wherever they are. Changes nothing."""

    def find_lots(self, ids: Iterable[LotId]) -> Iterable[Lot]:
        """Those of these lots that it has. Changes nothing."""
