"""Where Terraform gets its provider: a mirror of the version that is pinned, and never somebody's plugin cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from local.ministack import ROOT

PINNED = re.findall(r'^ +version = "([0-9.]+)"$', (ROOT / "infra/terraform/bootstrap/main.tf").read_text(), re.M)[0]
SCRIPT = ROOT / "infra/terraform/tools/terraform.sh"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the script, and a Terraform that prints the configuration that it is given."""
    folder = tmp_path / "checkout"
    for file in (SCRIPT, ROOT / "infra/terraform/bootstrap/main.tf"):
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    stub = tmp_path / "bin/terraform"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\ncat "$TF_CLI_CONFIG_FILE"\n')
    stub.chmod(0o755)
    return folder


def provider(folder: Path, version: str = PINNED) -> Path:
    """A provider as a mirror or a cache has it. Gives what Terraform's configuration would name."""
    (folder / f"registry.terraform.io/hashicorp/aws/{version}/linux_amd64").mkdir(parents=True)
    return folder


def configured(checkout: Path, mirrors: Path, **environment: str) -> str:
    settings = {
        "PATH": f"{checkout.parent / 'bin'}{os.pathsep}/usr/bin:/bin",
        "HOME": str(checkout.parent),
        "SMELT_PROVIDER_MIRRORS": str(mirrors),
    }
    command = [checkout / "infra/terraform/tools/terraform.sh", "infra/terraform/bootstrap", "version"]
    return subprocess.run(command, env=settings | environment, capture_output=True, text=True, check=True).stdout


def test_a_mirror_of_the_pinned_version_is_used(checkout: Path, tmp_path: Path) -> None:
    mirror = provider(tmp_path / "opt/mirror")
    assert f'path    = "{mirror}"' in configured(checkout, tmp_path / "opt")


def test_a_plugin_cache_is_no_mirror(checkout: Path, tmp_path: Path) -> None:
    cache = provider(tmp_path / "opt/cache")
    assert configured(checkout, tmp_path / "opt", TF_PLUGIN_CACHE_DIR=str(cache)) == ""
    provider(tmp_path / "other/.terraform.d/plugin-cache")
    assert configured(checkout, tmp_path / "other") == ""


def test_a_mirror_of_another_version_is_not_used(checkout: Path, tmp_path: Path) -> None:
    provider(tmp_path / "opt/mirror", "4.0.0")
    assert configured(checkout, tmp_path / "opt") == ""


def test_a_mirror_that_came_or_went_is_noticed(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "opt").mkdir()
    assert configured(checkout, tmp_path / "opt") == ""
    mirror = provider(tmp_path / "opt/mirror")
    assert str(mirror) in configured(checkout, tmp_path / "opt")
    shutil.rmtree(mirror)
    assert configured(checkout, tmp_path / "opt") == ""
