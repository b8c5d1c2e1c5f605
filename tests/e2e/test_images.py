"""What is in the images, and what is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from local.ministack import ROOT

pytestmark = pytest.mark.e2e
IMAGES = ["ingest", "transform", "ops"]
HANDLERS = {
    "ingest": ["services.ingest.app"],
    "transform": ["services.transform.app"],
    "ops": [f"services.ops.app.{name}" for name in ("replay", "probe", "sweep", "reconcile", "archive", "rewrite")],
}


@cache
def project() -> str:
    """What compose names the images after."""
    told = subprocess.run(
        ["docker", "compose", "config", "--format", "json"], cwd=ROOT, capture_output=True, check=True
    )
    return str(json.loads(told.stdout)["name"])


def run(service: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an image as Lambda does: read-only but for /tmp."""
    name, *arguments = command
    image = f"{project()}-{service}"
    as_in_lambda = ["--read-only", "--tmpfs", "/tmp", "--network", "none"]  # noqa: S108
    settings = ["--env", "AWS_DEFAULT_REGION=us-east-1", "--env", "POWERTOOLS_TRACE_DISABLED=true"]
    return subprocess.run(
        ["docker", "run", "--rm", *as_in_lambda, *settings, "--entrypoint", name, image, *arguments],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("image", IMAGES)
def test_the_function_starts_without_root_on_a_read_only_file_system(image: str) -> None:
    done = run(image, "python3", "-c", f"import os, {', '.join(HANDLERS[image])}; print(os.getuid())")
    assert (done.returncode, done.stdout.strip()) == (0, "10001"), done.stderr


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_only_its_own_function(image: str) -> None:
    services = set(run(image, "ls", "/var/task/services").stdout.split())
    assert services == {"__init__.py", "shared", image}


@pytest.mark.parametrize("image", IMAGES)
def test_no_installer_compiler_or_cache_is_left(image: str) -> None:
    looked_for = (
        "for tool in pip pip3 gcc cc make apt-get; do command -v $tool; done; ls /root/.cache /build 2>/dev/null"
    )
    found = set(run(image, "sh", "-c", looked_for).stdout.split())
    assert found <= {"/usr/bin/apt-get"}  # Debian's own package manager is part of the base image
    assert run(image, "python3", "-c", "import pip").returncode != 0


@pytest.mark.parametrize("image", IMAGES)
def test_the_shared_layer_holds_pyarrow(image: str) -> None:
    assert run(image, "python3", "-c", "import pyarrow.parquet").returncode == 0


def test_ingest_starts_without_pyarrow_and_pandas() -> None:
    code = "import sys, json, services.ingest.app; print(json.dumps(sorted(sys.modules)))"
    modules = json.loads(run("ingest", "python3", "-c", code).stdout)
    assert not {"pyarrow", "pandas", "numpy"} & set(modules)


def layers(image: str) -> list[str]:
    inspected = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=True).stdout
    found: list[str] = json.loads(inspected)[0]["RootFS"]["Layers"]
    return found


def test_images_differ_in_one_layer_of_their_own_code_and_the_operators_in_the_packages_of_the_lake() -> None:
    shared, *others = (set(layers(f"{project()}-{image}")) for image in IMAGES)
    assert [len(other - shared) for other in others] == [1, 2]


@pytest.mark.parametrize("image", IMAGES)
def test_only_the_operators_image_holds_pyiceberg(image: str) -> None:
    assert (run(image, "python3", "-c", "import pyiceberg").returncode == 0) == (image == "ops")


def test_the_command_line_is_no_business_of_a_function() -> None:
    found = set(run("ops", "ls", "/var/task/services/ops").stdout.split())
    assert {"app", "replay"} <= found
    assert not {"cli", "contracts"} & found


def test_the_same_sources_give_the_same_layers_under_every_umask(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(ROOT, sources, ignore=shutil.ignore_patterns(".*", "tests", "build"))
    shutil.copy(ROOT / ".dockerignore", sources)
    for path in [sources, *sources.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o700)
    again = f"{project()}-transform-again"
    command = [
        "docker",
        "buildx",
        "build",
        "--file",
        "docker/Dockerfile",
        "--target",
        "transform",
        "--no-cache",
        "--load",
    ]
    command += ["--build-arg", "BASE_IMAGE"] if "BASE_IMAGE" in os.environ else []
    command += ["--tag", again]
    if bundle := os.environ.get("SMELT_CA_BUNDLE"):
        command += ["--secret", f"id=ca_bundle,src={bundle}"]
    subprocess.run([*command, "."], cwd=sources, check=True, capture_output=True)
    assert layers(again) == layers(f"{project()}-transform")


def test_without_a_runtime_api_and_an_emulator_it_says_what_to_do() -> None:
    done = run("ingest", "/opt/smelt/entrypoint.sh", "services.ingest.app.handler")
    assert done.returncode == 64
    assert "build the *-local target" in done.stderr
