"""Alarms and dashboard watch what the code emits, under the names and dimensions that it emits them with."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.ministack import ROOT
from tests.support.terraform import IMAGES, of_type, plan

NAMESPACE = "smelt-dev"
EMITTERS = {"count", "seconds", "size"}  # of services/shared/telemetry.py


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # Given queues and topic, Terraform knows everything beforehand.
    arn, url = "arn:aws:sqs:us-east-2:000000000000:given", "https://sqs.us-east-2.amazonaws.com/000000000000/given"
    variables = {
        "images": IMAGES,
        "observability_enabled": True,
        "alarm_notification_topic_arn": "arn:aws:sns:us-east-2:000000000000:on-call",
        "existing_queue_arn": arn,
        "existing_queue_url": url,
        "existing_dlq_arn": f"{arn}-dlq",
        "existing_ingest_failures_queue_url": f"{url}-failures",
        "existing_ingest_failures_queue_arn": f"{arn}-failures",
        "existing_dlq_url": f"{url}-dlq",
    }
    return plan("envs/dev", "dev.tfvars", variables, emulator, tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def alarms(planned: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {values["alarm_name"]: values for values in of_type(planned, "aws_cloudwatch_metric_alarm").values()}


def emitted() -> set[tuple[str, str]]:
    """Service and metric name of every metric that a function can emit, today or soon."""
    found = set()
    for service, file in handlers():
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in EMITTERS:
                found |= {(service, name) for name in _texts(call.args[0])}
    return found


def handlers() -> Iterator[tuple[str, Path]]:
    """Service, as its metrics name it, and the file of its handler."""
    for service in ("ingest", "transform"):
        yield service, ROOT / "services" / service / "app.py"
    for file in sorted((ROOT / "services/ops/app").glob("[a-z]*.py")):
        yield f"ops-{file.stem}", file


def _texts(argument: ast.expr) -> set[str]:
    """The texts that an argument can be; the texts of a condition decide only which."""
    if isinstance(argument, ast.IfExp):
        return _texts(argument.body) | _texts(argument.orelse)
    assert isinstance(argument, ast.Constant), "name metrics by literals, so that this test can read them"
    return {str(argument.value)}


def watched_by_alarms(alarms: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for alarm in alarms.values():
        queries = [metric for query in alarm.get("metric_query") or [] for metric in query.get("metric") or []]
        for metric in [alarm, *queries]:
            if metric.get("namespace") == NAMESPACE:
                assert set(metric["dimensions"]) == {"service"}
                yield metric["dimensions"]["service"], metric["metric_name"]


@pytest.fixture(scope="module")
def widgets(planned: dict[str, Any]) -> list[dict[str, Any]]:
    (dashboard,) = of_type(planned, "aws_cloudwatch_dashboard").values()
    found: list[dict[str, Any]] = json.loads(dashboard["dashboard_body"])["widgets"]
    return found


def shown(widgets: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Service and name of our own metrics on the dashboard."""
    found = set()
    for widget in widgets:
        before: list[Any] = []
        for line in widget["properties"].get("metrics", []):
            parts = before if line[0] == "..." else [part for part in line if isinstance(part, str)]
            before = parts
            if parts and parts[0] == NAMESPACE:
                _, metric, dimension, service = parts
                assert dimension == "service"
                found.add((service, metric))
    return found


def test_alarms_watch_metrics_that_the_code_emits(alarms: dict[str, dict[str, Any]]) -> None:
    watched = set(watched_by_alarms(alarms))
    assert watched == {
        ("ingest", "ObjectsRejected"),
        ("transform", "ObjectsRejected"),
        ("transform", "ReturnedAge"),
        ("transform", "RowBytesQuarantined"),
        ("transform", "RowBytesRead"),
        ("transform", "RowsQuarantined"),
        ("transform", "RowsRead"),
        ("transform", "UnitsDead"),
    }
    assert watched <= emitted()


def test_the_dashboard_shows_metrics_that_the_code_emits(widgets: list[dict[str, Any]]) -> None:
    assert len(shown(widgets)) > 10
    assert shown(widgets) <= emitted()


def test_no_metric_is_emitted_for_nobody(alarms: dict[str, dict[str, Any]], widgets: list[dict[str, Any]]) -> None:
    looked_at = set(watched_by_alarms(alarms)) | shown(widgets)
    # For Logs Insights and for comparisons by hand; they cost what a metric costs, so this list stays short.
    by_hand = {
        ("ingest", "BytesPlanned"),
        ("transform", "BytesRead"),
        ("transform", "DuplicatesSkipped"),
        ("transform", "FilesWritten"),
        ("transform", "LotsCommitted"),
        *((service, name) for service, name in emitted() if service.startswith("ops-")),
    }
    assert emitted() - looked_at == by_hand


def test_functions_emit_under_the_namespace_that_is_watched(planned: dict[str, Any]) -> None:
    for function in of_type(planned, "aws_lambda_function").values():
        assert function["environment"][0]["variables"]["POWERTOOLS_METRICS_NAMESPACE"] == NAMESPACE


def test_every_question_of_the_night_has_its_alarm(alarms: dict[str, dict[str, Any]]) -> None:
    assert {name.removeprefix("smelt-dev-us-east-2-") for name in alarms} == {
        "dead-letters",
        "units-dead",
        "ingest-failures",
        "ingest-rejects",
        "transform-rejects",
        "late",
        "returned",
        "slow",
        "events-not-kept",
        "ingest-errors",
        "ingest-throttles",
        "transform-errors",
        "transform-throttles",
        "quarantine",
        "quarantine-bytes",
        "no-data",
    }


@pytest.fixture(scope="module")
def of_operations(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The alarms of the operators' part, without the pipeline's."""
    variables = {
        "images": IMAGES,
        "observability_enabled": True,
        "ops_enabled": True,
        "alarm_notification_topic_arn": "arn:aws:sns:us-east-2:000000000000:on-call",
    }
    planned = plan("envs/dev", "dev.tfvars", variables, emulator, tmp_path_factory.mktemp("plan"))
    found = of_type(planned, "aws_cloudwatch_metric_alarm")
    return {values["alarm_name"]: values for address, values in found.items() if "module.ops[0]" in address}


def test_the_operators_part_has_its_alarms(of_operations: dict[str, dict[str, Any]]) -> None:
    functions = ("replay", "probe", "sweep", "archive", "reconcile", "rewrite")
    assert {name.removeprefix("smelt-dev-us-east-2-ops-") for name in of_operations} == {
        "workflow-failed",
        "workflow-timed-out",
        "schedules-dropped",
        *(f"{function}-throttles" for function in functions),
        *(f"{function}-errors" for function in ("sweep", "archive", "reconcile")),
    }
    test_every_alarm_tells_somebody_what_to_do(of_operations)
    test_missing_data_raises_no_alarm(of_operations)


def test_every_alarm_tells_somebody_what_to_do(alarms: dict[str, dict[str, Any]]) -> None:
    explained, runbook = ((ROOT / "docs" / page).read_text() for page in ("observability.md", "runbook.md"))
    table = runbook.split("## From an alarm")[1].split("\n## ")[0]
    for name, alarm in alarms.items():
        short = name.removeprefix("smelt-dev-us-east-2-")
        assert alarm["alarm_actions"] == alarm["ok_actions"] == ["arn:aws:sns:us-east-2:000000000000:on-call"]
        assert len(alarm["alarm_description"]) > 100
        assert f"`{short}`" in explained
        (recipe,) = re.findall(r"Runbook: docs/runbook\.md#([a-z-]+)\.$", alarm["alarm_description"])
        (row,) = (line for line in table.splitlines() if f"`{short}`" in line)
        has_several = recipe == "from-an-alarm-to-its-recipe" and row.count("](#") > 1
        assert has_several or f"(#{recipe})" in row


def test_missing_data_raises_no_alarm(alarms: dict[str, dict[str, Any]]) -> None:
    assert {alarm["treat_missing_data"] for alarm in alarms.values()} == {"notBreaching"}


def test_names_carry_the_region(planned: dict[str, Any]) -> None:
    (dashboard,) = of_type(planned, "aws_cloudwatch_dashboard").values()
    assert dashboard["dashboard_name"] == "smelt-dev-us-east-2"


def test_alarms_name_the_queues_and_functions_that_are_there(alarms: dict[str, dict[str, Any]]) -> None:
    queues = {
        alarm["dimensions"]["QueueName"] for alarm in alarms.values() if "QueueName" in (alarm["dimensions"] or {})
    }
    assert queues == {"given", "given-dlq", "given-failures"}
    functions = {
        alarm["dimensions"]["FunctionName"]
        for alarm in alarms.values()
        if "FunctionName" in (alarm["dimensions"] or {})
    }
    assert functions == {"smelt-dev-ingest", "smelt-dev-transform"}


def test_the_dashboard_asks_the_four_questions(widgets: list[dict[str, Any]]) -> None:
    headings = [widget["properties"]["markdown"].splitlines()[0] for widget in widgets if widget["type"] == "text"]
    assert headings == ["## Is data flowing?", "## Is it late?", "## Is it bad?", "## What does it cost?"]


def test_the_dashboard_shows_every_alarm(widgets: list[dict[str, Any]], alarms: dict[str, dict[str, Any]]) -> None:
    (status,) = (widget for widget in widgets if widget["type"] == "alarm")
    assert {arn.rsplit(":", 1)[1] for arn in status["properties"]["alarms"]} == set(alarms)
    assert {arn.rsplit(":", 1)[0] for arn in status["properties"]["alarms"]} == {
        "arn:aws:cloudwatch:us-east-2:000000000000:alarm"
    }


def test_no_widget_of_the_dashboard_covers_another(widgets: list[dict[str, Any]]) -> None:
    cells = [
        (column, line)
        for widget in widgets
        for column in range(widget["x"], widget["x"] + widget["width"])
        for line in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) == 23  # the width of CloudWatch's grid


def test_metric_names_are_written_down() -> None:
    text = (ROOT / "docs/observability.md").read_text()
    assert {name for _, name in emitted() if f"`{name}`" not in text} == set()
