"""The names of what Terraform has created, as it says them itself: a naming rule could match others' resources."""

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
    "dlq_url": "DEAD_LETTER_QUEUE_URL",
    "ingest_failures_queue_url": "INGEST_FAILURES_QUEUE_URL",
    "ingest_function": "INGEST_FUNCTION",
    "quarantine_expiry_days": "QUARANTINE_DAYS",
    "glue_job_name": "GLUE_JOB_NAME",
    "lake_database": "LAKE_DATABASE",
    "region": "AWS_DEFAULT_REGION",
}
# Queues that exist already are not always named; quarantine may be kept for ever; jobs and lake are as one likes.
_MAY_BE_EMPTY = {"glue_job_name", "lake_database", "dlq_url", "ingest_failures_queue_url", "quarantine_expiry_days"}
STATE_ELSEWHERE = (
    "If it is deployed, this checkout does not see its state yet: run `make tf-init` (infra/terraform/README.md). If "
    "it is not, run `make tf-apply`."
)


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


def managed_buckets(directory: Path) -> dict[str, str | None]:
    """The buckets that Terraform has created in a directory and not destroyed, each with its region.

    They are read from the state: a destroy that fails, such as at a bucket that is not empty, has already removed all
    outputs (hashicorp/terraform, issue 29270).

    Raises:
        NoOutputs: Terraform failed, for example because `make tf-init` has not been run.
    """
    done = terraform(directory, "state", "pull")
    if done.returncode:
        raise NoOutputs(f"Terraform gives no state in {directory}: {complaint(done, 'make tf-init')}")
    state = json.loads(done.stdout) if done.stdout.strip() else {}
    made = [
        instance.get("attributes") or {}
        for resource in state.get("resources") or []
        if (resource["mode"], resource["type"]) == ("managed", "aws_s3_bucket")
        for instance in resource["instances"]
    ]
    return {one["bucket"]: one.get("region") for one in made if one.get("bucket")}


def pipeline_environment(created: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that point the `smelt` command at the pipeline that Terraform has created.

    Raises:
        NoOutputs: it has created no pipeline.
    """
    missing = [name for name in VARIABLES if not created.get(name) and name not in _MAY_BE_EMPTY]
    if missing:
        raise NoOutputs(f"Terraform has created no pipeline: no output {', '.join(missing)}. {STATE_ELSEWHERE}")
    return {variable: str(created.get(name) or "") for name, variable in VARIABLES.items()}
