"""`signed-in`: whose credentials this shell has, asked before Terraform is."""

from __future__ import annotations

import re
from difflib import get_close_matches
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

    Exits with 1 if it is another account than account_id in the environment's tfvars, with 2 without credentials, or
    if the tfvars set what is no variable.
    """
    values = _ENVIRONMENTS / environment / f"{environment}.tfvars"
    if not (ROOT / values).is_file():
        raise OperatorError(f"No environment {environment!r}: {values} does not exist. ENV names the folder.")
    if unknown := undeclared(ROOT / values):
        named = ", ".join(f"{name} ({meant}?)" if meant else name for name, meant in unknown.items())
        raise OperatorError(
            f"{values} sets what is no variable: {named}. Terraform would leave it out. "
            f"The variables: {values.parent}/variables*.tf."
        )
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


# What may hold braces or names that mean nothing: texts over several lines, strings, comments.
_NO_CODE = re.compile(
    r'<<-?([\w-]+)\n.*?^[ \t]*\1$|"(?:\\.|[^"\\\n])*"|/\*.*?\*/|(?:#|//)[^\n]*', re.DOTALL | re.MULTILINE
)
_SET = re.compile(r'^[ \t]*"?([A-Za-z_][\w-]*)"?[ \t]*=(?!=)', re.MULTILINE)
_DECLARED = re.compile(r'^variable[ \t]+"([^"]+)"', re.MULTILINE)


def undeclared(values: Path) -> dict[str, str]:
    """What a tfvars file sets that no variable beside it is named, each with the variable that may be meant, or "".

    Terraform only warns of these, and goes on without them.
    """
    declared = {name for file in values.parent.glob("*.tf") for name in _DECLARED.findall(file.read_text())}
    code = _NO_CODE.sub(lambda found: found[0] if _is_name(found) else "", values.read_text())
    while code != (outer := re.sub(r"\{[^{}]*\}|\[[^][]*\]", "", code)):
        code = outer
    names = [name for name in _SET.findall(code) if name not in declared]
    return {name: next(iter(get_close_matches(name, declared, 1)), "") for name in names}


def _is_name(found: re.Match[str]) -> bool:
    """Whether a string is the name of what is set, which may be in quotes."""
    return found[0].startswith('"') and found.string[found.end() :].lstrip(" \t").startswith("=")
