"""The ops workflow on an emulator: the definition that Terraform deploys, with the real functions."""

from __future__ import annotations

import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3

from local.ministack import ROOT, bootstrap
from local.stack import CREDENTIALS, REGION, Resources, bootstrap_zip, create_function, function_environment
from services.ops.audit.audit import Limits, audit
from services.ops.audit.listings import S3Listings
from services.ops.audit.scope import Scope
from services.shared.contract.model import Contract
from services.shared.ledger.ledger import Ledger
from services.shared.units import BronzeObject
from tests.support.running import Running, await_true, json_lines, request

DEFINITION = ROOT / "infra/terraform/modules/workflow_ops/ops.asl.json"
ROWS = 20  # of each object
OPS_FUNCTIONS = ("replay", "probe")  # that the state machine calls
Package = Callable[[str], tuple[bytes, str]]  # function -> its zip and its runtime


def definition(functions: Mapping[str, str]) -> str:
    """The definition as Terraform's templatefile makes it, with the ARN of each function."""
    text = DEFINITION.read_text()
    for name, arn in functions.items():
        text = text.replace(f"${{{name}_function_arn}}", arn)
    assert "${" not in text
    return text


@dataclass(frozen=True)
class Execution:
    """One execution that has ended."""

    status: str  # SUCCEEDED, FAILED, TIMED_OUT or ABORTED
    output: Any  # None where it failed
    error: str
    cause: str
    history: list[dict[str, Any]]

    @property
    def entered(self) -> Counter[str]:
        """State -> how often it was entered."""
        return Counter(
            event["stateEnteredEventDetails"]["name"] for event in self.history if "stateEnteredEventDetails" in event
        )

    def count(self, kind: str) -> int:
        """How many events of a kind are in the history."""
        return sum(event["type"] == kind for event in self.history)


def states_client(endpoint: str) -> Any:
    """A client of an emulator's Step Functions."""
    return boto3.client(
        "stepfunctions",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def in_this_checkout(function: str) -> tuple[bytes, str]:
    """A function on the embedded emulator."""
    return bootstrap_zip(bootstrap(ROOT, sys.executable)), "provided.al2023"


def create_ops_functions(running: Running, package: Package, extra: Mapping[str, str]) -> dict[str, str]:
    """Create the functions that the state machine calls; gives their ARNs. `extra` says where the emulator is."""
    names = running.names
    queue, dlq = running.queue_url(names.queue), running.queue_url(names.dlq)
    own = {"SILVER_BUCKET": names.silver_bucket, "INGEST_FUNCTION": names.ingest, **extra}
    made = {}
    for function in OPS_FUNCTIONS:
        code, runtime = package(function)
        environment = function_environment(names, Resources(queue, "", dlq), f"ops-{function}", own)
        handler = f"services.ops.app.{function}.handler"
        name = f"{names.ingest}-ops-{function}"
        made[function] = create_function(running.clients, name, code, handler, runtime, 900, environment)
    return made


@dataclass(frozen=True)
class Workflow:
    """One state machine on an emulator."""

    states: Any
    machine: str

    @classmethod
    def created(
        cls, endpoint: str, functions: Mapping[str, str], change: Callable[[Any], None] | None = None
    ) -> Workflow:
        """Create the ops workflow. `change` may make a definition quicker, or wrong, for a test."""
        document = json.loads(definition(functions))
        if change:
            change(document)
        return cls.of(endpoint, document)

    @classmethod
    def of(cls, endpoint: str, document: Any) -> Workflow:
        """Create a state machine of a definition."""
        states = states_client(endpoint)
        made = states.create_state_machine(
            name=f"test-{uuid.uuid4().hex[:8]}",
            definition=json.dumps(document),
            roleArn="arn:aws:iam::000000000000:role/ops",
        )
        return cls(states, made["stateMachineArn"])

    def start(self, document: Any) -> str:
        """Start an execution; gives its ARN."""
        answer = self.states.start_execution(stateMachineArn=self.machine, input=json.dumps(document))
        return str(answer["executionArn"])

    def ended(self, execution: str, seconds: float = 120) -> Execution:
        """Wait for the end of an execution."""
        await_true(lambda: self.states.describe_execution(executionArn=execution)["status"] != "RUNNING", seconds)
        found = self.states.describe_execution(executionArn=execution)
        history = [
            event
            for page in self.states.get_paginator("get_execution_history").paginate(executionArn=execution)
            for event in page["events"]
        ]
        output = json.loads(found["output"]) if found.get("output") else None
        return Execution(found["status"], output, found.get("error", ""), found.get("cause", ""), history)

    def run(self, document: Any) -> Execution:
        return self.ended(self.start(document))


# ---- a pipeline that has lost work


def asked(running: Running, folder: str, **changes: Any) -> dict[str, Any]:
    """The guide's input, of a folder of its own and quick."""
    return {
        "bronze_bucket": running.names.bronze_bucket,
        "src_prefix": f"bronze/shipments/{folder}/",
        "dest_prefix_base": "bronze/replay/manual",
        "window_hours": 24,
        "silver_bucket": running.names.silver_bucket,
        "silver_prefix": "silver",
        "record_type": "shipments",
        "min_parquet_objects": 1,
        "poll_interval_seconds": 1,
        "max_attempts": 60,
    } | changes


def upload(running: Running, contracts: dict[str, Contract], folder: str, name: str) -> BronzeObject:
    data = json_lines(contracts["shipments"], request(ROWS, bad_rate=0.1))
    return running.upload(f"bronze/shipments/{folder}/{name}.jsonl", data)


def upload_unheard(running: Running, contracts: dict[str, Contract], folder: str, name: str) -> BronzeObject:
    """An object of which S3 tells nobody."""
    s3, bucket = running.clients.s3, running.names.bronze_bucket
    told: Any = s3.get_bucket_notification_configuration(Bucket=bucket)
    told.pop("ResponseMetadata")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    source = upload(running, contracts, folder, name)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=told)
    return source


def ledger_of(running: Running) -> Ledger:
    return Ledger(running.clients.dynamodb, running.names.ledger_table)


def plan_and_lose(running: Running, contracts: dict[str, Contract], folder: str, name: str) -> BronzeObject:
    """An object that the ledger has as planned, and whose message is nowhere."""
    source = upload_unheard(running, contracts, folder, name)
    ledger = ledger_of(running)
    ledger.objects.finish(ledger.objects.begin(source, 64 * 1024 * 1024, 60))
    return source


def check_that_nothing_is_doubled_or_missing(running: Running, sources: list[BronzeObject], folder: str) -> None:
    for source in sources:
        rows = running.rows_of(source)
        assert (len(rows), len({row["_offset"] for row in rows})) == (ROWS, ROWS), source.key
    listings = S3Listings(running.clients.s3, running.names.bronze_bucket, running.names.silver_bucket)
    scope = Scope(prefix=f"bronze/shipments/{folder}/")
    found = audit(ledger_of(running), listings, scope, Limits(in_flight=timedelta(0))).findings
    assert found.kept == []


def quickly(document: Any) -> None:
    """Tries as often, with short pauses."""
    for state in document["States"].values():
        for retry in state.get("Retry", []):
            retry |= {"IntervalSeconds": 1, "BackoffRate": 1, "MaxDelaySeconds": 2}
