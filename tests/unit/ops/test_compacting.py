"""What a compaction without a table reads, when there is nothing to do, and how the job's ends are told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from botocore.exceptions import ClientError

from local.ministack import ROOT
from services.ops.cli.compact import show_job
from services.ops.committed import find_in
from services.ops.compacting import running
from services.ops.compacting.planning import Partition
from services.ops.compacting.running import latest_on_glue, run_here, start_on_glue, wait_for_glue
from services.ops.errors import OperatorError
from services.shared.compaction import CompactionPlan, CompactionResult, OutputFile
from services.shared.contract.model import Contract
from services.shared.identities import SILVER_ROOT, CompactionRun, LakeKey, LotId
from services.shared.ledger.records import LotFile, LotState
from services.shared.manifest_json import ManifestError

DT = "2026-01-15"
NOW = datetime(2026, 1, 16, tzinfo=UTC)


class S3:
    """A bucket in memory, as far as it is asked."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get_paginator(self, _operation: str) -> Any:
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, Bucket: str, Prefix: str) -> list[Any]:  # noqa: N803 (boto3's names)
        return [{"Contents": [{"Key": key} for key in sorted(self.objects) if key.startswith(Prefix)]}, {}]

    def get_object(self, Bucket: str, Key: str) -> Any:  # noqa: N803
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": SimpleNamespace(read=lambda: self.objects[Key])}

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        self.objects[Key] = Body


def lot_id(number: int) -> LotId:
    return LotId("20260115T101500Z", f"{number:016x}")


def key_of(number: int, dt: str = DT) -> str:
    return str(LakeKey(SILVER_ROOT, "shipments", dt, lot_id(number), "0123abcd"))


def lot(number: int, state: LotState = LotState.COMMITTED) -> Any:
    """What of a lot is looked at: it also has a file of another day."""
    files = [LotFile(key_of(number, dt), 10, 1000, f"etag{number}") for dt in (DT, "2026-01-16")]
    return SimpleNamespace(id=lot_id(number), state=state, files=files)


def finder(*lots: Any) -> Any:
    def find(ids: Iterable[LotId]) -> Iterator[Any]:
        wanted = set(ids)
        yield from (one for one in lots if one.id in wanted)

    return find


@pytest.fixture
def bucket() -> S3:
    return S3()


@pytest.fixture
def partition(bucket: S3) -> Partition:
    client: Any = bucket
    return Partition(client, "silver", "shipments", DT, "silver_compacted/")


def listed(bucket: S3, *numbers: int) -> None:
    for number in numbers:
        bucket.objects[key_of(number)] = b""


def test_only_files_of_committed_lots_are_read(bucket: S3, partition: Partition) -> None:
    listed(bucket, 1, 2, 3, 4)
    bucket.objects[f"silver/shipments/dt={DT}/somebody-elses.parquet"] = b""
    ledger = finder(lot(1), lot(2, LotState.PENDING), lot(3, LotState.REWRITING))
    history = finder(lot(1), lot(4))
    found = partition.inputs(find_in(ledger, history))

    assert sorted(file.key for file in found) == [key_of(1), key_of(4)]  # each once, and none of another day
    assert {(file.rows, file.bytes) for file in found} == {(10, 1000)}


def test_a_plan_names_the_inputs_and_is_found_again(
    bucket: S3, partition: Partition, contracts: dict[str, Contract]
) -> None:
    listed(bucket, 1, 2)
    planned = partition.plan(contracts["shipments"], partition.inputs(finder(lot(1), lot(2))), NOW)
    assert planned.plan is not None
    partition.write(planned.plan)

    assert [file.key for file in planned.plan.inputs] == [key_of(1), key_of(2)]
    assert partition.result(planned.plan) is None
    again = partition.plan(contracts["shipments"], partition.inputs(finder(lot(1), lot(2))), NOW)
    assert again.plan is not None
    assert again.plan.run == planned.plan.run, "a run that was stopped goes on"


def done_by(partition: Partition, bucket: S3, contract: Contract, *lots: Any) -> CompactionPlan:
    """A run that has ended."""
    listed(bucket, *(int(one.id.token, 16) for one in lots))
    plan = partition.plan(contract, partition.inputs(finder(*lots)), NOW).plan
    assert plan is not None
    partition.write(plan)
    superseded = dict.fromkeys((file.key for file in plan.inputs), 0)
    output = OutputFile(f"{plan.run}part-0.parquet", plan.rows, 5, "e")
    result = CompactionResult(plan.run, plan.digest, (output,), superseded)
    bucket.objects[plan.run.manifest_key] = result.to_json().encode()
    return plan


def test_the_same_files_are_not_compacted_twice(
    bucket: S3, partition: Partition, contracts: dict[str, Contract]
) -> None:
    contract = contracts["shipments"]
    plan = done_by(partition, bucket, contract, lot(1), lot(2))
    inputs = partition.inputs(finder(lot(1), lot(2)))
    second = partition.plan(contract, inputs, NOW, force=True)

    assert (second.plan, second.done is not None) == (None, True)
    assert str(plan.run) in second.why_not
    listed(bucket, 3)
    more = partition.inputs(finder(lot(1), lot(2), lot(3)))
    third = partition.plan(contract, more, NOW)
    assert third.plan is not None
    assert third.plan.run != plan.run
    newer = replace(contract, version="1.1.0")
    assert partition.plan(newer, inputs, NOW).plan is not None, "another contract gives other files"


def test_a_run_of_the_lakes_table_is_nobody_elses(
    bucket: S3, partition: Partition, contracts: dict[str, Contract]
) -> None:
    """Maintenance deletes it when no snapshot of the table names it any more."""
    shipments = contracts["shipments"]
    listed(bucket, 1, 2)
    inputs = partition.inputs(finder(lot(1), lot(2)))
    own = partition.plan(shipments, inputs, NOW).plan
    assert own is not None
    partition.write(own)
    later = CompactionRun.new("silver_compacted", "shipments", DT, NOW + timedelta(days=1))
    partition.write(replace(own, run=later, base_snapshot=1))
    again = partition.plan(shipments, inputs, NOW).plan
    assert again is not None
    assert again.run == own.run
    bucket.objects.pop(own.run.plan_key)
    other = partition.plan(shipments, inputs, NOW).plan
    assert other is not None
    assert other.base_snapshot is None


def test_a_manifest_that_was_changed_is_not_believed(
    bucket: S3, partition: Partition, contracts: dict[str, Contract]
) -> None:
    plan = done_by(partition, bucket, contracts["shipments"], lot(1), lot(2))
    changed = bucket.objects[plan.run.manifest_key].replace(b'"rows": 20', b'"rows": 21')
    bucket.objects[plan.run.manifest_key] = changed

    with pytest.raises(ManifestError):
        partition.plan(contracts["shipments"], partition.inputs(finder(lot(1), lot(2))), NOW)


def test_where_there_is_nothing_to_gain_nothing_is_planned(
    bucket: S3, partition: Partition, contracts: dict[str, Contract]
) -> None:
    assert "no lot has committed" in partition.plan(contracts["shipments"], [], NOW).why_not
    listed(bucket, 1)
    inputs = partition.inputs(finder(lot(1)))
    assert "few enough" in partition.plan(contracts["shipments"], inputs, NOW).why_not
    assert partition.plan(contracts["shipments"], inputs, NOW, force=True).plan is not None


@pytest.mark.parametrize("output", ["silver", "lake/x", "history", "", "/"])
def test_what_the_pipeline_owns_is_never_written_to(bucket: S3, output: str) -> None:
    client: Any = bucket
    with pytest.raises(OperatorError, match="output prefix"):
        Partition(client, "silver", "shipments", DT, output)


class Glue:
    """Answers as Glue does while a run goes through these states."""

    def __init__(self, *states: str, message: str = "") -> None:
        self._states, self._message = list(states), message
        self.asked: dict[str, Any] = {}

    def start_job_run(self, **asked: Any) -> Any:
        self.asked = asked
        return {"JobRunId": "jr_1"}

    def get_job_run(self, JobName: str, RunId: str) -> Any:  # noqa: N803 (boto3's names)
        state = self._states.pop(0)
        return {"JobRun": {"JobRunState": state} | ({"ErrorMessage": self._message} if self._message else {})}

    def get_job_runs(self, JobName: str, MaxResults: int) -> Any:  # noqa: N803
        return {"JobRuns": [{"Id": "jr_2"}][:MaxResults] if self._states else []}


GLUES_OWN = {"--conf", "--debug", "--endpoint", "--JOB_NAME", "--mode"}  # "never use them", says the Glue guide


@pytest.mark.parametrize("script", ["compact_silver", "validate_silver"])
def test_a_job_has_no_argument_that_glue_keeps_for_itself(script: str) -> None:
    taken = set(re.findall(r'add_argument\("(--\w+)"', (ROOT / f"glue/{script}.py").read_text()))
    assert {"--lake", "--plan", "--runtime"} <= taken
    assert not taken & GLUES_OWN


def test_a_run_on_glue_is_waited_for() -> None:
    glue, told = Glue("STARTING", "RUNNING", "SUCCEEDED"), list[str]()
    assert start_on_glue(glue, "job", "s3://silver", "plan") == "jr_1"
    assert glue.asked == {
        "JobName": "job",
        "Arguments": {"--lake": "s3://silver", "--plan": "plan", "--work": "compact"},
    }
    wait_for_glue(glue, "job", "jr_1", told.append, lambda _: None)

    assert told == ["job is starting", "job is running"]


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "STOPPED", "ERROR", "EXPIRED"])
def test_a_run_on_glue_that_ends_in_any_other_way_is_an_error_with_its_reason(state: str) -> None:
    with pytest.raises(OperatorError, match=f"{state}: ObjectGone"):
        wait_for_glue(Glue("RUNNING", state, message="ObjectGone"), "job", "jr_1", lambda _: None, lambda _: None)


@pytest.mark.parametrize(
    ("state", "code"), [("RUNNING", 0), ("SUCCEEDED", 0), ("FAILED", 1), ("STOPPED", 1), ("EXPIRED", 1), ("TIMEOUT", 1)]
)
def test_the_exit_code_says_whether_the_latest_run_can_still_be_right(
    monkeypatch: pytest.MonkeyPatch, state: str, code: int
) -> None:
    glue = SimpleNamespace(get_job_runs=lambda **_: {"JobRuns": [{"Id": "jr_1", "JobRunState": state}]})
    monkeypatch.setattr("services.ops.cli.compact.aws_client", lambda *_: glue)
    try:
        show_job("job")
        found = 0
    except typer.Exit as ended:
        found = ended.exit_code
    assert found == code


def test_the_latest_run_is_told() -> None:
    assert latest_on_glue(Glue("RUNNING"), "job") == {"Id": "jr_2"}
    assert latest_on_glue(Glue(), "job") is None


def test_without_java_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.shutil, "which", lambda _: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(OperatorError, match=r"needs Java 17.*openjdk-17-jre-headless"):
        run_here("s3://silver", "plan")


def test_without_spark_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(running.shutil, "which", lambda _: "/usr/bin/java")
    script = tmp_path / "glue/compact_silver.py"
    script.parent.mkdir()
    script.touch()
    monkeypatch.setattr(running, "ROOT", tmp_path)
    monkeypatch.setenv("SMELT_SPARK_PYTHON", "")
    with pytest.raises(OperatorError, match="make setup-spark"):
        run_here("s3://silver", "plan")
