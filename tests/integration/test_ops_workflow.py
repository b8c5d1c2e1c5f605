"""The ops workflow runs: the definition that Terraform deploys, the real functions, a pipeline that has lost work.

MiniStack runs the state machine here. It does not know jitter, the machine's own timeout, or the limit of the state's
size; tests/e2e/test_ops_workflow.py runs the same definition on LocalStack, which does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from infra.deploy.cli import workflow as commands
from infra.deploy.cli.app import app as deploy
from local.ministack import ROOT
from local.stack import CREDENTIALS
from services.ops.cli.console import execute
from services.shared.contract.model import Contract
from tests.support.running import Running, await_true, deployed
from tests.support.workflow import (
    ROWS,
    Workflow,
    asked,
    check_that_nothing_is_doubled_or_missing,
    create_ops_functions,
    in_this_checkout,
    plan_and_lose,
    quickly,
    upload,
    upload_unheard,
)


@pytest.fixture(scope="module")
def running(emulator: str) -> Running:
    return deployed(emulator)


@pytest.fixture(scope="module")
def functions(emulator: str, running: Running) -> dict[str, str]:
    extra = {"AWS_ENDPOINT_URL": emulator, "CONTRACTS_DIR": str(ROOT / "contracts")}
    return create_ops_functions(running, in_this_checkout, extra)


@pytest.fixture
def workflow(emulator: str, functions: dict[str, str]) -> Workflow:
    return Workflow.created(emulator, functions)


@pytest.fixture
def transform_paused(running: Running) -> Iterator[None]:
    """Units wait in the queue meanwhile."""
    functions = running.clients.functions
    mappings = functions.list_event_source_mappings(FunctionName=running.names.transform)["EventSourceMappings"]
    for mapping in mappings:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    yield
    for mapping in mappings:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def test_lost_events_and_lost_messages_are_made_up_for_and_the_rest_is_skipped(
    running: Running, contracts: dict[str, Contract], workflow: Workflow
) -> None:
    loaded = upload(running, contracts, "lost", "loaded")
    await_true(lambda: bool(running.lots_of(loaded)))
    unheard = upload_unheard(running, contracts, "lost", "unheard")
    unsent = plan_and_lose(running, contracts, "lost", "unsent")
    ended = workflow.run(asked(running, "lost"))
    assert (ended.status, ended.error, ended.cause) == ("SUCCEEDED", "", "")
    done = ended.output["replayed"]["done"]
    assert done == {"skipped": 1, "copied": 1, "announced": 1}
    checked = ended.output["checked"]
    assert (checked["objects"], checked["rows_read"]) == (3, 3 * ROWS)
    assert checked["rows_silver"] + checked["rows_quarantined"] == checked["rows_read"]
    check_that_nothing_is_doubled_or_missing(running, [loaded, unheard, unsent], "lost")


def test_two_executions_at_once_do_no_harm(
    running: Running, contracts: dict[str, Contract], workflow: Workflow
) -> None:
    sources = [plan_and_lose(running, contracts, "both", str(number)) for number in range(5)]
    executions = [workflow.start(asked(running, "both")) for _ in range(2)]
    assert [workflow.ended(one).status for one in executions] == ["SUCCEEDED"] * 2
    check_that_nothing_is_doubled_or_missing(running, sources, "both")


def test_a_wrong_input_fails_at_once_and_says_which_keys(running: Running, workflow: Workflow) -> None:
    document = asked(running, "any", bronze_bucket="another-bucket", max_attempts="many")
    ended = workflow.run(document)
    assert (ended.status, ended.error) == ("FAILED", "InvalidInput")
    assert ended.cause == (
        f"bronze_bucket is 'another-bucket'; expected {running.names.bronze_bucket}, this pipeline's Bronze bucket: "
        "the workflow works on no other. max_attempts is 'many'; expected a whole number from 1 to 250."
    )
    assert ended.entered == {"CheckInput": 1, "InputIsValid": 1, "Failed": 1}


def test_what_does_not_arrive_is_named_when_the_attempts_are_over(
    running: Running, contracts: dict[str, Contract], workflow: Workflow, transform_paused: None
) -> None:
    source = plan_and_lose(running, contracts, "late", "waiting")
    ended = workflow.run(asked(running, "late", max_attempts=2))
    assert (ended.status, ended.error) == ("FAILED", "NotAllThere")
    assert ended.cause.startswith(
        f"After 2 looks, 1 s apart (max_attempts): 1 object is not accounted for: {source.id}: PLANNED, 0 of 1 units "
        "in Silver. Replayed: 1 copied."
    )
    assert (ended.entered["Probe"], ended.entered["WaitForRows"]) == (2, 1)


def test_too_few_parquet_objects_are_told(running: Running, contracts: dict[str, Contract], workflow: Workflow) -> None:
    source = upload(running, contracts, "few", "one")
    await_true(lambda: bool(running.lots_of(source)))
    ended = workflow.run(asked(running, "few", min_parquet_objects=1000, max_attempts=1))
    assert (ended.status, ended.error) == ("FAILED", "NotAllThere")
    assert "Parquet objects written since" in ended.cause
    assert "min_parquet_objects is 1,000." in ended.cause


@pytest.mark.parametrize("state", ["CheckInput", "ReplayChunk", "Probe"])
def test_a_task_that_fails_again_and_again_ends_with_its_last_answer(
    running: Running, contracts: dict[str, Contract], emulator: str, functions: dict[str, str], state: str
) -> None:
    def broken(document: Any) -> None:
        quickly(document)
        document["States"][state]["Parameters"]["FunctionName"] = f"{functions['probe']}-gone"

    ended = Workflow.created(emulator, functions, broken).run(asked(running, "none"))
    assert (ended.status, ended.error) == ("FAILED", "TaskFailed")
    assert "Lambda.ResourceNotFoundException" in ended.cause
    assert ended.cause.startswith(
        "A task failed again and again; nothing is lost, and the same input can be started again."
    )
    assert "-gone" in ended.cause
    assert (ended.entered[state], ended.entered["Stopped"]) == (1, 1)


def test_a_task_that_fails_for_a_while_is_tried_again(
    running: Running, contracts: dict[str, Contract], emulator: str, functions: dict[str, str]
) -> None:
    """The ledger cannot be reached at first: its name is wrong."""
    source = plan_and_lose(running, contracts, "again", "one")
    lambdas = running.clients.functions
    right = lambdas.get_function_configuration(FunctionName=functions["replay"])["Environment"]["Variables"]
    lambdas.update_function_configuration(
        FunctionName=functions["replay"], Environment={"Variables": {**right, "LEDGER_TABLE": "gone"}}
    )
    workflow = Workflow.created(emulator, functions, quickly)
    execution = workflow.start(asked(running, "again"))

    def has_failed() -> bool:
        history = workflow.states.get_execution_history(executionArn=execution)
        return "TaskFailed" in json.dumps(history, default=str)

    try:
        await_true(has_failed, 30)
    finally:
        lambdas.update_function_configuration(FunctionName=functions["replay"], Environment={"Variables": right})
    ended = workflow.ended(execution)
    assert (ended.status, ended.cause) == ("SUCCEEDED", "")
    check_that_nothing_is_doubled_or_missing(running, [source], "again")


# ---- make ops-start, ops-status, ops-history

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], running: Running, emulator: str
) -> Command:
    """Runs a command of infra.deploy with these outputs of Terraform; gives its exit code and what it printed."""
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    def run(machine: str, *arguments: str) -> tuple[int, str]:
        created = {
            "bronze_bucket": running.names.bronze_bucket,
            "silver_bucket": running.names.silver_bucket,
            "region": "us-east-1",
            "ops_state_machine_arn": machine,
        }
        monkeypatch.setattr(commands, "outputs", lambda _directory: created)
        code = execute(deploy, arguments)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_the_commands_start_an_execution_and_tell_what_became_of_it(
    running: Running, contracts: dict[str, Contract], workflow: Workflow, command: Command
) -> None:
    source = plan_and_lose(running, contracts, "commands", "one")
    assert command(workflow.machine, "ops-status") == (
        2,
        "error: No execution has been started yet. `make ops-start` starts one.\n",
    )
    options = [
        "--prefix",
        "bronze/shipments/commands/",
        "--window-hours",
        "24",
        "--poll-interval-seconds",
        "1",
        "--json",
    ]
    code, printed = command(workflow.machine, "ops-start", *options)
    started = json.loads(printed)
    assert (code, started["input"]) == (
        0,
        {
            "bronze_bucket": running.names.bronze_bucket,
            "src_prefix": "bronze/shipments/commands/",
            "dest_prefix_base": "bronze/replay/manual",
            "window_hours": 24,
            "silver_bucket": running.names.silver_bucket,
            "silver_prefix": "silver",
            "record_type": "shipments",
            "poll_interval_seconds": 1,
        },
    )
    assert workflow.ended(started["execution"]).status == "SUCCEEDED"
    code, printed = command(workflow.machine, "ops-status")
    assert (code, printed.splitlines()[0]) == (0, f"SUCCEEDED: {started['execution']}")
    assert '"rows_read": 20' in printed
    code, printed = command(workflow.machine, "ops-history", "--execution", started["execution"], "--json")
    states = [step["state"] for step in json.loads(printed)]
    assert (code, states[0], states[-1]) == (0, "CheckInput", "Done")
    check_that_nothing_is_doubled_or_missing(running, [source], "commands")


def test_a_failed_execution_is_told_with_its_cause_and_ends_with_1(workflow: Workflow, command: Command) -> None:
    code, printed = command(workflow.machine, "ops-start", "--record-type", "none", "--json")
    assert workflow.ended(json.loads(printed)["execution"]).status == "FAILED"
    code, printed = command(workflow.machine, "ops-status")
    assert code == 1
    assert "InvalidInput: record_type is 'none'; expected a dataset that has a contract" in " ".join(printed.split())
    code, printed = command(workflow.machine, "ops-history")
    assert (code, "1 executions" in printed, "InvalidInput" in printed) == (0, True, True)


def test_without_a_state_machine_the_commands_say_what_to_set(command: Command) -> None:
    for name in ("ops-start", "ops-status", "ops-history"):
        code, printed = command("", name)
        assert (code, "set ops_enabled = true" in printed) == (2, True)
