"""The locks: each is renewed and checked, and what the commands import is in the lock that `make demo` installs."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from local.ministack import ROOT
from tests.unit.delivery.tools import load

LOCKS = sorted(path.stem for path in (ROOT / "requirements").glob("*.in"))
OURS = {"services", "workbench", "local", "infra", "_environment"}
# For a type checker only; Lambda's images have them under another name.
NOT_INSTALLED = {"mypy_boto3_dynamodb", "mypy_boto3_lambda", "mypy_boto3_s3", "mypy_boto3_sqs"}

IN_READERS = ROOT / "local/demo/iceberg_sql.py"  # runs in .venv-readers, by `make demo-lake`


def pins(lock: str) -> set[str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_lock_is_renewed_by_make_lock_with_hashes(lock: str) -> None:
    recipe = (ROOT / "Makefile").read_text().split("\nlock:")[1].split("\n\n")[0]
    assert re.search(rf"-o requirements/{lock}\.txt .*requirements/{lock}\.in$", recipe, re.MULTILINE)
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert re.findall(r"^[a-z0-9].*[^\\]$", text, re.MULTILINE) == []  # every pin goes on with its hashes


def test_every_lock_is_checked_for_known_vulnerabilities() -> None:
    check_locks = load(ROOT / "requirements/check_locks.py")
    assert sorted((*check_locks.SHIPPED, *check_locks.OURS)) == LOCKS


def imported(files: Iterable[Path]) -> set[str]:
    """The packages that these files import, wherever in a file they do so."""
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - OURS - NOT_INSTALLED


def missing_from(lock: str, files: Iterable[Path]) -> set[str]:
    """What these files import and the lock does not install."""
    distributions, locked = packages_distributions(), pins(lock)
    return {
        name
        for name in imported(files)
        if not any(re.sub(r"[._]", "-", found.lower()) in locked for found in distributions.get(name, [name]))
    }


def test_what_the_commands_import_is_installed_by_make_demo() -> None:
    folders = ("services", "workbench", "local", "infra/deploy", "scripts")
    files = {file for folder in folders for file in (ROOT / folder).rglob("*.py")}
    assert missing_from("app", files - {IN_READERS}) == set()


def test_what_asks_duckdb_in_the_demo_of_the_lake_is_installed_with_the_readers() -> None:
    assert missing_from("readers", [IN_READERS]) == set()
