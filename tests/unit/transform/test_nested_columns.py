"""Structs and lists as columns: what each reader of Parquet that users have makes of them, ids included."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import datafusion
import duckdb
import fastparquet
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.shared.contract.model import Contract, Field, FieldType
from services.shared.identities import LotId
from services.shared.parquet.encode import encode
from services.shared.units import BronzeObject, Plan
from services.transform.blocks import lines_block
from services.transform.files.buffer import RowBuffer
from services.transform.rows.parser import RowParser

CREATED = datetime(2026, 1, 31, tzinfo=UTC)
LINE = Field(
    "element",
    FieldType.OBJECT,
    required=True,
    is_nested_column=True,
    children=(
        Field("sku", FieldType.STRING, required=True),
        Field("price", FieldType.DECIMAL, precision=8, scale=2),
        Field("raw", FieldType.OBJECT),
    ),
)
CUSTOMER = (
    Field("id", FieldType.INTEGER, required=True),
    Field("homeTown", FieldType.STRING, source=("home-town",)),
    Field("born", FieldType.DATE),
    Field("seen", FieldType.TIMESTAMP),
    Field("tags", FieldType.ARRAY, is_nested_column=True, children=(Field("element", FieldType.STRING),)),
)
CONTRACT = Contract(
    "orders",
    "1.0.0",
    (
        Field("at", FieldType.TIMESTAMP, required=True),
        Field("id", FieldType.STRING, required=True),
        Field("customer", FieldType.OBJECT, is_nested_column=True, children=CUSTOMER),
        Field("lines", FieldType.ARRAY, is_nested_column=True, children=(LINE,)),
        Field("text", FieldType.OBJECT, source=("customer",)),
    ),
    "at",
    ("id",),
    datetime(2020, 1, 1, tzinfo=UTC),
    timedelta(days=1),
)
ROWS = [
    '{"at":"2026-01-05T10:00:00Z","id":"a","customer":{"id":7,"home-town":"Oslo","born":"1990-01-02",'
    '"seen":"2026-01-01T00:00:00.5Z","tags":["x",null]},"lines":[{"sku":"s","price":1.5,"raw":{"a": 1}},{"sku":"t"}]}',
    '{"at":"2026-01-05T10:00:01Z","id":"b","customer":null,"lines":[]}',
    '{"at":"2026-01-05T10:00:02Z","id":"c"}',
    '{"at":"2026-01-05T10:00:03Z","id":"d","customer":{"id":8,"tags":[]},"lines":[{"sku":"u","more":1}]}',
]
SEEN = datetime(2026, 1, 1, 0, 0, 0, 500_000)
FIRST = {"id": 7, "homeTown": "Oslo", "born": date(1990, 1, 2), "seen": SEEN, "tags": ["x", None]}
FOURTH: dict[str, Any] = {"id": 8, "homeTown": None, "born": None, "seen": None, "tags": []}
CUSTOMERS = [FIRST, None, None, FOURTH]
LINES = [
    [{"sku": "s", "price": Decimal("1.50"), "raw": '{"a": 1}'}, {"sku": "t", "price": None, "raw": None}],
    [],
    None,
    [{"sku": "u", "price": None, "raw": None}],
]


def written(data: bytes, contract: Contract) -> bytes:
    """The one file of Silver that these lines become."""
    (unit,) = Plan.of(BronzeObject("bronze", "bronze/orders/a.jsonl", len(data), "a" * 32, None, CREATED), 2**26)
    buffer = RowBuffer()
    parsed = RowParser({"orders": contract}).parse(lines_block(data, 0), "orders", CREATED)
    assert parsed.quarantine.num_rows == 0
    buffer.add(0, parsed, len(data))
    ((_, content, _),) = encode(*buffer.take([unit]), {"orders": contract}, LotId.new(CREATED), "0" * 8, 0)
    return content


@pytest.fixture(scope="module", params=[1, 40], ids=["by the reference", "many at a time"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of these rows; of more of them where they are to be taken together, cut to the first ones."""
    data = "".join(f"{row}\n" for row in ROWS * request.param).encode()
    content = written(data, CONTRACT)
    table = pq.read_table(io.BytesIO(content))
    assert table.num_rows == len(ROWS) * request.param
    path = tmp_path_factory.mktemp("nested") / "file.parquet"
    path.write_bytes(content)
    return path


def by_pyarrow(file: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(file).to_pylist())


def by_duckdb(file: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows: list[dict[str, Any]] = connection.sql(f"SELECT * FROM '{file}'").to_arrow_table().to_pylist()  # noqa: S608
        return rows


def by_pandas(file: Path) -> list[dict[str, Any]]:
    frame = pd.read_parquet(file, dtype_backend="pyarrow")
    return list(pa.Table.from_pandas(frame, preserve_index=False).to_pylist())


def by_polars(file: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(file).to_dicts()


def by_datafusion(file: Path) -> list[dict[str, Any]]:
    context = datafusion.SessionContext()
    context.register_parquet("file", str(file))
    return list(pa.Table.from_batches(context.sql("SELECT * FROM file").collect()).to_pylist())


def plain(value: Any) -> Any:
    """Times without the zone object that each reader has of its own: all are in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("read", [by_pyarrow, by_duckdb, by_pandas, by_polars, by_datafusion])
def test_every_reader_gives_the_same_structs_and_lists(
    read: Callable[[Path], list[dict[str, Any]]], file: Path
) -> None:
    rows = sorted(read(file), key=lambda row: row["id"])
    step = len(rows) // len(ROWS)
    first_of_each = rows[::step]
    assert [plain(row["customer"]) for row in first_of_each] == CUSTOMERS
    assert [plain(row["lines"]) for row in first_of_each] == LINES
    assert [row["_rescued"] for row in first_of_each] == [None, None, None, '{"lines":[{"sku":"u","more":1}]}']


def test_what_is_inside_has_the_ids_of_the_contract(file: Path) -> None:
    def ids(fields: Iterable[pa.Field], above: str = "") -> dict[str, int]:
        found = {}
        for field in fields:
            path = above + field.name
            found[path] = int(field.metadata[b"PARQUET:field_id"])
            inner = (
                []
                if not pa.types.is_nested(field.type)
                else [field.type.field(i) for i in range(field.type.num_fields)]
            )
            found |= ids(inner, f"{path}.")
        return found

    def told(fields: Iterable[Field], above: str = "") -> dict[str, int]:
        found = {}
        for field in fields:
            found[above + field.name] = field.id
            found |= told(field.children if field.is_nested_column else (), f"{above}{field.name}.")
        return found

    found = ids(pq.ParquetFile(file).schema_arrow)
    assert {path: id_ for path, id_ in found.items() if not path.startswith("_")} == told(CONTRACT.fields)


def test_no_column_needs_an_encoding_that_readers_do_not_share(file: Path) -> None:
    group = pq.ParquetFile(file).metadata.row_group(0)
    found = {encoding for at in range(group.num_columns) for encoding in group.column(at).encodings}
    assert found <= {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}


def test_a_reader_with_few_encodings_gives_the_same_numbers(tmp_path: Path) -> None:
    """fastparquet, which gave other numbers without an error when they were DELTA_BINARY_PACKED."""
    numbers = [number * 0x9E3779B97F4A7C15 % 2**40 for number in range(5000)]
    rows = [f'{{"at":"2026-01-05T10:00:00Z","id":"a","n":{number}}}\n' for number in numbers]
    contract = replace(CONTRACT, fields=(*CONTRACT.fields[:2], Field("n", FieldType.INTEGER, required=True)))
    file = tmp_path / "file.parquet"
    file.write_bytes(written("".join(rows).encode(), contract))
    assert fastparquet.ParquetFile(str(file)).to_pandas(columns=["n"])["n"].tolist() == numbers
