#!/usr/bin/env python3
"""Writes the columns of the catalog's tables that come from the code, not from contracts, for Terraform.

They are Silver's lineage, quarantine, and the two tables of the history, in modules/catalog/own_columns.json. `--check`
only says whether the file is current.

.venv/bin/python infra/terraform/tools/own_columns.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from services.ops.cli.console import run, say  # noqa: E402
from services.ops.errors import OperatorError  # noqa: E402
from services.ops.history import schema as history  # noqa: E402
from services.shared.athena import hive_type  # noqa: E402
from services.shared.columns import LINEAGE, QUARANTINE, Column  # noqa: E402

OUT = ROOT / "infra/terraform/modules/catalog/own_columns.json"


def own_columns() -> dict[str, list[dict[str, str]]]:
    """Table (`lineage`: the last columns of silver) -> its columns: name, Hive type, comment."""
    return {
        "lineage": _described(LINEAGE),
        "quarantine": _described(QUARANTINE),
        "load_history": _of_history(history.OBJECTS, history.OBJECT_MEANINGS),
        "load_history_lots": _of_history(history.LOTS, history.LOT_MEANINGS),
    }


def hive_type_of(kind: pa.DataType) -> str:
    """The Hive type of an Arrow type that the history has.

    Raises:
        KeyError: the history has not had such a type yet.
    """
    if pa.types.is_list(kind):
        return f"array<{hive_type_of(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{field.name}:{hive_type_of(field.type)}' for field in kind)}>"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return {pa.string(): "string", pa.int64(): "bigint"}[kind]


def _described(columns: Iterable[Column]) -> list[dict[str, str]]:
    return [{"name": one.name, "type": hive_type(one), "comment": one.meaning} for one in columns]


def _of_history(schema: pa.Schema, meanings: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": one.name, "type": hive_type_of(one.type), "comment": meanings[one.name]} for one in schema]


def write(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the file is current.")] = False,
) -> None:
    """Write the columns of our own tables for Terraform."""
    text = json.dumps(own_columns(), indent=2) + "\n"
    if not check:
        OUT.write_text(text, "utf-8")
        say(f"written to {OUT.relative_to(ROOT)}")
    elif OUT.read_text("utf-8") != text:
        raise OperatorError(f"{OUT.relative_to(ROOT)} is not current: run {Path(__file__).relative_to(ROOT)}")


if __name__ == "__main__":
    run(write)
