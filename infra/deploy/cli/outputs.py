"""`exec`: runs a command for the pipeline that Terraform has created."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from infra.deploy.outputs import outputs, pipeline_environment
from services.ops.errors import OperatorError


def run_with_outputs(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Terraform's directory, such as infra/.../envs/dev.")
    ],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="Such as: smelt audit --unfinished")],
) -> None:
    """Run COMMAND with the names of the pipeline that Terraform created in DIR: LEDGER_TABLE, SILVER_BUCKET and so on.

    They replace what this shell has set. Exits as COMMAND does.
    """
    environment = os.environ | pipeline_environment(outputs(directory))
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 (what the caller asked for, no shell)
    except OSError as error:
        raise OperatorError(f"Cannot run {command[0]}: {error.strerror}") from error
