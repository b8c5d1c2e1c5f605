"""Names and texts fit AWS: those of a real plan, with the longest project, against infra/terraform/names.json.

Terraform's own checks read the same table, so what it accepts as a project never fails at one service while the others
already have theirs.
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.deploy.images import FUNCTIONS
from local.ministack import ROOT
from tests.support.terraform import plan, resources

LIMITS: dict[str, dict[str, Any]] = json.loads((ROOT / "infra/terraform/names.json").read_text())
PROJECT = LIMITS["project"]
TEXTS = LIMITS["texts"]  # such as `aws_iam_policy.policy`
LONGEST = "a" * PROJECT["max"]
REGION = "ap-southeast-1"  # no region's name is longer
Names = list[tuple[str, str]]


def fits(kind: str, name: str) -> bool:
    limit = LIMITS[kind]
    return limit["min"] <= len(name) <= limit["max"] and bool(re.fullmatch(limit["pattern"].strip("^$"), name))


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Everything, with every part turned on, names as long as they get, and keys of one's own."""
    images = {
        function: f"000000000000.dkr.ecr.{REGION}.amazonaws.com/x/{function}@sha256:{'a' * 64}"
        for function in FUNCTIONS
    }
    variables = {
        "project": LONGEST,
        "region": REGION,
        "images": images,
        "observability_enabled": True,
        "artifacts_bucket_enabled": True,
        "ops_enabled": True,
        "ops_schedule_enabled": True,
        "operator_policies_enabled": True,
        "glue_enabled": True,
        "glue_analyst_policy_enabled": True,
        "glue_job_enabled": True,
        "glue_assets": {
            "core": "a/core.zip",
            "wheels": "a/w.gluewheels.zip",
            "compact_silver": "a/compact_silver.py",
            "validate_silver": "a/validate_silver.py",
        },
        "ge_enabled": True,
        "ge_workflow_enabled": True,
        "ge_emit_events_from_transform": True,
        "ge_eventbridge_enabled": True,
        "contracts_dir": str(ROOT / "contracts"),
        "queries_dir": str(ROOT / "sql/athena"),
        "create_bronze_bucket": False,
        "bronze_bucket_name": "b" * LIMITS["aws_s3_bucket"]["max"],
        "kms_key_arn": f"arn:aws:kms:{REGION}:000000000000:key/{uuid.uuid4()}",
        "bronze_kms_key_arn": f"arn:aws:kms:{REGION}:000000000000:key/{uuid.uuid4()}",
    }
    scratch: Path = tmp_path_factory.mktemp("plan")
    with_given = resources(plan("envs/dev", "dev.tfvars", variables, emulator, scratch))
    own = resources(
        plan(
            "envs/dev",
            "dev.tfvars",
            variables | {"create_bronze_bucket": True, "bronze_bucket_name": "", "bronze_kms_key_arn": ""},
            emulator,
            scratch,
        )
    )
    return own | with_given


@pytest.fixture(scope="module")
def names(planned: dict[str, dict[str, Any]]) -> Names:
    """(type, name) of everything that has a name; repositories are the bootstrap's."""
    found = {
        (values["_type"], str(values[LIMITS[values["_type"]]["attribute"]]))
        for values in planned.values()
        if values["_type"] in LIMITS
    }
    return sorted(found | {("aws_ecr_repository", f"{LONGEST}/{function}") for function in FUNCTIONS})


def test_every_kind_in_the_table_is_planned(names: Names) -> None:
    assert {kind for kind, _ in names} == set(LIMITS) - {"project", "texts"}


def test_names_of_the_longest_project_fit(names: Names) -> None:
    assert [(kind, name) for kind, name in names if not fits(kind, name)] == []


def test_descriptions_and_policies_fit_as_the_account_demands(planned: dict[str, dict[str, Any]]) -> None:
    """IAM counts no white space; what is known only after the apply, such as a topic's policy, is not looked at."""
    lengths = [
        (
            len(re.sub(r"\s", "", text) if kind.startswith("aws_iam_") and "policy" in attribute else text),
            kind,
            attribute,
        )
        for values in planned.values()
        for kind, attribute in (name.split(".") for name in TEXTS)
        if values["_type"] == kind and (text := values.get(attribute))
    ]
    seen = {f"{kind}.{attribute}" for _, kind, attribute in lengths}
    assert seen == set(TEXTS)
    assert [found for found in lengths if found[0] > TEXTS[f"{found[1]}.{found[2]}"]["max"]] == []


def test_the_longest_project_leaves_no_room_for_another_letter() -> None:
    account_and_region = len("-bronze-") + 12 + 1 + len(REGION)
    assert PROJECT["max"] + account_and_region <= LIMITS["aws_s3_bucket"]["max"]


@given(st.from_regex(PROJECT["pattern"].strip("^$"), fullmatch=True).filter(lambda name: len(name) <= PROJECT["max"]))
def test_whatever_is_accepted_as_a_project_makes_names_that_fit(names: Names, project: str) -> None:
    in_sql = project.replace("-", "_")  # a database's name has no hyphens
    named = {"aws_glue_catalog_database": in_sql}
    wrong = [(kind, name) for kind, name in names if not fits(kind, name.replace(LONGEST, named.get(kind, project)))]
    assert wrong == []


@pytest.mark.parametrize("project", ["a--b", "A-b", "a_b", "1ab", "a-", "a.b", "-ab"])
def test_what_a_service_refuses_is_no_project(project: str) -> None:
    assert not fits("project", project)
