"""A place in an array that is being read: how it moves on, and how damage at it is reported."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from services.transform.blocks import BrokenFrame, Form, Piece, Position
from services.transform.reading.lines import MAX_ROWS, OVERLONG_HEAD_BYTES
from services.transform.reading.pending import OPTIONAL_COMMAS, PendingRows
from services.transform.reading.repair import Resumption
from services.transform.reading.window import BLANK_RUN, STEP_BYTES, Window, blanks_end

RAW_BYTES = OVERLONG_HEAD_BYTES  # how much of damaged bytes goes to quarantine; Bronze keeps the rest


class ArrayCursor:
    """A place in a window that begins one byte before an array's elements.

    `data[at]` of the window is always the next byte that has not been dealt with, and `form` says what is there.
    `levels` says how many objects the array is inside of, if it is not all that there is. No piece has more than
    `max_rows`.
    Decisions may look at `reach` bytes from it on, and no further.
    """

    def __init__(
        self, window: Window, max_row: int, block_bytes: int, levels: int = 0, max_rows: int = MAX_ROWS
    ) -> None:
        self.form = Form.ARRAY
        self._at = 1
        self._window = window
        self._max_row = max_row
        self._reach = max_row + 1
        self._block = block_bytes
        self._rows = PendingRows(window, block_bytes, max_rows)
        self._resumption = Resumption(window, self._reach, levels)
        self._levels = levels
        self._decided_until = 0  # offset in the object: how rows are told apart up to there depends on what is behind

    def _report_up_to(self, start: int, next_element: int, detail: str) -> Iterator[Piece]:
        detail += f"; reading goes on with the element at byte {self._window.base + next_element}."
        raw = self._window.data[start:next_element]
        yield from self._report(start, detail, raw, next_element, self._behind_comma)

    def _report(self, start: int, detail: str, raw: bytes | bytearray, next_: int, form: Form) -> Iterator[Piece]:
        """Report damage at `start`, and go on at `next_`."""
        yield from self._rows.flush()
        base = self._window.base
        yield Piece(BrokenFrame(base + start, detail, bytes(raw[:RAW_BYTES])), Position(base + next_, form))
        self._at, self.form = next_, form

    @property
    def _behind_comma(self) -> Form:
        """What is behind a comma."""
        return self.form if self.form in OPTIONAL_COMMAS else Form.AFTER_COMMA

    @property
    def _behind_element(self) -> Form:
        """What is behind an element."""
        return self.form if self.form in OPTIONAL_COMMAS else Form.AFTER_ELEMENT

    @property
    def _behind_bracket(self) -> Form:
        """What is behind a closing bracket."""
        return Form.FLAT if self.form is Form.FLAT else Form.AFTER_ARRAY

    @property
    def _offset(self) -> int:
        return self._window.base + self._at

    def _is_end(self, end: int) -> bool:
        """Whether the object ends at this place, or before it."""
        return self._window.is_last and end >= len(self._window.data)

    def _slide(self) -> Iterator[Piece]:
        """Leave behind what has been dealt with, and fill the window up."""
        yield from self._rows.flush()
        self._window.drop(self._at - 1)
        self._at = 1
        self._window.fill(1 + self._block)

    def _need(self, size: int) -> None:
        """Have `size` bytes in the window, fewer only where the object ends."""
        if len(self._window.data) < size:
            self._window.fill(size + min(STEP_BYTES, self._block))

    def _skip_blanks(self, blanks: re.Pattern[bytes] = BLANK_RUN) -> Generator[Piece, None, bool]:
        """Go on to the next byte that is not blank. Returns whether a newline was skipped."""
        newline = False
        while True:
            data = self._window.data
            end = blanks_end(data, self._at, blanks)
            newline = newline or data.find(b"\n", self._at, end) >= 0
            self._at = end
            if end < len(data) or self._window.is_last:
                return newline
            yield from self._slide()
            self._window.fill(1 + STEP_BYTES)
