"""Contracts as they were at a git revision."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from services.ops.contracts.findings import CheckError
from services.shared.contract.loader import load_contract
from services.shared.contract.model import Contract, ContractError


def contracts_at(directory: Path, revision: str) -> Iterator[tuple[str, Contract | ContractError]]:
    """The contract files of a folder at a revision: the name of each, and its contract or why it was not usable.

    Raises:
        CheckError: git is not installed, the folder is in no repository, or the revision is not known.
    """
    _git(directory, "rev-parse", "--git-dir")  # its reason says what is wrong with the folder
    try:
        commit = _git(
            directory, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        ).strip()
    except CheckError as error:
        raise CheckError(
            f"--against {revision}: no such revision in the repository of {directory}. Pass a branch, tag or commit "
            "that `git log` shows, such as origin/main; in a shallow clone, fetch it first"
        ) from error
    for name in _git(directory, "ls-tree", "--name-only", commit, "./").splitlines():
        if name.endswith(".yaml"):
            yield name, _read_text(name, _git(directory, "show", f"{commit}:./{name}"))


def _read_text(name: str, text: str) -> Contract | ContractError:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(text, "utf-8")
        try:
            return load_contract(file)
        except ContractError as error:
            return ContractError(str(error).replace(str(file), name))


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 (a list of arguments, no shell)
            ["git", *arguments],  # noqa: S607 (whichever git the caller uses)
            cwd=directory,
            capture_output=True,
            check=True,
            encoding="utf-8",
        )
    except FileNotFoundError as error:
        raise CheckError(f"git is not installed, or the folder {directory} does not exist") from error
    except subprocess.CalledProcessError as error:
        raise CheckError(f"git {' '.join(arguments)} in {directory}: {error.stderr.strip()}") from error
    return done.stdout
