"""`smelt try`: prints what became of every row of local files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from services.ops.cli.console import JsonFlag, finish, make_table, messages, show, show_json
from services.ops.errors import OperatorError
from services.ops.words import plain, rows, size
from workbench.cli.options import TRIAL, ContractsOption, FilesArgument

if TYPE_CHECKING:
    from services.ops.report.model import Example
    from workbench.trial.account import Account
    from workbench.trial.workers import Watch


def try_files(
    files: FilesArgument,
    contract: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The contract that describes all the files.")
    ] = None,
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="The dataset of all the files, with a contract in --contracts.")
    ] = "",
    contracts: ContractsOption = Path("contracts"),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the Parquet files go; replaced as a whole.")] = TRIAL,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How many processes.", show_default="all cores"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Transform local files here, as a deployment would, and account for every row.

    No AWS account, no Docker, no emulator. Files are read where they are, of any size. Without --contract and
    --dataset, the nearest folder that has a dataset's name decides, or else the record_type in a file's first rows.
    Exits with 1 if a row or a file was refused. docs/workbench.md describes the output and the JSON.
    """
    from workbench.report.folder import write_trial_page
    from workbench.trial.inputs import Input, by_folder_or_rows, choose_dataset, find_files, read_contracts
    from workbench.trial.place import PAGE
    from workbench.trial.trial import run_trial
    from workbench.trial.workers import default_jobs

    if contract is not None and dataset:
        raise OperatorError("Pass --contract or --dataset, not both: a contract names its dataset.")
    found = find_files(files, out)
    known = read_contracts(contract, contracts, dataset or "NAME")
    if contract is not None:
        inputs = [Input(file, *known) for file in found]
    elif dataset:
        inputs = [Input(file, choose_dataset(dataset, known, contracts)) for file in found]
    else:
        inputs = by_folder_or_rows(found, known)

    def complete(folder: Path) -> None:
        write_trial_page(folder, out, list(known.values()))

    with _progress(sum(file.stat().st_size for file in found)) as watch:
        account = run_trial(inputs, known, out, jobs or default_jobs(), watch, complete)
    if as_json:
        show_json(account.as_document())
    else:
        _show(account, out / PAGE)
    if not account.complete:
        raise RuntimeError("the rows that were read are not those in Silver and quarantine")
    finish(all_right=account.all_right)


@contextmanager
def _progress(total: int) -> Iterator[Watch]:
    """A bar on a terminal; nothing elsewhere."""
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        bar = progress.add_task("reading", total=total)
        yield lambda read: progress.update(bar, completed=min(read, total))


def _show(account: Account, page: Path) -> None:
    table = make_table(
        "What became of every row",
        *("dataset", "Silver", "quarantined", "with unknown fields", "files", "Parquet"),
        right={"Silver", "quarantined", "with unknown fields", "files", "Parquet"},
    )
    for name, one in sorted(account.datasets.items()):
        numbers = f"{one.silver:,}", f"{one.quarantined:,}", f"{one.rescued:,}", f"{one.files:,}"
        table.add_row(name, *numbers, size(one.bytes))
    if account.datasets:
        show(table)
    for dataset, keys in account.unknown_fields.items():
        unknown = ", ".join(map(plain, keys))
        show(f"{dataset}: kept as text in _rescued, because the contract does not know them: {unknown}")
    for refusal in account.refusals:
        field = f" in {refusal.field}" if refusal.field else ""
        show(
            f"{refusal.dataset}: {refusal.reason}{field}: {rows(refusal.rows)} refused",
            style="yellow",
        )
        for example in refusal.examples:
            _show_example(example)
    for refused in account.refused_files:
        show(f"{plain(refused.file)}: refused: {refused.reason}: {plain(refused.advice)}", style="red")
    _show_sums(account, page)


def _show_example(example: Example) -> None:
    place = f":{example.line}" if example.line else ""
    show(f"  {plain(example.file)}{place} (byte {example.offset:,}): {plain(example.detail)}")
    show(f"    {plain(example.raw)}", style="dim")


def _show_sums(account: Account, page: Path) -> None:
    places = f"{account.silver:,} in Silver + {account.quarantined:,} in quarantine"
    show(f"{rows(account.rows)} = {places}", style=None if account.all_right else "yellow")
    seconds = max(account.seconds, 0.001)
    processes = f"{account.jobs} processes" if account.jobs > 1 else "1 process"
    files = "file" if account.files == 1 else "files"
    speed = f"{size(account.bytes / seconds)}/s, {processes}"
    show(f"{account.files:,} {files}, {size(account.bytes)} in {seconds:,.1f} s ({speed})")
    show(f"Parquet: {account.out}/silver and {account.out}/quarantine, by dataset and day")
    show(f"Page: {page}")
    if account.silver:
        show(f'Next: smelt query --silver {account.out} "SELECT * FROM silver LIMIT 5"')  # noqa: S608 (shown only)
