"""The gate's roles allow exactly what their code asks of AWS, on their own resources; its toggles do as they say.

As test_least_privilege.py, over a real plan of envs/dev with every toggle of the gate on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.integration.test_least_privilege import ACTIONS, LEDGER, OF_THE_PLATFORM, SILVER
from tests.support.aws_calls import api_calls
from tests.support.iam_policies import Policy
from tests.support.iam_simulate import Ask, Decision, decide, need_simulator
from tests.support.terraform import IMAGES, need_terraform, of_type, plan

HERE = "us-east-2:000000000000"
MACHINE = f"arn:aws:states:{HERE}:stateMachine:smelt-dev-ge-gate"
JOB = f"arn:aws:glue:{HERE}:job/smelt-dev-validate-silver"
TOPIC = f"arn:aws:sns:{HERE}:people"
ASSETS = {
    "core": "glue/1/core.zip",
    "wheels": "glue/wheels/1.gluewheels.zip",
    "compact_silver": "glue/1/compact_silver.py",
}
ALL = {
    "images": IMAGES,
    "glue_assets": ASSETS | {"validate_silver": "glue/1/validate_silver.py"},
    "ge_enabled": True,
    "ge_workflow_enabled": True,
    "ge_emit_events_from_transform": True,
    "ge_eventbridge_enabled": True,
    "ge_quarantine_enabled": True,
    "ge_notification_topic_arn": TOPIC,
}
# Reading the ledger's code reaches `put_back` and others by name; the functions never come there.
REACH: dict[str, set[tuple[str, str]]] = {
    "gate": {
        ("dynamodb", LEDGER),
        ("s3", SILVER),
        ("s3", f"{SILVER}/silver/*"),
        ("s3", f"{SILVER}/history/*"),
        ("s3", f"{SILVER}/ge/*"),
    },
    "announce": {
        ("dynamodb", LEDGER),
        ("dynamodb", f"{LEDGER}/index/open_work"),
        ("events", f"arn:aws:events:{HERE}:event-bus/default"),
    },
}


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    need_terraform()
    return plan("envs/dev", "dev.tfvars", ALL, emulator, tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def roles(planned: dict[str, Any]) -> dict[str, Policy]:
    return _roles(planned)


def _roles(planned: dict[str, Any]) -> dict[str, Policy]:
    """Role, without project and part -> its policy."""
    of_gate = re.compile(r"module\.(?:gate|ge_job)\[0\]\.module\.(?:function\[\"(\w+)\"\]|(\w+_role|role))")
    found = ((of_gate.search(at), values) for at, values in of_type(planned, "aws_iam_role_policy").items())
    return {match[1] or match[2]: json.loads(values["policy"]) for match, values in found if match}


def _reach(policy: Policy) -> set[tuple[str, str]]:
    return {
        (action.split(":")[0], resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    } - {("xray", "*")}


def _actions(policy: Policy) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


@pytest.mark.parametrize("function", ["gate", "announce"])
def test_a_function_reaches_its_own_resources_only(roles: dict[str, Policy], function: str) -> None:
    log = ("logs", f"arn:aws:logs:{HERE}:log-group:/aws/lambda/smelt-dev-ge-{function}:log-stream:*")
    assert _reach(roles[function]) == REACH[function] | {log}


@pytest.mark.parametrize("function", ["gate", "announce"])
def test_a_function_may_do_nothing_that_its_code_never_asks_for(roles: dict[str, Policy], function: str) -> None:
    asked = {action for call in api_calls(f"ops-{function}") for action in ACTIONS.get(call, {call})}
    listing = {"s3:ListBucket"}
    assert _actions(roles[function]) - OF_THE_PLATFORM - listing <= asked


def test_the_job_reads_rows_and_writes_results_and_touches_no_row(roles: dict[str, Policy]) -> None:
    of_silver = {(action, resource) for action, resource in _grants(roles["role"]) if resource.startswith(SILVER)}
    assert of_silver == {
        ("s3:GetObject", f"{SILVER}/silver/*"),
        ("s3:GetObject", f"{SILVER}/ge/*"),
        ("s3:PutObject", f"{SILVER}/ge/*"),
        ("s3:ListBucket", SILVER),
    }


def _grants(policy: Policy) -> set[tuple[str, str]]:
    return {
        (action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def test_the_machine_runs_its_job_and_its_function_and_tells_its_topic(roles: dict[str, Policy]) -> None:
    scoped = {(action, resource) for action, resource in _grants(roles["workflow_role"]) if resource != "*"}
    function = f"arn:aws:lambda:{HERE}:function:smelt-dev-ge-gate"
    assert scoped == {
        ("lambda:InvokeFunction", function),
        *((f"glue:{action}", JOB) for action in ("BatchStopJobRun", "GetJobRun", "GetJobRuns", "StartJobRun")),
        ("sns:Publish", TOPIC),
    }


def test_rule_and_schedule_start_one_thing_each(roles: dict[str, Policy]) -> None:
    assert _grants(roles["rule_role"]) == {("states:StartExecution", MACHINE)}
    announcer = f"arn:aws:lambda:{HERE}:function:smelt-dev-ge-announce"
    assert _grants(roles["scheduler_role"]) == {("lambda:InvokeFunction", announcer)}


def test_without_assets_there_is_no_job_and_no_workflow(emulator: str, tmp_path: Any) -> None:
    planned = plan("envs/dev", "dev.tfvars", ALL | {"glue_assets": None}, emulator, tmp_path)
    assert of_type(planned, "aws_glue_job") == {}
    assert not any("ge-gate" in values.get("name", "") for values in of_type(planned, "aws_sfn_state_machine").values())


def test_the_alarms_topic_is_told_where_no_other_is_named(emulator: str, tmp_path: Any) -> None:
    alarms = f"arn:aws:sns:{HERE}:alarms"
    variables = ALL | {"ge_notification_topic_arn": "", "alarm_notification_topic_arn": alarms}
    planned = plan("envs/dev", "dev.tfvars", variables, emulator, tmp_path)
    machine = of_type(planned, "aws_sfn_state_machine")["module.platform.module.gate[0].aws_sfn_state_machine.this"]
    assert json.loads(machine["definition"])["States"]["WhoIsTold"]["Result"] == {"topic": alarms}


# What each role is for, and what it must not do, decided by iam-simulate under a key of one's own.
DAY, RUN = "shipments/dt=2026-01-01", "ge/results/shipments/dt=2026-01-01/20260102T000000Z-0123456789abcdef"
KEY = f"arn:aws:kms:{HERE}:key/ours"
ACCOUNT = HERE.partition(":")[2]
KEY_POLICY: Policy = {  # the account's own policies decide
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
    ],
}
Need = tuple[str, str, Mapping[str, str | list[str]]]  # action, resource, context


def _through(service: str) -> dict[str, str]:
    return {"kms:ViaService": f"{service}.us-east-2.amazonaws.com"}


def _log_of(function: str) -> str:
    return f"arn:aws:logs:{HERE}:log-group:/aws/lambda/smelt-dev-ge-{function}:log-stream:a"


NEEDS: dict[str, list[Need]] = {
    "gate": [
        ("s3:GetObject", f"{SILVER}/silver/{DAY}/a.parquet", {}),
        ("s3:GetObject", f"{SILVER}/history/lots/dt=2026-01-01/a.parquet", {}),
        ("s3:GetObject", f"{SILVER}/{RUN}/result.json", {}),
        ("s3:PutObject", f"{SILVER}/{RUN}/index.html", {}),
        ("s3:PutObject", f"{SILVER}/ge/quarantine/{DAY}/marker.json", {}),
        *(("s3:ListBucket", SILVER, {"s3:prefix": prefix}) for prefix in ("silver/", f"{RUN}/", "history/lots/")),
        *((f"dynamodb:{action}", LEDGER, {}) for action in ("BatchGetItem", "GetItem", "PutItem")),
        *((f"kms:{action}", KEY, _through("s3")) for action in ("Decrypt", "GenerateDataKey")),
        ("kms:Decrypt", KEY, _through("dynamodb")),
        ("logs:PutLogEvents", _log_of("gate"), {}),
    ],
    "announce": [
        ("events:PutEvents", f"arn:aws:events:{HERE}:event-bus/default", {"events:source": ["smelt", "smelt"]}),
        *((f"dynamodb:{action}", LEDGER, {}) for action in ("BatchGetItem", "DeleteItem", "UpdateItem")),
        ("dynamodb:Query", f"{LEDGER}/index/open_work", {}),
        ("kms:Decrypt", KEY, _through("dynamodb")),
        ("logs:PutLogEvents", _log_of("announce"), {}),
    ],
    "workflow_role": [
        ("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:smelt-dev-ge-gate", {}),
        *((f"glue:{action}", JOB, {}) for action in ("StartJobRun", "GetJobRun", "GetJobRuns", "BatchStopJobRun")),
        ("sns:Publish", TOPIC, {}),
        *((f"kms:{action}", KEY, _through("sns")) for action in ("Decrypt", "GenerateDataKey")),
    ],
    "rule_role": [("states:StartExecution", MACHINE, {})],
}
MAY_NOT: dict[str, list[Need]] = {
    "gate": [
        ("s3:PutObject", f"{SILVER}/silver/{DAY}/a.parquet", {}),
        ("s3:DeleteObject", f"{SILVER}/{RUN}/result.json", {}),
        ("s3:GetObject", f"{SILVER}/quarantine/{DAY}/a.parquet", {}),
        ("s3:ListBucket", SILVER, {"s3:prefix": "quarantine/"}),
        ("s3:GetObject", "arn:aws:s3:::another/ge/a.json", {}),
        ("dynamodb:UpdateItem", LEDGER, {}),
        ("dynamodb:GetItem", f"{LEDGER}-of-another", {}),
        ("kms:GenerateDataKey", KEY, _through("dynamodb")),
        ("kms:Decrypt", KEY, {}),
    ],
    "announce": [
        ("events:PutEvents", f"arn:aws:events:{HERE}:event-bus/default", {"events:source": ["smelt", "another"]}),
        ("events:PutEvents", f"arn:aws:events:{HERE}:event-bus/default", {}),
        ("events:PutEvents", f"arn:aws:events:{HERE}:event-bus/another", {"events:source": ["smelt"]}),
        ("dynamodb:PutItem", LEDGER, {}),
        ("s3:GetObject", f"{SILVER}/silver/{DAY}/a.parquet", {}),
    ],
    "workflow_role": [
        ("glue:StartJobRun", f"{JOB}-of-another", {}),
        ("lambda:InvokeFunction", f"arn:aws:lambda:{HERE}:function:smelt-dev-transform", {}),
        ("sns:Publish", f"{TOPIC}-of-another", {}),
        ("kms:Decrypt", KEY, _through("s3")),
    ],
    "rule_role": [("states:StartExecution", f"{MACHINE}-of-another", {}), ("states:UpdateStateMachine", MACHINE, {})],
}


@pytest.fixture(scope="module")
def with_a_key(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Policy]:
    need_simulator()
    variables = ALL | {"kms_key_arn": KEY, "ge_notification_topic_kms_key_arn": KEY}
    return _roles(plan("envs/dev", "dev.tfvars", variables, emulator, tmp_path_factory.mktemp("plan")))


def _decisions(role: str, needs: list[Need], policy: Policy) -> dict[str, Decision]:
    asks = [
        Ask(
            f"arn:aws:iam::{ACCOUNT}:role/smelt-dev-{role}",
            action,
            resource,
            (policy,),
            KEY_POLICY if resource == KEY else None,
            context,
        )
        for action, resource, context in needs
    ]
    return {
        f"{action} {resource} {context}": decision
        for (action, resource, context), decision in zip(needs, decide(asks, ACCOUNT), strict=True)
    }


@pytest.mark.parametrize("role", NEEDS)
def test_a_role_lets_its_work_be_done_and_nothing_else(with_a_key: dict[str, Policy], role: str) -> None:
    needed = _decisions(role, NEEDS[role], with_a_key[role])
    assert [asked for asked, found in needed.items() if found is not Decision.ALLOWED] == []
    forbidden = _decisions(role, MAY_NOT[role], with_a_key[role])
    assert [asked for asked, found in forbidden.items() if found is not Decision.NOT_ALLOWED] == []


@pytest.mark.parametrize("role", NEEDS)
def test_each_statement_of_a_role_is_needed(with_a_key: dict[str, Policy], role: str) -> None:
    statements = with_a_key[role]["Statement"]
    for at, statement in enumerate(statements):
        if statement["Resource"] == ["*"]:
            continue  # deliveries of logs, and traces
        fewer = with_a_key[role] | {"Statement": [*statements[:at], *statements[at + 1 :]]}
        left = _decisions(role, NEEDS[role], fewer).values()
        assert set(left) - {Decision.ALLOWED}, f"nothing needs {statement['Sid']}"
