"""Checks contract files before they are used.

Three questions for each file: does the loader accept it, does the official ODCS schema, and is what it says useful.
A fourth, against a git revision (`compare`): would rows that were accepted be rejected, would columns that people query
go away, or would a field id change? It knows neither rows nor AWS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from jsonschema import Draft201909Validator
from jsonschema.exceptions import best_match

from services.ops.contracts.compare import compare
from services.ops.contracts.findings import Finding, Level, Report
from services.ops.contracts.revision import contracts_at
from services.shared.contract.document import read_document
from services.shared.contract.loader import load_contract, load_contracts
from services.shared.contract.model import Contract, ContractError, Field, FieldType

SCHEMA = Path(__file__).resolve().parents[3] / "contracts" / "schema" / "odcs-3.1.0.schema.json"


def check(directory: Path, against: str | None = None) -> Report:
    """Check a folder of contracts, and with `against` (a git revision) also what changed since.

    Raises:
        CheckError: git does not know the revision.
    """
    contracts, findings = _load_all(directory)
    findings += _schema_findings(contracts)
    for contract in contracts:
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
            load_contracts(directory)  # what only the folder as a whole shows: it is empty, or a dataset is in it twice
        except ContractError as error:
            findings.append(Finding(str(directory), Level.PROBLEM, str(error)))
    return contracts, findings


# The official schema


def _schema_findings(contracts: list[Contract]) -> Iterator[Finding]:
    validator = Draft201909Validator(json.loads(SCHEMA.read_text("utf-8")))
    for contract in contracts:
        for violation in validator.iter_errors(read_document(contract.file)):
            cause = best_match([violation])
            yield Finding(contract.dataset, Level.PROBLEM, f"ODCS schema: {cause.json_path}: {cause.message}")


# Lint


def _lint(contract: Contract) -> Iterator[Finding]:
    def problem(what: str) -> Finding:
        return Finding(contract.dataset, Level.PROBLEM, what)

    if Path(contract.file).stem != contract.dataset:
        yield problem(f"the file is {Path(contract.file).name}; name it {contract.dataset}.yaml, so that it is found")
    if not contract.description:
        yield problem("the dataset has no description: say what one row is")
    for field in contract.fields:
        if not field.description:
            yield problem(f"{field.name}: has no description")
        for example in field.examples:
            if not _fits(example, field):
                yield problem(f"{field.name}: the example {example!r} is not of type {field.type.value}")


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


# What changed


def _compare_with(directory: Path, revision: str, contracts: list[Contract]) -> Iterator[Finding]:
    now = {contract.dataset: contract for contract in contracts}
    unread = {file.name for file in directory.glob("*.yaml")} - {Path(contract.file).name for contract in contracts}
    for name, before in contracts_at(directory, revision):
        if isinstance(before, ContractError):
            what = f"was not a usable contract at {revision}, so it is not compared: {before}"
            yield Finding(name, Level.COMPATIBLE, what)
        elif before.dataset in now:
            yield from compare(before, now[before.dataset])
        elif name not in unread:  # else it is there, but broken, and reported as that
            yield _removed(before)


def _removed(before: Contract) -> Finding:
    if before.status == "retired":
        return Finding(before.dataset, Level.ANNOUNCED, "the dataset is removed, which its status `retired` announced")
    what = "the dataset is removed; release it with `status: retired` first, or restore its file"
    return Finding(before.dataset, Level.BREAKING, what)
