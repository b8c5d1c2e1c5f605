"""`smelt query`: Athena's SQL over local Silver."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from services.ops.cli.console import JsonFlag, make_table, results, say, show
from services.ops.errors import OperatorError
from services.ops.words import plain
from workbench.query.values import as_json, as_text, csv_line

if TYPE_CHECKING:
    from sqlglot.exp import Expr

    from workbench.query.athena import LocalAthena


_READABLE = 12  # characters of a column in which long values can be read, line below line


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def query_silver(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One query, in quotes.", show_default=False)] = "",
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="A file of queries instead.")] = None,
    silver: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder that holds silver/ and quarantine/.",
            show_default="the last trial or demo, in .smelt",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How rows are printed.")] = Format.TABLE,
    as_json: JsonFlag = False,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many rows a table shows.")] = 50,
) -> None:
    """Ask local Silver in Athena's SQL.

    The tables are those that Athena has (silver, quarantine, load_history), and one for each dataset. The SQL is
    translated for DuckDB, which runs it.
    CSV and JSON give every row, also of large answers.
    """
    from workbench.query.athena import LocalAthena
    from workbench.query.places import find_lake

    if bool(sql.strip()) == (file is not None):
        raise OperatorError('Pass one query in quotes, or --file: smelt query "SELECT COUNT(*) FROM silver".')
    statements = _statements(sql if file is None else _read(file), file)
    lake = find_lake(silver)
    if silver is None:
        say(f"Silver: {lake}", style="dim")
    athena = LocalAthena(lake)
    for statement in statements:
        _print(athena, statement, Format.JSON if as_json else form, limit)


def _statements(text: str, file: Path | None) -> list[Expr]:
    from workbench.query.athena import QueryError, statements_of

    try:
        found = statements_of(text)
    except QueryError as error:
        if file is None:
            raise
        raise QueryError(f"{file}: {error}") from error
    if not found:
        raise OperatorError(f"{file}: holds no query." if file else "No query is given.")
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OperatorError(f"{file}: is not text in UTF-8.") from error


def _print(athena: LocalAthena, statement: Expr, form: Format, limit: int) -> None:
    answer = athena.stream(statement)
    columns: list[str] = next(answer)
    rows: Iterator[tuple[Any, ...]] = itertools.chain.from_iterable(answer)
    if form is Format.CSV:
        _print_csv(columns, rows)
    elif form is Format.JSON:
        if len(set(columns)) < len(columns):
            twice = next(name for name in columns if columns.count(name) > 1)
            raise OperatorError(
                f"Two columns are called {twice}, and JSON keeps one of them: name them apart, with AS."
            )
        _print_json(columns, rows)
    else:
        _print_table(columns, rows, limit)


def _print_csv(columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    """Every value as it is; only on a terminal, what could move its cursor or change its colours as escapes."""
    for row in itertools.chain([columns], rows):
        line = csv_line(row)
        results.file.write(f"{plain(line) if results.is_terminal else line}\r\n")


def _print_json(columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    """A list of objects, one a line, written as they come."""
    separator = "["
    for row in rows:
        results.file.write(f"{separator}\n{json.dumps(as_json(dict(zip(columns, row, strict=True))))}")
        separator = ","
    results.file.write("[]\n" if separator == "[" else "\n]\n")


def _print_table(columns: list[str], rows: Iterator[tuple[Any, ...]], limit: int) -> None:
    """A table; where its columns would be too narrow to read, each row as a list of its columns."""
    first = list(itertools.islice(rows, limit))
    cells = [[plain(as_text(value)) for value in row] for row in first]
    if first and _least_width(columns, cells) > results.width:
        _print_lists(columns, cells)
    else:
        numbers = {name for at, name in enumerate(columns) if all(isinstance(row[at], int | float) for row in first)}
        table = make_table("", *columns, right=numbers)
        for row in cells:
            table.add_row(*map(escape, row))
        show(table)
    if next(rows, None) is not None:
        say(f"The first {limit:,} rows. --limit shows more; --format csv and --format json give all of them.")


def _least_width(columns: list[str], cells: list[list[str]]) -> int:
    """The characters that a table needs at least, if long values are folded."""
    longest = [max(map(len, [name, *(row[at] for row in cells)])) for at, name in enumerate(columns)]
    return sum(min(length, _READABLE) + 2 for length in longest)


def _print_lists(columns: list[str], cells: list[list[str]]) -> None:
    width = max(map(len, columns))
    for number, row in enumerate(cells, 1):
        show(f"row {number:,}")
        for name, text in zip(columns, row, strict=True):
            show(f"  {name:{width}}  {text}".rstrip())
