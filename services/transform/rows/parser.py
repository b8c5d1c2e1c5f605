"""From blocks of raw rows to Arrow tables: every row ends up in Silver's columns or in quarantine, exactly once.

The rules are those of `services.shared.judge`; this module is about applying them to many rows at a time. It knows
neither where the bytes come from nor where the tables go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.contract.model import Contract
from services.shared.judge.judge import RowJudge, shown
from services.shared.judge.verdicts import Accepted, Reason, Rejected
from services.shared.parquet.tables import Refused, quarantine_table, silver_table
from services.transform.blocks import BrokenFrame, Check, RowBlock, no_check
from services.transform.rows.any_order import accept_any_order, learn_key_sets
from services.transform.rows.columns import Certain
from services.transform.rows.fields import is_read_one_by_one
from services.transform.rows.in_order import accept
from services.transform.rows.layout import learn_layouts, learn_samples
from services.transform.rows.memory import buffer_bytes
from services.transform.rows.spliced import splice, unspliced
from services.transform.rows.text import WORD, BlockText, Positions, TooDense, room_for_quotes


class Parsed(NamedTuple):
    """What became of rows: `rows_read` = rows of all `silver` tables + rows of `quarantine`.

    `silver` holds for each dataset a table of `tables.silver_schema`, `quarantine` one of
    `tables.QUARANTINE_SCHEMA`. The rows of a table need not be in the block's order, but they are in the same order
    whenever the block is parsed.
    """

    rows_read: int
    silver: dict[str, pa.Table]
    quarantine: pa.Table

    @property
    def memory_bytes(self) -> int:
        """The bytes that its tables hold in memory: whole Arrow buffers, dictionaries included."""
        return buffer_bytes((*self.silver.values(), self.quarantine))

    @property
    def reasons(self) -> Counter[str]:
        """How many rows are in quarantine for which reason; it makes no object for each row."""
        counts = self.quarantine["reason"].unify_dictionaries().value_counts().to_pylist()
        return Counter({count["values"]: count["counts"] for count in counts})


def broken_frame(offset: int, detail: str, raw: bytes, dataset: str, reason: Reason = Reason.BROKEN_FRAME) -> Parsed:
    """The quarantine of damage to what holds a file's rows together, such as an array that is cut short.

    It counts as one row, so that the damage shows in the counts. `offset` is where the damage is in the (decompressed)
    object, `raw` the bytes there, `detail` what is wrong.
    """
    rejected = Rejected(dataset, reason, None, detail)
    return Parsed(1, {}, quarantine_table([(offset, rejected, shown(raw))]))


def broken_frames(found: Iterable[BrokenFrame], dataset: str) -> Parsed:
    """The quarantine of many of them, in order."""
    rows = [(one.offset, Rejected(dataset, one.reason, None, one.detail), shown(one.raw)) for one in found]
    return Parsed(len(rows), {}, quarantine_table(rows))


def overlong_row(offset: int, head: bytes, dataset: str) -> Parsed:
    """The quarantine of a row that is longer than allowed, of which only the first bytes are at hand."""
    detail = f"the row is longer than allowed; raw holds its first {len(head)} bytes"
    rejected = Rejected(dataset, Reason.ROW_TOO_LONG, None, detail)
    return Parsed(1, {}, quarantine_table([(offset, rejected, shown(head))]))


_FEWEST_ROWS = 64  # fewer are judged one by one sooner than they are learned from
_MOST_ROWS = 65_536  # taken at once; this and the next three bound what a block of any content needs in memory
_MOST_VALUES = 2_000_000  # rows times keys of a layout that are taken at once
_SLOWER = 20  # times as long as another value takes one that is read by itself
_JUDGED_ROWS, _JUDGED_BYTES = 4096, 2 * 1024 * 1024  # judged one by one, until they are made into tables
_CHECKED_ROWS, _CHECKED_BYTES = 1024, 256 * 1024  # judged one by one between two calls of `check`
_SAMPLES = 8
_MOST_LAYOUTS = 2  # for each set of keys; where samples show more, no layout is tried
_WORTHWHILE = 8  # a round that takes less than one row in so many is the last one


class RowParser:
    """Parses blocks by the contracts of all datasets; made once, used for one block after the other.

    Rows that share a layout are taken together (`in_order`), and so are rows of the same keys in any order
    (`any_order`); what is left goes one by one to the reference
    (`services.shared.judge`). Beyond the block and the tables that are made of it, a block of 8 MiB needs less than
    150 MiB of memory, whatever it holds: it is cut into pieces of so many rows, quotes and brackets at most.
    """

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = dict(contracts)
        self._judge = RowJudge(contracts)
        self._room = room_for_quotes()

    def parse(self, block: RowBlock, default_dataset: str, object_created: datetime, check: Check = no_check) -> Parsed:
        """The block's rows, judged.

        `default_dataset` applies to rows without a `record_type`; `object_created` is the object's creation time (UTC),
        from which the end of the accepted event times is counted. `check` is called about once a second or more often,
        but never within one row; what it raises ends the parsing.
        """
        if block.envelope:
            spliced = splice(block)
            parsed = self.parse(spliced, default_dataset, object_created, check)
            silver = {dataset: unspliced(table, spliced, block) for dataset, table in parsed.silver.items()}
            return Parsed(parsed.rows_read, silver, unspliced(parsed.quarantine, spliced, block))
        made = _Tables(self._contracts)
        pieces = list(reversed(_cut(block, _MOST_ROWS)))
        while pieces:
            piece = pieces.pop()
            parsing = _Parsing(self._contracts, self._judge, self._room, piece, default_dataset, object_created, check)
            try:
                left = parsing.take_together()
            except TooDense:
                pieces += reversed(_cut(piece, (len(piece.starts) + 1) // 2))
                continue
            made.add(parsing.taken)
            parsing.judge_one_by_one(left, made)
        return made.parsed(len(block.starts))


def _cut(block: RowBlock, rows: int) -> list[RowBlock]:
    """The block in pieces of so many rows."""
    if len(block.starts) <= rows:
        return [block]
    pieces = []
    for first in range(0, len(block.starts), rows):
        starts, ends = block.starts[first : first + rows], block.ends[first : first + rows]
        begin = int(starts[0])
        pieces.append(RowBlock(block.data[begin : int(ends[-1])], starts - begin, ends - begin, block.base + begin))
    return pieces


class _Tables:
    """What has been made of a block so far."""

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = contracts
        self._silver: dict[str, list[pa.Table]] = {}
        self._quarantine: list[pa.Table] = []

    def add(self, taken: Iterable[tuple[str, pa.Table]]) -> None:
        for dataset, table in taken:
            self._silver.setdefault(dataset, []).append(table)

    def add_judged(self, accepted: Mapping[str, list[tuple[int, Accepted]]], rejected: list[Refused]) -> None:
        self.add((dataset, silver_table(self._contracts[dataset], rows)) for dataset, rows in accepted.items())
        if rejected:
            self._quarantine.append(quarantine_table(rejected))

    def parsed(self, rows_read: int) -> Parsed:
        silver = {dataset: pa.concat_tables(parts) for dataset, parts in self._silver.items()}
        return Parsed(rows_read, silver, pa.concat_tables(self._quarantine or [quarantine_table([])]))


def _is_worthwhile(rows: Positions, left: Positions) -> bool:
    return (len(rows) - len(left)) * _WORTHWHILE >= len(rows)


Accept = Callable[[Positions, Contract, bool, datetime, Check], Certain]


class _Parsing:
    """One piece of a block."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        judge: RowJudge,
        room: Positions,
        block: RowBlock,
        default_dataset: str,
        object_created: datetime,
        check: Check,
    ) -> None:
        self._contracts, self._judge, self._room, self._block = contracts, judge, room, block
        self._default_dataset, self._object_created = default_dataset, object_created
        self._check = check
        self.taken: list[tuple[str, pa.Table]] = []

    def take_together(self) -> Positions:
        """Take the rows of which it is certain that they are right, and return the others.

        Raises:
            TooDense: the piece has too many quotes, brackets or the like; smaller ones must be tried.
        """
        block, rows = self._block, np.arange(len(self._block.starts))
        if len(rows) < _FEWEST_ROWS or len(block.data) < WORD:
            return rows
        text = BlockText(block.data, block.starts, block.ends, block.base, self._room)
        broken = text.rows_of_bad_utf8()
        rows = self._without(rows, broken)
        while len(rows) >= _FEWEST_ROWS:
            left = self._take_round(text, rows)
            is_worthwhile = _is_worthwhile(rows, left)
            rows = left
            if not is_worthwhile:
                break
        return np.sort(np.append(rows, broken))

    def _take_round(self, text: BlockText, rows: Positions) -> Positions:
        """Learn from some of the rows how they are written, and take those that are written alike."""
        block, left = self._block, rows
        samples = rows[np.linspace(0, len(rows) - 1, _SAMPLES).astype(np.int64)]
        learned = learn_samples(block.data[block.starts[row] : block.ends[row]] for row in samples.tolist())
        layouts, key_sets = learn_layouts(learned), learn_key_sets(learned)
        if len(layouts) <= _MOST_LAYOUTS * len(key_sets):
            for layout in layouts:
                left = self._take(layout.record_type, len(layout.keys), left, partial(accept, text, layout))
        if not _is_worthwhile(rows, left):
            for keys in key_sets:
                left = self._take(keys.dataset, len(keys.keys), left, partial(accept_any_order, text, keys))
        return left

    def _take(self, record_type: str | None, keys: int, rows: Positions, accept_: Accept) -> Positions:
        """Take the rows that are certain, and return the others."""
        dataset = self._default_dataset if record_type is None else record_type
        contract = self._contracts.get(dataset)
        if contract is None:
            return rows
        slow = sum(map(is_read_one_by_one, contract.fields))
        at_once = max(_MOST_VALUES // (keys + len(contract.fields) + _SLOWER * slow), 1)
        for part in [rows[first : first + at_once] for first in range(0, len(rows), at_once)]:
            self._check()
            found = accept_(part, contract, dataset == self._default_dataset, self._object_created, self._check)
            if len(found.rows):
                self.taken.append((dataset, found.table))
                rows = self._without(rows, found.rows)
        return rows

    def _without(self, rows: Positions, others: Positions) -> Positions:
        if not len(others):
            return rows
        kept = np.ones(len(self._block.starts), dtype=bool)
        kept[others] = False
        return rows[kept[rows]]

    def judge_one_by_one(self, rows: Positions, made: _Tables) -> None:
        """Ask the reference about each row, and make tables of them from time to time."""
        block = self._block
        accepted: dict[str, list[tuple[int, Accepted]]] = {}
        rejected: list[Refused] = []
        count = size = unchecked_rows = unchecked_bytes = 0
        bounds = zip(block.starts[rows].tolist(), block.ends[rows].tolist(), strict=True)
        for start, end in bounds:
            row = block.data[start:end]
            if unchecked_rows >= _CHECKED_ROWS or unchecked_bytes + len(row) > _CHECKED_BYTES:
                self._check()
                unchecked_rows = unchecked_bytes = 0
            unchecked_rows, unchecked_bytes = unchecked_rows + 1, unchecked_bytes + len(row)
            verdict = self._judge.judge(row, self._default_dataset, self._object_created)
            if isinstance(verdict, Accepted):
                accepted.setdefault(verdict.dataset, []).append((block.base + start, verdict))
            else:
                rejected.append((block.base + start, verdict, shown(row)))
            count, size = count + 1, size + len(row)
            if count >= _JUDGED_ROWS or size >= _JUDGED_BYTES:
                made.add_judged(accepted, rejected)
                accepted, rejected = {}, []
                count = size = 0
        made.add_judged(accepted, rejected)
