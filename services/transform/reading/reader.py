"""From a unit to its rows' bytes: ranges, decompression, and what the content is (lines, an array, one document).

A unit owns the rows that start in its range. Everything streams: memory and time are bounded by the bytes read, and
reading can go on behind any piece. This module does not look into rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from services.shared.decompress import Decompressed, UnreadableUnit
from services.shared.lake import ByteStream, Lake, open_pinned
from services.shared.units import BronzeObject, Unit
from services.transform.blocks import Check, Form, Piece, Position, RowBlock, no_check
from services.transform.reading.content import HEAD_BYTES, Kind, content_of
from services.transform.reading.elements import ArrayReader
from services.transform.reading.lines import LineReader
from services.transform.reading.window import BLANKS, STEP_BYTES, Window

__all__ = ["BLOCK_BYTES", "UnitReader", "UnreadableUnit"]

BLOCK_BYTES = 8 * 1024 * 1024


class UnitReader:
    """Reads units of one lake. `block_bytes` is how much is read and handed on at once."""

    def __init__(self, lake: Lake, max_row_bytes: int, block_bytes: int = BLOCK_BYTES) -> None:
        self._lake = lake
        self.max_row = max_row_bytes
        self._block = block_bytes

    def read(self, unit: Unit, start: Position | None = None, check: Check = no_check) -> Iterator[Piece]:
        """The rows that the unit owns, in order.

        Args:
            unit: what to read.
            start: the `after` of a piece of the same unit: reading goes on with exactly the rows behind that piece.
            check: called at least once for each MiB that is read or decompressed; what it raises ends the reading.

        Raises:
            ObjectGone: the object's version cannot be read any more.
            UnreadableUnit: its compressed bytes are damaged or cut short.
            LakeUnavailable: S3 did not answer; try again.
        """
        is_whole_object = (unit.start, unit.end) == (0, unit.object.size)
        if not is_whole_object and not self._first_unit_owns_all(unit, check):
            yield from self._read_range(unit, start, check)
        elif unit.start == 0:
            yield from self._read_object(unit, start, check)

    def _first_unit_owns_all(self, unit: Unit, check: Check) -> bool:
        """Whether the object is an array or one document, which cannot be cut without reading it."""
        with closing(_Continued(self._lake, unit.object, 0, HEAD_BYTES)) as raw:
            return content_of(Window(raw, 0, check), self.max_row).kind is not Kind.LINES

    def _read_object(self, unit: Unit, start: Position | None, check: Check) -> Iterator[Piece]:
        """All rows of an object, or those from a position on."""
        codec = unit.object.bronze_key.codec
        # Elements are read from the byte before them on, see `ArrayReader`.
        offset = 0 if start is None else max(start.offset - (start.form not in _OF_LINES), 0)
        skipped = 0 if codec else min(offset, unit.object.size - 1)
        with closing(open_pinned(self._lake, unit.object, skipped, unit.object.size)) as raw:
            window = Window(Decompressed(raw, codec, unit, check) if codec else raw, skipped, check)
            window.skip(offset - skipped)
            if start is None:
                yield from self._from_start(window)
            else:
                yield from self._go_on(window, start)

    def _from_start(self, window: Window) -> Iterator[Piece]:
        content = content_of(window, self.max_row)
        match content.kind:
            case Kind.DOCUMENT:
                yield _document(window)
            case Kind.LINES:
                yield from self._go_on(window, Position(window.base, Form.LINES))
            case _:
                start = Position(window.base + 1, Form.ARRAY)
                if content.damage:
                    yield content.damage
                    start = content.damage.after or start
                window.drop(max(start.offset - 1 - window.base, 0))
                yield from self._go_on(window, start)

    def _go_on(self, window: Window, start: Position) -> Iterator[Piece]:
        form = start.form
        lines = LineReader(window, self.max_row, self._block)
        if form not in _OF_LINES:
            if window.base == start.offset:
                window.prepend()
            array = ArrayReader(window, self.max_row, self._block)
            yield from array.read(form)
            form = array.form
        if form is Form.REST_OF_LINE:
            lines.skip_rest_of_line()
        yield from lines.read()

    def _read_range(self, unit: Unit, start: Position | None, check: Check) -> Iterator[Piece]:
        """Lines of a plain object. The byte before the range tells whether a row starts right at its start."""
        first = max(unit.start - 1, 0) if start is None else start.offset
        if first >= unit.end:
            return
        with closing(_Continued(self._lake, unit.object, first, unit.end)) as raw:
            window, end = Window(raw, first, check), unit.end
            if start is None and unit.start == 0:
                window.skip_byte_order_mark()  # the first line is behind it, even where the range is not
                end = max(end, window.base + 1)
            lines = LineReader(window, self.max_row, self._block, end)
            if start.form is Form.REST_OF_LINE if start else unit.start:
                lines.skip_rest_of_line()
            yield from lines.read()


_OF_LINES = (Form.LINES, Form.REST_OF_LINE)


def _document(window: Window) -> Piece:
    base, text = window.base, window.take(len(window.data))
    bounds = np.array([[0], [len(text.rstrip(BLANKS))]], dtype=np.int64)
    return Piece(RowBlock(text, bounds[0], bounds[1], base), Position(base + len(text), Form.LINES))


class _Continued:
    """An object's bytes from `start` on, in one request up to `end` and in small ones behind it."""

    def __init__(self, lake: Lake, source: BronzeObject, start: int, end: int) -> None:
        self._lake = lake
        self._source = source
        self._at = min(end, source.size)
        self._raw: ByteStream = open_pinned(lake, source, start, self._at)

    def read(self, size: int) -> bytes:
        data = self._raw.read(size)
        if data or self._at == self._source.size:
            return data
        self._raw.close()
        start, self._at = self._at, min(self._at + STEP_BYTES, self._source.size)
        self._raw = open_pinned(self._lake, self._source, start, self._at)
        return self._raw.read(size)

    def close(self) -> None:
        self._raw.close()
