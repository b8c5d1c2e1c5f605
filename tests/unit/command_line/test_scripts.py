"""The scripts of the users' guide run with any Python that follows the README: with or without smelt's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from local.ministack import ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("[a-z]*.py"))


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing has been set up."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [str(part) for part in command]
    return subprocess.run(line, env=os.environ | environment, capture_output=True, text=True)


def test_only_the_commands_of_the_guide_are_here_and_they_are_thin() -> None:
    assert SCRIPTS == [
        "create_sqs_queue.py",
        "ensure_dlq_for_queue.py",
        "gen_fake_events.py",
        "replay_from_s3.py",
        "replay_via_s3_copy.py",
    ]
    assert [name for name in SCRIPTS if len((ROOT / "scripts" / name).read_text().splitlines()) > 30] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_python_without_packages_runs_it_with_those_of_the_checkout(
    bare_python: Path, checkout: Path, script: str
) -> None:
    python = checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    done = run(bare_python, checkout / "scripts" / script, "--type", "a b")
    assert (done.returncode, done.stdout) == (0, f"{checkout / 'scripts' / script} --type a b\n")


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_packages_anywhere_it_says_what_to_do(bare_python: Path, checkout: Path, script: str) -> None:
    done = run(bare_python, checkout / "scripts" / script, "--help")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Run `make setup` in {checkout}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_checkout_whose_own_python_lacks_packages_does_not_run_itself_for_ever(checkout: Path) -> None:
    venv.create(checkout / ".venv", with_pip=False)
    done = run(checkout / ".venv/bin/python", checkout / "scripts/gen_fake_events.py", "--help")
    assert (done.returncode, "make setup" in done.stderr) == (2, True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_python_that_has_the_packages_is_used_as_it_is(script: str) -> None:
    done = run(sys.executable, "-W", "error", ROOT / "scripts" / script, "--version")
    assert (done.returncode, done.stdout.startswith("smelt ")) == (0, True), done.stderr


def test_the_command_of_the_readme_works_from_any_folder(bare_python: Path, tmp_path: Path) -> None:
    if not (ROOT / ".venv/bin/python").exists():
        pytest.skip("this checkout has no .venv")
    out = tmp_path / "shipments.jsonl"
    script = ROOT / "scripts/gen_fake_events.py"
    line = [bare_python, script, "--type", "shipments", "--count", "50", "--format", "jsonl", "--out", out]
    done = subprocess.run([str(part) for part in line], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, len(out.read_text().splitlines())) == (0, 50), done.stderr
