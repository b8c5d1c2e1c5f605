"""What people get wrong ends with exit code 2 and a sentence, in every command: never with a stack trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.ministack import ROOT
from services.ops.cli.console import explain

SMELT = ["-m", "services.ops.cli"]
DEPLOY = ["-m", "infra.deploy"]
AUDIT = [*SMELT, "audit", "--table", "ledger", "--bronze-bucket", "bronze", "--silver-bucket", "silver"]
DLQ = ["scripts/ensure_dlq_for_queue.py", "--queue-url", "http://localhost/0/q", "--dlq-name", "d", "--region"]
SIGNED_IN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
NOBODY_LISTENS = "http://127.0.0.1:9"


def fail(command: list[str], home: Path, **environment: str) -> str:
    """Run a command that must end with 2 and a sentence; gives the sentence."""
    ours = {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=ours | environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("command", [AUDIT, [*DEPLOY, "empty-buckets", "bronze"]], ids=["audit", "empty-buckets"])
def test_without_a_region_it_says_how_to_give_one(command: list[str], tmp_path: Path) -> None:
    told = fail(command, tmp_path, AWS_ENDPOINT_URL=NOBODY_LISTENS, **SIGNED_IN)
    assert "AWS_DEFAULT_REGION" in told or NOBODY_LISTENS in told  # S3 alone works without a region


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ([*SMELT, "contracts", "check", "contracts", "--against", "nowhere"], "no such revision"),
        ([*SMELT, "audti"], "No such command 'audti'"),
        ([*DEPLOY, "preflight", "nowhere.json"], "nowhere.json: No such file or directory"),
        ([*DEPLOY, "preflight", "README.md"], "README.md is not JSON"),
        ([*DEPLOY, "empty-buckets"], "No bucket given"),
        ([*DEPLOY, "push-images", "--env", "nowhere"], "No environment 'nowhere'"),
        ([*DEPLOY, "push-images", "--architecture", "sparc"], "No architecture 'sparc'"),
        (DLQ, "requires an argument"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_wrong_input_is_named(command: list[str], told: str, tmp_path: Path) -> None:
    settings = SIGNED_IN | {"AWS_ENDPOINT_URL": NOBODY_LISTENS, "AWS_DEFAULT_REGION": "us-east-2"}
    assert told in " ".join(fail(command, tmp_path, **settings).split())


def test_contracts_are_checked_as_json() -> None:
    command = [sys.executable, *SMELT, "contracts", "check", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert (told["accepted"], told["findings"]) == (True, [])
    assert [dataset["dataset"] for dataset in told["datasets"]] == [
        "invoice_lines",
        "shipments",
        "smoke",
        "tracking_events",
    ]


def test_what_s3_says_to_the_reader_of_the_lake_s_files_is_no_bug() -> None:
    said = "When reading information for key 'lake/x' in bucket 'b': AWS Error NETWORK_CONNECTION during HeadObject"
    assert explain(OSError(said)) == (
        f"{said}. Check the network, and whether these credentials may read the file; then run this again."
    )
    assert explain(OSError("something else")) is None
