"""`smelt report`: writes one page about a trial, a demo or a deployment, and prints where it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import RegionOption, explain, say, show
from services.ops.cli.options import DeadLettersOption, FailuresOption, QueueOption, SilverOption, TableOption
from services.ops.cli.times import parse_time
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from workbench.cli.options import ContractsOption

if TYPE_CHECKING:
    from services.ops.report.model import Report
    from services.shared.contract.model import Contract

PAGE = Path(".smelt/report.html")
_WINDOW = timedelta(days=14)


def report_pipeline(
    silver: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder that holds silver/ and quarantine/, instead of a deployment.",
            show_default="the last trial or demo, in .smelt",
        ),
    ] = None,
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    queue: QueueOption = "",
    dead_letters: DeadLettersOption = "",
    failures: FailuresOption = "",
    region: RegionOption = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="Of a deployment: count what was finished at or after this time (UTC), and what is unfinished. "
            "Without it: the last 14 days.",
        ),
    ] = None,
    contracts: ContractsOption = Path("contracts"),
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page; replaced if it is there.")] = PAGE,
) -> None:
    """Write one page: rows over time and by dataset, what was refused and why, recent objects and lots, contracts.

    The page is one HTML file that needs no network and no JavaScript. Reads only. With --table and --silver-bucket
    (`make report` takes them from Terraform) it is about a deployment, else about files on this machine.
    """
    from services.ops.pages.page import write_page
    from services.ops.report.page import page_of

    if out.exists() and not out.is_file():
        raise OperatorError(f"{out}: is not a file that can be replaced. Pass the name of one, such as report.html.")
    if out.exists() and not _is_page(out):
        raise OperatorError(f"{out}: is not a page, and would be lost. Pass another --out, such as report.html.")
    if contracts.exists() and not contracts.is_dir():
        raise OperatorError(f"{contracts}: is not a folder. Pass the folder that holds contracts.")
    if silver is None and (table or silver_bucket):
        report = _of_deployment(
            table, silver_bucket, (queue, dead_letters, failures), region, since, _contracts_in(contracts)
        )
    elif since is not None:
        raise OperatorError("--since is about a deployment: pass --table and --silver-bucket, or leave it out.")
    else:
        report = _of_folder(silver, contracts)
    write_page(out, page_of(report))
    show(f"Page: {out}")


def _is_page(file: Path) -> bool:
    """Whether a file is HTML, or empty, as `mktemp` makes it."""
    with file.open("rb") as opened:
        start = opened.read(15).lower()
    return not start or start == b"<!doctype html>"


def _of_folder(silver: Path | None, contracts: Path) -> Report:
    from workbench.inprocess.folder import CONTRACTS
    from workbench.query.places import find_lake
    from workbench.report.folder import of_folder

    lake = find_lake(silver)
    if silver is None:
        say(f"Silver: {lake}", style="dim")
    used = lake / CONTRACTS
    return of_folder(lake, _contracts_in(used if used.is_dir() else contracts), _now())


def _of_deployment(
    table: str,
    silver_bucket: str,
    urls: tuple[str, str, str],
    region: str | None,
    since: datetime | None,
    contracts: list[Contract],
) -> Report:
    from services.ops.history.reader import History
    from services.ops.report.deployment import of_deployment
    from services.ops.status.queues import NAMES, depths
    from services.ops.status.status import Glance
    from services.shared.aws import aws_client
    from services.shared.errors import Transient
    from services.shared.lake import S3Lake
    from services.shared.ledger.ledger import Ledger

    if not table or not silver_bucket:
        raise OperatorError("A deployment has both: pass --table and --silver-bucket, or run `make report ENV=dev`.")
    try:
        ledger = Ledger(aws_client("dynamodb", region), table)
        ledger.home.check_bucket(silver_bucket)
        s3 = aws_client("s3", region)
        lake = S3Lake(s3, silver_bucket)
        with watching() as watch:
            return of_deployment(
                f"{table}, {silver_bucket}",
                ledger,
                History.of(s3, silver_bucket),
                lambda file: lake.read(file.key, file.etag),
                Glance(ledger).look(depths(aws_client("sqs", region), dict(zip(NAMES, urls, strict=True)))),
                contracts,
                since or _now() - _WINDOW,
                watch,
            )
    except (BotoCoreError, ClientError, Transient) as error:
        raise OperatorError(
            f"Cannot read the ledger {table} and the bucket {silver_bucket}: {explain(error)}"
        ) from error


def _contracts_in(folder: Path) -> list[Contract]:
    """Those of a folder; none where it is not there."""
    from services.shared.contract.loader import load_contracts

    return list(load_contracts(folder).values()) if folder.is_dir() and any(folder.glob("*.y*ml")) else []


def _now() -> datetime:
    return datetime.now(UTC)
