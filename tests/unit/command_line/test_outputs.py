"""`python -m infra.deploy exec`: commands get the names of what Terraform has created."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.deploy.outputs import VARIABLES, NoOutputs, pipeline_environment
from infra.deploy.workflow import NoWorkflow, machine_of
from local.ministack import ROOT

CREATED = {name: f"the {name}" for name in VARIABLES} | {"dashboard_url": ""}
Exec = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Exec:
    """Runs a command as `make audit` does, with a stand-in for Terraform that prints `created`."""

    def exec_(*command: str, created: dict[str, str], status: int = 0) -> subprocess.CompletedProcess[str]:
        printed = json.dumps({name: {"value": value} for name, value in created.items()})
        (tmp_path / "outputs.json").write_text(printed)
        terraform = tmp_path / "terraform"
        terraform.write_text(f'#!/bin/sh\ncat "{tmp_path}/outputs.json"\necho "no state" >&2\nexit {status}\n')
        terraform.chmod(0o755)
        (tmp_path / "config").touch()
        environment = os.environ | {"TF_CLI_CONFIG_FILE": str(tmp_path / "config"), "LEDGER_TABLE": "this shell's"}
        environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
        line = [sys.executable, "-m", "infra.deploy", "exec", str(tmp_path), *command]
        return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)

    return exec_


def test_a_command_gets_terraform_s_names_and_its_own_options_and_gives_its_own_exit_code(run: Exec) -> None:
    done = run("sh", "-c", 'echo "$LEDGER_TABLE" "$SILVER_BUCKET" "$1"; exit 7', "sh", "--json", created=CREATED)
    assert (done.returncode, done.stdout) == (7, "the ledger_table the silver_bucket --json\n")


def test_the_tables_of_the_lake_are_looked_at_where_there_is_one(run: Exec) -> None:
    assert run("sh", "-c", 'echo "$LAKE_DATABASE"', created=CREATED).stdout == "the lake_database\n"
    without = {name: value for name, value in CREATED.items() if name != "lake_database"}
    assert run("sh", "-c", 'echo "$LAKE_DATABASE"', created=without).stdout == "\n"


def test_where_nothing_is_created_no_command_is_run(run: Exec) -> None:
    done = run("echo", "ran", created={})
    assert (done.returncode, done.stdout) == (2, "")
    assert "Terraform has created no pipeline" in done.stderr
    assert "run `make tf-init`" in done.stderr  # a second operator's checkout has no state before


def test_where_terraform_fails_its_reason_is_given(run: Exec) -> None:
    done = run("echo", "ran", created={}, status=1)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no state" in done.stderr


def test_a_command_that_does_not_exist_is_named(run: Exec) -> None:
    done = run("no-such-command", created=CREATED)
    assert (done.returncode, "Cannot run no-such-command" in done.stderr) == (2, True)


def test_a_missing_output_is_named() -> None:
    with pytest.raises(NoOutputs, match="no output ledger_table"):
        pipeline_environment({name: value for name, value in CREATED.items() if name != "ledger_table"})


def test_a_checkout_without_a_state_is_not_told_to_enable_a_workflow() -> None:
    with pytest.raises(NoWorkflow, match="run `make tf-init`"):
        machine_of({})
    with pytest.raises(NoWorkflow, match="set ops_enabled = true"):
        machine_of(CREATED)
