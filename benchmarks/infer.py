"""What `smelt infer`, DuckDB and pandas take the same JSON lines for.

    python -m benchmarks.infer [FILE NAME]

Without a file, one is made whose fields are those that inference gets wrong: digits that are no number, integers that
a double cannot hold, days and times as text, times since 1970, values of two types, keys that are data.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROWS = 20_000


def make(file: Path) -> Path:
    """The file of fields that are hard."""
    with file.open("w") as out:
        for number in range(ROWS):
            row: dict[str, Any] = {
                "order_id": f"o{number}",
                "event_time": f"2026-01-{1 + number % 28:02d}T08:00:00+02:00",
                "ship_date": f"2026-02-{1 + number % 28:02d}",
                "created_ms": 1_767_225_600_000 + number,
                "zip": f"{number % 99_999:05d}",
                "snowflake": 1_234_567_890_123_456_789 + number,
                "token": 10**20 + number,
                "price": number / 100,
                "paid": number % 2 == 0,
                "mixed": number if number % 2 else f"n{number}",
                "nothing": None,
                "customer": {"id": number, "tier": None if number % 3 else "gold"},
                "lines": [{"sku": f"s{number % 50}", "quantity": 1 + number % 3}],
            }
            if number % 10 == 0:
                row["coupon"] = "SPRING"
            if number == ROWS - 1:
                row["late"] = 1
            out.write(json.dumps(row) + "\n")
    return file


def smelt(file: Path, name: str) -> dict[str, str]:
    from workbench.infer.infer import infer

    found = infer([file], name)
    fields = {
        field.name: f"{field.type.value}{'' if field.required else ', optional'}{_precision(field)}"
        for field in found.contract.fields
    }
    return fields | {key: f"({why})" for key, why in found.findings.drafts.left_out.items()}


def _precision(field: Any) -> str:
    return f" ({field.precision},{field.scale})" if field.precision else ""


def duckdb(file: Path, name: str) -> dict[str, str]:  # noqa: ARG001
    import duckdb as db

    with db.connect() as connection:
        found = connection.execute("DESCRIBE SELECT * FROM read_json(?)", [str(file)]).fetchall()
    return {row[0]: row[1] for row in found}


def pandas(file: Path, name: str) -> dict[str, str]:  # noqa: ARG001
    """It refuses a whole file because of an integer beyond 64 bits; then it is asked again without such keys."""
    import pandas as pd

    try:
        return {str(key): str(type_) for key, type_ in pd.read_json(file, lines=True).dtypes.items()}
    except ValueError as error:
        rows = [json.loads(line) for line in file.open()]
        large = {key for row in rows for key, value in row.items() if isinstance(value, int) and abs(value) >= 2**63}
        rest = "".join(json.dumps({key: row[key] for key in row if key not in large}) + "\n" for row in rows)
        types = pd.read_json(StringIO(rest), lines=True).dtypes
        return dict.fromkeys(large, f"{error} (whole file)") | {str(key): str(type_) for key, type_ in types.items()}


ENGINES: dict[str, Callable[[Path, str], dict[str, str]]] = {"smelt": smelt, "duckdb": duckdb, "pandas": pandas}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, name = (
            (Path(sys.argv[1]), sys.argv[2]) if len(sys.argv) > 2 else (make(Path(folder) / "a.jsonl"), "orders")
        )
        found, seconds = {}, {}
        for engine, run in ENGINES.items():
            started = time.perf_counter()
            found[engine] = run(file, name)
            seconds[engine] = time.perf_counter() - started
    table = Table("key", *ENGINES, title=f"{file.name}: types", title_justify="left")
    for key in dict.fromkeys(key for types in found.values() for key in types):
        table.add_row(key, *(types.get(key, "") for types in found.values()))
    table.add_section()
    table.add_row("seconds", *(f"{number:.1f}" for number in seconds.values()))
    Console(width=118).print(table)


if __name__ == "__main__":
    main()
