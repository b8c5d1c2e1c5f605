"""Blocks of rows: what is a row, that none is lost, and which of them are looked at one by one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from services.shared.contract.model import Contract, Field, FieldType
from services.shared.judge.judge import RowJudge
from services.shared.parquet.tables import silver_schema
from services.transform.blocks import lines_block
from services.transform.rows import parser
from services.transform.rows.memory import buffer_bytes
from services.transform.rows.parser import RowParser, broken_frame, overlong_row

CREATED = datetime(2026, 6, 1, tzinfo=UTC)
PARCELS = Contract(
    dataset="parcels",
    version="1.0.0",
    fields=(
        Field("at", FieldType.TIMESTAMP, required=True),
        Field("name", FieldType.STRING, required=True),
        Field("city", FieldType.STRING),
        Field("count", FieldType.INTEGER),
        Field("tags", FieldType.ARRAY),
    ),
    event_time="at",
    keys=("name",),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)
LETTERS = Contract("letters", "1.0.0", PARCELS.fields[:2], "at", ("name",), PARCELS.earliest, PARCELS.max_ahead)
CONTRACTS = {"parcels": PARCELS, "letters": LETTERS}


def parcel(number: int, **more: Any) -> dict[str, Any]:
    row = {"at": "2026-05-01T10:00:00Z", "name": f"p{number}", "city": "Oslo", "count": number, "tags": [{"k": number}]}
    return row | more


def lines(rows: list[dict[str, Any]], **style: Any) -> bytes:
    return "".join(json.dumps(row, **style) + "\n" for row in rows).encode()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The rows that the reference is asked about from now on."""
    asked: list[bytes] = []
    judge = RowJudge.judge

    def asking(self: RowJudge, row: bytes, default: str, latest: datetime) -> Any:
        asked.append(row)
        return judge(self, row, default, latest)

    monkeypatch.setattr(RowJudge, "judge", asking)
    return asked


class TestLines:
    @pytest.mark.parametrize(
        ("data", "rows"),
        [
            (b"", []),
            (b"\n", []),
            (b"a", [b"a"]),
            (b"a\n", [b"a"]),
            (b"a\nbc", [b"a", b"bc"]),
            (b"\n\na\n \t\r\n\nb\n  ", [b"a", b"b"]),
            (b"a\r\nb\r\n", [b"a\r", b"b\r"]),
            (b" a \n", [b" a "]),
        ],
    )
    def test_every_line_that_is_not_blank_is_a_row(self, data: bytes, rows: list[bytes]) -> None:
        block = lines_block(data, 7)
        found = [data[start:end] for start, end in zip(block.starts.tolist(), block.ends.tolist(), strict=True)]
        assert (found, block.base) == (rows, 7)


class TestParsing:
    def test_offsets_are_those_of_the_object(self) -> None:
        data = lines([parcel(number) for number in range(200)])
        table = RowParser(CONTRACTS).parse(lines_block(data, 1_000_000), "parcels", CREATED).silver["parcels"]
        offsets = dict(zip(table["name"].to_pylist(), table["_offset"].to_pylist(), strict=True))
        assert offsets["p0"] == 1_000_000
        assert offsets["p150"] == 1_000_000 + data.index(b'{"at": "2026-05-01T10:00:00Z", "name": "p150"')

    def test_tables_have_the_contracts_columns_offset_and_rescue(self) -> None:
        parsed = RowParser(CONTRACTS).parse(lines_block(lines([parcel(1)]), 0), "parcels", CREATED)
        table = parsed.silver["parcels"]
        assert table.schema == silver_schema(PARCELS)
        assert table.column_names == ["at", "name", "city", "count", "tags", "_offset", "_rescued"]
        assert table.schema.field("at").type == pa.timestamp("us", tz="UTC")

    @pytest.mark.parametrize("few", [1, 1000])
    def test_a_block_without_rows_gives_nothing(self, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parser, "_FEWEST_ROWS", few)
        parsed = RowParser(CONTRACTS).parse(lines_block(b"\n\n", 0), "parcels", CREATED)
        assert (parsed.rows_read, parsed.silver, parsed.quarantine.num_rows) == (0, {}, 0)

    def test_record_types_that_take_turns_go_to_their_own_tables(self, judged: list[bytes]) -> None:
        rows = [
            {"record_type": "letters", "at": "2026-05-01T10:00:00Z", "name": f"l{number}"}
            if number % 3 == 0
            else parcel(number)
            for number in range(300)
        ]
        parsed = RowParser(CONTRACTS).parse(lines_block(lines(rows), 0), "parcels", CREATED)
        assert {name: table.num_rows for name, table in parsed.silver.items()} == {"parcels": 200, "letters": 100}
        assert len(judged) <= 1

    @pytest.mark.parametrize("digits", range(1, 14))
    def test_the_end_of_the_last_row_is_not_mistaken_for_an_earlier_brace(self, digits: int) -> None:
        good = b'{"at":"2026-05-01T10:00:00Z","name":"a","tags":[{},' + b"1" * digits + b"]}"
        bad = good[:-1] + b","
        parsed = RowParser(CONTRACTS).parse(lines_block((good + b"\n") * 100 + bad, 0), "parcels", CREATED)
        assert parsed.silver["parcels"].num_rows == 100
        assert parsed.quarantine["reason"].to_pylist() == ["malformed_json"]

    def test_a_row_that_is_too_long_is_one_quarantined_row(self) -> None:
        parsed = overlong_row(12, b'{"name":"' + b"x" * 100, "parcels")
        assert parsed.rows_read == 1
        assert parsed.silver == {}
        (row,) = parsed.quarantine.to_pylist()
        assert (row["reason"], row["_offset"], row["record_type"]) == ("row_too_long", 12, "parcels")
        assert row["raw"].startswith('{"name":"xxx')

    def test_a_broken_frame_is_one_quarantined_row(self) -> None:
        parsed = broken_frame(7, "the array is not closed", b'{"a":1}, ', "parcels")
        assert parsed.rows_read == 1
        assert parsed.silver == {}
        (row,) = parsed.quarantine.to_pylist()
        assert (row["reason"], row["_offset"], row["record_type"]) == ("broken_frame", 7, "parcels")
        assert (row["detail"], row["raw"]) == ("the array is not closed", '{"a":1},')


class TestMemory:
    def test_the_bytes_of_parsed_rows_are_those_of_all_tables_dictionaries_included(self) -> None:
        rows = [parcel(number, city=f"{number:0100}") for number in range(1000)]
        data = lines([*rows, *({"bad": "x" * 100} for _ in range(1000))])
        parsed = RowParser(CONTRACTS).parse(lines_block(data, 0), "parcels", CREATED)
        cities, raw = 1000 * 100, parsed.quarantine.nbytes
        assert parsed.silver["parcels"].num_rows == 1000
        assert cities + raw < parsed.memory_bytes < 2 * (cities + raw)

    def test_columns_that_share_a_buffer_count_it_once(self) -> None:
        strings, repeated = pa.array(["x" * 1000] * 10), pa.array(["y" * 500] * 10).dictionary_encode()
        once = buffer_bytes([pa.table({"a": strings})]) + buffer_bytes([pa.table({"c": repeated})])
        table = pa.table({"a": strings, "b": strings, "c": repeated})
        assert buffer_bytes([table, table]) == once
        assert strings.nbytes + 500 <= once <= strings.nbytes + 1000

    def test_a_column_without_values_counts_whole(self) -> None:
        assert buffer_bytes([pa.table({"a": pa.nulls(1000, pa.string())})]) >= 4 * 1001


class TestWhatIsLookedAtOneByOne:
    """These rows are right, so any that the reference is asked about costs time for nothing.

    The last row of a block always is: it cannot be read eight bytes at a time to its end.
    """

    @pytest.mark.parametrize(
        "rows",
        [
            pytest.param([parcel(number) for number in range(500)], id="alike"),
            pytest.param([parcel(number, new="x") for number in range(500)], id="an unknown field in all rows"),
            pytest.param([parcel(n, new={"a": [n]}) for n in range(500)], id="an unknown nested field in all rows"),
            pytest.param([parcel(n, city=None if n % 3 else "Oslo") for n in range(500)], id="nulls"),
            pytest.param(
                [{k: v for k, v in parcel(n).items() if k != "count" or n % 2} for n in range(500)], id="absent keys"
            ),
            pytest.param([parcel(n, city='"Zürich"\n') for n in range(500)], id="escapes"),
            pytest.param([parcel(n, city="]}{" if n % 2 else "}") for n in range(500)], id="brackets in strings"),
            pytest.param([parcel(n, record_type="parcels") for n in range(500)], id="their own record type"),
        ],
    )
    @pytest.mark.parametrize("style", [{}, {"separators": (",", ":")}, {"ensure_ascii": False}])
    def test_rows_that_share_a_layout_are_not(
        self, rows: list[dict[str, Any]], style: dict[str, Any], judged: list[bytes]
    ) -> None:
        parsed = RowParser(CONTRACTS).parse(lines_block(lines(rows, **style), 0), "parcels", CREATED)
        assert parsed.silver["parcels"].num_rows == 500
        assert len(judged) <= 1

    @pytest.mark.parametrize(
        "more",
        [
            pytest.param(lambda n: {}, id="of the contract"),
            pytest.param(lambda n: {"new": n, "old": {"b": [n]}, "zü": "]"}, id="and unknown ones"),
            pytest.param(lambda n: {"city": None} if n % 3 else {"tags": []}, id="and nulls"),
            pytest.param(lambda n: {"record_type": "letters" if n % 2 else "parcels"}, id="of two datasets"),
            pytest.param(lambda n: {f"new_{n % 2}": '"x"'}, id="absent or there"),
        ],
    )
    @pytest.mark.parametrize("style", [{}, {"separators": (",", ":")}, {"ensure_ascii": False}])
    def test_rows_of_the_same_keys_in_any_order_are_not(
        self, more: Callable[[int], dict[str, Any]], style: dict[str, Any], judged: list[bytes]
    ) -> None:
        chance = random.Random(1)
        rows = [list(parcel(number, **more(number)).items()) for number in range(1000)]
        for row in rows:
            chance.shuffle(row)
        data = lines([dict(row) for row in rows], **style)
        parsed = RowParser(CONTRACTS).parse(lines_block(data, 0), "parcels", CREATED)
        assert sum(table.num_rows for table in parsed.silver.values()) == 1000
        assert len(judged) <= 1

    def test_unknown_fields_in_any_order_are_rescued_in_the_order_of_their_row(self) -> None:
        chance = random.Random(1)
        rows = [list(parcel(number, b={"x": number}, a="1", c=None).items()) for number in range(300)]
        for row in rows:
            chance.shuffle(row)
        parsed = RowParser(CONTRACTS).parse(lines_block(lines([dict(row) for row in rows]), 0), "parcels", CREATED)
        table = parsed.silver["parcels"].sort_by("_offset")
        expected = [json.dumps({k: v for k, v in row if k in "abc"}, separators=(",", ":")) for row in rows]
        assert [text.replace(" ", "") for text in table["_rescued"].to_pylist()] == expected

    def test_lines_that_end_like_on_windows_are_not(self, judged: list[bytes]) -> None:
        data = lines([parcel(number) for number in range(500)]).replace(b"\n", b"\r\n")
        assert RowParser(CONTRACTS).parse(lines_block(data, 0), "parcels", CREATED).silver["parcels"].num_rows == 500
        assert len(judged) <= 1

    def test_only_the_bad_rows_among_good_ones_are(self, judged: list[bytes]) -> None:
        rows = [parcel(number, count="many") if number % 100 == 7 else parcel(number) for number in range(1000)]
        parsed = RowParser(CONTRACTS).parse(lines_block(lines(rows), 0), "parcels", CREATED)
        assert parsed.silver["parcels"].num_rows == 990
        assert parsed.quarantine["reason"].to_pylist() == ["wrong_type"] * 10
        assert len(judged) <= 11
