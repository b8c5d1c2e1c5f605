"""From a unit to its rows' bytes: ranges, decompression, and what the content is (lines, an array, one document).

A unit owns the rows that start in its range. Everything streams: no more than one block and one unfinished row are
held. A row longer than `max_row_bytes` comes out as an `OverlongRow`. This module does not look into rows.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pyarrow as pa

from services.shared.errors import Terminal
from services.shared.lake import ByteStream, Lake, LakeUnavailable
from services.shared.units import Unit
from services.transform.blocks import Form, OverlongRow, Piece, Position, RowBlock, lines_block
from services.transform.reading.arrays import ArrayScanner

BLOCK_BYTES = 8 * 1024 * 1024
OVERLONG_HEAD_BYTES = 64 * 1024  # how much of an over-long row goes to quarantine; Bronze keeps the rest
_TAIL_BYTES = 1024 * 1024  # step in which the end of a unit's last row is looked for
_HEAD_BYTES = 4096
_BLANKS = b" \t\r\n"
_LEADING_BLANKS = re.compile(rb"[ \t\r\n]*")


class UnreadableUnit(Terminal):
    """The unit's bytes are damaged: reading them again gives the same."""


Rows = Iterator[RowBlock | OverlongRow]


class UnitReader:
    """Reads units of one lake. `block_bytes` is how much is read and parsed at once."""

    def __init__(self, lake: Lake, max_row_bytes: int, block_bytes: int = BLOCK_BYTES) -> None:
        self._lake = lake
        self._max_row = max_row_bytes
        self._block = block_bytes

    def read(self, unit, start=None, check=lambda: None):
        for rows in self._old(unit):
            check()
            at = rows.base if isinstance(rows, RowBlock) else rows.offset
            if start is not None and at < start.offset:
                continue
            end = at + (len(rows.data) if isinstance(rows, RowBlock) else 1)
            yield Piece(rows, Position(end, Form.LINES))

    def _old(self, unit: Unit) -> Rows:
        """The rows that the unit owns, in order.

        Raises:
            ObjectGone: the object's version cannot be read any more.
            UnreadableUnit: its compressed bytes are damaged or cut short.
            LakeUnavailable: S3 did not answer; try again.
        """
        is_whole_object = (unit.start, unit.end) == (0, unit.object.size)
        if not is_whole_object and not self._first_unit_owns_all(unit):
            yield from self._read_range(unit)
        elif unit.start == 0:
            with closing(self._lake.open(unit.object, 0, unit.object.size)) as raw:
                codec = unit.object.bronze_key.codec
                yield from self._read_whole(_Lookahead(_Decompressed(raw, codec, unit) if codec else raw))

    def _first_unit_owns_all(self, unit: Unit) -> bool:
        """Whether the object is an array or one document, which cannot be cut without reading it."""
        size = unit.object.size
        length = size if size <= self._max_row else min(size, _HEAD_BYTES)
        with closing(self._lake.open(unit.object, 0, size)) as raw:
            stream = _Lookahead(raw)
            stream.skip_byte_order_mark()
            stream.skip_blanks()
            head = stream.peek(length)
            return head.startswith(b"[") or (size <= self._max_row and _is_one_document(head))

    def _read_whole(self, stream: _Lookahead) -> Rows:
        stream.skip_byte_order_mark()
        stream.skip_blanks()
        if stream.peek(1) == b"[":
            stream.read(1)
            yield from self._elements(stream)
        elif stream.looks_cut_into_lines():
            yield from self._lines(stream)
        else:
            base, text = stream.offset, stream.peek(self._max_row + 1)
            if len(text) <= self._max_row and _is_one_document(text):
                yield from self._emit(text, [0], [len(text.rstrip(_BLANKS))], base)
            else:
                yield from self._lines(stream)

    def _read_range(self, unit: Unit) -> Rows:
        """Lines of a plain object. The byte before the range tells whether a row starts right at its start."""
        first = max(unit.start - 1, 0)
        with closing(self._lake.open(unit.object, first, unit.end)) as raw:
            stream = _Lookahead(raw, first)
            if unit.start:
                stream.skip_line()
            yield from self._lines(stream, unit)

    def _lines(self, stream: _Lookahead, unit: Unit | None = None) -> Rows:
        """Rows up to the end of the stream; the last one may end beyond it, in the range of the next unit."""
        base, carry = stream.offset, b""
        while block := stream.read(self._block):
            cut = block.rfind(b"\n") + 1
            if cut:
                yield from self._line_rows(b"".join((carry, memoryview(block)[:cut])), base)
                base, carry = base + len(carry) + cut, block[cut:]
            else:
                carry += block
            if len(carry) > self._max_row:
                if carry.strip(_BLANKS):
                    yield OverlongRow(base, carry[:OVERLONG_HEAD_BYTES])
                    if not stream.skip_line():
                        return  # it reaches to the end of the range; the next unit knows that it is not its own
                    base = stream.offset
                else:
                    base += len(carry)
                carry = b""
        if carry:
            yield from self._line_rows(self._finish_row(unit, carry) if unit else carry, base)

    def _finish_row(self, unit: Unit, row: bytes) -> bytes:
        """The unit's last row with its end fetched from beyond the unit's range."""
        at = unit.end
        while at < unit.object.size and len(row) <= self._max_row:
            until = min(at + _TAIL_BYTES, unit.object.size)
            with closing(self._lake.open(unit.object, at, until)) as raw:
                tail = _Lookahead(raw).read(until - at)
            end = tail.find(b"\n")
            if end >= 0:
                return row + tail[:end]
            row, at = row + tail, until
        return row

    def _elements(self, stream: _Lookahead) -> Rows:
        """Elements of an array, after its opening bracket. What follows the closing one is read as lines."""
        scanner = ArrayScanner()
        base, carry, overlong = stream.offset, b"", False
        while block := stream.read(self._block):
            separators = scanner.feed(block)
            closed = separators.close >= 0
            text, shift = carry + block, len(carry)
            ends = [int(comma) + shift for comma in separators.commas]
            if closed:
                ends.append(separators.close + shift)
            starts = [0, *(end + 1 for end in ends)]
            rest = starts.pop()
            first = 1 if overlong and ends else 0  # the end of a row that has been reported
            overlong = overlong and not ends
            yield from self._emit(text, starts[first:], ends[first:], base)
            if closed:
                stream.unread(text[rest:])
                yield from self._lines(stream)
                return
            base, carry = base + rest, text[rest:]
            if overlong or len(carry) > self._max_row:
                if not overlong:
                    yield OverlongRow(base, carry[:OVERLONG_HEAD_BYTES])
                base, carry, overlong = base + len(carry), b"", True
        if not overlong:
            yield from self._emit(carry, [0], [len(carry)], base)  # the array was cut short

    def _line_rows(self, data: bytes, base: int) -> Rows:
        if base == 0 and data.startswith(codecs.BOM_UTF8):
            data, base = data[len(codecs.BOM_UTF8) :], len(codecs.BOM_UTF8)
        yield from self._without_overlong(lines_block(data, base))

    def _emit(self, text: bytes, starts: list[int], ends: list[int], base: int) -> Rows:
        begins = [_LEADING_BLANKS.match(text, start, end).end() for start, end in zip(starts, ends, strict=True)]  # type: ignore[union-attr]
        kept = [(begin, end) for begin, end in zip(begins, ends, strict=True) if begin < end]
        bounds = np.array(kept, dtype=np.int64).reshape(-1, 2)
        yield from self._without_overlong(RowBlock(text, bounds[:, 0].copy(), bounds[:, 1].copy(), base))

    def _without_overlong(self, block: RowBlock) -> Rows:
        too_long = (block.ends - block.starts) > self._max_row
        if too_long.any():
            for start in block.starts[too_long].tolist():
                yield OverlongRow(block.base + start, block.data[start : start + OVERLONG_HEAD_BYTES])
            block = RowBlock(block.data, block.starts[~too_long], block.ends[~too_long], block.base)
        if block.starts.size:
            yield block


def _is_one_document(text: bytes) -> bool:
    """Whether the text is one JSON object over several lines, rather than JSON lines."""
    first_line, newline, _ = text.partition(b"\n")
    return bool(newline) and not _is_json(first_line) and _is_json(text)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):  # ValueError: not JSON, or not UTF-8
        return False
    return True


class _Lookahead:
    """A stream that can be looked into ahead of reading. `offset` is the object's offset of the next byte."""

    def __init__(self, source: ByteStream, offset: int = 0) -> None:
        self._source = source
        self._ahead = b""
        self.offset = offset

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        parts = [self._ahead]
        missing = size - len(self._ahead)
        while missing > 0 and (data := self._source.read(missing)):
            parts.append(data)
            missing -= len(data)
        if len(parts) > 1:
            self._ahead = b"".join(parts) if self._ahead else parts[1] if len(parts) == 2 else b"".join(parts)
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        data = self.peek(size)
        self._ahead = self._ahead[len(data) :]
        self.offset += len(data)
        return data

    def unread(self, data: bytes) -> None:
        self._ahead = data + self._ahead
        self.offset -= len(data)

    def skip_byte_order_mark(self) -> None:
        if self.peek(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
            self.read(len(codecs.BOM_UTF8))

    def skip_blanks(self) -> None:
        while data := self.read(_HEAD_BYTES):
            text = data.lstrip(_BLANKS)
            if text:
                self.unread(text)
                return

    def skip_line(self) -> bool:
        """Skip to the byte after the next newline; False where there is none."""
        while data := self.read(_TAIL_BYTES):
            end = data.find(b"\n")
            if end >= 0:
                self.unread(data[end + 1 :])
                return True
        return False

    def looks_cut_into_lines(self) -> bool:
        """Whether the first line is a JSON value by itself, as in nearly every file."""
        first_line, newline, _ = self.peek(_HEAD_BYTES).partition(b"\n")
        return bool(newline) and _is_json(first_line)


class _Decompressed:
    """A compressed stream's content. Damaged and truncated ones raise instead of ending early."""

    def __init__(self, raw: ByteStream, codec: str, unit: Unit) -> None:
        self._unit = unit
        self._raw = _ArrowFile(raw)
        self._stream = pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), codec)

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except LakeUnavailable:
            raise
        except OSError as error:
            if self._raw.failure:
                raise self._raw.failure from error
            raise UnreadableUnit(
                f"{self._unit.id}: the compressed bytes are damaged or cut short ({error}); upload the object again"
            ) from error

    def close(self) -> None:
        self._stream.close()


class _ArrowFile:
    """A `ByteStream` as the file object that Arrow asks for; it remembers the error that Arrow may rewrap."""

    closed = False

    def __init__(self, raw: ByteStream) -> None:
        self._raw = raw
        self.failure: LakeUnavailable | None = None

    def read(self, size: int) -> bytes:
        try:
            return self._raw.read(size)
        except LakeUnavailable as error:
            self.failure = error
            raise

    def close(self) -> None:
        self._raw.close()
