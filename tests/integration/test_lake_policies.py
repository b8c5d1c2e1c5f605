"""What IAM decides about the lake's functions and commands: they do their work, and never change Silver's files.

Publishing, a swap, and maintenance run on the emulator's Glue and S3; each request of these runs is decided by
iam-simulate under the policy of a real plan. Arrow's requests are seen on the wire (tests/support/s3_requests.py).
"""

from __future__ import annotations

import copy
import io
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.client
import pyarrow.parquet as pq
import pytest

from glue.store import bronze_at, store_at
from local.ministack import ROOT
from local.stack import CREDENTIALS, Clients, create_bucket, create_ledger
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.ops.lake.maintenance import Maintenance
from services.ops.lake.opening import open_lake
from services.ops.lake.run import publish
from services.ops.lake.store import S3Store
from services.shared.aws import aws_client
from services.shared.compaction import CompactionPlan
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.gate.plan import GatePlan
from services.shared.identities import GateRun, ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox
from services.shared.recompute import RecomputePlan
from tests.faults.rig import shipment
from tests.integration.test_lake_plan import TOGGLES
from tests.integration.test_rewriting_commands import Pipeline
from tests.lake.compacting import run_job
from tests.support.iam import TRANSACTION_ACTIONS, Need
from tests.support.iam_policies import Policy
from tests.support.iam_simulate import Ask, Decision, decide, need_simulator
from tests.support.s3_requests import watched
from tests.support.terraform import IMAGES, of_type, plan

ACCOUNT = "000000000000"
HERE = f"us-east-2:{ACCOUNT}"
KEY = f"arn:aws:kms:{HERE}:key/ours"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/lake"
SILVER = f"arn:aws:s3:::smelt-dev-silver-{ACCOUNT}-us-east-2"
BRONZE = f"arn:aws:s3:::smelt-dev-bronze-{ACCOUNT}-us-east-2"
LEDGER = f"arn:aws:dynamodb:{HERE}:table/smelt-dev-ledger"
GLUE = f"arn:aws:glue:{HERE}"
KEY_POLICY = {  # the account's own policies decide
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
    ],
}
OF_THE_PLATFORM = [
    Need("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:/aws/lambda/smelt-dev-lake-{{}}:log-stream:a"),
    Need("xray:PutTraceSegments", "*"),
    Need("kms:Decrypt", KEY, (("kms:ViaService", "dynamodb.us-east-2.amazonaws.com"),)),
    Need("kms:GenerateDataKey", KEY, (("kms:ViaService", "s3.us-east-2.amazonaws.com"),)),
]
# What neither function may do.
NOBODY = [
    *(
        Need(f"s3:{action}", f"{SILVER}/{root}/shipments/dt=2026-01-01/a.parquet")
        for action in ("DeleteObject", "DeleteObjectVersion", "PutObject")
        for root in ("silver", "quarantine", "history")
    ),
    Need("s3:DeleteObject", f"{BRONZE}/bronze/shipments/a.jsonl"),
    Need("s3:PutObject", f"{BRONZE}/bronze/shipments/a.jsonl"),
    Need("s3:DeleteObjectVersion", f"{BRONZE}/bronze/shipments/a.jsonl"),
    Need("s3:PutBucketPolicy", SILVER),
    Need("s3:GetObject", "arn:aws:s3:::another-bucket/silver/a"),
    Need("glue:DeleteTable", f"{GLUE}:table/smelt_dev/shipments"),
    Need("glue:UpdateTable", f"{GLUE}:table/another/shipments"),
    Need("glue:UpdateTable", f"{GLUE}:table/smelt_dev/silver"),
    Need("dynamodb:PutItem", f"arn:aws:dynamodb:{HERE}:table/another"),
    Need("dynamodb:DeleteTable", LEDGER),
    Need("kms:Decrypt", KEY, (("kms:ViaService", "sqs.us-east-2.amazonaws.com"),)),
]
COMMANDS = [
    ("publish", "--backfill"),
    ("publish", "check"),
    ("compact", "shipments", "2026-01-01"),
    ("publish", "tidy"),
    ("validate", "shipments", "2026-01-01"),
    ("recompute", "shipments", "2026-01-01"),
]
JUDGED_BEFORE = GateRun("ge/results", "shipments", "2026-01-01", "20260102T000000Z", "0123456789abcdef")
MAY_NOT = {
    "publish": [*NOBODY, Need("s3:DeleteObject", f"{SILVER}/silver_compacted/shipments/dt=2026-01-01/run=1/a.parquet")],
    "maintain": [
        *NOBODY,
        Need("s3:GetObject", f"{SILVER}/silver/shipments/dt=2026-01-01/a.parquet"),
        Need("glue:CreateTable", f"{GLUE}:table/smelt_dev/shipments"),
        Need("s3:PutObject", f"{SILVER}/silver_compacted/shipments/dt=2026-01-01/run=1/a.parquet"),
    ],
}


@pytest.fixture(scope="module")
def planned(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    need_simulator()
    variables = {"images": IMAGES, **TOGGLES, "kms_key_arn": KEY, "operator_policies_enabled": True}
    scratch: Path = tmp_path_factory.mktemp("plan")
    return plan("envs/dev", "dev.tfvars", variables, emulator, scratch)


@pytest.fixture(scope="module")
def policies(planned: dict[str, Any]) -> dict[str, Policy]:
    found = {}
    for address, values in of_type(planned, "aws_iam_role_policy").items():
        for function in MAY_NOT:
            if f'module.lake[0].module.function["{function}"]' in address:
                found[function] = json.loads(values["policy"])
    return found


@pytest.fixture
def asked(
    clients: Clients,
    emulator: str,
    contracts: dict[str, Contract],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    tmp_path: Path,
) -> dict[str, set[Need]]:
    """What each function needs: publishing, a compaction that a retraction dissolves, maintenance three days later."""
    mark = uuid.uuid4().hex[:8]
    names = [f"bronze-{mark}", f"silver-{mark}", f"ledger-{mark}", f"lake_{mark}"]
    for bucket in names[:2]:
        create_bucket(clients.s3, bucket)
    create_ledger(clients.dynamodb, names[2])
    with watched(emulator) as (endpoint, of_s3):
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint}).items():
            monkeypatch.setenv(name, value)
        others = _record(monkeypatch)
        pipeline = Pipeline(clients, contracts, names[2], names[0], names[1], capsys)
        needs: dict[str, set[Need]] = {}

        def note(function: str) -> None:
            needs.setdefault(function, set()).update(_as_planned(need, names) for need in (*of_s3, *others))

        def forget() -> None:
            of_s3.clear()
            others.clear()

        ledger = Ledger(aws_client("dynamodb"), names[2], outboxes={Outbox.PUBLISH})
        s3 = aws_client("s3")
        monkeypatch.setattr("services.ops.cli.compact.run_here", _job(clients, names[1], contracts, tmp_path))
        monkeypatch.setattr("services.ops.cli.validate.validate", _judged)
        monkeypatch.setattr("services.ops.cli.recompute.run_job", _recomputed)
        lake, store = open_lake(s3, names[1], names[3])
        aws_client("glue").create_database(DatabaseInput={"Name": names[3]})  # Terraform's

        def publish_all() -> None:
            forget()
            done = publish(ledger, lake, store, contracts, History.of(s3, names[1]), Deadline.endless(), again=True)
            assert done.all_right, done.problems
            note("publish")

        pipeline.load(("a.jsonl", [shipment(n, 1 + n % 2) for n in range(6)]))
        publish_all()
        (wrong,) = pipeline.load(("wrong.jsonl", [shipment(50)]))
        publish_all()
        clients.s3.put_object(Bucket=names[1], Key=JUDGED_BEFORE.plan, Body=b"a plan of the gate on AWS")
        forget()
        for command in COMMANDS:
            given = {"validate": ["--out", str(tmp_path / "gate")], "recompute": []}
            pipeline.run(*command, *given.get(command[0], ["--database", names[3]]))
        note("commands")
        forget()
        code, out, error = pipeline.run("audit", "--bronze-bucket", names[0], "--database", names[3])
        assert code in (0, 1) and "lake" in out, error
        note("audit")
        pipeline.run("retract", str(wrong.id), "--reason", "wrong", "--yes")
        publish_all()  # which forgets the snapshots before it
        pipeline.load(("b.jsonl", [shipment(60)]))
        publish_all()
        later = datetime.now(UTC) + timedelta(days=3)
        forget()
        Maintenance(ledger, lake, store, Deadline.endless(), lambda: later).run("shipments")
        note("maintain")
    return needs


def _job(clients: Clients, bucket: str, contracts: dict[str, Contract], folder: Path) -> Any:
    """In place of Spark, with a client that nobody watches: test_compaction_policies.py has what the job needs."""

    def run(_lake: str, plan_key: str, _mode: str) -> None:
        store = S3Store(clients.s3, bucket)
        text = store.read(plan_key)
        assert text is not None
        plan = CompactionPlan.from_json(text)
        for file in plan.inputs:
            (folder / file.key).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.key).write_bytes(store.read(file.key) or b"")
        rig: Any = SimpleNamespace(folder=folder, store=store, contracts=contracts)
        run_job(rig, plan)

    return run


def _judged(_folder: Path, plan: GatePlan) -> Any:
    """The files were brought here; Spark asks AWS for nothing."""
    assert plan.files
    raise OperatorError("no Spark here")


def _recomputed(lake: str, plan_key: str, *_where: Any) -> None:
    """In place of Spark, with what the job asks S3 for: files by their etags, and the objects that they name."""
    store = store_at(lake)
    plan = RecomputePlan.from_json(store.find(plan_key) or b"")
    files = [store.read(file.key, file.etag) for file in (*plan.silver, *plan.quarantine)]
    rows = [row for data in files for row in pq.read_table(io.BytesIO(data), columns=["_source"]).to_pylist()]
    objects = {ObjectId.parse(row["_source"]) for row in rows}
    assert objects
    for one in objects:
        bronze = bronze_at("", one.bucket)
        assert bronze.size(one.key) == len(bronze.read(one.key, one.etag))
    report = {"run": str(plan.run), "rows": {"same": len(rows)}, "objects": [], "differences": []}
    store.put(plan.report_key, json.dumps(report).encode())


def _record(monkeypatch: pytest.MonkeyPatch) -> list[Need]:
    """A list that grows by what boto3's requests for DynamoDB and Glue need."""
    seen: list[Need] = []
    call = botocore.client.BaseClient._make_api_call

    def recorded(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        seen.extend(_needs(self.meta.service_model.service_name, operation, parameters))
        return call(self, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recorded)
    return seen


def _needs(service: str, operation: str, given: dict[str, Any]) -> Iterator[Need]:
    if service == "glue":
        database = given.get("DatabaseName") or given.get("Name") or given["DatabaseInput"]["Name"]
        yield Need(f"glue:{operation}", f"{GLUE}:catalog")
        yield Need(f"glue:{operation}", f"{GLUE}:database/{database}")
        if table := given.get("TableInput", {}).get("Name") or ("DatabaseName" in given and given.get("Name")):
            yield Need(f"glue:{operation}", f"{GLUE}:table/{database}/{table}")
    elif operation == "BatchGetItem":
        yield from (Need("dynamodb:BatchGetItem", _table(name)) for name in given["RequestItems"])
    elif operation == "TransactWriteItems":
        for write in given["TransactItems"]:
            ((kind, one),) = write.items()
            yield Need(TRANSACTION_ACTIONS[kind], _table(one["TableName"]))
    elif service == "dynamodb":
        index = f"/index/{given['IndexName']}" if "IndexName" in given else ""
        yield Need(f"dynamodb:{operation}", _table(given["TableName"]) + index)


def _table(name: str) -> str:
    return f"arn:aws:dynamodb:{HERE}:table/{name}"


def _as_planned(need: Need, names: list[str]) -> Need:
    """The same of the deployed pipeline."""
    bronze, silver, ledger, database = names
    planned = {
        f"arn:aws:s3:::{bronze}": BRONZE,
        f"arn:aws:s3:::{silver}": SILVER,
        _table(ledger): LEDGER,
        f"/{database}": "/smelt_dev",
    }
    resource = need.resource
    for own, other in planned.items():
        resource = resource.replace(own, other)
    return need._replace(resource=resource)


def decisions(needs: list[Need], policy: Policy) -> dict[Need, Decision]:
    asks = [
        Ask(
            ROLE,
            need.action,
            need.resource,
            (policy,),
            KEY_POLICY if need.resource == KEY else None,
            dict(need.context),
        )
        for need in needs
    ]
    return dict(zip(needs, decide(asks, ACCOUNT), strict=True))


def test_each_function_may_do_its_work_and_needs_each_statement(
    asked: dict[str, set[Need]], policies: dict[str, Policy]
) -> None:
    assert {need.action for need in asked["publish"]} >= {"glue:CreateTable", "glue:UpdateTable", "s3:PutObject"}
    assert {need.action for need in asked["maintain"]} >= {"glue:UpdateTable", "s3:DeleteObject"}
    for function, policy in policies.items():
        of_platform = [need._replace(resource=need.resource.format(function)) for need in OF_THE_PLATFORM]
        needs = [*sorted(asked[function]), *of_platform]
        found = decisions(needs, policy)
        assert [need for need, decision in found.items() if decision is not Decision.ALLOWED] == [], function
        for at in range(len(policy["Statement"])):
            fewer = copy.deepcopy(policy)
            removed = fewer["Statement"].pop(at)["Sid"]
            without = decisions(needs, fewer)
            assert [need for need, decision in without.items() if decision is not Decision.ALLOWED], (function, removed)


@pytest.mark.parametrize("function", MAY_NOT)
def test_neither_function_changes_a_row_or_bronze_or_another_table(function: str, policies: dict[str, Policy]) -> None:
    found = decisions(MAY_NOT[function], policies[function])
    assert [need for need, decision in found.items() if decision is not Decision.NOT_ALLOWED] == []


def documented() -> Policy:
    """The policy of docs/operations.md, with the names of the planned pipeline."""
    text = (ROOT / "docs/operations.md").read_text("utf-8").partition("### For the lake, compaction and the gate")[2]
    block = text.partition("```json")[2].partition("```")[0]
    ledger, silver = LEDGER.rpartition("/")[2], SILVER.rpartition(":")[2]
    names = {"REGION": "us-east-2", "ACCOUNT": ACCOUNT, "LEDGER": ledger, "SILVER": silver, "DATABASE": "smelt_dev"}
    names["BRONZE"] = BRONZE.rpartition(":")[2]
    for name, value in names.items():
        block = block.replace(name, value)
    found: Policy = json.loads(block)
    return found


def test_the_documented_policy_lets_a_person_type_the_commands_and_no_more(asked: dict[str, set[Need]]) -> None:
    policy = documented()
    recompute = {
        Need("s3:GetObject", f"{SILVER}/quarantine/shipments/dt=2026-01-01/a.parquet"),
        Need("s3:ListBucket", BRONZE, (("s3:prefix", "bronze/shipments/a.jsonl"),)),  # is an object gone, or forbidden?
    }
    needs = sorted(asked["commands"] | asked["publish"] | asked["maintain"] | recompute)
    written = {
        need.resource.removeprefix(f"{SILVER}/").split("/")[0] for need in needs if need.action == "s3:PutObject"
    }
    assert written == {"lake", "silver_compacted"}
    found = decisions(needs, policy)
    assert [need for need, decision in found.items() if decision is not Decision.ALLOWED] == []
    for at in range(len(policy["Statement"])):
        fewer = copy.deepcopy(policy)
        removed = fewer["Statement"].pop(at)["Sid"]
        without = decisions(needs, fewer)
        assert [need for need, decision in without.items() if decision is not Decision.ALLOWED], removed
    refused = decisions([need for need in NOBODY if need.resource != KEY], policy)
    assert [need for need, decision in refused.items() if decision is not Decision.NOT_ALLOWED] == []


def test_operators_who_may_read_may_audit_the_tables(asked: dict[str, set[Need]], planned: dict[str, Any]) -> None:
    (values,) = (
        values for values in of_type(planned, "aws_iam_policy").values() if values["name"].endswith("-operator-read")
    )
    assert {need.action for need in asked["audit"]} >= {"glue:GetTable", "s3:GetObject", "dynamodb:Scan"}
    found = decisions(sorted(asked["audit"]), json.loads(values["policy"]))
    assert [need for need, decision in found.items() if decision is not Decision.ALLOWED] == []
