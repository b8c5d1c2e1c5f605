"""One value of every row at once: where it ends, in which rows it is certain, and the Arrow column that it makes.

A `Cursor` stands before a value in each row. `read_field` reads it as a contract's field, `read_unknown` keeps its
text. Columns are built later, of those rows that turned out right to their end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.shared.columns import column_of
from services.shared.contract.model import EPOCHS, Field, FieldType
from services.shared.parquet.tables import arrow_type
from services.transform.rows.inside import judge_inside, one_by_one
from services.transform.rows.read import Built, Column, Computed, Cursor, Read
from services.transform.rows.text import BlockText, Literal, Mask, Positions
from services.transform.rows.values import (
    Tokens,
    are_json,
    days,
    epochs,
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


def is_read_one_by_one(field: Field) -> bool:
    """Whether each value of a field is looked at by itself, which takes much longer."""
    has_pattern = bool(field.time.pattern) and field.time.pattern not in EPOCHS
    return len(field.path) > 1 or bool(field.children) or has_pattern


def read_field(text: BlockText, field: Field, cursor: Cursor) -> Read:
    """The values at the cursor, as values of a contract's field."""
    first = text.byte(cursor.at)
    is_null = first == ord("n")
    if is_null.any():
        is_null &= text.matches(cursor.at, _NULL)
    here = cursor._replace(live=cursor.live & ~is_null)
    is_whole: Mask | None = None
    column: Column
    match field.type:
        case FieldType.STRING:
            token, decoded = _string(text, here)
            column = _Slices(text, here.at + 1, token.end - 1, here.live, decoded=decoded)
        case FieldType.TIMESTAMP | FieldType.DATE:
            token, column = _times(text, here, field)
        case FieldType.BOOLEAN:
            token, is_true = _boolean(text, here, field)
            column = Computed(is_true, here.live, pa.bool_())
        case FieldType.INTEGER | FieldType.NUMBER | FieldType.DECIMAL:
            token, start, end = _number(text, here, field)
            column = _Slices(text, start, end, here.live, arrow_type(column_of(field)))
        case FieldType.ARRAY | FieldType.OBJECT:
            token, texts = _nested(text, here, _OPENERS[field.type])
            column = Built(texts)
            if field.children:
                judged = judge_inside(field, texts, token.ok)
                token, column, is_whole = token._replace(ok=judged.ok), judged.column, judged.is_whole
    if not is_null.any():
        return Read(*token, is_null, column, is_whole)
    end = np.where(is_null, cursor.at + _NULL.size, token.end)
    quotes, closers = token.quotes, token.closers
    if quotes is not cursor.quotes:
        quotes = np.where(is_null, cursor.quotes, quotes)
    if closers is not cursor.closers:
        closers = np.where(is_null, cursor.closers, closers)
    if is_whole is not None:
        is_whole = is_whole | is_null
    return Read(end, quotes, closers, token.ok | is_null, is_null, column, is_whole)


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


def _times(text: BlockText, cursor: Cursor, field: Field) -> tuple[_Token, Column]:
    """Days and moments, however the contract says that they are written."""
    how, type_ = field.time, arrow_type(column_of(field))
    if how.pattern in EPOCHS:
        inner, tokens, token = _number_token_of(text, cursor, field)
        values, is_time = epochs(text, tokens, inner, EPOCHS[how.pattern])
        return token._replace(ok=token.ok & is_time), Computed(values, cursor.live, type_)
    if how.pattern:
        token, decoded = _string(text, cursor)
        rows = np.flatnonzero(token.ok & cursor.live)
        texts = _Slices(text, cursor.at + 1, token.end - 1, cursor.live, decoded=decoded).build(rows)
        column, ok = one_by_one(field, texts.to_pylist(), rows, len(cursor.at))
        return token._replace(ok=token.ok & ok), column
    token = _quoted(text, cursor)
    if field.type is FieldType.DATE:
        values, is_time = days(text, cursor.at + 1, token.end - 1)
    else:
        values, is_time = timestamps(text, cursor.at + 1, token.end - 1, how.has_offset, how.default_offset)
    return token._replace(ok=token.ok & is_time), Computed(values, cursor.live, type_)


def _boolean(text: BlockText, cursor: Cursor, field: Field) -> tuple[_Token, Mask]:
    at, is_quoted = _inside_quotes(text, cursor, field)
    is_true, is_false = text.matches(at, _TRUE), text.matches(at, _FALSE)
    end = at + np.where(is_true, _TRUE.size, _FALSE.size)
    return _behind_quotes(text, cursor, is_quoted, end, is_true | is_false), is_true


def _number(text: BlockText, cursor: Cursor, field: Field) -> tuple[_Token, Positions, Positions]:
    """Numbers, and where their digits begin and end."""
    at, tokens, token = _number_token_of(text, cursor, field)
    if field.type is FieldType.INTEGER:
        ok = is_int64(tokens, at)
    elif field.type is FieldType.DECIMAL:
        ok = is_decimal(text, tokens, at, field.precision or 0, field.scale or 0)
    else:
        ok = tokens.ok
    return token._replace(ok=token.ok & ok), at, tokens.end


def _number_token_of(text: BlockText, cursor: Cursor, field: Field) -> tuple[Positions, Tokens, _Token]:
    """Where each number begins, its tokens, and what is behind it and its quotes, if the field takes such."""
    at, is_quoted = _inside_quotes(text, cursor, field)
    tokens = number_tokens(text, at)
    return at, tokens, _behind_quotes(text, cursor, is_quoted, tokens.end, tokens.ok)


def _inside_quotes(text: BlockText, cursor: Cursor, field: Field) -> tuple[Positions, Mask | None]:
    """Where values begin that may be in quotes, and which are; None where the field takes none."""
    if not field.takes_strings:
        return cursor.at, None
    is_quoted: Mask = text.byte(cursor.at) == _QUOTE
    return cursor.at + is_quoted, is_quoted


def _behind_quotes(text: BlockText, cursor: Cursor, is_quoted: Mask | None, end: Positions, ok: Mask) -> _Token:
    if is_quoted is None:
        return _Token(end, cursor.quotes, cursor.closers, ok)
    closed = ok & (~is_quoted | (text.byte(end) == _QUOTE))
    return _Token(end + is_quoted, cursor.quotes + 2 * is_quoted, cursor.closers, closed)


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
