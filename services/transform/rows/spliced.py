"""Rows that get keys of the envelope around them: judged as if they stood in each row, reported as the rows are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from services.shared.columns import OFFSET
from services.shared.judge.judge import shown
from services.shared.judge.verdicts import JSON_BLANKS
from services.transform.blocks import Positions, RowBlock
from services.transform.rows.row_bytes import numbers_of

_RAW = "raw"


def splice(block: RowBlock) -> RowBlock:
    """The rows with the envelope's keys before their own. A row that is not an object stays as it is."""
    rows = [
        _with_members(block.data[start:end], block.envelope)
        for start, end in zip(block.starts.tolist(), block.ends.tolist(), strict=True)
    ]
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1])) if rows else ends
    return RowBlock(b"".join(rows), starts, ends, 0)


def _with_members(row: bytes, members: bytes) -> bytes:
    text = row.lstrip(JSON_BLANKS)
    if not text.startswith(b"{"):
        return row
    own = text[1:]
    return b"{" + members + (b"" if own.lstrip(JSON_BLANKS).startswith(b"}") else b",") + own


def unspliced(table: pa.Table, spliced: RowBlock, block: RowBlock) -> pa.Table:
    """A table of the spliced rows, with the offsets (and raw texts) of the rows as they are in the object."""
    if not table.num_rows:
        return table
    numbers = numbers_of(table, spliced)
    table = _replaced(table, OFFSET, lambda: (block.starts[numbers] + block.base).tolist())
    if _RAW not in table.column_names:
        return table
    return _replaced(table, _RAW, lambda: _texts(block, numbers))


def _texts(block: RowBlock, numbers: Positions) -> list[str]:
    return [shown(block.data[int(block.starts[number]) : int(block.ends[number])]) for number in numbers.tolist()]


def _replaced(table: pa.Table, name: str, values: Callable[[], list[int] | list[str]]) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, pa.array(values(), field.type))
