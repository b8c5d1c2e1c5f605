"""From blocks of raw rows to Arrow tables: every row ends up in Silver's columns or in quarantine, exactly once.

The rules are those of `rows`; this module is about doing them for many rows at a time. It knows neither where the
bytes come from nor where the tables go.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.contract.model import Contract
from services.shared.judge.judge import RowJudge, shown
from services.shared.judge.verdicts import Accepted, Reason, Rejected
from services.transform.blocks import RowBlock
from services.transform.rows.fast import accept
from services.transform.rows.layout import learn_layouts
from services.transform.rows.tables import buffer_bytes, quarantine_table, silver_table
from services.transform.rows.text import BlockText, Positions


class Parsed(NamedTuple):
    """What became of rows: `rows_read` = rows of all `silver` tables + rows of `quarantine`.

    `silver` holds for each dataset a table of `parse_columns.silver_schema`, `quarantine` one of
    `parse_columns.QUARANTINE_SCHEMA`. Rows need not stand in a table in the block's order, but in the same whenever
    the block is parsed.
    """

    rows_read: int
    silver: dict[str, pa.Table]
    quarantine: pa.Table

    @property
    def memory_bytes(self) -> int:
        """The bytes that its tables hold in memory: whole Arrow buffers, dictionaries included."""
        return buffer_bytes((*self.silver.values(), self.quarantine))


def broken_frame(offset: int, detail: str, raw: bytes, dataset: str) -> Parsed:
    """The quarantine of damage to what holds a file's rows together, such as an array that is cut short.

    It counts as one row, so that the damage shows in the counts. `offset` is where the damage is in the (decompressed)
    object, `raw` the bytes there, `detail` what is wrong.
    """
    rejected = Rejected(dataset, Reason.BROKEN_FRAME, None, detail)
    return Parsed(1, {}, quarantine_table([(offset, rejected, shown(raw))]))


def overlong_row(offset: int, head: bytes, dataset: str) -> Parsed:
    """The quarantine of a row that is longer than allowed, of which only the first bytes are at hand."""
    detail = f"the row is longer than allowed; raw holds its first {len(head)} bytes"
    rejected = Rejected(dataset, Reason.ROW_TOO_LONG, None, detail)
    return Parsed(1, {}, quarantine_table([(offset, rejected, shown(head))]))


_FEWEST_ROWS = 64  # fewer are judged one by one sooner than they are learned from
_SAMPLES = 8
_WORTHWHILE = 8  # layouts are tried again while they take at least one row in so many


class RowParser:
    """Parses blocks by the contracts of all datasets; made once, used for every block.

    Rows that share a layout are taken together (`parse_fast`); what is left goes one by one to the reference (`rows`).
    """

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = dict(contracts)
        self._judge = RowJudge(contracts)

    def parse(self, block: RowBlock, default_dataset: str, object_created: datetime) -> Parsed:
        """The block's rows, judged.

        `default_dataset` applies to rows without a `record_type`; `object_created` is the object's creation time (UTC),
        from which the end of the accepted event times is counted.
        """
        parsing = _Parsing(self._contracts, self._judge, block, default_dataset, object_created)
        rows = np.arange(len(block.starts))
        if len(rows) >= _FEWEST_ROWS:
            rows = parsing.take_by_layout(rows)
        quarantine = parsing.judge_one_by_one(rows)
        silver = {dataset: pa.concat_tables(parts) for dataset, parts in parsing.tables.items()}
        return Parsed(len(block.starts), silver, quarantine)


class _Parsing:
    """One block on its way into `tables`, by dataset."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        judge: RowJudge,
        block: RowBlock,
        default_dataset: str,
        object_created: datetime,
    ) -> None:
        self._contracts, self._judge, self._block = contracts, judge, block
        self._default_dataset, self._latest_base = default_dataset, object_created
        self.tables: dict[str, list[pa.Table]] = {}

    def take_by_layout(self, rows: Positions) -> Positions:
        """Take the rows of which it is certain that they are right, and return the others."""
        block = self._block
        text = BlockText(block.data, block.starts, block.ends, block.base)
        broken = text.rows_of_bad_utf8()
        rows = self._without(rows, broken)
        while len(rows) >= _FEWEST_ROWS:
            left = self._take_round(text, rows)
            is_worthwhile = (len(rows) - len(left)) * _WORTHWHILE >= len(rows)
            rows = left
            if not is_worthwhile:
                break
        return np.sort(np.append(rows, broken))

    def _take_round(self, text: BlockText, rows: Positions) -> Positions:
        """Learn the layouts of some of the rows, and take the rows that have them."""
        block = self._block
        samples = rows[np.linspace(0, len(rows) - 1, _SAMPLES).astype(np.int64)]
        for layout in learn_layouts(block.data[block.starts[row] : block.ends[row]] for row in samples.tolist()):
            dataset = self._default_dataset if layout.record_type is None else layout.record_type
            contract = self._contracts.get(dataset)
            if contract is None:
                continue
            found = accept(text, rows, layout, contract, dataset == self._default_dataset, self._latest_base)
            if len(found.rows):
                self.tables.setdefault(dataset, []).append(found.table)
                rows = self._without(rows, found.rows)
        return rows

    def _without(self, rows: Positions, others: Positions) -> Positions:
        if not len(others):
            return rows
        kept = np.ones(len(self._block.starts), dtype=bool)
        kept[others] = False
        return rows[kept[rows]]

    def judge_one_by_one(self, rows: Positions) -> pa.Table:
        """Ask the reference about each row; returns the quarantine."""
        block = self._block
        accepted: dict[str, list[tuple[int, Accepted]]] = {}
        rejected: list[tuple[int, Rejected, str]] = []
        bounds = zip(block.starts[rows].tolist(), block.ends[rows].tolist(), strict=True)
        for start, end in bounds:
            row = block.data[start:end]
            verdict = self._judge.judge(row, self._default_dataset, self._latest_base)
            if isinstance(verdict, Accepted):
                accepted.setdefault(verdict.dataset, []).append((block.base + start, verdict))
            else:
                rejected.append((block.base + start, verdict, shown(row)))
        for dataset, found in accepted.items():
            self.tables.setdefault(dataset, []).append(silver_table(self._contracts[dataset], found))
        return quarantine_table(rejected)
