"""The workflows of a deployed platform: an execution's input from Terraform's outputs and from what a person asks.

Prints nothing; `infra/deploy/cli/workflow.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.deploy.outputs import STATE_ELSEWHERE
from services.ops.errors import OperatorError

DESTINATION = "bronze/replay/manual"
_RUNNING = "RUNNING"


class NoWorkflow(OperatorError):
    """There is no state machine, or none of its executions."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A state machine: Terraform's output of its ARN, the toggles that create it, the `make` target that starts it."""

    output: str
    toggle: str
    start: str


OPS = Kind("ops_state_machine_arn", "ops_enabled = true", "ops-start")
GATE = Kind("ge_state_machine_arn", "ge_enabled = true and ge_workflow_enabled = true", "ge-start")


@dataclass(frozen=True, slots=True)
class Ended:
    """One execution as Step Functions describes it."""

    arn: str
    status: str
    started: str
    ended: str
    error: str
    cause: str
    output: str

    @property
    def is_running(self) -> bool:
        return self.status == _RUNNING

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCEEDED"


def machine_of(outputs: Mapping[str, Any], kind: Kind = OPS) -> str:
    """The state machine's ARN.

    Raises:
        NoWorkflow: Terraform has created none.
    """
    arn = outputs.get(kind.output)
    if not arn and not outputs.get("bronze_bucket"):
        raise NoWorkflow(f"Terraform has created no pipeline, and no state machine. {STATE_ELSEWHERE}")
    if not arn:
        raise NoWorkflow(
            f"Terraform has created no state machine: set {kind.toggle} in the environment's tfvars, then run "
            "`make tf-apply`." + (" The gate also needs `make glue-assets` before it." if kind is GATE else "")
        )
    return str(arn)


def input_of(outputs: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The guide's input: buckets from Terraform, the rest as asked. What is None is left to the workflow's defaults."""
    given = {key: value for key, value in asked.items() if value is not None}
    return {
        "bronze_bucket": outputs["bronze_bucket"],
        "dest_prefix_base": DESTINATION,
        "silver_bucket": outputs["silver_bucket"],
        "silver_prefix": "silver",
        **given,
    }


def latest(states: Any, machine: str, kind: Kind = OPS) -> str:
    """The ARN of the execution that was started last.

    Raises:
        NoWorkflow: none was.
    """
    found = states.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
    if not found:
        raise NoWorkflow(f"No execution has been started yet. `make {kind.start}` starts one.")
    return str(found[0]["executionArn"])


def described(states: Any, execution: str) -> Ended:
    """What became of an execution."""
    told = states.describe_execution(executionArn=execution)
    times = [told[name].isoformat(timespec="seconds") if told.get(name) else "" for name in ("startDate", "stopDate")]
    rest = [told.get(name) or "" for name in ("error", "cause", "output")]
    return Ended(execution, told["status"], *times, *rest)


def states_entered(states: Any, execution: str) -> list[tuple[str, str]]:
    """When each state was entered, in order."""
    return [
        (event["timestamp"].isoformat(timespec="seconds"), event["stateEnteredEventDetails"]["name"])
        for page in states.get_paginator("get_execution_history").paginate(executionArn=execution)
        for event in page["events"]
        if "stateEnteredEventDetails" in event
    ]
