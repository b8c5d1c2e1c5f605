"""`make glue-crawler-start` and `make glue-crawler-status`, on the embedded emulator.

Its crawler makes no tables, so what the commands say of a run is tested with a client that answers as Glue does.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.deploy.cli.app import app
from infra.deploy.crawler import described, start
from services.ops.cli.console import ExitCode, execute
from tests.support.catalog import CREDENTIALS

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def crawler(emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A crawler that Terraform has created, as its outputs say."""
    name = f"crawler-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator)
    for variable, value in CREDENTIALS.items():
        monkeypatch.setenv(variable.upper(), value)
    glue = boto3.client("glue", endpoint_url=emulator, region_name="us-east-1", **CREDENTIALS)
    glue.create_database(DatabaseInput={"Name": name})
    glue.create_crawler(
        Name=name, Role="role", DatabaseName=name, TablePrefix="silver_", Targets={"S3Targets": [{"Path": "s3://a/b"}]}
    )
    for table in ("silver", "silver_shipments"):
        glue.create_table(DatabaseName=name, TableInput={"Name": table})
    created = {"glue_crawler_name": name, "region": "us-east-1"}
    monkeypatch.setattr("infra.deploy.cli.crawler.outputs", lambda _: created)
    return name


def test_a_crawler_is_started_and_told_about(crawler: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(app, ["glue-crawler-status"]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [
        f"{crawler}: READY",
        "it has not run yet",
        "tables: silver_shipments",
    ]
    assert execute(app, ["glue-crawler-start"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith(f"started: {crawler}.")
    assert execute(app, ["glue-crawler-status", "--json"]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["crawler"], told["tables"]) == (crawler, ["silver_shipments"])
    assert told["state"] in ("RUNNING", "READY")


def test_without_a_crawler_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("infra.deploy.cli.crawler.outputs", lambda _: {"glue_crawler_name": "", "region": "us-east-1"})
    for command in ("glue-crawler-start", "glue-crawler-status"):
        assert execute(app, [command]) == ExitCode.FAILED
        assert "set glue_enabled = true" in " ".join(capsys.readouterr().err.split())


class Glue:
    """Answers as Glue does for a crawler."""

    def __init__(self, state: str, last: dict[str, Any]) -> None:
        self._crawler = {"State": state, "LastCrawl": last, "TablePrefix": "silver_", "DatabaseName": "smelt"}

    def get_crawler(self, Name: str) -> dict[str, Any]:  # noqa: N803 (boto3's name)
        return {"Crawler": {"Name": Name, **self._crawler}}

    def get_paginator(self, _operation: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{"TableList": [{"Name": "silver_b"}]}, {"TableList": []}])

    def start_crawler(self, Name: str) -> None:  # noqa: N803 (boto3's name)
        raise ClientError({"Error": {"Code": "CrawlerRunningException", "Message": Name}}, "StartCrawler")


def test_a_run_that_failed_is_an_error_with_its_reason() -> None:
    last = {"Status": "FAILED", "StartTime": STARTED, "ErrorMessage": "Insufficient permissions"}
    found = described(Glue("READY", last), "c")
    assert (found.last, found.started, found.why) == ("FAILED", "2026-01-02T03:04:05+00:00", "Insufficient permissions")
    assert not found.all_right
    assert described(Glue("RUNNING", last), "c").all_right, "the next run is under way"
    assert described(Glue("READY", {"Status": "SUCCEEDED", "StartTime": STARTED}), "c").all_right


def test_a_crawler_that_runs_is_not_started_again() -> None:
    assert start(Glue("RUNNING", {}), "c") is False
