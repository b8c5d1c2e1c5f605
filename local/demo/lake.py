"""`make demo-lake`: committed rows as Iceberg tables: published, corrected, compacted, judged, and read as they were.

    load --> publish --> corrected rows --> publish --> compact --> judge two days --> read each snapshot again

The pipeline runs on the embedded emulator; the steps are the commands that a person would type, with a SQLite file in
place of Glue's catalog. DuckDB reads the table over S3, in .venv-readers. What needs Java says so where there is none.
Nothing is kept but the result pages; the next run replaces them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from local.demo.command import STATE
from local.demo.pipeline import NAMES, Pipeline, pipeline
from local.demo.runs import new_run
from local.generator import Request, events
from local.ministack import ROOT
from local.stack import CREDENTIALS
from services.ops.cli.console import finish, make_table, messages, run, show
from services.ops.errors import OperatorError
from services.shared.contract.loader import load_contracts

DATASET, DATABASE = "shipments", "lake"
FILES, ROWS = 6, 2_000  # of the first load
CORRECTED = 500
READER = ROOT / ".venv-readers/bin/python"
SPARK = ROOT / ".venv-spark/bin/python"
SQL = "SELECT count(*), count(DISTINCT shipment_id), count(*) - count(carrier) FROM lake"


class Answer(NamedTuple):
    """What `SQL` says of the table."""

    rows: int
    shipments: int
    without_carrier: int


@dataclass
class Told:
    """What a run has shown: answers by when they were asked, verdicts and pages by day."""

    days: tuple[str, str]  # a good one; one whose first rows have no carrier
    answers: dict[str, Answer] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    pages: dict[str, Path] = field(default_factory=dict)
    skipped: str = ""  # why there was no compaction and no gate

    @property
    def expected(self) -> dict[str, Answer]:
        """The answers, from the first one and from what was loaded."""
        first = self.answers["loaded"]
        corrected = Answer(first.rows + CORRECTED, first.shipments, first.without_carrier)
        compacted = Answer(first.rows, first.shipments, first.without_carrier - CORRECTED)
        now = {} if self.skipped else {"compacted": compacted}
        return {"loaded": first, "corrected": corrected, **now, "at the first snapshot": first}

    @property
    def all_right(self) -> bool:
        """Every row was found where it must be, and the gate has told the days apart."""
        first = self.answers["loaded"]
        loaded = first.rows == first.shipments == FILES * ROWS and first.without_carrier > CORRECTED
        verdicts = {} if self.skipped else dict(zip(self.days, ("passed", "failed"), strict=True))
        return loaded and self.answers == self.expected and self.verdicts == verdicts


class Demo:
    """One run: the pipeline, the commands over it, and what they have shown."""

    def __init__(self, pipe: Pipeline, home: Path, today: datetime) -> None:
        self._pipe = pipe
        self._catalog, self.pages, self._log = home / "catalog.db", home / "gate", home / "commands.log"
        self._today = today
        good, bad = ((today - timedelta(days=back)).date().isoformat() for back in (2, 1))
        self.told = Told((good, bad))
        self._to_correct: list[dict[str, Any]] = []

    def smelt(self, *words: str, fine: Sequence[int] = (0,), more: Sequence[str] = ()) -> dict[str, Any]:
        """Type a command; its JSON. What it and Spark say meanwhile goes to the log. `more` is not shown.

        Raises:
            OperatorError: its exit code is none of the `fine` ones.
        """
        names = {"LEDGER_TABLE": NAMES.ledger_table, "SILVER_BUCKET": NAMES.silver_bucket}
        lake = {"LAKE_DATABASE": DATABASE, "LAKE_CATALOG": str(self._catalog), "BRONZE_BUCKET": NAMES.bronze_bucket}
        environment = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": self._pipe.endpoint} | names | lake
        command = [sys.executable, "-m", "services.ops.cli", *words, *more, "--json"]
        show(f"$ smelt {' '.join(words)}", style="bold")
        with _busy(f"smelt {words[0]}"), self._log.open("a") as log:
            log.write(f"$ smelt {' '.join((*words, *more))}\n")
            log.flush()
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=ROOT, check=False
            )
            log.write(done.stdout)
        if done.returncode not in fine:
            raise OperatorError(f"smelt {words[0]} ended with {done.returncode}: the end of {self._log} says why.")
        return dict(json.loads(done.stdout))

    def load(self) -> None:
        """Files of rows on the two days; those of the second day have no carrier, which breaks a rule of quality."""
        contract = load_contracts(ROOT / "contracts")[DATASET]
        good, bad = self.told.days
        uploads = []
        for number in range(FILES):
            request = Request(ROWS, self._today - timedelta(days=2), self._today, number + 1)
            rows = [json.loads(row) for row in events(contract, request)]
            late = [row for row in rows if row["event_time"].startswith(bad)]
            self._to_correct += [row.copy() for row in late if row["carrier"] is not None]
            for row in late:
                row["carrier"] = None
            uploads.append(self._pipe.upload(f"bronze/{DATASET}/{number}.jsonl", _lines(rows), ROWS))
        self._pipe.wait_for(uploads)
        show(f"Loaded: {FILES} files with {FILES * ROWS:,} {DATASET} of {good} and {bad};")
        show(f"the carrier is missing in those of {bad}.")

    def correct(self) -> None:
        """Some rows once more, as a producer does who has found the mistake: the same keys, now with a carrier."""
        data = _lines(self._to_correct[:CORRECTED])
        self._pipe.wait_for([self._pipe.upload(f"bronze/{DATASET}/corrected.jsonl", data, CORRECTED)])
        show(f"The producer sends {CORRECTED} of them again, with the carrier.")

    def publish(self) -> None:
        done = self.smelt("publish")
        show(f"  {done['files_added']} files of Silver are in the table, by {done['snapshots']} snapshot")

    def compact(self) -> None:
        done = self.smelt("compact", DATASET, self.told.days[1])
        before = f"{done['files_in']} files with {done['rows_in']:,} rows"
        show(f"  {before} -> {done['files_out']} with {done['rows_out']:,}: the latest of each shipment")

    def judge(self, day: str) -> None:
        done = self.smelt("validate", DATASET, day, fine=(0, 1), more=("--out", str(self.pages)))
        self.told.verdicts[day], self.told.pages[day] = done["verdict"], Path(done["page"])
        failed = [rule for rule in done["rules"] if rule["verdict"] != "passed"]
        show(f"  {done['verdict']}: {len(done['rules'])} rules, {len(failed)} of them broken")
        for rule in failed:
            show(f"  {rule['rule']}: {rule['observed']}, expected {rule['expected']}")

    def ask(self, when: str, snapshot: int | None = None) -> None:
        """Ask DuckDB about the table, now or at a snapshot.

        Raises:
            OperatorError: DuckDB is not installed, or cannot read the table.
        """
        if not READER.exists():
            raise OperatorError(
                "DuckDB with its Iceberg extension is missing: run `make demo-lake`, which installs it."
            )
        script, place = Path(__file__).with_name("iceberg_sql.py"), self._table().metadata_location
        command = [READER, script, self._pipe.endpoint, place, str(snapshot or ""), SQL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OperatorError(f"DuckDB cannot read {place}: {done.stderr.strip().splitlines()[-1]}")
        self.told.answers[when] = Answer(*json.loads(done.stdout)[0])

    def snapshot(self) -> int:
        """The table's newest one."""
        return int(self._table().current_snapshot().snapshot_id)

    def _table(self) -> Any:
        from services.ops.lake.catalog import LakeCatalog, sqlite_catalog

        os.environ.update(CREDENTIALS | {"AWS_ENDPOINT_URL": self._pipe.endpoint})
        found = LakeCatalog(sqlite_catalog(self._catalog), DATABASE, f"s3://{NAMES.silver_bucket}/").find(DATASET)
        if found is None:
            raise OperatorError("The table is missing: publishing did not make it.")
        return found


def run_lake(home: Path) -> Told:
    """The whole of it. `home` is a folder of its own.

    Raises:
        OperatorError: a step failed; the message says which, and where to read on.
    """
    with new_run(home) as kept:
        for rest in (home / "catalog.db", home / "commands.log"):
            rest.unlink(missing_ok=True)
        shutil.rmtree(home / "gate", ignore_errors=True)
        with pipeline(kept, ROOT / "contracts", {"OUTBOXES": "publish"}) as pipe:
            demo = Demo(pipe, home, datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
            _steps(demo)
    return demo.told


def _steps(demo: Demo) -> None:
    told = demo.told
    demo.load()
    demo.publish()
    demo.ask("loaded")
    first = demo.snapshot()
    demo.correct()
    demo.publish()
    demo.ask("corrected")
    told.skipped = _missing()
    if told.skipped:
        show(f"Left out: compaction, and the gate. {told.skipped}", style="yellow")
    else:
        demo.compact()
        demo.ask("compacted")
        for day in told.days:
            demo.judge(day)
    demo.ask("at the first snapshot", first)
    numbers = ["rows", "shipments", "no carrier"]
    table = make_table("DuckDB over the Iceberg table", "asked", *numbers, right=numbers)
    for when, answer in told.answers.items():
        table.add_row(when, *(f"{number:,}" for number in answer))
    show(table)
    for page in list(told.pages.values())[-1:]:
        show(f"The page about the failed day: {os.path.relpath(page)}")


def _missing() -> str:
    """What Spark needs and is not here, and how to get it; empty where all is there."""
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        return (
            "They run on Spark, which needs Java 17: install it, such as "
            "apt-get install --no-install-recommends openjdk-17-jre-headless; then run this again."
        )
    if not (os.environ.get("SMELT_SPARK_PYTHON") or SPARK.exists()):
        return "They run on Spark, which is missing: run `make setup-spark`, then this again."
    return ""


@contextmanager
def _busy(what: str) -> Iterator[None]:
    """On a terminal, tell that a step is going on, and since when."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        progress.add_task(what, total=None)
        yield


def _lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def demo_lake() -> None:
    """Publish demo data into Iceberg tables on this machine, compact and judge it, and read it as it was before.

    Exits with 1 if a row is not where it must be, or a verdict is not the right one.
    """
    told = run_lake(STATE / "lake")
    if not told.all_right:
        show("These are not the rows that were loaded, or not the right verdicts. This is a bug.", style="red")
    finish(all_right=told.all_right)


if __name__ == "__main__":
    run(demo_lake)
