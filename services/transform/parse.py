"""From blocks of raw rows to Arrow tables: every row ends up in Silver's columns or in quarantine, exactly once.

The rules are those of `rows`; this module is about doing them for many rows at a time. It knows neither where the
bytes come from nor where the tables go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from services.shared.contract import Contract
from services.transform.parse_columns import quarantine_table, silver_table
from services.transform.rows import Accepted, Reason, Rejected, RowJudge, shown


class RowBlock(NamedTuple):
    """Raw bytes that hold whole rows.

    Row `i` is `data[starts[i]:ends[i]]` (both int64, ascending); it may have JSON's blanks around it. `base` is the
    byte offset of `data[0]` in the (decompressed) object.
    """

    data: bytes
    starts: np.ndarray
    ends: np.ndarray
    base: int


class Parsed(NamedTuple):
    """What became of rows: `rows_read` = rows of all `silver` tables + rows of `quarantine`.

    `silver` holds for each dataset a table of `parse_columns.silver_schema`, `quarantine` one of
    `parse_columns.QUARANTINE_SCHEMA`. Rows keep their order within a table.
    """

    rows_read: int
    silver: dict[str, pa.Table]
    quarantine: pa.Table


_NEWLINE = ord("\n")
_IS_BLANK = np.zeros(256, dtype=bool)
_IS_BLANK[list(b" \t\r")] = True


def lines_block(data: bytes, base: int) -> RowBlock:
    """The lines of `data` as rows. Blank lines are no rows; the last line needs no newline."""
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    kept = starts < ends
    for row in np.flatnonzero(kept & _IS_BLANK[text[np.minimum(starts, max(len(data) - 1, 0))]]):
        kept[row] = bool(data[starts[row] : ends[row]].strip(b" \t\r"))
    if not kept.all():
        starts, ends = starts[kept], ends[kept]
    return RowBlock(data, starts, ends, base)


def overlong_row(offset: int, head: bytes, dataset: str) -> Parsed:
    """The quarantine of a row that is longer than allowed, of which only the first bytes are at hand."""
    detail = f"the row is longer than allowed; raw holds its first {len(head)} bytes"
    rejected = Rejected(dataset, Reason.ROW_TOO_LONG, None, detail)
    return Parsed(1, {}, quarantine_table([(offset, rejected, shown(head))]))


class RowParser:
    """Parses blocks by the contracts of all datasets; made once, used for every block."""

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = dict(contracts)
        self._judge = RowJudge(contracts)

    def parse(self, block: RowBlock, default_dataset: str, latest_base: datetime) -> Parsed:
        """The block's rows, judged.

        `default_dataset` applies to rows without a `record_type`; `latest_base` is the object's creation time (UTC),
        from which the end of the accepted event times is counted.
        """
        rows = range(len(block.starts))
        silver, quarantine = self._judge_rows(block, rows, default_dataset, latest_base)
        tables = {dataset: silver_table(self._contracts[dataset], found) for dataset, found in silver.items()}
        return Parsed(len(rows), tables, quarantine_table(quarantine))

    def _judge_rows(
        self, block: RowBlock, rows: Iterable[int], default_dataset: str, latest_base: datetime
    ) -> tuple[dict[str, list[tuple[int, Accepted]]], list[tuple[int, Rejected, str]]]:
        """The reference's answer for these rows, each with its offset in the object."""
        silver: dict[str, list[tuple[int, Accepted]]] = {}
        quarantine: list[tuple[int, Rejected, str]] = []
        for row in rows:
            start = int(block.starts[row])
            text = block.data[start : int(block.ends[row])]
            verdict = self._judge.judge(text, default_dataset, latest_base)
            if isinstance(verdict, Accepted):
                silver.setdefault(verdict.dataset, []).append((block.base + start, verdict))
            else:
                quarantine.append((block.base + start, verdict, shown(text)))
        return silver, quarantine
