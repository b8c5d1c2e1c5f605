"""The functions' images: built from the committed sources, pushed to ECR, their digests written for Terraform.

An image is tagged with the git revision that it was built from. It prints nothing but what docker prints.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.deploy.terraform import ROOT, complaint, terraform
from services.ops.errors import OperatorError

TERRAFORM = Path("infra/terraform")
# Terraform reads the same file: for the repositories, and for what each part of the platform needs images of.
FUNCTIONS: tuple[str, ...] = tuple(
    function
    for functions in json.loads((ROOT / TERRAFORM / "functions.json").read_text()).values()
    for function in functions
)
PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
# What goes into an image. Other files may differ from the commit that names the image.
SOURCES = ("services", "contracts", "docker", "local", "requirements", ".dockerignore")
# Lambda takes the manifest of one image, not an index of several, which builds with attestations make.
ACCEPTED_MANIFESTS = {
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
}


class PushFailed(OperatorError):
    """Images cannot be pushed; the message says what to fix first."""


class RepositoryMissing(PushFailed):
    """A repository does not exist yet, as before the first push."""


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
        PushFailed: it failed; the end of its output is in the message.
    """
    line = [str(part) for part in command]
    done: subprocess.CompletedProcess[str] = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, **options)
    if done.returncode:
        raise PushFailed(f"`{' '.join(line[:6])} ...` failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def check_docker() -> None:
    """Before anything is built: docker is there, and has buildx.

    Raises:
        PushFailed: it is not; the message says what to install.
    """
    try:
        answer = subprocess.run(["docker", "buildx", "version"], capture_output=True)
    except FileNotFoundError as error:
        raise PushFailed("docker is not installed: the images are built and pushed with it.") from error
    if answer.returncode:
        raise PushFailed(
            "docker has no buildx, which builds the images: install docker-buildx-plugin (Docker's packages) or "
            "docker-buildx (Debian's, Ubuntu's)."
        )


def revision(emulated: bool) -> Revision:
    """The revision of this checkout. For an emulator, uncommitted changes get one of their own, which git forgets.

    Raises:
        PushFailed: what goes into the images is not committed, so that no revision would name it.
    """
    changed = run(["git", "status", "--porcelain", "--", *SOURCES])
    commit = "HEAD"
    if changed and emulated:
        commit = run(["git", "-c", "user.name=smelt", "-c", "user.email=smelt@localhost", "stash", "create"]).strip()
    elif changed:
        raise PushFailed(
            f"These files go into the images and are not committed:\n{changed.rstrip()}\nCommit them first."
        )
    sha, created, epoch = run(["git", "log", "-1", "--format=%H%n%cI%n%ct", commit or "HEAD"]).split()
    remote = subprocess.run(["git", "remote", "get-url", "origin"], cwd=ROOT, capture_output=True, text=True)
    return Revision(sha, created, epoch, without_credentials(remote.stdout.strip()) or "unknown")


def without_credentials(url: str) -> str:
    """A remote's URL without the user and token that it may contain: whoever pulls the image can read its labels."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def settings(environment: str) -> tuple[str, str]:
    """Project and region from the environment's tfvars, read by Terraform itself.

    Raises:
        PushFailed: there is no such environment, or Terraform cannot read its values.
    """
    values = TERRAFORM / "envs" / environment / f"{environment}.tfvars"
    if not (ROOT / values).exists():
        raise PushFailed(
            f"No environment {environment!r}: {values} does not exist. Pass --env (make: ENV=...), or make it: "
            'infra/terraform/README.md, "Another environment".'
        )
    done = terraform(
        TERRAFORM / "bootstrap",
        "console",
        f"-var-file=../envs/{environment}/{environment}.tfvars",
        text_in="jsonencode([var.project, var.region])\n",
    )
    if done.returncode:
        raise PushFailed(f"Terraform cannot read {values}: {complaint(done, 'make push-images')}")
    project, region = json.loads(json.loads(done.stdout.strip().splitlines()[-1]))
    return project, region


def registry_host(repository_url: str) -> str:
    """Where docker pushes to: the repository's host, or the emulator that AWS_ENDPOINT_URL names."""
    return urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).netloc or repository_url.split("/", 1)[0]


def repositories(ecr: Any, project: str) -> dict[str, str]:
    """Function -> what its images are called, without tag.

    Raises:
        RepositoryMissing: one does not exist.
    """
    names = {function: f"{project}/{function}" for function in FUNCTIONS}
    try:
        found = ecr.describe_repositories(repositoryNames=list(names.values()))["repositories"]
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise RepositoryMissing(
            f"A repository is missing ({error}). `make tf-bootstrap` creates the repositories."
        ) from error
    urls = {entry["repositoryName"]: entry["repositoryUri"] for entry in found}
    return {function: f"{registry_host(urls[name])}/{name}" for function, name in names.items()}


def pushed_digest(ecr: Any, repository: str, tag: str) -> str | None:
    """The digest of an image in the registry; None if it is not there.

    Raises:
        PushFailed: it is an index of images, which Lambda refuses.
    """
    name = repository.split("/", 1)[1]
    try:
        found = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])["imageDetails"]
    except ecr.exceptions.ImageNotFoundException:
        return None
    if not found:  # how an emulator says the same
        return None
    (image,) = found
    kind = image.get("imageManifestMediaType")
    if kind not in ACCEPTED_MANIFESTS:
        raise PushFailed(
            f"{repository}:{tag} is a {kind}, which Lambda refuses: it needs the manifest of one image. Delete the tag "
            "from the repository, and build without attestations (--provenance=false --sbom=false)."
        )
    return str(image["imageDigest"])


def log_in(ecr: Any, host: str) -> None:
    """Let docker push to the registry, for the twelve hours that ECR's token is valid.

    Raises:
        PushFailed: docker or the registry refused.
    """
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, password = base64.b64decode(token).decode().split(":", 1)
    try:
        run(["docker", "login", "--username", user, "--password-stdin", host], input=password)
    except PushFailed as error:
        # The registry has taken the password, but docker's credential helper stores none: it asks ECR itself
        # at each push (amazon-ecr-credential-helper, issue 102).
        if not ("Error saving credentials" in str(error) and "not implemented" in str(error)):
            raise


def build(function: str, image: str, at: Revision, platform: str, target: str) -> None:
    """Build one image from the revision's own tree, so that nothing else gets in and file times are the commit's.

    Raises:
        PushFailed: docker failed.
    """
    command = ["docker", "buildx", "build", "--file", "docker/Dockerfile", "--target", target, "--platform", platform]
    command += ["--provenance=false", "--sbom=false", "--load", "--tag", image]
    arguments = {"REVISION": at.sha, "CREATED": at.created, "SOURCE": at.source, "SOURCE_DATE_EPOCH": at.epoch}
    if base := os.environ.get("BASE_IMAGE"):
        arguments["BASE_IMAGE"] = base
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    if bundle := os.environ.get("SMELT_CA_BUNDLE"):
        command += ["--secret", f"id=ca_bundle,src={bundle}"]
    with subprocess.Popen(["git", "archive", at.sha], cwd=ROOT, stdout=subprocess.PIPE) as archive:
        built = subprocess.run([*command, "-"], cwd=ROOT, stdin=archive.stdout)
    if built.returncode or archive.returncode:
        raise PushFailed(f"the image of {function} could not be built; docker's output is above.")


def push(function: str, image: str) -> None:
    """Push one image.

    Raises:
        PushFailed: docker failed.
    """
    if subprocess.run(["docker", "push", "--quiet", image], cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
        raise PushFailed(f"the image of {function} could not be pushed; docker's output is above.")


def write_images(environment: str, images: Mapping[str, str]) -> Path:
    """Write images.auto.tfvars.json into the environment, completely or not at all. Returns its path."""
    path = ROOT / TERRAFORM / "envs" / environment / "images.auto.tfvars.json"
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"images": dict(images)}, indent=2) + "\n")
    draft.replace(path)
    return path
