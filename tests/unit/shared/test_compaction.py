"""A plan and its manifest come back as they were written, and nothing that does not add up is believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.shared.compaction import (
    TARGET_BYTES,
    CompactionPlan,
    CompactionResult,
    InputFile,
    OutputFile,
    check_result,
    files_needed,
    is_worthwhile,
)
from services.shared.contract.model import Contract
from services.shared.identities import COMPACTED_ROOT, SILVER_ROOT, CompactionRun, LakeKey, LotId
from services.shared.manifest_json import ManifestError

DT = "2026-01-15"
NOW = datetime(2026, 1, 16, 3, tzinfo=UTC)


def _silver(token: int, dt: str = DT, dataset: str = "shipments") -> str:
    return str(LakeKey(SILVER_ROOT, dataset, dt, LotId("20260115T101500Z", f"{token:016x}"), "0123abcd"))


RUN = CompactionRun(COMPACTED_ROOT, "shipments", DT, "20260116T030000Z-0011223344556677")
INPUTS = tuple(InputFile(_silver(n), f"etag{n}", 10, 1000, f"lot{n}") for n in range(3))


@pytest.fixture
def plan(contracts: dict[str, Contract]) -> CompactionPlan:
    return CompactionPlan.of(RUN, contracts["shipments"], INPUTS, base_snapshot=7)


@pytest.fixture
def result(plan: CompactionPlan) -> CompactionResult:
    outputs = (OutputFile(f"{RUN}part-0.parquet", 20, 900, "a"), OutputFile(f"{RUN}part-1.parquet", 7, 300, "b"))
    return CompactionResult(RUN, plan.digest, outputs, {_silver(0): 0, _silver(1): 3, _silver(2): 0})


def test_a_plan_comes_back_as_it_was_written(plan: CompactionPlan, contracts: dict[str, Contract]) -> None:
    again = CompactionPlan.from_json(plan.to_json())

    assert again.digest == plan.digest
    assert replace(again, columns=()) == replace(plan, columns=())
    assert [(one.name, one.type, one.nullable, one.id) for one in again.columns] == [
        (one.name, one.type, one.nullable, one.id) for one in plan.columns
    ]
    assert again.keys == contracts["shipments"].keys
    assert again.order == ("event_time", "_created", "_source", "_offset")
    assert again.replaces == tuple(file.key for file in INPUTS)
    assert (again.rows, again.total_bytes, again.target_bytes) == (30, 3000, TARGET_BYTES)


def test_nested_columns_and_decimals_are_in_the_plan(contracts: dict[str, Contract]) -> None:
    run = RUN._replace(record_type="invoice_lines")
    written = CompactionPlan.of(
        run, contracts["invoice_lines"], [InputFile(_silver(1, dataset="invoice_lines"), "e", 1, 1)]
    )
    again = CompactionPlan.from_json(written.to_json())

    assert [_shape(one) for one in again.columns] == [_shape(one) for one in written.columns]
    assert any(one.precision for one in again.columns)


def _shape(column: Any) -> tuple[Any, ...]:
    return (column.name, column.type, column.precision, column.scale, column.id, *map(_shape, column.children))


def test_a_dataset_by_creation_time_has_each_column_of_its_order_once(contracts: dict[str, Contract]) -> None:
    contract = replace(contracts["shipments"], event_time="_created")

    assert CompactionPlan.of(RUN, contract, INPUTS).order == ("_created", "_source", "_offset")


def test_a_manifest_comes_back_and_fits_its_plan(plan: CompactionPlan, result: CompactionResult) -> None:
    again = CompactionResult.from_json(result.to_json())

    assert again == result
    assert (again.rows, again.superseded_rows, again.total_bytes) == (27, 3, 1200)
    check_result(plan, again)


def _mutated(text: str, *path: str | int, to: Any) -> str:
    body = json.loads(text)
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return json.dumps(body)


PLAN_MUTATIONS: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("format",), 2, "of format 2"),
    (("run",), "silver/shipments/dt=2026-01-15/run=1/", "belongs to the pipeline"),
    (("run",), str(RUN) + "deeper/", "is not the folder of a run"),
    (("run",), 3, "not a text"),
    (("base_snapshot",), "7", "base_snapshot"),
    (("inputs",), [], "no inputs"),
    (("inputs",), {}, "is no list"),
    (("inputs", 0, "key"), _silver(0, dt="2026-01-14"), "no file of this partition"),
    (("inputs", 0, "key"), _silver(0, dataset="smoke"), "no file of this partition"),
    (("inputs", 0, "key"), _silver(1), "inputs twice"),
    (("inputs", 0, "key"), f"{RUN}part-0.parquet", "no file of this partition"),
    (("inputs", 0, "rows"), 0, "rows is 0"),
    (("inputs", 0, "rows"), 1.5, "rows is 1.5"),
    (("inputs", 0, "bytes"), True, "bytes is True"),
    (("inputs", 0, "etag"), "", "etag is ''"),
    (("inputs", 0, "more"), 1, "unknown key 'more'"),
    (("replaces", 0), _silver(1), "replaces twice"),
    (("keys",), ["nothing"], "no column 'nothing'"),
    (("order",), ["event_time"], "leaves ties"),
    (("columns", 0, "type"), "money", "type is 'money'"),
    (("columns", 0, "nullable"), 1, "nullable 1"),
    (("target_bytes",), 0, "target_bytes is 0"),
    (("more",), 1, "unknown key 'more'"),
]


@pytest.mark.parametrize(("path", "value", "says"), PLAN_MUTATIONS, ids=lambda one: str(one)[:40])
def test_a_plan_that_says_what_cannot_be_is_refused(
    plan: CompactionPlan, path: tuple[str | int, ...], value: Any, says: str
) -> None:
    with pytest.raises(ManifestError, match=says):
        CompactionPlan.from_json(_mutated(plan.to_json(), *path, to=value))


@pytest.mark.parametrize(
    "name", ["run", "inputs", "replaces", "keys", "order", "columns", "contract_version", "format"]
)
def test_a_plan_that_lacks_something_is_refused(plan: CompactionPlan, name: str) -> None:
    body = json.loads(plan.to_json())
    del body[name]
    with pytest.raises(ManifestError, match=f"{name} is missing"):
        CompactionPlan.from_json(json.dumps(body))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", b"\xff"])
def test_what_is_no_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ManifestError):
        CompactionPlan.from_json(text)
    with pytest.raises(ManifestError):
        CompactionResult.from_json(text)


@pytest.mark.parametrize("name", ["rows_in", "rows_out", "superseded_rows"])
def test_a_manifest_whose_sums_are_others_is_refused(result: CompactionResult, name: str) -> None:
    with pytest.raises(ManifestError, match="not the sums"):
        CompactionResult.from_json(_mutated(result.to_json(), name, to=29))


def _outputs(result: CompactionResult, **changes: Any) -> CompactionResult:
    first, second = result.outputs
    return replace(result, outputs=(replace(first, **changes), second))


RESULT_MUTATIONS: list[tuple[str, Callable[[CompactionResult], CompactionResult]]] = [
    ("is of the run", lambda one: replace(one, run=RUN._replace(run="other"))),
    ("made from another plan", lambda one: replace(one, plan_digest="0" * 64)),
    ("twice", lambda one: replace(one, outputs=(one.outputs[0], one.outputs[0]))),
    ("no Parquet file of the run", lambda one: _outputs(one, key=_silver(9))),
    ("no Parquet file of the run", lambda one: _outputs(one, key=f"{RUN}_plan.json")),
    ("is empty", lambda one: _outputs(one, rows=0)),
    ("is empty", lambda one: _outputs(one, bytes=0)),
    ("30 rows went in", lambda one: _outputs(one, rows=21)),
    ("30 rows went in", lambda one: replace(one, outputs=one.outputs[:1])),
    ("30 rows went in", lambda one: replace(one, superseded=dict.fromkeys(one.superseded, 0))),
    ("other files", lambda one: replace(one, superseded={_silver(1): 3})),
    ("other files", lambda one: replace(one, superseded={**one.superseded, _silver(9): 0})),
    ("of them are superseded", lambda one: replace(one, superseded={**one.superseded, _silver(1): 11})),
]


@pytest.mark.parametrize(("says", "change"), RESULT_MUTATIONS, ids=[str(n) for n in range(len(RESULT_MUTATIONS))])
def test_a_manifest_that_does_not_fit_its_plan_is_refused(
    plan: CompactionPlan,
    result: CompactionResult,
    says: str,
    change: Callable[[CompactionResult], CompactionResult],
) -> None:
    with pytest.raises(ManifestError, match=says):
        check_result(plan, change(result))


def test_without_keys_no_row_may_be_superseded(plan: CompactionPlan, result: CompactionResult) -> None:
    keyless = replace(plan, keys=())
    with pytest.raises(ManifestError, match="no keys"):
        check_result(keyless, replace(result, plan_digest=keyless.digest))


def test_another_plan_has_another_digest(plan: CompactionPlan) -> None:
    assert replace(plan, base_snapshot=8).digest != plan.digest


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], False),
        ([1], False),
        ([1, 1], True),
        ([TARGET_BYTES] * 5, False),
        ([TARGET_BYTES] * 5 + [1], False),  # one small file does not rewrite five large ones
        ([TARGET_BYTES] * 5 + [1] * 3, False),
        ([TARGET_BYTES] * 5 + [1] * 5, True),
        ([10 * TARGET_BYTES], False),
    ],
)
def test_compacting_must_leave_fewer_files(sizes: list[int], expected: bool) -> None:
    assert is_worthwhile(sizes) is expected


def test_the_files_that_are_needed_hold_all_bytes() -> None:
    assert [files_needed(size, 100) for size in (0, 1, 100, 101, 1000)] == [1, 1, 1, 2, 10]


def test_a_run_is_written_and_read_in_one_place() -> None:
    run = CompactionRun.new("silver_compacted/", "shipments", DT, NOW)

    assert str(run).startswith("silver_compacted/shipments/dt=2026-01-15/run=20260116T030000Z-")
    assert CompactionRun.parse(f"{run}part-00000.parquet") == run
    assert run.plan_key == f"{run}_plan.json"
    assert run.manifest_key == f"{run}_manifest.json"
    assert CompactionRun.new("silver_compacted", "shipments", DT, NOW) != run


@pytest.mark.parametrize("root", ["silver", "quarantine", "bronze", "history", "lake", "lake/x", "", "../x"])
def test_a_run_never_lies_among_what_the_pipeline_owns(root: str) -> None:
    with pytest.raises(ValueError, match=r"belongs to the pipeline|not a compaction's key"):
        CompactionRun.new(root, "shipments", DT, NOW)
