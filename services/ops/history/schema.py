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
        pa.field("object", pa.string(), nullable=False),  # s3://bucket/key#etag
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("version_id", pa.string()),
        pa.field("dataset", pa.string(), nullable=False),  # that the key names
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("units", pa.int64(), nullable=False),
        pa.field("created_at", pa.timestamp("us", tz="UTC"), nullable=False),  # of the object in Bronze
        pa.field("announced_at", TIME),  # when the ledger first heard of it
        pa.field("finished_at", TIME, nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # why it was rejected or retracted: a code
        pa.field("advice", pa.string()),
        pa.field("retracted_by", pa.string()),
        pa.field("note", pa.string()),
        pa.field("rows_read", pa.int64(), nullable=False),
        pa.field("rows_silver", pa.int64(), nullable=False),
        pa.field("rows_quarantined", pa.int64(), nullable=False),
        pa.field("refused", REFUSED, nullable=False),  # rows in quarantine by reason
        pa.field("lots", pa.list_(pa.string()), nullable=False),  # that hold its rows
    ]
)

# One row for each generation of a committed lot.
LOTS = pa.schema(
    [
        pa.field("lot", pa.string(), nullable=False),
        pa.field("generation", pa.int64(), nullable=False),
        pa.field("claimed_at", TIME),
        pa.field("committed_at", TIME),
        pa.field("finished_at", TIME, nullable=False),  # nothing was left to do about it
        pa.field("contracts", pa.string(), nullable=False),  # versions by dataset, as JSON
        pa.field("rows_read", pa.int64(), nullable=False),
        pa.field("rows_silver", pa.int64(), nullable=False),
        pa.field("rows_quarantined", pa.int64(), nullable=False),
        pa.field("units", pa.list_(UNIT), nullable=False),
        pa.field("files", pa.list_(FILE), nullable=False),
    ]
)
