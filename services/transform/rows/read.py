"""What has been read of one value of every row: what is behind it, in which rows it is certain, and its column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from services.transform.rows.text import Mask, Positions
from services.transform.rows.values import Ints


class Cursor(NamedTuple):
    """A position in each row, how many quotes and closers of the block are before it, and which rows matter."""

    at: Positions
    quotes: Positions
    closers: Positions
    live: Mask


class Column(Protocol):
    """The values of one field, one for each row that was read."""

    def build(self, rows: Positions) -> pa.Array:
        """The Arrow column of these rows (indices into those that were read), all of them right to their end."""
        ...


class Read(NamedTuple):
    """What was read: the place behind each value, and in which rows it is certain. Nulls are values.

    Rows that were not live have any content.
    """

    at: Positions
    quotes: Positions
    closers: Positions
    ok: Mask
    is_null: Mask
    column: Column
    is_whole: Mask | None = None  # in which rows the column holds all of the value; None means in all of them


@dataclass(slots=True)
class Built:
    """Values that have been built, one for each row."""

    values: pa.Array

    def build(self, rows: Positions) -> pa.Array:
        return self.values if len(rows) == len(self.values) else self.values.take(pa.array(rows))


@dataclass(slots=True)
class Computed:
    """Values that have been computed."""

    values: Ints | Mask
    has_value: Mask
    type: pa.DataType

    def build(self, rows: Positions) -> pa.Array:
        values = pa.array(self.values[rows], mask=_mask(self.has_value[rows]))
        return values.cast(pa.int32()).cast(self.type) if pa.types.is_date32(self.type) else values.cast(self.type)


@dataclass(slots=True)
class Constant:
    """The same text in all rows that have a value."""

    value: str | None
    has_value: Mask

    def build(self, rows: Positions) -> pa.Array:
        constant = pa.repeat(pa.scalar(self.value, pa.string()), len(rows))
        return pc.if_else(pa.array(self.has_value[rows]), constant, pa.scalar(None, pa.string()))


def _mask(has_value: Mask) -> Mask | None:
    """What Arrow wants: True where there is no value."""
    return None if has_value.all() else ~has_value
