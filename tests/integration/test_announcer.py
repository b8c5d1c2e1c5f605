"""The announcer's handler on an emulator: a commit's mark becomes an event, and the event starts an execution."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import boto3
import pytest

from local.ministack import ROOT
from local.stack import CREDENTIALS, REGION
from services.ops.app import announce
from services.ops.cli.app import app
from services.ops.cli.console import ExitCode, execute
from services.shared.contract.model import Contract
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox
from tests.faults.rig import Rig, shipment
from tests.integration.test_least_privilege import Context
from tests.support.running import await_true
from tests.support.workflow import Workflow

TRIGGER = (ROOT / "infra/terraform/modules/workflow_ge_gate/trigger.tf").read_text()


def _client(service: Any, endpoint: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture
def rig(clients: Any, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    return Rig(clients.dynamodb, ledger_table, contracts, outboxes=frozenset({Outbox.EVENTS}))


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, emulator: str, ledger_table: str) -> str:
    """The name of a pipeline whose announcer runs here."""
    name = f"smelt-{uuid.uuid4().hex[:6]}"
    environment = {**CREDENTIALS, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": emulator}
    environment |= {"LEDGER_TABLE": ledger_table, "PIPELINE": name, "ANNOUNCE_EVERY_MINUTES": "15"}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    for cached in (announce._settings, announce._ledger, announce._events):
        cached.cache_clear()
    return name


def _rule(endpoint: str, pipeline: str, workflow: Workflow) -> None:
    """The rule and its target as trigger.tf has them."""
    template = re.search(r'input_template = "(.+)"', TRIGGER)
    assert template
    assert 'source      = ["smelt"]' in TRIGGER
    assert 'detail-type = ["Silver partition written"]' in TRIGGER
    pattern = {
        "source": ["smelt"],
        "detail-type": ["Silver partition written"],
        "detail": {"pipeline": [pipeline]},
    }
    transformer = {
        "InputPathsMap": {"record_type": "$.detail.record_type", "dt": "$.detail.dt"},
        "InputTemplate": template[1].replace('\\"', '"'),
    }
    events = _client("events", endpoint)
    events.put_rule(Name=pipeline, EventPattern=json.dumps(pattern))
    target = {"Id": "gate", "Arn": workflow.machine, "RoleArn": "arn:aws:iam::000000000000:role/rule"}
    events.put_targets(Rule=pipeline, Targets=[target | {"InputTransformer": transformer}])


def test_a_written_partition_starts_an_execution_with_its_name(emulator: str, rig: Rig, pipeline: str) -> None:
    workflow = Workflow.of(emulator, {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
    _rule(emulator, pipeline, workflow)
    rig.upload("shipments", [shipment(number, 1 + number % 2) for number in range(4)])
    rig.drain(rig.units)
    told = announce.handler({}, Context())
    assert (told["events"], told["marks"], told["waiting"], told["finished"]) == (2, 1, 0, True)

    def started() -> list[dict[str, str]]:
        listed = workflow.states.list_executions(stateMachineArn=workflow.machine)["executions"]
        found = [workflow.states.describe_execution(executionArn=one["executionArn"])["input"] for one in listed]
        return sorted(map(json.loads, found), key=str)

    await_true(lambda: len(started()) == 2)
    assert started() == [{"record_type": "shipments", "dt": f"2026-01-0{day}"} for day in (1, 2)]
    assert announce.handler({}, Context())["events"] == 0


def test_events_that_are_refused_fail_the_function_and_stay(
    monkeypatch: pytest.MonkeyPatch, rig: Rig, pipeline: str, clients: Any, ledger_table: str
) -> None:
    rig.upload("shipments", [shipment(1)])
    rig.drain(rig.units)
    monkeypatch.setattr(announce.Events, "send", lambda _self, partitions: ["Throttled: slow down"] * len(partitions))
    with pytest.raises(announce.NotAllSent, match="shipments, dt=2026-01-01: Throttled"):
        announce.handler({}, Context())
    assert len(list(Ledger(clients.dynamodb, ledger_table).marks.to_deal_with(Outbox.EVENTS))) == 1


def test_switched_off_nothing_waits_and_rewrites_leave_no_mark(
    rig: Rig, pipeline: str, clients: Any, ledger_table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(clients.dynamodb, ledger_table, outboxes=frozenset({Outbox.EVENTS}))
    ledger.marks.settle()
    rig.upload("shipments", [shipment(1)])
    rig.drain(rig.units)
    assert execute(app, ["events", "off", "--table", ledger_table]) == ExitCode.OK
    assert "1 marks were waiting" in capsys.readouterr().out
    assert list(ledger.marks.to_deal_with(Outbox.EVENTS)) == []
    assert Ledger(clients.dynamodb, ledger_table).marks.opened() == frozenset()
