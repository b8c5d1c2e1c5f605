"""`push-images`: builds, pushes, and writes the digests for Terraform."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from infra.deploy import images
from infra.deploy.terraform import ROOT
from services.ops.cli.console import JsonFlag, say, show, show_json
from services.shared.aws import aws_client

MISSING = 3  # the exit code of --check where a repository does not exist; the Makefile creates repositories then only


def push_images(
    environment: Annotated[str, typer.Option("--env", help="The folder in infra/terraform/envs to write to.")] = "dev",
    architecture: Annotated[str, typer.Option(help="x86_64 or arm64, as in the tfvars.")] = "x86_64",
    emulated: Annotated[bool, typer.Option("--emulated", help="For MiniStack: with the interface emulator.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only check that the repositories exist; exit with 3 if one does not.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Build the functions' images from the committed sources, push them to ECR, and write their digests for Terraform.

    An image is tagged with the git revision that it was built from; what was pushed before is not built again. Exits
    with 2 if something must be fixed first.
    """
    if architecture not in images.PLATFORMS:
        raise images.PushFailed(f"No architecture {architecture!r}: choose one of {', '.join(images.PLATFORMS)}.")
    project, region = images.settings(environment)
    ecr = aws_client("ecr", region)
    try:
        repositories = images.repositories(ecr, project)
    except images.RepositoryMissing as error:
        if not check:
            raise
        say(str(error))
        raise typer.Exit(MISSING) from error
    if check:
        return
    images.check_docker()
    at = images.revision(emulated)
    tag = f"{at.sha[:12]}-{architecture}" + ("-emulated" if emulated else "")
    images.log_in(ecr, next(iter(repositories.values())).split("/", 1)[0])
    pushed = {}
    for function, repository in repositories.items():
        digest = images.pushed_digest(ecr, repository, tag)
        if digest:
            say(f"{repository}:{tag} is in the registry already")
        else:
            image, target = f"{repository}:{tag}", f"{function}-local" if emulated else function
            say(f"building {function} from revision {at.sha[:12]} for {images.PLATFORMS[architecture]}")
            images.build(function, image, at, images.PLATFORMS[architecture], target)
            say(f"pushing {image}")
            images.push(function, image)
            digest = images.pushed_digest(ecr, repository, tag)
        pushed[function] = f"{repository}@{digest}"
    path = images.write_images(environment, pushed)
    if as_json:
        show_json({"images": pushed, "written_to": os.path.relpath(path, ROOT)})
        return
    for function, image in pushed.items():
        show(f"{function}: {image}")
    show(f"written to {os.path.relpath(path, ROOT)}; next: make tf-init, then make tf-apply")
