"""The ops workflow on LocalStack, which interprets a definition as AWS does.

Jitter, time limits and the size of the state count, and a path that leads nowhere fails. The functions run in the image
`smelt-ops`.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from local.localstack import BOOTSTRAP
from local.stack import Clients, Names, bootstrap_zip
from services.shared.contract.model import Contract
from tests.e2e.conftest import ENDPOINT
from tests.support.running import Running, await_true
from tests.support.workflow import (
    ROWS,
    Workflow,
    asked,
    check_that_nothing_is_doubled_or_missing,
    create_ops_functions,
    plan_and_lose,
    quickly,
    upload,
    upload_unheard,
)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def running(stack: Clients) -> Running:
    return Running(stack, Names())


@pytest.fixture(scope="module")
def functions(running: Running) -> dict[str, str]:
    """In the image that compose maps to this runtime."""
    extra = {"AWS_ENDPOINT_URL": "http://localstack:4566"}
    if os.environ.get("DYNAMODB_PORT"):
        extra["AWS_ENDPOINT_URL_DYNAMODB"] = "http://dynamodb:4566"
    return create_ops_functions(running, lambda _function: (bootstrap_zip(BOOTSTRAP), "python3.11"), extra)


def test_lost_work_is_made_up_for_with_a_small_state(
    running: Running, contracts: dict[str, Contract], functions: dict[str, str]
) -> None:
    loaded = upload(running, contracts, "lost", "loaded")
    await_true(lambda: bool(running.lots_of(loaded)))
    unheard = upload_unheard(running, contracts, "lost", "unheard")
    unsent = [plan_and_lose(running, contracts, "lost", str(number)) for number in range(20)]
    ended = Workflow.created(ENDPOINT, functions).run(asked(running, "lost"))
    assert (ended.status, ended.error, ended.cause) == ("SUCCEEDED", "", "")
    assert ended.output["replayed"]["done"] == {"skipped": 1, "copied": 20, "announced": 1}
    assert ended.output["checked"]["rows_read"] == 22 * ROWS
    largest = max(len(json.dumps(event, default=str)) for event in ended.history)
    assert largest < 8 * 1024  # Step Functions takes 256 KiB
    check_that_nothing_is_doubled_or_missing(running, [loaded, unheard, *unsent], "lost")


def test_a_wrong_input_fails_at_once(running: Running, functions: dict[str, str]) -> None:
    ended = Workflow.created(ENDPOINT, functions).run(asked(running, "any", record_type="no-such-dataset"))
    assert (ended.status, ended.error) == ("FAILED", "InvalidInput")
    assert ended.cause.startswith("record_type is 'no-such-dataset'; expected a dataset that has a contract: ")


def test_an_input_that_is_not_an_object_fails_as_clearly(functions: dict[str, str]) -> None:
    ended = Workflow.created(ENDPOINT, functions).run(["not", "an", "object"])
    assert (ended.status, ended.error) == ("FAILED", "InvalidInput")


def test_what_is_missing_is_the_cause(
    running: Running, contracts: dict[str, Contract], functions: dict[str, str]
) -> None:
    source = upload(running, contracts, "few", "one")
    await_true(lambda: bool(running.lots_of(source)))
    document = asked(running, "few", min_parquet_objects=100_000, max_attempts=3)
    ended = Workflow.created(ENDPOINT, functions).run(document)
    assert (ended.status, ended.error) == ("FAILED", "NotAllThere")
    assert "min_parquet_objects is 100,000." in ended.cause
    assert (ended.entered["Probe"], ended.entered["WaitForRows"]) == (3, 2)


@pytest.mark.parametrize("state", ["CheckInput", "ReplayChunk", "Probe"])
def test_a_task_that_fails_again_and_again_ends_with_its_last_answer(
    running: Running, functions: dict[str, str], state: str
) -> None:
    def broken(document: Any) -> None:
        quickly(document)
        document["States"][state]["Parameters"]["FunctionName"] = f"{functions['probe']}-gone"

    ended = Workflow.created(ENDPOINT, functions, broken).run(asked(running, "none"))
    assert (ended.status, ended.error) == ("FAILED", "TaskFailed")
    assert ended.cause.startswith("A task failed again and again; nothing is lost, and the same input can be started")
    assert "-gone" in ended.cause
    assert (ended.entered[state], ended.entered["Stopped"]) == (1, 1)
    tasks_before = ["CheckInput", "ReplayChunk", "Probe"].index(state)
    assert ended.count("TaskScheduled") - tasks_before == 6  # with five retries


def test_a_task_that_takes_too_long_is_tried_again_and_ends_the_execution(
    running: Running, functions: dict[str, str]
) -> None:
    """A time limit that no function keeps: Step Functions gives each try up, and the execution after the last."""

    def hasty(document: Any) -> None:
        quickly(document)
        document["States"]["CheckInput"]["TimeoutSeconds"] = 1
        document["States"]["CheckInput"]["Retry"][0]["MaxAttempts"] = 1
        document["States"]["CheckInput"]["Resource"] = "arn:aws:states:::lambda:invoke.waitForTaskToken"

    ended = Workflow.created(ENDPOINT, functions, hasty).run(asked(running, "none"))
    assert (ended.status, ended.error) == ("FAILED", "TaskFailed")
    assert "States.Timeout" in ended.cause
    assert (ended.count("TaskTimedOut"), ended.entered["Stopped"]) == (2, 1)


def test_an_execution_ends_at_its_own_limit(
    running: Running, contracts: dict[str, Contract], functions: dict[str, str]
) -> None:
    def short(document: Any) -> None:
        document["TimeoutSeconds"] = 15

    document = asked(running, "few", min_parquet_objects=100_000, poll_interval_seconds=60)
    assert Workflow.created(ENDPOINT, functions, short).run(document).status == "TIMED_OUT"
