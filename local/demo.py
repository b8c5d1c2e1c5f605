"""The demo: the whole pipeline on the embedded emulator, from generated files to answered queries.

Every run adds its own events to what earlier runs left under `.smelt/`, and ends with the account of every row.
"""

from __future__ import annotations

import gzip
import json
import runpy
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from local.athena import Answer, LocalAthena
from local.generator import Request, events, json_safe_events
from local.ministack import ROOT, deploy, ministack
from local.stack import Clients, Names, Resources
from services.ops.audit.audit import Audit, audit
from services.ops.audit.listings import S3Listings
from services.ops.cli.console import finish, results, run
from services.ops.cli.console import show as say
from services.ops.errors import OperatorError
from services.ops.sweep import sweep
from services.shared.contract.loader import load_contracts
from services.shared.identities import SILVER_ROOT, LakeKey
from services.shared.lake import S3Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, Lot, LotState
from services.shared.units import BronzeObject, Plan

STATE = ROOT / ".smelt"
UNIT_BYTES = 4 * 1024 * 1024  # small, so that the demo has an object of several units; the default is 64 MiB
NAMES = Names()
GIVE_UP_SECONDS = 120
QUERIES = {
    "Latest shipments": """
        SELECT event_time, shipment_id, origin, destination, weight_kg
        FROM silver WHERE record_type = 'shipments' ORDER BY dt DESC, event_time DESC LIMIT 5""",
    "Rows per dataset and day": """
        SELECT record_type, dt, COUNT(*) AS rows, COUNT(DISTINCT _source) AS objects
        FROM silver GROUP BY record_type, dt ORDER BY record_type, dt DESC""",
    "Shipments by carrier": """
        SELECT carrier, COUNT(*) AS shipments, APPROX_DISTINCT(shipment_id) AS approx_unique,
               ROUND(AVG(weight_kg), 1) AS avg_kg, MAX(weight_kg) AS max_kg
        FROM silver WHERE record_type = 'shipments' GROUP BY carrier ORDER BY shipments DESC""",
}


@dataclass(frozen=True)
class Upload:
    """A Bronze file of this run, and how many rows it holds."""

    source: BronzeObject
    rows: int


class Pipeline:
    """The pipeline on the emulator, with its buckets on disk in `state`."""

    def __init__(self, state: Path, clients: Clients, resources: Resources) -> None:
        self.lake = state / "s3" / "000000000000" / NAMES.silver_bucket
        self._clients = clients
        self._resources = resources
        self.ledger = Ledger(clients.dynamodb, NAMES.ledger_table)

    def sweep_and_audit(self) -> Audit:
        """Mark finished objects done, then compare ledger and buckets."""
        sweep(self.ledger, S3Lake(self._clients.s3, NAMES.silver_bucket))
        return audit(self.ledger, S3Listings(self._clients.s3, NAMES.bronze_bucket, NAMES.silver_bucket))

    def upload(self, key: str, data: bytes, rows: int) -> Upload:
        """Put a file into Bronze, as a producer would."""
        etag = self._clients.s3.put_object(Bucket=NAMES.bronze_bucket, Key=key, Body=data)["ETag"].strip('"')
        source = BronzeObject(NAMES.bronze_bucket, key, len(data), etag, None, datetime.now(UTC))
        return Upload(source, rows)

    def deliver_again(self, upload: Upload) -> None:
        """What at-least-once delivery does: the same S3 event to ingest, and the same unit to the queue."""
        source = upload.source
        notification = {
            "eventName": "ObjectCreated:Put",
            "eventTime": source.created.isoformat(),
            "s3": {
                "bucket": {"name": source.bucket},
                "object": {"key": source.key, "size": source.size, "eTag": source.etag},
            },
        }
        self._clients.functions.invoke(
            FunctionName=NAMES.ingest, Payload=json.dumps({"Records": [notification]}).encode()
        )
        (known,) = self.ledger.find_objects([source.id])  # a message that says anything but its plan is refused
        unit = known.plan.unit(0)
        self._clients.sqs.send_message(QueueUrl=self._resources.queue_url, MessageBody=unit.to_message())

    def wait_for(self, uploads: Sequence[Upload]) -> list[Lot]:
        """Watch the ledger until every unit of these objects is in a committed lot; returns those lots."""
        units = [unit.id for upload in uploads for unit in Plan.of(upload.source, UNIT_BYTES)]
        until = time.monotonic() + GIVE_UP_SECONDS
        columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        with Progress(*columns, TimeElapsedColumn(), console=results) as progress:
            task = progress.add_task("units committed", total=len(units))
            while time.monotonic() < until:
                found = self.ledger.look_up(units)
                committed = {lot.id for lot in found.lots.values() if lot.state is LotState.COMMITTED}
                done = sum(found.lot_of.get(unit) in committed for unit in units)
                progress.update(task, completed=done)
                if done == len(units):
                    return list(found.lots.values())
                time.sleep(0.2)
        raise OperatorError(f"Not all units were committed within {GIVE_UP_SECONDS} s: read {STATE}/*/emulator.log.")


@contextmanager
def pipeline(state: Path, contracts: Path) -> Iterator[Pipeline]:
    """The pipeline, up for the time of the block; objects and ledger stay in `state` for the next run."""
    state.mkdir(parents=True, exist_ok=True)
    with ministack(state, state / "emulator.log") as endpoint:
        settings = {"UNIT_BYTES": str(UNIT_BYTES), "CONTRACTS_DIR": str(contracts)}
        clients, resources = deploy(endpoint, NAMES, settings)
        say(f"MiniStack is up at {endpoint}: S3 -> ingest -> SQS -> transform -> S3")
        yield Pipeline(state, clients, resources)


def account(uploads: Sequence[Upload], lots: Sequence[Lot], lake: LocalAthena, seconds: float) -> bool:
    """Print where every row of this run is. Returns whether all are accounted for."""
    counts = {unit: count for lot in lots for unit, count in zip(lot.units, lot.unit_counts, strict=True)}
    table = _table("Every row of this run", "uploaded to", "rows in", "Silver", "quarantined", "units", "lots")
    complete = True
    for dataset in sorted({upload.source.bronze_key.dataset for upload in uploads}):
        group = [upload for upload in uploads if upload.source.bronze_key.dataset == dataset]
        units = {unit.id for upload in group for unit in Plan.of(upload.source, UNIT_BYTES)}
        rows_in = sum(upload.rows for upload in group)
        total = sum((counts[unit] for unit in units), Counts())
        complete &= rows_in == total.silver + total.quarantined
        in_lots = sum(any(unit in units for unit in lot.units) for lot in lots)
        numbers = (rows_in, total.silver, total.quarantined, len(units), in_lots)
        table.add_row(dataset, *(f"{number:,}" for number in numbers))
    say(table)
    _print_reasons(uploads, lake)
    files = [(LakeKey.parse(file.key).root, file.bytes) for lot in lots for file in lot.files]
    silver_files = sum(root == SILVER_ROOT for root, _ in files)
    say(
        f"{silver_files} Silver and {len(files) - silver_files} quarantine files, "
        f"{sum(size for _, size in files) / 1e6:.1f} MB from {sum(u.source.size for u in uploads) / 1e6:.1f} MB "
        f"of Bronze; from the first upload to the last commit {seconds:.1f} s"
    )
    if complete:
        say("rows in = Silver + quarantined", style="green")
    else:
        say("ROWS ARE MISSING OR DUPLICATED", style="red")
    return complete


def _print_reasons(uploads: Sequence[Upload], lake: LocalAthena) -> None:
    """This run's quarantined rows by reason, counted in the quarantine's files."""
    if "quarantine" not in lake.tables:
        return
    sources = {str(upload.source.id) for upload in uploads}
    answer = lake.query(
        "SELECT reason, _source, COUNT(*) AS n, MIN(CONCAT_WS(': ', field, detail)) AS example "
        "FROM quarantine GROUP BY reason, _source"
    )
    rows: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for reason, source, number, example in answer.rows:
        if source in sources:
            rows[reason] += number
            examples[reason] = example
    table = _table("Why rows are in quarantine", "reason", "rows", "for example")
    for reason, number in rows.most_common():
        table.add_row(reason, f"{number:,}", Text(examples[reason], no_wrap=True, overflow="ellipsis"))
    if rows:
        say(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        justify: Literal["left", "right"] = "left" if column in {"uploaded to", "reason", "for example"} else "right"
        shrinks = column == "for example"
        table.add_column(column, justify=justify, no_wrap=not shrinks)
    return table


def show(title: str, answer: Answer) -> None:
    """Print a query's answer as a table."""
    table = Table(title=title, title_justify="left")
    for nth, column in enumerate(answer.columns):
        numbers = all(isinstance(row[nth], (int, float, Decimal, NoneType)) for row in answer.rows)
        table.add_column(column, justify="right" if numbers else "left")
    for row in answer.rows:
        table.add_row(*(_shown(value) for value in row))
    say(table)


def _shown(value: object) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def make_uploads(pipe: Pipeline, run: datetime) -> list[Upload]:
    """This run's files: every format, some bad rows, and one object that is large enough for several units."""
    contracts = load_contracts(ROOT / "contracts")
    today = run.replace(hour=0, minute=0, second=0, microsecond=0)
    seed = int(run.timestamp() * 1000)
    stamp = run.strftime("%Y%m%dT%H%M%S%f")

    def request(count: int, bad_rate: float = 0.0, nth: int = 0) -> Request:
        return Request(count, today - timedelta(days=3), today, seed + nth, bad_rate)

    def lines(dataset: str, asked: Request) -> bytes:
        return b"".join(row + b"\n" for row in events(contracts[dataset], asked))

    def array(dataset: str, asked: Request) -> bytes:
        return b"[" + b",\n".join(json_safe_events(contracts[dataset], asked)) + b"]"

    files = [
        ("shipments", ".jsonl", lines("shipments", request(60_000, nth=1)), 60_000),
        ("shipments", "-bad.jsonl", lines("shipments", request(5_000, 0.01, nth=2)), 5_000),
        ("tracking_events", ".json", array("tracking_events", request(20_000, 0.001, nth=3)), 20_000),
        ("invoice_lines", ".jsonl.gz", gzip.compress(lines("invoice_lines", request(20_000, 0.001, nth=4)), 1), 20_000),
    ]
    return [pipe.upload(f"bronze/{dataset}/{stamp}{suffix}", data, rows) for dataset, suffix, data, rows in files]


def run_shipped() -> bool:
    """One run of the three shipped datasets."""

    def upload(pipe: Pipeline) -> list[Upload]:
        uploads = make_uploads(pipe, datetime.now(UTC))
        pipe.deliver_again(uploads[0])
        say("The first file's S3 event and its first unit are delivered twice.", style="dim")
        return uploads

    return run_and_account(STATE / "demo", ROOT / "contracts", upload, QUERIES)


def run_example(folder: Path) -> bool:
    """One other dataset: its folder has a contract, `export.py` (`write_jsonl(path) -> rows`) and `queries.sql`."""
    (dataset,) = load_contracts(folder)
    texts = (folder / "queries.sql").read_text("utf-8").split(";")
    queries = dict(text.strip().removeprefix("--").strip().split("\n", 1) for text in texts if text.strip())

    def upload(pipe: Pipeline) -> list[Upload]:
        file = STATE / f"{dataset}.jsonl"
        rows = runpy.run_path(str(folder / "export.py"))["write_jsonl"](file)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        return [pipe.upload(f"bronze/{dataset}/{stamp}.jsonl", file.read_bytes(), rows)]

    return run_and_account(STATE / dataset, folder, upload, queries)


def run_and_account(
    state: Path, contracts: Path, upload: Callable[[Pipeline], list[Upload]], queries: Mapping[str, str]
) -> bool:
    """Upload, wait, account, query. Returns whether every row is in exactly one place."""
    with pipeline(state, contracts) as pipe:
        with results.status("making Bronze files and uploading them ..."):
            started = time.monotonic()
            uploads = upload(pipe)
        for file in uploads:
            size, units = file.source.size, Plan.of(file.source, UNIT_BYTES).units
            say(f"  {file.source.key}  {size / 1e6:.1f} MB, {file.rows:,} rows, units: {units}")
        lots = pipe.wait_for(uploads)
        seconds = time.monotonic() - started
        audited = pipe.sweep_and_audit()
    athena = LocalAthena(pipe.lake)
    complete = account(uploads, lots, athena, seconds)
    for title, sql in queries.items():
        show(title, athena.query(sql))
    rows, objects, distinct = athena.query(
        "SELECT COUNT(*), COUNT(DISTINCT _source), COUNT(DISTINCT (_source, _offset)) FROM silver"
    ).rows[0]
    say(f"All runs so far: {rows:,} Silver rows from {objects} objects, {rows - distinct} of them duplicates")
    for finding in audited.findings.kept:
        say(f"{finding.code}: {finding.subject}: {finding.detail}. {finding.next_step}", style="red")
    say(
        f"Audit of ledger and files: {audited.objects.total()} objects, {audited.unfinished} unfinished, "
        f"{audited.findings.total} findings; {audited.counts.read:,} rows = {audited.counts.silver:,} in Silver + "
        f"{audited.counts.quarantined:,} in quarantine"
    )
    say(f"The files are in {pipe.lake.relative_to(ROOT)} (make clean-demo deletes them)")
    return complete and rows == distinct == audited.counts.silver and audited.all_right and not audited.unfinished


def main(
    example: Annotated[
        Path | None, typer.Argument(help="A folder such as examples/flights, instead of the shipped datasets.")
    ] = None,
) -> None:
    """Run the whole pipeline on the embedded emulator, and account for every row.

    Exits with 1 if a row is missing or appears more than once.
    """
    finish(all_right=run_example(example) if example else run_shipped())


if __name__ == "__main__":
    run(main)
