"""The policies of a real plan, and of a bucket as Terraform creates it, found by what they are about."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.terraform.tools.record_permissions import copy_terraform
from local.ministack import ROOT
from tests.support.terraform import EMULATED, TERRAFORM, of_type

Policy = dict[str, Any]

_BUCKET_ROOT = """
provider "aws" {
  region                      = "us-east-2"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
}

module "bucket" {
  source = "../../modules/bucket"
  name   = "%s"
}
"""


def role_policy(planned: Mapping[str, Any], service: str) -> Policy:
    """The one policy of a function's role."""
    found = of_type(planned, "aws_iam_role_policy")
    (values,) = (values for address, values in found.items() if f"module.{service}." in address)
    policy: Policy = json.loads(values["policy"])
    return policy


def trust_policy(planned: Mapping[str, Any], service: str) -> Policy:
    """Who may become a function's role."""
    found = of_type(planned, "aws_iam_role")
    (values,) = (values for address, values in found.items() if f"module.{service}." in address)
    policy: Policy = json.loads(values["assume_role_policy"])
    return policy


def queue_policies(planned: Mapping[str, Any]) -> dict[str, Policy]:
    """The queue's ARN -> its policy."""
    policies = [json.loads(values["policy"]) for values in of_type(planned, "aws_sqs_queue_policy").values()]
    return {policy["Statement"][0]["Resource"]: policy for policy in policies}


def bucket_policy(bucket: str, endpoint: str, scratch: Path) -> Policy:
    """The policy that a bucket gets. Its ARN is known only when there is a bucket, so one is created on an emulator."""
    copy_terraform(scratch / "terraform")
    root = scratch / "terraform/test/bucket"
    root.mkdir(parents=True)
    (root / "main.tf").write_text(_BUCKET_ROOT % bucket)
    environment = os.environ | EMULATED | {"AWS_ENDPOINT_URL": endpoint, "CHECKPOINT_DISABLE": "1"}

    def terraform(*arguments: str) -> str:
        command: list[str | Path] = [TERRAFORM, os.path.relpath(root, ROOT), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    terraform("init", "-input=false")
    terraform("apply", "-input=false", "-auto-approve")
    created = json.loads(terraform("show", "-json"))
    (values,) = of_type({"planned_values": created["values"]}, "aws_s3_bucket_policy").values()
    terraform("destroy", "-input=false", "-auto-approve")
    policy: Policy = json.loads(values["policy"])
    return policy
