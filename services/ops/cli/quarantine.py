"""`smelt quarantine`: what is in quarantine, as JSON lines, and judged again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.asking import ByOption, DryRunFlag, ReasonOption, YesFlag, confirm, operator
from services.ops.cli.console import (
    JsonFlag,
    RegionOption,
    finish,
    make_app,
    make_table,
    one_line,
    say,
    sentence,
    show,
    show_json,
)
from services.ops.cli.options import SilverOption, TableOption
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.ops.rewrite.quarantine import S3Shelf, Selection, Shown, export
from services.ops.rewrite.quarantine import show as look
from services.ops.rewrite.retry import Retried, Retry
from services.ops.writing import whole
from services.shared.aws import aws_client
from services.shared.contract.loader import load_contracts
from services.shared.deadline import Deadline
from services.shared.lake import LakeUnavailable, S3Lake
from services.shared.ledger.ledger import Ledger

app = make_app("Rows that their contracts refuse: look at them, take them out as JSON lines, judge them again.")

DatasetOption = Annotated[str, typer.Option(help="Only this dataset; _unknown: no contract.")]
CodeOption = Annotated[str, typer.Option(help="Only this reason, such as wrong_type.")]
FieldOption = Annotated[str, typer.Option(help="Only rows with this field wrong.")]
SourceOption = Annotated[str, typer.Option(help="Only objects whose id begins like this.")]
_LISTED = 20


@app.command("show")
def show_quarantine(
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    dataset: DatasetOption = "",
    code: CodeOption = "",
    field: FieldOption = "",
    source: SourceOption = "",
    samples: Annotated[int, typer.Option(help="Rows of each group to show.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Count the rows in quarantine by dataset, reason and field, with samples.

    Example: smelt quarantine show --dataset shipments --samples 3
    """
    with _pipeline(table, silver_bucket, region) as (ledger, lake, shelf, history), watching() as watch:
        wanted = Selection(dataset, code, field, source)
        found = look(ledger, lake, shelf, history, wanted, max(samples, 0), watch)
    if as_json:
        show_json(_shown_document(found))
    else:
        _show(found)
    finish(all_right=True)


@app.command("export")
def export_quarantine(
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    dataset: DatasetOption = "",
    code: CodeOption = "",
    field: FieldOption = "",
    source: SourceOption = "",
    out: Annotated[str, typer.Option(help="A file; - is standard output.")] = "-",
) -> None:
    """Write the rows in quarantine as JSON lines: reason, position, and the text in `raw`.

    Example: smelt quarantine export --code wrong_type --out refused.jsonl
    """
    with _pipeline(table, silver_bucket, region) as (ledger, lake, shelf, history):
        rows = export(ledger, lake, shelf, history, Selection(dataset, code, field, source))
        number = 0
        with _output(out) as stream:
            for row in rows:
                number += 1
                stream.write(json.dumps(row, ensure_ascii=False, default=_as_text) + "\n")
    say(f"{number:,} rows exported")
    finish(all_right=True)


@app.command("retry")
def retry_quarantine(
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    contracts: Annotated[Path, typer.Option(envvar="CONTRACTS_DIR", help="The folder of contracts.")] = Path(
        "contracts"
    ),
    dataset: DatasetOption = "",
    code: CodeOption = "",
    field: FieldOption = "",
    source: SourceOption = "",
    reason: ReasonOption = "",
    by: ByOption = "",
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Judge quarantined rows again by today's contracts, and move those that pass to Silver.

    The rows are read again from Bronze. What does not pass, or cannot be read any more, stays with its reason.
    Exits with 1 if rows cannot be read any more, or somebody else is rewriting a lot.

    Example: smelt quarantine retry --dataset shipments --reason "window is wider"
    """
    if not contracts.is_dir():
        raise OperatorError(f"{contracts}: no such folder. Pass --contracts, the folder that holds the contracts.")
    with _pipeline(table, silver_bucket, region) as (ledger, lake, shelf, history):
        wanted = Selection(dataset, code, field, source)
        work = Retry(ledger, lake, shelf, load_contracts(contracts), operator(by), reason, history)
        if not (dry_run or yes):
            with watching() as work.watch:
                told = work.run(wanted, Deadline.endless(), dry_run=True)
            if not as_json:
                _show_retried(told, dry_run=True)
            if not told.passed:
                if as_json:
                    show_json(_retried_document(told, dry_run=False))
                finish(all_right=not told.unreadable)
            confirm(f"Move {told.passed.total():,} rows from quarantine to Silver?", yes)
        with watching() as work.watch:
            done = work.run(wanted, Deadline.endless(), dry_run=dry_run)
    if as_json:
        show_json(_retried_document(done, dry_run))
    else:
        _show_retried(done, dry_run)
    finish(all_right=not (done.unreadable or done.busy))


@contextmanager
def _pipeline(table: str, silver_bucket: str, region: str | None) -> Iterator[tuple[Ledger, S3Lake, S3Shelf, History]]:
    if not (table and silver_bucket):
        raise OperatorError(
            "No pipeline given: pass --table and --silver-bucket, or set LEDGER_TABLE and SILVER_BUCKET."
        )
    try:
        s3 = aws_client("s3", region)
        ledger = Ledger(aws_client("dynamodb", region), table)
        ledger.home.check_bucket(silver_bucket)
        yield ledger, S3Lake(s3, silver_bucket), S3Shelf(s3, silver_bucket), History.of(s3, silver_bucket)
    except (BotoCoreError, ClientError, LakeUnavailable) as error:
        raise OperatorError(
            f"The ledger {table} or the bucket {silver_bucket} did not do it: {sentence(error)} "
            "What was done is kept; run the same command again."
        ) from error


@contextmanager
def _output(name: str) -> Iterator[TextIO]:
    """A file is replaced when all rows are in it: an earlier export may have rows that have expired since."""
    if name == "-":
        yield sys.stdout
    else:
        with whole(Path(name)) as stream:
            yield stream


def _as_text(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _show(found: Shown) -> None:
    if not found.rows:
        show("no rows in quarantine")
        return
    rows = make_table("", "dataset", "reason", "field", "rows", "sample", right={"rows"})
    for (dataset, reason, field), group in sorted(found.groups.items(), key=lambda item: -item[1].rows):
        text = "\n".join(
            f"{_short(sample.raw)}\n  {one_line(sample.source)} at byte {sample.offset}" for sample in group.samples
        )
        rows.add_row(dataset, reason, field, f"{group.rows:,}", text)
    show(rows)
    show(f"{found.rows:,} rows in {found.files:,} files")
    if found.others:
        show(f"{found.others:,} of them in further groups, which are not shown")


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:120] + "..."


def _shown_document(found: Shown) -> dict[str, object]:
    groups = [
        {
            "dataset": dataset,
            "reason": reason,
            "field": field or None,
            "rows": group.rows,
            "samples": [
                {"source": s.source, "offset": s.offset, "detail": s.detail, "raw": s.raw} for s in group.samples
            ],
        }
        for (dataset, reason, field), group in sorted(found.groups.items(), key=lambda item: -item[1].rows)
    ]
    return {"rows": found.rows, "files": found.files, "groups": groups, "rows_not_grouped": found.others}


def _show_retried(done: Retried, dry_run: bool) -> None:
    would = "would move" if dry_run else "moved"
    for dataset, number in sorted(done.passed.items()):
        show(f"{number:,} rows {would} to silver/{dataset}/")
    for reason, number in done.reasons.most_common():
        show(f"  {number:,} that were refused as {reason}")
    if not done.passed and not done.busy:
        show("no row passes now")
    stayed = ", ".join(f"{number:,} {reason}" for reason, number in done.stayed.most_common())
    show(f"{done.stayed.total():,} rows stay in quarantine" + (f": {stayed}" if stayed else ""))
    if done.hopeless:
        show(f"  {done.hopeless:,} of them were not read: no contract can accept them")
    for source, offset, why in done.listed[:_LISTED]:
        show(f"  cannot be read any more: {source} at byte {offset}: {why}", style="yellow")
    if done.unreadable > _LISTED:
        show(f"  and {done.unreadable - _LISTED:,} more that cannot be read (--json lists up to 1,000)", style="yellow")
    for lot in done.busy:
        show(
            f"lot {lot} is being rewritten by somebody else, or its last rewrite is not in the lake yet: run this "
            "again later",
            style="yellow",
        )
    if done.changes.lots:
        show(
            f"before: {done.before.silver:,} in Silver, {done.before.quarantined:,} in quarantine; "
            f"now: {done.after.silver:,} and {done.after.quarantined:,} ({done.changes.lots:,} lots rewritten)"
        )


def _retried_document(done: Retried, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "judged": done.judged,
        "passed": dict(done.passed),
        "passed_by_reason": dict(done.reasons),
        "stayed": dict(done.stayed),
        "not_read": done.hopeless,
        "unreadable": done.unreadable,
        "unreadable_listed": [{"source": s, "offset": o, "why": why} for s, o, why in done.listed],
        "before": {"silver": done.before.silver, "quarantined": done.before.quarantined},
        "after": {"silver": done.after.silver, "quarantined": done.after.quarantined},
        "lots_rewritten": done.changes.lots,
        "files_written": done.changes.written,
        "files_deleted": done.changes.deleted,
        "files_waiting_for_the_lake": len(done.changes.waiting),
        "busy": done.busy,
    }
