"""The locks: each is renewed and checked, and what the commands import is in the lock that `make demo` installs."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions

import pytest

from local.ministack import ROOT
from tests.unit.delivery.tools import load

LOCKS = sorted(path.stem for path in (ROOT / "requirements").glob("*.in"))
OURS = {"services", "workbench", "local", "infra", "_environment"}
# For a type checker only; Lambda's images have them under another name.
NOT_INSTALLED = {"mypy_boto3_dynamodb", "mypy_boto3_lambda", "mypy_boto3_s3", "mypy_boto3_sqs"}


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


def imported() -> set[str]:
    """The packages that our code imports, wherever in a file it does so."""
    found: set[str] = set()
    for folder in ("services", "workbench", "local", "infra/deploy", "scripts"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    found |= {name.name.split(".")[0] for name in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - OURS - NOT_INSTALLED


def test_what_the_commands_import_is_installed_by_make_demo() -> None:
    distributions = packages_distributions()
    locked = pins("app")
    missing = {
        name
        for name in imported()
        if not any(re.sub(r"[._]", "-", found.lower()) in locked for found in distributions.get(name, [name]))
    }
    assert missing == set()
