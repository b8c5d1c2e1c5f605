"""Terraform's state in a bucket that `make tf-bootstrap` creates: written there, and locked against a second writer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.terraform.tools.record_permissions import COMMANDS, copy_terraform
from local.ministack import ROOT
from local.stack import CREDENTIALS, Clients
from tests.support.terraform import IMAGES, need_terraform

pytestmark = pytest.mark.terraform
BUCKET = "smelt-terraform-state"
STATE = "smelt/smelt-dev/dev.tfstate"
# The environment of this checkout, as it is.
MAKE = ("make", f"VENV={ROOT / '.venv'}", "INSTALL=true")
ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket"}


@dataclass(frozen=True)
class Checkout:
    """A copy of what deploys, so that nothing is left in this checkout."""

    folder: Path
    environment: dict[str, str]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = self.environment | environment
        return subprocess.run(command, cwd=self.folder, env=settings, capture_output=True, text=True)

    def apply(self) -> subprocess.CompletedProcess[str]:
        """Apply as little as makes a state: the ledger."""
        options = [
            "-auto-approve",
            "-input=false",
            "-var-file=dev.tfvars",
            "-target=module.platform.module.pipeline.module.ledger",
        ]
        logging = {"TF_LOG": "JSON", "TF_LOG_PATH": str(self.log)}
        return self.run("infra/terraform/tools/terraform.sh", "infra/terraform/envs/dev", "apply", *options, **logging)

    def called_for_the_state(self) -> Iterator[str]:
        """The API calls that the backend, not the provider, has made."""
        for line in self.log.read_text().splitlines():
            if '"rpc.method"' in line and '"backend-s3"' in line:
                yield f"s3:{json.loads(line)['rpc.method']}"


@pytest.fixture(scope="module")
def checkout(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    need_terraform()
    folder = tmp_path_factory.mktemp("checkout")
    copy_terraform(folder / "infra/terraform")
    shutil.copy(ROOT / "Makefile", folder)
    backend = folder / "infra/terraform/backend/backend.hcl"
    backend.write_text(re.sub(r"^bucket .*$", f'bucket = "{BUCKET}"', backend.read_text(), flags=re.MULTILINE))
    environment = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": emulator, "TF_AUTO_APPROVE": "1"}
    ready = Checkout(folder, environment | {"TF_CLI_ARGS": "-no-color", "TF_VAR_s3_path_style": "true"})
    for command, options in (
        ([*MAKE, "tf-bootstrap", f"STATE_BUCKET={BUCKET}"], {}),
        ([*MAKE, "tf-init", "TF_BACKEND=s3"], {"TF_CLI_ARGS_init": "-backend-config=use_path_style=true"}),
    ):
        done = ready.run(*command, **options)
        assert done.returncode == 0, done.stdout + done.stderr
    (folder / "infra/terraform/envs/dev/images.auto.tfvars.json").write_text(json.dumps({"images": IMAGES}))
    return ready


def test_the_state_goes_into_the_bucket_and_the_lock_goes_away(checkout: Checkout, clients: Clients) -> None:
    done = checkout.apply()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [entry["Key"] for entry in clients.s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == [STATE]
    state = json.loads(clients.s3.get_object(Bucket=BUCKET, Key=STATE)["Body"].read())
    assert [resource["type"] for resource in state["resources"] if resource["mode"] == "managed"] == [
        "aws_dynamodb_table"
    ]
    assert not list((checkout.folder / "infra/terraform/envs/dev").glob("terraform.tfstate*"))


def test_the_state_needs_what_is_listed(checkout: Checkout) -> None:
    needed = {ACTIONS.get(call, call) for call in checkout.called_for_the_state()}
    assert needed == COMMANDS["and a state in S3 (TF_BACKEND=s3)"]


def test_a_second_writer_is_refused(checkout: Checkout, clients: Clients) -> None:
    lock = json.dumps({"ID": "theirs", "Operation": "apply", "Who": "somebody@else"}).encode()
    clients.s3.put_object(Bucket=BUCKET, Key=f"{STATE}.tflock", Body=lock)
    done = checkout.apply()
    assert done.returncode == 1
    assert "Error acquiring the state lock" in done.stderr
    assert "somebody@else" in done.stderr


def test_bootstrapping_again_leaves_the_bucket_and_nothing_destroys_it(checkout: Checkout, clients: Clients) -> None:
    for command in ([*MAKE, "tf-bootstrap"], [*MAKE, "tf-bootstrap", f"STATE_BUCKET={BUCKET}"]):
        done = checkout.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert clients.s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    options = ["-auto-approve", "-input=false", "-var-file=../envs/dev/dev.tfvars", f"-var=state_bucket={BUCKET}"]
    done = checkout.run("infra/terraform/tools/terraform.sh", "infra/terraform/state", "destroy", *options)
    assert (done.returncode, "Instance cannot be destroyed" in done.stderr) == (1, True), done.stderr
    assert clients.s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
