"""Many rows of a block at a time: those that share a layout become Arrow columns without being looked at one by one.

`accept` finds the rows of a layout of which it is certain that the reference accepts them, with the same values. It
judges none bad: rows that it does not return may be right or wrong.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.shared.contract.model import Contract
from services.shared.judge.judge import event_window
from services.shared.judge.verdicts import RECORD_TYPE
from services.transform.rows.fields import NESTED, Column, Computed, Constant, Cursor, Read, read_field, read_unknown
from services.transform.rows.layout import Layout
from services.transform.rows.tables import silver_schema
from services.transform.rows.text import BlockText, Mask, Positions

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Certain(NamedTuple):
    """Rows of the block (indices, ascending) that are accepted, and their table in the same order."""

    rows: Positions
    table: pa.Table


def accept(
    text: BlockText, rows: Positions, layout: Layout, contract: Contract, is_default: bool, object_created: datetime
) -> Certain:
    """Those of the given rows that have the layout and that the contract surely accepts.

    `is_default` says whether rows without a `record_type` belong to the contract; `object_created` is the creation time
    of their object (UTC).
    """
    rows = rows[text.matches(text.starts[rows], layout.literals[layout.keys[0]])]
    walk = _Walk(text, rows, layout, contract)
    for key in layout.keys:
        if key == RECORD_TYPE:
            walk.pass_record_type(is_default)
        else:
            walk.pass_key(key)
    walk.check(event_window(contract, object_created))
    return walk.accepted()


class _Walk:
    """One pass through the rows, key by key. `ok` shrinks on the way; nothing else means anything where it is False."""

    def __init__(self, text: BlockText, rows: Positions, layout: Layout, contract: Contract) -> None:
        self._text, self._rows, self._layout, self._contract = text, rows, layout, contract
        self._fields = {field.name: field for field in contract.fields}
        self._at = text.starts[rows]
        self._quotes = text.quotes_before(self._at)
        has_nested = any(key not in self._fields or self._fields[key].type in NESTED for key in layout.keys)
        self._closers = text.closers_before(self._at) if has_nested else np.zeros_like(self._at)
        self._ok = np.ones(len(rows), dtype=bool)
        self._columns: dict[str, Column] = {}
        self._unknown: dict[str, tuple[Mask, Column]] = {}

    def pass_record_type(self, is_default: bool) -> None:
        """Pass the dataset's name, which is part of the key's literal."""
        has_key, behind = self._pass_literal(RECORD_TYPE)
        if not is_default:
            self._ok &= has_key
        if RECORD_TYPE in self._fields:
            self._columns[RECORD_TYPE] = Constant(self._layout.record_type, has_key)
        self._move(has_key, behind)

    def pass_key(self, key: str) -> None:
        """Pass another key and its value, in the rows that have it."""
        has_key, value = self._pass_literal(key)
        field = self._fields.get(key)
        if field:
            read = read_field(self._text, field, value)
            self._columns[key] = read.column
            if field.required:
                self._ok &= has_key & ~read.is_null
        else:
            read = read_unknown(self._text, value)
            self._unknown[key] = has_key, read.column
        self._ok &= read.ok | ~has_key
        self._move(has_key, read)

    def _pass_literal(self, key: str) -> tuple[Mask, Cursor]:
        literal = self._layout.literals[key]
        has_key = self._text.matches(self._at, literal)
        return has_key, Cursor(
            self._at + literal.size, self._quotes + literal.quotes, self._closers, self._ok & has_key
        )

    def _move(self, has_key: Mask, behind: Cursor | Read) -> None:
        if has_key.all():
            self._at, self._quotes, self._closers = behind.at, behind.quotes, behind.closers
            return
        self._at = np.where(has_key, behind.at, self._at)
        self._quotes = np.where(has_key, behind.quotes, self._quotes)
        if behind.closers is not self._closers:
            self._closers = np.where(has_key, behind.closers, self._closers)

    def check(self, window: tuple[datetime, datetime]) -> None:
        """Check what concerns whole rows: that they end here, have what is required, and lie in the window."""
        trailer = self._layout.trailer
        self._ok &= self._text.matches(self._at, trailer)
        self._ok &= self._at + trailer.size == self._text.ends[self._rows]
        times = self._columns.get(self._contract.event_time)
        if not isinstance(times, Computed) or any(
            field.required and field.name not in self._columns for field in self._contract.fields
        ):
            self._ok[:] = False
            return
        first, last = (_ticks(moment, times.type) for moment in window)
        self._ok &= (times.values >= first) & (times.values <= last)

    def accepted(self) -> Certain:
        chosen = np.flatnonzero(self._ok)
        rows = self._rows[chosen]
        if not len(rows):
            return Certain(rows, silver_schema(self._contract).empty_table())
        schema = silver_schema(self._contract)
        columns = [self._column(schema.field(name), chosen) for name in self._fields]
        offsets = pa.array(self._text.starts[rows] + self._text.base)
        return Certain(rows, pa.Table.from_arrays([*columns, offsets, self._rescued(chosen)], schema=schema))

    def _column(self, field: pa.Field, chosen: Positions) -> pa.Array:
        if field.name not in self._columns:
            return pa.nulls(len(chosen), field.type)
        column = self._columns[field.name].build(chosen)
        return column.dictionary_encode() if pa.types.is_dictionary(field.type) else column

    def _rescued(self, chosen: Positions) -> pa.Array:
        """The unknown keys of each row as one JSON object; null where there are none."""
        parts, has_any = [], np.zeros(len(chosen), dtype=bool)
        for key, (has_key, column) in self._unknown.items():
            parts.append(pc.binary_join_element_wise(f",{self._layout.key_texts[key]}:", column.build(chosen), ""))
            has_any |= has_key[chosen]
        if not has_any.any():
            return pa.nulls(len(chosen), pa.string())
        inner = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")
        whole = pc.binary_join_element_wise("{", pc.ascii_ltrim(inner, characters=","), "}", "")
        return pc.if_else(pa.array(has_any), whole, pa.scalar(None, pa.string()))


def _ticks(moment: datetime, type_: pa.DataType) -> int:
    """A moment in the unit of an event time column: microseconds, or days, since 1970."""
    unit = timedelta(days=1) if pa.types.is_date32(type_) else timedelta(microseconds=1)
    return (moment - _EPOCH) // unit
