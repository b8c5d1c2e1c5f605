"""Objects that the ledger has lost and the history remembers, put back: they are loaded, and must not be loaded again.

Objects never leave the ledger by themselves. Somebody deleted an item, or a backup was restored. What is announced then
would be planned as new, and its rows would be there twice.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock
from typing import Literal

import numpy as np
import numpy.typing as npt

from services.ops.history.reader import History
from services.ops.history.rows import Outcome
from services.shared.identities import HISTORY_OBJECTS, ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import ObjectState
from services.shared.units import BronzeObject, Plan

CLOCKS_DIFFER = timedelta(hours=1)  # at most, of whoever wrote down when something came or ended


@dataclass(slots=True)
class Remembered:
    """The outcomes of a history by object. Nothing is read before the first question; then 12 bytes for each are held.

    `since`: only what was finished from then on, where nobody asks for what came before. May be asked by several
    threads.
    """

    history: History
    since: datetime | None = None
    _hashes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # sorted
    _numbers: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    _files: list[str] = field(default_factory=list)
    _is_read: bool = False
    _one_at_a_time: RLock = field(default_factory=RLock)

    @classmethod
    def of_window(cls, history: History, start: datetime | None) -> Remembered:
        """For questions about objects that came from `start` on (None: all): they were finished since, too."""
        return cls(history, start and start - CLOCKS_DIFFER)

    def outcome_of(self, id_: ObjectId) -> tuple[Outcome, str] | None:
        """The latest outcome of an object and the file that has it; None where the history does not know it.

        Raises:
            HistoryDamaged: a file cannot be read.
        """
        with self._one_at_a_time:
            if not self._is_read:
                self._read()
            wanted = np.int64(_hashed(str(id_)))
            first, last = (np.searchsorted(self._hashes, wanted, side) for side in _SIDES)
            for number in sorted(set(self._numbers[first:last].tolist()), reverse=True):
                file = self._files[number]
                if any(outline.id == str(id_) for outline in self.history.outlines(file)):
                    return self.history.outcome_of(id_, file), file
            return None

    def put_back(self, ledger: Ledger, id_: ObjectId) -> bool:
        """Put an object back into the ledger, if the history knows it, as the archive task had left it there.

        Returns:
            False where the history does not know it.

        Raises:
            HistoryDamaged: a file cannot be read.
        """
        found = self.outcome_of(id_)
        if found is None:
            return False
        outcome, file = found
        source = BronzeObject(id_.bucket, id_.key, outcome.size, id_.etag, outcome.version, outcome.created)
        by = (outcome.by, outcome.note) if outcome.state is ObjectState.RETRACTED else ("", "")
        ledger.archive.put_back_object(
            Plan(source, self._step(outcome)),
            outcome.state,
            file,
            outcome.finished,
            outcome.reason,
            outcome.advice,
            *by,
        )
        return True

    def _step(self, outcome: Outcome) -> int:
        """Bytes of a unit: what the first one has, where there are several."""
        if outcome.units > 1:
            for entry in self.history.locate(outcome.tally.lots).values():
                for unit in entry.found.lot.units:
                    if unit.object == outcome.id and unit.start == 0:
                        return unit.end
        return max(outcome.size, 1)

    def _read(self) -> None:
        hashes, numbers = list[npt.NDArray[np.int64]](), list[npt.NDArray[np.int32]]()
        for key in self.history.keys(HISTORY_OBJECTS, self.since):
            names = [_hashed(outline.id) for outline in self.history.outlines(str(key))]
            hashes.append(np.array(names, np.int64))
            numbers.append(np.full(len(names), len(self._files), np.int32))
            self._files.append(str(key))
        together = np.concatenate([np.zeros(0, np.int64), *hashes])
        order = np.argsort(together, kind="stable")
        self._hashes, self._is_read = together[order], True
        self._numbers = np.concatenate([np.zeros(0, np.int32), *numbers])[order]


_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def _hashed(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
