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
from services.transform.reading.envelope import Envelope
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


def refusal_of(file: Path) -> str:
    """What a file holds that is not read, and what to do; empty if rows can be read, or there are none.

    Raises:
        OSError: it cannot be opened.
    """
    source = local_object(file, _NO_DATASET, datetime.now(UTC))
    reader = UnitReader(FolderLake({source.id: file.resolve()}, file.parent), MAX_ROW_BYTES, MIB)
    try:
        next(iter(reader.read(Unit(source, 0, source.size))), None)
    except Terminal as error:
        return str(error).removeprefix(f"{source.id}: ")
    return ""


def rows_between(
    file: Path, start: int, end: int, block_bytes: int = MIB, rows_path: tuple[str, ...] = ()
) -> Iterator[bytes]:
    """The rows that start in a range of a file's bytes. Over-long rows and what is damaged are passed over.

    A compressed file, an array, documents or an envelope have all their rows at their start, 0. `rows_path` is where
    rows are in each document, as a contract says it.

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
    reader = UnitReader(FolderLake({source.id: file.resolve()}, file.parent), MAX_ROW_BYTES, block_bytes)
    try:
        for piece in reader.read(Unit(source, start, end), envelope=Envelope(rows_path) if rows_path else None):
            if isinstance(block := piece.rows, RowBlock):
                for first, last in zip(block.starts.tolist(), block.ends.tolist(), strict=True):
                    yield bytes(block.data[first:last])
    except Terminal:  # the rest cannot be read; trying the file says why
        return
