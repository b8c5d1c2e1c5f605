"""What a Terraform plan would run into, asked of the account before anything is created.

Terraform learns that a name is taken only when it creates the resource, with half of the others there already; and it
never looks at the queues and the topic that it is told to use. This reads the plan (`terraform show -json`), looks all
of them up, and says what to do. It changes nothing.
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
    "InvalidAddress",  # a queue's URL that is none in this region
    "NoSuchBucket",
    "NoSuchEntity",
    "NotFound",
    "QueueDoesNotExist",
    "RepositoryNotFoundException",
    "ResourceNotFoundException",
}
_KEY_FOR_ALL = "alias/aws/sqs"  # AWS's own key, which every role of the account may use through SQS
_BUILT_FOR = re.compile(r"-(x86_64|arm64)(?:-emulated)?$")
_IMAGE = re.compile(r"[^/]+/(?P<repository>[^@]+)@(?P<digest>sha256:[0-9a-f]{64})")


class Level(StrEnum):
    PROBLEM = "problem"  # the apply would fail, or no row would arrive
    WARNING = "warning"  # it works, until something goes wrong
    UNCHECKED = "not checked"  # nobody may look


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one resource or variable of the plan. `advice` is what to do about it."""

    level: Level
    address: str
    what: str
    advice: str


def preflight(plan: Mapping[str, Any], clients: Clients) -> list[Finding]:
    """Check every name that somebody may have taken, every image, and what the plan uses but does not create.

    Args:
        plan: the JSON that `terraform show -json` gives for a plan.

    Raises:
        ValueError: this is no such JSON.
        ClientError, BotoCoreError: AWS answered neither yes nor no, such as without credentials.
    """
    if "resource_changes" not in plan:
        raise ValueError("this is no plan of Terraform's: `terraform show -json <plan file>` writes one")
    of_changes = [finding for change in plan["resource_changes"] for finding in _check(change, clients)]
    return [*of_changes, *_existing_queues(plan, clients), *_existing_topic(plan, clients)]


def _check(change: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    actions, after = change["change"]["actions"], change["change"].get("after") or {}
    looked_up = _LOOK_UPS.get(change["type"])
    if looked_up and actions == ["create"]:
        name = after.get(looked_up.attribute)
        if name:
            yield from _taken(change["address"], looked_up, name, clients)
    if change["type"] == "aws_lambda_function" and {"create", "update"} & set(actions) and after.get("image_uri"):
        yield from _image(change["address"], after["image_uri"], after.get("architectures") or [], clients)


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


def _image(address: str, uri: str, architectures: list[str], clients: Clients) -> Iterator[Finding]:
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
    # As scripts/push_images.py tags it; Lambda notices only when it starts the function.
    tags = [tag for image in images for tag in image.get("imageTags", [])]
    built_for = {found[1] for tag in tags if (found := _BUILT_FOR.search(tag))}
    if built_for and architectures and not built_for & set(architectures):
        what = f"the image {uri} was built for {' and '.join(sorted(built_for))}, the function is {architectures[0]}"
        advice = f'make push-images PUSH_OPTIONS="--architecture {architectures[0]}", or set architecture'
        yield Finding(Level.PROBLEM, address, what, advice)


def _value(plan: Mapping[str, Any], variable: str) -> Any:
    return plan.get("variables", {}).get(variable, {}).get("value")


def _existing_queues(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    for queue in ("queue", "dlq", "ingest_failures_queue"):
        variable, arn = f"existing_{queue}_url", f"existing_{queue}_arn"
        url = _value(plan, variable)
        if not url:
            continue
        try:
            found = clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        except ClientError as error:
            yield _not_found(error, variable, f"the queue {url}", "scripts/create_sqs_queue.py makes queues")
            continue
        if found["QueueArn"] != _value(plan, arn):
            what = f"{variable} is the queue {found['QueueArn']}, {arn} another one: {_value(plan, arn)}"
            advice = "ingest sends to the URL, transform reads from the ARN: name the same queue"
            yield Finding(Level.PROBLEM, arn, what, advice)
        key = found.get("KmsMasterKeyId", _KEY_FOR_ALL)
        if key != _KEY_FOR_ALL:
            what = f"{url} is encrypted with the key {key}; whether the functions may use it is not known"
            advice = "the key's policy must allow both roles kms:GenerateDataKey and kms:Decrypt; or use SSE-SQS"
            yield Finding(Level.UNCHECKED, variable, what, advice)
        if queue == "queue":
            yield from _work_queue(plan, variable, found)


def _work_queue(plan: Mapping[str, Any], variable: str, found: Mapping[str, str]) -> Iterator[Finding]:
    """What the queue of units must be like beside the function that it feeds."""
    functions = [one["change"]["after"] for one in plan["resource_changes"] if one["type"] == "aws_lambda_function"]
    timeout = max(
        (one["timeout"] for one in functions if one and one["function_name"].endswith("-transform")), default=0
    )
    visibility = int(found["VisibilityTimeout"])
    advice = f"scripts/create_sqs_queue.py --visibility-timeout {6 * timeout} sets it"
    if visibility < timeout:
        what = f"its visibility timeout ({visibility} s) is below transform's timeout ({timeout} s): Lambda refuses it"
        yield Finding(Level.PROBLEM, variable, what, advice)
    elif visibility < 6 * timeout:
        what = f"its visibility timeout ({visibility} s) is below six times transform's timeout ({timeout} s)"
        yield Finding(Level.WARNING, variable, what, f"a throttled unit may become a dead letter. {advice}")
    if "RedrivePolicy" not in found:
        what = "it has no dead-letter queue: a unit that always fails comes again until it expires"
        yield Finding(Level.WARNING, variable, what, "scripts/ensure_dlq_for_queue.py gives it one")


def _existing_topic(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    variable = "alarm_notification_topic_arn"
    topic = _value(plan, variable)
    if not (topic and _value(plan, "observability_enabled")):
        return
    try:
        found = clients("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    except ClientError as error:
        yield _not_found(error, variable, f"the topic {topic}", "leave it empty and one is created")
        return
    if found.get("KmsMasterKeyId") == "alias/aws/sns":
        what = f"{topic} is encrypted with AWS's own key, which CloudWatch may not use: alarms would reach nobody"
        yield Finding(Level.PROBLEM, variable, what, "use a key of yours that allows CloudWatch, or none")


def _not_found(error: ClientError, variable: str, thing: str, advice: str) -> Finding:
    """What it means that something was not found. Raises the error if it does not mean that."""
    code = error.response["Error"]["Code"]
    if code in _DENIED:
        advice = "if it is not there, the pipeline will not work"
        return Finding(Level.UNCHECKED, variable, f"no permission to look up {thing}", advice)
    if code not in _ABSENT:
        raise error
    return Finding(Level.PROBLEM, variable, f"{thing} does not exist in this region", advice)
