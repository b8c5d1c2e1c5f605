"""What editors, hooks and the dev container are told agrees with what `make lint` does."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.ministack import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def hooks() -> dict[str, dict[str, Any]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repository,) = config["repos"]
    assert repository["repo"] == "local"  # nothing is downloaded
    return {hook["id"]: hook for hook in repository["hooks"]}


def test_every_check_of_make_lint_has_a_hook() -> None:
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    checks = [line.strip().replace("$(BIN)", ".venv/bin").removesuffix(" .") for line in recipe.splitlines()]
    entries = [hook["entry"].removesuffix(" --force-exclude") for hook in hooks().values()]
    assert len(checks) == 7
    assert [check for check in checks if check not in entries] == []
    assert ".ci/lint_delivery.sh" in entries  # of lint-delivery
    assert hooks()["terraform-fmt"]["entry"].endswith("fmt -check -diff -recursive")  # of lint-terraform


@pytest.mark.parametrize(
    ("hook", "changed"),
    [
        ("mypy", "services/shared/units.py"),
        ("lint-imports", "pyproject.toml"),
        ("contracts", "contracts/shipments.yaml"),
        ("pages", "contracts/shipments.yaml"),
        ("pages", "docs/datasets/shipments.md"),
        ("own-columns", "services/shared/columns.py"),
        ("terraform-fmt", "infra/terraform/modules/bucket/main.tf"),
        ("delivery", "docker/Dockerfile"),
        ("delivery", ".github/workflows/ci.yml"),
    ],
)
def test_a_hook_runs_for_the_files_that_it_is_about(hook: str, changed: str) -> None:
    assert (ROOT / changed).exists()
    assert re.search(hooks()[hook]["files"], changed)
    assert not re.search(hooks()[hook]["files"], "README.md")


@pytest.mark.parametrize("hook", ["ruff-format", "ruff-check"])
def test_a_file_that_is_not_clean_stops_the_commit(hook: str, tmp_path: Path) -> None:
    (clean, dirty) = (tmp_path / "clean.py", tmp_path / "dirty.py")
    clean.write_text('"""Fine."""\n')
    dirty.write_text("import os\nx = {  'a':1}\n")
    codes = [
        subprocess.run([*hooks()[hook]["entry"].split(), str(file)], cwd=ROOT, capture_output=True).returncode
        for file in (clean, dirty)
    ]
    assert codes == [0, 1]


def test_the_dev_container_is_built_here_from_the_image_of_the_functions() -> None:
    told = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert (ROOT / ".devcontainer" / told["build"]["dockerfile"]).exists()
    assert "image" not in told
    bases = {
        re.findall(r"^ARG BASE_IMAGE=(.*)$", (ROOT / file).read_text(), re.MULTILINE)[0]
        for file in ("docker/Dockerfile", ".devcontainer/Dockerfile")
    }
    assert len(bases) == 1


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "ROADMAP.md", "CHANGELOG.md", "docs/aws-checklist.md"]
)
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", text) + re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert [name for name in linked if not ((ROOT / page).parent / name).exists() and not (ROOT / name).exists()] == []


def test_the_licence_is_the_one_that_is_named() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(("given", "names"), [([], {}), (["COMPOSE_FILE=a.yaml"], {"COMPOSE_FILE": "a.yaml"})])
def test_compose_is_told_its_files_only_where_they_are_given(
    given: list[str], names: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty COMPOSE_FILE is no absent one: `docker compose` takes it for this folder, and reads no file."""
    for name in ("COMPOSE_FILE", "DYNAMODB_PORT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "Makefile").write_text(f"include {ROOT}/Makefile\nenvironment:\n\t@env\n")
    done = subprocess.run(
        ["make", "-s", *given, "environment"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert {name: told[name] for name in ("COMPOSE_FILE", "DYNAMODB_PORT") if name in told} == names
