"""A partition of Silver in a folder, as transform's own encoder writes it, and the plan to compact it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from services.shared.columns import silver_columns
from services.shared.compaction import TARGET_BYTES, CompactionPlan, InputFile
from services.shared.contract.model import Contract, Field, FieldType
from services.shared.identities import COMPACTED_ROOT, SILVER_ROOT, CompactionRun, LakeKey, LotId
from services.shared.parquet.files import silver_files
from services.shared.parquet.tables import arrow_type

DT = "2026-01-15"
START = datetime(2026, 1, 15, tzinfo=UTC)
CREATED = datetime(2026, 1, 16, tzinfo=UTC)
RUN = CompactionRun(COMPACTED_ROOT, "parcels", DT, "20260116T030000Z-0011223344556677")

PARCELS = Contract(
    dataset="parcels",
    version="1.0.0",
    fields=(
        Field("at", FieldType.TIMESTAMP, required=True, id=5),
        Field("id", FieldType.STRING, id=6),
        Field("part", FieldType.INTEGER, id=7),
        Field("price", FieldType.DECIMAL, precision=10, scale=2, id=8),
        Field("made", FieldType.DATE, id=9),
        Field(
            "lines",
            FieldType.ARRAY,
            id=10,
            is_nested_column=True,
            children=(
                Field(
                    "element",
                    FieldType.OBJECT,
                    id=11,
                    is_nested_column=True,
                    children=(
                        Field("sku", FieldType.STRING, required=True, id=12),
                        Field("count", FieldType.INTEGER, id=13),
                    ),
                ),
            ),
        ),
    ),
    event_time="at",
    keys=("id", "part"),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)


def parcel(number: int, id_: str | None, part: int | None, seconds: float, **values: Any) -> dict[str, Any]:
    """A row of Silver; `number` is its offset in its object."""
    return {
        "at": START + timedelta(seconds=seconds),
        "id": id_,
        "part": part,
        "price": None,
        "made": date(1500, 1, 1),
        "lines": [{"sku": f"s{number}", "count": number}, None] if number % 3 else None,
        "_source": "s3://bucket/bronze/parcels/a.jsonl#e",
        "_offset": number,
        "_created": CREATED,
        "_rescued": None,
        **values,
    }


def put(root: Path, rows: Sequence[Mapping[str, Any]], contract: Contract = PARCELS, lot: int = 0) -> InputFile:
    """A Silver file of these rows, all of one day."""
    columns = silver_columns(contract)
    schema = pa.schema([(column.name, arrow_type(column)) for column in columns])
    (made,) = silver_files(pa.Table.from_pylist(list(rows), schema), contract, {"smelt.lot": str(lot)})
    day, data, count = made
    return put_bytes(root, data, count, day.isoformat(), contract.dataset, lot)


def put_bytes(root: Path, data: bytes, rows: int, dt: str, dataset: str, lot: int) -> InputFile:
    name = LotId("20260115T101500Z", f"{lot:016x}")
    key = str(LakeKey(SILVER_ROOT, dataset, dt, name, "0123abcd"))
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return InputFile(key, hashlib.md5(data, usedforsecurity=False).hexdigest(), rows, len(data), str(name))


def planned(
    root: Path,
    inputs: Iterable[InputFile],
    contract: Contract = PARCELS,
    target_bytes: int = TARGET_BYTES,
    run: CompactionRun = RUN,
) -> CompactionPlan:
    """The plan, which is put where the job finds it."""
    plan = CompactionPlan.of(run._replace(record_type=contract.dataset), contract, inputs, target_bytes=target_bytes)
    path = root / plan.run.plan_key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(plan.to_json())
    return plan


def with_field(contract: Contract, *fields: Field, **changes: Any) -> Contract:
    """The contract's next version."""
    return replace(contract, version="1.1.0", fields=(*contract.fields, *fields), **changes)
