"""The lake as Terraform would create it: only with its toggle, and no function may touch Silver's files."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from local.ministack import ROOT
from services.shared.contract.model import Contract
from services.shared.settings import OpsSettings, TransformSettings
from tests.support.terraform import IMAGES, of_type, plan, resources

QUEUE, QUEUE_ARN = "https://sqs.us-east-2.amazonaws.com/000000000000/mine", "arn:aws:sqs:us-east-2:000000000000:mine"
GIVEN = {  # queues that exist: otherwise Terraform knows their URLs, and so the environments, only once they do
    "images": IMAGES,
    "existing_queue_url": QUEUE,
    "existing_queue_arn": QUEUE_ARN,
    "existing_dlq_url": f"{QUEUE}-dlq",
    "existing_dlq_arn": f"{QUEUE_ARN}-dlq",
    "existing_ingest_failures_queue_url": f"{QUEUE}-failures",
    "existing_ingest_failures_queue_arn": f"{QUEUE_ARN}-failures",
}
TOGGLES = {
    "lake_enabled": True,
    "glue_enabled": True,
    "ops_enabled": True,
    "observability_enabled": True,
    "contracts_dir": str(ROOT / "contracts"),
    "queries_dir": str(ROOT / "sql/athena"),
}
ASKED = {"POWERTOOLS_TRACER_CAPTURE_ERROR": "false"}
CHANGES = {"s3:DeleteObject", "s3:PutObject"}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def planned(emulator: str, scratch: Path) -> dict[str, Any]:
    variables = {**GIVEN, **TOGGLES, "glue_analyst_policy_enabled": True, "environment": ASKED}
    return plan("envs/dev", "dev.tfvars", variables, emulator, scratch)


def environment(planned: dict[str, Any], name: str) -> dict[str, str]:
    functions = of_type(planned, "aws_lambda_function").values()
    (found,) = [one for one in functions if one["function_name"].endswith(name)]
    return dict(found["environment"][0]["variables"])


@pytest.mark.parametrize("name", ["-ingest", "-transform", "ops-sweep", "lake-publish", "lake-maintain"])
def test_every_function_has_the_environment_that_is_asked_for(planned: dict[str, Any], name: str) -> None:
    assert ASKED.items() <= environment(planned, name).items()


def statements(planned: dict[str, Any], part: str) -> list[dict[str, Any]]:
    """What the policies of one role or policy allow."""
    found = []
    for address, values in resources(planned).items():
        if values["_type"] in ("aws_iam_role_policy", "aws_iam_policy") and part in address and "policy" in values:
            found += json.loads(values["policy"])["Statement"]
    assert found, part
    return found


def may(allowed: list[dict[str, Any]], action: str, resource: str) -> bool:
    def listed(value: Any) -> list[str]:
        return value if isinstance(value, list) else [value]

    return any(
        any(fnmatchcase(action, pattern) for pattern in listed(one["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in listed(one["Resource"]))
        for one in allowed
        if one["Effect"] == "Allow"
    )


def silver(planned: dict[str, Any]) -> str:
    return f"arn:aws:s3:::{environment(planned, 'lake-publish')['SILVER_BUCKET']}"


def test_functions_have_what_their_code_needs(planned: dict[str, Any]) -> None:
    for function in ("publish", "maintain"):
        settings = OpsSettings.from_env(environment(planned, f"lake-{function}"))
        assert settings.lake_database
    commands = {
        one["image_config"][0]["command"][0]
        for one in of_type(planned, "aws_lambda_function").values()
        if "-lake-" in one["function_name"]
    }
    assert commands == {"services.ops.app.publish.handler", "services.ops.app.maintain.handler"}


def test_transform_leaves_marks_only_with_the_toggle(planned: dict[str, Any], emulator: str, scratch: Path) -> None:
    assert [str(one) for one in TransformSettings.from_env(environment(planned, "-transform")).outboxes] == ["publish"]
    without = plan("envs/dev", "dev.tfvars", GIVEN, emulator, scratch)
    assert not TransformSettings.from_env(environment(without, "-transform")).outboxes
    assert not [address for address in resources(without) if "module.lake" in address]


def test_no_function_of_the_lake_changes_silver(planned: dict[str, Any]) -> None:
    for function in ("publish", "maintain"):
        allowed = statements(planned, f'module.lake[0].module.function["{function}"]')
        for action in CHANGES:
            for root in ("silver", "quarantine", "history", "bronze"):
                assert not may(allowed, action, f"{silver(planned)}/{root}/x.parquet"), (function, action, root)
            assert may(allowed, action, f"{silver(planned)}/lake/shipments/metadata/x.json")
    publish = statements(planned, 'module.lake[0].module.function["publish"]')
    assert not may(publish, "s3:DeleteObject", f"{silver(planned)}/silver_compacted/x")
    assert not may(publish, "glue:DeleteTable", "arn:aws:glue:us-east-2:000000000000:table/smelt_dev/shipments")


@pytest.mark.parametrize("function", ["publish", "maintain"])
def test_both_may_make_every_call_of_a_commit(planned: dict[str, Any], function: str) -> None:
    """PyIceberg looks at the database, and whether the metadata file that it is about to write exists.

    S3 answers 404 to that only where the right to list has no condition; else 403, and no commit succeeds.
    """
    allowed = statements(planned, f'module.lake[0].module.function["{function}"]')
    for action, resource in (
        ("GetDatabase", "database/smelt_dev"),
        ("GetTable", "table/smelt_dev/shipments"),
        ("UpdateTable", "table/smelt_dev/shipments"),
    ):
        assert may(allowed, f"glue:{action}", f"arn:aws:glue:us-east-2:000000000000:{resource}")
    (listing,) = [one for one in allowed if "s3:ListBucket" in one["Action"]]
    assert listing["Resource"] == [silver(planned)]
    assert "Condition" not in listing


def test_who_queries_may_not_delete_under_the_lake(planned: dict[str, Any]) -> None:
    analysts = statements(planned, "module.catalog")
    for action in CHANGES:
        for root in ("lake", "silver", "silver_compacted"):
            assert not may(analysts, action, f"{silver(planned)}/{root}/x")


def test_tables_are_those_of_the_contracts(planned: dict[str, Any], contracts: dict[str, Contract]) -> None:
    publish = statements(planned, 'module.lake[0].module.function["publish"]')
    (tables,) = [one["Resource"] for one in publish if "glue:UpdateTable" in one["Action"]]
    assert {one.rpartition("/")[2] for one in tables if ":table/" in one} == set(contracts)


def test_both_run_on_schedules_and_alarms_tell_of_what_waits(planned: dict[str, Any]) -> None:
    schedules = {
        address.rpartition("[")[2].strip('"]'): values["schedule_expression"]
        for address, values in of_type(planned, "aws_scheduler_schedule").items()
        if "module.lake" in address
    }
    assert schedules == {"publish": "rate(1 minute)", "maintain": "rate(1 hour)"}
    alarms = {
        values["metric_name"]: values
        for address, values in of_type(planned, "aws_cloudwatch_metric_alarm").items()
        if "module.lake" in address
    }
    assert set(alarms) == {"Errors", "PublishLag", "Throttles", "InvocationDroppedCount"}
    assert alarms["InvocationDroppedCount"]["dimensions"] == {
        "ScheduleGroup": "smelt-dev-lake"
    }  # nothing else tells of it
    service = environment(planned, "lake-publish")["POWERTOOLS_SERVICE_NAME"]
    assert alarms["PublishLag"]["dimensions"] == {"service": service}


def test_without_the_catalog_it_says_what_is_missing(emulator: str, scratch: Path) -> None:
    variables = {**GIVEN, "lake_enabled": True, "ops_enabled": True}
    with pytest.raises(AssertionError, match="lake_enabled needs glue_enabled"):
        plan("envs/dev", "dev.tfvars", variables, emulator, scratch)


@pytest.mark.parametrize("variable", ["lake_publish_schedule_expression", "lake_maintain_schedule_expression"])
def test_what_is_no_schedule_is_refused_before_anything_is_created(variable: str, emulator: str, scratch: Path) -> None:
    with pytest.raises(AssertionError, match=f"{variable} must be rate"):
        plan("envs/dev", "dev.tfvars", {**GIVEN, **TOGGLES, variable: "rate(0 minutes)"}, emulator, scratch)
