"""A plan that would put back an older image says so: functions would go back to the code of a checkout's last push."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.deploy.preflight.findings import Finding, Level
from infra.deploy.preflight.images import images

OLD, NEW = (f"123456789012.dkr.ecr.us-east-2.amazonaws.com/smelt-dev/ingest@sha256:{digit * 64}" for digit in "ab")
PUSHED = {OLD: datetime(2026, 1, 1, tzinfo=UTC), NEW: datetime(2026, 2, 1, tzinfo=UTC)}


class Registry:
    """ECR, which knows two images; or one that may not be asked about the image that runs."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused

    def describe_images(self, *, repositoryName: str, imageIds: list[dict[str, str]]) -> Any:  # noqa: N803
        (wanted,) = imageIds
        for uri, at in PUSHED.items():
            if uri.endswith(f"/{repositoryName}@{wanted['imageDigest']}"):
                if uri == self.refused:
                    raise ClientError({"Error": {"Code": "ImageNotFoundException", "Message": "no"}}, "DescribeImages")
                return {"imageDetails": [{"imageTags": ["0123-x86_64"], "imagePushedAt": at}]}
        raise AssertionError(imageIds)


def found(before: str | None, after: str, registry: Registry) -> list[Finding]:
    change = {
        "actions": ["update"] if before else ["create"],
        "before": {"image_uri": before} if before else None,
        "after": {"image_uri": after, "architectures": ["x86_64"]},
    }
    plan = {"resource_changes": [{"address": "ingest", "type": "aws_lambda_function", "change": change}]}
    return list(images(plan, lambda _: registry))


def test_an_image_that_was_pushed_before_the_running_one_is_told() -> None:
    (finding,) = found(NEW, OLD, Registry())
    assert (finding.level, "2026-01-01" in finding.what, "2026-02-01" in finding.what) == (Level.WARNING, True, True)
    assert "make push-images" in finding.advice


@pytest.mark.parametrize(
    ("before", "after", "refused"), [(OLD, NEW, ""), (OLD, OLD, ""), (None, OLD, ""), (NEW, OLD, NEW)]
)
def test_any_other_image_is_fine(before: str | None, after: str, refused: str) -> None:
    assert found(before, after, Registry(refused)) == []
