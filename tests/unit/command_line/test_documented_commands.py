"""docs/commands.md lists every command, and no page names one that does not exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

from infra.deploy.cli.app import app as deploy
from infra.deploy.cli.queues import create_queues, ensure_dlq
from local.generate import generate
from local.ministack import ROOT
from services.ops.cli.replay import replay_from_s3, replay_via_s3_copy
from workbench.cli.app import app as smelt

SCRIPTS: dict[str, Callable[..., None]] = {
    "gen_fake_events": generate,
    "create_sqs_queue": create_queues,
    "ensure_dlq_for_queue": ensure_dlq,
    "replay_via_s3_copy": replay_via_s3_copy,
    "replay_from_s3": replay_from_s3,
}
_TRACKED = subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).split()
# Decisions tell what was meant when they were made.
PAGES = [path for path in _TRACKED if not path.startswith(("docs/decisions/", "ROADMAP", "CHANGELOG"))]
EXAMPLE = "datasets"  # of a command that CONTRIBUTING.md shows how to add
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(app: typer.Typer) -> dict[str, str]:
    """Command, with its group -> the first sentence of its help."""

    def walk(command: Any, path: list[str]) -> Iterator[tuple[str, str]]:
        below = getattr(command, "commands", {})
        if path and (not below or command.invoke_without_command):
            yield " ".join(path), command.get_short_help_str(limit=300)
        for name, one in below.items():
            yield from walk(one, [*path, name])

    return dict(walk(typer.main.get_command(app), []))


def rows() -> dict[str, str]:
    """Command -> its line of the table."""
    found = {f"smelt {name}": said for name, said in commands(smelt).items()}
    for name, function in SCRIPTS.items():
        program = typer.Typer(add_completion=False)
        program.command()(function)
        found[f"scripts/{name}.py"] = typer.main.get_command(program).get_short_help_str(limit=300)
    found |= {f"python -m infra.deploy {name}": said for name, said in commands(deploy).items()}
    return {name: f"| `{name}` | {said} |" for name, said in found.items()}


def test_every_command_is_listed_and_nothing_else() -> None:
    (section,) = re.findall(r"^## All of them\n(.*?)^## ", (ROOT / "docs/commands.md").read_text(), re.M | re.S)
    listed, there = set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)), rows()
    missing = "\n".join(there[name] for name in there if name not in listed)
    assert not missing, f"add to docs/commands.md, All of them:\n{missing}"
    assert listed - set(there) == set()


def test_every_script_is_a_command() -> None:
    files = {path.stem for path in (ROOT / "scripts").glob("*.py") if not path.stem.startswith("_")}
    assert files == set(SCRIPTS)


def test_make_help_explains_every_target_that_a_page_names() -> None:
    explained = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for page in PAGES for target in made(page)}
    assert named - explained == set()


def made(page: str) -> set[str]:
    """The targets that a page tells to make: in code, with variables before or behind."""
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", (ROOT / page).read_text(), re.DOTALL))
    return set(re.findall(r"(?:^|[\s`(])make ((?!-)[a-z0-9][a-z0-9-]*)(?![a-z0-9-]*[/.=<])", code))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_command_that_does_not_exist(page: str) -> None:
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", (ROOT / page).read_text(), re.DOTALL))
    assert [name for name in re.findall(r"\bscripts/(\w+)\.py", code) if name not in SCRIPTS] == []
    assert [name for name in re.findall(r"infra\.deploy ([a-z][a-z-]+)", code) if name not in commands(deploy)] == []
    known = {EXAMPLE, *(name.split()[0] for name in commands(smelt))}
    named = re.findall(r"(?:\.venv/bin/|`|\n)smelt ([a-z]+(?:-[a-z]+)*)", code)
    assert [name for name in named if name not in known] == []


def test_a_function_that_is_waited_for_is_waited_for_to_its_end() -> None:
    """The AWS CLI gives up after a minute, and invokes it again while it works."""
    pages = "\n".join((ROOT / page).read_text() for page in PAGES)
    invoked = re.findall(r"^ *aws lambda invoke.*", pages, re.MULTILINE)
    waited_for = [line for line in invoked if "--invocation-type Event" not in line]
    assert waited_for
    assert [line for line in waited_for if "--cli-read-timeout 0" not in line] == []
