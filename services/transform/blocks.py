"""Raw rows on their way from the reader to the parser: what both sides know, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from services.shared.judge.verdicts import JSON_BLANKS, Reason

Positions = npt.NDArray[np.int64]
Check = Callable[[], None]  # called from time to time by what takes long; what it raises ends the work


def no_check() -> None:
    """For callers that may take all the time they need."""


class RowBlock(NamedTuple):
    """Raw bytes that hold whole rows.

    Row `i` is `data[starts[i]:ends[i]]` (both int64, ascending); it may have JSON's blanks around it. `base` is the
    byte offset of `data[0]` in the (decompressed) object. `envelope` are members of the document around the rows, as
    JSON text (`"account":"7","region":"eu"`), which each row has beside its own.
    """

    data: bytes
    starts: Positions
    ends: Positions
    base: int
    envelope: bytes = b""


def no_rows(offset: int) -> RowBlock:
    """A block without rows: its piece says that reading has come to this offset, where long stretches hold no row."""
    nothing = np.empty(0, dtype=np.int64)
    return RowBlock(b"", nothing, nothing, offset)


class OverlongRow(NamedTuple):
    """A row that is longer than allowed: where it starts in the object, and its first bytes."""

    offset: int
    head: bytes


class BrokenFrame(NamedTuple):
    """Damage of the file's frame, such as an array that is not closed: one quarantine row of its own.

    `offset` is a byte of the (decompressed) object at which no row starts. `detail` says what is wrong, and `raw`
    holds the damaged bytes, cut if they are many; it may be empty. A document that has no rows where they should be is
    one, too, with a reason of its own.
    """

    offset: int
    detail: str
    raw: bytes
    reason: Reason = Reason.BROKEN_FRAME


class BrokenFrames(NamedTuple):
    """Many of them, in order: a file may be full of documents without rows."""

    frames: tuple[BrokenFrame, ...]

    @property
    def offset(self) -> int:
        return self.frames[0].offset


class Form(StrEnum):
    """What the bytes at a position are, so that reading can go on there."""

    LINES = "lines"  # a line starts here
    REST_OF_LINE = "rest_of_line"  # the end of a row that has been reported as over-long
    ARRAY = "array"  # an element of the array starts here, or the array ends
    AFTER_COMMA = "after_comma"  # an element of the array starts here; the array should not end
    AFTER_ELEMENT = "after_element"  # a comma is next, or the array ends
    LOOSE = "loose"  # as ARRAY, in an array whose commas have been reported: they are optional from here on
    FLAT = (
        "flat"  # as LOOSE; a bracket of an array has been reported, and all between elements are skipped from here on
    )
    REST_OF_ELEMENT = "rest_of_element"  # the element that starts here has been reported as over-long
    REST_OF_LOOSE = "rest_of_loose"  # the same among elements that are LOOSE
    REST_OF_FLAT = "rest_of_flat"  # the same among elements that are FLAT
    LOST = "lost"  # the array is broken here: look for an element with which it goes on
    AFTER_ARRAY = "after_array"  # the byte after the closing bracket
    DOCUMENTS = "documents"  # a document starts here: nothing but blanks need be between one and the next
    REST_OF_DOCUMENT = "rest_of_document"  # the document that starts here has been reported as over-long
    LOST_DOCUMENTS = "lost_documents"  # damage that has been reported as over-long: look for the next document


class Position(NamedTuple):
    """Where reading can go on: an offset in bytes of the (decompressed) object, and what is there.

    `in_line` says that it is inside of a line, and that what begins there ends with that line. `document` is the offset
    of the document whose rows are being read, where it holds them in an array (-1: none does). What begins before the
    offset `past` has been read already: reading begins before it because it cannot begin there.
    """

    offset: int
    form: Form
    in_line: bool = False
    document: int = -1
    past: int = 0

    def to_list(self) -> list[int | str]:
        """The position as plain values, for the ledger: `[offset, form]`, with what else matters.

        That is `[in_line, document]`, or all five.
        """
        inside: list[int | str] = [int(self.in_line), self.document] if self.in_line or self.document >= 0 else []
        if self.past:
            inside = [int(self.in_line), self.document, self.past]
        return [self.offset, self.form.value, *inside]

    @classmethod
    def from_list(cls, values: object) -> Self:
        """Read a position back.

        Raises:
            ValueError: the values are not a position.
        """
        number = int | Decimal
        match values:
            case [offset, str(form)] if isinstance(offset, number) and offset >= 0:
                return cls(int(offset), Form(form))
            case [offset, form, in_line, document]:
                return cls.from_list([offset, form, in_line, document, 0])
            case [offset, str(form), in_line, document, past] if (
                isinstance(offset, number)
                and offset >= 0
                and in_line in (0, 1)
                and isinstance(document, number)
                and -1 <= document <= offset
                and isinstance(past, number)
                and (past == 0 or past >= offset)
            ):
                return cls(int(offset), Form(form), bool(in_line), int(document), int(past))
            case _:
                raise ValueError(f"not a reading position: {values!r} (expected [offset, form])")


class Piece(NamedTuple):
    """Some rows of a unit, and where reading can go on behind them.

    `after` is None where it cannot: in the middle of a damaged part of an array, in which rows were told apart by what
    is behind them. Such a part is no longer than about the longest row that is allowed.
    """

    rows: RowBlock | OverlongRow | BrokenFrame | BrokenFrames
    after: Position | None


NEWLINE = ord("\n")
_IS_BLANK = np.zeros(256, dtype=bool)
_IS_BLANK[list(b" \t\r")] = True


def lines_block(data: bytes, base: int, is_newline: npt.NDArray[np.bool_] | None = None) -> RowBlock:
    """The lines of `data` as rows. Blank lines are no rows; the last line needs no newline.

    `is_newline` says for each byte whether it is a newline, for callers that know already.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(text == NEWLINE if is_newline is None else is_newline)
    if data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    kept = starts < ends
    starts, ends = (starts, ends) if kept.all() else (starts[kept], ends[kept])
    maybe_blank = np.flatnonzero(_IS_BLANK[text[starts]])
    blank = [row for row in maybe_blank.tolist() if not data[starts[row] : ends[row]].strip(JSON_BLANKS)]
    if blank:
        starts, ends = np.delete(starts, blank), np.delete(ends, blank)
    return RowBlock(data, starts, ends, base)
