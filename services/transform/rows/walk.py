"""A cursor in each of many rows that share a layout, which moves from key to key."""

from __future__ import annotations

import numpy as np

from services.transform.rows.layout import Layout
from services.transform.rows.read import Cursor, Read
from services.transform.rows.text import BlockText, Mask, Positions


class Walk:
    """One pass through rows of which the first key is the layout's.

    `has_nested` says whether values of the keys may be arrays and objects.
    """

    def __init__(self, text: BlockText, rows: Positions, layout: Layout, has_nested: bool) -> None:
        self._text, self._rows, self._layout = text, rows, layout
        self._at = text.starts[rows]
        self._quotes = text.quotes_before(self._at)
        self._closers = text.closers_before(self._at) if has_nested else np.zeros_like(self._at)

    def pass_literal(self, key: str, ok: Mask) -> tuple[Mask, Cursor]:
        """The rows that have a key here, and the cursor behind its literal; live where the rows are `ok`, too."""
        literal = self._layout.literals[key]
        has_key = self._text.matches(self._at, literal)
        return has_key, Cursor(self._at + literal.size, self._quotes + literal.quotes, self._closers, ok & has_key)

    def move(self, has_key: Mask, behind: Cursor | Read) -> None:
        """Go on behind a value, in the rows that have its key."""
        if has_key.all():
            self._at, self._quotes, self._closers = behind.at, behind.quotes, behind.closers
            return
        self._at = np.where(has_key, behind.at, self._at)
        self._quotes = np.where(has_key, behind.quotes, self._quotes)
        if behind.closers is not self._closers:
            self._closers = np.where(has_key, behind.closers, self._closers)

    def are_at_end(self) -> Mask:
        """Which rows end here."""
        trailer = self._layout.trailer
        is_end: Mask = self._at + trailer.size == self._text.ends[self._rows]
        return self._text.matches(self._at, trailer) & is_end
