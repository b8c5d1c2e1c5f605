"""`smelt audit`: prints what became of every object, and what contradicts what."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.audit.accounts import Account, Outcome
from services.ops.audit.audit import Audit, Limits, audit
from services.ops.audit.listings import S3Listings
from services.ops.audit.open_work import unfinished
from services.ops.audit.scope import Scope
from services.ops.cli.console import JsonFlag, RegionOption, explain, finish, say, show, show_json
from services.ops.cli.options import (
    BronzeOption,
    CatalogOption,
    ContractsOption,
    DatabaseOption,
    SilverOption,
    TableOption,
)
from services.ops.cli.times import parse_time
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.shared.aws import aws_client
from services.shared.contract.loader import load_contracts
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LotState, Outbox

DEFAULTS = Limits()
_MINUTE, _HOUR, _TEN_YEARS = timedelta(minutes=1), timedelta(hours=1), timedelta(days=3650)


def audit_pipeline(
    table: TableOption = "",
    bronze_bucket: BronzeOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    open_only: Annotated[
        bool, typer.Option("--unfinished", help="Only unfinished objects, from the index: quick, compares nothing.")
    ] = False,
    dataset: Annotated[str, typer.Option(help="Only objects of this dataset.")] = "",
    prefix: Annotated[str, typer.Option(help="Only objects whose key begins so.")] = "",
    state: Annotated[
        list[Outcome] | None,
        typer.Option(metavar="STATE", help=f"List objects in this state: {', '.join(Outcome)}. May be repeated."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="Only objects created at or after this time (UTC)."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="Only objects created before this time (UTC)."),
    ] = None,
    in_flight_minutes: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="A younger upload that ingest has not seen is on its way.",
        ),
    ] = DEFAULTS.in_flight // _MINUTE,
    overdue_hours: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="An object that is still unfinished after this time is overdue.",
        ),
    ] = DEFAULTS.overdue // _HOUR,
    quarantine_days: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            envvar="QUARANTINE_DAYS",
            help="The bucket deletes quarantine after so many days: older files may be missing. 0: it does not.",
        ),
    ] = DEFAULTS.quarantine_days,
    database: DatabaseOption = "",
    catalog: CatalogOption = "glue",
    contracts: ContractsOption = Path("contracts"),
    limit: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="How many objects, and findings of each code, are listed. All are counted."
        ),
    ] = DEFAULTS.listed,
    as_json: JsonFlag = False,
) -> None:
    """Account for every object, and compare ledger, Bronze, Silver and quarantine. Reads only.

    Exits with 1 if something contradicts something, or if an object is not loaded, stopped or overdue. Work in
    progress is all right. docs/audit.md lists the words, the codes and the JSON. `make audit` takes the names from
    Terraform.
    """
    scope = Scope(dataset, prefix, since, until, frozenset(state or ()))
    if in_flight_minutes > _TEN_YEARS // _MINUTE or overdue_hours > _TEN_YEARS // _HOUR:
        raise OperatorError("--in-flight-minutes and --overdue-hours may be ten years at most.")
    if quarantine_days > _TEN_YEARS.days:
        raise OperatorError("--quarantine-days may be ten years at most.")
    limits = Limits(timedelta(minutes=in_flight_minutes), timedelta(hours=overdue_hours), limit, quarantine_days)
    if not table or not (open_only or (bronze_bucket and silver_bucket)):
        raise OperatorError(
            "No pipeline given: pass --table, --bronze-bucket and --silver-bucket, or set LEDGER_TABLE, BRONZE_BUCKET "
            "and SILVER_BUCKET. With --unfinished, the table is enough."
        )
    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        with watching() as watch:
            if open_only:
                found = unfinished(ledger, scope, limits, watch=watch)
            else:
                ledger.home.check_bucket(silver_bucket)
                listings = S3Listings(aws_client("s3", region), bronze_bucket, silver_bucket)
                history = History.of(aws_client("s3", region), silver_bucket)
                found = audit(ledger, listings, scope, limits, watch=watch, history=history)
                if database and scope.has_tables:
                    _audit_tables(found, ledger, history, silver_bucket, scope, database, catalog, contracts, region)
                elif scope.has_tables and Outbox.PUBLISH in ledger.marks.opened():
                    say("The lake's tables were not looked at: pass --database, or set LAKE_DATABASE.", style="yellow")
    except (BotoCoreError, ClientError) as error:
        names = " and ".join(filter(None, (f"the ledger {table}", *_buckets(open_only, bronze_bucket, silver_bucket))))
        raise OperatorError(f"Cannot read {names}: {explain(error)}") from error
    if as_json:
        show_json(as_document(found))
    else:
        _show(found)
    finish(all_right=found.all_right)


def _audit_tables(
    found: Audit,
    ledger: Ledger,
    history: History,
    bucket: str,
    scope: Scope,
    database: str,
    catalog: str,
    contracts: Path,
    region: str | None,
) -> None:
    from services.ops.audit.tables import audit_tables
    from services.ops.lake.check import check_table
    from services.ops.lake.opening import open_lake  # PyIceberg is slow to import

    tables, store = open_lake(aws_client("s3", region), bucket, database, catalog, region)
    datasets = [name for name in sorted(load_contracts(contracts)) if scope.dataset in ("", name)]
    audit_tables(found, lambda dataset: check_table(ledger, tables, store, history, dataset), datasets)


def as_document(found: Audit) -> dict[str, object]:
    """The JSON that docs/audit.md describes."""
    return {
        "all_right": found.all_right,
        "objects": {"total": found.objects.total(), **{str(outcome): found.objects[outcome] for outcome in Outcome}},
        "rows": {
            "read": found.counts.read,
            "silver": found.counts.silver,
            "quarantined": found.counts.quarantined,
        },
        "lots": dict(sorted(found.lots.items())),
        "lots_with_leftover_files": found.leftovers,
        "files": found.files,
        "history_rows": found.history_rows,
        "tables": asdict(found.tables) if found.tables else None,
        "uploads_in_flight": found.in_flight,
        "replay_copies": found.replay_copies,
        "findings": {
            "total": found.findings.total,
            "by_code": dict(sorted(found.findings.numbers.items())),
            "listed": [
                {
                    "code": finding.code,
                    "subject": finding.subject,
                    "detail": finding.detail,
                    "next": found.findings.next_step(finding.code),
                }
                for finding in found.findings.kept
            ],
        },
        "listed_objects": [_account_document(account) for account in found.accounts],
        "objects_not_listed": found.accounts_left_out,
    }


def _account_document(account: Account) -> dict[str, object]:
    return {
        "object": str(account.id),
        "state": account.outcome,
        "ledger_state": account.state,
        "created": account.created.isoformat(),
        "bytes": account.size,
        "units": account.units,
        "units_committed": account.committed,
        "dead_letters": account.dead,
        "rows_read": account.counts.read,
        "rows_silver": account.counts.silver,
        "rows_quarantined": account.counts.quarantined,
        "reason": account.reason,
        "errors": list(account.errors),
        "next": account.next_step,
    }


def _show(found: Audit) -> None:
    for account in found.accounts:
        _show_account(account)
    if found.accounts_left_out:
        show(f"{found.accounts_left_out:,} more objects are not listed: choose fewer, or raise --limit.")
    _show_findings(found)
    counts = found.counts
    words = ", ".join(f"{found.objects[outcome]:,} {outcome.word}" for outcome in Outcome if found.objects[outcome])
    show(f"{found.objects.total():,} objects{': ' if words else ''}{words}")
    show(f"{counts.read:,} rows = {counts.silver:,} in Silver + {counts.quarantined:,} in quarantine")
    if found.tables:
        waiting = f"; {found.tables.waiting:,} lots wait for the publisher" if found.tables.waiting else ""
        show(f"{found.tables.files:,} files of committed lots compared with the lake's tables{waiting}")
    if found.in_flight:
        show(f"{found.in_flight:,} recent uploads are on their way to ingest")
    if rewritten := found.lots[LotState.REWRITING]:
        show(
            f"{rewritten:,} lots are being rewritten, or somebody left that: until its end, plain tables may show "
            "their rows twice. `smelt sweep` ends what was left",
            style="yellow",
        )
    if found.leftovers or found.objects[Outcome.COMMITTED]:
        show("`smelt sweep` marks committed objects done and deletes files that commits left over")
    show(f"{found.findings.total:,} findings", style="red" if found.findings.total else None)


def _show_account(account: Account) -> None:
    """The object on a line of its own, so that its name can be copied; below it what became of it, and why."""
    counts, style = account.counts, None if account.outcome.all_right else "yellow"
    show(str(account.id), style=style)
    show(
        f"  {account.outcome.word}; units: {account.committed:,} of {account.units:,}; "
        f"{counts.read:,} rows = {counts.silver:,} Silver + {counts.quarantined:,} quarantined",
        style=style,
    )
    for line in filter(None, (account.reason, *account.errors, account.next_step)):
        show(f"  {line}", style=style)


def _show_findings(found: Audit) -> None:
    kept = found.findings.kept
    for code, number in sorted(found.findings.numbers.items()):
        show(f"{code}: {number:,}", style="red")
        listed = [finding for finding in kept if finding.code is code]
        for finding in listed:
            show(f"  {finding.subject}: {finding.detail}")
        if number > len(listed):
            show(f"  {number - len(listed):,} more are not listed: raise --limit.")
        show(f"  Next: {found.findings.next_step(code)}")


def _buckets(open_only: bool, *buckets: str) -> tuple[str, ...]:
    return () if open_only else tuple(f"the bucket {bucket}" for bucket in buckets)
