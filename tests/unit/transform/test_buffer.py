"""Parsed rows in memory: what they take is counted, and all of them come out again."""

from __future__ import annotations

from datetime import UTC, datetime

from services.shared.contract.model import Contract
from services.shared.units import BronzeObject, Unit
from services.transform.blocks import lines_block
from services.transform.files.buffer import RowBuffer
from services.transform.rows.parser import Parsed, RowParser, broken_frame
from tests.faults.rig import shipment

CREATED = datetime(2026, 2, 1, tzinfo=UTC)
UNIT = Unit(BronzeObject("b", "bronze/shipments/a.jsonl", 10, "etag", None, CREATED), 0, 10)
MEASURED_BYTES_OF_ONE_SHIPMENT = 12_000  # of resident memory for each block of one row; 10,000 of them take 116 MiB


def parsed(contracts: dict[str, Contract], *rows: bytes) -> Parsed:
    return RowParser(contracts).parse(lines_block(b"\n".join(rows), 0), "shipments", CREATED)


def test_rows_count_as_their_raw_bytes_where_these_are_more(contracts: dict[str, Contract]) -> None:
    buffer = RowBuffer()
    buffer.add(0, parsed(contracts, shipment(1)), 1_000_000)
    assert buffer.bytes == 1_000_000


def test_a_block_of_one_row_counts_as_what_its_table_takes(contracts: dict[str, Contract]) -> None:
    buffer = RowBuffer()
    buffer.add(0, parsed(contracts, shipment(1)), len(shipment(1)))
    assert 0.8 * MEASURED_BYTES_OF_ONE_SHIPMENT < buffer.bytes < 1.5 * MEASURED_BYTES_OF_ONE_SHIPMENT


def test_plain_text_counts_twice_and_raw_text_half_as_much_again(contracts: dict[str, Contract]) -> None:
    buffer = RowBuffer()
    rows = b"\n".join(b"\xff" * 1000 for _ in range(100))  # in quarantine, an escape of four bytes for each
    buffer.add(0, parsed(contracts, rows), len(rows))
    assert buffer.bytes > 2.5 * 4 * len(rows) * 0.99


def test_rolling_back_forgets_rows_and_their_bytes(contracts: dict[str, Contract]) -> None:
    buffer = RowBuffer()
    buffer.add(0, parsed(contracts, shipment(1)), 10)
    mark = buffer.mark()
    buffer.add(1, parsed(contracts, shipment(2), b"bad"), 10)
    buffer.roll_back(mark)
    assert (buffer.mark(), len(buffer.entries)) == (mark, 1)


def test_all_rows_come_out_once_and_the_buffer_is_empty(contracts: dict[str, Contract]) -> None:
    buffer = RowBuffer()
    for number in range(5):
        buffer.add(0, parsed(contracts, shipment(number), b"bad"), 10)
        buffer.add(0, parsed(contracts, shipment(10 + number)), 10)
    buffer.add(0, broken_frame(7, "not closed", b"]", "shipments"), 1)
    silver, quarantine = buffer.take([UNIT])
    assert sorted(silver["shipments"]["shipment_id"].to_pylist()) == sorted(
        f"S{n}" for n in [*range(5), *range(10, 15)]
    )
    assert set(silver["shipments"]["_source"].to_pylist()) == {str(UNIT.object.id)}
    assert quarantine is not None
    assert sorted(quarantine["reason"].to_pylist()) == ["broken_frame", *["malformed_json"] * 5]
    assert (buffer.bytes, buffer.entries) == (0, [])
    assert buffer.take([UNIT]) == ({}, None)
