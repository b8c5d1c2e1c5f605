"""What fields take from inside the values of a key: many rows at a time, where these are objects of the same layout.

The objects of all rows are put one behind the other and read as rows are (`in_order`): a value that passes is exactly
an object with the layout's keys, each at most once. All others, and what is at a place in an array, are looked at one
by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.columns import column_of
from services.shared.contract.model import Field
from services.shared.judge.verdicts import RECORD_TYPE
from services.shared.parquet.tables import arrow_type
from services.transform.blocks import Check, no_check
from services.transform.rows.fields import read_field, read_unknown
from services.transform.rows.inside import array_of, column_of_array, values_inside
from services.transform.rows.layout import Layout, learn_layouts, learn_samples
from services.transform.rows.read import Column, Cursor, Read
from services.transform.rows.text import WORD, BlockText, Mask, Positions, room_for_quotes
from services.transform.rows.walk import Walk

_FEWEST_ROWS = 64  # fewer are looked at one by one sooner than they are learned from
_SAMPLES = 8
_MOST_LAYOUTS = 2
_MOST_VALUES = 2_000_000  # rows times keys of a layout that are taken between two calls of `check`
_CHECKED_ROWS = 1024  # looked at one by one between two calls of `check`


def read_within(fields: Sequence[Field], whole: Read, rows: Positions, check: Check = no_check) -> Iterator[Read]:
    """What fields take from inside the values that were read, in these rows. `check` is called from time to time."""
    texts = whole.column.build(rows)
    inner = [replace(field, source=field.path[1:]) for field in fields]
    of_objects = [number for number, field in enumerate(inner) if isinstance(field.path[0], str)]
    parts, left = _together([inner[number] for number in of_objects], texts, check)
    taken: list[list[_Values]] = [[] for _ in fields]
    for part in parts:
        for number, array in zip(of_objects, part.arrays, strict=True):
            taken[number].append(_Values(part.rows, array, np.ones(len(part.rows), dtype=bool)))
    of_arrays = [number for number in range(len(fields)) if number not in of_objects]
    for numbers, some in ((of_objects, left), (of_arrays, np.arange(len(rows)))):
        for few in _parts(some, _CHECKED_ROWS) if numbers else ():
            check()
            found = values_inside([inner[number] for number in numbers], texts.take(pa.array(few)).to_pylist())
            for number, (values, ok) in zip(numbers, found, strict=True):
                taken[number].append(_Values(few, array_of(inner[number], values), ok))
    for field, parts_of_field in zip(inner, taken, strict=True):
        yield _read(field, whole, rows, parts_of_field)


def _parts(rows: Positions, at_once: int) -> Iterator[Positions]:
    """The rows in parts, at least one."""
    return (rows[first : first + at_once] for first in range(0, max(len(rows), 1), at_once))


class _Values(NamedTuple):
    """The values of a field in some of the rows (indices), and in which of these they are right."""

    rows: Positions
    array: pa.Array
    ok: Mask


class _Part(NamedTuple):
    """Rows (indices) that are certain, and the values of all fields in them."""

    rows: Positions
    arrays: Sequence[pa.Array]


def _read(field: Field, whole: Read, rows: Positions, values: Sequence[_Values]) -> Read:
    """The values of a field, of all rows, in the order of these."""
    count = len(whole.at)
    ok, place = np.zeros(count, dtype=bool), np.full(count, -1, dtype=np.int64)
    before = 0
    for some in values:
        ok[rows[some.rows]] = some.ok
        place[rows[some.rows]] = np.arange(before, before + len(some.rows))
        before += len(some.rows)
    array = pa.concat_arrays([some.array for some in values]).take(pa.array(place, mask=place < 0))
    is_null = array.is_null().to_numpy(zero_copy_only=False)
    return whole._replace(ok=ok, is_null=is_null, column=column_of_array(field, array), is_whole=None)


def _together(fields: Sequence[Field], texts: pa.StringArray, check: Check) -> tuple[list[_Part], Positions]:
    """What the fields take from objects that are laid out alike, and the other rows."""
    left = np.arange(len(texts))
    if not fields or len(texts) < _FEWEST_ROWS:
        return [], left
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset :][: len(texts) + 1].astype(np.int64)
    if offsets[-1] < WORD:
        return [], left
    data = texts.buffers()[2].slice(0, int(offsets[-1])).to_pybytes()
    samples = left[np.linspace(0, len(left) - 1, _SAMPLES).astype(np.int64)]
    layouts = learn_layouts(learn_samples(data[offsets[row] : offsets[row + 1]] for row in samples.tolist()))
    if len(layouts) > _MOST_LAYOUTS:
        return [], left
    text, parts = BlockText(data, offsets[:-1], offsets[1:], 0, room_for_quotes()), []
    for layout in layouts:
        for some in _parts(left, max(_MOST_VALUES // len(layout.keys), 1)):
            check()
            part = _Walking(text, some, layout, fields, check).part()
            parts.append(part)
            left = np.setdiff1d(left, part.rows, assume_unique=True)
    return parts, left


class _Walking:
    """Objects of one layout, read key by key."""

    def __init__(self, text: BlockText, rows: Positions, layout: Layout, fields: Sequence[Field], check: Check) -> None:
        self._text, self._layout, self._fields, self._check = text, layout, fields, check
        self._rows = rows[text.matches(text.starts[rows], layout.literals[layout.keys[0]])]
        self._by_key: dict[str, list[Field]] = {}
        for field in fields:
            self._by_key.setdefault(field.key, []).append(field)
        self._ok: Mask = np.ones(len(self._rows), dtype=bool)
        self._columns: dict[str, Column] = {}

    def part(self) -> _Part:
        """The rows that are certain."""
        layout = self._layout
        if RECORD_TYPE in layout.literals:  # its literal holds its value
            return self._part(np.zeros(0, dtype=np.int64))
        walk = Walk(self._text, self._rows, layout, has_nested=True)
        for key in layout.keys:
            has_key, value = walk.pass_literal(key, self._ok)
            if has_key.any():
                walk.move(has_key, self._read_key(key, value, has_key))
        return self._part(np.flatnonzero(self._ok & walk.are_at_end()))

    def _part(self, chosen: Positions) -> _Part:
        arrays = [
            self._columns[field.name].build(chosen)
            if field.name in self._columns
            else pa.nulls(len(chosen), arrow_type(column_of(field)))
            for field in self._fields
        ]
        return _Part(self._rows[chosen], arrays)

    def _read_key(self, key: str, cursor: Cursor, has_key: Mask) -> Read:
        behind: Read | None = None
        inside = []
        for field in self._by_key.get(key, ()):
            if len(field.path) > 1:
                inside.append(field)
                continue
            read = read_field(self._text, field, cursor)
            self._add(field, has_key, read)
            behind = behind or read
        if behind and not inside:
            return behind
        whole = read_unknown(self._text, cursor)
        self._ok &= whole.ok | ~has_key
        live = np.flatnonzero(self._ok & cursor.live & has_key)
        for field, read in zip(inside, read_within(inside, whole, live, self._check) if inside else (), strict=True):
            self._add(field, has_key, read)
        return behind or whole

    def _add(self, field: Field, has_key: Mask, read: Read) -> None:
        self._columns[field.name] = read.column
        self._ok &= read.ok | ~has_key
