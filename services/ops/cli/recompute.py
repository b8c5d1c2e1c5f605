"""`smelt recompute`: prints how a partition's rows would fare under today's contracts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.compact import JobOption, Place, check_day, contract_of, run_job
from services.ops.cli.console import JsonFlag, RegionOption, explain, show, show_json
from services.ops.cli.options import SilverOption, TableOption
from services.ops.committed import find_in
from services.ops.compacting.planning import Partition
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.shared.aws import aws_client
from services.shared.identities import COMPACTED_ROOT, QUARANTINE_ROOT
from services.shared.ledger.ledger import Ledger

_SHOWN = 20


def recompute_partition(
    record_type: Annotated[str, typer.Argument(help="The dataset, such as shipments.")],
    dt: Annotated[str, typer.Argument(metavar="DT", help="The day, YYYY-MM-DD.")],
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    contracts: Annotated[Path, typer.Option(envvar="CONTRACTS_DIR", help="The folder of contracts.")] = Path(
        "contracts"
    ),
    output_prefix: Annotated[str, typer.Option(help="The folder of the Silver bucket to write to.")] = COMPACTED_ROOT,
    on: Annotated[Place, typer.Option(help="Where the job runs: this machine's Spark, or AWS Glue.")] = Place.HERE,
    job: JobOption = "",
    region: RegionOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge a partition's rows again from Bronze under today's contracts, and tell what would change.

    Nothing but the report is written. To apply it: `smelt replay --force` of the objects that it names.
    Refused rows are those judged on DT, whatever day they are of. For all: `smelt quarantine retry --dry-run`.

    Example: smelt recompute shipments 2025-12-31
    """
    if not (table and silver_bucket):
        raise OperatorError(
            "No pipeline given: pass --table and --silver-bucket, or set LEDGER_TABLE and SILVER_BUCKET."
        )
    if contract_of(contracts, record_type).envelope_fields:
        raise OperatorError(
            f"Rows of {record_type} get values from outside of themselves (envelopeFields), and are not judged again "
            "here: replay their objects with `smelt replay --force` instead."
        )
    check_day(dt)
    texts = {file.stem: file.read_text() for file in sorted(contracts.glob("*.yaml"))}
    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        ledger.home.check_bucket(silver_bucket)
        s3 = aws_client("s3", region)
        partition = Partition(s3, silver_bucket, record_type, dt, output_prefix)
        find = find_in(ledger.find_lots, History.of(s3, silver_bucket).find_lots)
        silver, quarantine = partition.inputs(find), partition.inputs(find, root=QUARANTINE_ROOT)
        if not (silver or quarantine):
            raise OperatorError(f"No lot has committed a file of {record_type}, dt={dt}.")
        plan = partition.plan_recompute(texts, silver, quarantine, datetime.now(UTC))
        run_job(f"s3://{silver_bucket}", plan.plan_key, "recompute", on, job, region)
        text = partition.read(plan.report_key)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"Recomputing {record_type}, dt={dt}, stopped: {explain(error)} Run it again.") from error
    if text is None:
        raise OperatorError(f"The job ended, and {plan.report_key} is not there: run this again.")
    report = json.loads(text)
    if as_json:
        show_json(report | {"report": plan.report_key})
        return
    for fate, rows in report["rows"].items():
        show(f"{rows:12,} {fate}")
    for one in report["differences"][:_SHOWN]:
        show(f"{one['fate']}: {one['source']} at byte {one['offset']:,}: {one['now']}")
    show(f"{len(report['objects']):,} objects to replay; all differences: {plan.report_key}")
