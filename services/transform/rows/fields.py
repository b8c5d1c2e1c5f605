"""One value of every row at once: where it ends, in which rows it is certain, and the Arrow column that it makes.

A `Cursor` stands before a value in each row. `read_field` reads it as a contract's field, `read_unknown` keeps its
text. Columns are built later, of those rows that turned out right to their end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.shared.contract.model import Field, FieldType
from services.shared.parquet.tables import arrow_type
from services.transform.rows.text import BlockText, Literal, Mask, Positions
from services.transform.rows.values import (
    Ints,
    are_json,
    days,
    is_decimal,
    is_int64,
    number_tokens,
    slices,
    timestamps,
    unescape,
)

_NULL, _TRUE, _FALSE = Literal(b"null"), Literal(b"true"), Literal(b"false")
_QUOTE, _MINUS, _ZERO, _NINE = b'"-09'
_OPENERS = {FieldType.ARRAY: (ord("["),), FieldType.OBJECT: (ord("{"),)}
NESTED = frozenset(_OPENERS)
_ANY_OPENER = (ord("["), ord("{"))


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


class _Token(NamedTuple):
    """Values that are not null: what is behind them, and in which rows they are certain."""

    end: Positions
    quotes: Positions
    closers: Positions
    ok: Mask


@dataclass(slots=True)
class _Slices:
    """Values that stand in the block as text; `decoded` holds those that do not stand there literally, by row."""

    text: BlockText
    start: Positions
    end: Positions
    has_value: Mask
    type: pa.DataType = field(default_factory=pa.string)
    decoded: dict[int, str | None] = field(default_factory=dict)

    def build(self, rows: Positions) -> pa.Array:
        strings = slices(self.text, self.start[rows], self.end[rows], self.has_value[rows])
        if self.decoded:
            replaced = np.isin(rows, np.fromiter(self.decoded, dtype=np.int64))
            decoded = [self.decoded[row] for row in rows[replaced].tolist()]
            strings = pc.replace_with_mask(strings, pa.array(replaced), pa.array(decoded, type=pa.string()))
        return strings.cast(self.type)


@dataclass(slots=True)
class _Built:
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


def read_field(text: BlockText, field: Field, cursor: Cursor) -> Read:
    """The values at the cursor, as values of a contract's field."""
    first = text.byte(cursor.at)
    is_null = first == ord("n")
    if is_null.any():
        is_null &= text.matches(cursor.at, _NULL)
    here = cursor._replace(live=cursor.live & ~is_null)
    column: Column
    match field.type:
        case FieldType.STRING:
            token, decoded = _string(text, here)
            column = _Slices(text, here.at + 1, token.end - 1, here.live, decoded=decoded)
        case FieldType.TIMESTAMP | FieldType.DATE:
            token = _quoted(text, here)
            convert = timestamps if field.type is FieldType.TIMESTAMP else days
            values, is_time = convert(text, here.at + 1, token.end - 1)
            token = token._replace(ok=token.ok & is_time)
            column = Computed(values, here.live, arrow_type(field))
        case FieldType.BOOLEAN:
            token, is_true = _boolean(text, here)
            column = Computed(is_true, here.live, pa.bool_())
        case FieldType.INTEGER | FieldType.NUMBER | FieldType.DECIMAL:
            token = _number(text, here, field)
            column = _Slices(text, here.at, token.end, here.live, arrow_type(field))
        case FieldType.ARRAY | FieldType.OBJECT:
            token, values_ = _nested(text, here, _OPENERS[field.type])
            column = _Built(values_)
    if not is_null.any():
        return Read(*token, is_null, column)
    end = np.where(is_null, cursor.at + _NULL.size, token.end)
    quotes, closers = token.quotes, token.closers
    if quotes is not cursor.quotes:
        quotes = np.where(is_null, cursor.quotes, quotes)
    if closers is not cursor.closers:
        closers = np.where(is_null, cursor.closers, closers)
    return Read(end, quotes, closers, token.ok | is_null, is_null, column)


def read_unknown(text: BlockText, cursor: Cursor) -> Read:
    """The values at the cursor, whatever they are, as text just as it stands there."""
    at, live = cursor.at, cursor.live
    first = np.where(live, text.byte(at), 0)
    is_string = first == _QUOTE
    is_number = (first == _MINUS) | ((first >= _ZERO) & (first <= _NINE))
    is_nested = np.isin(first, _ANY_OPENER)
    end, ok = at.copy(), np.zeros(len(at), dtype=bool)
    quotes, closers = cursor.quotes, cursor.closers
    for kind, read in ((is_string, _string_token), (is_number, _number_token), (is_nested, _nested_token)):
        if kind.any():
            token = read(text, cursor._replace(live=live & kind))
            end, quotes = np.where(kind, token.end, end), np.where(kind, token.quotes, quotes)
            closers = np.where(kind, token.closers, closers)
            ok |= kind & token.ok
    for literal in (_NULL, _TRUE, _FALSE):
        is_literal = text.matches(at, literal)
        end, ok = end + np.where(is_literal, literal.size, 0), ok | is_literal
    return Read(end, quotes, closers, ok, np.zeros(len(at), dtype=bool), _Slices(text, at, end, live))


def _string_token(text: BlockText, cursor: Cursor) -> _Token:
    return _string(text, cursor)[0]


def _number_token(text: BlockText, cursor: Cursor) -> _Token:
    tokens = number_tokens(text, cursor.at)
    return _Token(tokens.end, cursor.quotes, cursor.closers, tokens.ok)


def _nested_token(text: BlockText, cursor: Cursor) -> _Token:
    return _nested(text, cursor, _ANY_OPENER)[0]


def _quoted(text: BlockText, cursor: Cursor) -> _Token:
    """String tokens; what is between the quotes has not been looked at."""
    end = text.quote(cursor.quotes + 1) + 1
    return _Token(end, cursor.quotes + 2, cursor.closers, text.byte(cursor.at) == _QUOTE)


def _string(text: BlockText, cursor: Cursor) -> tuple[_Token, dict[int, str | None]]:
    """Strings, and what those with escapes stand for, by row."""
    token = _quoted(text, cursor)
    controls = text.has_controls(cursor.at, token.end)
    ok = token.ok if controls is None else token.ok & ~controls
    escapes = text.has_escapes(cursor.at, token.end)
    if escapes is None:
        return token._replace(ok=ok), {}
    rows = np.flatnonzero(escapes & ok & cursor.live)
    bounds = zip(cursor.at[rows].tolist(), token.end[rows].tolist(), strict=True)
    strings = unescape([text.data[start:end] for start, end in bounds])
    decoded = dict(zip(rows.tolist(), strings, strict=True))
    ok[[row for row, string in decoded.items() if string is None]] = False
    return token._replace(ok=ok), decoded


def _boolean(text: BlockText, cursor: Cursor) -> tuple[_Token, Mask]:
    is_true, is_false = text.matches(cursor.at, _TRUE), text.matches(cursor.at, _FALSE)
    end = cursor.at + np.where(is_true, _TRUE.size, _FALSE.size)
    return _Token(end, cursor.quotes, cursor.closers, is_true | is_false), is_true


def _number(text: BlockText, cursor: Cursor, field: Field) -> _Token:
    tokens = number_tokens(text, cursor.at)
    ok = tokens.ok
    if field.type is FieldType.INTEGER:
        ok = is_int64(tokens, cursor.at)
    elif field.type is FieldType.DECIMAL:
        ok = is_decimal(text, tokens, cursor.at, field.precision or 0, field.scale or 0)
    return _Token(tokens.end, cursor.quotes, cursor.closers, ok)


def _nested(text: BlockText, cursor: Cursor, openers: tuple[int, ...]) -> tuple[_Token, pa.Array]:
    """Arrays and objects, each looked through to its end, and their texts."""
    number = text.next_closers(cursor.at, cursor.closers, cursor.live)
    end, quotes = text.closer(number)
    ok = np.isin(text.byte(cursor.at), openers) & cursor.live & (end <= len(text.data))
    # A value that its row does not close seems to end in a later row: texts of many such rows would be the block's
    # bytes over and over again. Where no two overlap, all of them together are no longer than the block.
    if (end[ok][:-1] > cursor.at[ok][1:]).any():
        ok[ok] = end[ok] <= text.row_ends(cursor.at[ok])
    texts = slices(text, cursor.at, end, ok)
    ok[ok] = are_json(texts.drop_null())
    return _Token(end, quotes, number + 1, ok), texts
