"""Options that several commands of the workbench have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TRIAL = Path(".smelt/try")  # where a trial's files go if nothing else is said

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Files, folders, or patterns in quotes.", show_default=False)
]
ContractsOption = Annotated[Path, typer.Option("--contracts", metavar="DIR", help="The folder of contracts.")]
