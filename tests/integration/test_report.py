"""`smelt report` over a real ledger, queues and bucket."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from local.stack import CREDENTIALS, Clients, create_bucket
from services.ops.cli.console import execute
from services.shared.contract.model import Contract
from tests.faults.rig import Rig, shipment
from tests.support.browser import look
from tests.support.history import DAY, load_everything
from tests.support.lake import BRONZE, Clock
from workbench.cli.app import app

Report = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    """A day ago: a file with rows that are refused; and one that is unfinished."""
    bucket = f"silver-{uuid.uuid4().hex[:12]}"
    create_bucket(clients.s3, bucket)
    made = Rig(clients.dynamodb, ledger_table, contracts, clock=Clock(time.time() - DAY), silver=bucket)
    made.upload("shipments", [shipment(1), b"{", b'{"event_time": "<script>pwned=1</script>"}'])
    load_everything(made)
    made.upload("shipments", [shipment(3)])
    for key, data in made.lake.files.items():
        clients.s3.put_object(Bucket=bucket, Key=key, Body=data)
    return made


@pytest.fixture
def report(
    rig: Rig, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Report:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": emulator}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LEDGER_TABLE", rig.table)
    monkeypatch.setenv("SILVER_BUCKET", rig.silver)

    def run(*words: object) -> tuple[int, str, str]:
        code = execute(app, ["report", "--out", str(tmp_path / "page.html"), *map(str, words)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_a_deployment_is_on_one_page(rig: Rig, clients: Clients, report: Report, tmp_path: Path) -> None:
    queue = clients.sqs.create_queue(QueueName=f"dlq-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    clients.sqs.send_message(QueueUrl=queue, MessageBody="x")
    code, out, err = report("--dead-letters", queue)
    assert (code, out) == (0, f"Page: {tmp_path / 'page.html'}\n"), err
    page = (tmp_path / "page.html").read_text()
    assert "3 = 1 in Silver + 2 in quarantine" in page
    assert "1 done, 1 in progress" in page
    assert f"{rig.table}, {rig.silver}" in page
    assert "smelt dlq show" in page
    assert f"s3://{BRONZE}/bronze/shipments/{rig.name}-0.jsonl" in page
    assert re.search(r"&lt;script&gt;pwned=1", page)
    seen = look(page, tmp_path, 360)
    assert (seen.ran, seen.scripts, seen.wide, seen.outside, seen.faint) == (0, 0, 360, [], [])


def test_only_what_was_finished_since_is_counted(report: Report, tmp_path: Path) -> None:
    assert report("--since", "2100-01-01")[0] == 0
    assert "0 = 0 in Silver + 0 in quarantine" in (tmp_path / "page.html").read_text()


def test_the_wrong_bucket_is_refused_before_anything_is_read(report: Report, clients: Clients, tmp_path: Path) -> None:
    other = f"silver-{uuid.uuid4().hex[:12]}"
    create_bucket(clients.s3, other)
    code, out, err = report("--silver-bucket", other)
    assert (code, out) == (2, "")
    assert other in err
    assert not (tmp_path / "page.html").exists()


def test_a_table_that_is_not_there_is_named(report: Report) -> None:
    code, out, err = report("--table", "nowhere")
    assert (code, out) == (2, "")
    assert "nowhere" in err
    assert "Traceback" not in err


def test_files_on_this_machine_win_over_a_deployment_in_the_environment(report: Report, tmp_path: Path) -> None:
    code, _, err = report("--silver", tmp_path / "missing")
    assert code == 2
    assert "no such folder" in err
