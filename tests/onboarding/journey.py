"""From files to Silver as a person goes it, and Silver held against what Python's json reads from the same files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from services.shared.contract.loader import load_contract
from services.shared.contract.model import Contract, Field, FieldType
from tests.unit.workbench.conftest import Smelt


def onboard(smelt: Smelt, files: Sequence[Path], dataset: str, *options: str) -> Contract:
    """infer, check and try; the contract. Every row of the files must reach Silver."""
    file = Path("contracts") / f"{dataset}.yaml"
    code, _, told = smelt("infer", *files, "--name", dataset, "--out", file, *options)
    assert code == 0, told
    code, said, told = smelt("contracts", "check", file)
    assert code == 0, said + told
    code, said, told = smelt("try", *files, "--contract", file, "--json", "--jobs", "1")
    assert code == 0, said + told
    rows = json.loads(said)["rows"]
    assert rows["read"] == rows["silver"] > 0
    return load_contract(file)


def check_silver(contract: Contract, expected: Iterable[dict[str, Any]], files: int = 1) -> None:
    """Every field of every expected row is in Silver, once, in the order of the rows where there is one file."""
    table = ds.dataset(".smelt/try/silver", format="parquet", partitioning="hive").to_table()
    silver = sorted(table.to_pylist(), key=lambda row: (row["_source"], row["_offset"]))
    wanted = [_columns(contract, row) for row in expected]
    found = [{name: row[name] for name in _names(contract)} for row in silver]
    if files > 1:
        wanted, found = sorted(wanted, key=repr), sorted(found, key=repr)
    assert len({(row["_source"], row["_offset"]) for row in silver}) == len(wanted)
    assert found == wanted


def _names(contract: Contract) -> list[str]:
    return [field.name for field in contract.fields]


def _columns(contract: Contract, row: dict[str, Any]) -> dict[str, Any]:
    return {field.name: _value(field, _at(row, field)) for field in contract.fields}


def _at(row: Any, field: Field) -> Any:
    for step in field.path:
        if isinstance(step, str):
            row = row.get(step) if isinstance(row, dict) else None
        else:
            row = row[step] if isinstance(row, list) and len(row) > step else None
    return row


def _value(field: Field, value: Any) -> Any:
    """What Silver must hold for a value, by the contract's words alone."""
    if value is None:
        return None
    match field.type:
        case FieldType.TIMESTAMP if field.takes_strings and isinstance(value, str):
            seconds, _, micros = value.partition(".")
            whole = datetime.fromtimestamp(int(seconds), UTC)
            return whole + timedelta(microseconds=int(micros.ljust(6, "0")[:6]))
        case FieldType.TIMESTAMP if isinstance(value, int | float):
            return datetime.fromtimestamp(
                value / {"epoch_seconds": 1, "epoch_milliseconds": 1000}[field.time.pattern], UTC
            )
        case FieldType.TIMESTAMP:
            return datetime.fromisoformat(value)
        case FieldType.DATE:
            return date.fromisoformat(value)
        case FieldType.NUMBER:
            assert math.isfinite(value)
            return float(value)
        case FieldType.OBJECT | FieldType.ARRAY if not field.is_nested_column:
            return _Json(value)
    return value


class _Json:
    """Equal to a text that says the same."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and json.loads(other) == self.value

    def __repr__(self) -> str:
        return repr(json.dumps(self.value, ensure_ascii=False))
