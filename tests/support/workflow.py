"""The ops workflow on an emulator: the definition that Terraform deploys, with the real functions."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from local.ministack import ROOT
from local.stack import CREDENTIALS, REGION
from tests.support.running import await_true

DEFINITION = ROOT / "infra/terraform/modules/workflow_ops/ops.asl.json"
OPS_FUNCTIONS = ("replay", "probe")  # that the state machine calls


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
