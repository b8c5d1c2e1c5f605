"""The `smelt` command line: what an operator and a contract's author type. Prints; decides nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.ops.audit import Audit, audit
from services.ops.contracts.check import check
from services.ops.contracts.findings import CheckError, Level, Report
from services.ops.contracts.number import write_ids
from services.ops.terraform import NoOutputs, outputs
from services.shared.aws import aws_client
from services.shared.contract.model import ContractError
from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT
from services.shared.ledger.ledger import Ledger

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


@contracts.command("number")
def number_contracts(files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Contract files.")]) -> None:
    """Write the ids of new fields into contract files. An id never changes, and files with all ids stay as they are."""
    for file in files:
        try:
            fresh = write_ids(file)
        except ContractError as error:
            errors.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
            raise typer.Exit(1) from error
        told = ", ".join(f"{path}: {id_}" for path, id_ in fresh.items()) or "every field has its id"
        console.print(f"{file}: {told}", highlight=False, markup=False, soft_wrap=True)


@app.command("audit")
def audit_ledger(
    table: Annotated[str, typer.Option(envvar="LEDGER_TABLE", help="The ledger's table.")] = "",
    bucket: Annotated[str, typer.Option(envvar="SILVER_BUCKET", help="The bucket of Silver and quarantine.")] = "",
    terraform_dir: Annotated[
        Path | None, typer.Option(help="Take both, and the region, from what Terraform created there.")
    ] = None,
    unfinished: Annotated[bool, typer.Option(help="List only objects that are not done.")] = False,
) -> None:
    """Account for every object in the ledger, and hold the ledger against the files. Reads only.

    Exits with 1 if an object is not done or something does not add up, with 2 if it cannot look.
    """
    try:
        created = outputs(terraform_dir) if terraform_dir else {}
    except NoOutputs as error:
        errors.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    table, bucket = created.get("ledger_table", table), created.get("silver_bucket", bucket)
    region = created.get("region")
    if not (table and bucket):
        where = f"Terraform has created no pipeline in {terraform_dir}" if terraform_dir else "which pipeline?"
        errors.print(f"{where}: name --table and --bucket, or LEDGER_TABLE and SILVER_BUCKET", style="red")
        raise typer.Exit(2)
    try:
        s3 = aws_client("s3", region)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        listed = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        files = [key for key in listed if key.startswith((f"{SILVER_ROOT}/", f"{QUARANTINE_ROOT}/"))]
        found = audit(Ledger(aws_client("dynamodb", region), table), files)
    except (BotoCoreError, ClientError) as error:
        what = f"the ledger {table} and the bucket {bucket} cannot be read: {error}"
        errors.print(what, style="red", highlight=False, markup=False, soft_wrap=True)
        errors.print("Are credentials and region (AWS_DEFAULT_REGION) those of the pipeline, and the names right?")
        raise typer.Exit(2) from error
    _show_audit(found, unfinished)
    raise typer.Exit(1 if found.findings or not all(account.is_done for account in found.objects.values()) else 0)


def _show_audit(found: Audit, unfinished: bool) -> None:
    accounts = [account for account in found.objects.values() if not (unfinished and account.is_done)]
    accounts.sort(key=lambda account: str(account.id))
    objects = Table(title="Objects", title_justify="left")
    objects.add_column("state", no_wrap=True)
    for number in ("units", "rows", "Silver", "quarantined"):
        objects.add_column(number, justify="right", no_wrap=True)
    objects.add_column("object", overflow="fold")
    for account in accounts:
        counts = account.counts
        numbers = (f"{number:,}" for number in (counts.read, counts.silver, counts.quarantined))
        units = f"{account.committed}/{account.units}"
        name = escape("\n".join(filter(None, (str(account.id), account.reason))))
        objects.add_row(account.state, units, *numbers, name, style=None if account.is_done else "yellow")
    console.print(objects)
    for wrong in [*(error for account in accounts for error in account.errors), *found.findings]:
        console.print(wrong, style="red", highlight=False, markup=False, soft_wrap=True)
    total = found.counts
    done = sum(account.is_done for account in found.objects.values())
    console.print(f"{total.read:,} rows = {total.silver:,} in Silver + {total.quarantined:,} in quarantine")
    console.print(f"{len(found.objects):,} objects, {done:,} of them done; {len(found.findings)} findings")


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
