"""What a Terraform plan would run into, asked of the account before anything is created.

Terraform learns that a name is taken only when it creates the resource, with half of the others there already. This
reads the plan (`terraform show -json`), looks every name up, and says what to do. It changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

Clients = Callable[[str], Any]  # an AWS service's name -> its client

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_ABSENT = {
    "404",
    "AWS.SimpleQueueService.NonExistentQueue",
    "ImageNotFoundException",
    "NoSuchBucket",
    "NoSuchEntity",
    "QueueDoesNotExist",
    "RepositoryNotFoundException",
    "ResourceNotFoundException",
}
_IMAGE = re.compile(r"[^/]+/(?P<repository>[^@]+)@(?P<digest>sha256:[0-9a-f]{64})")


class Level(StrEnum):
    PROBLEM = "problem"  # the apply would fail
    UNCHECKED = "not checked"  # nobody may look


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one resource of the plan. `advice` is what to do about it."""

    level: Level
    address: str
    what: str
    advice: str


def preflight(plan: Mapping[str, Any], clients: Clients) -> list[Finding]:
    """Check every resource of the plan whose name somebody may have taken, and every image.

    Args:
        plan: the JSON that `terraform show -json` gives for a plan.

    Raises:
        ValueError: this is no such JSON.
        ClientError, BotoCoreError: AWS answered neither yes nor no, such as without credentials.
    """
    if "resource_changes" not in plan:
        raise ValueError("this is no plan of Terraform's: `terraform show -json <plan file>` writes one")
    return [finding for change in plan["resource_changes"] for finding in _check(change, clients)]


def _check(change: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    actions, after = change["change"]["actions"], change["change"].get("after") or {}
    looked_up = _LOOK_UPS.get(change["type"])
    if looked_up and actions == ["create"]:
        name = after.get(looked_up.attribute)
        if name:
            yield from _taken(change["address"], looked_up, name, clients)
    if change["type"] == "aws_lambda_function" and {"create", "update"} & set(actions) and after.get("image_uri"):
        yield from _image(change["address"], after["image_uri"], clients)


@dataclass(frozen=True, slots=True)
class _LookUp:
    """How a kind of resource is looked up by its name. `find` gives the id to import it by; None: not there."""

    kind: str
    attribute: str
    find: Callable[[Clients, str], str | None]


def _bucket(clients: Clients, name: str) -> str | None:
    clients("s3").head_bucket(Bucket=name)
    return name


def _queue(clients: Clients, name: str) -> str | None:
    return str(clients("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def _table(clients: Clients, name: str) -> str | None:
    clients("dynamodb").describe_table(TableName=name)
    return name


def _function(clients: Clients, name: str) -> str | None:
    clients("lambda").get_function_configuration(FunctionName=name)
    return name


def _role(clients: Clients, name: str) -> str | None:
    clients("iam").get_role(RoleName=name)
    return name


def _log_group(clients: Clients, name: str) -> str | None:
    found = clients("logs").describe_log_groups(logGroupNamePrefix=name, limit=50)["logGroups"]
    return name if any(group["logGroupName"] == name for group in found) else None


_LOOK_UPS = {
    "aws_s3_bucket": _LookUp("bucket", "bucket", _bucket),
    "aws_sqs_queue": _LookUp("queue", "name", _queue),
    "aws_dynamodb_table": _LookUp("table", "name", _table),
    "aws_lambda_function": _LookUp("function", "function_name", _function),
    "aws_iam_role": _LookUp("role", "name", _role),
    "aws_cloudwatch_log_group": _LookUp("log group", "name", _log_group),
}


def _taken(address: str, look_up: _LookUp, name: str, clients: Clients) -> Iterator[Finding]:
    try:
        found = look_up.find(clients, name)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _ABSENT:
            return
        if look_up.kind == "bucket" and code in {"403", "301", "Forbidden"}:
            advice = (
                "bucket names are unique in all of AWS: set bronze_bucket_name or silver_bucket_name to another one"
            )
            yield Finding(Level.PROBLEM, address, f"the bucket {name} is taken by somebody else", advice)
            return
        if code not in _DENIED:
            raise
        advice = f"if a {look_up.kind} of this name exists, the apply will fail at it"
        yield Finding(Level.UNCHECKED, address, f"no permission to look up {look_up.kind} {name}", advice)
        return
    if found is None:
        return
    advice = f"choose another project or name, delete it, or adopt it: terraform import '{address}' '{found}'"
    if look_up.kind == "queue":
        advice += "; or let Terraform leave it alone: existing_queue_url and existing_queue_arn"
    yield Finding(Level.PROBLEM, address, f"the {look_up.kind} {name} exists already", advice)


def _image(address: str, uri: str, clients: Clients) -> Iterator[Finding]:
    parts = _IMAGE.fullmatch(uri)
    if not parts:
        yield Finding(Level.PROBLEM, address, f"{uri} names no digest", "`make push-images` writes images by digest")
        return
    try:
        images = clients("ecr").describe_images(
            repositoryName=parts["repository"], imageIds=[{"imageDigest": parts["digest"]}]
        )["imageDetails"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _DENIED:
            advice = "if the image is not there, the apply will fail at it"
            yield Finding(Level.UNCHECKED, address, f"no permission to look up {uri}", advice)
            return
        if code not in _ABSENT:
            raise
        images = []
    if not images:
        advice = "`make push-images` builds and pushes it, in the region that the function is in"
        yield Finding(Level.PROBLEM, address, f"the image {uri} is not in the registry", advice)
