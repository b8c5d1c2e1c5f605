"""From a unit to its rows' bytes: ranges, decompression, and what the content is (lines, an array, documents).

A unit owns the rows that start in its range. Everything streams: memory and time are bounded by the bytes read, and
reading can go on behind any piece. This module does not look into rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from io import BytesIO

import numpy as np

from services.shared.compression import HEAD_BYTES, codec_of, codec_to_read
from services.shared.decompress import Decompressed, UnreadableUnit
from services.shared.lake import ByteStream, Lake, open_pinned
from services.shared.units import BronzeObject, Unit
from services.transform.blocks import BrokenFrame, Check, Form, Piece, Position, RowBlock, no_check, no_rows
from services.transform.reading.content import Kind, content_of
from services.transform.reading.documents import DocumentReader
from services.transform.reading.elements import ArrayReader
from services.transform.reading.envelope import Envelope, EnvelopeReader, first_byte
from services.transform.reading.joined import joined
from services.transform.reading.lines import LineReader, line_window
from services.transform.reading.signatures import COMPRESSED_TWICE, Foreign, RefusedContent, foreign_kind
from services.transform.reading.window import STEP_BYTES, Window

__all__ = ["BLOCK_BYTES", "UnitReader", "UnreadableUnit"]

BLOCK_BYTES = 8 * 1024 * 1024


class UnitReader:
    """Reads units of one lake. `block_bytes` is how much is read and handed on at once."""

    def __init__(self, lake: Lake, max_row_bytes: int, block_bytes: int = BLOCK_BYTES) -> None:
        self._lake = lake
        self.max_row = max_row_bytes
        self._block = block_bytes

    def read(
        self,
        unit: Unit,
        start: Position | None = None,
        check: Check = no_check,
        envelope: Envelope | None = None,
    ) -> Iterator[Piece]:
        """The rows that the unit owns, in order.

        Args:
            unit: what to read.
            start: the `after` of a piece of the same unit: reading goes on with exactly the rows behind that piece.
            check: called at least once for each MiB that is read or decompressed; what it raises ends the reading.
            envelope: where rows are in each document; none where a document is a row.

        Raises:
            ObjectGone: the object's version cannot be read any more.
            UnreadableUnit: its compressed bytes are damaged or cut short.
            RefusedContent: the object is known not to be JSON, by its first bytes.
            LakeUnavailable: S3 did not answer; try again.
        """
        is_whole_object = (unit.start, unit.end) == (0, unit.object.size)
        if not is_whole_object and not self._first_unit_owns_all(unit, check):
            pieces = self._read_range(unit, start, check, envelope)
        elif unit.start == 0:
            pieces = self._read_object(unit, start, check, envelope)
        else:
            return
        yield from joined(pieces, self._block) if envelope else pieces

    def _first_unit_owns_all(self, unit: Unit, check: Check) -> bool:
        """Whether the object is compressed, an array or documents, which cannot be cut without reading them."""
        with closing(_Continued(self._lake, unit.object, 0, min(HEAD_BYTES, unit.object.size))) as raw:
            content, codec = self._content(raw, unit, check)
            return codec is not None or content_of(Window(content, 0, check), self.max_row).kind is not Kind.LINES

    def _read_object(
        self, unit: Unit, start: Position | None, check: Check, envelope: Envelope | None
    ) -> Iterator[Piece]:
        """All rows of an object, or those from a position on."""
        if start is not None and not self._codec(unit, check):
            yield from self._read_plain_from(unit, start, check, envelope)
            return
        with closing(open_pinned(self._lake, unit.object, 0, unit.object.size)) as raw:
            content, _ = self._content(raw, unit, check)
            window = Window(content, 0, check)
            if start is None:
                yield from self._from_start(window, envelope)
            else:
                window.skip(_first_byte(start, envelope))
                yield from self._go_on(window, start, envelope)

    def _read_plain_from(self, unit: Unit, start: Position, check: Check, envelope: Envelope | None) -> Iterator[Piece]:
        skipped = min(_first_byte(start, envelope), unit.object.size - 1)
        with closing(open_pinned(self._lake, unit.object, skipped, unit.object.size)) as raw:
            window = Window(raw, skipped, check)
            window.skip(_first_byte(start, envelope) - skipped)
            yield from self._go_on(window, start, envelope)

    def _codec(self, unit: Unit, check: Check) -> str | None:
        with closing(open_pinned(self._lake, unit.object, 0, min(HEAD_BYTES, unit.object.size))) as raw:
            return self._content(raw, unit, check, deep=False)[1]

    def _content(self, raw: ByteStream, unit: Unit, check: Check, deep: bool = True) -> tuple[ByteStream, str | None]:
        """An object's content, decompressed, and how it is compressed: by its first bytes, whatever its key says.

        Raises:
            RefusedContent: it is known not to be JSON; of compressed content only where `deep`.
        """
        head = _read_head(raw, check)
        if codec_of(head) is None:
            self._refuse(unit, foreign_kind(head))
        codec = codec_to_read(head, unit.object.bronze_key.codec)
        stream: ByteStream = _Peeked(head, raw)
        if codec is None or not deep:
            return stream, codec
        unpacked = Decompressed(stream, codec, unit, check)
        inside = _read_head(unpacked, check)
        self._refuse(unit, COMPRESSED_TWICE if codec_of(inside) else foreign_kind(inside))
        return _Peeked(inside, unpacked), codec

    def _refuse(self, unit: Unit, kind: Foreign | None) -> None:
        if kind:
            raise RefusedContent(unit.object.id, kind)

    def _from_start(self, window: Window, envelope: Envelope | None) -> Iterator[Piece]:
        content = content_of(window, self.max_row)
        match content.kind:
            case Kind.LINES | Kind.DOCUMENTS:
                form = Form.LINES if content.kind is Kind.LINES else Form.DOCUMENTS
                if form is Form.LINES:
                    window.prepend(content.blanks)  # a line starts with them, wherever its object is cut
                yield from self._go_on(window, Position(window.base, form), envelope)
            case _:
                start = Position(window.base + 1, Form.ARRAY)
                if content.damage:
                    yield content.damage
                    start = content.damage.after or start
                window.drop(max(start.offset - 1 - window.base, 0))
                yield from self._go_on(window, start, envelope)

    def _go_on(self, window: Window, start: Position, envelope: Envelope | None) -> Iterator[Piece]:
        form = start.form
        if start.in_line:
            yield from self._line(line_window(window), envelope, start)
            form = Form.LINES
        elif form in _OF_DOCUMENTS or start.document >= 0:
            yield from self._documents(window, envelope, start)
        elif form in _OF_ARRAYS:
            if window.base == start.offset:
                window.prepend()
            array = ArrayReader(window, self.max_row, self._block)
            pieces = array.read(form)
            yield from self._rows_inside_all(pieces, envelope, window.check, start) if envelope else pieces
            form = array.form
        yield from self._lines(window, envelope, is_rest=form is Form.REST_OF_LINE)

    def _read_range(
        self, unit: Unit, start: Position | None, check: Check, envelope: Envelope | None
    ) -> Iterator[Piece]:
        """Lines of a plain object. The byte before the range tells whether a row starts right at its start."""
        first = max(unit.start - 1, 0) if start is None else _first_byte(start, envelope)
        is_in_line = start is not None and start.in_line
        if (first >= unit.end and not is_in_line) or first >= unit.object.size:
            return
        with closing(_Continued(self._lake, unit.object, first, max(unit.end, first + 1))) as raw:
            window, end = Window(raw, first, check), unit.end
            if start is None and unit.start == 0:
                window.skip_byte_order_mark()  # the first line is behind it, even where the range is not
                end = max(end, window.base + 1)
            if start and start.in_line:
                yield from self._line(line_window(window), envelope, start)
                is_rest = False
            else:
                is_rest = start.form is Form.REST_OF_LINE if start else unit.start > 0
            yield from self._lines(window, envelope, end, is_rest)

    def _lines(
        self, window: Window, envelope: Envelope | None, end: int | None = None, is_rest: bool = False
    ) -> Iterator[Piece]:
        """Lines that start before `end`, but for the rest of one that the window may begin with."""

        def read_line(line: Window) -> Iterator[Piece]:
            return self._line(line, envelope, Position(line.base, Form.DOCUMENTS))

        lines = LineReader(window, self.max_row, self._block, read_line, end)
        if is_rest:
            lines.skip_rest_of_line()
        yield from lines.read_each() if envelope else lines.read()

    def _line(self, line: Window, envelope: Envelope | None, start: Position) -> Iterator[Piece]:
        for piece in self._documents(line, envelope, start):
            yield piece._replace(after=piece.after and piece.after._replace(in_line=True))

    def _documents(self, window: Window, envelope: Envelope | None, start: Position) -> Iterator[Piece]:
        if envelope:
            yield from EnvelopeReader(window, envelope, self.max_row, self._block).read(start)
        else:
            yield from DocumentReader(window, self.max_row, self._block).read(start.form)

    def _rows_inside_all(
        self, pieces: Iterable[Piece], envelope: Envelope, check: Check, start: Position
    ) -> Iterator[Piece]:
        """The rows inside of an array's pieces. Where the object ends inside of an element, that is reported once."""
        reported, goes_on = -1, start  # where an element turned out not to be closed; where the array can be read again
        for piece in pieces:
            if isinstance(piece.rows, BrokenFrame) and piece.rows.offset == reported:
                continue
            for inside in self._rows_inside(piece, envelope, check, goes_on):
                if isinstance(inside.rows, BrokenFrame):
                    reported = inside.rows.offset
                yield from _past(inside, start.past)
            goes_on = piece.after or goes_on

    def _rows_inside(self, piece: Piece, envelope: Envelope, check: Check, goes_on: Position) -> Iterator[Piece]:
        """The rows that the elements of an array hold.

        Reading goes on behind all of them, or at `goes_on`, past those that have been read: copies of an envelope may
        make more of one element than fits in memory.
        """
        if not isinstance(piece.rows, RowBlock):
            yield piece
            return
        block, found, end = piece.rows, None, 0
        for start, end in zip(block.starts.tolist(), block.ends.tolist(), strict=True):
            element = Window(BytesIO(block.data[start:end]), block.base + start, check)
            for inside in self._documents(element, envelope, Position(element.base, Form.DOCUMENTS)):
                if found:
                    yield found
                rows, after = inside.rows, None
                if isinstance(rows, RowBlock):  # damage may be reported at a byte before some that was reported already
                    after = goes_on._replace(past=rows.base + len(rows.data))
                found = inside._replace(after=after)
        if found:
            is_at_end = isinstance(found.rows, BrokenFrame) and found.rows.offset == block.base + end
            yield found._replace(after=None if is_at_end else piece.after)
        elif piece.after:
            yield Piece(no_rows(block.base + len(block.data)), piece.after)


def _past(piece: Piece, past: int) -> Iterator[Piece]:
    """What of a piece does not begin before an offset."""
    rows = piece.rows
    if not isinstance(rows, RowBlock):
        if rows.offset >= past:
            yield piece
        return
    first = int(np.searchsorted(rows.starts, past - rows.base))
    if first == 0:
        yield piece
    elif first < len(rows.starts):
        at = int(rows.starts[first])
        kept = RowBlock(rows.data[at:], rows.starts[first:] - at, rows.ends[first:] - at, rows.base + at, rows.envelope)
        yield Piece(kept, piece.after)


def _first_byte(start: Position, envelope: Envelope | None) -> int:
    """Where reading begins, to go on from a position: elements are read from the byte before them on."""
    if start.document >= 0:
        return first_byte(start, envelope)
    return max(start.offset - (start.form in _OF_ARRAYS), 0)


def _read_head(raw: ByteStream, check: Check) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES:
        check()
        read = raw.read(HEAD_BYTES - len(head))
        if not read:
            break
        head += read
    return head


class _Peeked:
    """A stream of which the first bytes have been read."""

    def __init__(self, head: bytes, rest: ByteStream) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int) -> bytes:
        if not self._head:
            return self._rest.read(size)
        taken, self._head = self._head[:size], self._head[size:]
        return taken

    def close(self) -> None:
        self._rest.close()


_OF_LINES = (Form.LINES, Form.REST_OF_LINE)
_OF_DOCUMENTS = (Form.DOCUMENTS, Form.REST_OF_DOCUMENT, Form.LOST_DOCUMENTS)
_OF_ARRAYS = frozenset(Form) - {*_OF_LINES, *_OF_DOCUMENTS}


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
