"""The pipeline that a demo runs: uploads, repeated deliveries, the wait for the last commit, the audit."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from local.demo.runs import Run
from local.ministack import deploy, ministack
from local.stack import Clients, Names, Resources
from services.ops.audit.audit import Audit, audit
from services.ops.audit.listings import S3Listings
from services.ops.cli.console import messages
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.ops.report.deployment import of_deployment
from services.ops.report.model import Report
from services.ops.status.status import Glance
from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from services.shared.lake import S3Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Lot
from services.shared.units import BronzeObject, Plan

UNIT_BYTES = 4 * 1024 * 1024  # small, so that the demo has an object of several units; the default is 64 MiB
NAMES = Names()
GIVE_UP_SECONDS = 120


@dataclass(frozen=True)
class Upload:
    """A Bronze file of this run, and how many rows it holds."""

    source: BronzeObject
    rows: int


class Pipeline:
    """The pipeline on the emulator."""

    def __init__(self, endpoint: str, log: Path, clients: Clients, resources: Resources) -> None:
        self.endpoint = endpoint
        self._log = log
        self._clients = clients
        self._resources = resources
        self.ledger = Ledger(clients.dynamodb, NAMES.ledger_table)

    def sweep_and_audit(self) -> Audit:
        """Mark finished objects done, then compare ledger and buckets."""
        sweep(self.ledger, S3Lake(self._clients.s3, NAMES.silver_bucket))
        return audit(self.ledger, S3Listings(self._clients.s3, NAMES.bronze_bucket, NAMES.silver_bucket))

    def report(self, contracts: Sequence[Contract]) -> Report:
        """What the ledger and the files say of all runs so far."""
        lake = S3Lake(self._clients.s3, NAMES.silver_bucket)
        return of_deployment(
            "The demo on this machine",
            self.ledger,
            History.of(self._clients.s3, NAMES.silver_bucket),
            lambda file: lake.read(file.key, file.etag),
            Glance(self.ledger).look({}),
            contracts,
            since=None,
        )

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
        known = list(self.ledger.find_objects([source.id]))  # a message that says anything but its plan is refused
        if not known:
            raise OperatorError(f"The function ingest failed for {source.id}: read {self._log}. Then run this again.")
        unit = known[0].plan.unit(0)
        self._clients.sqs.send_message(QueueUrl=self._resources.queue_url, MessageBody=unit.to_message())

    def wait_for(self, uploads: Sequence[Upload]) -> list[Lot]:
        """Watch the ledger until every unit of these objects is in a committed lot; returns those lots."""
        units = [unit.id for upload in uploads for unit in Plan.of(upload.source, UNIT_BYTES)]
        until = time.monotonic() + GIVE_UP_SECONDS
        columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        with Progress(*columns, TimeElapsedColumn(), console=messages) as progress:
            task = progress.add_task("units committed", total=len(units))
            while time.monotonic() < until:
                found = self.ledger.look_up(units)
                committed = {lot.id for lot in found.lots.values() if lot.state.holds_rows}
                done = sum(found.lot_of.get(unit) in committed for unit in units)
                progress.update(task, completed=done)
                if done == len(units):
                    return list(found.lots.values())
                time.sleep(0.2)
        raise OperatorError(f"Not all units were committed within {GIVE_UP_SECONDS} s: read {self._log}.")


@contextmanager
def pipeline(run: Run, contracts: Path, more: Mapping[str, str] | None = None) -> Iterator[Pipeline]:
    """The pipeline, up for the time of the block; objects and ledger are in the run's folder when it has ended.

    `more` are further settings of its functions.

    Raises:
        OperatorError: the emulator did not start, ended by itself, or did not save what it holds.
    """
    run.log.unlink(missing_ok=True)
    with (
        messages.status("starting the emulator ...") as status,
        ministack(run.folder, run.log, lock=run.lock) as endpoint,
    ):
        settings = {"UNIT_BYTES": str(UNIT_BYTES), "CONTRACTS_DIR": str(contracts), **(more or {})}
        clients, resources = deploy(endpoint, NAMES, settings)
        status.stop()
        yield Pipeline(endpoint, run.log, clients, resources)
        status.update("stopping the emulator; it saves what it holds ...")
        status.start()
        sizes = _sizes_of_objects(clients)
    _check_files(run, sizes)


def _sizes_of_objects(clients: Clients) -> dict[str, int]:
    """The size in bytes of every object of both buckets, by its place below the emulator's folder of objects."""
    sizes: dict[str, int] = {}
    for bucket in (NAMES.bronze_bucket, NAMES.silver_bucket):
        for page in clients.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            sizes |= {f"{bucket}/{found['Key']}": found["Size"] for found in page.get("Contents", [])}
    return sizes


def _check_files(run: Run, sizes: Mapping[str, int]) -> None:
    """The emulator keeps in memory what it cannot write, as on a full disk, and says so in its log only.

    Raises:
        OperatorError: an object has no file, or a shorter one.
    """
    files = {name: _objects_of(run) / name for name in sizes}
    lost = [name for name, file in files.items() if not file.is_file() or file.stat().st_size != sizes[name]]
    if lost:
        raise OperatorError(
            f"The emulator did not save {len(lost)} of {len(sizes)} objects, such as {lost[0]}, in {run.folder}. "
            f"Its log: {run.log}. If the disk is full, free some space; then run this again."
        )


def _objects_of(run: Run) -> Path:
    return run.folder / "s3" / "000000000000"


def lake_of(run: Run) -> Path:
    """The folder of the Silver bucket's files."""
    return _objects_of(run) / NAMES.silver_bucket
