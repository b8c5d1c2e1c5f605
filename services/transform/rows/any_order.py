"""Rows of the same keys in any order, each with an order of its own, read column by column.

A `KeySet` is learned from sample rows: the keys as they are written, and the bytes between keys and values, which
machines write alike in all rows. Quotes say where keys may begin. Each is named by its bytes, values are read a column
at a time with a cursor behind their keys, and every value must end exactly where the bytes before the next key begin,
the last one where the end of the row begins. So a row that passes consists of nothing but its braces, keys that were
compared byte by byte, values that were read to their end, and the bytes between them: the index that found the keys
need not be trusted. No key may appear more than once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.shared.contract.model import Contract
from services.shared.judge.verdicts import RECORD_TYPE
from services.transform.blocks import Check, no_check
from services.transform.rows.columns import Certain, Columns
from services.transform.rows.layout import MAX_KEYS, Sample
from services.transform.rows.read import Cursor
from services.transform.rows.text import WORD, BlockText, Literal, Mask, Positions, Words
from services.transform.rows.values import slices

_QUOTE = b'"'


@dataclass(slots=True)
class KeySet:
    """Keys of one dataset's rows as they are written, with their quotes, and what is between keys and values.

    `record_type` is the dataset's name as its value is written; None where it is absent.
    """

    dataset: str | None
    record_type: bytes | None
    opener: bytes
    colon: bytes
    comma: bytes
    trailer: bytes
    keys: dict[str, bytes]
    _known: dict[str, Known] = field(default_factory=dict)

    def known(self, contract: Contract) -> Known:
        """The keys of the set and of the contract, made once: the rows of a block come in many parts."""
        if contract.dataset not in self._known:
            known = dict(self.keys)
            for column in contract.fields:
                if column.key != RECORD_TYPE:
                    known.setdefault(column.key, json.dumps(column.key, ensure_ascii=False).encode())
            self._known[contract.dataset] = Known(known, _KeyTable(list(known.values())))
        return self._known[contract.dataset]


class Known(NamedTuple):
    """Keys as they are written, and the table that finds their numbers in this order."""

    keys: dict[str, bytes]
    table: _KeyTable


def learn_key_sets(samples: Iterable[Sample]) -> list[KeySet]:
    """The key sets of these samples, of at most `MAX_KEYS` each, in the order in which they are met."""
    found: dict[tuple[object, ...], list[KeySet]] = {}
    for sample in samples:
        style = sample.style
        if style is None:
            continue
        sets = found.setdefault((sample.record_type, sample.record_type_text, style), [])
        if not sets or len(sets[-1].keys.keys() | sample.key_texts.keys()) > MAX_KEYS:
            sets.append(KeySet(sample.record_type, sample.record_type_text, *style, {}))
        for key, text in sample.key_texts.items():
            sets[-1].keys.setdefault(key, text.encode())
    return [keys for sets in found.values() for keys in sets]


def accept_any_order(
    text: BlockText,
    keys: KeySet,
    rows: Positions,
    contract: Contract,
    is_default: bool,
    object_created: datetime,
    check: Check = no_check,
) -> Certain:
    """Those of the given rows that have keys of the set alone and that the contract surely accepts.

    `is_default` says whether rows without a `record_type` belong to the contract; `object_created` is the creation time
    of their object (UTC). `check` is called where values take long; what it raises ends the work.

    Raises:
        TooDense: the block must be cut.
    """
    known = keys.known(contract)
    rows = rows[text.matches(text.starts[rows], Literal(keys.opener + _QUOTE))]
    found = _find_keys(text, rows, keys, known.table)
    reading = _Reading(text, rows, keys, found, contract, check)
    for number, (key, literal) in enumerate(known.keys.items()):
        if key == RECORD_TYPE:
            reading.read_record_type(number, literal, is_default)
        else:
            reading.read(number, key, literal)
    if RECORD_TYPE not in known.keys:
        reading.columns.add_record_type(None, np.zeros(len(rows), dtype=bool), is_default)
    return reading.columns.accepted(object_created, reading.rescued)


class _Keys(NamedTuple):
    """The keys of all rows, in the order of the block, and where their values must end."""

    row: Positions  # index into the rows
    at: Positions  # their opening quote
    quotes: Positions  # how many quotes are before them
    end: Positions  # where the bytes begin that must follow the value
    number: npt.NDArray[np.uint16]  # of the known key; one more than there are where it is another
    ok: Mask  # for each row, whether its keys are laid out as they must


def _find_keys(text: BlockText, rows: Positions, keys: KeySet, known: _KeyTable) -> _Keys:
    starts, ends = text.starts[rows], text.ends[rows]
    row, quotes = _string_quotes(text, starts, ends)
    at, close = text.quote(quotes), text.quote(quotes + 1)
    is_key = text.matches(close, Literal(_QUOTE + keys.colon))
    row, quotes, at, close = row[is_key], quotes[is_key], at[is_key], close[is_key]
    outer = text.at_first_level(at)
    if outer is not None:
        row, quotes, at, close = row[outer], quotes[outer], at[outer], close[outer]
    ok = np.zeros(len(rows), dtype=bool)
    if not len(at):
        return _Keys(row, at, quotes, at, at.astype(np.uint16), ok)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    ok[row[first]] = at[first] == starts[row[first]] + len(keys.opener)
    end = np.append(at[1:], 0) - len(keys.comma)
    is_last = np.diff(row, append=len(rows)) != 0
    end[is_last] = ends[row[is_last]] - len(keys.trailer)
    ok[row[~_follows(text, end, is_last, keys)]] = False
    number = known.numbers(text, at, close)
    ok[row[number >= known.unknown]] = False
    return _Keys(row, at, quotes, end, number, ok)


def _string_quotes(text: BlockText, starts: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """For each string its row and the number of its opening quote; rows with an odd number of quotes have none."""
    before, behind = text.quotes_before(starts), text.quotes_before(ends)
    counts = np.where((behind - before) % 2 == 0, (behind - before) // 2, 0)
    row = np.repeat(np.arange(len(starts)), counts)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return row, np.repeat(before, counts) + 2 * place


def _follows(text: BlockText, end: Positions, is_last: Mask, keys: KeySet) -> Mask:
    """Whether what must be behind each value is there."""
    follows = text.matches(end, Literal(keys.comma + _QUOTE))
    follows[is_last] = text.matches(end[is_last], Literal(keys.trailer))
    return follows


class _KeyTable:
    """Names keys by their first and last eight bytes and their length. Whoever uses a name compares the bytes."""

    _BITS = 14
    _ATTEMPTS = 16

    def __init__(self, known: list[bytes]) -> None:
        first, last = (np.array([_word(part) for part in parts], dtype=np.uint64) for parts in _ends(known))
        size = np.array([len(key) for key in known], dtype=np.uint64)
        self.unknown = len(known)  # the number of all other keys
        best = -1
        for attempt in range(self._ATTEMPTS):
            factor = np.uint64((0x9E3779B97F4A7C15 + 2 * attempt * 0xC2B2AE3D27D4EB4F) % 2**64)
            places = self._place(first, last, size, factor)
            distinct = len(np.unique(places))
            if distinct > best:
                best, self._factor = distinct, factor
                self._table = np.full(1 << self._BITS, self.unknown, dtype=np.uint16)
                self._table[places] = np.arange(len(known))
            if distinct == len(known):
                break

    def _place(self, first: Words, last: Words, size: Words, factor: np.uint64) -> Positions:
        folded: Words = last ^ (last >> np.uint64(29))
        mixed: Words = (first + folded * np.uint64(0x165667B19E3779F9) + size) * factor
        place: Words = (mixed ^ (mixed << np.uint64(31))) >> np.uint64(64 - self._BITS)
        return place.view(np.int64)

    def numbers(self, text: BlockText, at: Positions, close: Positions) -> npt.NDArray[np.uint16]:
        """The number of each key, from its quote at `at` to that at `close`."""
        size = close - at + 1
        is_long = size >= WORD
        short = _MASKS.take(size, mode="clip")
        first = text.word(at) & short
        last = np.where(is_long, text.word(np.maximum(close - (WORD - 1), 0)), 0)
        return self._table.take(self._place(first, last, size.view(np.uint64), self._factor))


_MASKS: Words = np.array([(1 << 8 * size) - 1 for size in range(WORD + 1)], dtype=np.uint64)


def _word(text: bytes) -> int:
    return int.from_bytes(text, "little")


def _ends(known: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    return [key[:WORD] for key in known], [key[-WORD:] if len(key) >= WORD else b"" for key in known]


class _Reading:
    """The values of all rows, read key by key."""

    def __init__(
        self, text: BlockText, rows: Positions, keys: KeySet, found: _Keys, contract: Contract, check: Check
    ) -> None:
        self._text, self._rows, self._keys, self._found = text, rows, keys, found
        self.columns = Columns(text, rows, contract, check)
        self.columns.ok &= found.ok
        self._by_number = np.argsort(found.number, kind="stable")
        counts = np.bincount(found.number, minlength=len(keys.keys) + len(contract.fields) + 1)
        self._firsts = np.append(0, np.cumsum(counts))
        self._rescued: dict[int, tuple[bytes, Mask]] = {}  # by the key's number: how it is written, and in which rows

    def read(self, number: int, key: str, written: bytes) -> None:
        """Read a key's values in the rows that have it."""
        if self._firsts[number] == self._firsts[number + 1]:  # of thousands of keys, rows may have a few
            return
        cursor, has_key, end = self._cursor(number, written)
        if not has_key.any():
            return
        behind, rescued = self.columns.read_key(key, cursor, has_key)
        self.columns.ok &= (behind.at == end) | ~has_key
        if rescued:
            self._rescued[number] = written, rescued.rows

    def read_record_type(self, number: int, written: bytes, is_default: bool) -> None:
        """Check the dataset's name in the rows that have it."""
        cursor, has_key, end = self._cursor(number, written)
        value = Literal(self._keys.record_type or b"null")
        self.columns.ok &= (self._text.matches(cursor.at, value) & (cursor.at + value.size == end)) | ~has_key
        self.columns.add_record_type(self._keys.dataset, has_key, is_default)

    def _cursor(self, number: int, written: bytes) -> tuple[Cursor, Mask, Positions]:
        """A cursor behind a key, the rows that have it, and where its values must end."""
        literal = Literal(written + self._keys.colon)
        picked = self._by_number[self._firsts[number] : self._firsts[number + 1]]
        row, at, quotes = self._found.row[picked], self._found.at[picked], self._found.quotes[picked]
        ok, again = self.columns.ok, row[1:] == row[:-1]
        ok[row[1:][again]] = False
        ok[row[~self._text.matches(at, literal)]] = False
        at, quotes, end = at + literal.size, quotes + literal.quotes, self._found.end[picked]
        has_key = np.ones(len(ok), dtype=bool)
        if len(row) != len(ok) or again.any():
            has_key[:] = False
            has_key[row] = True
            at, quotes, end = (_scatter(values, row, len(ok)) for values in (at, quotes, end))
        return Cursor(at, quotes, np.zeros_like(at), ok & has_key), has_key, end

    def rescued(self, chosen: Positions) -> pa.Array:
        """The keys that no field holds whole, in each row's order, as one JSON object; null where there are none."""
        place = np.full(len(self._rows), -1, dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        row = place[self._found.row]
        picked = np.flatnonzero((row >= 0) & np.isin(self._found.number, list(self._rescued)))
        for number, (_, rows) in self._rescued.items():
            if not rows.all():
                of_key = self._found.number[picked] == number
                picked = picked[~of_key | rows[self._found.row[picked]]]
        if not len(picked):
            return pa.nulls(len(chosen), pa.string())
        numbers, row = self._found.number[picked], row[picked]
        sizes = np.zeros(len(self._firsts), dtype=np.int64)
        for number, (written, _) in self._rescued.items():
            sizes[number] = len(written)
        at, size = self._found.at[picked], sizes[numbers]
        everywhere = np.ones(len(picked), dtype=bool)
        keys = slices(self._text, at, at + size, everywhere)
        values = slices(self._text, at + size + len(self._keys.colon), self._found.end[picked], everywhere)
        counts = np.bincount(row, minlength=len(chosen))
        offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
        items = pa.ListArray.from_arrays(offsets, pc.binary_join_element_wise(keys, values, ":"))
        whole = pc.binary_join_element_wise("{", pc.binary_join(items, ","), "}", "")
        return pc.if_else(pa.array(counts > 0), whole, pa.scalar(None, pa.string()))


def _scatter(values: Positions, row: Positions, rows: int) -> Positions:
    scattered = np.zeros(rows, dtype=np.int64)
    scattered[row] = values
    return scattered
