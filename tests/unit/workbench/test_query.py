"""`smelt query`: Athena's SQL over what a trial has written."""

from __future__ import annotations

import csv
import io
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.ministack import ROOT
from services.ops.cli.console import results
from tests.unit.workbench.conftest import CONTRACT, Smelt, order, write_lines


@pytest.fixture
def lake(smelt: Smelt, tmp_path: Path) -> Path:
    """Three orders in Silver, one in quarantine."""
    rows = [*map(order, range(3)), order(3, total="heavy")]
    smelt("try", write_lines(tmp_path / "orders/a.jsonl", rows), "--out", ".smelt/try")
    return tmp_path / ".smelt/try"


def asked(smelt: Smelt, *arguments: object) -> list[dict[str, object]]:
    code, out, err = smelt("query", *arguments, "--format", "json")
    assert code == 0, err
    found: list[dict[str, object]] = json.loads(out)
    return found


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT COUNT(*) AS n FROM silver", [{"n": 3}]),
        ("SELECT 'a' AS x, COUNT(*), MAX(total) + 1 FROM silver", [{"x": "a", "_col1": 3, "_col2": 1.5}]),
        (
            'SELECT "lake".orders.order_id FROM "lake".orders WHERE lake.orders.dt = \'2026-01-02\'',
            [{"order_id": "o1"}],
        ),
        (
            "WITH orders AS (SELECT * FROM LAKE.Orders WHERE dt = '2026-01-02') "
            "SELECT COUNT(*) AS n, (SELECT COUNT(*) FROM lake.orders) AS of FROM orders",
            [{"n": 1, "of": 3}],
        ),
        ("SELECT CAST(ROW(COUNT(*)) AS ROW(a BIGINT)).a FROM silver", [{"a": 3}]),
        ("SELECT record_type, dt FROM silver ORDER BY dt LIMIT 1", [{"record_type": "orders", "dt": "2026-01-01"}]),
        ("SELECT order_id FROM orders WHERE dt = '2026-01-02'", [{"order_id": "o1"}]),
        ("SELECT reason, field FROM quarantine", [{"reason": "wrong_type", "field": "total"}]),
        ("SELECT DATE_DIFF('day', DATE '2026-01-01', MAX(CAST(at AS DATE))) AS days FROM orders", [{"days": 2}]),
        ("SELECT APPROX_DISTINCT(order_id) AS n FROM orders WHERE regexp_like(order_id, '^o')", [{"n": 3}]),
        ("SELECT order_id FROM orders WHERE order_id = 'none'", []),
        ("SELECT at FROM orders WHERE order_id = 'o0'", [{"at": "2026-01-01 08:00:00+00:00"}]),
        (
            "SELECT SUM(total) AS n, MAX(_offset) >= 0 AS yes, NULL AS none FROM orders",
            [{"n": 0.75, "yes": True, "none": None}],
        ),
    ],
)
def test_the_tables_are_silver_quarantine_and_each_dataset(
    lake: Path, smelt: Smelt, sql: str, answer: list[dict[str, object]]
) -> None:
    assert asked(smelt, sql, "--silver", lake) == answer


def test_without_a_folder_the_last_trial_is_asked_and_named(lake: Path, smelt: Smelt) -> None:
    code, out, err = smelt("query", "SELECT order_id FROM silver ORDER BY order_id")
    assert (code, err.strip()) == (0, "Silver: .smelt/try")
    assert [line.strip() for line in out.splitlines() if line.strip().startswith("o")] == ["order_id", "o0", "o1", "o2"]


def test_rows_as_csv_keep_commas_and_quotes(lake: Path, smelt: Smelt) -> None:
    code, out, _ = smelt("query", "SELECT 'a,\"b\"' AS text, 1 AS n", "--silver", lake, "--format", "csv")
    assert (code, list(csv.reader(io.StringIO(out)))) == (0, [["text", "n"], ['a,"b"', "1"]])


def test_a_table_says_that_there_are_more_rows(lake: Path, smelt: Smelt) -> None:
    code, out, err = smelt("query", "SELECT order_id FROM silver ORDER BY 1", "--silver", lake, "--limit", 2)
    assert (code, "o1" in out, "o2" in out, "--limit" in err) == (0, True, False, True)


def test_a_file_may_hold_several_queries(lake: Path, smelt: Smelt, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "q.sql", ["-- how many", "SELECT COUNT(*) AS n FROM silver;", "SELECT 7 AS seven;"])
    code, out, _ = smelt("query", "--file", file, "--silver", lake)
    assert (code, "3" in out, "seven" in out) == (0, True, True)


def test_nothing_in_quarantine_is_an_empty_table(smelt: Smelt, tmp_path: Path) -> None:
    smelt("try", write_lines(tmp_path / "orders/a.jsonl", [order(0)]))
    assert asked(smelt, "SELECT reason, raw, dt FROM quarantine") == []


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELEC 1", "SELEC"),
        ("SELECT * FROM shipments", "load_history_lots, orders, quarantine, silver"),
        ("SELECT nothing FROM silver", "nothing"),
        ("SELECT (1", "Line 1"),
        ("", "Pass one query"),
    ],
)
def test_a_query_that_cannot_be_run_ends_with_2_and_says_why(lake: Path, smelt: Smelt, sql: str, told: str) -> None:
    code, out, err = smelt("query", sql, "--silver", lake)
    assert (code, out) == (2, "")
    assert told in " ".join(err.split())
    assert "Traceback" not in err


def test_a_value_that_is_wrong_in_a_later_row_is_an_error_of_the_user(lake: Path, smelt: Smelt) -> None:
    sql = "SELECT date_parse(IF(n = 400000, 'never', '2026'), '%Y') AS year FROM UNNEST(sequence(1, 400000)) AS t(n)"
    code, out, err = smelt("query", sql, "--format", "csv")
    assert (code, "2026-01-01" in out) == (2, True)
    assert 'error: Invalid Input Error: Could not parse string "never"' in err
    assert "Tables: " in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--silver", "nowhere"], "no such folder"),
        (["--silver", "contracts"], "holds no files such as silver/"),
        (["--file", "nowhere.sql"], "Pass one query in quotes, or --file"),
        ([], "Run `smelt try FILE...` or `make demo`"),
    ],
)
def test_where_there_is_nothing_to_ask_it_says_what_to_do(smelt: Smelt, arguments: list[str], told: str) -> None:
    code, _, err = smelt("query", "SELECT 1", *arguments)
    assert (code, told in " ".join(err.split())) == (2, True), err


def test_the_newest_of_trials_and_demos_is_asked(smelt: Smelt, tmp_path: Path) -> None:
    """The demo keeps its emulator's buckets as folders."""
    smelt("try", write_lines(tmp_path / "orders/a.jsonl", map(order, range(3))), "--out", ".smelt/try")
    smelt("try", write_lines(tmp_path / "orders/b.jsonl", map(order, range(5))), "--out", "made")
    bucket = tmp_path / ".smelt/demo/current/s3/000000000000/smelt-silver"
    (tmp_path / ".smelt/demo/current/s3/000000000000/smelt-bronze/bronze").mkdir(parents=True)
    (tmp_path / "made").rename(bucket)
    os.utime(bucket, (1, 1))
    assert asked(smelt, "SELECT COUNT(*) AS n FROM silver") == [{"n": 3}]
    os.utime(tmp_path / ".smelt/try", (0, 0))
    assert asked(smelt, "SELECT COUNT(*) AS n FROM silver") == [{"n": 5}]


@pytest.mark.parametrize("folder", ["data [2024]*?", "it's", "a=b/dt=2020-01-01"])
def test_folders_may_have_any_name(smelt: Smelt, tmp_path: Path, folder: str) -> None:
    rows = [order(0), order(1, total="heavy"), order(2, note=1)]
    code, _, err = smelt("try", write_lines(tmp_path / "orders/a.jsonl", rows), "--out", folder)
    assert code == 1, err
    (row,) = asked(smelt, "SELECT * FROM silver WHERE order_id = 'o0'", "--silver", folder)
    assert list(row)[-2:] == ["dt", "record_type"]
    assert (row["dt"], len(row)) == ("2026-01-01", 9)
    assert asked(smelt, "SELECT order_id FROM orders WHERE dt = '2026-01-03'", "--silver", folder) == [
        {"order_id": "o2"}
    ]
    assert smelt("report", "--silver", folder)[0] == 0


def test_a_dataset_may_have_a_field_called_filename(smelt: Smelt, tmp_path: Path) -> None:
    contract = CONTRACT.replace("total", "filename").replace("logicalType: number", "logicalType: string")
    file = write_lines(tmp_path / "mine.yaml", contract.splitlines())
    rows = [{"at": "2026-01-01T08:00:00Z", "order_id": "a", "filename": "x.png"}]
    assert smelt("try", write_lines(tmp_path / "a.jsonl", rows), "--contract", file)[0] == 0
    assert asked(smelt, "SELECT filename, dt FROM orders") == [{"filename": "x.png", "dt": "2026-01-01"}]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{out}'",
        "COPY silver TO '{out}'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW silver",
        "SET threads = 1",
        "PRAGMA version",
    ],
)
def test_only_what_asks_is_run(lake: Path, smelt: Smelt, sql: str) -> None:
    out = lake / "stolen.csv"
    code, _, err = smelt("query", sql.replace("{out}", str(out)), "--silver", lake)
    assert (code, "no query" in err, out.exists()) == (2, True, False), err


def test_queries_read_nothing_outside_of_the_folder(lake: Path, smelt: Smelt, tmp_path: Path) -> None:
    secret = write_lines(tmp_path / "secret.csv", ["a,b", "1,2"])
    code, out, err = smelt("query", f'SELECT * FROM "{secret}"', "--silver", lake)  # noqa: S608
    assert (code, out, "Cannot access file" in err) == (2, "", True), err
    code, out, err = smelt("query", f"TABLE read_csv('{secret}')", "--silver", lake)
    assert (code, out, "read_csv has not been compared" in err) == (2, "", True), err
    code, _, err = smelt("query", "SELECT * FROM text", "--silver", lake)  # a variable of the program
    assert (code, "Table with name text does not exist" in err) == (2, True), err


def test_json_never_drops_a_column_of_the_same_name(lake: Path, smelt: Smelt) -> None:
    sql = "SELECT a.order_id, b.order_id FROM orders a JOIN orders b ON a.order_id = b.order_id"
    code, out, err = smelt("query", sql, "--silver", lake, "--json")
    assert (code, out, "Two columns are called order_id" in err) == (2, "", True), err
    assert smelt("query", sql, "--silver", lake, "--format", "csv")[1].startswith("order_id,order_id")


def test_a_damaged_file_of_silver_is_named(lake: Path, smelt: Smelt) -> None:
    file = next(lake.glob("silver/*/*/*.parquet"))
    file.write_bytes(file.read_bytes()[:100])
    code, _, err = smelt("query", "SELECT 1", "--silver", lake)
    assert (code, "its files cannot be read" in err, file.name in err, "Traceback" in err) == (2, True, True, False)


def test_a_query_nested_very_deep_and_one_with_an_open_quote_are_errors_of_the_user(lake: Path, smelt: Smelt) -> None:
    code, _, err = smelt("query", "SELECT " + "(" * 5000 + "1" + ")" * 5000, "--silver", lake)
    assert (code, "nested too deep" in err, "Traceback" in err) == (2, True, False)
    assert "Missing ' from 1:7" in smelt("query", "SELECT 'abc", "--silver", lake)[2]
    assert "WHERE is not complete" in smelt("query", "SELECT * FROM silver WHERE", "--silver", lake)[2]


def test_a_file_of_windows_and_commands_that_show_are_fine(lake: Path, smelt: Smelt, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_bytes(b"\xef\xbb\xbfSELECT 1 AS one;\r\n")
    assert smelt("query", "--file", tmp_path / "q.sql", "--silver", lake)[0] == 0
    code, out, err = smelt("query", "SHOW TABLES", "--silver", lake)
    assert (code, "orders" in out, err) == (0, True, "")


def test_the_first_query_of_a_union_names_the_columns(lake: Path, smelt: Smelt) -> None:
    assert asked(smelt, "SELECT COUNT(*) FROM silver UNION ALL SELECT 9 ORDER BY 1", "--silver", lake) == [
        {"_col0": 3},
        {"_col0": 9},
    ]


def test_a_trial_without_a_row_is_the_last_trial_all_the_same(smelt: Smelt, tmp_path: Path) -> None:
    bucket = tmp_path / ".smelt/demo/current/s3/000000000000/smelt-silver"
    smelt("try", write_lines(tmp_path / "orders/a.jsonl", [order(0)]), "--out", bucket)
    os.utime(bucket, (1, 1))
    smelt("try", write_lines(tmp_path / "orders/a.jsonl", []))
    assert asked(smelt, "SELECT COUNT(*) AS n FROM silver") == [{"n": 0}]
    assert smelt("report")[0] == 0


NESTED = (
    "SELECT CAST(ROW(1, DATE '2026-01-02') AS ROW(a INTEGER, b DATE)) AS st, ARRAY[1.5, NULL] AS li, "
    "MAP(ARRAY['x', 'y'], ARRAY[1, 2]) AS m, CAST('abc' AS VARBINARY) AS b, 2 > 1 AS yes, "
    "CAST('NaN' AS DOUBLE) AS nan, NULL AS none, '' AS t"
)


def test_nested_values_maps_and_binary_have_one_form(lake: Path, smelt: Smelt) -> None:
    (row,) = asked(smelt, NESTED, "--silver", lake)
    assert row == {
        "st": {"a": 1, "b": "2026-01-02"},
        "li": ["1.5", None],
        "m": {"x": 1, "y": 2},
        "b": "616263",
        "yes": True,
        "nan": "NaN",
        "none": None,
        "t": "",
    }
    code, out, _ = smelt("query", NESTED, "--silver", lake, "--format", "csv")
    names, values = csv.reader(io.StringIO(out))
    assert (code, dict(zip(names, values, strict=True))) == (
        0,
        {
            "st": '{"a": 1, "b": "2026-01-02"}',
            "li": '["1.5", null]',
            "m": '{"x": 1, "y": 2}',
            "b": "616263",
            "yes": "true",
            "nan": "nan",
            "none": "",
            "t": "",
        },
    )
    assert out.rstrip().endswith(',nan,,""')  # null is nothing, an empty text is not


def test_csv_is_exact_in_a_file_and_harmless_on_a_terminal(
    lake: Path, smelt: Smelt, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "SELECT chr(27) || '[31m' AS x, ' y ' AS y"
    assert smelt("query", sql, "--silver", lake, "--format", "csv")[1].splitlines() == ["x,y", '\x1b[31m," y "']
    monkeypatch.setattr(type(results), "is_terminal", True)
    assert smelt("query", sql, "--silver", lake, "--format", "csv")[1].splitlines() == ["x,y", '\\x1b[31m," y "']


def test_rows_too_wide_for_a_table_are_lists(lake: Path, smelt: Smelt) -> None:
    columns = ", ".join(f"'value {at} of a row' AS column_{at}" for at in range(12))
    out = smelt("query", f"SELECT {columns} FROM orders LIMIT 2", "--silver", lake)[1]  # noqa: S608 (our own)
    assert [line.split("  ") for line in out.splitlines()[11:15]] == [
        ["", "column_10", "value 10 of a row"],
        ["", "column_11", "value 11 of a row"],
        ["row 2"],
        ["", "column_0", " value 0 of a row"],
    ]


def test_a_dataset_of_which_all_rows_were_refused_is_an_empty_table(smelt: Smelt, tmp_path: Path) -> None:
    smelt("try", write_lines(tmp_path / "orders/a.jsonl", [order(0, total="heavy")]), "--out", ".smelt/try")
    assert asked(smelt, "SELECT order_id, total, dt FROM orders") == []
    assert asked(smelt, "SELECT COUNT(*) AS n FROM quarantine WHERE dataset = 'orders'") == [{"n": 1}]


def test_times_may_be_asked_in_a_zone(lake: Path, smelt: Smelt) -> None:
    sql = "SELECT at AT TIME ZONE 'Europe/Vienna' AS t FROM orders WHERE order_id = 'o0'"
    assert asked(smelt, sql, "--silver", lake) == [{"t": "2026-01-01 09:00:00"}]


def test_what_duckdb_lacks_is_told_from_what_athena_lacks(lake: Path, smelt: Smelt) -> None:
    told = " ".join(smelt("query", "SELECT format_datetime(at, 'yyyy') FROM orders", "--silver", lake)[2].split())
    assert "format_datetime has not been compared with Athena's; use date_format" in told
    assert "pg_" not in smelt("query", "SELECT * FROM longcol", "--silver", lake)[2]


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("date_diff('day', timestamp '2026-01-01 23:00:00', timestamp '2026-01-02 01:00:00')", 0),
        ("date_diff('hour', timestamp '2026-01-01 00:59:00', timestamp '2026-01-01 02:00:00')", 1),
        ("date_diff('year', date '2025-12-31', date '2026-01-01')", 0),
        ("date_diff('month', date '2026-01-31', date '2026-02-28')", 1),
        ("extract(dow FROM date '2026-01-04')", 7),
        ("extract(year_of_week FROM date '2024-12-30')", 2025),
        ("millisecond(timestamp '2026-01-01 00:00:05.123')", 123),
        ("hour(from_unixtime(0, 'Europe/Berlin'))", 1),
        ("hour(timestamp '2026-01-01 10:00:00' AT TIME ZONE 'Asia/Tokyo')", 19),
        ("hour(at_timezone(date_parse('2026-01-01', '%Y-%m-%d'), 'Asia/Tokyo'))", 9),
        ("hour(from_unixtime(0) AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Tokyo')", 9),
        ("hour(from_unixtime(0) AT TIME ZONE 'Asia/Tokyo' AT TIME ZONE 'UTC')", 0),
        ("TRY_CAST(concat('2026-01-01', 'T10:00:00Z') AS timestamp)", None),
        ("TRY_CAST(concat('2026-01-01', ' 10:00') AS timestamp)", "2026-01-01 10:00:00"),
        ("TRY_CAST(concat('2026-01-01', ' 10:00') AS date)", None),
        ("TRY(date(concat('2026-01-01', 'T10:00:00Z')))", None),
        ("date(concat('2026-', '01-01'))", "2026-01-01"),
        ("CAST(CAST(from_iso8601_timestamp('2026-01-01T10:00:00Z') AS date) AS timestamp)", "2026-01-01 00:00:00"),
        ("TRY_CAST(CAST(NULL AS varchar) AS date)", None),
        ("sequence(3, 1)", [3, 2, 1]),
        ("sequence(1, 5, 2)", [1, 3, 5]),
        ("to_hex(sha1(to_utf8('a')))", "86F7E437FAA5A7FCE15D1DDCB9EAEAEA377667B8"),
        ("url_decode('a+b%20c%2B')", "a b c+"),
        ("timestamp '2026-03-18 08:08:00' - timestamp '2026-01-01 00:00:00.5'", "76 08:07:59.500"),
        ("timestamp '2026-01-01 00:00:00' - timestamp '2026-01-01 01:00:00'", "-0 01:00:00.000"),
        ("interval '14' month", "1-2"),
        ("regexp_extract('abc', '[0-9]+')", None),
        ("regexp_extract('x', '(a)?x', 1)", None),
        ("regexp_extract('a=12', 'a=([0-9]+)', 1)", "12"),
        ("regexp_replace('a1b2', '([0-9])', '<$1>')", "a<1>b<2>"),
        ("regexp_replace('a.b', '[.]', '\\$')", "a$b"),
        ("regexp_replace('a1b2', '[0-9]')", "ab"),
        ("split_part('a,b', ',', 3)", None),
        ("split_part('a,b', ',', 2)", "b"),
        ("cardinality(slice(ARRAY[1, 2, 3, 4], 2, 2))", 2),
        ("slice(ARRAY[1, 2, 3, 4], -2, 9)", [3, 4]),
        ("array_position(ARRAY['a'], 'b')", 0),
        ("""json_extract_scalar('{"a": {"b": 1}}', '$.a')""", None),
        ("""json_extract_scalar('{"a": {"b": 1}}', '$.a.b')""", "1"),
        ("""json_extract_scalar('{"a": 1', '$.a')""", None),
        ("""regexp_extract(json_extract_scalar('{"a": "b7"}', '$.a'), '([0-9])', 1)""", "7"),
        ("""json_extract('{"a": 1', '$.a')""", None),
        ("""CAST(json_extract('{"a": "x"}', '$.a') AS varchar)""", "x"),
        ("CAST('abc' AS varchar(2))", "ab"),
        ("TRY_CAST('1.5' AS integer)", None),
        ("TRY_CAST('15' AS integer)", 15),
        ("CAST(CAST('2.5' AS double) AS bigint)", 3),
        ("CAST(1 = 1 AS integer)", 1),
        ("format('%s: %.2f%%', 1, 1.234)", "1: 1.23%"),
        ("CAST(date '2026-01-02' - interval '1' day AS varchar)", "2026-01-01"),
        ("CAST(interval '2' day * 3 + date '2026-01-02' AS varchar)", "2026-01-08"),
        ("CAST(date_add('month', -1, date '2026-03-31') AS varchar)", "2026-02-28"),
        ("CAST(date_trunc('month', date '2026-01-15') AS varchar)", "2026-01-01"),
        ("CAST(CAST(NULL AS date) + interval '1' day AS varchar)", None),
        ("date_add('hour', 25, timestamp '2026-01-01 00:00:00')", "2026-01-02 01:00:00"),
        ("date_trunc('hour', timestamp '2026-01-01 10:11:12')", "2026-01-01 10:00:00"),
        (
            "CAST(sequence(date '2026-01-31', date '2026-02-01', interval '1' day)[2] AS varchar)",
            "2026-02-01",
        ),
        ("trim(chr(9) || ' a ' || chr(10))", "a"),
        ("ltrim(chr(10) || 'a ')", "a "),
        ("trim(BOTH 'x' FROM 'x a x')", " a "),
        ("(SELECT max_by(v, n) FROM (VALUES ('a', 1), (NULL, 2), ('b', NULL)) AS t(v, n))", None),
        ("(SELECT min_by(v, n) FROM (VALUES ('a', 1), (NULL, 2), ('b', NULL)) AS t(v, n))", "a"),
    ],
)
def test_the_answer_is_athenas_where_duckdb_has_another(lake: Path, smelt: Smelt, sql: str, answer: object) -> None:
    assert asked(smelt, f"SELECT {sql} AS x", "--silver", lake) == [{"x": answer}]


def test_a_named_window_is_no_name_of_a_column(lake: Path, smelt: Smelt) -> None:
    sql = "SELECT MAX(order_id) OVER w FROM orders WINDOW w AS (ORDER BY order_id) ORDER BY 1 LIMIT 1"
    assert asked(smelt, sql, "--silver", lake) == [{"_col0": "o0"}]


def test_fields_of_rows_in_an_array_are_columns(lake: Path, smelt: Smelt) -> None:
    sql = """SELECT sku, SUM(n) AS n FROM (SELECT CAST(ARRAY[('a', 1), ('b', 2), ('a', 4)]
             AS ARRAY(ROW(sku varchar, n integer))) AS lines) CROSS JOIN UNNEST(lines) AS t(sku, n)
             GROUP BY sku ORDER BY sku"""
    assert asked(smelt, sql, "--silver", lake) == [{"sku": "a", "n": 5}, {"sku": "b", "n": 2}]


def test_a_text_of_iso_8601_that_athena_does_not_cast_is_told(lake: Path, smelt: Smelt) -> None:
    code, out, err = smelt("query", "SELECT CAST(dt || 'T10:00:00Z' AS timestamp) FROM orders", "--silver", lake)
    assert (code, out, "from_iso8601_timestamp" in " ".join(err.split())) == (2, "", True)


def test_ties_are_not_left_out(lake: Path, smelt: Smelt) -> None:
    sql = "SELECT order_id FROM orders ORDER BY record_type FETCH FIRST 1 ROW "
    code, out, err = smelt("query", f"{sql} WITH TIES", "--silver", lake)
    assert (code, out, "rank()" in " ".join(err.split())) == (2, "", True)


def test_days_are_found_by_the_text_of_a_date(lake: Path, smelt: Smelt) -> None:
    sql = "SELECT COUNT(*) AS n FROM orders WHERE dt >= CAST(date '2026-01-04' - interval '2' day AS varchar)"
    assert asked(smelt, sql, "--silver", lake) == [{"n": 2}]


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("max(CAST(at AS date)) + interval '1' day", "2026-01-04"),
        ("date_trunc('month', max(CAST(at AS date)))", "2026-01-01"),
        ("date_add('day', count(*), coalesce(max_by(CAST(at AS date), total), current_date))", "2026-01-06"),
        ("max(max(CAST(at AS date))) OVER () - interval '1' day", "2026-01-02"),
        ("date_add('hour', 1, min(at))", "2026-01-01 09:00:00+00:00"),
        ("max(CAST(at AS date) + interval '1' day + interval '1' month)", "2026-02-04"),
    ],
)
def test_dates_of_aggregates_are_dates(lake: Path, smelt: Smelt, sql: str, answer: object) -> None:
    assert asked(smelt, f"SELECT {sql} AS x FROM orders", "--silver", lake) == [{"x": answer}]  # noqa: S608


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT dt + interval '1' day FROM orders", "CAST(dt AS date)"),
        ("SELECT date_trunc('month', dt) FROM orders", "CAST(dt AS date)"),
        (
            "SELECT d FROM orders "
            "CROSS JOIN UNNEST(sequence(CAST(at AS date), date '2026-01-09', interval '1' day)) AS u(d)",
            "give that a name",
        ),
    ],
)
def test_what_dates_cannot_be_calculated_with_is_told(lake: Path, smelt: Smelt, sql: str, told: str) -> None:
    code, _, err = smelt("query", sql, "--silver", lake)
    assert (code, told in " ".join(err.split()), "athena_" in err) == (2, True, False)


def test_days_of_a_subquery_are_unnested(lake: Path, smelt: Smelt) -> None:
    sql = """SELECT CAST(d AS varchar) AS d, COUNT(order_id) AS n
             FROM (SELECT sequence(min(CAST(at AS date)), max(CAST(at AS date)), interval '1' day) AS days FROM orders)
             CROSS JOIN UNNEST(days) AS u(d) LEFT JOIN orders ON dt = CAST(d AS varchar) GROUP BY d ORDER BY d"""
    assert asked(smelt, sql, "--silver", lake) == [{"d": f"2026-01-0{n}", "n": 1} for n in (1, 2, 3)]


def test_hours_are_not_added_to_a_date(lake: Path, smelt: Smelt) -> None:
    code, _, told = smelt("query", "SELECT date '2026-01-01' + interval '5' hour", "--silver", lake)
    assert (code, "added to a date" in " ".join(told.split())) == (2, True)


def test_text_that_is_no_json_can_be_asked_in_quarantine(smelt: Smelt, tmp_path: Path) -> None:
    smelt("try", write_lines(tmp_path / "orders/a.jsonl", [order(1, total="heavy"), '{"order_id": "o2", ']))
    sql = "SELECT reason, json_extract_scalar(raw, '$.order_id') AS id FROM quarantine ORDER BY 1"
    assert asked(smelt, sql) == [{"reason": "malformed_json", "id": None}, {"reason": "wrong_type", "id": "o1"}]


@pytest.mark.parametrize(
    "sql",
    [
        "array_sort(ARRAY[1, 2], (a, b) -> 0)",
        "split('a,b,c', ',', 2)",
        "strpos('abab', 'b', 2)",
        "format(dt, 1)",
        "regexp_replace('a', '(?P<n>a)', '${n}')",
        "regexp_replace('a', 'a', dt)",
        "max_by(_source, _offset, 2)",
        "approx_percentile(_offset, _offset, 0.5)",
        "repeat('a', 2)",
        "skewness(_offset)",
        "entropy(_offset)",
        "url_encode(dt)",
        "date_trunc('day', _created AT TIME ZONE 'Asia/Tokyo') AT TIME ZONE 'UTC'",
        "json_exists('{\"a\": 1}', 'lax $.a')",
        "json_value('{\"a\": 1}', 'lax $.a')",
        "json_query('{\"a\": 1}', 'lax $.a')",
        "json_extract('{\"a\": [1]}', '$.a[*]')",
        "json_extract('{\"a\": [1]}', '$..a')",
    ],
)
def test_what_would_answer_something_else_is_refused(lake: Path, smelt: Smelt, sql: str) -> None:
    code, out, err = smelt("query", f"SELECT {sql} AS x FROM silver", "--silver", lake)  # noqa: S608
    assert (code, out, "than Athena" in err) == (2, "", True)


@pytest.mark.parametrize("command", [("query", "SELECT COUNT(*) FROM silver"), ("report",)])
@pytest.mark.parametrize("folder", ["silver", "silver/orders/dt=2026-01-02"])
def test_a_folder_of_silver_that_cannot_be_looked_into_is_named_not_left_out(
    smelt: Smelt, tmp_path: Path, closed: Callable[[Path], None], command: tuple[str, ...], folder: str
) -> None:
    smelt("try", write_lines(tmp_path / "orders/a.jsonl", map(order, range(3))))
    assert smelt(*command)[0] == 0
    closed(tmp_path / ".smelt/try" / folder)
    code, printed, told = smelt(*command)
    assert (code, printed, f"{folder}: Permission denied" in told) == (2, "", True), told


def test_small_decimals_have_no_exponent(smelt: Smelt, lake: Path) -> None:
    sql = "SELECT CAST(0 AS decimal(12,8)) AS a, ARRAY[CAST('0.00000012' AS decimal(12,8))] AS b"
    assert asked(smelt, sql) == [{"a": "0.00000000", "b": ["0.00000012"]}]
    assert smelt("query", sql, "--format", "csv")[1].splitlines()[1] == '0.00000000,"[""0.00000012""]"'


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        ("SELECT order_id, -total AS total FROM orders ORDER BY total + 0 LIMIT 1", "o2"),
        ("SELECT order_id, -total AS total FROM orders o ORDER BY o.total + 0 LIMIT 1", "o0"),
        ("SELECT order_id, sum(total) AS total FROM orders GROUP BY 1 ORDER BY coalesce(total, 0) DESC LIMIT 1", "o2"),
        ("SELECT order_id, 1 AS x FROM orders ORDER BY transform(ARRAY[total], x -> -x) LIMIT 1", "o2"),
    ],
)
def test_a_name_in_order_by_is_the_answers_first(smelt: Smelt, lake: Path, sql: str, first: str) -> None:
    (row,) = asked(smelt, sql, "--silver", lake)
    assert row["order_id"] == first


def test_ctrl_c_ends_a_query_that_has_no_end(lake: Path) -> None:
    """Its first rows are there at once, and then none comes any more."""
    endless = (
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) "
        "SELECT n FROM UNNEST(sequence(1, 30000)) AS first(n) UNION ALL SELECT n FROM t WHERE n < 0"
    )
    command = [sys.executable, "-m", "workbench.cli", "query", endless, "--silver", lake, "--format", "csv"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            while select.select([running.stdout], [], [], 1)[0]:  # until nothing comes any more
                os.read(running.stdout.fileno(), 1 << 16)
            running.send_signal(signal.SIGINT)
            _, told = running.communicate(timeout=60)
        finally:
            running.kill()
    assert (running.returncode, told) == (130, b"Interrupted.\n")
