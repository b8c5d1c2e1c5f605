"""`make tf-plan` first says whose credentials these are, or how to get some: Terraform does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.deploy.cli import account
from infra.deploy.cli.app import app
from services.ops.cli.console import execute

Output = pytest.CaptureFixture[str]
HERE = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/me"}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the values of an environment; the account answers."""
    values = tmp_path / "infra/terraform/envs/dev/dev.tfvars"
    values.parent.mkdir(parents=True)
    values.write_text('region  = "eu-west-1" # near\naccount_id = ""\n')
    monkeypatch.setattr(account, "ROOT", tmp_path)
    monkeypatch.setattr(account, "aws_client", lambda *_: Caller())
    return values


class Caller:
    """STS."""

    def get_caller_identity(self) -> dict[str, str]:
        return HERE


def test_it_names_account_region_and_caller(environment: Path, capsys: Output) -> None:
    assert execute(app, ["signed-in"]) == 0
    assert capsys.readouterr().out == "account 123456789012, region eu-west-1, as arn:aws:iam::123456789012:user/me\n"
    assert execute(app, ["signed-in", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["account"] == "123456789012"


@pytest.mark.parametrize(("wanted", "code"), [("123456789012", 0), ("210987654321", 1)])
def test_another_account_than_the_one_that_is_named_is_found(
    environment: Path, capsys: Output, wanted: str, code: int
) -> None:
    environment.write_text(f'region = "eu-west-1"\n# account_id = "1"\n  account_id = "{wanted}"\n')
    assert execute(app, ["signed-in"]) == code
    assert (f'another account than account_id = "{wanted}"' in capsys.readouterr().err) == bool(code)


def test_an_environment_that_does_not_exist_is_named(environment: Path, capsys: Output) -> None:
    assert execute(app, ["signed-in", "--env", "prod"]) == 2
    assert "infra/terraform/envs/prod/prod.tfvars does not exist" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "Sign in to AWS"),
        ({"AWS_PROFILE": "nobody"}, "profile (nobody)"),
        (
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "AWS_ENDPOINT_URL",
        ),
    ],
)
def test_without_credentials_it_says_how_to_sign_in(
    settings: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: Output, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    quick: dict[str, Any] = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in (quick | settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert execute(app, ["signed-in"]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
