"""Units that misbehave while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from services.shared.units import Unit
from services.transform.blocks import Piece
from services.transform.reading.reader import UnitReader

Behaviour = Callable[[], None]


class MisbehavingReader(UnitReader):
    """Runs a behaviour when a unit whose key contains a given text has been read, before its rows are handed on."""

    def __init__(self, lake: Any, behaviours: Mapping[str, Behaviour], **options: Any) -> None:
        super().__init__(lake, **({"max_row_bytes": 4096, "block_bytes": 512} | options))
        self._behaviours = behaviours

    def read(self, unit: Unit, *args: Any, **kwargs: Any) -> Iterator[Piece]:
        pieces = super().read(unit, *args, **kwargs)
        for text, behave in self._behaviours.items():
            if text in unit.object.key:
                pieces = self._then(list(pieces), behave)
        return pieces

    @staticmethod
    def _then(pieces: list[Piece], behave: Behaviour) -> Iterator[Piece]:
        behave()
        yield from pieces
