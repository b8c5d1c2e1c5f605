"""The columns of the history's two tables. A row is one outcome: it is written once and never changed.

A table in a catalog (partitioned by `dt`) has these columns in this order. Times are UTC.
"""

from __future__ import annotations

import pyarrow as pa

TIME = pa.timestamp("ms", tz="UTC")

REFUSED = pa.list_(pa.struct([("reason", pa.string()), ("rows", pa.int64())]))

UNIT = pa.struct(
    [
        ("object", pa.string()),  # s3://bucket/key#etag
        ("start", pa.int64()),  # bytes of the object: from here
        ("end", pa.int64()),  # to here, not included
        ("rows_read", pa.int64()),
        ("rows_silver", pa.int64()),
        ("rows_quarantined", pa.int64()),
        ("refused", REFUSED),
    ]
)

FILE = pa.struct([("key", pa.string()), ("rows", pa.int64()), ("bytes", pa.int64()), ("etag", pa.string())])

# One row for each time that an object was finished: DONE, REJECTED or RETRACTED.
OBJECTS = pa.schema(
    [
        pa.field("object", pa.string(), nullable=False),
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("version_id", pa.string()),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("units", pa.int64(), nullable=False),
        pa.field("created_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("announced_at", TIME),
        pa.field("finished_at", TIME, nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("advice", pa.string()),
        pa.field("retracted_by", pa.string()),
        pa.field("note", pa.string()),
        pa.field("rows_read", pa.int64(), nullable=False),
        pa.field("rows_silver", pa.int64(), nullable=False),
        pa.field("rows_quarantined", pa.int64(), nullable=False),
        pa.field("refused", REFUSED, nullable=False),
        pa.field("lots", pa.list_(pa.string()), nullable=False),
    ]
)
OBJECT_MEANINGS = {
    "object": "The object: s3://bucket/key#etag.",
    "bucket": "Its bucket.",
    "key": "Its key.",
    "etag": "Its ETag, which stands for its content.",
    "version_id": "The version that was read, where the bucket keeps versions.",
    "dataset": "The dataset that the key names.",
    "bytes": "Its size.",
    "units": "Into how many byte ranges it was cut.",
    "created_at": "When it was created in Bronze.",
    "announced_at": "When the ledger first heard of it.",
    "finished_at": "When this outcome was reached.",
    "state": "DONE, REJECTED or RETRACTED.",
    "reason": "Why it was rejected or retracted: a code.",
    "advice": "What to do about it.",
    "retracted_by": "Who retracted it.",
    "note": "What they wrote down.",
    "rows_read": "Rows that it had.",
    "rows_silver": "Rows of it in Silver.",
    "rows_quarantined": "Rows of it in quarantine.",
    "refused": "Rows in quarantine by reason.",
    "lots": "The lots that hold its rows.",
}

# One row for each generation of a committed lot.
LOTS = pa.schema(
    [
        pa.field("lot", pa.string(), nullable=False),
        pa.field("generation", pa.int64(), nullable=False),
        pa.field("claimed_at", TIME),
        pa.field("committed_at", TIME),
        pa.field("finished_at", TIME, nullable=False),
        pa.field("contracts", pa.string(), nullable=False),
        pa.field("rows_read", pa.int64(), nullable=False),
        pa.field("rows_silver", pa.int64(), nullable=False),
        pa.field("rows_quarantined", pa.int64(), nullable=False),
        pa.field("units", pa.list_(UNIT), nullable=False),
        pa.field("files", pa.list_(FILE), nullable=False),
    ]
)
LOT_MEANINGS = {
    "lot": "The lot, whose id begins the names of its files.",
    "generation": "1, and one more for each time that the lot was rewritten; the highest counts.",
    "claimed_at": "When its work began.",
    "committed_at": "When its files became part of Silver.",
    "finished_at": "When nothing was left to do about it.",
    "contracts": "Versions of the contracts by dataset, as JSON.",
    "rows_read": "Rows of its units.",
    "rows_silver": "Rows of them in Silver.",
    "rows_quarantined": "Rows of them in quarantine.",
    "units": "Its byte ranges of objects, each with its rows and what was refused.",
    "files": "Its files below the Silver bucket: key, rows, bytes, ETag.",
}
