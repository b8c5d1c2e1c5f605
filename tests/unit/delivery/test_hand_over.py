"""What another checkout needs to plan the same: git keeps it, and hides what belongs to one machine or one revision."""

from __future__ import annotations

import subprocess

import pytest

from local.ministack import ROOT


def hidden(path: str) -> bool:
    return subprocess.run(["git", "check-ignore", "-q", "--no-index", path], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("root", ["envs/dev", "envs/prod", "bootstrap", "state"])
def test_the_names_of_queues_and_the_lock_of_a_root_can_be_committed(root: str) -> None:
    assert not hidden(f"infra/terraform/{root}/queue.auto.tfvars.json")
    assert not hidden(f"infra/terraform/{root}/.terraform.lock.hcl")


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
