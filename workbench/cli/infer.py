"""`smelt infer`: prints a first contract, or writes it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.ops.cli.console import JsonFlag, say, show_json
from services.ops.errors import OperatorError
from services.ops.words import plain, rows
from services.ops.writing import write_whole
from services.shared.contract.loader import keys_of_path
from workbench.cli.options import FilesArgument

if TYPE_CHECKING:
    from workbench.infer.infer import Inferred

_ROWS = 10_000
_LISTED = 20  # keys without a column; the contract lists more


def infer_contract(
    files: FilesArgument,
    name: Annotated[str, typer.Option(metavar="NAME", help="The dataset that the contract describes.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it here, not on the screen: NAME.yaml in the folder of contracts."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="How many rows are looked at.")] = _ROWS,
    allowed_values: Annotated[
        bool, typer.Option("--allowed-values", help="List the values of strings that have few, as a quality rule.")
    ] = False,
    tolerate: Annotated[
        float,
        typer.Option(
            min=0, metavar="N", help="Set aside up to N percent of the rows: those with a key of another type."
        ),
    ] = 0.0,
    rows_path: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Where the rows are in each document, such as '$.Records'; '$' if a document is a row. [default: "
            "(found out)]",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a first contract from a sample of rows, taken from all over the files.

    It is valid at once and accepts every usable row of the sample. Its comments say what was seen: read them, correct
    what the sample could not know, and describe the fields.
    """
    from workbench.infer.infer import infer
    from workbench.trial.inputs import find_files

    if out is not None and out.exists():
        raise OperatorError(f"{out}: exists already, and is not replaced. Delete it, or pass another --out.")
    found = infer(find_files(files), name, rows, allowed_values, tolerate, _path(rows_path))
    if out is not None:
        write_whole(out, found.text)
    if as_json:
        show_json(_as_document(found, out))
    elif out is None:
        sys.stdout.write(found.text)
    _tell(found, files, out)


def _path(written: str | None) -> tuple[str, ...] | None:
    if written is None or written == "$":
        return None if written is None else ()
    path = keys_of_path(written)
    if not path:
        raise OperatorError(f"--rows-path {written}: write the keys that lead there, such as '$.Records'; or '$'.")
    return path


def _as_document(found: Inferred, out: Path | None) -> dict[str, object]:
    findings, contract = found.findings, found.contract
    return {
        "dataset": contract.dataset,
        "file": None if out is None else str(out),
        "contract": found.text,
        "rows": findings.rows,
        "rows_set_aside": found.sample.misfits,
        "rows_unusable": found.sample.unusable,
        "rows_of_other_record_types": found.sample.others,
        "event_time": contract.event_time,
        "event_time_candidates": [findings.event_time.name, *(one.called for one in findings.event_time.others)],
        "rows_path": list(contract.rows_path),
        "key": contract.keys,
        "fields": {field.name: {"type": field.type, "required": field.required} for field in contract.fields},
        "left_out": findings.drafts.left_out,
    }


def _tell(found: Inferred, files: list[str], out: Path | None) -> None:
    from workbench.infer.draft import shown_kinds
    from workbench.infer.evidence import epoch_of
    from workbench.infer.infer import rows_elsewhere, rows_inside
    from workbench.infer.written import formats_of

    findings, contract = found.findings, found.contract
    say(
        f"{rows(findings.rows)}: {len(contract.fields):,} fields; event time {contract.event_time}; "
        f"key {', '.join(contract.keys) or '(none)'}"
    )
    if findings.rows_path:
        path = ".".join(findings.rows_path)
        say(
            f"The rows are taken to be the elements of $.{path}: if a document is a row, remove rowsPath.",
            style="yellow",
        )
    if advice := rows_elsewhere(found.sample) or rows_inside(found):
        say(advice, style="yellow")
    if findings.event_time.field is None:
        say(f"Event time: when a file was created, since {findings.event_time.why}.", style="yellow")
        if times := [plain(one.source) for one in findings.event_time.others[:_LISTED]]:
            say(
                f"Times inside of objects, in every row: {', '.join(times)}. If one is the row's: its comment in the "
                "contract says how to name it.",
                style="yellow",
            )
        for one in findings.drafts.fields:
            if one.type == "string" and (formats := formats_of(one.evidence)):
                written = " or ".join(pattern for _, pattern in formats)
                say(f"{one.name} may be a time, written {written}: see its comment in the contract.", style="yellow")
            elif one.type in ("integer", "number", "string") and (epoch := epoch_of(one.evidence)):
                no_format = "; no format reads those, so let the producer cut three digits off" * (
                    epoch[0] == "nanoseconds"
                )
                say(f"{one.name} may be a time, in {epoch[0]} since 1970{no_format}.", style="yellow")
    if not any(one.required for one in findings.drafts.fields):
        kinds = shown_kinds(findings.drafts.fields, findings.rows)
        say(f"No key is in every row, as where rows of several kinds share a file: {kinds}.", style="yellow")
    if not contract.keys:
        say(
            "No key: nothing identifies the rows of the sample, so compaction keeps all. Choose one if you can.",
            style="yellow",
        )
    elif findings.key.is_time_alone:
        say(
            f"The key is a time alone, {contract.keys[0]}: of rows of the same time, compaction keeps one.",
            style="yellow",
        )
    for key, why in list(findings.drafts.left_out.items())[:_LISTED]:
        say(f"No column: {plain(key)} {why}. Its values are kept as text in _rescued.", style="yellow")
    if found.sample.misfits:
        say(f"{found.sample.misfits:,} rows of the sample are set aside; the contract refuses them.", style="yellow")
    if found.sample.unusable:
        say(f"{found.sample.unusable:,} rows of the sample are not JSON objects that can be read.", style="yellow")
    for record_type, number in [(plain(name), count) for name, count in found.sample.others.items()][:5]:
        say(f"{number:,} rows have the record_type {record_type}, another dataset: infer it with --name {record_type}.")
    if out is not None:
        say(f"Written: {out}. Next: smelt try {' '.join(files[:3])} --contract {out}")
