"""The embedded emulator starts beside whatever has taken its port, and says so if it could not save what it holds."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local import ministack as module
from local.ministack import ROOT, bootstrap, ministack
from local.stack import bootstrap_zip, connect, create_function
from services.ops.errors import OperatorError


def test_a_port_that_was_taken_in_the_meantime_is_replaced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = iter([taken, module._free_port()])
        monkeypatch.setattr(module, "_free_port", lambda: next(ports))
        with ministack() as endpoint:
            assert not endpoint.endswith(f":{taken}")
            assert connect(endpoint).s3.list_buckets()["Buckets"] == []


def test_what_cannot_be_saved_is_told_and_not_taken_for_saved(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the place of the folder for its tables")
    with pytest.raises(OperatorError, match="did not save what it holds"), ministack(tmp_path):
        pass


def test_an_error_of_the_caller_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ministack(tmp_path):
        raise ZeroDivisionError


def test_a_function_starts_from_a_folder_with_any_characters_in_its_name(tmp_path: Path) -> None:
    checkout = tmp_path / """it's "$HOME" `id` \\ """
    checkout.mkdir()
    python = checkout / "python"
    python.write_text('#!/bin/sh\npwd; echo "$@"\n')
    python.chmod(0o755)
    script = tmp_path / "bootstrap"
    script.write_text(bootstrap(checkout, str(python)))
    started = subprocess.run(["sh", script], env={"_HANDLER": "a.b"}, capture_output=True, text=True, check=True)
    assert started.stdout == f"{checkout}\n-m local.runtime a.b\n"


HANDLER = """
def handler(event, context):
    if context.get_remaining_time_in_millis() <= 0 or not context.aws_request_id:
        return "no time"
    return {"hello": event["name"]}
"""


@pytest.mark.parametrize("native", [True, False], ids=["Linux", "Mac"])
def test_a_function_runs_also_where_awslambdaric_has_no_native_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    (tmp_path / "greeting.py").write_text(HANDLER)
    if not native:
        (tmp_path / "runtime_client.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with ministack() as endpoint:
        functions = connect(endpoint).functions
        code = bootstrap_zip(bootstrap(ROOT, sys.executable))
        create_function(connect(endpoint), "greet", code, "greeting.handler", "provided.al2023", 60, {})
        for event, error in (({"name": "Zoë"}, False), ({}, True), ({"name": "Ada"}, False)):
            answer = functions.invoke(FunctionName="greet", Payload=json.dumps(event))
            told = json.loads(answer["Payload"].read())
            assert ("FunctionError" in answer) == error, told
            assert told["errorType"] == "KeyError" if error else told == {"hello": event["name"]}
