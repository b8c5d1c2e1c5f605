"""The compose stack that these tests send events through. `make e2e` starts it before and stops it after them."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from testcontainers.compose import DockerCompose

from local.ministack import ROOT
from local.stack import Clients, connect

ENDPOINT = f"http://127.0.0.1:{os.environ.get('LOCALSTACK_PORT', '4566')}"
_dynamodb_port = os.environ.get("DYNAMODB_PORT")  # set where DynamoDB runs beside LocalStack (docs/images.md)
DYNAMODB = f"http://127.0.0.1:{_dynamodb_port}" if _dynamodb_port else None


@pytest.fixture(scope="session", autouse=True)
def _docker() -> None:
    """These tests need a Docker engine; CI brings its own up, so there they always run."""
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        reason = "no Docker engine runs here: start one, or on bare Debian run docker/docker_on_debian.sh"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def stack(_docker: None) -> Clients:
    """Clients of the running compose stack."""
    running = {container.Service for container in DockerCompose(ROOT).get_containers()}
    if "deploy" not in running:
        pytest.fail("the compose stack is not up: run `make e2e`, or `docker compose up` in another terminal")
    return connect(ENDPOINT, DYNAMODB)
