"""The rows of objects, from the lots that hold their units. Consistent reads, bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from services.ops.grid import Records, look_at, slices
from services.ops.history.rows import Tally
from services.shared.deadline import Deadline
from services.shared.identities import LotId
from services.shared.ledger.records import Counts, LedgerObject


class Tallies:
    """Walks over the grids of objects."""

    def __init__(self, ledger: Records, deadline: Deadline | None = None) -> None:
        self._ledger = ledger
        self._deadline = deadline

    def of(self, objects: Iterable[LedgerObject]) -> Iterator[tuple[LedgerObject, Tally]]:
        """Each object with the rows of its committed units, in order."""
        counts, refused, lots = Counts(), Counter[str](), dict[LotId, None]()
        for group in slices(objects):
            if self._deadline:
                self._deadline.check()
            look = look_at(self._ledger, [unit for part in group for unit in part.units])
            for part in group:
                for unit in part.units:
                    if unit in look.committed:
                        counts += look.committed[unit]
                        refused.update(look.refused.get(unit, {}))
                        lot = look.records[unit].lot
                        lots |= {lot: None} if lot else {}
                if part.ends_object:
                    yield part.object, Tally(counts, dict(refused), tuple(lots))
                    counts, refused, lots = Counts(), Counter(), {}
