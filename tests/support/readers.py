"""Units that misbehave while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from services.shared.units import Unit
from services.transform.blocks import Form, Piece, Position, RowBlock
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


class SlowReader(UnitReader):
    """Each few lines, or each piece of an array, take their time, so that a unit needs several invocations."""

    def __init__(self, lake: Any, clock: Any, seconds: float) -> None:
        super().__init__(lake, max_row_bytes=4096, block_bytes=512)
        self._clock, self._seconds = clock, seconds

    def read(self, unit: Unit, *args: Any, **kwargs: Any) -> Iterator[Piece]:
        for piece in super().read(unit, *args, **kwargs):
            for part in _few_lines(piece):
                self._clock.advance(self._seconds)
                yield part


def _few_lines(piece: Piece, most: int = 4) -> Iterator[Piece]:
    """The piece, cut into pieces of a few lines if it is lines: reading can go on at the start of any line."""
    block, after = piece
    if not isinstance(block, RowBlock) or after.form is not Form.LINES or len(block.starts) <= most:
        yield piece
        return
    for first in range(0, len(block.starts), most):
        starts, ends = block.starts[first : first + most], block.ends[first : first + most]
        last = first + most >= len(block.starts)
        yield Piece(
            block._replace(starts=starts, ends=ends),
            after if last else Position(block.base + int(ends[-1]), Form.LINES),
        )
