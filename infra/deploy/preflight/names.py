"""What would stop a Terraform plan, asked of the account before anything is created.

Terraform learns that a name is taken only when it creates the resource, after half of the others exist. It never looks
at the queues and the topic that it is told to use. This reads the plan (`terraform show -json`), looks all of them up,
and says what to do. It changes nothing and prints nothing.
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
    "InvalidAddress",  # the URL is not of a queue in this region
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
    """What a finding means."""

    PROBLEM = "problem"  # the apply would fail, or no row would arrive
    WARNING = "warning"  # it works, until something goes wrong
    UNCHECKED = "not checked"  # no permission to look


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one resource or variable of the plan. `advice` is what to do about it."""

    level: Level
    address: str
    what: str
    advice: str


def preflight(plan: Mapping[str, Any], clients: Clients) -> list[Finding]:
    """Check every name that may be taken, every image, and what the plan uses but does not create.

    Args:
        plan: the JSON that `terraform show -json` gives for a plan.

    Raises:
        ClientError, BotoCoreError: AWS gave no answer, for example without credentials.
    """
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
    """How a kind of resource is looked up by its name. `find` gives the id for `terraform import`; None: absent."""

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
                "bucket names are unique in all of AWS: set bronze_bucket_name or silver_bucket_name to another name"
            )
            yield Finding(Level.PROBLEM, address, f"the bucket {name} belongs to another account", advice)
            return
        if code not in _DENIED:
            raise
        advice = f"if a {look_up.kind} with this name exists, the apply will fail"
        yield Finding(Level.UNCHECKED, address, f"no permission to look up {look_up.kind} {name}", advice)
        return
    if found is None:
        return
    advice = f"choose another project or name, delete it, or import it: terraform import '{address}' '{found}'"
    if look_up.kind == "queue":
        advice += "; or use it as it is: set existing_queue_url and existing_queue_arn"
    yield Finding(Level.PROBLEM, address, f"the {look_up.kind} {name} already exists", advice)


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
        code = error.response["Error"]["Code"]
        if code in _DENIED:
            advice = "if the image does not exist, the apply will fail"
            yield Finding(Level.UNCHECKED, address, f"no permission to look up {uri}", advice)
            return
        if code not in _ABSENT:
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
            yield _not_found(error, variable, f"the queue {url}", "scripts/create_sqs_queue.py creates queues")
            continue
        if found["QueueArn"] != _value(plan, arn):
            what = f"{variable} is the queue {found['QueueArn']}, but {arn} is another one: {_value(plan, arn)}"
            advice = "ingest sends to the URL and transform reads from the ARN: give both of the same queue"
            yield Finding(Level.PROBLEM, arn, what, advice)
        key = found.get("KmsMasterKeyId", _KEY_FOR_ALL)
        if key != _KEY_FOR_ALL:
            what = f"{url} is encrypted with the key {key}, and it is not known whether the functions may use that key"
            advice = "allow kms:GenerateDataKey and kms:Decrypt to both roles in the key's policy, or use SSE-SQS"
            yield Finding(Level.UNCHECKED, variable, what, advice)
        if queue == "queue":
            yield from _work_queue(plan, variable, found)


def _work_queue(plan: Mapping[str, Any], variable: str, found: Mapping[str, str]) -> Iterator[Finding]:
    """What the queue of units needs, given the function that reads from it."""
    functions = [one["change"]["after"] for one in plan["resource_changes"] if one["type"] == "aws_lambda_function"]
    timeout = max(
        (one["timeout"] for one in functions if one and one["function_name"].endswith("-transform")), default=0
    )
    visibility = int(found["VisibilityTimeout"])
    advice = f"set it with scripts/create_sqs_queue.py --visibility-timeout {6 * timeout}"
    if visibility < timeout:
        what = f"its visibility timeout ({visibility} s) is below transform's timeout ({timeout} s): Lambda refuses it"
        yield Finding(Level.PROBLEM, variable, what, advice)
    elif visibility < 6 * timeout:
        what = f"its visibility timeout ({visibility} s) is below six times transform's timeout ({timeout} s)"
        yield Finding(Level.WARNING, variable, what, f"a throttled unit may become a dead letter: {advice}")
    if "RedrivePolicy" not in found:
        what = "it has no dead-letter queue: a unit that always fails is delivered again until it expires"
        yield Finding(Level.WARNING, variable, what, "add one with scripts/ensure_dlq_for_queue.py")


def _existing_topic(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    variable = "alarm_notification_topic_arn"
    topic = _value(plan, variable)
    if not (topic and _value(plan, "observability_enabled")):
        return
    try:
        found = clients("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    except ClientError as error:
        yield _not_found(error, variable, f"the topic {topic}", "leave the variable empty and a topic is created")
        return
    if found.get("KmsMasterKeyId") == "alias/aws/sns":
        what = f"{topic} is encrypted with AWS's own key, which CloudWatch may not use: no alarm would arrive"
        yield Finding(Level.PROBLEM, variable, what, "use your own key and allow CloudWatch to use it, or no key")


def _not_found(error: ClientError, variable: str, thing: str, advice: str) -> Finding:
    """The finding for an error that means absent or not permitted. Any other error is raised again."""
    code = error.response["Error"]["Code"]
    if code in _DENIED:
        advice = "if it does not exist, the pipeline will not work"
        return Finding(Level.UNCHECKED, variable, f"no permission to look up {thing}", advice)
    if code not in _ABSENT:
        raise error
    return Finding(Level.PROBLEM, variable, f"{thing} does not exist in this region", advice)
