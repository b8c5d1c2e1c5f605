"""Who may send to the queues: the policies of a real plan, evaluated as IAM evaluates them.

A principal's own policies matter too: an administrator's allow everything, and are refused all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.iam_simulate import Ask, Decision, administrator, decide
from tests.support.terraform import IMAGES, of_type, plan

ACCOUNT = "000000000000"
SQS = f"arn:aws:sqs:us-east-2:{ACCOUNT}"
ROLES = f"arn:aws:iam::{ACCOUNT}:role"
OPERATORS = [f"{ROLES}/on-call", f"{ROLES}/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Operator_*"]
INGEST, TRANSFORM = f"{ROLES}/smelt-dev-ingest", f"{ROLES}/smelt-dev-transform"
SIGNED_IN = f"{ROLES}/aws-reserved/sso.amazonaws.com/us-east-2/AWSReservedSSO_Operator_0123456789abcdef"
STRANGERS = [
    f"{ROLES}/administrator",
    f"{ROLES}/on-call-reports",  # only begins like an operator
    f"{ROLES}/other/smelt-dev-ingest",  # another path
    f"{ROLES}/aws-reserved/sso.amazonaws.com/us-east-2/AWSReservedSSO_ReadOnly_0123456789abcdef",
    f"arn:aws:iam::{ACCOUNT}:user/administrator",
    f"arn:aws:iam::{ACCOUNT}:root",
]
QUEUES = {"queue": "smelt-dev-events", "dlq": "smelt-dev-events-dlq", "ingest_failures": "smelt-dev-ingest-failures"}
# Which of the functions and operators may send where.
SENDERS = {
    "queue": {INGEST, OPERATORS[0], SIGNED_IN},
    "dlq": {TRANSFORM, OPERATORS[0], SIGNED_IN},
    "ingest_failures": {INGEST},
}
KNOWN = [INGEST, TRANSFORM, OPERATORS[0], SIGNED_IN]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def planned(emulator: str, scratch: Path) -> dict[str, Any]:
    variables = {"images": IMAGES, "operator_principal_arns": OPERATORS}
    return plan("envs/dev", "dev.tfvars", variables, emulator, scratch)


@pytest.fixture(scope="module")
def policies(planned: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Queue -> its policy, of queues that Terraform makes."""
    found = of_type(planned, "aws_sqs_queue_policy")
    below = "module.platform.module.pipeline.module"
    addresses = {
        "queue": f"{below}.queue[0].aws_sqs_queue_policy.this",
        "dlq": f"{below}.queue[0].aws_sqs_queue_policy.dead_letter[0]",
        "ingest_failures": f"{below}.ingest_failures[0].aws_sqs_queue_policy.this",
    }
    assert set(found) == set(addresses.values())
    return {queue: json.loads(found[address]["policy"]) for queue, address in addresses.items()}


def role_policy(planned: Mapping[str, Any], service: str) -> dict[str, Any]:
    policy = of_type(planned, "aws_iam_role_policy")[
        f"module.platform.module.pipeline.module.{service}.module.role.aws_iam_role_policy.this[0]"
    ]
    return dict(json.loads(policy["policy"]))


def may(principal: str | None, action: str, queue: str, policy: Mapping[str, Any], **context: str) -> Ask:
    """A request of somebody whose own policies allow everything; services and anonymous requests have none."""
    own = administrator() if principal and principal.startswith("arn:") else ()
    return Ask(principal, action, f"{SQS}:{QUEUES[queue]}", own, policy, context)


@pytest.mark.parametrize("queue", QUEUES)
def test_nobody_but_the_named_may_send_not_even_an_administrator(
    policies: dict[str, dict[str, Any]], queue: str
) -> None:
    asked = KNOWN + STRANGERS
    decisions = decide([may(who, "sqs:SendMessage", queue, policies[queue]) for who in asked], ACCOUNT)
    assert dict(zip(asked, decisions, strict=True)) == {
        who: Decision.ALLOWED if who in SENDERS[queue] else Decision.DENIED for who in asked
    }


@pytest.mark.parametrize("queue", QUEUES)
def test_no_service_and_no_anonymous_request_may_send(policies: dict[str, dict[str, Any]], queue: str) -> None:
    asked = [None, "s3.amazonaws.com", "sns.amazonaws.com", "events.amazonaws.com"]
    decisions = decide([may(who, "sqs:SendMessage", queue, policies[queue]) for who in asked], ACCOUNT)
    # The dead-letter queue denies no service, since SQS is one; but nothing allows one either.
    of_services = Decision.NOT_ALLOWED if queue == "dlq" else Decision.DENIED
    assert decisions == [Decision.DENIED, of_services, of_services, of_services]


def test_sqs_itself_is_not_refused_when_it_moves_a_message_to_the_dead_letter_queue(
    policies: dict[str, dict[str, Any]],
) -> None:
    asked = [may("sqs.amazonaws.com", "sqs:SendMessage", queue, policies[queue]) for queue in ("dlq", "queue")]
    assert decide(asked, ACCOUNT) == [Decision.NOT_ALLOWED, Decision.DENIED]


@pytest.mark.parametrize("queue", QUEUES)
def test_nothing_is_sent_or_read_without_tls(policies: dict[str, dict[str, Any]], queue: str) -> None:
    sender = min(SENDERS[queue])
    plain = {"aws:SecureTransport": "false"}
    asked = [may(sender, f"sqs:{action}", queue, policies[queue], **plain) for action in ("SendMessage", "PurgeQueue")]
    assert decide(asked, ACCOUNT) == [Decision.DENIED, Decision.DENIED]


@pytest.mark.parametrize("queue", QUEUES)
def test_only_sending_is_limited(policies: dict[str, dict[str, Any]], queue: str) -> None:
    actions = ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "SetQueueAttributes", "StartMessageMoveTask"]
    decisions = decide([may(STRANGERS[0], f"sqs:{action}", queue, policies[queue]) for action in actions], ACCOUNT)
    assert set(decisions) == {Decision.ALLOWED}


def test_an_operator_may_redrive_dead_letters_and_an_administrator_may_not(
    policies: dict[str, dict[str, Any]],
) -> None:
    needed = [(f"sqs:{action}", "dlq") for action in ("StartMessageMoveTask", "ReceiveMessage", "DeleteMessage")]
    needed.append(("sqs:SendMessage", "queue"))  # the task sends as whoever started it
    for who, last in ((SIGNED_IN, Decision.ALLOWED), (STRANGERS[0], Decision.DENIED)):
        decisions = decide([may(who, action, queue, policies[queue]) for action, queue in needed], ACCOUNT)
        assert decisions == [Decision.ALLOWED] * 3 + [last]


def test_the_functions_own_policies_suffice_for_what_they_send_and_receive(
    planned: dict[str, Any], policies: dict[str, dict[str, Any]]
) -> None:
    needed = [
        (INGEST, "ingest", "sqs:SendMessage", "queue"),
        (INGEST, "ingest", "sqs:SendMessage", "ingest_failures"),
        (TRANSFORM, "transform", "sqs:SendMessage", "dlq"),
        *((TRANSFORM, "transform", f"sqs:{action}", "queue") for action in ("ReceiveMessage", "DeleteMessage")),
    ]
    asked = [
        Ask(role, action, f"{SQS}:{QUEUES[queue]}", (role_policy(planned, service),), policies[queue])
        for role, service, action, queue in needed
    ]
    assert set(decide(asked, ACCOUNT)) == {Decision.ALLOWED}


def test_no_other_queue_may_move_messages_in_as_into_its_dead_letter_queue(planned: dict[str, Any]) -> None:
    found = {
        address.removeprefix("module.platform.module.pipeline.module."): json.loads(values["redrive_allow_policy"])
        for address, values in of_type(planned, "aws_sqs_queue_redrive_allow_policy").items()
    }
    units = f"{SQS}:{QUEUES['queue']}"
    assert found == {
        "queue[0].aws_sqs_queue_redrive_allow_policy.this": {"redrivePermission": "denyAll"},
        "queue[0].aws_sqs_queue_redrive_allow_policy.dead_letter[0]": {
            "redrivePermission": "byQueue",
            "sourceQueueArns": [units],
        },
        "ingest_failures[0].aws_sqs_queue_redrive_allow_policy.this": {"redrivePermission": "denyAll"},
    }


def test_given_queues_should_have_the_same_policies(emulator: str, scratch: Path) -> None:
    given = {
        f"existing_{name}_{kind}": value
        for queue, name in (("queue", "queue"), ("dlq", "dlq"), ("ingest_failures", "ingest_failures_queue"))
        for kind, value in (
            ("url", f"https://sqs.us-east-2.amazonaws.com/{ACCOUNT}/{QUEUES[queue]}"),
            ("arn", f"{SQS}:{QUEUES[queue]}"),
        )
    }
    variables = {"images": IMAGES, "operator_principal_arns": OPERATORS} | given
    with_given = plan("envs/dev", "dev.tfvars", variables, emulator, scratch)
    attributes = {
        queue: json.loads(text)
        for queue, text in with_given["planned_values"]["outputs"]["queue_policies"]["value"].items()
    }
    assert set(attributes) == set(QUEUES)
    for queue, senders in SENDERS.items():
        policy = json.loads(attributes[queue]["Policy"])
        asked = KNOWN + STRANGERS
        decisions = decide([may(who, "sqs:SendMessage", queue, policy) for who in asked], ACCOUNT)
        allowed = {who for who, decision in zip(asked, decisions, strict=True) if decision is Decision.ALLOWED}
        assert allowed == senders
    assert {
        queue: json.loads(found["RedriveAllowPolicy"])["redrivePermission"] for queue, found in attributes.items()
    } == {
        "queue": "denyAll",
        "dlq": "byQueue",
        "ingest_failures": "denyAll",
    }


@pytest.mark.parametrize("listing", ["s3:ListBucket", "s3:ListBucketVersions"])
def test_transform_tells_a_missing_object_from_a_forbidden_one_below_bronze_only(
    planned: dict[str, Any], listing: str
) -> None:
    """A request for an object names no prefix: the third may be what S3 asks before it says 404. A listing does."""
    bucket = f"arn:aws:s3:::smelt-dev-bronze-{ACCOUNT}-us-east-2"
    own = (role_policy(planned, "transform"),)
    asked = [
        Ask(TRANSFORM, listing, bucket, own, None, {"s3:prefix": "bronze/shipments/missing.jsonl"}),
        Ask(TRANSFORM, listing, bucket, own, None, {"s3:prefix": "other/"}),
        Ask(TRANSFORM, listing, bucket, own),
        Ask(TRANSFORM, listing, bucket.replace("bronze", "silver"), own, None, {"s3:prefix": "bronze/a"}),
    ]
    assert decide(asked, ACCOUNT) == [Decision.ALLOWED, *[Decision.NOT_ALLOWED] * 3]
