"""The files of one part of a lot: which folder refused rows belong to, and what that costs."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime

import pyarrow as pa

from services.shared.contract.model import Contract
from services.shared.identities import LakeKey, LotId
from services.shared.parquet.encode import encode
from services.shared.units import Unit
from services.transform.blocks import lines_block
from services.transform.files.buffer import RowBuffer
from services.transform.rows.parser import RowParser
from tests.support.lake import CREATED, MemoryLake

LOT = LotId.new(datetime(2026, 2, 1, tzinfo=UTC))


def refused(contracts: dict[str, Contract], *blocks: bytes) -> pa.Table:
    """The quarantine of these blocks of lines of a shipments object."""
    parser, rows = RowParser(contracts), RowBuffer()
    for block in blocks:
        rows.add(0, parser.parse(lines_block(block, 0), "shipments", CREATED), len(block))
    source = MemoryLake().upload("bronze/shipments/a.jsonl", b"".join(blocks))
    silver, quarantine = rows.take([Unit(source, 0, source.size)])
    assert not silver
    assert quarantine is not None
    return quarantine


def test_refused_rows_lie_under_their_dataset_and_unknown_types_share_a_folder(contracts: dict[str, Contract]) -> None:
    quarantine = refused(
        contracts,
        b'{"record_type": "tracking_events"}\n{"record_type": "nothing"}\n{}\n',
        b'{"record_type": "../elsewhere"}\n{broken\n',
    )
    files = {
        LakeKey.parse(key).record_type: rows for key, _, rows in encode({}, quarantine, contracts, LOT, "0" * 8, 0)
    }
    assert files == {"_unknown": 2, "shipments": 2, "tracking_events": 1}


def test_millions_of_short_rows_make_no_object_each(contracts: dict[str, Contract]) -> None:
    """It was: a text and a truth value for each row, three times what the rows take."""
    quarantine = refused(contracts, *[b"{}\n" * 50_000] * 4)
    tracemalloc.start()
    try:
        (file,) = encode({}, quarantine, contracts, LOT, "0" * 8, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert file[2] == 200_000
    assert peak - 2 * len(file[1]) < 40 * 200_000
