#!/usr/bin/env python3
"""Records the API calls with which Terraform creates and destroys the pipeline, toggle by toggle.

Writes the IAM actions that they need to infra/terraform/permissions.json: what a deployer's role must allow. Terraform
applies to the embedded emulator and logs each call, so nothing is guessed. What AWS requires without a call of its own
(iam:PassRole, tags on creation, pulling the image) is added from the AWS documentation, see IMPLIED.

.venv/bin/python infra/terraform/tools/record_permissions.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from infra.deploy.images import FUNCTIONS  # noqa: E402
from local.ministack import ministack  # noqa: E402
from services.ops.cli.console import messages, run, say  # noqa: E402

TOOLS = Path(__file__).resolve().parent
OUT = ROOT / "infra/terraform/permissions.json"
PREFIXES = {"CloudWatch Logs": "logs", "CloudWatch": "cloudwatch", "DynamoDB": "dynamodb", "ECR": "ecr", "IAM": "iam"}
PREFIXES |= {"EventBridge": "events", "Lambda": "lambda", "S3": "s3", "SNS": "sns", "SQS": "sqs", "STS": "sts"}
PREFIXES |= {"SFN": "states", "Scheduler": "scheduler", "Glue": "glue", "Athena": "athena"}
# Where an action's name is not its operation's (AWS Service Authorization Reference, Amazon S3).
ACTIONS = {
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
# Required without a call in a first apply: passing the role, pulling the image for Lambda, tags on creation; and what a
# later apply calls after a variable has changed.
IMPLIED = {
    "lambda:CreateFunction": {
        "iam:PassRole",
        "lambda:TagResource",
        "lambda:UntagResource",
        "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration",
        "lambda:PutFunctionConcurrency",
        "lambda:DeleteFunctionConcurrency",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
    },
    "lambda:CreateEventSourceMapping": {"lambda:UpdateEventSourceMapping"},
    "iam:CreateRole": {
        "iam:DeleteRolePermissionsBoundary",
        "iam:PutRolePermissionsBoundary",
        "iam:UpdateAssumeRolePolicy",
    },
    "iam:CreatePolicy": {"iam:CreatePolicyVersion", "iam:DeletePolicyVersion"},
    "dynamodb:CreateTable": {"dynamodb:TagResource", "dynamodb:UntagResource", "dynamodb:UpdateTable"},
    "logs:CreateLogGroup": {"logs:TagResource", "logs:UntagResource"},
    "ecr:CreateRepository": {"ecr:TagResource", "ecr:UntagResource"},
    "cloudwatch:PutMetricAlarm": {"cloudwatch:TagResource", "cloudwatch:UntagResource"},
    "sns:CreateTopic": {"sns:TagResource", "sns:UntagResource"},
    "events:PutRule": {"events:TagResource", "events:UntagResource"},
    "states:CreateStateMachine": {
        "iam:PassRole",
        "states:TagResource",
        "states:UntagResource",
        "states:UpdateStateMachine",
    },
    "glue:CreateDatabase": {"glue:TagResource", "glue:UntagResource", "glue:UpdateDatabase"},
    "glue:CreateTable": {"glue:UpdateTable"},
    "glue:CreateCrawler": {"glue:UpdateCrawler", "iam:PassRole"},
    # With kms_key_arn, the job has a security configuration.
    "glue:CreateJob": {
        "glue:CreateSecurityConfiguration",
        "glue:DeleteSecurityConfiguration",
        "glue:GetSecurityConfiguration",
        "glue:TagResource",
        "glue:UntagResource",
        "glue:UpdateJob",
        "iam:PassRole",
    },
    "athena:CreateWorkGroup": {"athena:TagResource", "athena:UntagResource", "athena:UpdateWorkGroup"},
    "athena:CreateNamedQuery": {"athena:UpdateNamedQuery"},
    "scheduler:CreateSchedule": {"iam:PassRole", "scheduler:UpdateSchedule"},
    "scheduler:CreateScheduleGroup": {"scheduler:TagResource", "scheduler:UntagResource"},
}
# What DynamoDB, SQS and S3 ask of whoever makes a table, queue or bucket with a customer managed key (Amazon DynamoDB
# Developer Guide, "Using KMS keys in DynamoDB"). On the key; the emulator does not ask.
OF_A_KEY = {
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
}
OF_TAGS = {
    "iam:TagPolicy",
    "iam:TagRole",
    "iam:UntagPolicy",
    "iam:UntagRole",
    "sqs:TagQueue",
    "sqs:UntagQueue",
}
# What our own commands and a state in S3 need; tests/integration/test_permissions.py and
# tests/terraform/test_state_in_s3.py record them. Docker's part of a push: Amazon ECR User Guide, "IAM permissions for
# pushing an image".
COMMANDS = {
    "and push-images": {
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeImages",
        "ecr:DescribeRepositories",
        "ecr:GetAuthorizationToken",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    },
    "and a state in S3 (TF_BACKEND=s3)": {"s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"},
    "and preflight, which says what it may not look up": {
        "athena:GetWorkGroup",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetDashboard",
        "dynamodb:DescribeTable",
        "dynamodb:Scan",
        "ecr:DescribeImages",
        "events:DescribeRule",
        "glue:GetCrawler",
        "glue:GetDatabase",
        "glue:GetJob",
        "glue:GetSecurityConfiguration",
        "glue:GetTables",
        "iam:GetAccountSummary",
        "iam:GetPolicy",
        "iam:GetRole",
        "kms:DescribeKey",
        "lambda:GetAccountSettings",
        "lambda:GetFunctionConfiguration",
        "logs:DescribeLogGroups",
        "s3:GetBucketNotification",
        "s3:GetBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "scheduler:GetScheduleGroup",
        "sns:GetTopicAttributes",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "states:DescribeStateMachine",
        "sts:GetCallerIdentity",
    },
    "and empty-buckets": {
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:ListBucketVersions",
    },
    "and audit": {
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "s3:ListBucket",
        "s3:ListBucketVersions",
    },
    "and sweep": {
        "dynamodb:BatchGetItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
    },
    "and smoke": {
        "dynamodb:BatchGetItem",
        "dynamodb:Scan",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:PutObject",
    },
    "and ops-start, ops-status, ops-history": {
        "states:DescribeExecution",
        "states:GetExecutionHistory",
        "states:ListExecutions",
        "states:StartExecution",
    },
    "and glue-assets": {"s3:GetObject", "s3:ListBucket", "s3:PutObject"},
    "and glue-crawler-start, glue-crawler-status": {"glue:GetCrawler", "glue:GetTables", "glue:StartCrawler"},
    "and create_sqs_queue.py, ensure_dlq_for_queue.py": {
        "sqs:CreateQueue",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:SetQueueAttributes",
    },
}
IMAGES = {function: f"registry.example/{function}@sha256:{'a' * 64}" for function in FUNCTIONS}
CATALOG = {
    "glue_enabled": True,
    "contracts_dir": str(ROOT / "contracts"),
    "queries_dir": str(ROOT / "sql/athena"),
}
JOBS = {
    "glue_job_enabled": True,
    "ge_enabled": True,
    "glue_assets": {
        "core": "glue/1/core.zip",
        "wheels": "glue/wheels/1.gluewheels.zip",
        "compact_silver": "glue/1/compact_silver.py",
        "validate_silver": "glue/1/validate_silver.py",
    },
}
GATE = JOBS | {"ge_workflow_enabled": True, "ge_emit_events_from_transform": True, "ge_eventbridge_enabled": True}
LAKE = CATALOG | {"ops_enabled": True, "lake_enabled": True}
PROJECT = {"project": "smelt-local", "region": "us-east-1"}


def copy_terraform(to: Path) -> None:
    """Copy infra/terraform, without what Terraform and our commands write into it."""
    ours = ("*.auto.tfvars.json", "*_override.tf", "*.tfplan*")
    shutil.copytree(ROOT / "infra/terraform", to, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", *ours))


class Recorder:
    """Terraform in a copy of infra/terraform, against an emulator."""

    def __init__(self, copy: Path, endpoint: str) -> None:
        self._copy = copy
        self._environment = os.environ | {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def actions(self, root: str, variables: Mapping[str, Any]) -> set[str]:
        """Apply and destroy. Returns the IAM actions that both need."""
        (self._copy / root / "recorded.tfvars.json").write_text(json.dumps(dict(variables)))
        self._terraform(root, "init")
        log = self._copy / "log"
        for command in ("apply", "destroy"):
            options = ["-auto-approve", "-var-file=recorded.tfvars.json"]
            self._terraform(root, command, *options, TF_LOG="JSON", TF_LOG_PATH=str(log))
        called = set(_operations(log))
        log.unlink()
        actions = {ACTIONS.get(operation, operation) for operation in called}
        return actions.union(*(IMPLIED.get(action, set()) for action in actions))

    def _terraform(self, root: str, *arguments: str, **environment: str) -> None:
        subprocess.run(
            [TOOLS / "terraform.sh", self._copy / root, *arguments],
            env=self._environment | environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def _operations(log: Path) -> Iterator[str]:
    """The calls in Terraform's log, such as `s3:CreateBucket`. Lines of other programs are not JSON."""
    with log.open(errors="replace") as lines:
        for line in lines:
            if '"rpc.method"' in line and line.startswith("{"):
                entry = json.loads(line)
                yield f"{PREFIXES[entry['rpc.service']]}:{entry['rpc.method']}"


def record() -> None:
    """Record the API calls of Terraform on the embedded emulator, and write permissions.json. Takes ten minutes."""
    queue = "arn:aws:sqs:us-east-1:000000000000:given"
    url = "http://localhost/000000000000/given"
    given = {"existing_queue_arn": queue, "existing_queue_url": url}
    for other in ("dlq", "ingest_failures_queue"):
        given |= {f"existing_{other}_arn": f"{queue}-{other}", f"existing_{other}_url": f"{url}-{other}"}
    pipeline = PROJECT | {"images": IMAGES, "observability_enabled": False}
    with ministack() as endpoint, tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "terraform"
        copy_terraform(copy)
        recorder = Recorder(copy, endpoint)
        with messages.status("tf-bootstrap ..."):
            bootstrap = recorder.actions("bootstrap", PROJECT)
        with messages.status("the pipeline, in a copy of envs/local ... (3 minutes)"):
            base = recorder.actions("envs/local", pipeline)
        with messages.status("with existing queues ..."):
            without_queues = recorder.actions("envs/local", pipeline | given)
        with messages.status("with a Bronze bucket that exists ..."):
            given_bucket = {"create_bronze_bucket": False, "bronze_bucket_name": "given"}
            with_bucket = recorder.actions("envs/local", pipeline | given_bucket)
        with messages.status("with alarms and dashboard ..."):
            observed = recorder.actions("envs/local", pipeline | {"observability_enabled": True})
        with messages.status("with the operators' functions ..."):
            operated = recorder.actions("envs/local", pipeline | {"ops_enabled": True})
        with messages.status("with policies for operators ..."):
            with_policies = recorder.actions("envs/local", pipeline | {"operator_policies_enabled": True})
        with messages.status("with the catalog ..."):
            catalogued = recorder.actions("envs/local", pipeline | CATALOG)
        with messages.status("with the Glue jobs ..."):
            with_jobs = recorder.actions("envs/local", pipeline | JOBS)
        with messages.status("with the gate and the lake ..."):
            complete = recorder.actions("envs/local", pipeline | GATE | LAKE)
    found = {
        "bootstrap": bootstrap,
        "pipeline with existing queues": without_queues,
        "and managing the queues": base - without_queues,
        "and create_bronze_bucket = false": with_bucket - base,
        "and kms_key_arn": OF_A_KEY,
        "and observability_enabled": observed - base,
        "and ops_enabled": operated - base,
        "and operator_policies_enabled": with_policies - base,
        "and glue_enabled": catalogued - base,
        "and glue_job_enabled or ge_enabled": with_jobs - base,
        "and ge_workflow_enabled or lake_enabled, beside ops_enabled and glue_enabled": (
            complete - base - with_jobs - operated - catalogued
        ),
        "and tag_iam_and_sqs": OF_TAGS,
        **COMMANDS,
    }
    OUT.write_text(json.dumps({name: sorted(actions) for name, actions in found.items()}, indent=2) + "\n")
    say(f"written to {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    run(record)
