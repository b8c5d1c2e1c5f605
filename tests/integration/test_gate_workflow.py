"""The gate workflow runs: the definition that Terraform deploys and its real function, over files that lots committed.

MiniStack runs the state machine. It does not run Glue jobs, so the state RunJob calls a test double: one that runs the
real job on local Spark (tests/support/glue_double.py; marked spark), or one that only breaks.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.ministack import ROOT, bootstrap
from local.stack import CREDENTIALS, REGION, bootstrap_zip, create_function
from services.shared.contract.model import Contract
from services.shared.ledger.ledger import Ledger
from tests.support.gate import SPARK_PYTHON
from tests.support.running import Running, await_true, deployed, json_lines, request
from tests.support.workflow import Execution, Workflow, quickly

DEFINITION = ROOT / "infra/terraform/modules/workflow_ge_gate/gate.asl.json"
needs_spark = [
    pytest.mark.spark,
    pytest.mark.skipif(
        not SPARK_PYTHON.exists() or shutil.which("java") is None, reason="`make setup-spark` and Java 17 are needed"
    ),
]


@pytest.fixture(scope="module")
def running(emulator: str) -> Running:
    return deployed(emulator)


@pytest.fixture(scope="module")
def sns(emulator: str) -> Any:
    return boto3.client(
        "sns",
        endpoint_url=emulator,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture(scope="module")
def gate_function(emulator: str, running: Running) -> str:
    environment = {
        "AWS_ENDPOINT_URL": emulator,
        "CONTRACTS_DIR": str(ROOT / "contracts"),
        "LEDGER_TABLE": running.names.ledger_table,
        "SILVER_BUCKET": running.names.silver_bucket,
        "GE_QUARANTINE_PREFIX": "ge/quarantine",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "ge-gate",
        "POWERTOOLS_METRICS_NAMESPACE": "tests",
    }
    return _function(running, "gate", "services.ops.app.gate.handler", environment)


@pytest.fixture(scope="module")
def double(emulator: str, running: Running) -> str:
    environment = {"AWS_ENDPOINT_URL": emulator, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    return _function(running, "glue-double", "tests.support.glue_double.handler", environment)


@pytest.fixture(scope="module")
def broken_job(running: Running) -> str:
    return _function(running, "broken-job", "tests.support.no_such_module.handler", {})


def _function(running: Running, name: str, handler: str, environment: dict[str, str]) -> str:
    code = bootstrap_zip(bootstrap(ROOT, sys.executable))
    made = f"{running.names.ingest}-{name}"
    return create_function(running.clients, made, code, handler, "provided.al2023", 900, {**CREDENTIALS, **environment})


class Told:
    """A topic, and who listens to it."""

    def __init__(self, sns: Any, running: Running, name: str) -> None:
        self._sqs = running.clients.sqs
        self.topic = sns.create_topic(Name=name)["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)

    def messages(self) -> list[dict[str, Any]]:
        found = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]


@pytest.fixture
def told(sns: Any, running: Running, request: pytest.FixtureRequest) -> Iterator[Told]:
    yield Told(sns, running, f"told-{abs(hash(request.node.name)) % 10**8}")


def _run(emulator: str, gate: str, job: str, topic: str, document: Any) -> Execution:
    text = DEFINITION.read_text().replace("${gate_function_arn}", gate).replace("${topic_arn}", topic)
    definition = json.loads(text.replace("${job_name}", "validate-silver"))
    state = definition["States"]["RunJob"]
    assert state["Parameters"]["JobName"] == "validate-silver"
    state["Resource"] = "arn:aws:states:::lambda:invoke"
    state["Parameters"] = {"FunctionName": job, "Payload": state["Parameters"]["Arguments"]}
    quickly(definition)
    return Workflow.of(emulator, definition).run(document)


def _load(running: Running, contracts: dict[str, Contract], name: str, doubled: bool = False) -> str:
    """Load rows of one day that no other test uses; gives the day."""
    day = f"2020-01-{int(name):02d}"
    rows = [
        json.loads(line) | {"event_time": f"{day}T12:00:00Z", "shipment_id": f"S{at}"}
        for at, line in enumerate(json_lines(contracts["shipments"], request(40, bad_rate=0)).splitlines())
    ]
    rows = [row | {"carrier": "DHL", "weight_kg": 1.5} for row in rows]
    if doubled:
        rows[7]["shipment_id"] = rows[8]["shipment_id"]
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    source = running.upload(f"bronze/shipments/gate/{name}.jsonl", data)
    await_true(lambda: bool(running.lots_of(source)))
    return day


def _asked(day: str) -> dict[str, str]:
    return {"record_type": "shipments", "dt": day, "result_prefix": "ge/results"}


def _file(running: Running, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return running.clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def _open(running: Running) -> dict[str, str]:
    ledger = Ledger(running.clients.dynamodb, running.names.ledger_table)
    return {dt: said.verdict for gate in ledger.gates.of(["shipments"]) for dt, said in gate.not_passed.items()}


@pytest.mark.parametrize("doubled", [False, True], ids=["good", "bad"])
class TestOnSpark:
    pytestmark = needs_spark

    def test_a_partition_is_judged(
        self,
        emulator: str,
        running: Running,
        contracts: dict[str, Contract],
        gate_function: str,
        double: str,
        told: Told,
        doubled: bool,
    ) -> None:
        day = _load(running, contracts, "2" if doubled else "1", doubled)
        ended = _run(emulator, gate_function, double, told.topic, _asked(day))
        if not doubled:
            assert (ended.status, ended.cause) == ("SUCCEEDED", "")
            assert (ended.output["verdict"], ended.output["rows"]) == ("passed", 40)
            assert b"passed</span>" in _file(running, ended.output["page"])
            assert told.messages() == []
            assert day not in _open(running)
            return
        assert (ended.status, ended.error) == ("FAILED", "GateFailed")
        assert f"The gate's verdict over shipments, dt={day} is failed: 1 of " in ended.cause
        assert "duplicateValues(shipment_id): rows that repeat shipment_id: 1, expected 0" in ended.cause
        (message,) = told.messages()
        assert (message["Subject"], message["Message"]) == (f"Gate failed: shipments, dt={day}", ended.cause)
        bucket = running.names.silver_bucket
        marker = json.loads(_file(running, f"s3://{bucket}/ge/quarantine/shipments/dt={day}/marker.json"))
        assert (marker["quarantined"], marker["verdict"]) == (True, "failed")
        assert _open(running)[day] == "failed"


def test_a_job_that_breaks_is_an_error_that_people_are_told_of(
    emulator: str,
    running: Running,
    contracts: dict[str, Contract],
    gate_function: str,
    broken_job: str,
    told: Told,
) -> None:
    day = _load(running, contracts, "3")
    ended = _run(emulator, gate_function, broken_job, told.topic, _asked(day))
    assert (ended.status, ended.error) == ("FAILED", "GateError")
    assert "The job has not judged the partition" in ended.cause
    assert [message["Subject"] for message in told.messages()] == [f"Gate error: shipments, dt={day}"]
    assert _open(running)[day] == "error"


def test_a_partition_without_rows_is_an_error_and_no_job_runs(
    emulator: str, running: Running, gate_function: str, broken_job: str, told: Told
) -> None:
    ended = _run(emulator, gate_function, broken_job, told.topic, _asked("1999-01-01"))
    assert (ended.status, ended.error) == ("FAILED", "GateError")
    assert "There is no committed row in the partition" in ended.cause
    assert "RunJob" not in ended.entered
    assert len(told.messages()) == 1
    assert "1999-01-01" not in _open(running)  # nobody could ever make it pass


def test_without_a_topic_the_execution_fails_all_the_same(emulator: str, gate_function: str, broken_job: str) -> None:
    ended = _run(emulator, gate_function, broken_job, "", _asked("1999-01-02"))
    assert (ended.status, ended.error) == ("FAILED", "GateError")
    assert "Tell" not in ended.entered


def test_an_input_that_is_wrong_is_refused_and_nobody_is_told(
    emulator: str, gate_function: str, broken_job: str, told: Told
) -> None:
    document = {"record_type": "parcels", "dt": "today", "result_prefix": "silver/x", "more": 1}
    ended = _run(emulator, gate_function, broken_job, told.topic, document)
    assert (ended.status, ended.error) == ("FAILED", "InvalidInput")
    for told_of in ("'more' is not a key", "record_type is 'parcels'", "dt is 'today'", "result_prefix is 'silver/x'"):
        assert told_of in ended.cause
    assert told.messages() == []


def test_a_function_that_never_answers_is_told_as_an_error(
    emulator: str, running: Running, broken_job: str, told: Told
) -> None:
    ended = _run(emulator, broken_job, broken_job, told.topic, _asked("2020-01-04"))
    assert (ended.status, ended.error) == ("FAILED", "GateError")
    assert "so the partition was not judged" in ended.cause
    assert [message["Subject"] for message in told.messages()] == ["Gate error: an execution has stopped"]


def test_a_topic_that_refuses_does_not_hide_the_verdict(emulator: str, gate_function: str, broken_job: str) -> None:
    nobody = "arn:aws:sns:us-east-2:000000000000:no-such-topic"
    ended = _run(emulator, gate_function, broken_job, nobody, _asked("1999-01-03"))
    assert (ended.status, ended.error) == ("FAILED", "GateError")
    assert "There is no committed row" in ended.cause
