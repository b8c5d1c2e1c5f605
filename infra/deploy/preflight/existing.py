"""Queues and a topic that exist already, which the plan is told to use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.preflight.findings import Clients, Finding, Level, not_found, value_of

_KEY_FOR_ALL = "alias/aws/sqs"  # AWS's own key, which every role of the account may use through SQS


def existing_queues(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """The queues that the plan is told to use."""
    for queue in ("queue", "dlq", "ingest_failures_queue"):
        variable, arn = f"existing_{queue}_url", f"existing_{queue}_arn"
        url = value_of(plan, variable)
        if not url:
            continue
        try:
            found = clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        except ClientError as error:
            yield not_found(error, variable, f"the queue {url}", "scripts/create_sqs_queue.py creates queues")
            continue
        if found["QueueArn"] != value_of(plan, arn):
            what = f"{variable} is the queue {found['QueueArn']}, but {arn} is another one: {value_of(plan, arn)}"
            advice = "ingest sends to the URL and transform reads from the ARN: give both of the same queue"
            yield Finding(Level.PROBLEM, arn, what, advice)
        key = found.get("KmsMasterKeyId", _KEY_FOR_ALL)
        if key != _KEY_FOR_ALL:
            what = f"{url} is encrypted with the key {key}, and it is not known whether the functions may use that key"
            advice = "allow kms:GenerateDataKey and kms:Decrypt to both roles in the key's policy, or use SSE-SQS"
            yield Finding(Level.UNCHECKED, variable, what, advice)
        if queue == "queue":
            yield from _work_queue(plan, variable, found)
        if queue == "ingest_failures_queue" and value_of(plan, "create_bronze_bucket") is False:
            yield from _undelivered_events(variable, url, found)


def _work_queue(plan: Mapping[str, Any], variable: str, found: Mapping[str, str]) -> Iterator[Finding]:
    """What the queue of units needs, given the function that reads from it."""
    functions = [one["change"]["after"] for one in plan["resource_changes"] if one["type"] == "aws_lambda_function"]
    timeout = max(
        (one["timeout"] for one in functions if one and one["function_name"].endswith("-transform")), default=0
    )
    sources = [
        one["change"]["after"] for one in plan["resource_changes"] if one["type"] == "aws_lambda_event_source_mapping"
    ]
    window = max((one.get("maximum_batching_window_in_seconds") or 0 for one in sources if one), default=0)
    visibility, wanted = int(found["VisibilityTimeout"]), 6 * timeout + window
    advice = f"set it with scripts/create_sqs_queue.py --visibility-timeout {wanted}"
    if visibility < timeout:
        what = f"its visibility timeout ({visibility} s) is below transform's timeout ({timeout} s): Lambda refuses it"
        yield Finding(Level.PROBLEM, variable, what, advice)
    elif visibility < wanted:
        what = (
            f"its visibility timeout ({visibility} s) is below {wanted} s: six times transform's timeout "
            f"({timeout} s), and the batching window ({window} s)"
        )
        yield Finding(Level.WARNING, variable, what, f"a throttled unit may become a dead letter: {advice}")
    if "RedrivePolicy" not in found:
        what = "it has no dead-letter queue: a unit that always fails is delivered again until it expires"
        yield Finding(Level.WARNING, variable, what, "add one with scripts/ensure_dlq_for_queue.py")


def _undelivered_events(variable: str, url: str, found: Mapping[str, str]) -> Iterator[Finding]:
    """What the queue of failed events needs where EventBridge announces objects: it drops what it can put nowhere."""
    if "events.amazonaws.com" not in found.get("Policy", ""):
        what = f"the policy of {url} does not let EventBridge send: events that it cannot deliver would be lost"
        yield Finding(Level.WARNING, variable, what, "after the apply, set what the output queue_policies gives for it")
    if found.get("KmsMasterKeyId") == _KEY_FOR_ALL:
        what = f"{url} is encrypted with AWS's own key, which EventBridge may not use: it could not keep events there"
        yield Finding(Level.WARNING, variable, what, "use SSE-SQS, or a key of yours that allows events.amazonaws.com")


def existing_topic(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """The topic that alarms are to go to."""
    variable = "alarm_notification_topic_arn"
    topic = value_of(plan, variable)
    if not (topic and value_of(plan, "observability_enabled")):
        return
    try:
        found = clients("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    except ClientError as error:
        yield not_found(error, variable, f"the topic {topic}", "leave the variable empty and a topic is created")
        return
    if found.get("KmsMasterKeyId") == "alias/aws/sns":
        what = f"{topic} is encrypted with AWS's own key, which CloudWatch may not use: no alarm would arrive"
        yield Finding(Level.PROBLEM, variable, what, "use your own key and allow CloudWatch to use it, or no key")
