"""The repositories and the state's bucket, made before the pipeline, are tagged as the environment's tfvars say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.terraform import of_type, plan

GIVEN = {"Project": "billing", "cost-center": "42"}  # IAM and tag policies take project and Project for one key
SETTINGS = {"project": "smelt-dev", "region": "us-east-2", "tags": GIVEN}


@pytest.mark.parametrize(
    ("root", "kind", "more"),
    [("bootstrap", "aws_ecr_repository", {}), ("state", "aws_s3_bucket", {"state_bucket": "a-state"})],
)
def test_tags_of_the_environment_are_on_it(
    root: str, kind: str, more: dict[str, str], emulator: str, tmp_path: Path
) -> None:
    made = of_type(plan(root, "", SETTINGS | more, emulator, tmp_path), kind)
    assert made
    assert all(values["tags"] == GIVEN for values in made.values())
