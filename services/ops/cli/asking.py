"""Asking before something is changed that cannot be changed back, and who is asking."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from services.ops.cli.console import messages
from services.ops.errors import OperatorError

YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would be done.")]
ReasonOption = Annotated[str, typer.Option(help="Why: kept in the ledger and the history.")]
ByOption = Annotated[str, typer.Option(envvar="SMELT_OPERATOR", help="Who does it; your user name otherwise.")]


def confirm(question: str, yes: bool) -> None:
    """Go on only if somebody says so. Nothing has been changed when this raises.

    Raises:
        OperatorError: nobody is here to ask, and `--yes` was not given; or the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError("Nobody is here to confirm. Pass --yes to go on without asking. Nothing was changed.")
    messages.print(f'{question} Type "yes" to go on:', end=" ", markup=False)
    if sys.stdin.readline().strip() != "yes":
        raise OperatorError("Not confirmed. Nothing was changed.")


def operator(given: str) -> str:
    """The operator's name for the ledger."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        return "unknown"
