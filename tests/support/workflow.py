"""The ops workflow on an emulator: the definition that Terraform deploys, with the real functions."""

from __future__ import annotations

import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from local.ministack import ROOT, bootstrap
from local.stack import CREDENTIALS, REGION, Resources, bootstrap_zip, create_function, function_environment
from tests.support.running import Running, await_true

DEFINITION = ROOT / "infra/terraform/modules/workflow_ops/ops.asl.json"
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
        """Create it. `change` may make a definition quicker, or wrong, for a test."""
        document = json.loads(definition(functions))
        if change:
            change(document)
        states = states_client(endpoint)
        made = states.create_state_machine(
            name=f"ops-{uuid.uuid4().hex[:8]}",
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
