"""`smelt smoke`: prints what became of the known rows."""

from __future__ import annotations

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import JsonFlag, RegionOption, explain, finish, messages, say, show, show_json
from services.ops.cli.options import BronzeOption, SilverOption, TableOption
from services.ops.errors import OperatorError
from services.ops.smoke import Smoke, SmokeTest
from services.shared.aws import aws_client
from services.shared.ledger.ledger import Ledger

_PROBLEMS_SHOWN = 20
_ONE_DAY = 24 * 60  # minutes


def smoke_pipeline(
    table: TableOption = "",
    bronze_bucket: BronzeOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    minutes: Annotated[float, typer.Option(metavar="N", help="How long to wait for the rows.")] = 10,
    as_json: JsonFlag = False,
) -> None:
    """Prove that a deployed pipeline works: upload known rows, wait, audit, and compare every value in Silver.

    Writes to the dataset `smoke` only, and names what it leaves. Exits with 1 if a row is not where it belongs, or if
    nothing happens in time. `make smoke` takes the names from Terraform; docs/aws-checklist.md is the page.
    """
    if not (table and bronze_bucket and silver_bucket):
        raise OperatorError(
            "No pipeline given: pass --table, --bronze-bucket and --silver-bucket, or set LEDGER_TABLE, BRONZE_BUCKET "
            "and SILVER_BUCKET; or run `make smoke ENV=dev`, which takes them from Terraform."
        )
    if not 0 <= minutes <= _ONE_DAY:
        raise OperatorError(f"--minutes is {minutes}; it must be from 0 to {_ONE_DAY}.")
    try:
        ledger, s3 = Ledger(aws_client("dynamodb", region), table), aws_client("s3", region)
        with messages.status("starting ...") as status:

            def tell(text: str) -> None:
                if text.startswith("waiting"):
                    status.update(text)  # seen on a terminal only
                else:
                    say(text)

            found = SmokeTest(ledger, s3, bronze_bucket, silver_bucket, table, tell).run(minutes * 60)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"The smoke test of {bronze_bucket}, {silver_bucket} and {table} stopped: {explain(error)}"
        ) from error
    if as_json:
        show_json(_as_document(found))
    else:
        _show(found)
    finish(all_right=found.passed)


def _as_document(found: Smoke) -> dict[str, object]:
    return {
        "passed": found.passed,
        "object": str(found.object),
        "rows": found.rows,
        "rows_silver": found.in_silver,
        "rows_quarantined": found.in_quarantine,
        "seconds": round(found.seconds, 1),
        "problems": found.problems,
        "leaves": found.leaves,
    }


def _show(found: Smoke) -> None:
    show(f"{found.rows} rows uploaded: {found.in_silver} in Silver, {found.in_quarantine} in quarantine")
    for problem in found.problems[:_PROBLEMS_SHOWN]:
        show(f"  {problem}", style="red")
    if len(found.problems) > _PROBLEMS_SHOWN:
        show(f"  {len(found.problems) - _PROBLEMS_SHOWN} more problems; --json prints all.", style="red")
    show("This run leaves, and no command removes it yet:")
    for what in found.leaves:
        show(f"  {what}")
    if found.passed:
        show(f"smoke test passed: every row once, every value right, {found.seconds:.0f} s from upload to commit")
    else:
        show(f"smoke test failed: {len(found.problems)} problems", style="red")
