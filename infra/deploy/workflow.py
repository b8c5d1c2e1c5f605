"""The ops workflow of a deployed platform: an execution's input from Terraform's outputs and from what a person asks.

Prints nothing; `infra/deploy/cli/workflow.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.ops.errors import OperatorError

DESTINATION = "bronze/replay/manual"
_RUNNING = "RUNNING"


class NoWorkflow(OperatorError):
    """There is no state machine, or none of its executions."""


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


def machine_of(outputs: Mapping[str, Any]) -> str:
    """The state machine's ARN.

    Raises:
        NoWorkflow: Terraform has created none.
    """
    arn = outputs.get("ops_state_machine_arn")
    if not arn:
        raise NoWorkflow(
            "Terraform has created no state machine: set ops_enabled = true in the environment's tfvars, then run "
            "`make tf-apply`."
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


def latest(states: Any, machine: str) -> str:
    """The ARN of the execution that was started last.

    Raises:
        NoWorkflow: none was.
    """
    found = states.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
    if not found:
        raise NoWorkflow("No execution has been started yet. `make ops-start` starts one.")
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
