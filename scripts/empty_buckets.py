#!/usr/bin/env python3
"""Empties buckets, every version of every object, so that `make tf-destroy` can delete them. Asks first.

python scripts/empty_buckets.py my-bronze my-silver
python scripts/empty_buckets.py --terraform-dir infra/terraform/envs/dev
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import typer  # noqa: E402
from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402
from rich.progress import Progress  # noqa: E402

from services.ops.buckets import contents, empty, exists  # noqa: E402
from services.ops.terraform import NoOutputs, outputs  # noqa: E402
from services.shared.aws import aws_client  # noqa: E402

console = Console(stderr=True, highlight=False, soft_wrap=True)
_SHOWN = 20  # of the keys that could not be deleted


class CannotEmpty(Exception):
    """What a person has to do first."""


def of_terraform(directory: Path) -> tuple[list[str], str | None]:
    """The buckets that Terraform created there, and their region."""
    found = outputs(directory)
    return [found[name] for name in ("bronze_bucket", "silver_bucket") if name in found], found.get("region")


def confirm(bucket: str) -> None:
    """Let a person type the bucket's name."""
    if not sys.stdin.isatty():
        raise CannotEmpty("nobody is here to confirm; --yes (make: YES=1) empties without asking. Nothing was deleted")
    if typer.prompt(f"Type the bucket's name to delete all of it ({bucket})", err=True) != bucket:
        raise CannotEmpty("that is not its name; nothing was deleted from it")


def main(
    buckets: Annotated[list[str] | None, typer.Argument(metavar="[BUCKET]...")] = None,
    terraform_dir: Annotated[
        Path | None, typer.Option(help="Take the buckets that Terraform created there, below the repository's root.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="The buckets' region.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Delete nothing; fail if a bucket is not empty.")] = False,
) -> None:
    """Exits with 1 if anything is left."""
    left = 0
    try:
        names = list(buckets or [])
        if terraform_dir:
            created, of_state = of_terraform(terraform_dir)
            names, region = [*names, *created], region or of_state
        if not names and not terraform_dir:
            raise CannotEmpty("name the buckets, or --terraform-dir")
        if not names:
            console.print(f"Terraform has created no buckets in {terraform_dir}: nothing to empty")
            return
        s3 = aws_client("s3", region)
        for bucket in names:
            if not exists(s3, bucket):
                console.print(f"{bucket} does not exist: nothing to do")
                continue
            found = contents(s3, bucket)
            megabytes = f"{found.bytes / 1e6:,.1f} MB"
            console.print(f"{bucket}: {found.versions:,} versions, {megabytes}; {found.uploads} unfinished uploads")
            if not found.entries:
                continue
            if check:
                raise CannotEmpty(f"{bucket} is not empty: `make empty-buckets` first. Nothing was deleted")
            if not yes:
                confirm(bucket)
            with Progress(console=console) as progress:
                task = progress.add_task(f"emptying {bucket}", total=found.versions)
                for kept in empty(s3, bucket):
                    for entry in kept[: max(0, _SHOWN - left)]:
                        console.print(
                            f"[red]not deleted[/] {escape(entry.key)} {entry.version_id}: {escape(entry.reason)}"
                        )
                    left += len(kept)
                    progress.advance(task, 1000)
    except (CannotEmpty, NoOutputs, ClientError, BotoCoreError) as error:
        console.print(escape(str(error)), style="red")
        raise typer.Exit(1) from error
    if left:
        console.print(f"{left:,} versions could not be deleted", style="red")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
