"""The demo: the whole pipeline on the embedded emulator, from generated files to answered queries.

Every run adds its own events to what earlier runs left under `.smelt/`, and ends with the account of every row.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.athena import Answer, LocalAthena
from local.ministack import ROOT, deploy, ministack
from local.stack import Clients, Names, Resources
from services.shared.contract import load_contracts
from services.shared.identities import SILVER_ROOT, LakeKey
from services.shared.ledger import Ledger, Lot, LotState
from services.shared.units import BronzeObject, Unit, plan

STATE = ROOT / ".smelt"
UNIT_BYTES = 4 * 1024 * 1024  # small, so that the demo shows an object being cut; the default is 64 MiB
NAMES = Names()
GIVE_UP_SECONDS = 300
QUERIES = {
    "Latest shipments": """
        SELECT dt, shipment_id, origin, destination, carrier, weight_kg, event_time
        FROM silver WHERE record_type = 'shipments' ORDER BY dt DESC, event_time DESC LIMIT 5""",
    "Rows per dataset and day": """
        SELECT record_type, dt, COUNT(*) AS rows, COUNT(DISTINCT _source) AS objects
        FROM silver GROUP BY record_type, dt ORDER BY record_type, dt DESC""",
    "What the carriers carry": """
        SELECT carrier, COUNT(*) AS shipments, APPROX_DISTINCT(shipment_id) AS approx_unique,
               ROUND(AVG(weight_kg), 1) AS avg_kg, MAX(weight_kg) AS max_kg
        FROM silver WHERE record_type = 'shipments' GROUP BY carrier ORDER BY shipments DESC""",
}

console = Console()
app = typer.Typer(add_completion=False, help=__doc__)


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
        unit = next(plan(source, UNIT_BYTES))
        self._clients.sqs.send_message(QueueUrl=self._resources.queue_url, MessageBody=unit.to_message())

    def wait_for(self, uploads: Sequence[Upload]) -> list[Lot]:
        """Watch the ledger until every unit of these objects is in a committed lot; returns those lots."""
        units = [unit.id for upload in uploads for unit in plan(upload.source, UNIT_BYTES)]
        until = time.monotonic() + GIVE_UP_SECONDS
        columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
            task = progress.add_task("units committed", total=len(units))
            while time.monotonic() < until:
                found = self.ledger.look_up(units)
                committed = {lot.id for lot in found.lots.values() if lot.state is LotState.COMMITTED}
                done = sum(found.lot_of.get(unit) in committed for unit in units)
                progress.update(task, completed=done)
                if done == len(units):
                    return list(found.lots.values())
                time.sleep(0.2)
        console.print(f"[red]not all units were committed within {GIVE_UP_SECONDS} s; read {STATE}/*/emulator.log")
        raise typer.Exit(1)


@contextmanager
def pipeline(state: Path, contracts: Path) -> Iterator[Pipeline]:
    """The pipeline, up for the time of the block; objects and ledger stay in `state` for the next run."""
    state.mkdir(parents=True, exist_ok=True)
    with ministack(state, state / "emulator.log") as endpoint:
        settings = {"UNIT_BYTES": str(UNIT_BYTES), "CONTRACTS_DIR": str(contracts)}
        clients, resources = deploy(endpoint, NAMES, settings)
        console.print(f"The pipeline is up: MiniStack at {endpoint}, S3 -> ingest -> SQS -> transform -> S3")
        yield Pipeline(state, clients, resources)


def account(uploads: Sequence[Upload], lots: Sequence[Lot], lake: LocalAthena, seconds: float) -> bool:
    """Print what became of every row of this run. Returns whether all are accounted for."""
    counts = {unit.id: count for lot in lots for unit, count in zip(lot.units, lot.unit_counts, strict=True)}
    reasons = _reasons(uploads, lake)
    files = [LakeKey.parse(file.key) for lot in lots for file in lot.files]
    sizes = {file.key: file.bytes for lot in lots for file in lot.files}
    table = Table(title="Every row of this run", title_justify="left")
    for column in ("uploaded to", "rows in", "Silver", "quarantined", "why", "units", "lots"):
        table.add_column(column, justify="left" if column in ("uploaded to", "why") else "right")
    complete = True
    by_dataset: dict[str, list[Upload]] = {}
    for upload in uploads:
        by_dataset.setdefault(upload.source.bronze_key.dataset, []).append(upload)
    for dataset, group in sorted(by_dataset.items()):
        units = [unit.id for upload in group for unit in plan(upload.source, UNIT_BYTES)]
        rows_in = sum(upload.rows for upload in group)
        silver = sum(counts[unit].silver for unit in units)
        quarantined = sum(counts[unit].quarantined for unit in units)
        complete &= rows_in == silver + quarantined
        in_lots = sum(any(unit.id in units for unit in lot.units) for lot in lots)
        why = ", ".join(f"{reason} {rows}" for reason, rows in reasons.get(dataset, []))
        row = (dataset, f"{rows_in:,}", f"{silver:,}", f"{quarantined:,}", why, str(len(units)), str(in_lots))
        table.add_row(*row)
    console.print(table)
    silver_files = sum(key.root == SILVER_ROOT for key in files)
    console.print(
        f"{silver_files} Silver and {len(files) - silver_files} quarantine files, "
        f"{sum(sizes.values()) / 1e6:.1f} MB from {sum(upload.source.size for upload in uploads) / 1e6:.1f} MB "
        f"uploaded; upload to Silver in {seconds:.1f} s"
    )
    verdict = "[green]rows in = Silver + quarantined" if complete else "[red]ROWS ARE MISSING OR DOUBLED"
    console.print(verdict)
    return complete


def _reasons(uploads: Sequence[Upload], lake: LocalAthena) -> dict[str, list[tuple[str, int]]]:
    """Quarantined rows by the dataset that they were uploaded to, and reason, read from the quarantine's files."""
    ours = {str(upload.source.id): upload.source.bronze_key.dataset for upload in uploads}
    found: dict[str, list[tuple[str, int]]] = {}
    for source, reason, rows in lake.query(
        "SELECT _source, reason, COUNT(*) AS n FROM quarantine GROUP BY _source, reason ORDER BY n DESC, reason"
    ).rows:
        if source in ours:
            found.setdefault(ours[source], []).append((reason, rows))
    return {dataset: _summed(pairs) for dataset, pairs in found.items()}


def _summed(pairs: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    totals: dict[str, int] = {}
    for reason, rows in pairs:
        totals[reason] = totals.get(reason, 0) + rows
    return sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))


def show(title: str, answer: Answer) -> None:
    """Print a query's answer as a table."""
    table = Table(title=title, title_justify="left")
    for column in answer.columns:
        table.add_column(column)
    for row in answer.rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console.print(table)
