"""What the demo prints: where every row is, answers to queries, what to try next. Fits 60 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from types import NoneType

from rich.markup import escape

from local.demo.pipeline import UNIT_BYTES, Upload
from services.ops.audit.audit import Audit
from services.ops.cli.console import make_table, show
from services.shared.identities import SILVER_ROOT, LakeKey
from services.shared.ledger.records import Counts, Lot
from services.shared.units import Plan
from workbench.query.athena import Answer, LocalAthena

_NEXT = """
Try next:
  make demo           again: it adds its own rows and doubles none
  make demo-flights   336,776 real flights, from one contract file
  make clean-demo     delete what the demos have stored
  .venv/bin/smelt query "SELECT COUNT(*) FROM silver"
  make help           everything else; docs/workbench.md: files of your own
"""


def show_next() -> None:
    """Print what a person may do after a run, line by line."""
    for line in _NEXT.splitlines():
        show(line)


def show_uploads(uploads: Sequence[Upload]) -> None:
    """Print the files of this run."""
    for file in uploads:
        size, units = file.source.size, Plan.of(file.source, UNIT_BYTES).units
        show(f"  {file.source.key}")
        show(f"    {size / 1e6:.1f} MB, {file.rows:,} rows, units: {units}")


def account(uploads: Sequence[Upload], lots: Sequence[Lot], lake: LocalAthena, seconds: float) -> bool:
    """Print where every row of this run is. Returns whether all are accounted for."""
    counts = {unit: count for lot in lots for unit, count in zip(lot.units, lot.unit_counts, strict=True)}
    numbers = ("rows in", "Silver", "quarantined", "units", "lots")
    table = make_table("Every row of this run", "uploaded to", *numbers, right=numbers)
    complete = True
    for dataset in sorted({upload.source.bronze_key.dataset for upload in uploads}):
        group = [upload for upload in uploads if upload.source.bronze_key.dataset == dataset]
        units = {unit.id for upload in group for unit in Plan.of(upload.source, UNIT_BYTES)}
        rows_in = sum(upload.rows for upload in group)
        total = sum((counts[unit] for unit in units), Counts())
        complete &= rows_in == total.silver + total.quarantined
        in_lots = sum(any(unit in units for unit in lot.units) for lot in lots)
        row = (rows_in, total.silver, total.quarantined, len(units), in_lots)
        table.add_row(dataset, *(f"{number:,}" for number in row))
    show(table)
    _show_reasons(uploads, lake)
    files = [(LakeKey.parse(file.key).root, file.bytes) for lot in lots for file in lot.files]
    silver_files = sum(root == SILVER_ROOT for root, _ in files)
    written, uploaded = sum(size for _, size in files) / 1e6, sum(upload.source.size for upload in uploads) / 1e6
    show(
        f"{silver_files} Silver and {len(files) - silver_files} quarantine files, "
        f"{written:.1f} MB from {uploaded:.1f} MB of Bronze"
    )
    show(f"from the first upload to the last commit: {seconds:.1f} s")
    if complete:
        show("rows in = Silver + quarantined", style="green")
    else:
        show("ROWS ARE MISSING OR DUPLICATED", style="red")
    return complete


def _show_reasons(uploads: Sequence[Upload], lake: LocalAthena) -> None:
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
    table = make_table("Why rows are in quarantine", "reason", "rows", "for example", right={"rows"})
    for reason, number in rows.most_common():
        table.add_row(reason, f"{number:,}", escape(examples[reason]))
    if rows:
        show(table)


def show_answer(title: str, answer: Answer) -> None:
    """Print a query's answer as a table."""
    numbers = {
        column
        for nth, column in enumerate(answer.columns)
        if all(isinstance(row[nth], (int, float, Decimal, NoneType)) for row in answer.rows)
    }
    table = make_table(title, *answer.columns, right=numbers)
    for row in answer.rows:
        table.add_row(*(escape(_shown(value)) for value in row))
    show(table)


def _shown(value: object) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def show_audit(audited: Audit) -> None:
    """Print what the audit says of all runs so far."""
    for finding in audited.findings.kept:
        next_step = audited.findings.next_step(finding.code)
        show(f"{finding.code}: {finding.subject}: {finding.detail}. {next_step}", style="red")
    show(
        f"Audit of ledger and files: {audited.objects.total()} objects, {audited.unfinished} unfinished, "
        f"{audited.findings.total} findings"
    )
    counts = audited.counts
    show(f"{counts.read:,} rows = {counts.silver:,} in Silver + {counts.quarantined:,} in quarantine")
