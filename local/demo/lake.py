"""`make demo-lake`: committed rows as Iceberg tables: published, compacted, judged, and read as they were before.

    load --> publish --> late rows --> publish --> compact --> judge two days --> read now, and as it was

The pipeline runs on the embedded emulator; the steps are the commands that a person would type, with a SQLite file in
place of Glue's catalog. What needs Java says what is missing where there is none. Nothing is kept but the result pages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.demo.command import STATE
from local.demo.pipeline import NAMES, Pipeline, Upload, pipeline
from local.demo.runs import new_run
from local.generator import Request, events
from local.ministack import ROOT
from local.stack import CREDENTIALS
from services.ops.cli.console import show
from services.ops.errors import OperatorError
from services.shared.contract.loader import load_contracts

DATASET, DATABASE = "shipments", "lake"
FILES, ROWS = 6, 2_000  # of the first load


@dataclass
class Demo:
    """One run: the pipeline, and the commands over it."""

    pipe: Pipeline
    home: Path
    today: datetime

    @property
    def catalog(self) -> Path:
        return self.home / "catalog.db"

    @property
    def days(self) -> tuple[str, str]:
        """A day to compact and judge, and one whose rows break a rule."""
        good, bad = (self.today - timedelta(days=back) for back in (2, 1))
        return good.date().isoformat(), bad.date().isoformat()

    def smelt(self, *words: str, fine: Sequence[int] = (0,)) -> int:
        """Type a command; its output is shown as it is.

        Raises:
            OperatorError: its exit code is none of the `fine` ones.
        """
        show(f"\n$ smelt {' '.join(words)}", style="bold")
        names = {"LEDGER_TABLE": NAMES.ledger_table, "SILVER_BUCKET": NAMES.silver_bucket}
        lake = {"LAKE_DATABASE": DATABASE, "LAKE_CATALOG": str(self.catalog), "BRONZE_BUCKET": NAMES.bronze_bucket}
        environment = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": self.pipe.endpoint} | names | lake
        done = subprocess.run(
            [sys.executable, "-m", "services.ops.cli", *words], env=environment, cwd=ROOT, check=False
        )
        if done.returncode not in fine:
            raise OperatorError(f"smelt {words[0]} ended with {done.returncode}: read what it says above.")
        return done.returncode

    def load(self, files: int, rows: int, seed: int) -> list[Upload]:
        """Files of rows on the two days; those of the second day have no carrier, which breaks a rule of quality."""
        contract = load_contracts(ROOT / "contracts")[DATASET]
        first = self.today - timedelta(days=2)
        uploads = []
        for number in range(files):
            request = Request(rows, first, self.today, seed + number, 0.0)
            data = b"".join(self._spoiled(row) + b"\n" for row in events(contract, request))
            uploads.append(self.pipe.upload(f"bronze/{DATASET}/lake-{seed}-{number}.jsonl", data, rows))
        self.pipe.wait_for(uploads)
        return uploads

    def _spoiled(self, row: bytes) -> bytes:
        told = json.loads(row)
        return json.dumps(told | {"carrier": None}).encode() if told["event_time"].startswith(self.days[1]) else row

    def read(self, snapshot: int | None = None) -> int:
        """How many rows the table has, now or at a snapshot."""
        table = self.table()
        return int(table.scan(snapshot_id=snapshot).count())

    def table(self) -> Any:
        from services.ops.lake.catalog import LakeCatalog, sqlite_catalog

        os.environ.update(CREDENTIALS | {"AWS_ENDPOINT_URL": self.pipe.endpoint})
        found = LakeCatalog(sqlite_catalog(self.catalog), DATABASE, f"s3://{NAMES.silver_bucket}/").find(DATASET)
        if found is None:
            raise OperatorError("The table is missing: publishing did not make it.")
        return found


def run_lake(home: Path) -> None:
    """The whole of it. `home` is a folder of its own."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with new_run(home) as run, pipeline(run, ROOT / "contracts", {"OUTBOXES": "publish"}) as pipe:
        demo = Demo(pipe, home, datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
        demo.load(FILES, ROWS, seed=1)
        demo.smelt("publish")
        before = demo.table().current_snapshot().snapshot_id
        demo.load(1, 500, seed=100)
        demo.smelt("publish")
        good, bad = demo.days
        if shutil.which("java") and (os.environ.get("SMELT_SPARK_PYTHON") or (ROOT / ".venv-spark").is_dir()):
            for day in demo.days:
                demo.smelt("compact", DATASET, day)
            for day in demo.days:
                demo.smelt("validate", DATASET, day, fine=(0, 1))
        else:
            show(
                f"\nCompaction of {good} and the gate over {good} and {bad} were left out: they need Java 17 "
                "(apt-get install openjdk-17-jre-headless) and `make setup-spark`.",
                style="yellow",
            )
        now, then = demo.read(), demo.read(before)
        show(f"\nThe table {DATASET} has {now:,} rows now, in {len(demo.table().snapshots())} snapshots.")
        show(f"As it was after the first load (snapshot {before}): {then:,} rows.")
        if then != FILES * ROWS:
            raise OperatorError(
                f"The first snapshot has {then:,} rows, and {FILES * ROWS:,} were loaded. This is a bug."
            )


def demo_lake() -> None:
    """Publish demo data into Iceberg tables on this machine, compact and judge it, and read it as it was before."""
    run_lake(STATE / "lake")
