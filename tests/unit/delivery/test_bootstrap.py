"""What make runs for push-images, tf-bootstrap and tf-init: the real Makefile, with stubs for Terraform and us."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from infra.deploy import images
from infra.deploy.cli.images import MISSING, push_images
from local.ministack import ROOT
from services.ops.cli.console import execute
from tests.support.terraform import TERRAFORM, need_terraform

PIPELINE_VARIABLES = ROOT / "infra/terraform/modules/pipeline/variables.tf"

Made = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Runs make; gives its exit code and the commands that it ran. `check` is how push-images --check ends."""
    log = tmp_path / "log"
    stub = tmp_path / "stub"
    stub.write_text(
        f'#!/bin/sh\necho "$*" >> {log}\ncase "$*" in *--check*) echo "what went wrong" >&2; exit $CHECK;; esac\n'
    )
    stub.chmod(0o755)

    def run(*arguments: str, check: int = 0) -> tuple[int, list[str]]:
        log.write_text("")
        # `-o`: nothing is installed for this.
        command = ["make", "-o", ".venv/.app", *arguments, f"DEPLOY={stub} deploy", f"TERRAFORM={stub} terraform"]
        done = subprocess.run(
            command, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "CHECK": str(check)}, capture_output=True
        )
        return done.returncode, log.read_text().splitlines()

    return run


def applied(commands: list[str]) -> list[str]:
    """The roots that Terraform applied."""
    return [found[1] for line in commands if (found := re.match(r"terraform infra/terraform/(\S+) apply", line))]


def test_repositories_that_exist_are_left_alone(made: Made) -> None:
    code, commands = made("push-images", check=0)
    assert (code, applied(commands), commands[-1]) == (0, [], "deploy push-images --env dev")


def test_missing_repositories_are_created_before_the_push(made: Made) -> None:
    code, commands = made("push-images", check=MISSING)
    assert (code, applied(commands), commands[-1]) == (0, ["bootstrap"], "deploy push-images --env dev")


@pytest.mark.parametrize("status", [1, 2, 127, 130])
def test_any_other_failure_stops_and_creates_nothing(made: Made, status: int) -> None:
    code, commands = made("push-images", check=status)
    assert (code != 0, applied(commands)) == (True, [])
    assert commands[-1] == "deploy push-images --env dev --check"


def test_with_bootstrap_0_missing_repositories_stop_the_push(made: Made) -> None:
    code, commands = made("push-images", "BOOTSTRAP=0", check=MISSING)
    assert (code != 0, applied(commands)) == (True, [])


def test_only_a_named_state_bucket_is_touched_and_each_has_a_state_of_its_own(made: Made) -> None:
    assert applied(made("tf-bootstrap")[1]) == ["bootstrap"]
    _, commands = made("tf-bootstrap", "STATE_BUCKET=ours")
    assert applied(commands) == ["bootstrap", "state"]
    assert "terraform infra/terraform/state workspace select -or-create ours" in commands
    assert applied(made("push-images", "STATE_BUCKET=ours", check=MISSING)[1]) == ["bootstrap"]


@pytest.mark.parametrize(("project", "region"), [("smelt-new", "us-east-2"), ("smelt-dev", "eu-central-1")])
def test_another_project_or_region_gets_repositories_beside_the_old_ones(
    made: Made, tmp_path: Path, project: str, region: str
) -> None:
    """In the same workspace, Terraform would delete the old repositories, whose images still run."""
    values = tmp_path / "dev.tfvars"
    values.write_text(f'# of dev\nproject = "{project}" # renamed\nregion  = "{region}"\n')
    before, after = (
        [line for line in made("push-images", *more, check=MISSING)[1] if "workspace select" in line]
        for more in ((), (f"TF_VALUES={values}",))
    )
    assert set(before) == {"terraform infra/terraform/bootstrap workspace select -or-create dev-smelt-dev-us-east-2"}
    assert set(after) == {f"terraform infra/terraform/bootstrap workspace select -or-create dev-{project}-{region}"}


def test_two_projects_with_one_environment_have_a_state_each_in_one_bucket(made: Made, tmp_path: Path) -> None:
    ours, values = tmp_path / "backend.hcl", tmp_path / "dev.tfvars"
    ours.write_text('bucket = "ours"\n')
    values.write_text('project = "other"\nregion  = "us-east-2"\n')
    here = ("tf-init", "TF_BACKEND=s3", f"TF_ENV={tmp_path}", f"TF_BACKEND_FILE={ours}")
    keys = [made(*here, *more)[1][0].split("key=")[1] for more in ((), (f"TF_VALUES={values}",))]
    assert keys == ["smelt/smelt-dev/dev.tfstate", "smelt/other/dev.tfstate"]


@pytest.mark.parametrize("target", ["tf-init", "push-images", "tf-bootstrap"])
def test_values_without_a_project_stop_before_anything_is_done(made: Made, target: str) -> None:
    code, commands = made(target, "ENV=nonsense")
    assert (code != 0, commands) == (True, [])


def test_the_state_bucket_is_in_no_other_root_and_cannot_be_destroyed() -> None:
    assert "aws_s3_bucket" not in (ROOT / "infra/terraform/bootstrap/main.tf").read_text()
    assert "modules/bucket" not in (ROOT / "infra/terraform/bootstrap/main.tf").read_text()
    assert "prevent_destroy = true" in (ROOT / "infra/terraform/state/main.tf").read_text()


def test_a_state_in_s3_needs_a_bucket_of_ones_own(made: Made, tmp_path: Path) -> None:
    assert re.search(r'^bucket +=\s+""$', (ROOT / "infra/terraform/backend/backend.hcl").read_text(), re.MULTILINE)
    code, commands = made("tf-init", "TF_BACKEND=s3", f"TF_ENV={tmp_path}")
    assert (code != 0, commands, (tmp_path / "backend_override.tf").exists()) == (True, [], False)
    ours = tmp_path / "backend.hcl"
    ours.write_text('bucket = "ours"\n')
    code, commands = made("tf-init", "TF_BACKEND=s3", f"TF_ENV={tmp_path}", f"TF_BACKEND_FILE={ours}")
    assert (code, len(commands), (tmp_path / "backend_override.tf").exists()) == (0, 1, True)


def test_a_checkout_whose_state_is_in_s3_stays_there_until_it_is_told_otherwise(made: Made, tmp_path: Path) -> None:
    """Otherwise `make tf-init`, repeated, would offer to copy the state into a file that nobody else sees."""
    ours, override = tmp_path / "backend.hcl", tmp_path / "backend_override.tf"
    ours.write_text('bucket = "ours"\n')
    here = (f"TF_ENV={tmp_path}", f"TF_BACKEND_FILE={ours}")
    (tmp_path / ".terraform").mkdir()
    assert (made("tf-init", *here)[0], override.exists()) == (0, False)
    assert (made("tf-init", "TF_BACKEND=s3", *here)[0], override.exists()) == (0, True)
    code, (command,) = made("tf-init", *here)
    assert (code, "-backend-config=key=smelt/smelt-dev/dev.tfstate" in command, override.exists()) == (0, True, True)
    code, (command,) = made("tf-init", "TF_BACKEND=local", *here)
    assert (code, "-backend-config" in command, override.exists()) == (0, False, False)


def test_a_state_comes_back_into_a_file_when_somebody_asks_for_it(tmp_path: Path) -> None:
    """By the real Terraform, which does not copy where it is only told `init`. A file elsewhere stands for S3."""
    need_terraform()
    state, override = tmp_path / "terraform.tfstate", tmp_path / "backend_override.tf"
    (tmp_path / "main.tf").write_text('resource "terraform_data" "one" {}\n')
    override.write_text('terraform {\n  backend "local" {\n    path = "elsewhere/state"\n  }\n}\n')
    for command in (["init"], ["apply", "-auto-approve"]):
        subprocess.run([TERRAFORM, tmp_path, *command], check=True, capture_output=True)
    command = ["make", "tf-init", f"TF_ENV={tmp_path}", "TF_BACKEND=local"]

    refused = subprocess.run(command, cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL)
    assert (refused.returncode != 0, override.exists()) == (True, True)  # nobody said yes: all is as it was

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, input="yes\n")
    assert (done.returncode, override.exists()) == (0, False), done.stdout + done.stderr
    assert [one["type"] for one in json.loads(state.read_text())["resources"]] == ["terraform_data"]
    assert not list(tmp_path.glob("*.away"))


@pytest.mark.parametrize(
    ("bucket", "options", "left", "in_s3"),
    [
        ("ours", [], "", True),
        ("", [], "", False),
        ("ours", ["TF_BACKEND=local"], "", False),
        ("ours", [], "terraform.tfstate", False),  # it is in use here
    ],
)
def test_a_fresh_checkout_takes_the_state_that_the_others_have(
    made: Made, tmp_path: Path, bucket: str, options: list[str], left: str, in_s3: bool
) -> None:
    """With a state of its own, it would plan all that exists again, and destroy nothing of it."""
    ours = tmp_path / "backend.hcl"
    ours.write_text(f'bucket       = "{bucket}"\n')
    if left:
        (tmp_path / left).touch()
    code, _ = made("tf-init", *options, f"TF_ENV={tmp_path}", f"TF_BACKEND_FILE={ours}")
    assert (code, (tmp_path / "backend_override.tf").exists()) == (0, in_s3)


@pytest.mark.parametrize("root", ["bootstrap", "state", "envs/dev", "envs/local", "examples/minimal"])
def test_no_root_can_be_applied_to_another_account_than_is_named(root: str) -> None:
    (provider,) = re.findall(
        r'^provider "aws" {.*?^}', (ROOT / f"infra/terraform/{root}/main.tf").read_text(), re.M | re.S
    )
    assert "allowed_account_ids" in provider


def test_every_environment_pins_the_same_version_of_the_provider() -> None:
    """No lock file is committed: the README says why, and how to make one."""
    roots = [ROOT / "infra/terraform" / root / "main.tf" for root in ("bootstrap", "state", "envs/dev", "envs/local")]
    assert len({re.search(r'^ +version = "([0-9.]+)"$', root.read_text(), re.M)[1] for root in roots}) == 1  # type: ignore[index]


class Absent:
    """ECR without repositories."""

    class exceptions:  # noqa: N801 (botocore's name)
        class RepositoryNotFoundException(Exception):
            pass

    def describe_repositories(self, **_: Any) -> Any:
        raise self.exceptions.RepositoryNotFoundException("smelt-dev/ingest")


@pytest.mark.parametrize(("options", "code"), [(["--check"], MISSING), ([], 2)])
def test_a_missing_repository_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(images, "settings", lambda _: ("smelt-dev", "us-east-2"))
    monkeypatch.setattr("infra.deploy.cli.images.aws_client", lambda *_: Absent())
    app = typer.Typer()
    app.command()(push_images)
    assert execute(app, options) == code
    assert "make tf-bootstrap" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("signed_in", "planned", "preflight", "kept"),
    [(0, 0, 0, "new"), (0, 0, 1, None), (0, 1, 0, None), (2, 0, 0, None)],
)
def test_only_a_plan_that_passed_the_preflight_is_left_to_apply(
    tmp_path: Path, signed_in: int, planned: int, preflight: int, kept: str | None
) -> None:
    """`make tf-apply-plan` applies what it finds: never what was refused, nor an older plan after one that failed."""
    plan = tmp_path / "dev.tfplan"
    plan.write_text("old")
    (tmp_path / ".terraform").mkdir()
    terraform, deploy = tmp_path / "terraform", tmp_path / "deploy"
    # A plan that fails is written, too, and marked as one that cannot be applied.
    terraform.write_text(f'#!/bin/sh\ncase "$*" in *-out=*) printf new > {plan}; exit {planned};; esac\n')
    deploy.write_text(f'#!/bin/sh\ncase "$*" in preflight*) exit {preflight};; *) exit {signed_in};; esac\n')
    for stub in (terraform, deploy):
        stub.chmod(0o755)
    command = [
        "make",
        "-o",
        ".venv/.app",
        "tf-plan",
        f"TF_ENV={tmp_path}",
        f"DEPLOY={deploy}",
        f"TERRAFORM={terraform}",
    ]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True)
    assert (done.returncode == 0, plan.read_text() if plan.exists() else None) == (kept is not None, kept)


TF_TARGETS = ["tf-plan", "tf-apply", "tf-apply-plan", "tf-destroy", "tf-output"]


def told(target: str, folder: Path, terraform: str = "exit 0", deploy: str = "exit 0") -> tuple[int, str]:
    """The exit code and the messages of a target, with stubs for Terraform and for us."""
    stubs = {"TERRAFORM": terraform, "DEPLOY": deploy}
    for name, body in stubs.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    given = [f"{name}={folder / name}" for name in stubs]
    command = ["make", "-o", ".venv/.app", target, f"TF_ENV={folder}", *given]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("target", TF_TARGETS)
def test_before_tf_init_each_target_says_so(tmp_path: Path, target: str) -> None:
    """Terraform says `terraform init`, which would do something else in a folder whose state is in S3."""
    code, said = told(target, tmp_path, terraform="exit 1")
    assert code == 2
    assert said.startswith(f"error: Terraform is not prepared in {tmp_path}: run `make tf-init` first\n")


@pytest.mark.parametrize("target", ["tf-plan", "tf-apply", "tf-destroy"])
def test_without_credentials_terraform_is_not_asked(tmp_path: Path, target: str) -> None:
    (tmp_path / ".terraform").mkdir()
    code, said = told(target, tmp_path, terraform="echo asked >&2", deploy="echo sign in >&2; exit 2")
    assert (code, "sign in" in said, "asked" in said) == (2, True, False)


def test_a_destroy_needs_no_images_that_were_pushed_from_here(tmp_path: Path) -> None:
    """The variables' checks would stop it in every checkout but the one with images.auto.tfvars.json."""
    (tmp_path / ".terraform").mkdir()
    code, said = told("tf-destroy", tmp_path, terraform='for word; do echo "$word" >&2; done')
    (given,) = [json.loads(line.removeprefix("images=")) for line in said.splitlines() if line.startswith("images=")]
    assert (code, set(given)) == (0, set(images.FUNCTIONS))
    (named,) = re.findall(r'can\(regex\("(.*sha256.*)", image\)\)', PIPELINE_VARIABLES.read_text())
    assert all(re.search(named, image) for image in given.values())


def test_without_a_plan_there_is_nothing_to_apply(tmp_path: Path) -> None:
    (tmp_path / ".terraform").mkdir()
    code, said = told("tf-apply-plan", tmp_path, terraform="echo asked >&2")
    assert (code, "asked" in said) == (2, False)
    assert "run `make tf-plan` first" in said


def test_before_anything_is_created_there_is_no_output(tmp_path: Path) -> None:
    (tmp_path / ".terraform").mkdir()
    code, said = told("tf-output", tmp_path, terraform="echo '{}'")
    assert (code, "run `make tf-apply` first" in said) == (2, True)
    assert told("tf-output", tmp_path, terraform="""echo '{"a": {"value": 1}}'""")[0] == 0


def test_an_environment_that_does_not_exist_is_named() -> None:
    done = subprocess.run(
        ["infra/terraform/tools/terraform.sh", "infra/terraform/envs/nonsense", "output"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: infra/terraform/envs/nonsense: no such folder. ENV names a folder")


WITHOUT = {
    "docker is not installed": "",
    "docker has no buildx": "exit 1",
    "no Docker engine answers": '[ "$1" = buildx ]',
    "docker has no compose": '[ "$1" != compose ]',
}


@pytest.fixture
def with_docker(tmp_path: Path) -> Callable[[str], str]:
    """A PATH on which docker is this script, or is not there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "make", "awk", "sed", "basename", "tr"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)

    def path(docker: str) -> str:
        if docker:
            (tools / "docker").write_text(f"#!/bin/sh\n{docker}\n")
            (tools / "docker").chmod(0o755)
        return str(tools)

    return path


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (target, said)
        for target in ("build", "tf-test", "e2e")
        for said in WITHOUT
        if target == "e2e" or "compose" not in said
    ],
)
def test_what_docker_lacks_is_said_before_anything_is_installed_or_built(
    with_docker: Callable[[str], str], target: str, said: str
) -> None:
    environment = {"PATH": with_docker(WITHOUT[said])}
    done = subprocess.run(["make", target], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, said in done.stderr, done.stdout) == (2, True, ""), done.stderr


@pytest.mark.parametrize("said", ["docker is not installed", "docker has no buildx"])
def test_push_images_misses_docker_before_it_asks_for_a_revision(
    with_docker: Callable[[str], str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", with_docker(WITHOUT[said]))
    with pytest.raises(images.PushFailed, match=said):
        images.check_docker()
