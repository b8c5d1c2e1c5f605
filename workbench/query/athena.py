"""Athena's SQL over the lake's files on disk: sqlglot translates it, DuckDB runs it.

Shows what an analyst will see, without Athena. There are the tables that Terraform makes there (`silver`, `quarantine`,
`load_history`, `load_history_lots`, and the view `load_history_files`), with their partition columns, and a view for
each dataset in Silver, with `dt`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import errors, exp

from services.ops.errors import OperatorError
from services.ops.history.schema import LOTS, OBJECTS
from services.shared.athena import OWN_TABLES
from services.shared.columns import LINEAGE, QUARANTINE, Column
from services.shared.contract.model import FieldType

_TYPES = {FieldType.STRING: "VARCHAR", FieldType.INTEGER: "BIGINT", FieldType.TIMESTAMP: "TIMESTAMPTZ"}
_FOLDER = "split_part(filename, '/', -3)"  # in which the folders dt=... are
_HISTORY = {"load_history": ("objects", OBJECTS), "load_history_lots": ("lots", LOTS)}
_VIEWS = Path(__file__).resolve().parents[2] / "sql/athena/views"
_PARTITIONED = "hive_partitioning = true, hive_types = {'dt': 'VARCHAR'}"


class QueryError(OperatorError):
    """A query that cannot be run; the message says where it is wrong."""


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
        self._make_view(lake, "silver", f"* EXCLUDE (filename), {_FOLDER} AS record_type")
        self._make_view(lake, "quarantine", f"* EXCLUDE (filename), {_FOLDER} AS dataset")
        for folder in sorted(lake.glob("silver/*")):
            if folder.name not in OWN_TABLES and any(folder.glob("dt=*/*.parquet")):
                self._view_over(folder.name, folder / "dt=*" / "*.parquet", "* EXCLUDE (filename)")
        if "silver" not in self.tables:
            self._make_empty("silver", LINEAGE, ("record_type", "dt"))
        if "quarantine" not in self.tables:
            self._make_empty("quarantine", QUARANTINE, ("dataset", "dt"))
        for name, (folder_name, schema) in _HISTORY.items():
            if any(lake.glob(f"history/{folder_name}/dt=*/*.parquet")):
                self.tables.add(name)
                self._view_over(name, lake / "history" / folder_name / "dt=*" / "*.parquet", "* EXCLUDE (filename)")
            else:
                self._connection.register(name, schema.append(pa.field("dt", pa.string())).empty_table())
        for file in _VIEWS.glob("*.sql"):
            (view,) = statements_of(file.read_text("utf-8"))
            self._connection.execute(f'CREATE VIEW "{file.stem}" AS {view.sql("duckdb")}')

    def query(self, sql: str) -> Answer:
        """Run one query in Athena's SQL.

        Raises:
            QueryError: it is not one query, or cannot be run.
        """
        answers = self.stream(sql)
        columns = next(answers)
        return Answer(columns, [row for rows in answers for row in rows])

    def stream(self, sql: str, rows_at_once: int = 10_000) -> Iterator[Any]:
        """Run one query: gives the names of its columns, then lists of its rows, in constant memory.

        Raises:
            QueryError: it is not one query, or cannot be run.
        """
        statements = statements_of(sql)
        if len(statements) != 1:
            raise QueryError(f"{len(statements)} statements are given where one query is expected.")
        try:
            statement = _with_names(_without_databases(statements[0], self._names()))
            result = self._connection.sql(statement.sql("duckdb"))
            if result is None:  # a statement that gives no rows
                yield []
                return
            reader = result.to_arrow_reader(rows_at_once)  # DuckDB's own rows need pytz for timestamps
            yield reader.schema.names
            for batch in reader:
                yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        except duckdb.Error as error:
            raise QueryError(f"{_first_lines(error)} Tables: {', '.join(self._names())}.") from error

    def _names(self) -> list[str]:
        return [row[0] for row in self._connection.execute("SHOW TABLES").fetchall()]

    def _make_view(self, lake: Path, root: str, selected: str) -> None:
        if any(lake.glob(f"{root}/*/dt=*/*.parquet")):
            self.tables.add(root)
            self._view_over(root, lake / root / "*" / "dt=*" / "*.parquet", selected)

    def _view_over(self, name: str, files: Path, selected: str) -> None:
        pattern = str(files).replace("'", "''")
        self._connection.execute(
            f'CREATE VIEW "{name}" AS SELECT {selected} FROM read_parquet('  # noqa: S608 (our own folder)
            f"'{pattern}', union_by_name = true, filename = true, {_PARTITIONED})"
        )

    def _make_empty(self, name: str, columns: Sequence[Column], partitions: Sequence[str]) -> None:
        """A table without rows, where no file says what its columns are."""
        typed = [f"{column.name} {_TYPES[column.type]}" for column in columns]
        typed += [f"{name} VARCHAR" for name in partitions if name not in {column.name for column in columns}]
        self._connection.execute(f"CREATE TABLE {name} ({', '.join(typed)})")


def statements_of(sql: str) -> list[exp.Expr]:
    """The statements of a text in Athena's SQL.

    Raises:
        QueryError: it is not SQL; the message says where.
    """
    try:
        return [statement for statement in sqlglot.parse(sql, read="athena") if statement is not None]
    except errors.ParseError as error:
        found = error.errors[0]
        near = " ".join(f"{found['start_context']}{found['highlight']}".split())[-60:]
        raise QueryError(
            f"Line {found['line']}, column {found['col']}: {found['description'].rstrip('.')}, near {near!r}."
        ) from error
    except errors.SqlglotError as error:
        raise QueryError(f"This is not Athena's SQL: {_first_lines(error)}") from error


def _without_databases(statement: exp.Expr, tables: Sequence[str]) -> exp.Expr:
    """The statement with our tables by their names alone: `"lake".silver` is `silver`, whatever the database's name."""
    for table in statement.find_all(exp.Table):
        if table.db and table.name in tables and table.db != "information_schema":
            table.set("db", None)
            table.set("catalog", None)
    return statement


def _with_names(statement: exp.Expr) -> exp.Expr:
    """The statement with Athena's names for columns without one: `_col0`, `_col1`, by their place."""
    if isinstance(statement, exp.Select):
        for at, column in enumerate(statement.selects):
            if not isinstance(column, exp.Column | exp.Dot | exp.Star) and not column.alias:
                column.replace(exp.alias_(column.copy(), f"_col{at}"))
    return statement


def _first_lines(error: Exception) -> str:
    """What is wrong, without the picture of where, on one line that ends as a sentence."""
    text = " ".join(line.strip() for line in str(error).split("\n\n")[0].splitlines() if line.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."
