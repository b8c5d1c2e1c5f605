"""The columns of rows that are taken together, and which of the rows turn out to be certainly right."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.contract.model import CREATION, Contract, Field, FieldType
from services.shared.judge.judge import event_window
from services.shared.judge.verdicts import RECORD_TYPE
from services.shared.parquet.tables import silver_schema
from services.transform.blocks import Check
from services.transform.rows.fields import NESTED, read_field, read_unknown
from services.transform.rows.read import Column, Computed, Constant, Cursor, Read
from services.transform.rows.text import BlockText, Mask, Positions
from services.transform.rows.within import read_within

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Certain(NamedTuple):
    """Rows of the block (indices, ascending) that are accepted, and their table in the same order."""

    rows: Positions
    table: pa.Table


class Rescued(NamedTuple):
    """The values of a key that go to `_rescued`: in which rows, and their texts."""

    rows: Mask
    texts: Column


class Columns:
    """What has been read of these rows. `ok` shrinks on the way; nothing else means anything where it is False."""

    def __init__(self, text: BlockText, rows: Positions, contract: Contract, check: Check) -> None:
        self._text, self._rows, self._contract, self._check_time = text, rows, contract, check
        self._by_key: dict[str, list[Field]] = {}
        for field in contract.fields:
            self._by_key.setdefault(field.key, []).append(field)
        self.ok: Mask = np.ones(len(rows), dtype=bool)
        self._columns: dict[str, Column] = {}

    def looks_inside(self, key: str) -> bool:
        """Whether the values of a key may be arrays and objects that are read."""
        return any(field.type in NESTED or len(field.path) > 1 for field in self._by_key.get(key, ())) or (
            key not in self._by_key
        )

    def read_key(self, key: str, cursor: Cursor, has_key: Mask) -> tuple[Read, Rescued | None]:
        """Read the values of a key in the rows that have it, as all fields that come from it.

        Returns:
            what is behind the values, and the values that no field holds whole.
        """
        behind: Read | None = None
        held, inside = np.zeros(len(has_key), dtype=bool), []
        for field in self._by_key.get(key, ()):
            if len(field.path) > 1:
                inside.append(field)
                continue
            read = read_field(self._text, field, cursor)
            self._add(field, has_key, read)
            held |= True if read.is_whole is None else read.is_whole
            behind = behind or read
        if behind and not inside and bool((held | ~has_key).all()):
            return behind, None
        whole = read_unknown(self._text, cursor)
        self.ok &= whole.ok | ~has_key
        if inside:
            live = np.flatnonzero(self.ok & cursor.live & has_key)
            for field, read in zip(inside, read_within(inside, whole, live, self._check_time), strict=True):
                self._add(field, has_key, read)
        return behind or whole, Rescued(has_key & ~held, whole.column)

    def _add(self, field: Field, has_key: Mask, read: Read) -> None:
        """The values of a field in the rows that have its key."""
        self._columns[field.name] = read.column
        if field.required:
            self.ok &= has_key & ~read.is_null
        self.ok &= read.ok | ~has_key

    def add_record_type(self, value: str | None, has_key: Mask, is_default: bool) -> None:
        """The rows' own dataset, which may be absent only where it is the default."""
        if not is_default:
            self.ok &= has_key
        for field in self._by_key.get(RECORD_TYPE, ()):
            if field.type is not FieldType.STRING or len(field.path) > 1:
                self.ok[:] = False
            elif field.required:
                self.ok &= has_key & (value is not None)
            self._columns[field.name] = Constant(value, has_key)

    def accepted(self, object_created: datetime, rescued: Callable[[Positions], pa.Array]) -> Certain:
        """The rows that have what is required and an event time in the window.

        `rescued` makes the column of the unknown keys of the chosen rows (indices into the rows of these columns).
        """
        self._check(object_created)
        chosen = np.flatnonzero(self.ok)
        rows, schema = self._rows[chosen], silver_schema(self._contract)
        if not len(rows):
            return Certain(rows, schema.empty_table())
        columns = [self._column(schema.field(name), chosen) for name in (field.name for field in self._contract.fields)]
        offsets = pa.array(self._text.starts[rows] + self._text.base)
        return Certain(rows, pa.Table.from_arrays([*columns, offsets, rescued(chosen)], schema=schema))

    def _check(self, object_created: datetime) -> None:
        if any(field.required and field.name not in self._columns for field in self._contract.fields):
            self.ok[:] = False
        if self._contract.event_time == CREATION:
            return
        times = self._columns.get(self._contract.event_time)
        if not isinstance(times, Computed):
            self.ok[:] = False
            return
        first, last = (_ticks(moment, times.type) for moment in event_window(self._contract, object_created))
        self.ok &= (times.values >= first) & (times.values <= last)

    def _column(self, field: pa.Field, chosen: Positions) -> pa.Array:
        if field.name not in self._columns:
            return pa.nulls(len(chosen), field.type)
        column = self._columns[field.name].build(chosen)
        return column.dictionary_encode() if pa.types.is_dictionary(field.type) else column


def _ticks(moment: datetime, type_: pa.DataType) -> int:
    """A moment in the unit of an event time column: microseconds, or days, since 1970."""
    unit = timedelta(days=1) if pa.types.is_date32(type_) else timedelta(microseconds=1)
    return (moment - _EPOCH) // unit
