"""Emptying deletes every version, asks first, and reports what it could not delete."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.buckets import Contents, Kept, contents, empty
from local.ministack import ROOT
from local.stack import CREDENTIALS, REGION, Clients
from tests.support.terraform import need_terraform

SCRIPT = [sys.executable, "-m", "infra.deploy", "empty-buckets"]


@pytest.fixture
def bucket(clients: Clients) -> str:
    """A versioned bucket with overwritten, deleted and half uploaded objects: eight versions, two of them markers."""
    name = f"full-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=name)
    clients.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "b", "c/d e+f"):
        for body in (b"old", b"newer"):
            clients.s3.put_object(Bucket=name, Key=key, Body=body)
    clients.s3.delete_object(Bucket=name, Key="a")
    clients.s3.delete_object(Bucket=name, Key="never there")
    clients.s3.create_multipart_upload(Bucket=name, Key="half")
    return name


def run(emulator: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": emulator, "COLUMNS": "200"}
    return subprocess.run([*SCRIPT, *arguments], env=environment, capture_output=True, text=True, **options)


def test_everything_that_would_be_deleted_is_counted(clients: Clients, bucket: str) -> None:
    assert contents(clients.s3, bucket) == Contents(versions=8, bytes=24, uploads=1)


def test_with_yes_nothing_is_left_and_the_bucket_can_be_deleted(clients: Clients, emulator: str, bucket: str) -> None:
    assert run(emulator, bucket, "--yes").returncode == 0
    assert contents(clients.s3, bucket) == Contents()
    clients.s3.delete_bucket(Bucket=bucket)


def test_more_than_one_page_is_emptied(clients: Clients, bucket: str) -> None:
    for n in range(1100):
        clients.s3.put_object(Bucket=bucket, Key=f"many/{n}", Body=b"")
    assert sum(len(kept) for kept in empty(clients.s3, bucket)) == 0
    assert contents(clients.s3, bucket) == Contents()


def test_without_a_terminal_and_without_yes_nothing_is_deleted(clients: Clients, emulator: str, bucket: str) -> None:
    done = run(emulator, bucket, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "Nobody is here to confirm" in done.stderr
    assert contents(clients.s3, bucket).versions == 8


@pytest.mark.parametrize(("typed", "left"), [("yes", 8), ("{bucket}", 0)])
def test_only_typing_the_bucket_s_name_confirms(
    clients: Clients, emulator: str, bucket: str, typed: str, left: int
) -> None:
    terminal, ours = pty.openpty()
    os.write(terminal, typed.format(bucket=bucket).encode() + b"\n")
    done = run(emulator, bucket, stdin=ours)
    assert (done.returncode == 0) == (left == 0)
    assert contents(clients.s3, bucket).versions == left


def test_a_bucket_that_does_not_exist_is_fine(emulator: str) -> None:
    done = run(emulator, "no-such-bucket-at-all", "--yes")
    assert (done.returncode, "does not exist" in done.stderr) == (0, True)


def test_what_s3_does_not_delete_is_reported(clients: Clients, bucket: str) -> None:
    class Refusing:
        """S3, but one key is under a legal hold."""

        def __getattr__(self, name: str) -> Any:
            return getattr(clients.s3, name)

        def delete_objects(self, **_: Any) -> Any:
            return {"Errors": [{"Key": "a", "VersionId": "1", "Code": "AccessDenied", "Message": "legal hold"}]}

    told: Any = list(empty(Refusing(), bucket))  # type: ignore[arg-type]
    assert told == [[Kept("a", "1", "AccessDenied: legal hold")]]


def test_a_check_deletes_nothing_and_fails_only_for_a_bucket_that_is_not_empty(
    clients: Clients, emulator: str, bucket: str
) -> None:
    done = run(emulator, bucket, "--check")
    assert (done.returncode, f"{bucket} is not empty" in done.stderr) == (1, True)
    assert contents(clients.s3, bucket).versions == 8
    assert run(emulator, bucket, "--yes").returncode == 0
    assert run(emulator, bucket, "--check").returncode == 0


def test_a_folder_where_terraform_created_nothing_has_nothing_to_empty(emulator: str, tmp_path: Path) -> None:
    need_terraform()
    done = run(emulator, "--terraform-dir", os.path.relpath(tmp_path, ROOT), "--yes")
    assert (done.returncode, "no buckets" in done.stderr) == (0, True)


def state_with(made: str, existing: str) -> str:
    """A state after a destroy that failed at a bucket: Terraform has removed all outputs before the first resource."""

    def bucket(mode: str, name: str) -> dict[str, Any]:
        provider = 'provider["registry.terraform.io/hashicorp/aws"]'
        instances = [{"schema_version": 0, "attributes": {"bucket": name, "region": REGION}}]
        return {"mode": mode, "type": "aws_s3_bucket", "name": "this", "provider": provider, "instances": instances}

    head = {"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "a", "outputs": {}}
    return json.dumps(head | {"resources": [bucket("managed", made), bucket("data", existing)]})


@pytest.fixture
def ours(clients: Clients) -> str:
    name = f"ours-{uuid.uuid4().hex[:8]}"
    clients.s3.create_bucket(Bucket=name)
    clients.s3.put_object(Bucket=name, Key="a", Body=b"a")
    return name


def test_after_a_destroy_that_failed_a_bucket_that_is_left_is_found_without_outputs(
    clients: Clients, emulator: str, bucket: str, ours: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terraform's answers are given here, so that this also runs where Terraform is not installed."""
    (tmp_path / "state.json").write_text(state_with(ours, bucket))
    stand_in = tmp_path / "terraform"
    stand_in.write_text(f'#!/bin/sh\ncase "$*" in *"state pull") cat "{tmp_path}/state.json";; *) echo "{{}}";; esac\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    checked = run(emulator, "--terraform-dir", str(tmp_path), "--check")
    assert (checked.returncode, f"{ours} is not empty" in checked.stderr) == (1, True)
    done = run(emulator, "--terraform-dir", str(tmp_path), "--yes")
    assert done.returncode == 0, done.stderr
    assert (contents(clients.s3, ours).entries, contents(clients.s3, bucket).versions) == (0, 8)


def test_a_bronze_bucket_that_terraform_did_not_make_is_left(
    clients: Clients, emulator: str, bucket: str, ours: str, tmp_path: Path
) -> None:
    need_terraform()
    (tmp_path / "terraform.tfstate").write_text(state_with(ours, bucket))
    done = run(emulator, "--terraform-dir", str(tmp_path), "--yes")
    assert done.returncode == 0, done.stderr
    assert (contents(clients.s3, ours).entries, contents(clients.s3, bucket).versions) == (0, 8)
