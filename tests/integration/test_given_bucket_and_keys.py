"""A Bronze bucket that exists, and keys of one's own: what each role may do with a key, as IAM evaluates it."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from local.stack import Clients
from services.shared.events import created_object, notification_records
from tests.support.iam_simulate import Ask, Decision, decide
from tests.support.terraform import IMAGES, of_type, plan, resources

ACCOUNT = "000000000000"
OURS = f"arn:aws:kms:us-east-2:{ACCOUNT}:key/ours"
BRONZE = f"arn:aws:kms:us-east-2:{ACCOUNT}:key/bronze"
ROLES = {service: f"arn:aws:iam::{ACCOUNT}:role/smelt-dev-{service}" for service in ("ingest", "transform")}
FAILURES = f"arn:aws:sqs:us-east-2:{ACCOUNT}:smelt-dev-ingest-failures"
RULE = f"arn:aws:events:us-east-2:{ACCOUNT}:rule/smelt-dev-bronze-objects"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
# (role, key, action, service through which the key is used) of all that is needed. S3 decrypts Bronze for who reads it.
NEEDED = {
    ("ingest", OURS, "kms:Decrypt", "dynamodb"),
    ("ingest", OURS, "kms:Decrypt", "sqs"),
    ("ingest", OURS, "kms:GenerateDataKey", "sqs"),
    ("transform", OURS, "kms:Decrypt", "dynamodb"),
    ("transform", OURS, "kms:Decrypt", "sqs"),
    ("transform", OURS, "kms:GenerateDataKey", "sqs"),
    ("transform", OURS, "kms:GenerateDataKey", "s3"),
    ("transform", BRONZE, "kms:Decrypt", "s3"),
}
# What a key's policy says by default: IAM policies of the account decide.
KEY_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
    ],
}
ACTIONS = ["kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt", "kms:CreateGrant", "kms:ScheduleKeyDeletion"]


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    variables = {
        "images": IMAGES,
        "kms_key_arn": OURS,
        "create_bronze_bucket": False,
        "bronze_bucket_name": "ours.raw",
        "bronze_kms_key_arn": BRONZE,
    }
    return plan("envs/dev", "dev.tfvars", variables, emulator, tmp_path_factory.mktemp("plan"))


def role_policy(planned: dict[str, Any], service: str) -> dict[str, Any]:
    address = f"module.platform.module.pipeline.module.{service}.module.role.aws_iam_role_policy.this[0]"
    return dict(json.loads(resources(planned)[address]["policy"]))


def test_a_role_may_use_a_key_for_what_it_does_and_only_through_that_service(planned: dict[str, Any]) -> None:
    policies = {service: role_policy(planned, service) for service in ROLES}
    uses = [
        (role, key, action, via)
        for role in ROLES
        for key in (OURS, BRONZE)
        for action in ACTIONS
        for via in ("dynamodb", "s3", "sqs", "lambda")
    ]
    asked = [
        Ask(
            ROLES[role],
            action,
            key,
            (policies[role],),
            KEY_POLICY,
            {"kms:ViaService": f"{via}.us-east-2.amazonaws.com"},
        )
        for role, key, action, via in uses
    ]
    decisions = zip(uses, decide(asked, ACCOUNT), strict=True)
    assert {use for use, decision in decisions if decision is Decision.ALLOWED} == NEEDED


def test_a_role_may_not_use_a_key_by_itself(planned: dict[str, Any]) -> None:
    asked = [
        Ask(ROLES[role], action, key, (role_policy(planned, role),), KEY_POLICY)
        for role, key, action, _ in sorted(NEEDED)
    ]
    assert set(decide(asked, ACCOUNT)) == {Decision.NOT_ALLOWED}


def test_queues_ledger_and_buckets_that_terraform_makes_are_encrypted_with_the_key(planned: dict[str, Any]) -> None:
    queues = of_type(planned, "aws_sqs_queue").values()
    assert [queue["kms_master_key_id"] for queue in queues] == [OURS] * 3
    (table,) = of_type(planned, "aws_dynamodb_table").values()
    assert table["server_side_encryption"] == [{"enabled": True, "kms_key_arn": OURS}]
    (silver,) = of_type(planned, "aws_s3_bucket_server_side_encryption_configuration").values()
    (how,) = silver["rule"][0]["apply_server_side_encryption_by_default"]
    assert how == {"sse_algorithm": "aws:kms", "kms_master_key_id": OURS}


def test_nothing_of_a_bucket_that_exists_is_changed(planned: dict[str, Any]) -> None:
    assert {values["bucket"] for values in of_type(planned, "aws_s3_bucket").values()} == {
        "smelt-dev-silver-000000000000-us-east-2"
    }
    assert not of_type(planned, "aws_s3_bucket_notification")
    (rule,) = of_type(planned, "aws_cloudwatch_event_rule").values()
    assert json.loads(rule["event_pattern"])["detail"]["bucket"] == {"name": ["ours.raw"]}


def test_new_objects_reach_ingest_by_the_rule_and_the_bucket_keeps_its_own_notifications(
    planned: dict[str, Any], clients: Clients, emulator: str
) -> None:
    """The owner's step is the README's (infra/terraform), the rule Terraform's; a queue stands for the function."""

    def queue(name: str) -> tuple[str, str]:
        url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
        return url, clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]

    def received(url: str) -> list[Any]:
        bodies: list[Any] = []
        while found := clients.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get(
            "Messages"
        ):
            for message in found:
                bodies.append(json.loads(message["Body"]))
                clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    (theirs, theirs_arn), (ingest, ingest_arn) = queue("theirs"), queue("stands-for-ingest")
    clients.s3.create_bucket(Bucket="ours.raw")
    own: Any = {"QueueConfigurations": [{"QueueArn": theirs_arn, "Events": ["s3:ObjectCreated:*"]}]}
    clients.s3.put_bucket_notification_configuration(Bucket="ours.raw", NotificationConfiguration=own)
    theirs_before: Any = clients.s3.get_bucket_notification_configuration(Bucket="ours.raw")
    theirs_before.pop("ResponseMetadata")
    both = theirs_before | {"EventBridgeConfiguration": {}}
    clients.s3.put_bucket_notification_configuration(Bucket="ours.raw", NotificationConfiguration=both)
    received(theirs)  # S3's test event

    (rule,) = of_type(planned, "aws_cloudwatch_event_rule").values()
    events = boto3.client("events", endpoint_url=emulator, region_name="us-east-1", **KEYS)
    events.put_rule(Name=rule["name"], EventPattern=rule["event_pattern"])
    events.put_targets(Rule=rule["name"], Targets=[{"Id": "ingest", "Arn": ingest_arn}])
    for key in ("other/a.jsonl", "bronze/shipments/a b+c%2Bé.jsonl"):
        clients.s3.put_object(Bucket="ours.raw", Key=key, Body=b"12345")

    sources = [created_object(record) for event in received(ingest) for record in notification_records(event)]
    assert [(one.bucket, one.key, one.size) for one in sources if one] == [
        ("ours.raw", "bronze/shipments/a b+c%2Bé.jsonl", 5)
    ]
    assert len(received(theirs)) == 2


def test_only_the_rule_may_send_events_that_it_could_not_deliver(planned: dict[str, Any]) -> None:
    address = "module.platform.module.pipeline.module.ingest_failures[0].aws_sqs_queue_policy.this"
    policy = json.loads(resources(planned)[address]["policy"])
    asked = [
        Ask("events.amazonaws.com", "sqs:SendMessage", FAILURES, (), policy, {"aws:SourceArn": RULE}),
        Ask("events.amazonaws.com", "sqs:SendMessage", FAILURES, (), policy, {"aws:SourceArn": f"{RULE}-2"}),
        Ask("events.amazonaws.com", "sqs:ReceiveMessage", FAILURES, (), policy, {"aws:SourceArn": RULE}),
        Ask("s3.amazonaws.com", "sqs:SendMessage", FAILURES, (), policy, {"aws:SourceArn": RULE}),
        Ask(ROLES["ingest"], "sqs:SendMessage", FAILURES, (role_policy(planned, "ingest"),), policy),
    ]
    first, *others, last = decide(asked, ACCOUNT)
    assert (first, last) == (Decision.ALLOWED, Decision.ALLOWED)
    assert Decision.ALLOWED not in others
