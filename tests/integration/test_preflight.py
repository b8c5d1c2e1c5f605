"""Before anything is created, a plan's names and images are checked against the account. Nothing there is changed."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.deploy.preflight import Finding, Level, preflight
from local.stack import CREDENTIALS, REGION, Clients
from services.shared.aws import aws_client
from tests.support.terraform import IMAGES
from tests.support.terraform import plan as terraform_plan

NAME = "taken"
IMAGE = f"localhost/smelt/ingest@sha256:{'a' * 64}"


@pytest.fixture
def client(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}).items():
        monkeypatch.setenv(name, value)
    return partial(aws_client, region=REGION)


def plan(kind: str, after: dict[str, Any], *actions: str) -> dict[str, Any]:
    """The parts of a plan that are read."""
    change = {"actions": list(actions or ["create"]), "before": after if "delete" in actions else None, "after": after}
    return {"resource_changes": [{"address": f"module.x.{kind}.this", "type": kind, "change": change}]}


def refusing(code: str) -> Callable[[str], Any]:
    """Clients whose every call ends in an error."""

    class Refusing:
        def __getattr__(self, operation: str) -> Any:
            def call(**_: Any) -> Any:
                raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)

            return call

    return lambda _: Refusing()


@pytest.fixture
def taken(clients: Clients, client: Callable[[str], Any]) -> None:
    """One resource of every kind, under one name."""
    clients.s3.create_bucket(Bucket=NAME)
    clients.sqs.create_queue(QueueName=NAME)
    key: Any = {"AttributeName": "pk", "AttributeType": "S"}
    tables = clients.dynamodb.get_paginator("list_tables").paginate().search("TableNames[]")
    if NAME not in set(tables):
        clients.dynamodb.create_table(
            TableName=NAME,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[key],
            BillingMode="PAY_PER_REQUEST",
        )
        client("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument="{}")
        client("logs").create_log_group(logGroupName=f"/aws/lambda/{NAME}")
        client("cloudwatch").put_metric_alarm(
            AlarmName=NAME, EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", Threshold=1
        )
        client("cloudwatch").put_dashboard(DashboardName=NAME, DashboardBody='{"widgets": []}')
        client("events").put_rule(Name=NAME, EventPattern='{"source": ["aws.s3"]}')
        client("sns").create_topic(Name=NAME)
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
        client("iam").create_policy(PolicyName=NAME, PolicyDocument=json.dumps(policy))
        client("scheduler").create_schedule_group(Name=NAME)
        passes = '{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}'
        role = "arn:aws:iam::000000000000:role/taken"
        client("stepfunctions").create_state_machine(name=NAME, definition=passes, roleArn=role)
        glue = client("glue")
        glue.create_database(DatabaseInput={"Name": NAME})
        glue.create_job(Name=NAME, Role=role, Command={"Name": "glueetl", "ScriptLocation": f"s3://{NAME}/job.py"})
        glue.create_crawler(Name=NAME, Role=role, Targets={"S3Targets": [{"Path": f"s3://{NAME}/"}]})
        glue.create_security_configuration(Name=NAME, EncryptionConfiguration={})
        client("athena").create_work_group(Name=NAME)


KINDS = [
    ("aws_s3_bucket", "bucket", NAME),
    ("aws_sqs_queue", "name", NAME),
    ("aws_dynamodb_table", "name", NAME),
    ("aws_iam_role", "name", NAME),
    ("aws_cloudwatch_log_group", "name", f"/aws/lambda/{NAME}"),
    ("aws_cloudwatch_metric_alarm", "alarm_name", NAME),
    ("aws_cloudwatch_dashboard", "dashboard_name", NAME),
    ("aws_cloudwatch_event_rule", "name", NAME),
    ("aws_sns_topic", "name", NAME),
    ("aws_iam_policy", "name", NAME),
    ("aws_sfn_state_machine", "name", NAME),
    ("aws_scheduler_schedule_group", "name", NAME),
    ("aws_glue_catalog_database", "name", NAME),
    ("aws_glue_job", "name", NAME),
    ("aws_glue_crawler", "name", NAME),
    ("aws_glue_security_configuration", "name", NAME),
    ("aws_athena_workgroup", "name", NAME),
]


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize(("kind", "attribute", "name"), KINDS)
def test_a_name_that_is_taken_is_a_problem_and_says_how_to_import_it(
    client: Callable[[str], Any], kind: str, attribute: str, name: str
) -> None:
    (finding,) = preflight(plan(kind, {attribute: name}), client)
    assert finding.level is Level.PROBLEM
    assert f"{name} already exists" in finding.what
    assert f"terraform import 'module.x.{kind}.this'" in finding.advice
    assert ("the same project in another region" in finding.advice) == kind.startswith("aws_iam_")


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize(("kind", "attribute", "name"), KINDS)
def test_a_free_name_is_fine(client: Callable[[str], Any], kind: str, attribute: str, name: str) -> None:
    assert preflight(plan(kind, {attribute: name[:-1]}), client) == []  # the beginning of one that is taken


@pytest.mark.usefixtures("taken")
def test_what_aws_would_overwrite_or_terraform_take_over_is_named_as_such(client: Callable[[str], Any]) -> None:
    (alarm,) = preflight(plan("aws_cloudwatch_metric_alarm", {"alarm_name": NAME}), client)
    (topic,) = preflight(plan("aws_sns_topic", {"name": NAME}), client)
    assert "AWS would overwrite it" in alarm.what
    assert "Terraform would take it over" in topic.what
    assert f":{NAME}'" in topic.advice  # imported by its ARN


@pytest.mark.usefixtures("taken")
def test_what_terraform_already_manages_is_not_looked_up(client: Callable[[str], Any]) -> None:
    assert preflight(plan("aws_s3_bucket", {"bucket": NAME}, "update"), client) == []
    assert preflight(plan("aws_s3_bucket", {"bucket": NAME}, "delete", "create"), client) == []


def test_a_bucket_of_another_account_needs_another_name() -> None:
    (finding,) = preflight(plan("aws_s3_bucket", {"bucket": NAME}), refusing("403"))
    assert (finding.level, "belongs to another account" in finding.what) == (Level.PROBLEM, True)
    assert "bronze_bucket_name" in finding.advice


def test_without_permission_to_look_something_up_it_says_so_and_goes_on() -> None:
    by_name, by_quota = preflight(plan("aws_iam_role", {"name": NAME}), refusing("AccessDenied"))
    assert (by_name.level, by_quota.level) == (Level.UNCHECKED, Level.UNCHECKED)


@pytest.mark.parametrize(
    ("kind", "code"), [("aws_iam_role", "ExpiredToken"), ("aws_athena_workgroup", "InvalidRequestException")]
)
def test_any_other_error_is_raised(kind: str, code: str) -> None:
    with pytest.raises(ClientError):
        preflight(plan(kind, {"name": NAME}), refusing(code))


@pytest.mark.parametrize("action", ["create", "update"])
def test_an_image_that_is_not_in_the_registry_is_a_problem(client: Callable[[str], Any], action: str) -> None:
    findings = preflight(plan("aws_lambda_function", {"image_uri": IMAGE}, action), client)
    assert [(finding.level, "make push-images" in finding.advice) for finding in findings] == [(Level.PROBLEM, True)]


@pytest.mark.parametrize(
    ("tag", "problems"), [("0123-x86_64", 0), ("0123-arm64", 1), ("0123-arm64-emulated", 1), ("1", 0)]
)
def test_an_image_in_the_registry_is_fine_if_it_was_built_for_the_functions_processor(
    client: Callable[[str], Any], tag: str, problems: int
) -> None:
    ecr = client("ecr")
    repository = f"smelt/{uuid.uuid4().hex[:8]}"
    ecr.create_repository(repositoryName=repository)
    pushed = ecr.put_image(repositoryName=repository, imageManifest="{}", imageTag=tag)["image"]["imageId"]
    after = {"image_uri": f"localhost/{repository}@{pushed['imageDigest']}", "architectures": ["x86_64"]}
    found: list[Finding] = preflight(plan("aws_lambda_function", after), client)
    assert [(finding.level, "was built for arm64" in finding.what) for finding in found] == [
        (Level.PROBLEM, True)
    ] * problems


def using(clients: Clients, changes: dict[str, Any] | None = None, **attributes: str) -> dict[str, Any]:
    """A plan that uses an existing queue with these attributes."""
    url = clients.sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}", Attributes=dict(attributes))["QueueUrl"]
    arn = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    values = {"existing_queue_url": url, "existing_queue_arn": arn} | (changes or {})
    fed = {
        "function_name": f"arn:aws:lambda:{REGION}:000000000000:function:smelt-transform",
        "maximum_batching_window_in_seconds": 20,
    }
    parts = [
        plan("aws_lambda_function", {"function_name": "smelt-transform", "timeout": 300}),
        plan("aws_lambda_event_source_mapping", fed, "update"),
    ]
    return {
        "resource_changes": [change for part in parts for change in part["resource_changes"]],
        "variables": {name: {"value": value} for name, value in values.items()},
    }


REDRIVE = json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:000000000000:{NAME}", "maxReceiveCount": 5})


@pytest.mark.usefixtures("taken")
def test_an_existing_queue_with_the_right_settings_is_fine(clients: Clients, client: Callable[[str], Any]) -> None:
    assert preflight(using(clients, VisibilityTimeout="1820", RedrivePolicy=REDRIVE), client) == []


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize(
    ("visibility", "level"), [("299", Level.PROBLEM), ("300", Level.WARNING), ("1819", Level.WARNING)]
)
def test_a_visibility_timeout_that_is_too_short_is_reported_before_lambda_refuses_it(
    clients: Clients, client: Callable[[str], Any], visibility: str, level: Level
) -> None:
    (finding,) = preflight(using(clients, VisibilityTimeout=visibility, RedrivePolicy=REDRIVE), client)
    assert (finding.level, "--visibility-timeout 1820" in finding.advice) == (level, True)


def test_a_queue_without_a_dead_letter_queue_is_a_warning(clients: Clients, client: Callable[[str], Any]) -> None:
    (finding,) = preflight(using(clients, VisibilityTimeout="1820"), client)
    assert (finding.level, "ensure_dlq_for_queue.py" in finding.advice) == (Level.WARNING, True)


@pytest.mark.usefixtures("taken")
def test_a_queue_with_a_key_of_its_own_says_what_the_key_must_allow(
    clients: Clients, client: Callable[[str], Any]
) -> None:
    attributes = {"VisibilityTimeout": "1820", "RedrivePolicy": REDRIVE}
    (finding,) = preflight(using(clients, KmsMasterKeyId="alias/ours", **attributes), client)
    assert (finding.level, "kms:Decrypt" in finding.advice) == (Level.UNCHECKED, True)
    assert preflight(using(clients, KmsMasterKeyId="alias/aws/sqs", **attributes), client) == []


@pytest.mark.usefixtures("taken")
def test_a_url_and_an_arn_of_different_queues_are_a_problem(clients: Clients, client: Callable[[str], Any]) -> None:
    other = f"arn:aws:sqs:{REGION}:000000000000:other"
    planned = using(clients, {"existing_queue_arn": other}, VisibilityTimeout="1820", RedrivePolicy=REDRIVE)
    (finding,) = preflight(planned, client)
    assert (finding.level, finding.address, other in finding.what) == (Level.PROBLEM, "existing_queue_arn", True)


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize("queue", ["queue", "dlq", "ingest_failures_queue"])
def test_a_queue_that_does_not_exist_is_a_problem(clients: Clients, client: Callable[[str], Any], queue: str) -> None:
    missing = {f"existing_{queue}_url": f"https://sqs.{REGION}.amazonaws.com/000000000000/missing"}
    planned = using(clients, missing, VisibilityTimeout="1820", RedrivePolicy=REDRIVE)
    (finding,) = preflight(planned, client)
    assert (finding.level, "does not exist" in finding.what) == (Level.PROBLEM, True)


def test_queues_that_may_not_be_read_are_reported_as_not_checked(clients: Clients) -> None:
    planned = using(clients) | {"resource_changes": []}
    (finding,) = preflight(planned, refusing("AccessDenied"))
    assert (finding.level, finding.address) == (Level.UNCHECKED, "existing_queue_url")
    with pytest.raises(ClientError):
        preflight(planned, refusing("ExpiredToken"))


def alarming(topic: str, enabled: bool = True) -> dict[str, Any]:
    values = {"observability_enabled": enabled, "alarm_notification_topic_arn": topic}
    return {"resource_changes": [], "variables": {name: {"value": value} for name, value in values.items()}}


def test_a_topic_that_does_not_exist_is_a_problem_where_alarms_use_it(client: Callable[[str], Any]) -> None:
    missing = f"arn:aws:sns:{REGION}:000000000000:missing"
    (finding,) = preflight(alarming(missing), client)
    assert (finding.level, missing in finding.what) == (Level.PROBLEM, True)
    assert preflight(alarming(missing, enabled=False), client) == []


def test_a_topic_of_another_region_is_a_problem_as_sns_tells_it() -> None:
    # SNS does not say "not found" there (github.com/boto/boto3/issues/1084).
    (finding,) = preflight(alarming("arn:aws:sns:eu-west-1:000000000000:alarms"), refusing("InvalidParameter"))
    assert (finding.level, "does not exist in this region" in finding.what) == (Level.PROBLEM, True)


def keeping(clients: Clients, **attributes: str) -> dict[str, Any]:
    """A plan with a Bronze bucket that exists, and this queue for events that could not be delivered."""
    url = clients.sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}", Attributes=dict(attributes))["QueueUrl"]
    arn = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bucket = f"given-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=bucket)
    clients.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    on: Any = {"EventBridgeConfiguration": {}}
    clients.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=on)
    values = {
        "existing_ingest_failures_queue_url": url,
        "existing_ingest_failures_queue_arn": arn,
        "create_bronze_bucket": False,
        "bronze_bucket_name": bucket,
    }
    return {"resource_changes": [], "variables": {name: {"value": value} for name, value in values.items()}}


ALLOWING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "RulesSend",
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": "*",
            }
        ],
    }
)


def test_a_queue_that_eventbridge_may_not_send_to_would_lose_what_it_cannot_deliver(
    clients: Clients, client: Callable[[str], Any]
) -> None:
    assert preflight(keeping(clients, Policy=ALLOWING), client) == []
    (policy,) = preflight(keeping(clients), client)
    assert (policy.level, "queue_policies" in policy.advice) == (Level.WARNING, True)
    (key,) = preflight(keeping(clients, Policy=ALLOWING, KmsMasterKeyId="alias/aws/sqs"), client)
    assert (key.level, "EventBridge may not use" in key.what) == (Level.WARNING, True)
    planned = keeping(clients, KmsMasterKeyId="alias/aws/sqs")
    planned["variables"]["create_bronze_bucket"]["value"] = True  # nothing comes from EventBridge then
    assert preflight(planned, client) == []


def test_a_topic_that_cloudwatch_may_not_publish_to_is_a_problem(client: Callable[[str], Any]) -> None:
    sns = client("sns")
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    assert preflight(alarming(topic), client) == []
    sns.set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue="alias/aws/sns")
    (finding,) = preflight(alarming(topic), client)
    assert (finding.level, "CloudWatch may not use" in finding.what) == (Level.PROBLEM, True)


@pytest.mark.parametrize(
    ("part", "variable"), [("compaction", "glue_job_enabled"), ("ge_job", "ge_enabled")], ids=["compaction", "gate"]
)
def test_a_checkout_that_does_not_know_what_the_jobs_run_is_not_to_delete_them(part: str, variable: str) -> None:
    change = {"actions": ["delete"], "before": {"name": "smelt-dev-job"}, "after": None}
    address = f"module.platform.module.{part}[0].aws_glue_job.this"
    planned = {"resource_changes": [{"address": address, "type": "aws_glue_job", "change": change}]}
    asked_for = planned | {"variables": {variable: {"value": True}, "glue_assets": {"value": None}}}
    turned_off = planned | {"variables": {variable: {"value": False}}}

    (found,) = preflight(asked_for, refusing("none is asked"))
    assert (found.level, found.address) == (Level.PROBLEM, address)
    assert "smelt-dev-job" in found.what and "make glue-assets" in found.advice
    assert preflight(turned_off, refusing("none is asked")) == []


def test_problems_are_found_in_a_real_plan(emulator: str, client: Callable[[str], Any], tmp_path: Path) -> None:
    missing = {
        f"existing_{queue}_{kind}": f"{begin}:000000000000{separator}{queue}"
        for queue in ("queue", "dlq", "ingest_failures_queue")
        for kind, begin, separator in (
            ("url", "https://sqs.us-east-2.amazonaws.com", "/"),
            ("arn", "arn:aws:sqs:us-east-2", ":"),
        )
    }
    topic = "arn:aws:sns:us-east-2:000000000000:missing"
    variables = {
        "project": f"smelt-{uuid.uuid4().hex[:8]}",
        "images": IMAGES,
        "observability_enabled": True,
        "alarm_notification_topic_arn": topic,
        **missing,
    }
    findings = preflight(terraform_plan("envs/dev", "dev.tfvars", variables, emulator, tmp_path), client)
    assert {finding.level for finding in findings} == {Level.PROBLEM}
    assert {finding.address for finding in findings} == {
        "module.platform.module.pipeline.module.ingest.aws_lambda_function.this",
        "module.platform.module.pipeline.module.transform.aws_lambda_function.this",
        "existing_queue_url",
        "existing_dlq_url",
        "existing_ingest_failures_queue_url",
        "alarm_notification_topic_arn",
    }


@pytest.mark.usefixtures("taken")
def test_the_command_exits_with_1_and_names_the_resource(emulator: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan("aws_s3_bucket", {"bucket": NAME})))
    environment = CREDENTIALS | {"AWS_ENDPOINT_URL": emulator, "PATH": ""}
    command = [sys.executable, "-m", "infra.deploy", "preflight", str(file), "--region", REGION]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{NAME} already exists" in done.stdout
    file.write_text(json.dumps(plan("aws_s3_bucket", {"bucket": f"{NAME}-free"})))
    fine = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (fine.returncode, "no name is taken" in fine.stdout) == (0, True)
    file.write_text("{}")
    wrong = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (wrong.returncode, "is not a Terraform plan" in wrong.stderr) == (2, True)
