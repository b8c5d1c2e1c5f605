"""`smelt validate`: what is judged where, how it exits, and what it says where Spark is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.ops.cli import validate as command
from services.ops.cli.app import app
from services.ops.cli.console import ExitCode, execute
from services.ops.compacting import running
from services.ops.gate import local
from services.ops.gate.files import FolderFiles
from services.ops.gate.local import plan_bucket, plan_folder
from services.ops.gate.workflow import Request
from services.shared.gate.plan import GatePlan
from services.shared.gate.rules import rules_of
from services.shared.gate.verdict import Measured, judge
from services.shared.identities import LakeKey, LotId
from services.shared.ledger.records import Lot, LotFile, LotState
from tests.support.gate import CONTRACT, DT, good_rows, write_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A contract, and Silver with two days of which the second is DT."""
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "parcels.yaml").write_text(CONTRACT)
    for day in ("2026-01-30", DT):
        write_file(tmp_path, f"silver/parcels/dt={day}/a.parquet", good_rows(8))
    return tmp_path


class Job:
    """A job that says what it is told to; `exit_code` alone where it dies without a word."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.repeated = 0.0
        self.exit_code: int | None = None
        self.asked: list[GatePlan] = []
        monkeypatch.setattr(local.validate, "__defaults__", (self,))

    def __call__(self, name: str, arguments: Sequence[str]) -> int:
        assert name == "validate_silver"
        lake, plan_key = arguments[1], arguments[3]
        plan = GatePlan.from_json(Path(lake, plan_key).read_text())
        self.asked.append(plan)
        if self.exit_code is not None:
            return self.exit_code
        contract = plan.contract()
        numbers = {"enough rows": 8.0, "no parcel twice": self.repeated}
        measured: dict[int, Any] = {
            at: Measured(numbers.get(rule.name, 0)) for at, rule in enumerate(rules_of(contract))
        }
        result = judge(plan, contract, 8, measured, datetime.now(UTC))
        Path(lake, plan.run.result).write_text(result.to_json())
        return {"passed": 0, "failed": 1, "error": 2}[result.verdict]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Job:
    return Job(monkeypatch)


def _validate(folder: Path, *options: str, dt: str = DT) -> int:
    contracts = ["--contracts", str(folder / "contracts")]
    return execute(app, ["validate", "parcels", dt, "--folder", str(folder), *contracts, *options])


def test_a_folder_is_judged_and_the_page_is_named(folder: Path, job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert _validate(folder, "--json") == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["rows"], len(told["rules"])) == ("passed", 8, 13)
    assert "passed</span>" in Path(told["page"]).read_text()
    assert [file.key for file in job.asked[0].files] == [f"silver/parcels/dt={DT}/a.parquet"]


def test_a_verdict_is_an_exit_code(folder: Path, job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.repeated = 2
    assert _validate(folder) == ExitCode.FOUND
    assert "failed: 1 of 13 rules failed: no parcel twice" in " ".join(capsys.readouterr().out.split())
    job.exit_code = 137
    assert _validate(folder) == ExitCode.FAILED
    assert "the job ended with exit code 137" in " ".join(capsys.readouterr().out.split())


def test_a_day_without_rows_is_an_error_and_no_job_runs(folder: Path, job: Job) -> None:
    assert _validate(folder, dt="2025-01-01") == ExitCode.FAILED
    assert job.asked == []


def test_freshness_looks_at_the_newest_day_of_the_folder(folder: Path, job: Job) -> None:
    assert _validate(folder, dt="2026-01-30") == ExitCode.OK
    assert [file.key for file in job.asked[0].newest] == [f"silver/parcels/dt={DT}/a.parquet"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["letters", DT], "record_type is 'letters'"),
        (["parcels", "today"], "dt is 'today'"),
        (["parcels", DT], "Nothing to judge given: pass --folder, or --table"),
        (["parcels", DT, "--folder", "/no/such/folder"], "is not a folder"),
    ],
)
def test_what_is_wrong_is_said(
    folder: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LEDGER_TABLE", "SILVER_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    assert execute(app, ["validate", *arguments, "--contracts", str(folder / "contracts")]) == ExitCode.FAILED
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_machine_without_java_is_told_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(running.shutil, "which", lambda _name: None)
    assert _validate(folder) == ExitCode.FAILED
    assert "Spark needs Java 17" in capsys.readouterr().err


def test_a_file_that_is_not_parquet_is_named(folder: Path) -> None:
    (folder / f"silver/parcels/dt={DT}/b.parquet").write_bytes(b"PAR")
    contract = plan_contract(folder)
    with pytest.raises(local.OperatorError, match="cannot be read"):
        plan_folder(folder, Request("parcels", DT), contract)


def test_of_a_bucket_only_what_lots_committed_is_brought_here(tmp_path: Path, folder: Path) -> None:
    bucket = FolderFiles(tmp_path / "bucket")
    id_ = LotId("20260201T000000Z", "1" * 16)
    key = str(LakeKey("silver", "parcels", DT, id_, "0a0b0c0d"))
    other = key.replace("1" * 16, "2" * 16)
    bucket.write(key, b"rows", "")
    bucket.write(other, b"of nobody", "")
    lot = Lot(id_, LotState.COMMITTED, (), frozenset(), {}, "", 0, files=(LotFile(key, 5, 4, "e"),))
    here = tmp_path / "here"
    plan = plan_bucket(
        bucket, lambda ids: iter([lot] if id_ in ids else []), Request("parcels", DT), plan_contract(folder), here
    )
    assert (plan.root, plan.rows) == (str(here), 5)
    assert [file.relative_to(here).as_posix() for file in here.rglob("*.parquet")] == [key]


@pytest.fixture
def bucket(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FolderFiles:
    """A pipeline's bucket with one committed file; `smelt validate` finds it as if it were on AWS."""
    bucket = FolderFiles(tmp_path / "bucket")
    id_ = LotId("20260201T000000Z", "1" * 16)
    key = str(LakeKey("silver", "parcels", DT, id_, "0a0b0c0d"))
    bucket.write(key, b"rows", "")
    lot = Lot(id_, LotState.COMMITTED, (), frozenset(), {}, "", 0, files=(LotFile(key, 8, 4, "e"),))
    ledger = SimpleNamespace(
        find_lots=lambda ids: iter([lot] if id_ in ids else []), home=SimpleNamespace(check_bucket=lambda _name: None)
    )
    monkeypatch.setattr(command, "aws_client", lambda *_: None)
    monkeypatch.setattr(command, "Ledger", lambda *_: ledger)
    monkeypatch.setattr(command, "S3GateFiles", lambda *_: bucket)
    monkeypatch.setattr(command.History, "of", lambda *_: SimpleNamespace(find_lots=lambda _ids: iter(())))
    return bucket


def _validate_bucket(folder: Path, out: Path) -> int:
    pipeline = ["--table", "ledger", "--silver-bucket", "bucket", "--out", str(out)]
    return execute(app, ["validate", "parcels", DT, "--contracts", str(folder / "contracts"), *pipeline])


@pytest.mark.usefixtures("bucket")
def test_rows_of_a_bucket_are_deleted_again_and_nothing_else(folder: Path, job: Job) -> None:
    mine = sorted(folder.rglob("silver/**/a.parquet"))
    assert mine
    assert _validate_bucket(folder, folder) == ExitCode.OK  # where `smelt try` has left a silver/ of its own
    assert sorted(folder.rglob("silver/**/a.parquet")) == mine
    assert not Path(job.asked[0].root).exists()
    assert len(list((folder / "ge").rglob("index.html"))) == 1


@pytest.mark.usefixtures("bucket")
def test_a_run_that_ends_leaves_the_rows_of_another(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, out, there = Job(monkeypatch), tmp_path / "out", []

    def while_another_runs(name: str, arguments: Sequence[str]) -> int:
        plan = GatePlan.from_json(Path(arguments[1], arguments[3]).read_text())
        if not there:
            there.append(False)
            assert _validate_bucket(folder, out) == ExitCode.OK
        there.append(Path(plan.root, plan.files[0].key).exists())
        return job(name, arguments)

    monkeypatch.setattr(local.validate, "__defaults__", (while_another_runs,))
    assert _validate_bucket(folder, out) == ExitCode.OK
    assert there == [False, True, True]


def plan_contract(folder: Path) -> Any:
    from services.shared.contract.loader import load_contract

    return load_contract(folder / "contracts" / "parcels.yaml")
