"""What IAM decides about the crawler and about analysts: they do their work, and above all they change no data.

The policies are those of a real plan; the decisions are IAM's, by iam-simulate.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.catalog import AppliedCatalog, every_contract
from tests.support.iam_policies import Policy
from tests.support.iam_simulate import Ask, Decision, administrator, decide, need_simulator
from tests.support.terraform import of_type

ACCOUNT = "000000000000"
HERE = f"us-east-2:{ACCOUNT}"
SILVER = "arn:aws:s3:::catalog-silver"
RESULTS = f"arn:aws:s3:::smelt-catalog-athena-{ACCOUNT}-us-east-2"
KEY = f"arn:aws:kms:{HERE}:key/ours"
GLUE = f"arn:aws:glue:{HERE}"
DATABASE, CATALOG = f"{GLUE}:database/smelt_catalog", f"{GLUE}:catalog"
WORKGROUP = f"arn:aws:athena:{HERE}:workgroup/smelt-catalog"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/someone"
Need = tuple[str, str, dict[str, str]]  # action, resource, context
KEY_POLICY = {  # the account's own policies decide
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
    ],
}
VIA_S3 = {"kms:ViaService": "s3.us-east-2.amazonaws.com"}


def table(name: str) -> str:
    return f"{GLUE}:table/smelt_catalog/{name}"


CRAWLER_NEEDS: list[Need] = [
    ("s3:GetObject", f"{SILVER}/silver/shipments/dt=2026-01-01/a.parquet", {}),
    ("s3:ListBucket", SILVER, {"s3:prefix": "silver/"}),
    ("s3:ListBucket", SILVER, {"s3:prefix": "silver/shipments/dt=2026-01-01/"}),
    ("s3:GetBucketLocation", SILVER, {}),
    ("glue:GetDatabase", DATABASE, {}),
    ("glue:GetTables", table("anything"), {}),
    *(
        (f"glue:{action}", table("silver_shipments"), {})
        for action in ("CreateTable", "GetTable", "UpdateTable", "BatchCreatePartition", "GetPartitions")
    ),
    ("glue:CreateTable", DATABASE, {}),
    ("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:/aws-glue/crawlers:log-stream:a", {}),
    ("kms:Decrypt", KEY, VIA_S3),
]
CRAWLER_MAY_NOT: list[Need] = [
    ("s3:PutObject", f"{SILVER}/silver/a.parquet", {}),
    ("s3:DeleteObject", f"{SILVER}/silver/a.parquet", {}),
    ("s3:GetObject", f"{SILVER}/quarantine/shipments/a.parquet", {}),
    ("s3:GetObject", f"{SILVER}/silver_compacted/a.parquet", {}),
    ("s3:ListBucket", SILVER, {"s3:prefix": "quarantine/"}),
    ("s3:GetObject", "arn:aws:s3:::another/silver/a.parquet", {}),
    *((f"glue:{action}Table", table(name), {}) for action in ("Update", "Delete") for name in ("silver", "shipments")),
    ("glue:CreateTable", table("load_history"), {}),
    ("glue:DeleteDatabase", DATABASE, {}),
    ("glue:UpdateDatabase", DATABASE, {}),
    ("glue:CreateTable", f"{GLUE}:table/another/silver_shipments", {}),
    ("kms:GenerateDataKey", KEY, VIA_S3),
    ("kms:Decrypt", KEY, {"kms:ViaService": "sqs.us-east-2.amazonaws.com"}),
    ("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:/aws/lambda/smelt:log-stream:a", {}),
]
# Amazon Athena User Guide, "Control access to Amazon S3 from Athena" and "AWS managed policies for Amazon Athena".
ANALYST_NEEDS: list[Need] = [
    *(
        (f"athena:{action}", WORKGROUP, {})
        for action in ("StartQueryExecution", "GetQueryExecution", "GetQueryResults")
    ),
    *((f"athena:{action}", WORKGROUP, {}) for action in ("ListNamedQueries", "GetNamedQuery", "StopQueryExecution")),
    *(
        (f"athena:{action}", f"arn:aws:athena:{HERE}:datacatalog/AwsDataCatalog", {})
        for action in ("ListDatabases", "ListTableMetadata", "GetTableMetadata")
    ),
    ("athena:ListWorkGroups", "*", {}),
    ("glue:GetDatabase", f"{GLUE}:database/default", {}),
    ("glue:GetDatabase", DATABASE, {}),
    ("glue:GetTable", table("silver"), {}),
    ("glue:GetTable", table("shipments"), {}),
    ("glue:GetPartitions", table("silver_shipments"), {}),
    *(
        ("s3:GetObject", f"{SILVER}/{root}/a.parquet", {})
        for root in (
            "silver/shipments",
            "quarantine/shipments",
            "history/objects",
            "lake/shipments",
            "silver_compacted/x",
        )
    ),
    ("s3:ListBucket", SILVER, {"s3:prefix": "silver/shipments/dt=2026-01-01/"}),
    ("s3:GetBucketLocation", SILVER, {}),
    ("s3:GetBucketLocation", RESULTS, {}),
    ("s3:ListBucket", RESULTS, {}),
    ("s3:ListBucketMultipartUploads", RESULTS, {}),
    ("s3:PutObject", f"{RESULTS}/results/a.csv", {}),
    ("s3:GetObject", f"{RESULTS}/results/a.csv", {}),
    ("kms:Decrypt", KEY, VIA_S3),
    ("kms:GenerateDataKey", KEY, VIA_S3),
]
# Denied whatever else the person may do.
ANALYST_NEVER: list[Need] = [
    *(
        (f"s3:{action}", f"{SILVER}/{root}/a.parquet", {})
        for action in ("PutObject", "DeleteObject", "DeleteObjectVersion")
        for root in (
            "silver/shipments",
            "quarantine/shipments",
            "history/objects",
            "lake/shipments",
            "silver_compacted/x",
        )
    ),
    *(
        (f"glue:{action}", table(name), {})
        for action in ("CreateTable", "UpdateTable", "DeleteTable", "CreatePartition")
        for name in ("silver", "shipments", "load_history")
    ),
    ("glue:DeleteDatabase", DATABASE, {}),
]
ANALYST_MAY_NOT: list[Need] = [
    ("athena:StartQueryExecution", f"arn:aws:athena:{HERE}:workgroup/primary", {}),
    ("athena:UpdateWorkGroup", WORKGROUP, {}),
    ("athena:DeleteNamedQuery", WORKGROUP, {}),
    ("s3:GetObject", f"{SILVER}/other/a", {}),
    ("s3:ListBucket", SILVER, {"s3:prefix": "other/"}),
    ("s3:PutObject", f"{RESULTS}/elsewhere/a", {}),
    ("s3:DeleteObject", f"{RESULTS}/results/a.csv", {}),
    ("glue:GetTable", f"{GLUE}:table/another/silver", {}),
    ("glue:GetTable", f"{GLUE}:table/default/silver", {}),
    ("kms:Decrypt", KEY, {"kms:ViaService": "dynamodb.us-east-2.amazonaws.com"}),
]


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    need_simulator()
    scratch: Path = tmp_path_factory.mktemp("terraform")
    return AppliedCatalog(every_contract(scratch / "contracts"), emulator, scratch, KEY).plan()


@pytest.fixture(scope="module")
def crawler(planned: dict[str, Any]) -> Policy:
    (values,) = of_type(planned, "aws_iam_role_policy").values()
    policy: Policy = json.loads(values["policy"])
    return policy


@pytest.fixture(scope="module")
def analyst(planned: dict[str, Any]) -> Policy:
    (values,) = of_type(planned, "aws_iam_policy").values()
    policy: Policy = json.loads(values["policy"])
    return policy


def decisions(needs: list[Need], *policies: Any) -> dict[str, Decision]:
    """What is asked -> what IAM decides."""
    asks = [
        Ask(ROLE, action, resource, policies, KEY_POLICY if resource == KEY else None, context)
        for action, resource, context in needs
    ]
    return {
        f"{action} {resource} {context}": decision
        for (action, resource, context), decision in zip(needs, decide(asks, ACCOUNT), strict=True)
    }


def only(decided: dict[str, Decision], *wanted: Decision) -> list[str]:
    return [asked for asked, decision in decided.items() if decision not in wanted]


def test_the_crawler_does_its_work(crawler: Policy) -> None:
    assert only(decisions(CRAWLER_NEEDS, crawler), Decision.ALLOWED) == []


def test_the_crawler_changes_neither_files_nor_tables_that_are_not_its_own(crawler: Policy) -> None:
    assert only(decisions(CRAWLER_MAY_NOT, crawler), Decision.NOT_ALLOWED) == []


def test_each_statement_of_the_crawler_is_needed(crawler: Policy) -> None:
    for at in range(len(crawler["Statement"])):
        fewer = copy.deepcopy(crawler)
        removed = fewer["Statement"].pop(at)["Sid"]
        assert only(decisions(CRAWLER_NEEDS, fewer), Decision.ALLOWED), f"nothing needs {removed}"


def test_only_glue_becomes_the_crawler(planned: dict[str, Any]) -> None:
    """Without a condition: Glue tries the role when the crawler is made, and is not known to say for which account."""
    (role,) = of_type(planned, "aws_iam_role").values()
    (statement,) = json.loads(role["assume_role_policy"])["Statement"]
    assert statement["Principal"] == {"Service": "glue.amazonaws.com"}
    assert "Condition" not in statement


def test_an_analyst_queries_everything(analyst: Policy) -> None:
    assert only(decisions(ANALYST_NEEDS, analyst), Decision.ALLOWED) == []


def test_an_analyst_changes_nothing_even_as_an_administrator(analyst: Policy) -> None:
    assert only(decisions(ANALYST_NEVER, analyst), Decision.DENIED) == []
    assert only(decisions(ANALYST_NEVER, analyst, *administrator()), Decision.DENIED) == []


def test_an_analyst_reads_nothing_else_and_queries_nowhere_else(analyst: Policy) -> None:
    assert only(decisions(ANALYST_MAY_NOT, analyst), Decision.NOT_ALLOWED) == []


def test_each_statement_of_the_analyst_is_needed(analyst: Policy) -> None:
    for at in range(len(analyst["Statement"])):
        fewer = copy.deepcopy(analyst)
        removed = fewer["Statement"].pop(at)
        needed = ANALYST_NEEDS if removed["Effect"] == "Allow" else ANALYST_NEVER
        wanted = Decision.ALLOWED if removed["Effect"] == "Allow" else Decision.DENIED
        assert only(decisions(needed, fewer), wanted), f"nothing needs {removed['Sid']}"
