"""The embedded emulator starts beside whatever has taken its port, and says so if it could not save what it holds."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from local import ministack as module
from local.ministack import bootstrap, ministack
from local.stack import connect
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
    assert started.stdout == f"{checkout}\n-m awslambdaric a.b\n"
