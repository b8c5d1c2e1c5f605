"""MiniStack with Docker, and envs/local deployed on it by the commands that the README gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.ministack import ROOT, ministack
from local.stack import CREDENTIALS, Clients, connect
from tests.support.terraform import need_terraform

TERRAFORM = ROOT / "infra/terraform"
ENV = TERRAFORM / "envs/local"


@dataclass(frozen=True)
class Deployment:
    """envs/local on an emulator."""

    endpoint: str
    clients: Clients
    environment: dict[str, str]

    def make(self, target: str, *variables: str, fails: bool = False) -> str:
        """Run a make target as a person would; gives what it printed."""
        command = ["make", "--no-print-directory", target, "ENV=local", *variables]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, input="")
        printed = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, printed[-8000:]
        return printed

    def outputs(self) -> dict[str, Any]:
        """Terraform's outputs."""
        printed = self.terraform("output", "-json")
        return {name: output["value"] for name, output in json.loads(printed).items()}

    def terraform(self, *arguments: str) -> str:
        command = [ROOT / "infra/terraform/tools/terraform.sh", "infra/terraform/envs/local", *arguments]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def registry(self) -> Any:
        """A client of the emulator's ECR."""
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client("ecr", endpoint_url=self.endpoint, region_name="us-east-1", **keys)

    def addresses(self) -> set[str]:
        """What Terraform manages right now."""
        return set(self.terraform("state", "list").split())


def _forget_earlier_runs() -> None:
    """States of an emulator that is gone."""
    for state in [*ENV.glob("terraform.tfstate*"), *ENV.glob("*.auto.tfvars.json"), *ENV.glob("*.tfplan*")]:
        state.unlink()
    shutil.rmtree(TERRAFORM / "bootstrap/terraform.tfstate.d/local-smelt-local-us-east-1", ignore_errors=True)


@pytest.fixture(scope="session")
def _tools() -> None:
    """These tests need Docker and Terraform; CI has both, so there they always run."""
    need_terraform()
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        reason = "no Docker engine runs here: start one, or on bare Debian run docker/docker_on_debian.sh"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def deployment(_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Images pushed to the emulator's registry, and everything that Terraform creates, on it."""
    log: Path = tmp_path_factory.mktemp("ministack") / "log"
    _forget_earlier_runs()
    with ministack(log=log, docker=True) as endpoint:
        # Docker trusts a registry without TLS under this name.
        endpoint = endpoint.replace("127.0.0.1", "localhost")
        environment = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint, "TF_AUTO_APPROVE": "1"}
        deployed = Deployment(endpoint, connect(endpoint), environment)
        deployed.make("push-images", "PUSH_OPTIONS=--emulated")
        deployed.make("tf-init", "TF_BACKEND=local")
        deployed.make("tf-apply")
        yield deployed
        print(f"\nMiniStack's log ({log}):\n" + log.read_text()[-4000:])
