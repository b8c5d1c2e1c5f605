"""What stands in the Parquet files, and how."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.shared.columns import CREATED, OFFSET, QUARANTINE, SOURCE, silver_columns
from services.shared.contract.model import Contract, Field, FieldType
from services.shared.parquet import files as parquet
from services.shared.parquet.files import quarantine_file, silver_files
from services.shared.parquet.tables import arrow_type, silver_schema

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


def contract(event_time: FieldType) -> Contract:
    fields = (
        Field("id", FieldType.STRING, required=True),
        Field("at", event_time, required=True),
        Field("city", FieldType.STRING),
        Field("count", FieldType.INTEGER),
        Field("price", FieldType.DECIMAL, precision=9, scale=2),
        Field("flag", FieldType.BOOLEAN),
        Field("tags", FieldType.ARRAY),
    )
    return Contract("parcels", "1.2.0", fields, "at", ("id",), EARLIEST, timedelta(days=1))


TIMED, DAILY = contract(FieldType.TIMESTAMP), contract(FieldType.DATE)


def table(times: list[Any], of: Contract = TIMED, chunks: int = 1) -> pa.Table:
    """Rows with these event times; their ids count up."""
    schema = silver_schema(of)
    offset = schema.get_field_index(OFFSET)
    schema = schema.insert(offset + 1, pa.field(CREATED, pa.timestamp("us", tz="UTC")))
    schema = schema.insert(offset, pa.field(SOURCE, pa.dictionary(pa.int32(), pa.string())))
    rows = [
        {
            "id": f"p{number}",
            "at": time,
            "city": "Oslo" if number % 2 else "Cork",
            "count": number,
            "price": Decimal("1.50"),
            "flag": None,
            "tags": "[1]",
            "_source": "s3://bronze/key#1",
            "_offset": number * 10,
            "_created": moment(9),
            "_rescued": None,
        }
        for number, time in enumerate(times)
    ]
    parts = [pa.Table.from_pylist(list(part), schema=schema) for part in np.array_split(np.array(rows), chunks)]
    return pa.concat_tables(parts).unify_dictionaries()


def files(rows: pa.Table, of: Contract = TIMED, metadata: dict[str, str] | None = None) -> dict[date, pq.ParquetFile]:
    written = list(silver_files(rows, of, metadata or {}))
    found = {day: pq.ParquetFile(io.BytesIO(data)) for day, data, _ in written}
    assert len(found) == len(written)
    assert [file.metadata.num_rows for file in found.values()] == [count for _, _, count in written]
    return found


def moment(day: int, hour: int = 0, micro: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, 0, 0, micro, tzinfo=UTC)


class TestSilver:
    def test_there_is_one_file_for_each_utc_day(self) -> None:
        times = [moment(2, 23, 999_999), moment(1), moment(3), moment(2)]
        found = files(table(times))
        assert {day: file.read()["id"].to_pylist() for day, file in found.items()} == {
            date(2026, 3, 1): ["p1"],
            date(2026, 3, 2): ["p3", "p0"],
            date(2026, 3, 3): ["p2"],
        }

    def test_days_before_1970_are_whole_days_too(self) -> None:
        times = [
            datetime(1969, 12, 31, 23, tzinfo=UTC),
            datetime(1969, 12, 31, 0, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
        ]
        assert {day: file.metadata.num_rows for day, file in files(table(times)).items()} == {
            date(1969, 12, 31): 2,
            date(1970, 1, 1): 1,
        }

    def test_where_the_event_time_is_a_day_the_file_is_that_days(self) -> None:
        found = files(table([date(2026, 3, 2), date(2026, 3, 1), date(2026, 3, 2)], DAILY), DAILY)
        assert {day: file.read()["id"].to_pylist() for day, file in found.items()} == {
            date(2026, 3, 1): ["p1"],
            date(2026, 3, 2): ["p0", "p2"],
        }

    @pytest.mark.parametrize("largest", [2**63 - 1, 1], ids=["as one number", "as a stable argsort"])
    @pytest.mark.parametrize("chunks", [1, 3])
    def test_rows_are_sorted_by_time_and_equal_ones_keep_their_order(
        self, largest: int, chunks: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parquet, "_MAX_INT64", largest)
        times = [moment(1, hour) for hour in (5, 3, 5, 3, 4, 5)]
        (file,) = files(table(times, chunks=chunks)).values()
        assert file.read()["id"].to_pylist() == ["p1", "p3", "p4", "p0", "p2", "p5"]

    def test_times_as_far_apart_as_possible_are_sorted_without_overflow(self) -> None:
        times = [datetime(9999, 12, 31, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)] * 40
        assert [file.metadata.num_rows for file in files(table(times)).values()] == [40, 40]

    def test_no_rows_give_no_file(self) -> None:
        assert list(silver_files(table([]), TIMED, {})) == []

    def test_values_come_back_as_they_were(self) -> None:
        rows = table([moment(1, micro=7)] * 9)
        (file,) = files(rows).values()
        assert file.read().to_pylist() == rows.to_pylist()


class TestTheFiles:
    def file(self) -> pq.ParquetFile:
        (file,) = files(table([moment(1)] * 50), metadata={"smelt.lot": "lot-1"}).values()
        return file

    def test_columns_are_the_contracts_then_lineage(self) -> None:
        names = self.file().schema_arrow.names
        assert names == [column.name for column in silver_columns(TIMED)]

    def test_types_are_plain_ones_for_every_reader(self) -> None:
        schema = self.file().schema_arrow
        assert schema.field("at").type == pa.timestamp("us", tz="UTC")
        assert schema.field("city").type == schema.field("_source").type == pa.string()
        assert schema.field("price").type == pa.decimal128(9, 2)

    def test_the_metadata_name_contract_version_and_lot(self) -> None:
        metadata = self.file().metadata.metadata
        assert metadata[b"smelt.contract"] == b"parcels"
        assert metadata[b"smelt.contract_version"] == b"1.2.0"
        assert metadata[b"smelt.lot"] == b"lot-1"
        assert b"ARROW:schema" not in metadata

    def test_another_engine_reads_the_same_rows(self, tmp_path: Path) -> None:
        rows = table([moment(1, micro=7)] * 9)
        ((_, data, _),) = silver_files(rows, TIMED, {})
        file = tmp_path / "part.parquet"
        file.write_bytes(data)
        found = duckdb.sql(f"SELECT id, epoch_us(\"at\"), city, count, price, tags, _offset FROM '{file}'").fetchall()  # noqa: S608
        names = ["id", "at", "city", "count", "price", "tags", "_offset"]
        expected = rows.set_column(1, "at", rows["at"].cast(pa.int64())).select(names).to_pylist()
        assert found == [tuple(row.values()) for row in expected]

    def test_every_column_is_zstd_with_statistics(self) -> None:
        group = self.file().metadata.row_group(0)
        columns = [group.column(index) for index in range(group.num_columns)]
        assert {column.compression for column in columns} == {"ZSTD"}
        assert all(column.is_stats_set for column in columns)

    def test_strings_that_repeat_are_dictionaries_and_others_are_not(self) -> None:
        group = self.file().metadata.row_group(0)
        encodings = {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
        assert "RLE_DICTIONARY" in encodings["city"]
        assert "RLE_DICTIONARY" not in encodings["id"]
        assert set(encodings["at"]) == {"PLAIN", "RLE"}  # which every reader knows

    def test_a_column_whose_strings_hardly_repeat_is_written_plain(self) -> None:
        rows = table([moment(1)] * 50)
        notes = pa.array([f"note {number}" for number in range(50)]).dictionary_encode()
        rows = rows.set_column(rows.schema.get_field_index("city"), "city", notes)
        (file,) = files(rows).values()
        assert "RLE_DICTIONARY" not in file.metadata.row_group(0).column(2).encodings
        assert file.read()["city"].to_pylist() == notes.to_pylist()

    def test_the_file_of_a_day_holds_no_strings_of_other_days(self) -> None:
        times = [moment(day) for day in range(1, 31) for _ in range(20)]
        names = [
            f"a long name of city {day}-{number % 2}" if number % 5 else None
            for day in range(30)
            for number in range(20)
        ]
        rows = table(times)
        rows = rows.set_column(rows.schema.get_field_index("city"), "city", pa.array(names).dictionary_encode())
        found = files(rows)
        assert [name for file in found.values() for name in file.read()["city"].to_pylist()] == names
        for number, (_, data, _) in enumerate(silver_files(rows, TIMED, {})):
            (chunk,) = pq.read_table(io.BytesIO(data), read_dictionary=["city"])["city"].chunks
            assert chunk.dictionary.to_pylist() == [f"a long name of city {number}-{odd}" for odd in (1, 0)]

    def test_strings_that_repeat_on_other_days_only_are_written_plain(self) -> None:
        rows = table([moment(1 + number // 100) for number in range(1000)])
        names = [f"a long name of city {number % 100}" for number in range(1000)]
        rows = rows.set_column(rows.schema.get_field_index("city"), "city", pa.array(names).dictionary_encode())
        for file in files(rows).values():
            assert "RLE_DICTIONARY" not in file.metadata.row_group(0).column(2).encodings
            assert file.read()["city"].to_pylist() == names[:100]


def test_quarantine_is_one_file_with_its_metadata() -> None:
    found: list[Any] = ["x", "wrong_type", None, "d", "s3://bronze/key#1", 1, moment(9), "\0{"]
    row = dict(zip([column.name for column in QUARANTINE], found, strict=True))
    schema = pa.schema([pa.field(column.name, arrow_type(column)) for column in QUARANTINE])
    data = quarantine_file(pa.Table.from_pylist([row], schema=schema), {"smelt.lot": "lot-1"})
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.read().to_pylist() == [row]
    assert file.metadata.metadata[b"smelt.lot"] == b"lot-1"
