"""`smelt audit`: prints what became of every object."""

from __future__ import annotations

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.table import Table

from services.ops.audit import Audit, ObjectAccount, audit
from services.ops.cli.console import JsonFlag, RegionOption, explain, finish, show, show_json
from services.ops.errors import OperatorError
from services.shared.aws import aws_client
from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT
from services.shared.ledger.ledger import Ledger


def audit_pipeline(
    table: Annotated[str, typer.Option(envvar="LEDGER_TABLE", help="The ledger's DynamoDB table.")] = "",
    bucket: Annotated[str, typer.Option(envvar="SILVER_BUCKET", help="The bucket of Silver and quarantine.")] = "",
    region: RegionOption = None,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="List only objects that are not done.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Account for every object in the ledger, and compare the ledger with the files. Reads only.

    Exits with 1 if an object is not done or something does not add up. `make audit` takes the names from Terraform.
    """
    if not (table and bucket):
        raise OperatorError("No pipeline given: pass --table and --bucket, or set LEDGER_TABLE and SILVER_BUCKET.")
    try:
        s3 = aws_client("s3", region)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        listed = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        files = [key for key in listed if key.startswith((f"{SILVER_ROOT}/", f"{QUARANTINE_ROOT}/"))]
        found = audit(Ledger(aws_client("dynamodb", region), table), files)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"Cannot read the ledger {table} and the bucket {bucket}: {explain(error)}") from error
    accounts = [account for account in found.objects.values() if not (unfinished and account.is_done)]
    accounts.sort(key=lambda account: str(account.id))
    if as_json:
        show_json(_as_dict(found, accounts))
    else:
        _show(found, accounts)
    finish(all_right=not found.findings and all(account.is_done for account in found.objects.values()))


def _as_dict(found: Audit, accounts: list[ObjectAccount]) -> dict[str, object]:
    return {
        "objects": [
            {
                "object": str(account.id),
                "state": account.state,
                "reason": account.reason,
                "done": account.is_done,
                "units": account.units,
                "units_committed": account.committed,
                "rows_read": account.counts.read,
                "rows_silver": account.counts.silver,
                "rows_quarantined": account.counts.quarantined,
                "errors": account.errors,
            }
            for account in accounts
        ],
        "findings": found.findings,
        "objects_total": len(found.objects),
        "objects_done": sum(account.is_done for account in found.objects.values()),
    }


def _show(found: Audit, accounts: list[ObjectAccount]) -> None:
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
    show(objects)
    for wrong in [*(error for account in accounts for error in account.errors), *found.findings]:
        show(wrong, style="red")
    total = found.counts
    done = sum(account.is_done for account in found.objects.values())
    show(f"{total.read:,} rows = {total.silver:,} in Silver + {total.quarantined:,} in quarantine")
    show(f"{len(found.objects):,} objects, {done:,} of them done; {len(found.findings)} findings")
