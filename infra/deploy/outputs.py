"""The names of what Terraform has created, taken from its own outputs: a naming rule could match others' resources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.deploy.terraform import complaint, terraform
from services.ops.errors import OperatorError

# Output -> the environment variable that the `smelt` command and the AWS clients read.
VARIABLES = {
    "bronze_bucket": "BRONZE_BUCKET",
    "silver_bucket": "SILVER_BUCKET",
    "ledger_table": "LEDGER_TABLE",
    "queue_url": "QUEUE_URL",
    "region": "AWS_DEFAULT_REGION",
}


class NoOutputs(OperatorError):
    """Terraform does not say what it has created; the message says why."""


def outputs(directory: Path) -> dict[str, Any]:
    """The outputs of a Terraform directory, absolute or below the repository's root; empty if nothing is created.

    Raises:
        NoOutputs: Terraform failed, for example because `make tf-init` has not been run.
    """
    done = terraform(directory, "output", "-no-color", "-json")
    if done.returncode:
        raise NoOutputs(f"Terraform gives no outputs in {directory}: {complaint(done, 'make tf-init')}")
    return {name: output["value"] for name, output in json.loads(done.stdout).items()}


def pipeline_environment(created: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that point the `smelt` command at the pipeline that Terraform has created.

    Raises:
        NoOutputs: it has created no pipeline.
    """
    missing = [name for name in VARIABLES if not created.get(name)]
    if missing:
        raise NoOutputs(
            f"Terraform has created no pipeline: no output {', '.join(missing)}. Run `make tf-apply` first."
        )
    return {variable: str(created[name]) for name, variable in VARIABLES.items()}
