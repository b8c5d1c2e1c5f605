"""A partition judged again on Spark: what the report says of each row, and that nothing else changes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.ministack import ROOT
from services.shared.compaction import InputFile
from services.shared.contract.model import Contract, Field, FieldType
from services.shared.identities import COMPACTED_ROOT, QUARANTINE_ROOT, CompactionRun, LakeKey, LotId
from services.shared.judge.judge import RowJudge
from services.shared.judge.verdicts import Accepted
from services.shared.parquet.files import quarantine_file, silver_files
from services.shared.parquet.tables import quarantine_table, silver_table, with_lineage
from services.shared.recompute import RecomputePlan
from services.shared.units import BronzeObject
from tests.support.partition import put_bytes
from tests.support.spark import Spark

pytestmark = pytest.mark.spark

DT = "2026-01-15"
CREATED = datetime(2026, 1, 15, 12, tzinfo=UTC)
RUN = CompactionRun(COMPACTED_ROOT, "shipments", DT, "1")


def shipment(number: int, **values: Any) -> bytes:
    row = {"event_time": f"{DT}T10:00:0{number}Z", "shipment_id": f"S{number}", "origin": "Oslo", "destination": "Cork"}
    return json.dumps(row | {"carrier": "DHL", "weight_kg": 1.5} | values).encode()


def loaded(
    root: Path, contracts: dict[str, Contract], name: str, rows: list[bytes], lot: int
) -> tuple[str, list[InputFile], list[InputFile]]:
    """An object in a folder for Bronze, and the files that its rows come to under these contracts."""
    content = b"\n".join(rows) + b"\n"
    data = gzip.compress(content, mtime=0) if name.endswith(".gz") else content
    etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    key = f"bronze/shipments/{name}"
    (root / key).parent.mkdir(parents=True, exist_ok=True)
    (root / key).write_bytes(data)
    source = BronzeObject("b", key, len(data), etag, None, CREATED)
    accepted, refused, offset = [], [], 0
    for row in rows:
        found = RowJudge(contracts).judge(row, "shipments", CREATED)
        if isinstance(found, Accepted):
            accepted.append((offset, found))
        else:
            refused.append((offset, found, row.decode()))
        offset += len(row) + 1
    silver = [
        put_bytes(root, made, count, day.isoformat(), "shipments", lot)
        for day, made, count in silver_files(
            with_lineage(silver_table(contracts["shipments"], accepted), source), contracts["shipments"], {}
        )
    ]
    quarantine = []
    if refused:
        made = quarantine_file(with_lineage(quarantine_table(refused), source), {})
        id_ = LotId("20260115T101500Z", f"{lot:016x}")
        name = str(LakeKey(QUARANTINE_ROOT, "shipments", DT, id_, "0123abcd"))
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(made)
        digest = hashlib.md5(made, usedforsecurity=False).hexdigest()
        quarantine = [InputFile(name, digest, len(refused), len(made), str(id_))]
    return str(source.id), silver, quarantine


def todays() -> dict[str, str]:
    """Contracts of today: a carrier is required, and shipments of 1999 are accepted."""
    document = yaml.safe_load((ROOT / "contracts/shipments.yaml").read_text())
    schema = document["schema"][0]
    for one in schema["customProperties"]:
        if one["property"] == "earliest":
            one["value"] = "1990-01-01"
    next(one for one in schema["properties"] if one["name"] == "carrier")["required"] = True
    return {"shipments": yaml.safe_dump(document, sort_keys=False)}


def test_each_row_is_told_by_its_fate_and_nothing_else_changes(
    spark: Spark, tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    root = tmp_path
    plain = [
        shipment(1),
        shipment(2, carrier=None),  # accepted so far
        shipment(3, event_time="1999-05-05T00:00:00Z"),  # refused so far: too early
        b'{"broken": ',
        shipment(4, weight_kg="heavy"),  # refused then and now
    ]
    first, silver, quarantine = loaded(root, contracts, "a.jsonl", plain, 1)
    zipped, more, _ = loaded(root, contracts, "b.jsonl.gz", [shipment(5), shipment(6, carrier=None)], 2)
    gone, lost, _ = loaded(root, contracts, "c.jsonl", [shipment(7)], 3)
    (root / "bronze/shipments/c.jsonl").unlink()
    plan = RecomputePlan(RUN, todays(), (*silver, *more, *lost), tuple(quarantine))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    report = spark.ask("recompute", lake=str(root), bronze=str(root), plan=plan.to_json())

    assert report["rows"] == {
        "same": 4,
        "changed": 0,
        "moved": 0,
        "refused": 2,
        "accepted": 1,
        "other_reason": 0,
        "unreadable": 1,
    }
    assert report["objects"] == sorted([first, zipped, gone])
    told = {(one["source"], one["offset"]): (one["fate"], one["now"]) for one in report["differences"]}
    assert told[first, len(plain[0]) + 1][0] == "refused"
    assert "missing_required, carrier" in told[first, len(plain[0]) + 1][1]
    assert told[first, len(plain[0]) + len(plain[1]) + 2] == ("accepted", "silver/shipments/dt=1999-05-05/")
    assert told[gone, 0][0] == "unreadable"
    assert json.loads((root / plan.report_key).read_text()) == report
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert {path: seen for path, seen in after.items() if path in before} == before
    assert [str(path.relative_to(root)) for path in after if path not in before] == [plan.report_key]


def test_an_object_that_no_worker_could_hold_is_told_unread(
    spark: Spark, tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    large, silver, _ = loaded(tmp_path, contracts, "a.jsonl", [shipment(1)], 1)
    os.truncate(tmp_path / "bronze/shipments/a.jsonl", (1 << 30) + 1)  # who reads it tells of another content
    plan = RecomputePlan(RUN, todays(), tuple(silver), ())
    report = spark.ask("recompute", lake=str(tmp_path), bronze=str(tmp_path), plan=plan.to_json())
    (told,) = report["differences"]
    assert (told["source"], told["fate"]) == (large, "unreadable")
    assert told["now"] == "the object has more than 1,073,741,824 bytes"


def test_under_the_same_contracts_everything_stays(
    spark: Spark, tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    _, silver, quarantine = loaded(
        tmp_path, contracts, "a.jsonl", [shipment(1, extra={"a": [1]}), shipment(2, carrier=7)], 1
    )
    same = {"shipments": (ROOT / "contracts/shipments.yaml").read_text()}
    plan = RecomputePlan(RUN, same, tuple(silver), tuple(quarantine))
    report = spark.ask("recompute", lake=str(tmp_path), bronze=str(tmp_path), plan=plan.to_json())

    assert (report["rows"]["same"], report["objects"], report["differences"]) == (2, [], [])


def test_a_field_that_is_new_and_required_is_no_column_of_older_files(
    spark: Spark, tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    rows = [shipment(1), shipment(2, seal="A7")]
    _, silver, quarantine = loaded(tmp_path, contracts, "a.jsonl", rows, 1)
    report = spark.ask(
        "recompute",
        lake=str(tmp_path),
        bronze=str(tmp_path),
        plan=RecomputePlan(RUN, with_seal(), tuple(silver), tuple(quarantine)).to_json(),
    )
    told = [(one["fate"], one["now"]) for one in report["differences"]]
    assert told == [
        ("refused", "quarantine: missing_required, seal: is missing"),
        ("changed", "other values of seal, _rescued"),
    ]


def test_a_value_that_a_narrower_decimal_does_not_hold_is_refused(
    spark: Spark, tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    price = Field("price", FieldType.DECIMAL, precision=12, scale=2, id=11)
    wide = {"shipments": replace(contracts["shipments"], fields=(*contracts["shipments"].fields, price))}
    rows = [shipment(1, price=1.5), shipment(2, price=123456.5), shipment(3)]
    _, silver, quarantine = loaded(tmp_path, wide, "a.jsonl", rows, 1)
    narrow = {"name": "price", "logicalType": "number", "physicalType": "decimal(5,2)", "description": "Its price."}
    plan = RecomputePlan(RUN, with_field(narrow), tuple(silver), tuple(quarantine))
    report = spark.ask("recompute", lake=str(tmp_path), bronze=str(tmp_path), plan=plan.to_json())
    assert (report["rows"]["same"], report["rows"]["refused"]) == (2, 1)
    assert "out_of_range, price" in report["differences"][0]["now"]


def with_seal() -> dict[str, str]:
    """Contracts of today, with one field more, which is required."""
    return with_field({"name": "seal", "logicalType": "string", "required": True, "description": "Its seal."})


def with_field(field: dict[str, Any]) -> dict[str, str]:
    """Contracts of today, with one field more."""
    document = yaml.safe_load((ROOT / "contracts/shipments.yaml").read_text())
    schema = document["schema"][0]
    schema["properties"].append(field)
    next(one for one in schema["customProperties"] if one["property"] == "fieldIds")["value"][field["name"]] = 11
    return {"shipments": yaml.safe_dump(document, sort_keys=False)}
