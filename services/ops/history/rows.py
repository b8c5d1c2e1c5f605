"""The ledger's records as rows of the history, and back. Rows are dictionaries with the schema's names; no I/O."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from services.ops.audit.scope import dataset_of
from services.shared.identities import LotId, ObjectId, UnitId, milliseconds
from services.shared.ledger.archive import FinishedLot, FinishedObject
from services.shared.ledger.records import Counts, Lot, LotFile, LotState, ObjectState, reasons_key

Row = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROW_GROUP = 500  # rows that are in memory at once, as Python has them


@dataclass(frozen=True, slots=True)
class Tally:
    """The rows of one object: what the lots that hold its units say of them."""

    counts: Counts
    refused: Mapping[str, int]  # rows in quarantine, by reason
    lots: tuple[LotId, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the objects' table: one outcome of one object."""

    id: ObjectId
    version: str | None  # as it was read
    dataset: str
    state: ObjectState
    size: int  # bytes
    units: int
    created: datetime
    announced: datetime | None
    finished: datetime  # of an unfinished one: when it was announced
    reason: str
    advice: str
    by: str
    note: str
    tally: Tally

    @property
    def since(self) -> int:
        """As the ledger's index had it: epoch milliseconds."""
        return milliseconds(self.finished)


@dataclass(frozen=True, slots=True)
class Outline:
    """What the audit asks of an outcome: names as text."""

    id: str
    state: str
    lots: list[str]


OUTLINE = ("object", "state", "lots")  # its columns


def object_row(finished: FinishedObject, tally: Tally) -> Row:
    known = finished.object
    source = known.source
    return {
        "object": str(source.id),
        "bucket": source.bucket,
        "key": source.key,
        "etag": source.etag,
        "version_id": source.version_id,
        "dataset": dataset_of(source.key),
        "bytes": source.size,
        "units": known.plan.units,
        "created_at": source.created,
        "announced_at": known.seen,
        "finished_at": _time(finished.since),
        "state": known.state.value,
        "reason": known.reason or None,
        "advice": known.advice or None,
        "retracted_by": finished.by or None,
        "note": finished.note or None,
        **_counts(tally.counts),
        "refused": _refused(tally.refused),
        "lots": [str(lot) for lot in tally.lots],
    }


def outcome_of_finished(finished: FinishedObject, tally: Tally) -> Outcome:
    """What the row will say, for an outcome that is not in the history yet."""
    known = finished.object
    return Outcome(
        id=known.id,
        version=known.source.version_id,
        dataset=dataset_of(known.id.key),
        state=known.state,
        size=known.source.size,
        units=known.plan.units,
        created=known.source.created,
        announced=known.seen,
        finished=_time(finished.since),
        reason=known.reason,
        advice=known.advice,
        by=finished.by,
        note=finished.note,
        tally=tally,
    )


def lot_row(finished: FinishedLot) -> Row:
    lot = finished.lot
    return {
        "lot": str(lot.id),
        "generation": finished.generation,
        "claimed_at": finished.claimed,
        "committed_at": finished.committed,
        "finished_at": _time(finished.since),
        "contracts": json.dumps(dict(lot.contracts), sort_keys=True),
        **_counts(lot.counts),
        "units": [
            {
                "object": str(unit.object),
                "start": unit.start,
                "end": unit.end,
                **_counts(counts),
                "refused": _refused(lot.reasons_of(unit, counts)),
            }
            for unit, counts in zip(lot.units, lot.unit_counts, strict=True)
        ],
        "files": [{"key": file.key, "rows": file.rows, "bytes": file.bytes, "etag": file.etag} for file in lot.files],
    }


def outcome_from(row: Row) -> Outcome:
    return Outcome(
        id=ObjectId(row["bucket"], row["key"], row["etag"]),
        version=row["version_id"],
        dataset=row["dataset"],
        state=ObjectState(row["state"]),
        size=row["bytes"],
        units=row["units"],
        created=row["created_at"],
        announced=row["announced_at"],
        finished=row["finished_at"],
        reason=row["reason"] or "",
        advice=row["advice"] or "",
        by=row["retracted_by"] or "",
        note=row["note"] or "",
        tally=Tally(_counts_from(row), _refused_from(row), tuple(map(LotId.parse, row["lots"]))),
    )


def lot_from(row: Row) -> FinishedLot:
    units = [UnitId(ObjectId.parse(unit["object"]), unit["start"], unit["end"]) for unit in row["units"]]
    lot = Lot(
        id=LotId.parse(row["lot"]),
        state=LotState.COMMITTED,
        units=tuple(units),
        outputs=frozenset(),
        contracts=json.loads(row["contracts"]),
        lease_token="",
        lease_until=0,
        counts=_counts_from(row),
        unit_counts=tuple(_counts_from(unit) for unit in row["units"]),
        files=tuple(LotFile(**file) for file in row["files"]),
        generation=row["generation"],
        reasons={
            reasons_key(unit): told
            for unit, stored in zip(units, row["units"], strict=True)
            if (told := _refused_from(stored))
        },
    )
    since, generation = milliseconds(row["finished_at"]), row["generation"]
    return FinishedLot(lot, since, generation, row["claimed_at"], row["committed_at"], generation)


def to_parquet(rows: Iterable[Row], schema: pa.Schema) -> tuple[bytes, int]:
    """The rows as one file, and how many they are. Rows are taken in groups, so few are in memory at once."""
    sink, number, source = io.BytesIO(), 0, iter(rows)
    with pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True, store_schema=False) as writer:
        while group := list(islice(source, _ROW_GROUP)):
            writer.write_batch(pa.RecordBatch.from_pylist(group, schema=schema))
            number += len(group)
    return sink.getvalue(), number


def from_parquet(data: bytes, schema: pa.Schema, columns: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """The rows of a file, some at a time, with these columns, or else all of the schema.

    Raises:
        pa.ArrowException, OSError: it is not a whole Parquet file, or its bytes were changed.
        ValueError: it has other columns.
    """
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    missing = set(schema.names) - set(file.schema_arrow.names)
    if missing:
        raise ValueError(f"it has no column {', '.join(sorted(missing))}")
    yield from file.iter_batches(batch_size=_ROW_GROUP, columns=list(columns) or schema.names)


def _counts(counts: Counts) -> Row:
    return {"rows_read": counts.read, "rows_silver": counts.silver, "rows_quarantined": counts.quarantined}


def _counts_from(row: Row) -> Counts:
    return Counts(row["rows_read"], row["rows_silver"], row["rows_quarantined"])


def _refused(reasons: Mapping[str, int]) -> list[Row]:
    return [{"reason": reason, "rows": rows} for reason, rows in sorted(reasons.items())]


def _refused_from(row: Row) -> dict[str, int]:
    return {entry["reason"]: entry["rows"] for entry in row["refused"]}


def _time(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)
