"""What IAM decides about the compaction job: it reads rows, writes runs, and changes nothing that is there.

The policy is that of a real plan; the decisions are IAM's, by iam-simulate.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from local.ministack import ROOT
from tests.support.iam_policies import Policy
from tests.support.iam_simulate import Ask, Decision, decide, need_simulator
from tests.support.terraform import of_type, plan

ACCOUNT = "000000000000"
HERE = f"us-east-2:{ACCOUNT}"
SILVER = f"arn:aws:s3:::jobs-silver-{ACCOUNT}-us-east-2"
BRONZE = f"arn:aws:s3:::jobs-bronze-{ACCOUNT}-us-east-2"
ARTIFACTS = f"arn:aws:s3:::jobs-artifacts-{ACCOUNT}-us-east-2"
KEY = f"arn:aws:kms:{HERE}:key/ours"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/jobs-compact"
VIA_S3 = {"kms:ViaService": "s3.us-east-2.amazonaws.com"}
KEY_POLICY = {  # the account's own policies decide
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
    ],
}
Need = tuple[str, str, dict[str, str]]  # action, resource, context

NEEDS: list[Need] = [
    ("s3:GetObject", f"{SILVER}/silver/shipments/dt=2026-01-01/a.parquet", {}),
    ("s3:GetObject", f"{SILVER}/quarantine/shipments/dt=2026-01-01/a.parquet", {}),
    ("s3:GetObject", f"{SILVER}/silver_compacted/shipments/dt=2026-01-01/run=1/_plan.json", {}),
    ("s3:GetObject", f"{SILVER}/mine/shipments/dt=2026-01-01/run=1/_plan.json", {}),
    ("s3:ListBucket", SILVER, {"s3:prefix": "silver_compacted/shipments/"}),
    ("s3:PutObject", f"{SILVER}/silver_compacted/shipments/dt=2026-01-01/run=1/part-0.parquet", {}),
    ("s3:PutObject", f"{SILVER}/mine/shipments/dt=2026-01-01/run=1/_manifest.json", {}),
    ("s3:GetObject", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
    ("s3:GetObjectVersion", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
    ("s3:ListBucket", BRONZE, {"s3:prefix": "bronze/shipments/a.jsonl"}),  # is it gone, or forbidden?
    ("s3:GetObject", f"{ARTIFACTS}/glue/abc/core.zip", {}),
    ("s3:GetObject", f"{ARTIFACTS}/glue/wheels/abc.gluewheels.zip", {}),
    ("s3:ListBucket", ARTIFACTS, {"s3:prefix": "glue/wheels/a"}),
    ("s3:PutObject", f"{ARTIFACTS}/glue/tmp/compact/a", {}),
    ("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:/aws-glue/jobs/error:log-stream:a", {}),
    ("kms:Decrypt", KEY, VIA_S3),
    ("kms:GenerateDataKey", KEY, VIA_S3),
]
MAY_NOT: list[Need] = [
    *(
        (f"s3:{action}", f"{SILVER}/{root}/shipments/a.parquet", {})
        for action in ("PutObject", "DeleteObject")
        for root in ("silver", "quarantine", "history", "lake")
    ),
    ("s3:DeleteObject", f"{SILVER}/silver_compacted/shipments/dt=2026-01-01/run=1/part-0.parquet", {}),
    ("s3:GetObject", f"{SILVER}/history/objects/a.parquet", {}),
    ("s3:PutObject", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
    ("s3:ListBucket", BRONZE, {"s3:prefix": "private/"}),
    ("s3:PutObject", f"{ARTIFACTS}/glue/abc/core.zip", {}),
    ("s3:PutObject", f"{ARTIFACTS}/glue/tmp/another/a", {}),
    ("dynamodb:GetItem", f"arn:aws:dynamodb:{HERE}:table/jobs-ledger", {}),
    ("glue:UpdateTable", f"arn:aws:glue:{HERE}:table/jobs/shipments", {}),
    ("kms:Decrypt", KEY, {"kms:ViaService": "dynamodb.us-east-2.amazonaws.com"}),
]


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    need_simulator()
    variables = {
        "project": "jobs",
        "region": "us-east-2",
        "kms_key_arn": KEY,
        "images": {
            function: f"{ACCOUNT}.dkr.ecr.us-east-2.amazonaws.com/x/{function}@sha256:{'a' * 64}"
            for function in ("ingest", "transform")
        },
        "create_bronze_bucket": True,
        "bronze_bucket_name": "",
        "glue_job_enabled": True,
        "glue_job_output_prefixes": ["mine"],
        "glue_assets": {
            "core": "glue/abc/core.zip",
            "wheels": "glue/wheels/abc.gluewheels.zip",
            "compact_silver": "glue/abc/compact_silver.py",
        },
        "contracts_dir": str(ROOT / "contracts"),
    }
    scratch: Path = tmp_path_factory.mktemp("plan")
    return plan("envs/dev", "dev.tfvars", variables, emulator, scratch)


@pytest.fixture(scope="module")
def policy(planned: dict[str, Any]) -> Policy:
    (values,) = [
        values for address, values in of_type(planned, "aws_iam_role_policy").items() if "module.compaction" in address
    ]
    found: Policy = json.loads(values["policy"])
    return found


def decisions(needs: list[Need], policy: Policy) -> dict[str, Decision]:
    asks = [
        Ask(ROLE, action, resource, (policy,), KEY_POLICY if resource == KEY else None, context)
        for action, resource, context in needs
    ]
    return {
        f"{action} {resource} {context}": decision
        for (action, resource, context), decision in zip(needs, decide(asks, ACCOUNT), strict=True)
    }


def test_the_job_does_its_work(policy: Policy) -> None:
    assert [asked for asked, found in decisions(NEEDS, policy).items() if found is not Decision.ALLOWED] == []


def test_the_job_changes_nothing_that_is_there(policy: Policy) -> None:
    assert [asked for asked, found in decisions(MAY_NOT, policy).items() if found is not Decision.NOT_ALLOWED] == []


def test_each_statement_is_needed(policy: Policy) -> None:
    for at in range(len(policy["Statement"])):
        fewer = copy.deepcopy(policy)
        removed = fewer["Statement"].pop(at)["Sid"]
        refused = [asked for asked, found in decisions(NEEDS, fewer).items() if found is not Decision.ALLOWED]
        assert refused, f"nothing needs {removed}"


def test_what_the_job_runs_comes_from_the_artifacts_bucket(planned: dict[str, Any]) -> None:
    (job,) = of_type(planned, "aws_glue_job").values()
    assert job["glue_version"] == "5.1"
    assert job["command"][0]["script_location"].endswith("/glue/abc/compact_silver.py")
    assert job["default_arguments"]["--python-modules-installer-option"] == "--no-index"
