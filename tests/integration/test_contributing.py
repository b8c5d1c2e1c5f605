"""CONTRIBUTING.md's examples, followed literally in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from local.ministack import ROOT
from tests.support.terraform import need_terraform

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
VENVS = (".venv", ".venv-emulator", ".venv-iam")


class Block(NamedTuple):
    """A fenced block: a file (with its path), a `diff`, or `sh` to be run."""

    language: str
    path: str
    text: str


def examples() -> dict[str, list[Block]]:
    """Heading -> its blocks."""
    sections = re.split(r"^## (Add .*)$", PAGE, flags=re.MULTILINE)[1:]
    return {
        heading: [
            Block(*found) for found in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        ]
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
    }


def follow(blocks: list[Block], copy: Path) -> str:
    """Do what the blocks say, in a copy of the repository; gives what the commands printed."""
    printed = ""
    environment = os.environ | {"PYTHONPATH": str(copy), "TF_DATA_DIR": str(copy / ".smelt/terraform")}
    for block in blocks:
        if block.path:
            file = copy / block.path
            assert not file.exists(), f"{block.path} exists already: choose another name for the example"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
            continue
        command = {"diff": ["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch"], "sh": ["bash", "-eu"]}[
            block.language
        ]
        done = subprocess.run(
            command, cwd=copy, env=environment, input=block.text, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed += done.stdout
    return printed


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What git knows of the repository, changes of today included; the virtual environments are shared."""
    to = tmp_path / "smelt"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    for name in VENVS:
        if (ROOT / name).exists():
            (to / name).symlink_to(ROOT / name)
    return to


def test_there_is_an_example_of_each_kind() -> None:
    assert list(examples()) == ["Add a dataset", "Add a command", "Add a module", "Add a metric"]


def test_a_dataset_is_added_as_it_is_written(copy: Path) -> None:
    printed = follow(examples()["Add a dataset"], copy)
    assert re.search(r"parcels +1\.0\.0 +2 ", printed)
    assert len((copy / "parcels.jsonl").read_text().splitlines()) == 50
    assert "parcel_id: 6" in (copy / "contracts/parcels.yaml").read_text()


def test_a_command_is_added_as_it_is_written(copy: Path) -> None:
    printed = follow(examples()["Add a command"], copy)
    assert "shipments 1.0.0" in printed
    assert "2 passed" in printed


def test_a_module_is_added_as_it_is_written(copy: Path) -> None:
    need_terraform()
    assert "2 passed, 0 failed" in follow(examples()["Add a module"], copy)


def test_a_metric_is_added_as_it_is_written(copy: Path) -> None:
    need_terraform()
    assert re.search(r"\d+ passed", follow(examples()["Add a metric"], copy))


def test_a_metric_that_nobody_looks_at_is_refused(copy: Path) -> None:
    need_terraform()
    (diff, run) = examples()["Add a metric"]
    only_code = diff.text.split("--- a/infra", 1)[0]
    with pytest.raises(AssertionError, match="MessagesReceived"):
        follow([diff._replace(text=only_code), run], copy)


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"\]\(([\w./-]+)\)", PAGE)) | set(re.findall(r"`((?:tests|docs|services)/[\w./]+)`", PAGE))
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).exists()] == []
