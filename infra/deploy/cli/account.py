"""`signed-in`: whose credentials this shell has, asked before Terraform is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from infra.deploy.terraform import ROOT
from services.ops.cli.console import JsonFlag, finish, say, show, show_json
from services.ops.errors import OperatorError
from services.shared.aws import aws_client

_ENVIRONMENTS = Path("infra/terraform/envs")


def check_account(
    environment: Annotated[str, typer.Option("--env", help="The folder in infra/terraform/envs.")] = "dev",
    as_json: JsonFlag = False,
) -> None:
    """Say which AWS account and region this shell's credentials are for, and as whom. Changes nothing.

    Exits with 1 if it is another account than account_id in the environment's tfvars, with 2 without credentials.
    """
    values = _ENVIRONMENTS / environment / f"{environment}.tfvars"
    if not (ROOT / values).is_file():
        raise OperatorError(f"No environment {environment!r}: {values} does not exist. ENV names the folder.")
    text = (ROOT / values).read_text()
    region, wanted = (_value(text, name) for name in ("region", "account_id"))
    caller = aws_client("sts", region or None).get_caller_identity()
    told = {"account": caller["Account"], "region": region, "arn": caller["Arn"]}
    if as_json:
        show_json(told)
    else:
        show(f"account {told['account']}, region {told['region']}, as {told['arn']}")
    is_right = wanted in ("", caller["Account"])
    if not is_right:
        say(
            f'This is another account than account_id = "{wanted}" in {values}: sign in to that one, or correct it. '
            "Nothing was changed.",
            style="red",
        )
    finish(all_right=is_right)


def _value(text: str, name: str) -> str:
    """A string among the values, as the Makefile reads them: each on a line of its own."""
    found = re.search(rf'^[ \t]*{name}[ \t]*=[ \t]*"([^"]*)"', text, re.MULTILINE)
    return found[1] if found else ""
