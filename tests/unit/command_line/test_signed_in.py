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
ROOT = Path(__file__).resolve().parents[3]
VARIABLES = 'variable "region" {\n  type = string\n}\n\nvariable "account_id" {}\nvariable "tags" {}\n'
HERE = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/me"}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the values of an environment; the account answers."""
    values = tmp_path / "infra/terraform/envs/dev/dev.tfvars"
    values.parent.mkdir(parents=True)
    (values.parent / "variables.tf").write_text(VARIABLES)
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


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('account_ids = "123456789012"', "account_ids (account_id?)"),
        ('  "acount_id" = ""', "acount_id (account_id?)"),
        ("wholly_else = true", "wholly_else"),
        ('tags = {\n  owner = "a } # b" # {\n}\ntgas = {}', "tgas (tags?)"),
    ],
)
def test_a_value_of_no_variable_is_refused(environment: Path, capsys: Output, line: str, named: str) -> None:
    """Terraform takes it with a warning: the account would not be compared, and a boundary not be set."""
    with environment.open("a") as values:
        values.write(line + "\n")
    assert execute(app, ["signed-in"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"dev.tfvars sets what is no variable: {named}." in said


def test_values_of_variables_are_taken_however_they_are_written(environment: Path) -> None:
    values = """# nothing = 1
// nothing = 2
/* nothing = 3
nothing = 4 */
region = "eu-west-1"
account_id = "" /* here */
tags = {
  "a b" = "c = {"
  owner = <<-EOT
    nothing = {
    EOT
  team = <<END-OF-TEAM
nothing = {
END-OF-TEAM
  list  = [
nothing = "x",
  ]
}
"""
    environment.write_text(values.replace('nothing = "x"', '"x"'))
    assert execute(app, ["signed-in"]) == 0


@pytest.mark.parametrize("environment_name", ["dev"])
def test_the_values_of_this_repository_are_all_variables(environment_name: str) -> None:
    assert account.undeclared(ROOT / f"infra/terraform/envs/{environment_name}/{environment_name}.tfvars") == {}


def test_an_environment_that_does_not_exist_is_named(environment: Path, capsys: Output) -> None:
    assert execute(app, ["signed-in", "--env", "prod"]) == 2
    assert "infra/terraform/envs/prod/prod.tfvars does not exist" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (
            "sso_session = corp\n[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://x.invalid",
            "`aws sso login`",
        ),
        ("login_session = arn:aws:iam::123456789012:user/me", "aws configure export-credentials --format env"),
        ("role_arn = arn:aws:iam::123456789012:role/x\nsource_profile = none", 'profile "mine" does not exist. Check'),
    ],
)
def test_a_profile_that_gives_no_credentials_says_how_to_get_some(
    profile: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Output, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config"
    config.write_text(f"[profile mine]\nsso_account_id = 123456789012\nsso_role_name = a\n{profile}\n")
    if not profile.startswith("sso"):
        config.write_text(f"[profile mine]\n{profile}\n")
    for name, value in {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "mine"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert execute(app, ["signed-in"]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


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
