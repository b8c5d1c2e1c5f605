"""An object that is not JSON is rejected as a whole, with its reason and advice, and nothing of it is tried again."""

from __future__ import annotations

import gzip
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.shared.ledger.records import ObjectState
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, crash, shipment
from tests.support.faults import Interrupter


def parquet() -> bytes:
    out = BytesIO()
    pq.write_table(pa.table({"shipment_id": [str(number) for number in range(500)]}), out)
    return out.getvalue()


def upload(rig: Rig, data: bytes, name: str = "a.jsonl") -> BronzeObject:
    return rig.plan(rig.lake.upload(f"bronze/shipments/{rig.name}-{name}", data))


@pytest.mark.parametrize("unit_bytes", [1024, 1 << 20])
@pytest.mark.parametrize("data", [parquet(), gzip.compress(parquet())], ids=["plain", "compressed"])
def test_all_units_of_it_are_acknowledged_and_its_neighbours_are_committed(
    rig: Rig, unit_bytes: int, data: bytes
) -> None:
    rig.unit_bytes = unit_bytes
    source = upload(rig, data)
    rig.upload("shipments", [shipment(number) for number in range(10)])
    result = rig.deliver(rig.units)
    assert result is not None
    assert result.failed == {} and result.dead == {}
    assert list(result.rejected) == [source.id] and result.rejected_bytes == source.size
    (known,) = rig.ledger.find_objects([source.id])
    assert (known.state, known.reason) == (ObjectState.REJECTED, "parquet")
    assert "a Parquet file" in known.advice and "convert it to JSON lines" in known.advice
    rig.forget(source)
    rig.check_exactly_once()
    assert rig.dead_letters.sent == []


def test_a_worker_that_dies_while_it_rejects_harms_nothing(rig: Rig) -> None:
    rig.unit_bytes = 4096
    for step in range(1, 10):
        source = upload(rig, parquet() + bytes([step]), f"{step}.jsonl")
        units = [unit for unit in rig.units if unit.object.id == source.id]
        died = rig.deliver(units, Interrupter(step, before=False, action=crash)) is None
        rig.drain(units)
        (known,) = rig.ledger.find_objects([source.id])
        assert known.state is ObjectState.REJECTED
        rig.forget(source)
        rig.check_exactly_once()
        if not died:
            return
    raise AssertionError("the worker died at every step")


@pytest.mark.parametrize("unit_bytes", [200, 1 << 20])
def test_compressed_lines_that_were_planned_in_ranges_are_loaded_once(rig: Rig, unit_bytes: int) -> None:
    rig.unit_bytes = unit_bytes
    lines = [shipment(number) for number in range(200)]
    source = upload(rig, gzip.compress(b"".join(line + b"\n" for line in lines)))
    rig.expect(source, lines)
    rig.drain(rig.units)
    rig.check_exactly_once()
    (known,) = rig.ledger.find_objects([source.id])
    assert known.plan.units > 1 or unit_bytes > source.size
