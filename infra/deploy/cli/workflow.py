"""`ops-start`, `ge-start`, and the same with `-status` and `-history`: the workflows of what Terraform has created."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy.outputs import STATE_ELSEWHERE, NoOutputs, outputs
from infra.deploy.workflow import GATE, OPS, Ended, Kind, described, input_of, latest, machine_of, states_entered
from services.ops.cli.console import JsonFlag, explain, finish, make_table, show, show_json
from services.ops.errors import OperatorError
from services.shared.aws import aws_client

_Directory = Annotated[
    Path, typer.Option("--terraform-dir", help="Terraform's directory, such as infra/terraform/envs/dev.")
]
_Execution = Annotated[str, typer.Option(metavar="ARN", help="The execution; without it, the latest.")]
_Number = Annotated[int | None, typer.Option(help="As the workflow's input has it.")]
_DEV = Path("infra/terraform/envs/dev")
_MOST_LISTED = 20
_SHOWN = ("replayed", "checked", "verdict", "record_type", "dt", "rows", "rules", "page")


def start_workflow(
    directory: _Directory = _DEV,
    prefix: Annotated[str, typer.Option(help="Replay objects whose key begins so.")] = "bronze/shipments/",
    record_type: Annotated[str, typer.Option(help="The dataset whose Parquet objects are counted.")] = "shipments",
    window_hours: Annotated[
        float | None, typer.Option(help="Objects that were modified in so many hours; 24 without --start.")
    ] = None,
    start: Annotated[str, typer.Option(metavar="TIME", help="Objects modified at or after this time.")] = "",
    end: Annotated[str, typer.Option(metavar="TIME", help="Objects modified before this time.")] = "",
    dest_prefix: Annotated[str, typer.Option(help="Where copies go: bronze/replay/ and a name.")] = "",
    min_parquet_objects: _Number = None,
    poll_interval_seconds: _Number = None,
    max_attempts: _Number = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the input; start nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Start the ops workflow: replay objects of a prefix, then wait until each is accounted for.

    Example: ops-start --prefix bronze/shipments/ --window-hours 24
    """
    created = outputs(directory)
    machine = machine_of(created)
    hours = window_hours if window_hours is not None or start else 24
    asked = {
        "src_prefix": prefix,
        "record_type": record_type,
        "window_hours": int(hours) if hours is not None and hours == int(hours) else hours,
        "start": start or None,
        "end": end or None,
        "min_parquet_objects": min_parquet_objects,
        "poll_interval_seconds": poll_interval_seconds,
        "max_attempts": max_attempts,
        "dest_prefix_base": dest_prefix or None,
    }
    _start(created, machine, input_of(created, asked), dry_run, as_json)


def start_gate(
    directory: _Directory = _DEV,
    record_type: Annotated[str, typer.Option(help="The dataset.")] = "shipments",
    dt: Annotated[str, typer.Option("--dt", metavar="DT", help="The day, YYYY-MM-DD.")] = "",
    result_prefix: Annotated[str, typer.Option(help="Where result and page go: a path below ge/.")] = "ge/results",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the input; start nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Start the quality gate over one partition of Silver.

    Example: ge-start --record-type shipments --dt 2025-12-31
    """
    if not dt:
        raise OperatorError("No day given: pass --dt, or GE_DT=2025-12-31 to `make ge-start`.")
    created = outputs(directory)
    document = {"record_type": record_type, "dt": dt, "result_prefix": result_prefix}
    _start(created, machine_of(created, GATE), document, dry_run, as_json)


def _start(created: dict[str, Any], machine: str, document: dict[str, Any], dry_run: bool, as_json: bool) -> None:
    execution = ""
    if not dry_run:
        states = _states(created)
        execution = _answer(states.start_execution, stateMachineArn=machine, input=json.dumps(document))["executionArn"]
    if as_json:
        show_json({"execution": execution or None, "input": document})
        return
    show(json.dumps(document, indent=2))
    if execution:
        show(f"started: {execution}")


def show_status(directory: _Directory = _DEV, execution: _Execution = "", as_json: JsonFlag = False) -> None:
    """Show what the latest execution does, or why it failed. Exits with 1 if it failed.

    Example: ops-status --json
    """
    _show_status(OPS, directory, execution, as_json)


def show_gate_status(directory: _Directory = _DEV, execution: _Execution = "", as_json: JsonFlag = False) -> None:
    """Show what the gate's latest execution does, its verdict and page, or why it failed. Exits with 1 if it failed.

    Example: ge-status --json
    """
    _show_status(GATE, directory, execution, as_json)


def _show_status(kind: Kind, directory: Path, execution: str, as_json: bool) -> None:
    created = outputs(directory)
    machine, states = machine_of(created, kind), _states(created)
    try:
        found = described(states, execution or latest(states, machine, kind))
        entered = states_entered(states, found.arn)
    except (BotoCoreError, ClientError) as error:
        raise _failed(error) from error
    if as_json:
        show_json(_document(found) | {"state": entered[-1][1] if entered else None})
    else:
        show(f"{found.status}: {found.arn}")
        show(f"started {found.started}" + (f", ended {found.ended}" if found.ended else ""))
        if entered and found.is_running:
            show(f"in {entered[-1][1]} since {entered[-1][0]}")
        if found.error:
            show(f"{found.error}: {found.cause}", style="red")
        if found.succeeded and found.output:
            show(json.dumps(_told(found.output), indent=2))
    finish(all_right=found.is_running or found.succeeded)


def show_history(
    directory: _Directory = _DEV,
    execution: _Execution = "",
    executions: Annotated[int, typer.Option(help="How many executions are listed.")] = _MOST_LISTED,
    as_json: JsonFlag = False,
) -> None:
    """List the latest executions; of one execution (--execution), the states that it has entered.

    Example: ops-history --executions 5
    """
    _show_history(OPS, directory, execution, executions, as_json)


def show_gate_history(
    directory: _Directory = _DEV,
    execution: _Execution = "",
    executions: Annotated[int, typer.Option(help="How many executions are listed.")] = _MOST_LISTED,
    as_json: JsonFlag = False,
) -> None:
    """List the gate's latest executions; of one execution (--execution), the states that it has entered.

    Example: ge-history --executions 5
    """
    _show_history(GATE, directory, execution, executions, as_json)


def _show_history(kind: Kind, directory: Path, execution: str, executions: int, as_json: bool) -> None:
    created = outputs(directory)
    machine, states = machine_of(created, kind), _states(created)
    if not 1 <= executions <= 1000:
        raise OperatorError(f"--executions is {executions}; it must be from 1 to 1000.")
    try:
        if execution:
            steps = states_entered(states, execution)
            if as_json:
                show_json([{"entered": moment, "state": name} for moment, name in steps])
                return
            table = make_table("States", "entered", "state")
            for moment, name in steps:
                table.add_row(moment, name)
            show(table)
            return
        listed = states.list_executions(stateMachineArn=machine, maxResults=executions)["executions"]
        found = [described(states, one["executionArn"]) for one in listed]
    except (BotoCoreError, ClientError) as error:
        raise _failed(error) from error
    if as_json:
        show_json([_document(one) for one in found])
        return
    for one in found:
        show(f"{one.started}  {one.status}  {one.arn.rsplit(':', 1)[1]}")
        if one.error:
            show(f"    {one.error}: {one.cause}", style="red")
    show(f"{len(found):,} executions" + ("" if found else f": `make {kind.start}` starts one"))


def _states(created: dict[str, Any]) -> Any:
    region = created.get("region")
    if not region:
        raise NoOutputs(f"Terraform has created no pipeline: no output region. {STATE_ELSEWHERE}")
    return aws_client("stepfunctions", str(region))


def _answer(call: Any, **parameters: Any) -> Any:
    try:
        return call(**parameters)
    except (BotoCoreError, ClientError) as error:
        raise _failed(error) from error


def _failed(error: Exception) -> OperatorError:
    return OperatorError(f"Step Functions refuses, or does not answer: {explain(error)}")


def _document(found: Ended) -> dict[str, Any]:
    return {
        "execution": found.arn,
        "status": found.status,
        "started": found.started,
        "ended": found.ended or None,
        "error": found.error or None,
        "cause": found.cause or None,
        "output": _told(found.output) if found.succeeded and found.output else None,
    }


def _told(output: str) -> Any:
    """What a person wants to know of an execution's output."""
    document = json.loads(output)
    return {name: document[name] for name in _SHOWN if name in document}
