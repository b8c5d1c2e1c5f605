"""What IAM decides about the requests of the operators' functions, and about requests that they should never make.

As test_policies.py, with the roles of a real plan: requests recorded from each handler, decisions by iam-simulate, and
every statement of a role that is loosened lets one of the forbidden requests through.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.stack import Clients, Names, bootstrap_zip, create_function
from services.ops.app import pipeline
from services.shared.lake import S3Lake
from services.shared.ledger.ledger import Ledger
from services.shared.units import BronzeObject
from tests.integration.test_least_privilege import OF_THE_PLATFORM, Context, deployed  # noqa: F401 (a fixture)
from tests.integration.test_policies import (
    BRONZE,
    EVERY_LISTING,
    FUNCTION,
    HERE,
    LEDGER,
    LOGS,
    OTHER,
    SILVER,
    SQS,
    UNITS,
)
from tests.support.aws_calls import api_calls
from tests.support.iam import TRANSACTION_ACTIONS, Need, Request, needs, record
from tests.support.iam_policies import Policy, queue_policies
from tests.support.iam_simulate import Ask, Decision, decide
from tests.support.running import Running, json_lines, request
from tests.support.sweeping import load
from tests.support.terraform import IMAGES, need_terraform, of_type, plan

ACCOUNT = "000000000000"
FUNCTIONS = ("replay", "probe", "sweep", "reconcile", "archive", "rewrite")
MACHINE = f"arn:aws:states:{HERE}:stateMachine:smelt-dev-ops-replay-and-quality-gate"
PEOPLE = ("workflow", "scheduler")  # roles of services
SERVICE = {"workflow": "states.amazonaws.com", "scheduler": "scheduler.amazonaws.com"}


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/smelt-dev-ops-{name}"


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    need_terraform()
    variables = {"images": IMAGES, "ops_enabled": True, "ops_schedule_enabled": True}
    return plan("envs/dev", "dev.tfvars", variables, emulator, tmp_path_factory.mktemp("plan"))


def _of_role(planned: dict[str, Any], kind: str, attribute: str) -> dict[str, Policy]:
    """Role, without project and part -> one of its policies."""
    of_ops = re.compile(r"module\.ops\[0\]\.module\.(?:function\[\"(\w+)\"\]|(\w+)_role)")
    found = ((of_ops.search(address), values) for address, values in of_type(planned, kind).items())
    return {match[1] or match[2]: json.loads(values[attribute]) for match, values in found if match}


@pytest.fixture(scope="module")
def roles(planned: dict[str, Any]) -> dict[str, Policy]:
    return _of_role(planned, "aws_iam_role_policy", "policy")


@pytest.fixture(scope="module")
def trust(planned: dict[str, Any]) -> dict[str, Policy]:
    return _of_role(planned, "aws_iam_role", "assume_role_policy")


def ask(roles: dict[str, Policy], guards: dict[str, Policy], role: str, need: Need) -> Ask:
    guard = guards.get(need.resource.split("/")[0])
    return Ask(role_arn(role), need.action, need.resource, (roles[role],), guard, dict(need.context))


# ---- what a run asks for


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    emulator: str,
    clients: Clients,
    emptied: None,
    contracts: dict[str, Any],
) -> dict[str, set[Need]]:
    """Function -> what it needed in a run with lost events, lost messages and leftover files."""
    from services.ops.app import archive, probe, reconcile, replay, rewrite, sweep

    handlers: dict[str, Any] = {"replay": replay, "probe": probe, "sweep": sweep, "reconcile": reconcile}
    handlers |= {"archive": archive, "rewrite": rewrite}
    caches = [one for module in (*handlers.values(), pipeline) for one in vars(module).values()]
    caches = [one for one in caches if hasattr(one, "cache_clear")]
    for cached in caches:
        cached.cache_clear()
    monkeypatch.setenv("INGEST_FUNCTION", "smelt-dev-ingest")
    requests: list[Request] = record(monkeypatch, emulator)
    bucket, table = BRONZE.rsplit(":", 1)[1], LEDGER.rsplit("/", 1)[1]
    ledger, lake = Ledger(clients.dynamodb, table), S3Lake(clients.s3, SILVER.rsplit(":", 1)[1])
    clients.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    found: dict[str, set[Need]] = {}

    def upload(name: str) -> BronzeObject:
        data = json_lines(contracts["shipments"], request(5, 0))
        return Running(clients, Names(bronze_bucket=bucket)).upload(f"bronze/shipments/{name}.jsonl", data)

    def needed(function: str, *events: Any) -> Any:
        requests.clear()
        answer = None
        for event in events:
            answer = handlers[function].handler(event, Context())
        found.setdefault(function, set()).update(need for one in requests for need in needs(one, HERE))
        return answer

    half = upload("half")
    planning = ledger.objects.begin(half, 400, 60)
    ledger.objects.finish(planning)
    load(ledger, lake, [planning.plan.unit(0)], leftover=True)
    upload("unheard")
    _create_ingest(clients)
    document = {"src_prefix": "bronze/shipments/", "record_type": "shipments", "start": "2026-01-01T00:00:00Z"}
    state = needed("replay", {"input": document, "execution": "one", "started": "2999-01-01T00:00:00Z"})
    state = needed("replay", state)
    needed("probe", state)
    needed("sweep", {}, {})
    needed("reconcile", {"older_than_minutes": 0})
    whole = upload("whole")
    planning = ledger.objects.begin(whole, 64 * 1024 * 1024, 60)
    ledger.objects.finish(planning)
    load(ledger, lake, list(planning.plan))
    ledger.objects.mark_done([whole.id])
    monkeypatch.setattr("services.ops.history.writer.DAY_MS", 1)  # what is finished is of yesterday
    needed("archive", {})
    clients.dynamodb.delete_item(TableName=table, Key={"pk": {"S": f"object#{whole.id}"}})
    state = needed("replay", {"input": document, "execution": "two", "started": "2999-01-01T00:00:00Z"})
    assert needed("replay", state)["replayed"]["done"]["put back"] == 1
    told = {"by": "alice", "reason": "a test"}
    retract = {"action": "retract", "object": str(half.id), **told}
    answer = needed("rewrite", {"action": "retry", "dataset": "shipments", **told})
    assert (answer["busy"], answer["unreadable"], answer["place"]) == (0, 0, None)
    needed("rewrite", retract)
    return found


@pytest.fixture
def emptied(clients: Clients, deployed: None) -> Iterator[None]:  # noqa: F811 (the fixture)
    """No version is left in Bronze, so that the bucket can be deleted."""
    yield
    bucket = BRONZE.rsplit(":", 1)[1]
    for version in clients.s3.list_object_versions(Bucket=bucket).get("Versions", []):
        clients.s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    clients.functions.delete_function(FunctionName="smelt-dev-ingest")


def _create_ingest(clients: Clients) -> None:
    """Somebody who takes events, and does nothing."""
    code = bootstrap_zip("#!/bin/sh\nexit 0\n")
    create_function(clients, "smelt-dev-ingest", code, "none", "provided.al2023", 5, {})


def test_everything_that_a_run_asks_for_is_allowed(
    planned: dict[str, Any], roles: dict[str, Policy], run: dict[str, set[Need]]
) -> None:
    asked = [(function, need) for function in FUNCTIONS for need in sorted(run[function])]
    actions = {need.action for _, need in asked}
    assert {"s3:ListBucket", "s3:ListBucketVersions", "s3:PutObject", "s3:GetObject", "s3:DeleteObject"} <= actions
    assert {"lambda:InvokeFunction", "sqs:SendMessage", "sqs:GetQueueAttributes", "dynamodb:Query"} <= actions
    assert "dynamodb:DeleteItem" in actions
    guards = queue_policies(planned)
    decisions = decide([ask(roles, guards, function, need) for function, need in asked], ACCOUNT)
    assert [pair for pair, decision in zip(asked, decisions, strict=True) if decision is not Decision.ALLOWED] == []


@pytest.mark.parametrize("function", ["sweep", "rewrite"])
def test_a_file_that_is_missing_is_told_from_one_that_is_forbidden(roles: dict[str, Policy], function: str) -> None:
    """S3 answers 403 to all who may not list the missing file's name; then a listing of the name tells it."""
    names = [f"{root}/shipments/dt=2026-01-01/a.parquet" for root in ("silver", "quarantine")]
    asked = [Need("s3:ListBucket", SILVER, (("s3:prefix", name),)) for name in names]
    decisions = decide([ask(roles, {}, function, need) for need in asked], ACCOUNT)
    assert decisions == [Decision.ALLOWED, Decision.ALLOWED]


def test_a_version_of_bronze_that_is_missing_is_told_from_one_that_is_forbidden(roles: dict[str, Policy]) -> None:
    asked = [Need("s3:ListBucketVersions", BRONZE, (("s3:prefix", "bronze/shipments/a.jsonl"),))]
    assert decide([ask(roles, {}, "rewrite", need) for need in asked], ACCOUNT) == [Decision.ALLOWED]


# API operation -> the IAM actions that it needs, where they are called otherwise.
ACTIONS = {
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
    "s3:CopyObject": {"s3:GetObject", "s3:PutObject"},
    "s3:HeadObject": {"s3:GetObject"},
    "sqs:SendMessageBatch": {"sqs:SendMessage"},
    "lambda:Invoke": {"lambda:InvokeFunction"},
    "s3:GetObject": {"s3:GetObject", "s3:GetObjectVersion"},
    **{f"dynamodb:TransactWriteItems/{kind}": {action} for kind, action in TRANSACTION_ACTIONS.items()},
}
OF_S3 = {"s3:ListBucket"}  # tells an object that is missing from one that is forbidden


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_allows_nothing_that_its_code_cannot_call(roles: dict[str, Policy], function: str) -> None:
    allowed = {action for statement in roles[function]["Statement"] for action in statement["Action"]}
    called = {action for call in api_calls(f"ops-{function}") for action in ACTIONS.get(call, {call})}
    assert allowed <= called | OF_THE_PLATFORM | OF_S3


def test_of_the_functions_only_reconcile_sends_units(planned: dict[str, Any], roles: dict[str, Policy]) -> None:
    guards = queue_policies(planned)
    send = Need("sqs:SendMessage", UNITS)
    every = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
    anyway = decide([ask(dict.fromkeys(roles, every), guards, role, send) for role in sorted(roles)], ACCOUNT)
    assert [role for role, said in zip(sorted(roles), anyway, strict=True) if said is Decision.ALLOWED] == ["reconcile"]


# ---- what nobody should be able to ask for

ELSEWHERE = "arn:aws:s3:::another-bucket"
OF_BRONZE, OF_SILVER, OF_QUARANTINE = {"s3:prefix": "bronze/"}, {"s3:prefix": "silver/"}, {"s3:prefix": "quarantine/"}
FORBIDDEN: list[tuple[str, str, dict[str, str]]] = [
    # Nothing elsewhere.
    *((f"s3:{action}", f"{ELSEWHERE}/bronze/replay/1/a", {}) for action in ("GetObject", "PutObject", "DeleteObject")),
    ("s3:AbortMultipartUpload", f"{ELSEWHERE}/bronze/replay/1/a", {}),
    *(
        (f"s3:{action}", ELSEWHERE, prefix)
        for action in ("ListBucket", "ListBucketVersions")
        for prefix in (OF_BRONZE, OF_SILVER)
    ),
    *(
        (f"dynamodb:{action}", OTHER, {})
        for action in ("BatchGetItem", "GetItem", "PutItem", "UpdateItem", "DeleteItem")
    ),
    ("dynamodb:Query", f"{OTHER}/index/open_work", {}),
    ("sqs:SendMessage", f"{SQS}:another-queue", {}),
    ("sqs:GetQueueAttributes", f"{SQS}:another-queue", {}),
    ("lambda:InvokeFunction", f"{FUNCTION}-transform", {}),
    ("states:StartExecution", f"{MACHINE}-two", {}),
    ("logs:PutLogEvents", f"{LOGS}:/aws/lambda/smelt-dev-ingest:log-stream:x", {}),
    # Originals stay as they are, and only prefixes of ours are listed.
    *((f"s3:{action}", f"{BRONZE}/bronze/shipments/a.jsonl", {}) for action in ("PutObject", "DeleteObject")),
    ("s3:GetObject", f"{BRONZE}/private/a.jsonl", {}),
    ("s3:DeleteObject", f"{BRONZE}/bronze/replay/1/bronze/shipments/a.jsonl", {}),
    ("s3:ListBucket", BRONZE, {"s3:prefix": "private/"}),
    ("s3:ListBucketVersions", BRONZE, {"s3:prefix": "private/"}),
    ("s3:ListBucket", SILVER, {"s3:prefix": "private/"}),
    ("s3:GetBucketPolicy", BRONZE, {}),
    ("s3:PutBucketPolicy", BRONZE, OF_BRONZE),
    ("s3:PutBucketPolicy", SILVER, OF_SILVER),
    ("s3:DeleteObjectVersion", f"{BRONZE}/bronze/replay/1/bronze/shipments/a.jsonl", {}),
    ("s3:DeleteObjectVersion", f"{BRONZE}/bronze/shipments/a.jsonl", {}),
    ("s3:DeleteObjectVersion", f"{SILVER}/silver/shipments/a.parquet", {}),
    ("s3:DeleteObject", f"{SILVER}/history/objects/a.parquet", {}),
    ("s3:ListBucket", ELSEWHERE, {"s3:prefix": "history/"}),
    # The ledger is neither scanned nor deleted; queues are not emptied; functions and machines are not changed.
    ("dynamodb:Scan", LEDGER, {}),
    ("dynamodb:DeleteTable", LEDGER, {}),
    ("dynamodb:Scan", f"{LEDGER}/index/open_work", {}),
    ("sqs:ReceiveMessage", UNITS, {}),
    ("sqs:PurgeQueue", UNITS, {}),
    ("lambda:UpdateFunctionCode", f"{FUNCTION}-ingest", {}),
    *(("lambda:UpdateFunctionCode", f"{FUNCTION}-ops-{function}", {}) for function in (*FUNCTIONS, "archive")),
    ("states:DeleteStateMachine", MACHINE, {}),
    ("logs:DeleteLogGroup", f"{LOGS}:/aws/lambda/smelt-dev-ingest", {}),
    *(
        ("logs:DeleteLogStream", f"{LOGS}:/aws/lambda/smelt-dev-ops-{function}:log-stream:x", {})
        for function in (*FUNCTIONS, "archive", "rewrite")
    ),
    ("xray:GetTraceSummaries", "*", {}),
    ("iam:PassRole", role_arn("workflow"), {}),
]


OF_ONE_ROLE: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "replay": [
        ("s3:ListBucketVersions", SILVER, {"s3:prefix": "history/"}),
        ("s3:ListBucket", SILVER, OF_SILVER),
        ("s3:GetObject", f"{SILVER}/silver/shipments/a.parquet", {}),
        *((f"dynamodb:{action}", LEDGER, {}) for action in ("UpdateItem", "DeleteItem")),
    ],
    "probe": [
        ("s3:ListBucketVersions", BRONZE, OF_BRONZE),
        ("s3:ListBucketVersions", SILVER, OF_SILVER),
        ("s3:ListBucket", SILVER, OF_QUARANTINE),
    ],
    "sweep": [("s3:ListBucket", SILVER, {"s3:prefix": "history/"}), ("s3:ListBucketVersions", SILVER, OF_SILVER)],
    "reconcile": [
        ("s3:ListBucket", BRONZE, OF_BRONZE),
        ("s3:ListBucketVersions", SILVER, {"s3:prefix": "history/"}),
    ],
    "archive": [("s3:ListBucketVersions", SILVER, {"s3:prefix": "history/"}), ("s3:ListBucket", SILVER, OF_SILVER)],
    "rewrite": [
        ("s3:ListBucketVersions", SILVER, {"s3:prefix": "history/"}),
        ("s3:DeleteObjectVersion", f"{SILVER}/history/lots/a.parquet", {}),
        ("s3:PutObject", f"{SILVER}/history/lots/a.parquet", {}),
    ],
}


def let_through(role: str, *variants: dict[str, Policy]) -> list[list[str]]:
    """The forbidden requests that each variant of a role's policy allows."""
    forbidden = FORBIDDEN + OF_ONE_ROLE.get(role, [])
    asks = [
        ask(variant, {}, role, Need(action, resource, tuple(more.items())))
        for variant in variants
        for action, resource, more in forbidden
    ]
    decisions = iter(decide(asks, ACCOUNT))
    return [
        [f"{action} {resource}" for action, resource, _ in forbidden if next(decisions) is Decision.ALLOWED]
        for _ in variants
    ]


EVERY_ROLE = (*FUNCTIONS, *PEOPLE)


@pytest.mark.parametrize("role", EVERY_ROLE)
def test_a_role_allows_nothing_else(roles: dict[str, Policy], role: str) -> None:
    assert let_through(role, roles) == [[]]


def loosened(roles: dict[str, Policy], role: str, sid: str, **wider: Any) -> dict[str, Policy]:
    changed = copy.deepcopy(roles)
    (statement,) = (one for one in changed[role]["Statement"] if one["Sid"] == sid)
    statement |= wider
    return changed


@pytest.mark.parametrize("role", EVERY_ROLE)
def test_a_statement_that_is_loosened_lets_a_forbidden_request_through(roles: dict[str, Policy], role: str) -> None:
    variants = {}
    for statement in roles[role]["Statement"]:
        sid, prefix = statement["Sid"], statement["Action"][0].split(":")[0]
        if set(statement["Action"]) != EVERY_LISTING:
            variants[f"{sid}: any action"] = loosened(roles, role, sid, Action=[f"{prefix}:*"])
        if statement["Resource"] != ["*"]:
            variants[f"{sid}: any resource"] = loosened(roles, role, sid, Resource=["*"])
        if "Condition" in statement:
            variants[f"{sid}: no condition"] = loosened(roles, role, sid, Condition={})
    found = dict(zip(variants, let_through(role, *variants.values()), strict=True))
    assert [name for name, allowed in found.items() if not allowed] == []


# ---- who becomes a role


@pytest.mark.parametrize("role", PEOPLE)
def test_only_its_own_service_becomes_a_role_for_its_own_resource(trust: dict[str, Policy], role: str) -> None:
    source = {"workflow": MACHINE, "scheduler": f"arn:aws:scheduler:{HERE}:schedule-group/smelt-dev-ops"}[role]
    ours = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": source}
    cases = [
        (SERVICE[role], ours),
        (SERVICE[role], ours | {"aws:SourceAccount": "111111111111"}),
        (SERVICE[role], ours | {"aws:SourceArn": f"{source}-two"}),
        ("lambda.amazonaws.com", ours),
    ]
    asks = [Ask(who, "sts:AssumeRole", role_arn(role), (), trust[role], context) for who, context in cases]
    assert [decision is Decision.ALLOWED for decision in decide(asks, ACCOUNT)] == [True, False, False, False]


def test_each_schedule_starts_what_its_role_may_start(planned: dict[str, Any], roles: dict[str, Policy]) -> None:
    schedules = of_type(planned, "aws_scheduler_schedule").values()
    targets = {schedule["name"]: schedule["target"][0]["arn"] for schedule in schedules}
    assert set(targets) == {f"smelt-dev-ops-{name}" for name in ("sweep", "archive", "reconcile", "workflow")}
    asks = [
        ask(
            roles, {}, "scheduler", Need("states:StartExecution" if ":states:" in arn else "lambda:InvokeFunction", arn)
        )
        for arn in targets.values()
    ]
    assert set(decide(asks, ACCOUNT)) == {Decision.ALLOWED}


def test_the_machine_runs_its_tasks_and_nothing_else(planned: dict[str, Any], roles: dict[str, Policy]) -> None:
    (machine,) = of_type(planned, "aws_sfn_state_machine").values()
    states = json.loads(machine["definition"])["States"].values()
    called = {state["Parameters"]["FunctionName"] for state in states if state["Type"] == "Task"}
    (run_tasks,) = (one for one in roles["workflow"]["Statement"] if one["Sid"] == "RunTasks")
    assert set(run_tasks["Resource"]) == called == {f"{FUNCTION}-ops-replay", f"{FUNCTION}-ops-probe"}
