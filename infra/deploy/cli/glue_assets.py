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


def upload_assets(
    environment: Annotated[str, typer.Option("--env", help="The folder in infra/terraform/envs.")] = "dev",
    out: Annotated[
        Path | None, typer.Option(help="Write the files into this folder instead of uploading them.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Upload the jobs' scripts, the package that they import and their wheels, and write their keys for Terraform.

    Wheels are checked against the hashes of requirements/glue.txt. What AWS Glue 5.1 brings is left out. What is there
    already is not uploaded again.

    Example: glue-assets --env dev
    """
    assets = glue_assets.make_assets(glue_assets.committed_revision(), glue_assets.made_wheels())
    if out is not None:
        for key, data in assets.files.items():
            (out / key).parent.mkdir(parents=True, exist_ok=True)
            (out / key).write_bytes(data)
        written = list(assets.files)
        where = str(out)
    else:
        bucket, region = glue_assets.artifacts_bucket(environment)
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
