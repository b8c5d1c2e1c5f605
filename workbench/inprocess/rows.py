"""Raw rows out of local files, read by the transform's own reader: lines, arrays, documents, plain or compressed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from services.ops.errors import OperatorError
from services.shared.errors import Terminal
from services.shared.identities import UnacceptableKey
from services.shared.units import Unit
from services.transform.blocks import RowBlock
from services.transform.reading.reader import UnitReader
from workbench.inprocess.folder import FolderLake, local_object
from workbench.inprocess.pipeline import MAX_ROW_BYTES, MIB

_NO_DATASET = "any"


class NotTaken(OperatorError):
    """A file that a pipeline would reject because of its name."""


def first_rows(file: Path, rows: int) -> Iterator[bytes]:
    """The first rows of a file; none of one that cannot be read.

    Raises:
        NotTaken: the file's name says that it holds something else.
        OSError: it cannot be opened.
    """
    return islice(rows_between(file, 0, file.stat().st_size), rows)


def rows_between(file: Path, start: int, end: int, block_bytes: int = MIB) -> Iterator[bytes]:
    """The rows that start in a range of a file's bytes. Over-long rows and what is damaged are passed over.

    A compressed file, an array or a document has all its rows at its start, 0.

    Raises:
        NotTaken: the file's name says that it holds something else.
        OSError: it cannot be opened.
    """
    source = local_object(file, _NO_DATASET, datetime.now(UTC))
    try:
        _ = source.bronze_key
    except UnacceptableKey as error:
        raise NotTaken(f"{file}: {error.reason}: {error.advice}.") from error
    if not source.size:
        return
    lake = FolderLake({source.id: file.resolve()}, file.parent)
    try:
        for piece in UnitReader(lake, MAX_ROW_BYTES, block_bytes).read(Unit(source, start, end)):
            if isinstance(block := piece.rows, RowBlock):
                for first, last in zip(block.starts.tolist(), block.ends.tolist(), strict=True):
                    yield bytes(block.data[first:last])
    except Terminal:  # the rest cannot be read; trying the file says why
        return
