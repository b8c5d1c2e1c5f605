"""Checks contract files before they are used, and names what a change to them would break.

Three questions for each file: does the loader accept it, does the official ODCS schema, and is what it says useful.
A fourth, against a git revision: would rows that were accepted be rejected, or columns that people query go away?
It knows files and git; it knows neither rows nor AWS, and it prints nothing.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft201909Validator
from jsonschema.exceptions import best_match

from services.ops.errors import OperatorError
from services.shared.contract.document import read_document
from services.shared.contract.loader import load_contract, load_contracts
from services.shared.contract.model import Contract, ContractError, Field, FieldType

SCHEMA = Path(__file__).resolve().parents[2] / "contracts" / "schema" / "odcs-3.1.0.schema.json"


class CheckError(OperatorError):
    """The check itself cannot be done; the message says what to do."""


class Level(StrEnum):
    """What a finding means. PROBLEM and BREAKING refuse the contracts."""

    PROBLEM = "problem"
    BREAKING = "breaking"  # a breaking change without the version that announces it
    ANNOUNCED = "announced"  # a breaking change under a new major version
    COMPATIBLE = "compatible"


REFUSED = {Level.PROBLEM, Level.BREAKING}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about one contract. `where` is its dataset, or its file where it could not be read."""

    where: str
    level: Level
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """`datasets` are the contracts that could be read."""

    datasets: tuple[Contract, ...]
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        return not any(finding.level in REFUSED for finding in self.findings)


def check(directory: Path, against: str | None = None) -> Report:
    """Check a folder of contracts, and with `against` (a git revision) also what changed since.

    Raises:
        CheckError: git does not know the revision.
    """
    contracts, findings = _load_all(directory)
    for contract in contracts:
        findings += _schema_findings(contract)
        findings += _lint(contract)
    if against is not None:
        findings += _compare_with(directory, against, contracts)
    return Report(tuple(contracts), tuple(findings))


def _load_all(directory: Path) -> tuple[list[Contract], list[Finding]]:
    contracts: list[Contract] = []
    findings: list[Finding] = []
    for file in sorted(directory.glob("*.yaml")):
        try:
            contracts.append(load_contract(file))
        except ContractError as error:
            findings.append(Finding(file.name, Level.PROBLEM, str(error)))
    if not findings:
        try:
            load_contracts(
                directory
            )  # what only the folder as a whole can show: it is empty, or a dataset is in it twice
        except ContractError as error:
            findings.append(Finding(str(directory), Level.PROBLEM, str(error)))
    return contracts, findings


# The official schema


def _schema_findings(contract: Contract) -> Iterator[Finding]:
    for error in _validator().iter_errors(read_document(contract.file)):
        cause = best_match([error])
        yield Finding(contract.dataset, Level.PROBLEM, f"ODCS schema: {cause.json_path}: {cause.message}")


@cache
def _validator() -> Any:
    return Draft201909Validator(json.loads(SCHEMA.read_text("utf-8")))


# Lint


def _lint(contract: Contract) -> Iterator[Finding]:
    def problem(what: str) -> Finding:
        return Finding(contract.dataset, Level.PROBLEM, what)

    if Path(contract.file).stem != contract.dataset:
        yield problem(f"the file is {Path(contract.file).name}; call it {contract.dataset}.yaml, so that it is found")
    if not contract.description:
        yield problem("the dataset has no description: say what one row is")
    for field in contract.fields:
        if not field.description:
            yield problem(f"{field.name}: has no description")
        for example in field.examples:
            if not _fits(example, field):
                yield problem(f"{field.name}: the example {example!r} is no {field.type.value}")
    yield from (problem(what) for what in _quality_problems(contract))


_PYTHON_TYPES: dict[FieldType, type | tuple[type, ...]] = {
    FieldType.STRING: str,
    FieldType.INTEGER: int,
    FieldType.NUMBER: (int, float),
    FieldType.DECIMAL: (int, float),
    FieldType.BOOLEAN: bool,
    FieldType.DATE: str,
    FieldType.TIMESTAMP: str,
    FieldType.ARRAY: list,
    FieldType.OBJECT: dict,
}


def _fits(example: Any, field: Field) -> bool:
    if isinstance(example, bool):
        return field.type is FieldType.BOOLEAN
    if not isinstance(example, _PYTHON_TYPES[field.type]):
        return False
    try:
        if field.type is FieldType.DATE:
            date.fromisoformat(str(example))
        elif field.type is FieldType.TIMESTAMP:
            datetime.fromisoformat(str(example))
    except ValueError:
        return False
    return True


def _quality_problems(contract: Contract) -> Iterator[str]:
    names = {field.name for field in contract.fields}
    rules = read_document(contract.file)["schema"][0].get("quality")
    for rule in rules if isinstance(rules, list) else []:  # any other shape is reported by the official schema
        arguments = rule.get("arguments") if isinstance(rule, dict) else None
        properties = arguments.get("properties") if isinstance(arguments, dict) else None
        for name in properties if isinstance(properties, list) else []:
            if name not in names:
                yield f"quality: {rule.get('metric')} names {name!r}, which is no field"


# What changed


def _compare_with(directory: Path, revision: str, contracts: list[Contract]) -> Iterator[Finding]:
    now = {contract.dataset: contract for contract in contracts}
    unread = {file.name for file in directory.glob("*.yaml")} - {Path(contract.file).name for contract in contracts}
    commit = _git(directory, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
    for name in _git(directory, "ls-tree", "--name-only", commit, "./").splitlines():
        if not name.endswith(".yaml"):
            continue
        text = _git(directory, "show", f"{commit}:./{name}")
        try:
            before, status = _read_text(name, text)
        except ContractError as error:
            yield Finding(name, Level.COMPATIBLE, f"was no usable contract at {revision}: {error}")
            continue
        after = now.get(before.dataset)
        if after is not None:
            yield from compare(before, after)
        elif name not in unread:  # else it is there, but broken, and reported as that
            yield _removed(before, status)


def _removed(before: Contract, status: str) -> Finding:
    if status == "retired":
        return Finding(before.dataset, Level.ANNOUNCED, "the dataset is removed, which its status `retired` announced")
    what = "the dataset is removed; release it with `status: retired` first, or restore its file"
    return Finding(before.dataset, Level.BREAKING, what)


def _read_text(name: str, text: str) -> tuple[Contract, str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(text, "utf-8")
        return load_contract(file), str(read_document(file).get("status"))


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 (a list of arguments, no shell)
            ["git", *arguments],  # noqa: S607 (whichever git the caller uses)
            cwd=directory,
            capture_output=True,
            check=True,
            encoding="utf-8",
        )
    except FileNotFoundError as error:
        raise CheckError(f"git is not installed, or there is no folder {directory}") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip() or "no such revision; in a shallow clone, fetch it first"
        raise CheckError(f"git {' '.join(arguments)}: {reason}") from error
    return done.stdout


def compare(before: Contract, after: Contract) -> list[Finding]:
    """What changed from one version of a dataset's contract to another, and whether its version says so.

    Breaking is what rejects rows that were accepted, or takes away or changes a column that queries use. It needs a
    higher major version; any other change needs a higher version, because lots remember under which they ran.
    """
    breaking, compatible = list(_breaking(before, after)), list(_compatible(before, after))
    old, new = _version(before), _version(after)
    announced = Level.ANNOUNCED if new[0] > old[0] else Level.BREAKING
    hint = "" if announced is Level.ANNOUNCED else f" (needs version {old[0] + 1}.0.0)"
    findings = [Finding(after.dataset, announced, what + hint) for what in breaking]
    findings += [Finding(after.dataset, Level.COMPATIBLE, what) for what in compatible]
    if new < old:
        what = f"version goes back from {before.version} to {after.version}"
        findings.append(Finding(after.dataset, Level.PROBLEM, what))
    elif new == old and compatible and not breaking:
        what = f"changed, but its version is still {before.version}; make it {old[0]}.{old[1] + 1}.0"
        findings.append(Finding(after.dataset, Level.PROBLEM, what))
    return findings


def _version(contract: Contract) -> tuple[int, ...]:
    return tuple(int(part) for part in contract.version.split("."))


def _breaking(before: Contract, after: Contract) -> Iterator[str]:
    now = {field.name: field for field in after.fields}
    old = {field.name for field in before.fields}
    for field in before.fields:
        if field.name in now:
            yield from _breaking_in_field(field, now[field.name])
        else:
            yield f"{field.name}: is removed"
    yield from (
        f"{field.name}: is new, and required" for field in after.fields if field.name not in old and field.required
    )
    if before.event_time != after.event_time:
        yield f"the event time changes from {before.event_time} to {after.event_time}"
    if before.keys != after.keys:
        yield f"the key changes from ({', '.join(before.keys)}) to ({', '.join(after.keys)})"
    if after.earliest > before.earliest:
        yield f"the window narrows: earliest goes from {before.earliest:%Y-%m-%d} to {after.earliest:%Y-%m-%d}"
    if after.max_ahead < before.max_ahead:
        yield f"the window narrows: maxAhead goes from {before.max_ahead} to {after.max_ahead}"


def _breaking_in_field(before: Field, after: Field) -> Iterator[str]:
    if before.type is not after.type:
        yield f"{before.name}: changes from {before.type.value} to {after.type.value}"
    elif _narrowed(before, after):
        yield f"{before.name}: narrows from {_decimal(before)} to {_decimal(after)}"
    if after.required and not before.required:
        yield f"{before.name}: becomes required"


def _narrowed(before: Field, after: Field) -> bool:
    """Whether a decimal has fewer digits before or after its point."""
    (old_precision, old_scale), (precision, scale) = _digits(before), _digits(after)
    return scale < old_scale or precision - scale < old_precision - old_scale


def _digits(field: Field) -> tuple[int, int]:
    return field.precision or 0, field.scale or 0


def _decimal(field: Field) -> str:
    return f"decimal({field.precision},{field.scale})"


def _compatible(before: Contract, after: Contract) -> Iterator[str]:
    old = {field.name: field for field in before.fields}
    for field in after.fields:
        was = old.get(field.name)
        if was is None:
            if not field.required:
                yield f"{field.name}: is new, and optional"
            continue
        if was.required and not field.required:
            yield f"{field.name}: becomes optional"
        if was.type is field.type and _digits(was) != _digits(field) and not _narrowed(was, field):
            yield f"{field.name}: widens from {_decimal(was)} to {_decimal(field)}"
    if after.earliest < before.earliest or after.max_ahead > before.max_ahead:
        yield "the window widens"
    kept = [field.name for field in before.fields if field.name in {f.name for f in after.fields}]
    if kept != [field.name for field in after.fields if field.name in old]:
        yield "the columns change their order"
