"""Real plans, made by Terraform against the embedded emulator, as values that tests can look into."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.images import FUNCTIONS
from infra.terraform.tools.record_permissions import copy_terraform
from local.ministack import ROOT

TERRAFORM = ROOT / "infra/terraform/tools/terraform.sh"
EMULATED = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
IMAGES = {
    function: f"000000000000.dkr.ecr.us-east-2.amazonaws.com/smelt-dev/{function}@sha256:{'a' * 64}"
    for function in FUNCTIONS
}


def need_terraform() -> None:
    """Skip where there is no Terraform; in CI that is a failure."""
    if shutil.which("terraform") is None:
        reason = "terraform is not installed: get 1.10 or newer from your package manager or HashiCorp's site"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def plan(root: str, tfvars: str, variables: Mapping[str, Any], endpoint: str, scratch: Path) -> dict[str, Any]:
    """What Terraform would create, as `terraform show -json` tells it. Nothing is left in the checkout.

    Args:
        root: the directory below infra/terraform.
        tfvars: a file of variables in it; empty for none.
        variables: more of them; they win.
    """
    need_terraform()
    copy = scratch / "terraform"
    if not copy.exists():
        copy_terraform(copy)
    (copy / root / "test.tfvars.json").write_text(json.dumps(dict(variables)))
    directory = os.path.relpath(copy / root, ROOT)
    environment = os.environ | EMULATED | {"AWS_ENDPOINT_URL": endpoint, "CHECKPOINT_DISABLE": "1"}

    def terraform(*arguments: str) -> str:
        done = subprocess.run([TERRAFORM, directory, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    terraform("init", "-input=false")
    files = [f"-var-file={file}" for file in (tfvars, "test.tfvars.json") if file]
    terraform("plan", "-input=false", "-out=test.tfplan", *files)
    planned: dict[str, Any] = json.loads(terraform("show", "-json", "test.tfplan"))
    return planned


def resources(planned: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Address -> the values that a resource would have; what only AWS knows is missing."""

    def walk(module: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for resource in module.get("resources", []):
            yield resource["address"], resource.get("values", {}) | {"_type": resource["type"]}
        for child in module.get("child_modules", []):
            yield from walk(child)

    return dict(walk(planned["planned_values"]["root_module"]))


def of_type(planned: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The planned resources of one type, such as `aws_sqs_queue`, by address."""
    return {address: values for address, values in resources(planned).items() if values["_type"] == kind}
