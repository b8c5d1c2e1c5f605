"""Before an apply: files that Athena's tables would not show, found by a listing of one key for each dataset."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.deploy.preflight import Finding, Level
from infra.deploy.preflight.tables import hidden_rows
from local.stack import CREDENTIALS, REGION, Clients
from services.shared.aws import aws_client
from tests.support.catalog import AppliedCatalog, every_contract

Found = Callable[..., list[Finding]]


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A real plan of the catalog."""
    scratch: Path = tmp_path_factory.mktemp("terraform")
    return AppliedCatalog(every_contract(scratch / "contracts"), emulator, scratch).plan()


@pytest.fixture
def found(emulator: str, monkeypatch: pytest.MonkeyPatch, clients: Clients, planned: dict[str, Any]) -> Found:
    """What preflight says of the plan where these files are in the Silver bucket."""
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}).items():
        monkeypatch.setenv(name, value)
    bucket = f"silver-{uuid.uuid4().hex[:8]}"

    def look(*keys: str, exists: bool = True) -> list[Finding]:
        if exists:
            clients.s3.create_bucket(Bucket=bucket)
        for key in keys:
            clients.s3.put_object(Bucket=bucket, Key=key, Body=b"1")
        return list(hidden_rows(in_bucket(planned, bucket), partial(aws_client, region=REGION)))

    return look


def in_bucket(planned: dict[str, Any], bucket: str) -> dict[str, Any]:
    """The plan's tables, over another bucket."""
    changes = []
    for change in planned["resource_changes"]:
        after = change["change"].get("after") or {}
        if change["type"] == "aws_glue_catalog_table" and after["storage_descriptor"][0].get("location"):
            location = after["storage_descriptor"][0]["location"].replace("catalog-silver", bucket)
            changes.append(change | {"change": {"after": after | {"storage_descriptor": [{"location": location}]}}})
    assert len(changes) == 4
    return {"resource_changes": changes}


def test_nothing_is_said_where_everything_is_shown(found: Found) -> None:
    days = ("silver/shipments/dt=2020-01-01", "silver/flights/dt=2026-01-01", "quarantine/_unknown/dt=2026-01-01")
    assert found(*(f"{day}/a.parquet" for day in days), "history/objects/dt=2026-01-01/a.parquet") == []


def test_nothing_is_said_where_there_is_no_bucket_yet(found: Found) -> None:
    assert found(exists=False) == []


def test_days_before_the_first_one_are_named_with_the_variable(found: Found) -> None:
    keys = (
        "silver/flights/dt=2013-01-01/a.parquet",
        "silver/flights/dt=2026-01-01/a.parquet",
        "silver/shipments/dt=2024-01-01/a.parquet",
        "quarantine/shipments/dt=2025-12-31/a.parquet",
        "history/lots/dt=2025-12-30/a.parquet",
    )
    said = {finding.what: (finding.level, finding.address, finding.advice) for finding in found(*keys)}
    assert said == {
        "silver/flights/ has files since 2013-01-01, but the table silver begins with 2020-01-01": (
            Level.WARNING,
            "glue_first_day",
            'set glue_first_day = "2013-01-01" if those rows are to be seen',
        ),
        "quarantine/shipments/ has files since 2025-12-31, but the table quarantine begins with 2026-01-01": (
            Level.WARNING,
            "glue_first_load_day",
            'set glue_first_load_day = "2025-12-31" if those rows are to be seen',
        ),
        "history/lots/ has files since 2025-12-30, but the table load_history_lots begins with 2026-01-01": (
            Level.WARNING,
            "glue_first_load_day",
            'set glue_first_load_day = "2025-12-30" if those rows are to be seen',
        ),
    }


def test_a_dataset_without_a_contract_is_named(found: Found) -> None:
    (finding,) = found("silver/gone/dt=2026-01-01/a.parquet")
    assert finding.what == (
        "silver/gone/ has files, which no query of the table silver will see: it is not among its datasets"
    )


def test_without_the_permission_it_says_that_it_could_not_look(planned: dict[str, Any]) -> None:
    class Denying:
        def list_objects_v2(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectsV2")

    findings = list(hidden_rows(planned, lambda _: Denying()))
    assert [finding.level for finding in findings] == [Level.UNCHECKED] * 4
