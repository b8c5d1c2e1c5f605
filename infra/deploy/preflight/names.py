"""Names that are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.preflight.findings import ABSENT, DENIED, Clients, Finding, Level, code_of

_OVERWRITTEN = "AWS would overwrite it"


def taken_names(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """What the plan creates under a name that something in the account has already."""
    for change in plan["resource_changes"]:
        looked_up = _LOOK_UPS.get(change["type"])
        if looked_up and change["change"]["actions"] == ["create"]:
            name = (change["change"].get("after") or {}).get(looked_up.attribute)
            if name:
                yield from _taken(change["address"], looked_up, name, clients)


@dataclass(frozen=True, slots=True)
class _LookUp:
    """How a kind of resource is looked up by its name. `find` gives the id for `terraform import`; None: absent."""

    kind: str
    attribute: str
    find: Callable[[Clients, str], str | None]
    otherwise: str = ""  # what AWS does instead of refusing the name


def _by_name(service: str, operation: str, argument: str) -> Callable[[Clients, str], str]:
    """A look-up by one operation that takes the name, and fails where there is none of it; the id is the name."""

    def find(clients: Clients, name: str) -> str:
        getattr(clients(service), operation)(**{argument: name})
        return name

    return find


def _queue(clients: Clients, name: str) -> str | None:
    return str(clients("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def _log_group(clients: Clients, name: str) -> str | None:
    found = clients("logs").describe_log_groups(logGroupNamePrefix=name, limit=50)["logGroups"]
    return name if any(group["logGroupName"] == name for group in found) else None


def _alarm(clients: Clients, name: str) -> str | None:
    return name if clients("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"] else None


def _topic(clients: Clients, name: str) -> str | None:
    sns = clients("sns")
    arn = _arn(clients, "sns", sns.meta.region_name, name)
    sns.get_topic_attributes(TopicArn=arn)
    return arn


def _policy(clients: Clients, name: str) -> str | None:
    arn = _arn(clients, "iam", "", f"policy/{name}")
    clients("iam").get_policy(PolicyArn=arn)
    return arn


def _state_machine(clients: Clients, name: str) -> str | None:
    states = clients("stepfunctions")
    arn = _arn(clients, "states", states.meta.region_name, f"stateMachine:{name}")
    states.describe_state_machine(stateMachineArn=arn)
    return arn


def _database(clients: Clients, name: str) -> str | None:
    found = clients("glue").get_database(Name=name)["Database"]
    return f"{found['CatalogId']}:{name}" if "CatalogId" in found else name


def _workgroup(clients: Clients, name: str) -> str | None:
    try:
        clients("athena").get_work_group(WorkGroup=name)
    except ClientError as error:
        # Athena has one code for whatever is wrong with a request; only its words say that there is none.
        if code_of(error) == "InvalidRequestException" and "not found" in str(error):
            return None
        raise
    return name


def _arn(clients: Clients, service: str, region: str, name: str) -> str:
    caller = clients("sts").get_caller_identity()
    return f"arn:{caller['Arn'].split(':')[1]}:{service}:{region}:{caller['Account']}:{name}"


_LOOK_UPS = {
    "aws_s3_bucket": _LookUp("bucket", "bucket", _by_name("s3", "head_bucket", "Bucket")),
    "aws_sqs_queue": _LookUp("queue", "name", _queue),
    "aws_dynamodb_table": _LookUp("table", "name", _by_name("dynamodb", "describe_table", "TableName")),
    "aws_lambda_function": _LookUp(
        "function", "function_name", _by_name("lambda", "get_function_configuration", "FunctionName")
    ),
    "aws_iam_role": _LookUp("role", "name", _by_name("iam", "get_role", "RoleName")),
    "aws_iam_policy": _LookUp("policy", "name", _policy),
    "aws_sfn_state_machine": _LookUp("state machine", "name", _state_machine),
    "aws_scheduler_schedule_group": _LookUp(
        "schedule group", "name", _by_name("scheduler", "get_schedule_group", "Name")
    ),
    "aws_glue_catalog_database": _LookUp("Glue database", "name", _database),
    "aws_glue_job": _LookUp("Glue job", "name", _by_name("glue", "get_job", "JobName")),
    "aws_glue_crawler": _LookUp("crawler", "name", _by_name("glue", "get_crawler", "Name")),
    "aws_glue_security_configuration": _LookUp(
        "Glue security configuration", "name", _by_name("glue", "get_security_configuration", "Name")
    ),
    "aws_athena_workgroup": _LookUp("workgroup", "name", _workgroup),
    "aws_cloudwatch_log_group": _LookUp("log group", "name", _log_group),
    "aws_cloudwatch_metric_alarm": _LookUp("alarm", "alarm_name", _alarm, _OVERWRITTEN),
    "aws_cloudwatch_dashboard": _LookUp(
        "dashboard", "dashboard_name", _by_name("cloudwatch", "get_dashboard", "DashboardName"), _OVERWRITTEN
    ),
    "aws_cloudwatch_event_rule": _LookUp("rule", "name", _by_name("events", "describe_rule", "Name"), _OVERWRITTEN),
    "aws_sns_topic": _LookUp("topic", "name", _topic, "Terraform would take it over, and delete it one day"),
}


_OF_ALL_REGIONS = {"role", "policy"}  # IAM has none: two environments of an account need two projects, or prefixes


def _taken(address: str, look_up: _LookUp, name: str, clients: Clients) -> Iterator[Finding]:
    try:
        found = look_up.find(clients, name)
    except ClientError as error:
        code = code_of(error)
        if code in ABSENT:
            return
        if look_up.kind == "bucket" and code in {"403", "301", "Forbidden"}:
            advice = (
                "bucket names are unique in all of AWS: set bronze_bucket_name or silver_bucket_name to another name"
            )
            yield Finding(Level.PROBLEM, address, f"the bucket {name} belongs to another account", advice)
            return
        if code not in DENIED:
            raise
        advice = f"if a {look_up.kind} with this name exists, {look_up.otherwise or 'the apply will fail'}"
        yield Finding(Level.UNCHECKED, address, f"no permission to look up {look_up.kind} {name}", advice)
        return
    if found is None:
        return
    advice = f"choose another project or name, delete it, or import it: terraform import '{address}' '{found}'"
    if look_up.kind in _OF_ALL_REGIONS:
        advice = (
            "it may be that of the same project in another region, which would stop if it were changed: "
            f"set iam_name_prefix; or {advice}"
        )
    if look_up.kind == "queue":
        advice += "; or use it as it is: set existing_queue_url and existing_queue_arn"
    what = f"the {look_up.kind} {name} already exists" + (f": {look_up.otherwise}" if look_up.otherwise else "")
    yield Finding(Level.PROBLEM, address, what, advice)
