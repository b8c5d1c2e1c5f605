"""The engine that docker_on_debian.sh starts is ended by its process id; another one is left alone.

docker and dockerd are stand-ins: `docker info` succeeds while the file `up` exists.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ministack import ROOT

SCRIPT = ROOT / "docker/docker_on_debian.sh"


def program(file: Path, body: str) -> Path:
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of stand-ins, and where the script keeps its files."""
    program(tmp_path / "docker", f'case "$1" in info) test -e "{tmp_path}/up" ;; esac')
    program(
        tmp_path / "dockerd",
        f'trap \'rm "{tmp_path}/up"; exit\' TERM; touch "{tmp_path}/up"; while :; do sleep 0.1; done',
    )
    return tmp_path


def call(machine: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    files = {"SMELT_DOCKERD_PID_FILE": str(machine / "pid"), "SMELT_DOCKERD_LOG": str(machine / "log")}
    environment = os.environ | files | {"PATH": f"{machine}:{os.environ['PATH']}"}
    return subprocess.run([SCRIPT, *arguments], env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


@pytest.fixture
def other_engine(machine: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([machine / "dockerd"], start_new_session=True) as process:
        while not (machine / "up").exists():
            assert process.poll() is None
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_what_was_started_is_ended(machine: Path) -> None:
    assert call(machine, "start").returncode == 0
    assert (machine / "up").exists()
    assert call(machine, "stop").returncode == 0
    assert [(machine / name).exists() for name in ("up", "pid")] == [False, False]


def test_an_engine_that_was_running_before_goes_on(machine: Path, other_engine: subprocess.Popen[bytes]) -> None:
    assert [call(machine, action).returncode for action in ("start", "stop")] == [0, 0]
    assert other_engine.poll() is None


def test_another_process_that_has_the_same_number_now_is_left_alone(machine: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        (machine / "pid").write_text(f"{other.pid}\n")
        assert call(machine, "stop").returncode == 0
        assert other.poll() is None
        other.kill()


def test_ci_ends_processes_only_by_what_it_started() -> None:
    assert "pkill" not in (ROOT / ".ci/run").read_text()
    assert "docker_on_debian.sh stop" in (ROOT / ".ci/run").read_text()
