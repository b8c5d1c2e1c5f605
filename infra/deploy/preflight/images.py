"""Images that are not there, that were built for another processor, or that are older than those that run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.preflight.findings import ABSENT, DENIED, Clients, Finding, Level, code_of

_BUILT_FOR = re.compile(r"-(x86_64|arm64)(?:-emulated)?$")
_IMAGE = re.compile(r"[^/]+/(?P<repository>[^@]+)@(?P<digest>sha256:[0-9a-f]{64})")


def images(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """The images of functions that the plan creates or changes."""
    for change in plan["resource_changes"]:
        after = change["change"].get("after") or {}
        acts = {"create", "update"} & set(change["change"]["actions"])
        if change["type"] == "aws_lambda_function" and acts and after.get("image_uri"):
            yield from _image(change["address"], after["image_uri"], after.get("architectures") or [], clients)
            running = (change["change"].get("before") or {}).get("image_uri")
            if running and running != after["image_uri"]:
                yield from _older(change["address"], after["image_uri"], running, clients)


def _image(address: str, uri: str, architectures: list[str], clients: Clients) -> Iterator[Finding]:
    parts = _IMAGE.fullmatch(uri)
    if not parts:
        yield Finding(
            Level.PROBLEM,
            address,
            f"the image {uri} has no digest",
            "run `make push-images`: it writes images by digest",
        )
        return
    try:
        images = clients("ecr").describe_images(
            repositoryName=parts["repository"], imageIds=[{"imageDigest": parts["digest"]}]
        )["imageDetails"]
    except ClientError as error:
        code = code_of(error)
        if code in DENIED:
            advice = "if the image does not exist, the apply will fail"
            yield Finding(Level.UNCHECKED, address, f"no permission to look up {uri}", advice)
            return
        if code not in ABSENT:
            raise
        images = []
    if not images:
        advice = "run `make push-images`: it builds and pushes the image, in the function's region"
        yield Finding(Level.PROBLEM, address, f"the image {uri} is not in the registry", advice)
    # From the tag that infra/deploy/images.py writes. Lambda notices a mismatch only when it starts the function.
    tags = [tag for image in images for tag in image.get("imageTags", [])]
    built_for = {found[1] for tag in tags if (found := _BUILT_FOR.search(tag))}
    if built_for and architectures and not built_for & set(architectures):
        what = (
            f"the image {uri} was built for {' and '.join(sorted(built_for))}, but the function is {architectures[0]}"
        )
        advice = f'run make push-images PUSH_OPTIONS="--architecture {architectures[0]}", or set architecture'
        yield Finding(Level.PROBLEM, address, what, advice)


def _older(address: str, uri: str, running: str, clients: Clients) -> Iterator[Finding]:
    """A step back: images.auto.tfvars.json is in no commit, and a checkout keeps that of its last push."""
    planned, now = _pushed_at(uri, clients), _pushed_at(running, clients)
    if planned and now and planned < now:
        then = "%Y-%m-%d %H:%M"
        what = f"the image of {planned:{then}} would take the place of one that was pushed later, {now:{then}}"
        advice = (
            "images.auto.tfvars.json may be old here: run `make push-images`, plan again. To go back on purpose: apply"
        )
        yield Finding(Level.WARNING, address, what, advice)


def _pushed_at(uri: str, clients: Clients) -> datetime | None:
    """When an image was pushed; None where the registry does not say."""
    parts = _IMAGE.fullmatch(uri)
    if not parts:
        return None
    try:
        found = clients("ecr").describe_images(
            repositoryName=parts["repository"], imageIds=[{"imageDigest": parts["digest"]}]
        )["imageDetails"]
    except ClientError as error:
        if code_of(error) in DENIED | ABSENT:
            return None
        raise
    return max((image["imagePushedAt"] for image in found if "imagePushedAt" in image), default=None)
