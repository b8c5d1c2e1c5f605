"""The `smelt` command line: what an operator and a contract's author type. Prints; decides nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.ops.contracts_check import CheckError, Level, Report, check

console = Console()
errors = Console(stderr=True)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="Bronze JSON to Silver Parquet.")
contracts = typer.Typer(no_args_is_help=True, help="The files that describe the datasets.")
app.add_typer(contracts, name="contracts")

_STYLES = {Level.PROBLEM: "red", Level.BREAKING: "red", Level.ANNOUNCED: "yellow", Level.COMPATIBLE: "green"}


@contracts.command("check")
def check_contracts(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of contracts.")] = Path("contracts"),
    against: Annotated[
        str | None, typer.Option(metavar="GIT_REV", help="Also name what changed since this revision.")
    ] = None,
) -> None:
    """Check contracts: readable, valid ODCS, documented; with --against, breaking changes have a new major version.

    Exits with 1 if something is refused.
    """
    try:
        report = check(directory, against)
    except CheckError as error:
        errors.print(str(error), style="red", highlight=False, markup=False)
        raise typer.Exit(1) from error
    _show(report)
    raise typer.Exit(0 if report.accepted else 1)


def _show(report: Report) -> None:
    datasets = Table("dataset", "version", "fields", "key", "event time", title="Contracts", title_justify="left")
    for contract in report.datasets:
        keys = ", ".join(contract.keys)
        datasets.add_row(contract.dataset, contract.version, str(len(contract.fields)), keys, contract.event_time)
    console.print(datasets)
    if report.findings:
        findings = Table("where", "finding", "what", title="Findings", title_justify="left")
        for finding in report.findings:
            findings.add_row(finding.where, finding.level.value, escape(finding.what), style=_STYLES[finding.level])
        console.print(findings)
    console.print("accepted" if report.accepted else "refused", style="green" if report.accepted else "red")


if __name__ == "__main__":
    app()
