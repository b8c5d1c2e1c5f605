"""`empty-buckets`: deletes everything in buckets, so that `make tf-destroy` can delete them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from infra.deploy.buckets import contents, empty, exists
from infra.deploy.outputs import managed_buckets
from services.ops.cli.console import finish, messages, say
from services.ops.errors import OperatorError
from services.shared.aws import aws_client

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_SHOWN = 20  # of the versions that could not be deleted


def empty_buckets(
    buckets: Annotated[list[str] | None, typer.Argument(metavar="[BUCKET]...", help="The buckets' names.")] = None,
    terraform_dir: Annotated[Path | None, typer.Option(help="Take the buckets that Terraform created there.")] = None,
    region: Annotated[str | None, typer.Option(help="The buckets' region.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Delete nothing; exit with 1 if a bucket has contents.")
    ] = False,
) -> None:
    """Delete every version of every object, and every unfinished upload. Asks for each bucket's name first.

    Exits with 1 if something could not be deleted.
    """
    names = list(buckets or [])
    if terraform_dir:
        created = managed_buckets(terraform_dir)  # a Bronze bucket that existed before is not among them
        names += created
        region = region or next(filter(None, created.values()), None)
        if not names:
            say(f"Terraform has created no buckets in {terraform_dir}: nothing to empty")
            return
    if not names:
        raise OperatorError("No bucket given: name the buckets, or pass --terraform-dir.")
    s3 = aws_client("s3", region)
    kept = sum(_empty_one(s3, bucket, yes, check) for bucket in names)
    if check and kept:
        say("Run `make empty-buckets` first. Nothing was deleted.", style="red")
    elif kept:
        say(f"{kept:,} versions could not be deleted", style="red")
    finish(all_right=not kept)


def _empty_one(s3: S3Client, bucket: str, yes: bool, check: bool) -> int:
    """Gives how many versions and uploads are left."""
    if not exists(s3, bucket):
        say(f"{bucket} does not exist: nothing to do")
        return 0
    found = contents(s3, bucket)
    say(f"{bucket}: {found.versions:,} versions, {found.bytes / 1e6:,.1f} MB; {found.uploads} unfinished uploads")
    if check and found.entries:
        say(f"{bucket} is not empty", style="red")
    if check or not found.entries:
        return found.entries
    if not yes:
        _confirm(bucket)
    left = 0
    with Progress(console=messages) as progress:
        task = progress.add_task(f"emptying {bucket}", total=found.versions)
        for kept in empty(s3, bucket):
            for entry in kept[: max(0, _SHOWN - left)]:
                say(f"not deleted: {entry.key} {entry.version_id}: {entry.reason}", style="red")
            left += len(kept)
            progress.advance(task, 1000)
    return left


def _confirm(bucket: str) -> None:
    """Have a person type the bucket's name."""
    if not sys.stdin.isatty():
        raise OperatorError("Nobody is here to confirm. Pass --yes (make: YES=1) to empty without asking.")
    if typer.prompt(f"Type the bucket's name to delete everything in it ({bucket})", err=True) != bucket:
        raise OperatorError(f"That is not the bucket's name. Nothing was deleted from {bucket}.")
