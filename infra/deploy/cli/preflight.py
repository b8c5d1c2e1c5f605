"""`preflight`: asks the account what would stop a Terraform plan, before anything is created."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.deploy.preflight import Finding, Level, preflight
from services.ops.cli.console import JsonFlag, finish, show, show_json
from services.ops.errors import OperatorError
from services.shared.aws import aws_client


def check_plan(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN.json", help="What `terraform show -json` wrote.")],
    region: Annotated[str | None, typer.Option(help="The AWS region; without it, the plan's.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check a plan's names, images, queues and topic against the account. Reads only.

    Exits with 1 if the plan cannot be applied as it is.
    """
    plan = _read(plan_file)
    region = region or plan.get("variables", {}).get("region", {}).get("value")
    found = preflight(plan, cache(partial(aws_client, region=region)))
    findings = [replace(finding, advice=_runnable(finding.advice, plan_file)) for finding in found]
    problems = [finding for finding in findings if finding.level is Level.PROBLEM]
    if as_json:
        fields = ("level", "address", "what", "advice")
        show_json({"findings": [{name: getattr(finding, name) for name in fields} for finding in findings]})
    else:
        _show(findings, len(problems))
    finish(all_right=not problems)


def _read(plan_file: Path) -> dict[str, Any]:
    try:
        plan: Any = json.loads(plan_file.read_text())
    except ValueError as error:
        raise OperatorError(f"{plan_file} is not JSON: {error}. `make tf-plan` writes it.") from error
    if not isinstance(plan, dict) or "resource_changes" not in plan:
        raise OperatorError(f"{plan_file} is not a Terraform plan: write it with `terraform show -json PLAN`.")
    return plan


def _runnable(advice: str, plan_file: Path) -> str:
    """Terraform's commands as they run from here: in the plan's folder, with its variables (<ENV>.tfplan.json)."""
    terraform = f"terraform -chdir={plan_file.parent}"
    values = f"-var-file={plan_file.name.split('.')[0]}.tfvars"
    advice = advice.replace("terraform import ", f"{terraform} import {values} ")
    return advice.replace("terraform state rm ", f"{terraform} state rm ")


def _show(findings: list[Finding], problems: int) -> None:
    for finding in findings:
        style = "red" if finding.level is Level.PROBLEM else "yellow"
        show(f"{finding.level}: {finding.what} ({finding.address})", style=style)
        show(f"  {finding.advice}")
    if problems:
        show(f"preflight: {problems} to fix before this plan can be applied. Nothing was created.")
    elif findings:
        show(f"preflight: this plan can be applied. Read the {len(findings)} points above first.")
    else:
        show("preflight: no name is taken; the images, queues and topic exist.")
