"""The workflows: actions are pinned, jobs have few rights, and commands exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.deploy.images import FUNCTIONS, PLATFORMS
from local.ministack import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(workflow.read_text())["jobs"]
    return found


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(workflow).values() for step in job["steps"]]


def test_there_are_workflows_for_ci_scanning_and_deployment() -> None:
    assert [workflow.name for workflow in WORKFLOWS] == ["ci.yml", "deploy.yml", "scan.yml"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_the_commit_of_a_named_release(workflow: Path) -> None:
    used = re.findall(r"uses: (.*)", workflow.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_has_the_same_pin_everywhere_and_is_written_down() -> None:
    pins = {pin for workflow in WORKFLOWS for pin in re.findall(r"uses: (\S+ # \S+)", workflow.read_text())}
    assert len(pins) == len({pin.split("@")[0] for pin in pins})
    text = (ROOT / "docs/supply-chain.md").read_text()
    for pin in pins:
        name, sha, version = re.split("@| # ", pin)
        assert f"| `{name}` | {version} | `{sha}` |" in text


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_make_target_exists(workflow: Path) -> None:
    called = {target for step in steps(workflow) for target in re.findall(r"\bmake ([a-z0-9-]+)", step.get("run", ""))}
    assert called <= TARGETS


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_have_only_the_rights_that_they_name_and_a_timeout(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text())["permissions"] == {}
    for job in jobs(workflow).values():
        assert job["timeout-minutes"] <= 60
        allowed = {"contents": "read"} | ({"id-token": "write"} if workflow.name == "deploy.yml" else {})
        assert job["permissions"] == allowed


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_expression_is_pasted_into_a_command(workflow: Path) -> None:
    assert [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_token_stays_in_the_checkout(workflow: Path) -> None:
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(jobs(workflow))
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_an_apply_is_never_cancelled_and_waits_for_approval() -> None:
    deploy = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())
    assert deploy["concurrency"]["cancel-in-progress"] is False
    assert set(deploy[True]) == {"workflow_dispatch"}  # `on` is a truth value in YAML 1.1
    assert deploy["jobs"]["apply"]["environment"] == "${{ inputs.environment }}"  # the one with reviewers
    assert deploy["jobs"]["plan"]["environment"] == "${{ inputs.environment }}-plan"


def test_what_is_applied_is_the_plan_that_was_approved() -> None:
    deploy = jobs(ROOT / ".github/workflows/deploy.yml")
    kept = [step["with"] for step in deploy["plan"]["steps"] if "upload-artifact" in step.get("uses", "")]
    taken = [step["with"] for step in deploy["apply"]["steps"] if "download-artifact" in step.get("uses", "")]
    folder = "infra/terraform/envs/${{ inputs.environment }}"
    assert [one["name"] for one in kept] == [one["name"] for one in taken] == ["plan"]
    assert kept[0]["path"].split() == [  # an expression has spaces in it
        *f"{folder}/${{{{ inputs.environment }}}}.tfplan".split(),
        *f"{folder}/.terraform.lock.hcl".split(),
    ]
    assert taken[0]["path"] == folder
    assert deploy["apply"]["needs"] == "plan"
    commands = [step["run"].split()[1] for step in deploy["apply"]["steps"] if "run" in step]
    assert commands == ["tf-init", "tf-apply-plan"]  # nothing is planned or built again


def test_a_plan_knows_what_the_jobs_run_since_it_would_delete_them() -> None:
    deploy = jobs(ROOT / ".github/workflows/deploy.yml")
    commands = [step["run"].split()[1] for step in deploy["plan"]["steps"] if "run" in step]
    assert commands == ["push-images", "tf-init", "glue-assets", "tf-plan"]


def test_every_image_that_is_deployed_is_scanned() -> None:
    scanned = jobs(ROOT / ".github/workflows/scan.yml")["images"]["strategy"]["matrix"]["function"]
    assert scanned == list(FUNCTIONS)


def test_images_are_built_for_the_processor_that_is_chosen_and_on_a_runner_that_has_it() -> None:
    deploy = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())
    chosen = deploy[True]["workflow_dispatch"]["inputs"]["architecture"]
    assert (chosen["options"], chosen["default"]) == (list(PLATFORMS), "x86_64")
    (push,) = (step for step in deploy["jobs"]["plan"]["steps"] if "push-images" in step.get("run", ""))
    assert push["env"] == {"PUSH_OPTIONS": "--architecture ${{ inputs.architecture }}"}
    # Nothing is emulated; and the plan's lock file names the provider of the processor that applies it.
    runners = {job["runs-on"] for job in deploy["jobs"].values()}
    assert runners == {"${{ inputs.architecture == 'arm64' && 'ubuntu-24.04-arm' || 'ubuntu-24.04' }}"}


def test_images_are_built_without_the_index_that_lambda_refuses() -> None:
    (build,) = (step["run"] for step in steps(ROOT / ".github/workflows/scan.yml") if "docker" in step.get("run", ""))
    assert "--provenance=false --sbom=false" in build


def test_the_image_that_is_scanned_has_the_base_of_the_image_that_is_pushed() -> None:
    (build,) = (step["run"] for step in steps(ROOT / ".github/workflows/scan.yml") if "docker" in step.get("run", ""))
    assert "BASE_IMAGE" not in build  # the Dockerfile's own, as `make push-images` has it


def test_scanning_fails_on_what_is_severe_and_has_a_fix() -> None:
    scans = [step["with"] for step in steps(ROOT / ".github/workflows/scan.yml") if "trivy" in step.get("uses", "")]
    (verdict,) = (scan for scan in scans if "exit-code" in scan)
    wanted = {"severity": "HIGH,CRITICAL", "ignore-unfixed": "true", "exit-code": "1"}
    assert {name: verdict.get(name) for name in wanted} == wanted


def the_contract_check() -> list[str]:
    """The command with which a pull request's contracts are compared with the base branch."""
    (step,) = (step for step in steps(ROOT / ".github/workflows/ci.yml") if "--against" in step.get("run", ""))
    assert step["if"] == "github.event_name == 'pull_request'"
    program, *arguments = step["run"].split()
    assert program == ".venv/bin/smelt"
    return [sys.executable, "-m", "services.ops.cli", *arguments]


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


def pull_request(folder: Path, base: str | None, change: str) -> subprocess.CompletedProcess[str]:
    """What the check says about a pull request as CI checks it out: two commits deep, at the merge.

    Args:
        base: shipments' contract on the base branch; None where there is no contract at all.
        change: the same in the pull request.
    """
    origin, clone = folder / "origin", folder / "clone"
    (origin / "contracts").mkdir(parents=True)
    git(origin, "init", "--quiet", "--initial-branch=main")
    (origin / "README.md").write_text("smelt\n")
    if base is not None:
        (origin / "contracts/shipments.yaml").write_text(base)
    git(origin, "add", ".")
    git(origin, "commit", "--quiet", "-m", "Begin")
    git(origin, "switch", "--quiet", "-c", "change")
    (origin / "contracts/shipments.yaml").write_text(change)
    git(origin, "add", ".")
    git(origin, "commit", "--quiet", "-m", "Change")
    git(origin, "switch", "--quiet", "main")
    git(origin, "merge", "--quiet", "--no-ff", "-m", "Merge", "change")
    git(folder, "clone", "--quiet", "--depth", "2", origin.as_uri(), str(clone))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(the_contract_check(), cwd=clone, env=environment, capture_output=True, text=True)


SHIPMENTS = (ROOT / "contracts/shipments.yaml").read_text()
WITHOUT_CARRIER = re.sub(r"      - name: carrier\n(        .*\n| {10,}.*\n)*", "", SHIPMENTS)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
class TestTheContractsOfAPullRequest:
    def test_are_refused_if_a_change_breaks_readers(self, tmp_path: Path) -> None:
        assert WITHOUT_CARRIER != SHIPMENTS
        done = pull_request(tmp_path, SHIPMENTS, WITHOUT_CARRIER)
        assert done.returncode == 1, done.stderr
        assert "carrier: is removed (needs version 2.0.0)" in " ".join(done.stdout.split())

    def test_are_accepted_with_the_new_major_version(self, tmp_path: Path) -> None:
        done = pull_request(tmp_path, SHIPMENTS, WITHOUT_CARRIER.replace("version: 1.0.0", "version: 2.0.0", 1))
        assert done.returncode == 0, done.stdout + done.stderr

    def test_are_all_new_where_the_base_branch_has_none(self, tmp_path: Path) -> None:
        done = pull_request(tmp_path, None, SHIPMENTS)
        assert done.returncode == 0, done.stdout + done.stderr
