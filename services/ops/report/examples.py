"""Examples of refused rows, from quarantine files: a few of each reason, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from services.ops.report.model import EXAMPLES, Example
from services.shared.columns import OFFSET, RAW, SOURCE
from services.shared.identities import LakeKey
from services.shared.lake import ObjectGone
from services.shared.ledger.records import LotFile

RAW_CHARACTERS = 300
_MOST_BYTES = 64 * 1024 * 1024  # of files that are read
_COLUMNS = ["reason", "field", "detail", SOURCE, OFFSET, RAW]
_BATCH = 1000

Examples = dict[tuple[str, str], list[Example]]  # by record type and reason


def read_examples(files: Iterable[LotFile], read: Callable[[LotFile], bytes]) -> Examples:
    """The first rows of each reason in these files, in their order; too large files are passed over."""
    found: Examples = {}
    left = _MOST_BYTES
    for file in files:
        if file.bytes > left:
            continue
        left -= file.bytes
        try:
            data = read(file)
        except ObjectGone:  # rewritten since the ledger was read
            continue
        _add(found, LakeKey.parse(file.key).record_type, data)
    return found


def _add(found: Examples, record_type: str, data: bytes) -> None:
    parquet = pq.ParquetFile(pa.BufferReader(data))
    for batch in parquet.iter_batches(_BATCH, columns=_COLUMNS):
        for at, reason in enumerate(batch["reason"].to_pylist()):
            examples = found.setdefault((record_type, reason), [])
            if len(examples) < EXAMPLES:
                examples.append(_example({name: batch[name][at].as_py() for name in _COLUMNS}))


def _example(row: dict[str, str]) -> Example:
    field = f"{row['field']}: " if row["field"] else ""
    raw = row[RAW]
    shortened = raw[:RAW_CHARACTERS] + "..." * (len(raw) > RAW_CHARACTERS)
    return Example(row[SOURCE], None, int(row[OFFSET]), f"{field}{row['detail']}", shortened)
