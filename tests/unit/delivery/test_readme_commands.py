"""What infra/terraform/README.md tells people to type does no harm where one of its commands fails."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from local.ministack import ROOT

MARK = "<!-- tests/unit/delivery/test_readme_commands.py runs this block -->\n```sh\n"
RUNNING = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64


def typed(number: int, folder: Path, **stubs: str) -> list[str]:
    """The commands that one of the marked blocks (1 is the first) runs, with stubs for what it calls."""
    block = (ROOT / "infra/terraform/README.md").read_text().split(MARK)[number].split("```")[0]
    log = folder / "log"
    log.touch()
    for name, body in stubs.items():
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n{body}\n')
        (folder / name).chmod(0o755)
    # Neither `-e` nor a check of the exit code: a shell in which one types goes on after a failure.
    subprocess.run(
        ["bash"], input=block, text=True, cwd=folder, env={"PATH": f"{folder}:/usr/bin:/bin"}, capture_output=True
    )
    return log.read_text().splitlines()


def test_repositories_may_lose_their_images_before_they_are_destroyed(tmp_path: Path) -> None:
    """The provider deletes what the state says: with force_delete given to destroy alone, ECR refuses."""
    commands = typed(1, tmp_path, terraform="exit 0")
    asked = [re.search(r" (select|apply|destroy) ", line)[1] for line in commands]  # type: ignore[index]
    assert asked == ["select", "apply", "destroy"]
    assert "-var force_delete=true" in commands[1]


def test_repositories_of_another_workspace_are_left_alone(tmp_path: Path) -> None:
    """A workspace that is mistyped is not selected, and the one that is selected has the repositories in use."""
    assert len(typed(1, tmp_path, terraform="exit 1")) == 1


@pytest.mark.parametrize(("allowed", "deleted"), [(True, 2), (False, 0)])
def test_images_are_deleted_only_where_it_is_known_which_one_runs(tmp_path: Path, allowed: bool, deleted: int) -> None:
    looked_up = f"echo registry/smelt-dev/x@{RUNNING}" if allowed else "exit 254"
    aws = f'case "$2" in get-function) {looked_up};; describe-images) echo {OTHER};; esac'
    commands = typed(2, tmp_path, terraform="echo us-east-2", aws=aws)
    assert len([line for line in commands if "get-function" in line]) == 2
    assert len([line for line in commands if "batch-delete-image" in line]) == deleted
    assert all(f"imageDigest!='{RUNNING}'" in line for line in commands if "describe-images" in line)


@pytest.mark.parametrize(("read", "written"), [("exit 254", []), ("exit 0", ["EventBridgeConfiguration"])])
def test_notifications_that_could_not_be_read_are_not_replaced(tmp_path: Path, read: str, written: list[str]) -> None:
    """The call replaces all that is there: without the owner's own, nobody would be told of objects any more."""
    aws = f'case "$2" in get-*) {read};; *) cat notifications.json >>{tmp_path}/put;; esac'
    typed(3, tmp_path, aws=aws)
    put = tmp_path / "put"
    assert (list(json.loads(put.read_text())) if put.exists() else []) == written
