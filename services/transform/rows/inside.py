"""Values that are looked at one by one, by the reference itself: inside objects and arrays, and times of any pattern.

The rest of their rows is still taken together with others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.columns import column_of
from services.shared.contract.model import Field, FieldType, Steps
from services.shared.judge.built import NeedsText, Node, at_path, build, leaf_of
from services.shared.judge.inside import Places, nested_value, value_at
from services.shared.judge.row_json import SHORT
from services.shared.judge.values import converted
from services.shared.judge.verdicts import Rejection, Value
from services.shared.parquet.tables import arrow_type
from services.transform.rows.read import Built, Column, Computed
from services.transform.rows.text import Mask, Positions


class Judged(NamedTuple):
    """Objects or arrays: in which rows they are right, their column, and in which rows it holds all of them."""

    ok: Mask
    column: Column
    is_whole: Mask | None


def judge_inside(field: Field, texts: pa.StringArray, ok: Mask) -> Judged:
    """Objects or arrays (their JSON texts) by what the contract says of their inside, where they are `ok`."""
    ok, is_whole = ok.copy(), np.ones(len(ok), dtype=bool)
    values: list[Value] = [None] * len(ok)
    rows = np.flatnonzero(ok)
    for row, text in zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True):
        try:
            value, lacks = nested_value(field, text, 0)
        except Rejection:
            ok[row] = False
            continue
        if field.is_nested_column:
            values[row], is_whole[row] = value, not lacks
    if not field.is_nested_column:
        return Judged(ok, Built(texts), None)
    return Judged(ok, _column(field, values), is_whole)


def one_by_one(field: Field, texts: Sequence[str], rows: Positions, count: int) -> tuple[Column, Mask]:
    """Strings of these rows (of `count`) as values of a field, and in which rows they are right."""
    ok = np.zeros(count, dtype=bool)
    values: list[Value] = [None] * count
    for row, text in zip(rows.tolist(), texts, strict=True):
        try:
            values[row], ok[row] = converted(field, text), True
        except Rejection:
            continue
    return _column(field, values), ok


def values_inside(fields: Sequence[Field], texts: Sequence[str]) -> list[tuple[list[Value], Mask]]:
    """What each field takes from these JSON values, from their own keys down, and in which of them it is right."""
    right = [np.zeros(len(texts), dtype=bool) for _ in fields]
    found: list[list[Value]] = [[None] * len(texts) for _ in fields]
    steps = [(field, field.path, ok, values) for field, ok, values in zip(fields, right, found, strict=True)]
    for row, text in enumerate(texts if fields else ()):
        node = build(text) if len(text) <= SHORT else None
        places = Places(text, 0, [field.path for field in fields])
        for field, path, ok, values in steps:
            try:
                values[row] = _value(field, path, text, node, places)
            except Rejection:
                continue
            ok[row] = True
    return list(zip(found, right, strict=True))


def _value(field: Field, steps: Steps, text: str, node: Node, places: Places) -> Value:
    """The value of a field at a path: from what was built, or (`node` is None) from the text."""
    if node is not None:
        with suppress(NeedsText):
            return leaf_of(field, at_path(node, steps))[0]
    return value_at(field, text, 0, steps, places)


def array_of(field: Field, values: list[Any]) -> pa.Array:
    """Values of a field as Arrow has them."""
    return pa.array(values, type=arrow_type(column_of(field)))


def column_of_array(field: Field, array: pa.Array) -> Column:
    """A column that has been built. Of times, it can be asked which they are."""
    if field.type is not FieldType.TIMESTAMP and field.type is not FieldType.DATE:
        return Built(array)
    has_value = array.is_valid().to_numpy(zero_copy_only=False)
    whole = array.cast(pa.int32() if field.type is FieldType.DATE else pa.int64()).cast(pa.int64())
    return Computed(whole.fill_null(0).to_numpy(), has_value, array.type)


def _column(field: Field, values: list[Any]) -> Column:
    return column_of_array(field, array_of(field, values))
