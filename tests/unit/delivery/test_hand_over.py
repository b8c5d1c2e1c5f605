"""What another checkout needs to plan the same: git keeps it, and hides what belongs to one machine or one revision."""

from __future__ import annotations

import re
import subprocess

import pytest

from local.ministack import ROOT

# The platforms of `terraform providers lock` in infra/terraform/README.md.
PLATFORMS = re.findall(r"-platform=(\w+)", (ROOT / "infra/terraform/README.md").read_text())


def hidden(path: str) -> bool:
    return subprocess.run(["git", "check-ignore", "-q", "--no-index", path], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("root", ["envs/dev", "envs/prod", "bootstrap", "state"])
def test_the_names_of_queues_and_the_lock_of_a_root_can_be_committed(root: str) -> None:
    assert not hidden(f"infra/terraform/{root}/queue.auto.tfvars.json")
    assert not hidden(f"infra/terraform/{root}/.terraform.lock.hcl")


def test_a_lock_that_is_committed_holds_for_every_platform() -> None:
    """With the checksum of one platform, `terraform init` fails on every other, and so does the first command."""
    tracked = subprocess.run(["git", "ls-files", "*.terraform.lock.hcl"], cwd=ROOT, capture_output=True, text=True)
    platforms = {lock: (ROOT / lock).read_text().count('"h1:') for lock in tracked.stdout.split()}
    assert {lock: number for lock, number in platforms.items() if number < len(PLATFORMS)} == {}


@pytest.mark.parametrize(
    "path",
    [
        "envs/dev/images.auto.tfvars.json",
        "envs/dev/terraform.tfstate",
        "envs/dev/dev.tfplan",
        "envs/dev/dev.tfplan.json",
        "envs/dev/backend_override.tf",
        "envs/dev/.terraform/modules/modules.json",
        "envs/local/queue.auto.tfvars.json",
        "envs/local/.terraform.lock.hcl",
        "modules/queue/.terraform.lock.hcl",
    ],
)
def test_what_belongs_to_one_revision_machine_or_emulator_is_hidden(path: str) -> None:
    assert hidden(f"infra/terraform/{path}")
