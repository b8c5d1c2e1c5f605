"""The smoke test of a pipeline, on the emulator: it passes where all is well, and says what is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from local.ministack import ROOT
from local.stack import CREDENTIALS, create_bucket, create_ledger
from services.ops.cli.app import app
from services.ops.smoke import GOOD_ROWS, SmokeTest
from services.shared.ledger.records import Lot
from tests.support.running import Running, deployed


@dataclass
class Shell:
    """A shell whose environment names a pipeline."""

    pipeline: Running

    def smoke(self, *options: str) -> Result:
        return CliRunner().invoke(app, ["smoke", *options])


@pytest.fixture(scope="module")
def pipeline(emulator: str) -> Running:
    return deployed(emulator)


@pytest.fixture
def shell(pipeline: Running, emulator: str, monkeypatch: pytest.MonkeyPatch) -> Shell:
    names = {
        "LEDGER_TABLE": pipeline.names.ledger_table,
        "BRONZE_BUCKET": pipeline.names.bronze_bucket,
        "SILVER_BUCKET": pipeline.names.silver_bucket,
    }
    for name, value in (CREDENTIALS | names | {"AWS_ENDPOINT_URL": emulator, "COLUMNS": "200"}).items():
        monkeypatch.setenv(name, value)
    return Shell(pipeline)


def existing(pipeline: Running, uris: list[str]) -> list[bool]:
    """Whether each `s3://bucket/key` is there."""
    found = []
    for uri in uris:
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        listed = pipeline.clients.s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
        found.append([entry["Key"] for entry in listed] == [key])
    return found


def test_a_pipeline_that_works_passes_and_is_told_what_is_left(shell: Shell) -> None:
    result = shell.smoke("--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["problems"] == []
    assert (told["rows"], told["rows_silver"], told["rows_quarantined"]) == (GOOD_ROWS + 3, GOOD_ROWS, 3)
    uris = [what for what in told["leaves"] if what.startswith("s3://")]
    assert {re.sub(r"s3://[^/]+/(.*?)/.*", r"\1", uri) for uri in uris} == {"bronze", "silver", "quarantine"}
    assert all(existing(shell.pipeline, uris))
    assert f"object#{told['object']}" in " ".join(told["leaves"])


def test_two_runs_have_nothing_in_common(shell: Shell) -> None:
    first, second = (json.loads(shell.smoke("--json").stdout) for _ in range(2))
    assert first["passed"] and second["passed"]
    assert first["object"].rsplit("#")[-1] != second["object"].rsplit("#")[-1]  # other bytes, other etag


def test_a_person_reads_how_it_goes_on_and_that_it_passed(shell: Shell) -> None:
    result = shell.smoke()
    assert result.exit_code == 0, result.output
    assert re.search(r"uploaded 100 rows.*planned by ingest.*committed after.*audited: 0 findings", result.stderr, re.S)
    assert f"100 rows uploaded: {GOOD_ROWS} in Silver, 3 in quarantine" in result.stdout
    assert "smoke test passed" in result.stdout


def shape(text: str) -> list[str]:
    """Lines without what differs between runs: names, times, and the list of what is left."""
    lines = [re.sub(r"s3://[^/]+/", "s3://", line) for line in text.splitlines() if not line.startswith("  ")]
    return [re.sub(r"\d{8}t\d{6}z-[0-9a-f]{8}|\d+ s\b", "N", line) for line in lines]


def test_the_checklist_shows_what_the_command_prints(shell: Shell) -> None:
    page = (ROOT / "docs/aws-checklist.md").read_text()
    (block,) = re.findall(r"```text\n(.*?)```", page, flags=re.S)
    result = shell.smoke()
    assert shape(block) == shape(result.stderr) + shape(result.stdout)
    left = [line for line in result.stdout.splitlines() if line.startswith("  ")]
    assert ("(five lines" in block) == (len(left) == 5)


def after_commit(monkeypatch: pytest.MonkeyPatch, happens: Callable[[Running, Lot], Any], pipeline: Running) -> None:
    """Let something happen to the lake when the run's lot is committed, before it is looked at."""
    await_lot = SmokeTest._await_lot

    def awaited(self: SmokeTest, found: Any, timeout: float) -> Lot | None:
        lot = await_lot(self, found, timeout)
        assert lot is not None
        happens(pipeline, lot)
        return lot

    monkeypatch.setattr(SmokeTest, "_await_lot", awaited)


def test_rows_that_are_in_silver_twice_are_found(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(pipeline: Running, lot: Lot) -> None:
        bucket = pipeline.names.silver_bucket
        key = next(file.key for file in lot.files if file.key.startswith("silver/"))
        other = key.replace(".parquet", "-0001.parquet")
        pipeline.clients.s3.copy_object(Bucket=bucket, Key=other, CopySource={"Bucket": bucket, "Key": key})

    after_commit(monkeypatch, copy, shell.pipeline)
    result = shell.smoke("--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["rows_silver"] > GOOD_ROWS
    assert any("rows more than once in Silver" in problem for problem in told["problems"])


def test_rows_that_are_nowhere_are_found(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def delete(pipeline: Running, lot: Lot) -> None:
        for file in lot.files:
            pipeline.clients.s3.delete_object(Bucket=pipeline.names.silver_bucket, Key=file.key)

    after_commit(monkeypatch, delete, shell.pipeline)
    result = shell.smoke()
    assert result.exit_code == 1
    assert f"{GOOD_ROWS} rows missing in Silver: at byte 0, " in result.stdout
    assert "3 rows missing in quarantine" in result.stdout
    assert "audit: file_missing" in result.stdout
    assert "smoke test failed" in result.stdout


def test_a_pipeline_that_never_answers_ends_in_time_with_the_next_step(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = shell.pipeline.names.bronze_bucket + "-deaf"
    create_bucket(shell.pipeline.clients.s3, deaf)
    create_ledger(shell.pipeline.clients.dynamodb, f"ledger-{deaf}")
    result = shell.smoke("--bronze-bucket", deaf, "--table", f"ledger-{deaf}", "--minutes", "0.02")
    assert result.exit_code == 1
    assert "nothing more happened within 1 s. ingest has not planned the object." in result.stdout
    assert "Read ingest's log" in result.stdout
    assert f"s3://{deaf}/bronze/smoke/" in result.stdout  # what it leaves


def test_a_bucket_that_is_not_there_is_an_error_with_the_next_step(shell: Shell) -> None:
    result = shell.smoke("--bronze-bucket", "no-such-bucket")
    assert result.exit_code != 0
    assert "no-such-bucket" in str(result.exception)


@pytest.mark.parametrize("name", ["LEDGER_TABLE", "BRONZE_BUCKET", "SILVER_BUCKET"])
def test_without_a_pipeline_it_says_which_options_are_missing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    result = shell.smoke()
    assert "No pipeline given: pass --table, --bronze-bucket and --silver-bucket" in str(result.exception)
