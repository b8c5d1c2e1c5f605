"""The compaction job on Spark: which rows it keeps, what it writes, and what a crash leaves."""

from __future__ import annotations

import io
import json
import random
import time
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.shared.compaction import CompactionPlan, CompactionResult, InputFile, check_result, is_worthwhile
from services.shared.contract.model import Contract, Field, FieldType
from tests.support.partition import CREATED, PARCELS, RUN, parcel, planned, put, with_field
from tests.support.spark import JobFailed, Spark, running

pytestmark = pytest.mark.spark


def _compact(spark: Spark, root: Path, plan: CompactionPlan, **options: Any) -> CompactionResult:
    result = CompactionResult.from_json(
        json.dumps(spark.ask("compact", lake=str(root), plan=plan.run.plan_key, **options))
    )
    check_result(plan, result)
    assert CompactionResult.from_json((root / plan.run.manifest_key).read_bytes()) == result
    return result


def _rows(root: Path, result: CompactionResult) -> list[dict[str, Any]]:
    tables = [pq.read_table(io.BytesIO((root / file.key).read_bytes())) for file in result.outputs]
    assert [table.num_rows for table in tables] == [file.rows for file in result.outputs]
    return pa.concat_tables(tables).to_pylist()  # type: ignore[no-any-return]


def _random_files(root: Path, files: int, rows: int, ids: int, contract: Contract = PARCELS) -> list[InputFile]:
    chance = random.Random(7)
    made, number = [], 0
    for lot in range(files):
        inside = []
        for _ in range(rows):
            number += 1
            seconds = chance.randrange(60)  # so that event times are often equal
            created = CREATED + timedelta(seconds=chance.randrange(3))
            price = Decimal(chance.randrange(10**6)) / 100
            inside.append(
                parcel(number, f"p{chance.randrange(ids)}", chance.randrange(3), seconds, _created=created, price=price)
            )
        made.append(put(root, inside, contract, lot))
    return made


LATEST = """
select * from read_parquet($files, hive_partitioning = false)
qualify row_number() over (partition by id, part order by "at" desc, _created desc, _source desc, _offset desc) = 1
"""


def test_the_latest_row_of_each_key_stays_as_another_engine_finds_it(spark: Spark, tmp_path: Path) -> None:
    inputs = _random_files(tmp_path, files=12, rows=400, ids=300)
    plan = planned(tmp_path, inputs)
    result = _compact(spark, tmp_path, plan)
    kept = _rows(tmp_path, result)

    files = {"files": [str(tmp_path / file.key) for file in inputs]}
    expected = duckdb.connect().sql(LATEST, params=files).to_arrow_table().to_pylist()
    assert len(kept) == len({(row["id"], row["part"]) for row in kept}) == result.rows
    assert result.rows + result.superseded_rows == 4800
    assert sorted(kept, key=lambda row: row["_offset"]) == sorted(expected, key=lambda row: row["_offset"])
    assert kept == sorted(kept, key=lambda row: (row["at"], row["_created"], row["_source"], row["_offset"]))
    lost = {file.key: file.rows for file in inputs}
    of = {number: file.key for file in inputs for number in _offsets(tmp_path, file)}
    for row in kept:
        lost[of[row["_offset"]]] -= 1
    assert result.superseded == lost


def _offsets(root: Path, file: InputFile) -> list[int]:
    return pq.read_table(root / file.key)["_offset"].to_pylist()  # type: ignore[no-any-return]


def test_a_compacted_file_has_the_very_columns_of_the_one_that_transform_wrote(spark: Spark, tmp_path: Path) -> None:
    inputs = _random_files(tmp_path, files=2, rows=10, ids=5)
    result = _compact(spark, tmp_path, planned(tmp_path, inputs))
    before, after = (pq.ParquetFile(tmp_path / one.key) for one in (inputs[0], result.outputs[0]))

    assert str(after.schema).split("\n", 1)[1] == str(before.schema).split("\n", 1)[1]  # field ids, nested ones too
    assert after.metadata.row_group(0).column(0).compression == "ZSTD"
    assert after.metadata.metadata[b"smelt.contract_version"] == b"1.0.0"


def test_without_keys_no_row_is_dropped(spark: Spark, tmp_path: Path) -> None:
    contract = replace(PARCELS, keys=())
    inputs = _random_files(tmp_path, files=3, rows=50, ids=2, contract=contract)
    result = _compact(spark, tmp_path, planned(tmp_path, inputs, contract))

    assert (result.rows, result.superseded_rows) == (150, 0)
    assert sorted(row["_offset"] for row in _rows(tmp_path, result)) == list(range(1, 151))


def test_rows_with_a_null_in_a_key_are_each_of_their_own(spark: Spark, tmp_path: Path) -> None:
    rows = [
        parcel(1, None, 1, 0),
        parcel(2, None, 1, 1),
        parcel(3, "a", None, 2),
        parcel(4, "a", None, 3),
        parcel(5, "a", 1, 4),
        parcel(6, "a", 1, 5),
    ]
    result = _compact(spark, tmp_path, planned(tmp_path, [put(tmp_path, rows)]))

    assert [row["_offset"] for row in _rows(tmp_path, result)] == [1, 2, 3, 4, 6]


def test_a_key_may_have_any_name(spark: Spark, tmp_path: Path) -> None:
    contract = replace(PARCELS, fields=(*PARCELS.fields, Field("chosen", FieldType.STRING, id=14)), keys=("chosen",))
    files = [put(tmp_path, [parcel(n, None, n, n, chosen=f"c{n % 2}") for n in range(4)], contract)]
    plan = planned(tmp_path, files, contract)
    assert spark.ask("compact", lake=str(tmp_path), plan=plan.run.plan_key)["rows_out"] == 2


def test_ties_are_broken_by_creation_then_source_then_offset(spark: Spark, tmp_path: Path) -> None:
    late = CREATED + timedelta(seconds=1)
    rows = [
        parcel(9, "created", 1, 0),
        parcel(1, "created", 1, 0, _created=late),
        parcel(9, "source", 1, 0, _source="s3://b/bronze/parcels/a#1"),
        parcel(1, "source", 1, 0, _source="s3://b/bronze/parcels/b#1"),
        parcel(1, "offset", 1, 0),
        parcel(9, "offset", 1, 0),
        parcel(1, "event", 1, 1),
        parcel(9, "event", 1, 0, _created=late),
    ]
    result = _compact(spark, tmp_path, planned(tmp_path, [put(tmp_path, rows[:4]), put(tmp_path, rows[4:], lot=1)]))

    assert {row["id"]: row["_offset"] for row in _rows(tmp_path, result)} == {
        "created": 1,
        "source": 1,
        "offset": 9,
        "event": 1,
    }


def test_a_key_that_has_nearly_all_rows_is_reduced_before_it_is_sent(spark: Spark, tmp_path: Path) -> None:
    inputs = []
    for lot in range(8):
        rows = [parcel(lot * 5000 + at, "hot" if at % 100 else f"cold{lot}-{at}", 1, at % 86_000) for at in range(5000)]
        inputs.append(put(tmp_path, rows, lot=lot))
    plan = planned(tmp_path, inputs)
    result = _compact(spark, tmp_path, plan)

    assert result.rows == 8 * 50 + 1
    (hot,) = [row for row in _rows(tmp_path, result) if row["id"] == "hot"]
    assert hot["_offset"] == 7 * 5000 + 4999
    physical = spark.ask("plan_of", lake=str(tmp_path), plan=plan.run.plan_key)
    assert "partial_max_by" in physical
    assert physical.index("partial_max_by") > physical.index("Exchange")  # deeper in the tree: before the shuffle


def test_files_that_lack_a_newer_column_give_null_and_a_wider_decimal_takes_older_ones(
    spark: Spark, tmp_path: Path
) -> None:
    old = put(tmp_path, [parcel(1, "a", 1, 0, price=Decimal("1.23"))])
    lines = PARCELS.fields[5]
    item = lines.children[0]
    newer = with_field(
        replace(
            PARCELS,
            fields=(
                *PARCELS.fields[:3],
                replace(PARCELS.fields[3], precision=14),
                PARCELS.fields[4],
                replace(
                    lines, children=(replace(item, children=(*item.children, Field("tax", FieldType.NUMBER, id=14))),)
                ),
            ),
        ),
        Field("note", FieldType.STRING, id=15),
    )
    new = put(
        tmp_path,
        [
            parcel(
                2, "b", 1, 1, price=Decimal("123456789012.34"), note="n", lines=[{"sku": "x", "count": 1, "tax": 0.5}]
            )
        ],
        newer,
        lot=1,
    )
    result = _compact(spark, tmp_path, planned(tmp_path, [old, new], newer))
    first, second = _rows(tmp_path, result)

    assert (first["note"], first["price"], first["lines"]) == (
        None,
        Decimal("1.23"),
        [{"sku": "s1", "count": 1, "tax": None}, None],
    )
    assert (second["note"], second["price"], second["lines"]) == (
        "n",
        Decimal("123456789012.34"),
        [{"sku": "x", "count": 1, "tax": 0.5}],
    )
    assert first["made"] == date(1500, 1, 1)
    files = [str(tmp_path / file.key) for file in (old, new)]
    by_duckdb = duckdb.connect().execute(
        "select note from read_parquet($f, union_by_name = true) order by _offset", {"f": files}
    )
    assert by_duckdb.fetchall() == [(None,), ("n",)]
    by_spark = spark.ask("read", files=files, schema="_offset long, note string")
    assert sorted((row["_offset"], row.get("note")) for row in by_spark) == [(1, None), (2, "n")]


def test_outputs_have_the_wanted_size_as_measured_and_are_not_worth_another_run(spark: Spark, tmp_path: Path) -> None:
    chance = random.Random(1)
    contract = replace(PARCELS, keys=())
    inputs = [
        put(
            tmp_path,
            [parcel(lot * 2000 + at, chance.randbytes(40).hex(), 1, chance.randrange(80_000)) for at in range(2000)],
            contract,
            lot,
        )
        for lot in range(20)
    ]
    target = 200_000
    plan = planned(tmp_path, inputs, contract, target_bytes=target)
    result = _compact(spark, tmp_path, plan)
    sizes = [file.bytes for file in result.outputs]

    assert is_worthwhile([file.bytes for file in inputs], target)
    assert not is_worthwhile(sizes, target)
    assert len(sizes) > 4  # by more than one writer
    assert sorted(sizes)[len(sizes) // 2] > 0.75 * target
    assert max(sizes) < 2 * target
    kept = _rows(tmp_path, result)
    assert len(kept) == 40_000
    assert kept == sorted(kept, key=lambda row: (row["at"], row["_created"], row["_source"], row["_offset"]))


def test_a_second_run_of_a_plan_changes_nothing_and_starts_no_spark(spark: Spark, tmp_path: Path) -> None:
    plan = planned(tmp_path, _random_files(tmp_path, files=3, rows=20, ids=10))
    first = _compact(spark, tmp_path, plan)
    before = _tree(tmp_path)

    assert _compact(spark, tmp_path, plan, without_spark=True) == first
    assert _tree(tmp_path) == before


def _tree(root: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(root.rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize("step", ["planned", "written", "told"])
def test_a_crash_leaves_the_inputs_and_no_manifest_and_another_try_ends_it(
    spark: Spark, tmp_path: Path, step: str
) -> None:
    inputs = _random_files(tmp_path, files=3, rows=20, ids=10)
    plan = planned(tmp_path, inputs)
    before = {key: seen for key, seen in _tree(tmp_path).items() if "/silver/" in key}
    with pytest.raises(JobFailed, match="Died"):
        spark.ask("compact", lake=str(tmp_path), plan=plan.run.plan_key, die_at=step)

    assert (tmp_path / plan.run.manifest_key).exists() is (step == "told")
    result = _compact(spark, tmp_path, plan)
    assert result.rows == 30 - (30 - len({(row["id"], row["part"]) for row in _rows(tmp_path, result)}))
    assert {key: seen for key, seen in _tree(tmp_path).items() if "/silver/" in key} == before


def test_a_machine_that_dies_while_it_writes_leaves_files_that_no_manifest_names(spark: Spark, tmp_path: Path) -> None:
    contract = replace(PARCELS, keys=())
    inputs = _random_files(tmp_path, files=4, rows=1000, ids=2000, contract=contract)
    plan = planned(tmp_path, inputs, contract, target_bytes=10_000)
    with running(tmp_path / "dying") as dying:
        dying.begin("compact", lake=str(tmp_path), plan=plan.run.plan_key)
        deadline = time.monotonic() + 120
        while not (left := list((tmp_path / str(plan.run)).glob("part-*"))):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        dying.kill()
    assert not (tmp_path / plan.run.manifest_key).exists()

    result = _compact(spark, tmp_path, plan)
    assert result.rows == 4000
    assert {file.key for file in result.outputs}.isdisjoint(str(path.relative_to(tmp_path)) for path in left)


def test_two_runs_of_one_plan_at_once_write_no_file_over_the_other(spark: Spark, tmp_path: Path) -> None:
    plan = planned(tmp_path, _random_files(tmp_path, files=3, rows=20, ids=10))
    with pytest.raises(JobFailed, match="Died"):  # the other one, which has written all but its manifest
        spark.ask("compact", lake=str(tmp_path), plan=plan.run.plan_key, die_at="written")
    others = _tree(tmp_path)
    result = _compact(spark, tmp_path, plan)

    assert {path: seen for path, seen in _tree(tmp_path).items() if path in others} == others
    assert {str(tmp_path / file.key) for file in result.outputs}.isdisjoint(others)


def _changed(data: bytes) -> bytes:
    return data[:20] + bytes([data[20] ^ 1]) + data[21:]


@pytest.mark.parametrize("what", ["gone", "changed", "rows", "bytes"])
def test_an_input_that_is_not_what_the_plan_says_stops_the_run(spark: Spark, tmp_path: Path, what: str) -> None:
    first, second = _random_files(tmp_path, files=2, rows=20, ids=10)
    path = tmp_path / second.key
    if what == "gone":
        path.unlink()
    elif what == "changed":
        path.write_bytes(_changed(path.read_bytes()))
    elif what == "rows":
        second = replace(second, rows=21)
    else:
        second = replace(second, bytes=second.bytes + 1)
    plan = planned(tmp_path, [first, second])
    with pytest.raises(JobFailed, match=r"ObjectGone|WrongInput"):
        spark.ask("compact", lake=str(tmp_path), plan=plan.run.plan_key)

    assert not (tmp_path / plan.run.manifest_key).exists()


def test_a_file_without_a_required_column_stops_the_run(spark: Spark, tmp_path: Path) -> None:
    file = put(tmp_path, [parcel(1, "a", 1, 0)])
    stricter = with_field(PARCELS, Field("must", FieldType.STRING, required=True, id=20))
    plan = planned(tmp_path, [file], stricter)

    with pytest.raises(JobFailed, match="lacks the required column must"):
        spark.ask("compact", lake=str(tmp_path), plan=plan.run.plan_key)


def test_the_command_line_of_the_job(spark: Spark, tmp_path: Path) -> None:
    plan = planned(tmp_path, _random_files(tmp_path, files=2, rows=5, ids=5))
    arguments = ["--runtime", "local", "--lake", str(tmp_path), "--plan", plan.run.plan_key, "--JOB_NAME", "x"]

    assert spark.ask("main", arguments=arguments) == 0
    assert (tmp_path / plan.run.manifest_key).exists()
    with pytest.raises(JobFailed, match="no such plan"):
        spark.ask("main", arguments=[*arguments[:-4], "--plan", RUN.plan_key.replace("_plan", "_none")])


def test_a_mutated_plan_is_refused(spark: Spark, tmp_path: Path) -> None:
    plan = planned(tmp_path, _random_files(tmp_path, files=2, rows=5, ids=5))
    path = tmp_path / plan.run.plan_key
    path.write_text(path.read_text().replace(f'"target_bytes": {plan.target_bytes}', '"target_bytes": -1'))

    with pytest.raises(JobFailed, match="target_bytes is -1"):
        spark.ask("compact", lake=str(tmp_path), plan=plan.run.plan_key)
