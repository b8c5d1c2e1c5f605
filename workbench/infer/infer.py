"""From files to a contract file's text that is valid and accepts every usable row of the sample.

What the draft says is not believed: the text is loaded as a deployment loads it, and the reference judge gets every
row of the sample. A field because of which a row is refused, or which the judge does not find, becomes no field.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from services.ops.contracts.check import check
from services.ops.contracts.number import write_ids
from services.ops.errors import OperatorError
from services.shared.athena import OWN_TABLES
from services.shared.contract.fields import MAX_DATASET_NAME
from services.shared.contract.loader import load_contract
from services.shared.contract.model import Contract
from services.shared.judge.judge import RowJudge
from services.shared.judge.row_json import read_row
from services.shared.judge.verdicts import Accepted
from workbench.infer.document import Findings, text_of
from workbench.infer.draft import (
    KEY_TYPES,
    Draft,
    Drafts,
    by_likelihood,
    choose_event_time,
    choose_key,
    column_name,
    draft_fields,
    seen,
    shown,
)
from workbench.infer.envelope import arrays_of_objects
from workbench.infer.evidence import gather
from workbench.infer.inside import draft_inside, event_time_inside
from workbench.infer.sample import ROWS, Sample, take_sample, whole, without_misfits
from workbench.inprocess.rows import refusal_of

_ENVELOPES = 100  # rows that are looked into
_LISTED = 5  # arrays
_MOST_ARRAYS = 20  # of one document, that may each be the rows
_OF_NO_COLUMN = "cannot be the name of a column"


@dataclass(frozen=True, slots=True)
class Inferred:
    """A contract, as the text of its file and as it was loaded from that, and what it comes from."""

    text: str
    contract: Contract
    findings: Findings
    sample: Sample


def infer(
    files: Sequence[Path],
    dataset: str,
    rows: int = ROWS,
    allowed_values: bool = False,
    tolerate: float = 0.0,
    rows_path: tuple[str, ...] | None = None,
) -> Inferred:
    """Infer the contract of a dataset from its files. `tolerate`: see `tolerance.misfits`; `rows_path`: `take_sample`.

    Raises:
        OperatorError: the name cannot be a dataset's, there are no usable rows, or nothing identifies them.
        OSError: a file cannot be read.
    """
    if len(dataset) > MAX_DATASET_NAME:
        raise OperatorError(
            f"{dataset[:20]}... has {len(dataset):,} characters; a dataset's name may have {MAX_DATASET_NAME}."
        )
    if not dataset or column_name(dataset) != dataset or dataset == "replay":
        raise OperatorError(
            f"{dataset!r} cannot be a dataset's name: lower-case letters, digits and _, beginning with a letter."
        )
    if dataset in OWN_TABLES:
        raise OperatorError(f"{dataset} is the name of a table of ours. Give the dataset another --name.")
    sample = without_misfits(take_sample(files, dataset, rows, rows_path), tolerate)
    if not sample.raw:
        raise OperatorError(f"{', '.join(map(str, files[:3]))}: {_no_rows(sample, dataset, files)}")
    now = datetime.now(UTC)
    evidence = gather(sample.rows)
    drafts = draft_fields(evidence, len(sample.rows))
    inside = draft_inside(evidence, drafts.fields, len(sample.rows))
    while True:
        event_time = choose_event_time(drafts.fields, now, len(sample.rows))
        if event_time.field is None:
            within = event_time_inside(inside, now, len(sample.rows))
            event_time = within or replace(event_time, others=by_likelihood(inside, now))
        key = choose_key(drafts.fields, sample.rows, event_time.name, inside)
        if not drafts.fields or (event_time.field is None and not key.names and _are_documents(sample, drafts, files)):
            why = f"Nothing says when a row happened, or identifies it. The rows have {seen(drafts.fields)}."
            what = "Let the producer write other rows, or write the contract by hand (docs/contracts.md)."
            raise OperatorError(f"{why} {what} {rows_elsewhere(sample)}".rstrip())
        findings = Findings(
            dataset,
            len(sample.raw),
            sample.unusable,
            sample.misfits,
            drafts,
            event_time,
            key,
            allowed_values,
            sample.rows_path,
        )
        text, contract = _loaded(findings)
        wrong = _misread(findings.fields, contract, sample, now)
        if not wrong:
            _check(text, contract)
            return Inferred(text, contract, findings, sample)
        for name, why in wrong.items():
            if any(one.name == name for one in inside):
                inside = [one for one in inside if one.name != name]
            else:
                _retreat(drafts, name, why)


def _are_documents(sample: Sample, drafts: Drafts, files: Sequence[Path]) -> bool:
    """Whether the rows are whole files of nothing but objects and arrays, in which the true rows will be."""
    return len(sample.rows) <= len(files) and not any(one.type in KEY_TYPES for one in drafts.fields)


def rows_elsewhere(sample: Sample) -> str:
    """A sentence on the arrays that may hold the rows, where the documents were taken for rows; empty if none do."""
    if sample.rows_path or not sample.arrays:
        return ""
    first = ".".join(next(iter(sample.arrays)))
    if len(sample.arrays) > _MOST_ARRAYS:
        return (
            f"Each file is one document with {len(sample.arrays):,} arrays of objects, such as $.{first}: its keys "
            "seem to be data, and no path names all of them. Let the producer write each element as a row, with the "
            "key in it (docs/workbench.md#keys-that-are-data)."
        )
    largest = sorted(sample.arrays.items(), key=lambda one: -one[1])[:_LISTED]
    paths = [f"$.{'.'.join(path)} ({size:,})" for path, size in largest]
    return (
        f"Each file is one document, with arrays of objects: {', '.join(paths)}. If those are the rows: "
        f"--rows-path '$.{'.'.join(largest[0][0])}'."
    )


def rows_inside(found: Inferred) -> str:
    """A sentence on the arrays that may hold the rows, where those of the sample have neither a time nor a key."""
    if found.findings.event_time.field or found.contract.keys or found.sample.rows_path or rows_elsewhere(found.sample):
        return ""
    paths = [set(arrays_of_objects([whole(raw)])) for raw in found.sample.raw[:_ENVELOPES]]
    shared = sorted(set.intersection(*paths))[:_LISTED]
    if not shared:
        return ""
    listed = [f"$.{'.'.join(path)}" for path in shared]
    return f"Each row holds arrays of objects: {', '.join(listed)}. If those are the rows: --rows-path '{listed[0]}'."


def _no_rows(sample: Sample, dataset: str, files: Sequence[Path]) -> str:
    if sample.others:
        return (
            f"no rows of {dataset}. Their record_type is {shown(list(sample.others)[:5])}: pass that as --name, or the "
            "rows without it."
        )
    if sample.unusable:
        return (
            f"none of {sample.unusable:,} rows can be used: each must be a JSON object with each key once, and its "
            "record_type, if it has one, a string. `smelt try` with any contract says what is wrong with each."
        )
    if refused := next(filter(None, map(refusal_of, files)), ""):
        return f"no rows found: {refused}"
    if sample.rows_path:
        return f"no rows are at $.{'.'.join(sample.rows_path)}: pass the path of the array that holds them."
    return (
        "no rows found: empty, not JSON, or one document that is longer than a row may be (say where its rows are with "
        "--rows-path, or pass a smaller one)."
    )


def _loaded(findings: Findings) -> tuple[str, Contract]:
    """The contract file with its fields' ids."""
    with tempfile.TemporaryDirectory(prefix="smelt-infer-") as folder:
        file = Path(folder) / f"{findings.dataset}.yaml"
        file.write_text(text_of(findings), "utf-8")
        write_ids(file)
        return file.read_text("utf-8"), load_contract(file)


def _check(text: str, contract: Contract) -> None:
    """As `smelt contracts check` does."""
    with tempfile.TemporaryDirectory(prefix="smelt-infer-") as folder:
        (Path(folder) / f"{contract.dataset}.yaml").write_text(text, "utf-8")
        report = check(Path(folder))
    if not report.accepted:
        raise RuntimeError(f"the inferred contract is not valid: {report.findings}")


def _misread(fields: Sequence[Draft], contract: Contract, sample: Sample, now: datetime) -> dict[str, str]:
    """Fields because of which the judge refuses a row, or leaves their key to `_rescued`, and why."""
    judge = RowJudge({contract.dataset: contract})
    names = {one.key: one.name for one in fields if not one.inside}
    wrong: dict[str, str] = {}
    for raw in sample.raw:
        verdict = judge.judge(raw, contract.dataset, now)
        if isinstance(verdict, Accepted):
            if verdict.rescued is not None:
                unread = names.keys() & read_row(verdict.rescued.encode()).items.keys()
                wrong |= {names[key]: _OF_NO_COLUMN for key in unread}
        else:
            name = _field_of(verdict.field, fields)
            is_read = name in names  # under its own name
            wrong.setdefault(name, f"is refused by the judge: {verdict.reason}" if is_read else _OF_NO_COLUMN)
    return wrong


def _field_of(path: str | None, fields: Sequence[Draft]) -> str:
    """The field that a verdict names, by itself, by its key, or by a path into it."""
    for one in fields:
        if path in (one.name, one.key):
            return one.name
    first = re.split(r"[.\[]", path or "")[0]
    for one in fields:
        if first in (one.name, one.key):
            return one.name
    raise RuntimeError(f"the judge refuses rows of the sample because of {path!r}, which is no field")


def _retreat(drafts: Drafts, name: str, why: str) -> None:
    """Claim less of a field: nothing of what is inside it, or else not the field itself."""
    at = next(at for at, one in enumerate(drafts.fields) if one.name == name)
    if drafts.fields[at].children and why != _OF_NO_COLUMN:
        drafts.fields[at] = replace(drafts.fields[at], children=())
    else:
        drafts.leave_out(name, why)
