"""`glue-assets`: uploads what the Glue jobs run, and writes its keys for Terraform."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import glue_assets
from infra.deploy.terraform import ROOT
from services.ops.cli.console import JsonFlag, explain, show, show_json
from services.shared.aws import aws_client

_NO_BUCKET = (
    "Terraform has created no artifacts bucket: set glue_job_enabled = true (or ge_enabled) in the environment's "
    "tfvars, then run `make tf-apply`, this, and `make tf-apply` again, which creates the jobs."
)


def upload_assets(
    environment: Annotated[str, typer.Option("--env", help="The folder in infra/terraform/envs.")] = "dev",
    out: Annotated[
        Path | None, typer.Option(help="Write the files into this folder instead of uploading them.")
    ] = None,
    if_enabled: Annotated[
        bool, typer.Option("--if-enabled", help="Do nothing where Terraform has created no artifacts bucket.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Upload the jobs' scripts, the package that they import and their wheels, and write their keys for Terraform.

    Wheels are checked against the hashes of requirements/glue.txt. What AWS Glue 5.1 brings is left out. What is there
    already is not uploaded again.

    Example: glue-assets --env dev
    """
    home = glue_assets.artifacts_bucket(environment) if out is None else None
    if out is None and home is None:
        if not if_enabled:
            raise glue_assets.AssetsFailed(_NO_BUCKET)
        if as_json:
            show_json({"written": [], "glue_assets": None, "written_to": None})
        else:
            show("nothing uploaded: there are no jobs, and no bucket for what they run")
        return
    assets = glue_assets.make_assets(glue_assets.committed_revision(), glue_assets.made_wheels())
    if out is not None:
        for key, data in assets.files.items():
            (out / key).parent.mkdir(parents=True, exist_ok=True)
            (out / key).write_bytes(data)
        written = list(assets.files)
        where = str(out)
    elif home is not None:
        bucket, region = home
        try:
            written = glue_assets.upload(aws_client("s3", region, silence=120), bucket, assets)
        except (BotoCoreError, ClientError) as error:
            raise glue_assets.AssetsFailed(f"{bucket} takes no files: {explain(error)}") from error
        where = os.path.relpath(glue_assets.write_variable(environment, assets), ROOT)
    if as_json:
        show_json({"written": written, "glue_assets": assets.variable, "written_to": where})
        return
    for key, data in assets.files.items():
        show(f"{'uploaded' if key in written else 'is there'}: {key} ({len(data):,} bytes)")
    show(f"written to {where}" + ("" if out else "; next: make tf-apply"))
