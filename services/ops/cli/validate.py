"""`smelt validate`: prints the gate's verdict over a partition, and where its page is."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import JsonFlag, RegionOption, explain, finish, make_table, say, show, show_json
from services.ops.cli.options import SilverOption, TableOption
from services.ops.committed import find_in
from services.ops.errors import OperatorError
from services.ops.gate.files import S3GateFiles
from services.ops.gate.finishing import Ended
from services.ops.gate.local import plan_bucket, plan_folder, validate
from services.ops.gate.workflow import read_request
from services.ops.history.reader import History
from services.shared.aws import aws_client
from services.shared.contract.loader import load_contracts
from services.shared.gate.plan import GatePlan
from services.shared.gate.verdict import Verdict
from services.shared.ledger.ledger import Ledger

_OUT = Path(".smelt/gate")


def validate_partition(
    record_type: Annotated[str, typer.Argument(help="The dataset, such as shipments.")],
    dt: Annotated[str, typer.Argument(metavar="DT", help="The day, YYYY-MM-DD.")],
    folder: Annotated[
        Path | None, typer.Option("--folder", help="A folder with silver/, such as `smelt try` makes; no account.")
    ] = None,
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    contracts: Annotated[Path, typer.Option(envvar="CONTRACTS_DIR", help="The folder of contracts.")] = Path(
        "contracts"
    ),
    out: Annotated[Path, typer.Option(help="Where result and page go, without --folder.")] = _OUT,
    region: RegionOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge one partition by its contract's quality rules, with the gate's own job on this machine's Spark.

    Exits with 0 if it has passed, 1 if it has failed, 2 if nobody can say. Needs Java 17 and `make setup-spark`.

    Example: smelt validate shipments 2025-12-31 --folder .smelt/try
    """
    known = load_contracts(contracts)
    request = read_request({"record_type": record_type, "dt": dt}, known.keys())
    if folder is not None:
        if not folder.is_dir():
            raise OperatorError(f"{folder} is not a folder; `smelt try` makes one.")
        ended = _judge(folder, plan_folder(folder, request, known[record_type]))
    elif table and silver_bucket:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="rows-", dir=out) as rows:  # they stay in the account; `out` may be anybody's
            try:
                ledger = Ledger(aws_client("dynamodb", region), table)
                ledger.home.check_bucket(silver_bucket)
                s3 = aws_client("s3", region)
                find = find_in(ledger.find_lots, History.of(s3, silver_bucket).find_lots)
                files = S3GateFiles(s3, silver_bucket)
                plan = plan_bucket(files, find, request, known[record_type], Path(rows))
            except (BotoCoreError, ClientError) as error:
                raise OperatorError(f"Cannot read the partition from {silver_bucket}: {explain(error)}") from error
            ended = _judge(out, plan)
        folder = out
    else:
        raise OperatorError(
            "Nothing to judge given: pass --folder, or --table and --silver-bucket (LEDGER_TABLE and SILVER_BUCKET)."
        )
    _show(folder, ended, as_json)


def _judge(folder: Path, plan: GatePlan) -> Ended:
    say(f"judging {plan.rows:,} rows in {len(plan.files):,} files")
    return validate(folder, plan)


def _show(folder: Path, ended: Ended, as_json: bool) -> None:
    result, page = ended.result, folder / ended.page
    if as_json:
        show_json(
            {
                "verdict": result.verdict,
                "cause": result.cause or None,
                "rows": result.rows,
                "rows_committed": result.rows_expected,
                "rules": [
                    {"rule": rule.name, "verdict": rule.verdict, "expected": rule.expected, "observed": rule.observed}
                    for rule in result.rules
                ],
                "page": str(page),
            }
        )
    else:
        rules = make_table(
            f"{result.run.record_type}, dt={result.run.dt}",
            "verdict",
            "rule",
            "expected",
            "observed",
            right=["observed"],
        )
        for rule in result.rules:
            rules.add_row(rule.verdict, rule.name, rule.expected, rule.observed)
        if result.rules:
            show(rules)
        show(f"{result.verdict}: {result.cause or 'every rule holds'}", style=_STYLES[result.verdict])
        show(f"page: {page}")
    if result.verdict is Verdict.ERROR:
        raise OperatorError("The partition was not judged; the page says why.")
    finish(all_right=result.verdict is Verdict.PASSED)


_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.ERROR: "red"}
