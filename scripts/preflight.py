#!/usr/bin/env python3
"""Asks the account what a Terraform plan would run into: names that are taken, images that are not there.

terraform show -json dev.tfplan > dev.tfplan.json && python scripts/preflight.py dev.tfplan.json
"""

from __future__ import annotations

import json
import sys
from functools import cache, partial
from pathlib import Path
from typing import Annotated

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import typer  # noqa: E402
from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402

from services.ops.preflight import Level, preflight  # noqa: E402
from services.shared.aws import aws_client  # noqa: E402

console = Console(stderr=True, highlight=False, soft_wrap=True)


def main(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN.json", help="What `terraform show -json` wrote.")],
    region: Annotated[str | None, typer.Option(help="The region; without it, the plan's.")] = None,
) -> None:
    """Exits with 1 if the plan could not be applied as it is."""
    try:
        plan = json.loads(plan_file.read_text())
        region = region or plan.get("variables", {}).get("region", {}).get("value")
        findings = preflight(plan, cache(partial(aws_client, region=region)))
    except (OSError, ValueError, BotoCoreError, ClientError) as error:
        console.print(f"preflight: {plan_file} could not be checked: {escape(str(error))}", style="red")
        raise typer.Exit(1) from error
    for finding in findings:
        style_of = "red" if finding.level is Level.PROBLEM else "yellow"
        console.print(f"[{style_of}]{finding.level}[/] {escape(finding.what)} ({escape(finding.address)})")
        console.print(f"  {escape(finding.advice)}")
    problems = [finding for finding in findings if finding.level is Level.PROBLEM]
    if problems:
        console.print(f"preflight: {len(problems)} to mend before this plan can be applied; nothing was created")
        raise typer.Exit(1)
    if findings:
        console.print(f"preflight: this plan can be applied; mind the {len(findings)} above")
    else:
        console.print("preflight: no name is taken; images, queues and topic are there")


if __name__ == "__main__":
    typer.run(main)
