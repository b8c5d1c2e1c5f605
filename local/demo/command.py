"""The demo, from the first upload to the last query.

Every run adds its own events to what earlier runs left under `.smelt/`, and ends with the account of every row. A run
that does not end in order is not kept (local/demo/runs.py).
"""

from __future__ import annotations

import gzip
import os
import runpy
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from local.demo.pipeline import Pipeline, Upload, lake_of, pipeline
from local.demo.runs import Run, new_run
from local.demo.screens import account, show_answer, show_audit, show_next, show_uploads
from local.generator import Request, events, json_safe_events
from local.ministack import ROOT
from services.ops.cli.console import finish, messages, say, show
from services.ops.errors import OperatorError
from services.ops.pages.page import write_page
from services.ops.report.model import Report
from services.ops.report.page import page_of
from services.shared.contract.loader import load_contracts
from workbench.query.athena import LocalAthena
from workbench.report.folder import add_files, of_folder

STATE = ROOT / ".smelt"
PAGE = "report.html"  # about all runs so far
QUERIES = {
    "Latest shipments": """
        SELECT event_time, shipment_id, destination
        FROM silver WHERE record_type = 'shipments' ORDER BY dt DESC, event_time DESC LIMIT 5""",
    "Rows per dataset and day": """
        SELECT record_type, dt, COUNT(*) AS rows, COUNT(DISTINCT _source) AS objects
        FROM silver GROUP BY record_type, dt ORDER BY record_type, dt DESC""",
    "Shipments by carrier": """
        SELECT carrier, COUNT(*) AS shipments, APPROX_DISTINCT(shipment_id) AS approx_unique,
               ROUND(AVG(weight_kg), 1) AS avg_kg, MAX(weight_kg) AS max_kg
        FROM silver WHERE record_type = 'shipments' GROUP BY carrier ORDER BY shipments DESC""",
}


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


def run_shipped(state: Path) -> bool:
    """One run of the three shipped datasets."""

    def upload(pipe: Pipeline) -> list[Upload]:
        uploads = make_uploads(pipe, datetime.now(UTC))
        pipe.deliver_again(uploads[0])
        show("The first file's S3 event and its first unit are delivered twice.", style="dim")
        return uploads

    return run_and_account(state / "demo", ROOT / "contracts", upload, QUERIES)


def run_example(state: Path, folder: Path) -> bool:
    """One other dataset: its folder has a contract, `export.py` (`write_jsonl(path) -> rows`) and `queries.sql`."""
    dataset = _dataset_of(folder)
    texts = (folder / "queries.sql").read_text("utf-8").split(";")
    queries = dict(text.strip().removeprefix("--").strip().split("\n", 1) for text in texts if text.strip())

    def upload(pipe: Pipeline) -> list[Upload]:
        file = state / dataset / "export.jsonl"
        rows = runpy.run_path(str(folder / "export.py"))["write_jsonl"](file)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        return [pipe.upload(f"bronze/{dataset}/{stamp}.jsonl", file.read_bytes(), rows)]

    return run_and_account(state / dataset, folder.resolve(), upload, queries)


def _dataset_of(folder: Path) -> str:
    if not folder.is_dir():
        raise OperatorError(f"{folder}: no such folder. Pass a folder such as examples/flights.")
    datasets = list(load_contracts(folder))
    missing = [name for name in ("export.py", "queries.sql") if not (folder / name).is_file()]
    if len(datasets) != 1 or missing:
        raise OperatorError(
            f"{folder} is not an example: it must contain one contract, export.py and queries.sql, as examples/flights "
            f"does. It contains {len(datasets)} contracts; missing files: {', '.join(missing) or 'none'}."
        )
    return datasets[0]


def run_and_account(
    home: Path, contracts: Path, upload: Callable[[Pipeline], list[Upload]], queries: Mapping[str, str]
) -> bool:
    """Upload, wait, account, query. Returns whether every row is in exactly one place; only then the run is kept."""
    with new_run(home) as run:
        try:
            all_right, report = _run(run, contracts, upload, queries)
        except BaseException:  # Ctrl-C too: whatever ends this run, it is not kept
            say("This run is not kept; earlier runs are as they were. The next one starts there.")
            raise
        if all_right:
            run.keep()
        show(f"The files: {os.path.relpath(lake_of(run))}")
        if all_right:
            page = home / PAGE
            write_page(page, page_of(report))
            show(f"The page: {os.path.relpath(page)}")
            show_next()
        else:
            show(f"This run is not kept. The next one removes its files. Its log: {run.log}")
    return all_right


def _run(
    run: Run, contracts: Path, upload: Callable[[Pipeline], list[Upload]], queries: Mapping[str, str]
) -> tuple[bool, Report]:
    known = list(load_contracts(contracts).values())
    with pipeline(run, contracts) as pipe:
        show(f"MiniStack is up at {pipe.endpoint}: S3 -> ingest -> SQS -> transform -> S3")
        with messages.status("making Bronze files and uploading them ..."):
            started = time.monotonic()
            uploads = upload(pipe)
        show_uploads(uploads)
        lots = pipe.wait_for(uploads)
        seconds = time.monotonic() - started
        with messages.status("comparing the ledger and the files ..."):
            audited = pipe.sweep_and_audit()
            report = pipe.report(known)
    add_files(report, of_folder(lake_of(run), known, report.at))
    athena = LocalAthena(lake_of(run))
    complete = account(uploads, lots, athena, seconds)
    for title, sql in queries.items():
        show_answer(title, athena.query(sql))
    rows, objects, distinct = athena.query(
        "SELECT COUNT(*), COUNT(DISTINCT _source), COUNT(DISTINCT (_source, _offset)) FROM silver"
    ).rows[0]
    show(f"All runs so far: {rows:,} Silver rows from {objects} objects, {rows - distinct} of them duplicates")
    show_audit(audited)
    all_right = complete and rows == distinct == audited.counts.silver and audited.all_right and not audited.unfinished
    return all_right, report


def demo(
    example: Annotated[
        Path | None, typer.Argument(help="A folder such as examples/flights, instead of the shipped datasets.")
    ] = None,
    state: Annotated[
        Path, typer.Option(help="Where the demos keep their files.", show_default=".smelt of this checkout")
    ] = STATE,
) -> None:
    """Run the whole pipeline on the embedded emulator, and account for every row.

    Exits with 1 if a row is missing or appears more than once.
    """
    state = state.resolve()
    finish(all_right=run_example(state, example) if example else run_shipped(state))
