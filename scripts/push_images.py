#!/usr/bin/env python3
"""Builds the functions' images from the committed sources, pushes them to ECR, and writes their digests for Terraform.

An image is tagged with the git revision that it was built from; a revision that was pushed before is not built again.
`make push-images` calls this; `--check` only says whether the repositories are there.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import boto3  # noqa: E402
import typer  # noqa: E402
from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402
from rich.console import Console  # noqa: E402

FUNCTIONS = ("ingest", "transform")
TERRAFORM = Path("infra/terraform")
PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
# What goes into an image; other files may be changed without making a revision untrue.
SOURCES = ("services", "contracts", "docker", "local", "requirements", ".dockerignore")
# Lambda takes the manifest of one image, not an index of several, which builds with attestations make.
ACCEPTED_MANIFESTS = {
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
}
_LABEL = "org.opencontainers.image.revision"

console = Console(stderr=True, soft_wrap=True)


class PushFailed(Exception):
    """Something that a person has to mend before images can be pushed."""


@dataclass(frozen=True, slots=True)
class Revision:
    """The commit that images are built from. `created` is its date, RFC 3339; `epoch` the same in epoch seconds."""

    sha: str
    created: str
    epoch: str
    source: str


def run(command: Iterable[str | Path], **options: Any) -> str:
    """Run a command and return what it prints.

    Raises:
        PushFailed: it failed; its last words are in the message.
    """
    line = [str(part) for part in command]
    done: subprocess.CompletedProcess[str] = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, **options)
    if done.returncode:
        raise PushFailed(f"`{' '.join(line[:6])} ...` failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def revision(emulated: bool) -> Revision:
    """The revision of this checkout; for an emulator, uncommitted changes become one of their own, which git forgets.

    Raises:
        PushFailed: what goes into the images is not committed, so no revision would name it.
    """
    changed = run(["git", "status", "--porcelain", "--", *SOURCES])
    commit = "HEAD"
    if changed and emulated:
        commit = run(["git", "-c", "user.name=smelt", "-c", "user.email=smelt@localhost", "stash", "create"]).strip()
    elif changed:
        raise PushFailed(
            f"these files go into the images and are not committed:\n{changed.rstrip()}\ncommit them first"
        )
    sha, created, epoch = run(["git", "log", "-1", "--format=%H%n%cI%n%ct", commit or "HEAD"]).split()
    remote = subprocess.run(["git", "remote", "get-url", "origin"], cwd=ROOT, capture_output=True, text=True)
    return Revision(sha, created, epoch, without_credentials(remote.stdout.strip()) or "unknown")


def without_credentials(url: str) -> str:
    """A remote's URL without the user and token that may stand in it: labels are public to whoever pulls."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def settings(environment: str) -> tuple[str, str]:
    """Project and region out of the environment's tfvars, read by Terraform itself."""
    variables = f"../envs/{environment}/{environment}.tfvars"
    answer = run(
        [ROOT / "scripts/terraform.sh", TERRAFORM / "bootstrap", "console", f"-var-file={variables}"],
        input="jsonencode([var.project, var.region])\n",
    )
    project, region = json.loads(json.loads(answer.strip().splitlines()[-1]))
    return project, region


def registry_host(repository_url: str) -> str:
    """Where docker pushes to: the repository's host, or the emulator that AWS_ENDPOINT_URL names."""
    return urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).netloc or repository_url.split("/", 1)[0]


def repositories(ecr: Any, project: str) -> dict[str, str]:
    """Function -> what its images are called, without tag.

    Raises:
        PushFailed: a repository is missing.
    """
    names = {function: f"{project}/{function}" for function in FUNCTIONS}
    try:
        found = ecr.describe_repositories(repositoryNames=list(names.values()))["repositories"]
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise PushFailed(f"a repository is missing ({error}); `make tf-bootstrap` creates them") from error
    urls = {entry["repositoryName"]: entry["repositoryUri"] for entry in found}
    return {function: f"{registry_host(urls[name])}/{name}" for function, name in names.items()}


def pushed_digest(ecr: Any, repository: str, tag: str) -> str | None:
    """The digest of an image that is in the registry; None if it is not.

    Raises:
        PushFailed: it is there as an index, which Lambda refuses.
    """
    name = repository.split("/", 1)[1]
    try:
        found = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])["imageDetails"]
    except ecr.exceptions.ImageNotFoundException:
        return None
    if not found:  # an emulator's way to say the same
        return None
    (image,) = found
    kind = image.get("imageManifestMediaType")
    if kind not in ACCEPTED_MANIFESTS:
        raise PushFailed(
            f"{repository}:{tag} is a {kind}, which Lambda refuses: it needs the manifest of one image. Delete the tag "
            "from the repository, and build without attestations (--provenance=false --sbom=false)"
        )
    return str(image["imageDigest"])


def log_in(ecr: Any, host: str) -> None:
    """Let docker push to the registry, for the twelve hours that ECR's token is good for."""
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, password = base64.b64decode(token).decode().split(":", 1)
    run(["docker", "login", "--username", user, "--password-stdin", host], input=password)


def build(function: str, image: str, at: Revision, platform: str, target: str) -> None:
    """Build one image from the revision's own tree: nothing else can get in, and file times are the commit's."""
    command = ["docker", "buildx", "build", "--file", "docker/Dockerfile", "--target", target, "--platform", platform]
    command += ["--provenance=false", "--sbom=false", "--load", "--tag", image]
    arguments = {"REVISION": at.sha, "CREATED": at.created, "SOURCE": at.source, "SOURCE_DATE_EPOCH": at.epoch}
    if base := os.environ.get("BASE_IMAGE"):
        arguments["BASE_IMAGE"] = base
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    if bundle := os.environ.get("SMELT_CA_BUNDLE"):
        command += ["--secret", f"id=ca_bundle,src={bundle}"]
    console.print(f"building {function} from revision {at.sha[:12]} for {platform}")
    with subprocess.Popen(["git", "archive", at.sha], cwd=ROOT, stdout=subprocess.PIPE) as archive:
        built = subprocess.run([*command, "-"], cwd=ROOT, stdin=archive.stdout)
    if built.returncode or archive.returncode:
        raise PushFailed(f"the image of {function} could not be built; docker's own words are above")


def push(function: str, image: str) -> None:
    console.print(f"pushing {image}")
    if subprocess.run(["docker", "push", "--quiet", image], cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
        raise PushFailed(f"the image of {function} could not be pushed; docker's own words are above")


def write_images(environment: str, images: Mapping[str, str]) -> Path:
    """Write images.auto.tfvars.json into the environment, whole or not at all."""
    path = ROOT / TERRAFORM / "envs" / environment / "images.auto.tfvars.json"
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"images": dict(images)}, indent=2) + "\n")
    draft.replace(path)
    return path


def main(
    environment: Annotated[str, typer.Option("--env", help="The folder in infra/terraform/envs to write to.")] = "dev",
    architecture: Annotated[str, typer.Option(help="x86_64 or arm64, as in the tfvars.")] = "x86_64",
    emulated: Annotated[bool, typer.Option(help="Images with the runtime interface emulator, for MiniStack.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the repositories are there.")] = False,
) -> None:
    """Build, push, and write the digests. Exits with 1 if something has to be mended first."""
    try:
        if architecture not in PLATFORMS:
            raise PushFailed(f"architecture {architecture!r} is not one of {', '.join(PLATFORMS)}")
        project, region = settings(environment)
        ecr = boto3.client("ecr", region_name=region)
        places = repositories(ecr, project)
        if check:
            return
        at = revision(emulated)
        tag = f"{at.sha[:12]}-{architecture}" + ("-emulated" if emulated else "")
        log_in(ecr, next(iter(places.values())).split("/", 1)[0])
        images = {}
        for function, repository in places.items():
            digest = pushed_digest(ecr, repository, tag)
            if digest:
                console.print(f"{repository}:{tag} is in the registry already")
            else:
                target = f"{function}-local" if emulated else function
                build(function, f"{repository}:{tag}", at, PLATFORMS[architecture], target)
                push(function, f"{repository}:{tag}")
                digest = pushed_digest(ecr, repository, tag)
            images[function] = f"{repository}@{digest}"
        path = write_images(environment, images)
    except (PushFailed, ClientError, BotoCoreError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error
    for function, image in images.items():
        console.print(f"{function}: {image}", highlight=False)
    console.print(f"written to {path.relative_to(ROOT)}; next: make tf-init, then make tf-apply")


if __name__ == "__main__":
    typer.run(main)
