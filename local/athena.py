"""Athena's SQL over the lake's files on disk: sqlglot translates it, DuckDB runs it.

Shows what an analyst will see, without Athena. The views `silver` and `quarantine` have the partition columns
`record_type` and `dt`, as Athena's tables do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import sqlglot


class Answer(NamedTuple):
    """A query's column names and rows."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


class LocalAthena:
    """Queries over a lake's folder, which contains `silver/` and `quarantine/`."""

    def __init__(self, lake: Path) -> None:
        self._connection = duckdb.connect()
        self.tables: set[str] = set()  # those that have at least one file
        self._connection.execute("SET TimeZone = 'UTC'; SET integer_division = true")
        columns = {
            "silver": "split_part(filename, '/', -3) AS record_type, * EXCLUDE (filename)",
            "quarantine": "* EXCLUDE (filename)",
        }
        for root, selected in columns.items():
            if any(lake.glob(f"{root}/*/dt=*/*.parquet")):
                self.tables.add(root)
                files = str(lake / root / "*" / "dt=*" / "*.parquet").replace("'", "''")
                self._connection.execute(
                    f"CREATE VIEW {root} AS SELECT {selected} FROM read_parquet('{files}', "  # noqa: S608 (our own folder)
                    "union_by_name = true, filename = true, hive_partitioning = true, hive_types = {'dt': 'VARCHAR'})"
                )

    def query(self, sql: str) -> Answer:
        """Run one query in Athena's SQL."""
        translated = sqlglot.transpile(sql, read="athena", write="duckdb")[0]
        table = self._connection.sql(translated).to_arrow_table()
        return Answer(table.column_names, [tuple(row.values()) for row in table.to_pylist()])
