"""A function that crashes, hangs or cannot start: its caller is told, and the next invocation runs in a fresh process.

This is the work of what LocalStack starts in a function's container; without a registry that is ours.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from local.localstack import BOOTSTRAP, RUNTIME_OF_IMAGE
from local.stack import Clients, create_function
from tests.support.running import await_true

pytestmark = pytest.mark.e2e
TIMEOUT_SECONDS = 2
CODE = """
import os, threading, time
calls = 0

def handler(event, context):
    global calls
    calls += 1
    if event == "raise":
        raise ValueError("no such row")
    if event == "crash":
        os._exit(3)
    if event == "leave":
        threading.Timer(0.05, os._exit, [0]).start()
    if event == "hang":
        time.sleep(60)
    return calls
"""


def deploy(stack: Clients, code: str) -> str:
    """A function of this code on the ingest image; returns its name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        archive.writestr(bootstrap, BOOTSTRAP)
        module = zipfile.ZipInfo("misbehaving.py")
        module.external_attr = 0o644 << 16
        archive.writestr(module, code)
    name = f"misbehaving-{uuid.uuid4().hex[:8]}"
    create_function(
        stack, name, buffer.getvalue(), "misbehaving.handler", RUNTIME_OF_IMAGE["ingest"], TIMEOUT_SECONDS, {}
    )
    return name


def invoke(stack: Clients, name: str, event: str) -> tuple[bool, Any]:
    """Whether the function failed, and what it answered."""
    answer = stack.functions.invoke(FunctionName=name, Payload=json.dumps(event))
    return "FunctionError" in answer, json.loads(answer["Payload"].read())


@pytest.fixture
def misbehaving(stack: Clients) -> Iterator[str]:
    name = deploy(stack, CODE)
    yield name
    stack.functions.delete_function(FunctionName=name)


def test_an_exception_is_reported_and_the_process_lives_on(stack: Clients, misbehaving: str) -> None:
    failed, error = invoke(stack, misbehaving, "raise")
    assert (failed, error["errorType"], error["errorMessage"]) == (True, "ValueError", "no such row")
    assert invoke(stack, misbehaving, "count") == (False, 2)


def test_a_crash_is_reported_and_a_new_process_takes_over(stack: Clients, misbehaving: str) -> None:
    assert invoke(stack, misbehaving, "count") == (False, 1)
    failed, error = invoke(stack, misbehaving, "crash")
    assert failed
    assert "exit status 3" in error["errorMessage"]
    assert invoke(stack, misbehaving, "count") == (False, 1)


def test_a_process_that_exits_between_invocations_is_replaced(stack: Clients, misbehaving: str) -> None:
    assert invoke(stack, misbehaving, "leave") == (False, 1)
    seen = []

    def a_new_process_answers() -> bool:
        seen.append(invoke(stack, misbehaving, "count"))
        return seen[-1] == (False, 1)

    await_true(a_new_process_answers, seconds=10)
    assert all(not failed or "exited" in answer["errorMessage"] for failed, answer in seen)


def test_a_hang_is_ended_by_the_timeout_and_a_new_process_takes_over(stack: Clients, misbehaving: str) -> None:
    assert invoke(stack, misbehaving, "count") == (False, 1)
    failed, error = invoke(stack, misbehaving, "hang")
    assert failed
    assert f"Task timed out after {TIMEOUT_SECONDS}.00 seconds" in error["errorMessage"]
    assert invoke(stack, misbehaving, "count") == (False, 1)


def test_a_function_that_cannot_start_says_why(stack: Clients) -> None:
    name = deploy(stack, "raise RuntimeError('no settings')")
    failed, error = invoke(stack, name, "count")
    assert failed
    assert "no settings" in error["errorMessage"]
    stack.functions.delete_function(FunctionName=name)
