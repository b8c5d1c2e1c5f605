"""Partitions for the gate: a contract with a rule of every kind, rows that keep all of them, and plans over files."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from local.ministack import ROOT
from services.shared.gate.plan import GatePlan, PlannedFile
from services.shared.identities import GateRun

DT = "2026-01-31"
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: gate-parcels
name: Parcels
version: 1.2.0
status: active
slaProperties:
  - property: latency
    value: 3
    unit: d
    element: parcels.handed_in_at
schema:
  - name: parcels
    logicalType: object
    customProperties:
      - {property: eventTime, value: handed_in_at}
      - {property: earliest, value: "2000-01-01"}
      - {property: maxAhead, value: P1D}
      - property: fieldIds
        value: {handed_in_at: 5, parcel_id: 6, carrier: 7, weight: 8, price: 9, due: 10, email: 11, note: 12}
    quality:
      - {metric: rowCount, mustBeBetween: [5, 1000], name: enough rows}
      - metric: duplicateValues
        arguments: {properties: [parcel_id, carrier]}
        mustBe: 0
        name: no parcel twice
    properties:
      - name: handed_in_at
        logicalType: timestamp
        required: true
        quality:
          - metric: invalidValues
            arguments: {minimum: "2026-01-31T00:00:00Z", maximum: "2026-01-31T23:59:59Z"}
            mustBe: 0
            name: on this day
      - name: parcel_id
        logicalType: string
        required: true
        primaryKey: true
        quality:
          - {metric: nullValues, mustBe: 0, name: parcel_id is there}
      - name: carrier
        logicalType: string
        quality:
          - {metric: nullValues, unit: percent, mustBeLessThan: 10, name: few without carrier}
          - metric: invalidValues
            arguments: {validValues: [DHL, GLS]}
            mustBe: 0
            name: known carrier
      - name: weight
        logicalType: number
        quality:
          - {metric: invalidValues, arguments: {minimum: 0}, mustBe: 0, name: weight is not negative}
      - name: price
        logicalType: number
        physicalType: decimal(10,2)
        quality:
          - {metric: invalidValues, arguments: {maximum: 99.5}, mustBe: 0, name: price is small}
      - name: due
        logicalType: date
        quality:
          - {metric: invalidValues, arguments: {minimum: "2026-01-31"}, mustBe: 0, name: due later}
      - name: email
        logicalType: string
        classification: confidential
        quality:
          - {metric: invalidValues, arguments: {pattern: "^\\\\w+@\\\\w+$"}, mustBe: 0, name: email looks right}
      - name: note
        logicalType: string
        quality:
          - metric: missingValues
            arguments: {missingValues: [null, "", n/a]}
            unit: percent
            mustBeLessOrEqualTo: 50
            name: half of the notes
"""
SCHEMA = pa.schema(
    [
        ("handed_in_at", pa.timestamp("us", "UTC")),
        ("parcel_id", pa.string()),
        ("carrier", pa.string()),
        ("weight", pa.float64()),
        ("price", pa.decimal128(10, 2)),
        ("due", pa.date32()),
        ("email", pa.string()),
        ("note", pa.string()),
        ("_source", pa.string()),
        ("_offset", pa.int64()),
        ("_created", pa.timestamp("us", "UTC")),
        ("_rescued", pa.string()),
    ]
)

Row = dict[str, Any]


def good_rows(number: int = 20) -> list[Row]:
    """Rows of DT that keep every rule but freshness, which depends on the clock."""
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    return [
        {
            "handed_in_at": noon + timedelta(seconds=at),
            "parcel_id": f"p{at}",
            "carrier": None if at == 7 else ("DHL", "GLS")[at % 2],
            "weight": at / 2,
            "price": Decimal("9.50"),
            "due": date(2026, 2, 1),
            "email": "jörg@example",  # a letter that is none in ASCII
            "note": ("fragile", "heavy", "glass", None, "", "n/a")[at % 6],
            "_source": "s3://b/bronze/parcels/a.jsonl#1",
            "_offset": at * 100,
            "_created": noon,
            "_rescued": None,
        }
        for at in range(number)
    ]


def write_file(root: Path, key: str, rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> PlannedFile:
    """A file of rows, as it is planned."""
    file = root / key
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema), file, compression="zstd")
    return PlannedFile(key, len(rows))


def fresh_file(root: Path, age: timedelta = timedelta(hours=1)) -> PlannedFile:
    """A file of the dataset's newest partition."""
    at = datetime.now(UTC) - age
    row = good_rows(1)[0] | {"handed_in_at": at}
    return write_file(root, f"silver/parcels/dt={at.date()}/newest.parquet", [row])


def plan_of(
    root: Path,
    files: Iterable[PlannedFile],
    newest: Iterable[PlannedFile] = (),
    contract: str = CONTRACT,
    missing: Iterable[str] = (),
) -> GatePlan:
    run = GateRun("ge/results", "parcels", DT, "20260201T000000Z", secrets.token_hex(8))
    return GatePlan(run, str(root), contract, datetime.now(UTC), tuple(files), tuple(newest), tuple(missing))


def partition(root: Path, rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> GatePlan:
    """A plan over these rows in two files, with a dataset that is fresh."""
    half = len(rows) // 2
    days = f"silver/parcels/dt={DT}"
    parts = {"a": rows[:half], "b": rows[half:]}
    files = [write_file(root, f"{days}/{name}.parquet", part, schema) for name, part in parts.items()]
    return plan_of(root, files, [fresh_file(root)])


SPARK_PYTHON = ROOT / ".venv-spark/bin/python"


def run_on_spark(folder: Path, plans: Mapping[str, GatePlan], sabotage: Mapping[str, str]) -> dict[str, str]:
    """The result, as JSON, of each plan: the job's code, in one Spark session. `sabotage`: see spark_gate.py."""
    asked = folder / "asked.json"
    asked.write_text(json.dumps({name: [plan.to_json(), sabotage.get(name, "")] for name, plan in plans.items()}))
    done = subprocess.run(
        [SPARK_PYTHON, "-m", "tests.support.spark_gate", asked, folder / "answers.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answers: dict[str, str] = json.loads((folder / "answers.json").read_text())
    return answers
