"""Athena's SQL over the lake's files on disk: sqlglot translates it, DuckDB runs it.

Shows what an analyst will see, without Athena. There are the tables that Terraform makes there (`silver`, `quarantine`,
`load_history`, `load_history_lots`, and the view `load_history_files`), with their partition columns, and a view for
each dataset in Silver, with `dt`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import errors, exp

from services.ops.errors import OperatorError
from services.ops.history.schema import LOTS, OBJECTS
from services.shared.athena import OWN_TABLES
from services.shared.columns import LINEAGE, QUARANTINE, Column, silver_columns
from services.shared.contract.loader import load_contract
from services.shared.contract.model import Contract, ContractError, FieldType
from services.shared.parquet.tables import arrow_type
from workbench.inprocess.folder import CONTRACTS, pattern
from workbench.query.functions import check_functions
from workbench.query.macros import MACROS
from workbench.query.meaning import with_athenas_meaning

_TYPES = {FieldType.STRING: "VARCHAR", FieldType.INTEGER: "BIGINT", FieldType.TIMESTAMP: "TIMESTAMPTZ"}
_FILE = "_file"  # the column of a file's name while it is read; no field can be called so
# Folders above the lake may be called a=b, too, so what a partition's folder says is taken from its own place alone.
_DT = f"substr(split_part({_FILE}, '/', -2), 4) AS dt"
_ALL = f"* EXCLUDE ({_FILE}), {_DT}"
_FOLDER = f"split_part({_FILE}, '/', -3)"  # in which the folders dt=... are
_HISTORY = {"load_history": ("objects", OBJECTS), "load_history_lots": ("lots", LOTS)}
_VIEWS = Path(__file__).resolve().parents[2] / "sql/athena/views"
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(ANALYZE\s+)?", re.IGNORECASE)
_MISSING = re.compile(r"Required keyword: '\w+' missing for <class '[\w.]*\.(\w+)'>")
_OWN_TABLE = re.compile(r' Did you mean "(pg|duckdb|sqlite|pragma)_\w*"\?')
_QUERIES = {duckdb.StatementType.SELECT}
logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what DuckDB understands, such as SHOW TABLES


class QueryError(OperatorError):
    """A query that cannot be run; the message says where it is wrong."""


class Answer(NamedTuple):
    """A query's column names and rows."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


class LocalAthena:
    """Queries over a lake's folder, which contains `silver/` and `quarantine/`. They read that folder and nothing else.

    Raises:
        QueryError: a file of the lake cannot be read.
    """

    def __init__(self, lake: Path) -> None:
        self._connection = duckdb.connect()
        self.tables: set[str] = set()  # those that have at least one file
        self._connection.execute(
            "SET TimeZone = 'UTC'; SET integer_division = true; SET python_enable_replacements = false"
        )
        self._connection.execute(MACROS)
        allowed = [str(lake), pattern(lake)]  # DuckDB looks at the pattern, too, and at its text
        self._connection.execute("SET allowed_directories = ?", [allowed])
        self._connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        try:
            self._make_tables(lake)
        except duckdb.Error as error:
            raise QueryError(f"{lake}: its files cannot be read: {_first_lines(error)}") from error

    def _make_tables(self, lake: Path) -> None:
        self._make_view(lake, "silver", f"{_ALL}, {_FOLDER} AS record_type")
        self._make_view(lake, "quarantine", f"{_ALL}, {_FOLDER} AS dataset")
        for folder in sorted(lake.glob("silver/*")):
            if folder.name not in OWN_TABLES and any(folder.glob("dt=*/*.parquet")):
                self._view_over(folder.name, pattern(folder, "dt=*", "*.parquet"), _ALL)
        if "silver" not in self.tables:
            self._make_empty("silver", LINEAGE, ("record_type", "dt"))
        if "quarantine" not in self.tables:
            self._make_empty("quarantine", QUARANTINE, ("dataset", "dt"))
        for contract in _contracts_in(lake / CONTRACTS):
            if not any(lake.glob(f"silver/{contract.dataset}/dt=*/*.parquet")):
                columns = [pa.field(column.name, arrow_type(column)) for column in silver_columns(contract)]
                self._connection.register(
                    contract.dataset, pa.schema([*columns, pa.field("dt", pa.string())]).empty_table()
                )
        for name, (folder_name, schema) in _HISTORY.items():
            if any(lake.glob(f"history/{folder_name}/dt=*/*.parquet")):
                self.tables.add(name)
                self._view_over(name, pattern(lake, "history", folder_name, "dt=*", "*.parquet"), _ALL)
            else:
                self._connection.register(name, schema.append(pa.field("dt", pa.string())).empty_table())
        for file in _VIEWS.glob("*.sql"):
            (view,) = statements_of(file.read_text("utf-8"))
            self._connection.execute(f'CREATE VIEW "{file.stem}" AS {with_athenas_meaning(view).sql("duckdb")}')

    def query(self, sql: str) -> Answer:
        """Run one query in Athena's SQL.

        Raises:
            QueryError: it is not one query, or cannot be run.
        """
        answers = self.stream(sql)
        columns = next(answers)
        return Answer(columns, [row for rows in answers for row in rows])

    def stream(self, sql: str | exp.Expr, rows_at_once: int = 10_000) -> Iterator[Any]:
        """Run one query: gives the names of its columns, then lists of its rows, in constant memory.

        Raises:
            QueryError: it is not one query, or cannot be run.
        """
        statements = statements_of(sql) if isinstance(sql, str) else [sql]
        if len(statements) != 1:
            raise QueryError(f"{len(statements)} statements are given where one query is expected.")
        try:
            check_functions(statements[0])
            statement = _with_names(_without_databases(with_athenas_meaning(statements[0]), self._names()))
            text = statement.sql("duckdb", unsupported_level=errors.ErrorLevel.RAISE)
            if not _is_query(text):
                raise QueryError(
                    "This is no query: only what asks is run here, such as SELECT, SHOW TABLES and DESCRIBE."
                )
            reader = self._waited_for(  # Arrow's, as DuckDB's own rows need pytz for timestamps
                lambda: self._connection.sql(text).to_arrow_reader(rows_at_once)
            )
            yield reader.schema.names
            while (batch := self._waited_for(lambda: next(reader, None))) is not None:
                yield list(zip(*(column.to_pylist(maps_as_pydicts="strict") for column in batch.columns), strict=True))
        except errors.UnsupportedError as error:
            raise QueryError(
                f"DuckDB, which runs queries here, may answer something else than Athena: {_first_lines(error)}"
            ) from error
        except OverflowError as error:  # Python's dates end before DuckDB's
            raise QueryError(
                "A date or a time in the answer is not in the years 1 to 9999, which are shown here. "
                "from_unixtime takes seconds: divide milliseconds by 1000."
            ) from error
        except (duckdb.Error, OSError) as error:  # what DuckDB finds in later rows, Arrow's reader raises as OSError
            raise QueryError(f"{_explained(error)} Tables: {', '.join(self._names())}.") from error
        finally:
            self._connection.interrupt()  # what nobody reads any more

    def _waited_for(self, step: Callable[[], Any]) -> Any:
        """What DuckDB does, in a thread beside this one: it sees Ctrl-C late or never, and takes it for an error."""
        thread = ThreadPoolExecutor(1)
        try:
            return thread.submit(step).result()
        except KeyboardInterrupt:
            after = thread.submit(int)
            while not after.done():  # again, for the step may not have begun
                self._connection.interrupt()
                wait([after], timeout=0.1)
            raise
        finally:
            thread.shutdown(wait=False)

    def _names(self) -> list[str]:
        return [row[0] for row in self._connection.execute("SHOW TABLES").fetchall()]

    def _make_view(self, lake: Path, root: str, selected: str) -> None:
        if any(lake.glob(f"{root}/*/dt=*/*.parquet")):
            self.tables.add(root)
            self._view_over(root, pattern(lake, root, "*", "dt=*", "*.parquet"), selected)

    def _view_over(self, name: str, files: str, selected: str) -> None:
        table, files = name.replace('"', '""'), files.replace("'", "''")
        self._connection.execute(
            f'CREATE VIEW "{table}" AS SELECT {selected} FROM read_parquet('  # noqa: S608 (our own folder)
            f"'{files}', union_by_name = true, filename = '{_FILE}', hive_partitioning = false)"
        )

    def _make_empty(self, name: str, columns: Sequence[Column], partitions: Sequence[str]) -> None:
        """A table without rows, where no file says what its columns are."""
        typed = [f"{column.name} {_TYPES[column.type]}" for column in columns]
        typed += [f"{name} VARCHAR" for name in partitions if name not in {column.name for column in columns}]
        self._connection.execute(f"CREATE TABLE {name} ({', '.join(typed)})")


def _contracts_in(folder: Path) -> Iterator[Contract]:
    """Those that judged a trial; a dataset of which no row is in Silver has its columns from them."""
    for file in sorted(folder.glob("*.yaml")):
        with suppress(ContractError):  # of a trial by an earlier version; datasets with rows are there all the same
            yield load_contract(file)


def statements_of(sql: str) -> list[exp.Expr]:
    """The statements of a text in Athena's SQL.

    Raises:
        QueryError: it is not SQL; the message says where.
    """
    try:
        return [statement for statement in sqlglot.parse(sql, read="athena") if statement is not None]
    except RecursionError as error:
        raise QueryError("This query is nested too deep to be read.") from error
    except errors.ParseError as error:
        found = error.errors[0]
        near = " ".join(f"{found['start_context']}{found['highlight']}".split())[-60:]
        raise QueryError(
            f"Line {found['line']}, column {found['col']}: {_said(found['description'])}, near {near!r}."
        ) from error
    except errors.TokenError as error:  # such as a quote that is not closed
        why = f" {error.__cause__}:" if isinstance(error.__cause__, errors.TokenError) else ""
        raise QueryError(f"This is not Athena's SQL:{why} {_first_lines(error)}") from error
    except errors.SqlglotError as error:
        raise QueryError(f"This is not Athena's SQL: {_first_lines(error)}") from error


def _said(description: str) -> str:
    """What sqlglot says, with the word of SQL in place of its own class."""
    return _MISSING.sub(lambda found: f"{found[1].upper()} is not complete", description.rstrip("."))


def _is_query(text: str) -> bool:
    """Whether DuckDB takes this SQL for one that asks: it changes nothing and writes no file."""
    explained = _EXPLAIN.match(text)
    if explained:
        return _is_query(text[explained.end() :])
    return all(one.type in _QUERIES for one in duckdb.extract_statements(text))


def _without_databases(statement: exp.Expr, tables: Sequence[str]) -> exp.Expr:
    """The statement with our tables under DuckDB's own `main`: `"lake".silver` is never a `WITH silver AS (...)`."""
    left_out = set()
    for table in statement.find_all(exp.Table):
        if table.db and table.name.lower() in tables and table.db.lower() != "information_schema":
            left_out.add((table.db.lower(), table.name.lower()))
            table.set("db", exp.to_identifier("main"))
            table.set("catalog", None)
    for column in statement.find_all(exp.Column):
        catalog, database, table_name = (column.text(part).lower() for part in ("catalog", "db", "table"))
        if (database, table_name) in left_out:
            column.set("db", None)
            column.set("catalog", None)
        elif (catalog, database) in left_out:  # a field of a row: "lake".silver.customer.city
            column.set("catalog", None)
    return statement


def _with_names(statement: exp.Expr) -> exp.Expr:
    """The statement with Athena's names for columns without one: `_col0`, `_col1`, by their place."""
    first = statement
    while isinstance(first, exp.SetOperation | exp.Subquery):  # the first query of a UNION names its columns
        first = first.this
    if isinstance(first, exp.Select):
        for at, column in enumerate(first.selects):
            alias = None if isinstance(column, exp.Window) else column.alias  # a window's is the name that it refers to
            if not isinstance(column, exp.Column | exp.Star) and not alias:
                is_field = isinstance(column, exp.Dot) and not isinstance(column.expression, exp.Star)
                column.replace(exp.alias_(column.copy(), column.name if is_field else f"_col{at}", quoted=True))
    return statement


def _explained(error: Exception) -> str:
    """DuckDB's message, without tables of its own, and with what to write instead."""
    text = _OWN_TABLE.sub("", _first_lines(error))
    if "Macro athena_" in text and "multiple overloads" in text:
        return "DuckDB, which runs queries here, cannot tell the type: calculate it in a subquery, then use its name."
    if "Macro athena_floor" in text or "Macro athena_ceil" in text:
        return "floor and ceil take a number: write CAST(x AS double)."
    if "Macro athena_" in text:
        return "A date or a time is expected where something else is, such as text: write CAST(dt AS date)."
    if "unordered_map" in text or "table index mismatch" in text:
        return (
            "DuckDB, which runs queries here, cannot calculate with a row's columns inside UNNEST and LATERAL: "
            "calculate in a subquery, give that a name, then UNNEST the name, or use it in LATERAL."
        )
    if "inside the TRY expression" in text or "TRY can not be used" in text:
        return (
            "DuckDB, which runs queries here, tries no aggregate and no subquery. Calculate it in a subquery "
            "first; for a division, write a / nullif(b, 0)."
        )
    if "types 'reverse(" in text:
        return (
            "reverse takes texts here, and arrays where they are made: write reverse(filter(x, one -> true)), or "
            "element_at(x, -1) for the last."
        )
    if "generate_series(DATE" in text:
        return "sequence of dates takes a step here: write sequence(first, last, INTERVAL '1' DAY)."
    if "perl operator" in text or "invalid escape sequence" in text:
        text += " DuckDB's regular expressions have no (?=...), (?<name>...) and \\1; Athena's have."
    if "added to a date" in text:
        return "No hours, minutes and seconds are added to a date: write CAST(day AS timestamp)."
    if "STRUCT to STRUCT cast must" in text or "rows are cast by name" in text:
        return (
            "Rows are cast by their fields' names here; name them where they are made: CAST(ROW(1) AS ROW(a bigint))."
        )
    if "field format: \"'" in text:
        text += (
            " Athena casts texts such as 2026-01-01 and 2026-01-01 10:00:00 alone; from_iso8601_timestamp reads others."
        )
    return text


def _first_lines(error: Exception) -> str:
    """What is wrong, without the picture of where, on one line that ends as a sentence."""
    text = " ".join(line.strip() for line in str(error).split("\n\n")[0].splitlines() if line.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."
