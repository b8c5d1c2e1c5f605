"""`smelt contracts`: tools for whoever writes the files that describe the datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.ops.cli.console import JsonFlag, finish, make_app, make_table, show, show_json
from services.ops.contracts.check import check
from services.ops.contracts.findings import Level, Report
from services.ops.contracts.number import write_ids
from services.ops.contracts.page_files import changed, pages_of, write

app = make_app("The files that describe the datasets.")

_STYLES = {
    Level.PROBLEM: "red",
    Level.BREAKING: "red",
    Level.ANNOUNCED: "yellow",
    Level.COMPATIBLE: "green",
    Level.NOTICE: "yellow",
}


@app.command("check")
def check_contracts(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A contract, or a folder of them.")] = Path("contracts"),
    against: Annotated[
        str | None, typer.Option(metavar="GIT_REV", help="Also list what has changed since this revision.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check contracts: readable, valid ODCS, documented, and nothing in them that would be ignored.

    With --against, also check that every breaking change has a new major version. Exits with 1 if a contract is
    refused.
    """
    report = check(path, against)
    if as_json:
        show_json(_as_dict(report))
    else:
        _show(report)
    finish(all_right=report.accepted)


@app.command("number")
def number_contracts(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Contract files.")], as_json: JsonFlag = False
) -> None:
    """Write the ids of new fields into contract files. Adds lines only; ids that are there stay as they are."""
    written = {}
    for file in files:  # each is reported at once: a later one may turn out to be broken
        written[str(file)] = fresh = write_ids(file)
        if not as_json:
            ids = ", ".join(f"{path}: {id_}" for path, id_ in fresh.items())
            show(f"{file}: {ids or 'every field has its id'}")
    if as_json:
        show_json(written)


@app.command("docs")
def write_pages(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of contracts.")] = Path("contracts"),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the pages go.")] = Path("docs/datasets"),
    is_check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a page is not current.")
    ] = False,
) -> None:
    """Write a page for each dataset from its contract: columns, types, ids, rules, queries."""
    pages = pages_of(path)
    outdated = changed(pages, out)
    if not is_check:
        write(pages, out)
    for name in outdated:
        show(f"{out / name}: {'is not current; run `make docs`' if is_check else 'written'}")
    if not outdated:
        show(f"{len(pages)} pages in {out} are current")
    finish(all_right=not (is_check and outdated))


def _as_dict(report: Report) -> dict[str, object]:
    return {
        "accepted": report.accepted,
        "datasets": [
            {
                "dataset": contract.dataset,
                "version": contract.version,
                "fields": len(contract.fields),
                "key": contract.keys,
                "event_time": contract.event_time,
            }
            for contract in report.datasets
        ],
        "findings": [
            {
                "where": finding.where,
                "level": finding.level,
                "what": finding.what,
                "file": finding.file or None,
                "line": finding.line,
            }
            for finding in report.findings
        ],
    }


def _show(report: Report) -> None:
    datasets = make_table("Contracts", "dataset", "version", "fields", "key", "event time", right={"fields"})
    for contract in report.datasets:
        keys = ", ".join(contract.keys) or "none"
        datasets.add_row(contract.dataset, contract.version, str(len(contract.fields)), keys, contract.event_time)
    if report.datasets:
        show(datasets)
    for finding in report.findings:
        show(str(finding), style=_STYLES[finding.level])
    show("accepted" if report.accepted else "refused", style="green" if report.accepted else "red")
