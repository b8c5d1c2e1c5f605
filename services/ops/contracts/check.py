"""Checks contract files before they are used.

Three questions for each file: does the loader accept it, does the official ODCS schema, and is what it says useful.
A fourth, against a git revision (`compare`): would rows that were accepted be rejected, would columns that people query
go away, or would a field id change? It knows neither rows nor AWS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from services.ops.contracts.compare import compare
from services.ops.contracts.findings import CheckError, Finding, Level, Report
from services.ops.contracts.lines import Lines
from services.ops.contracts.notices import notices, unread_envelope, without_key
from services.ops.contracts.revision import contracts_at
from services.ops.contracts.tables import shared_names, table_notices, table_problems
from services.shared.contract.document import read_document
from services.shared.contract.loader import load_contract, load_contracts
from services.shared.contract.model import Contract, ContractError, Field
from services.shared.judge.inside import Place, leaf
from services.shared.judge.verdicts import Rejection

_FIELD, _ITEMS = "#/$defs/SchemaProperty", "#/$defs/SchemaItemProperty"
SCHEMA = Path(__file__).resolve().parents[3] / "contracts" / "schema" / "odcs-3.1.0.schema.json"


def check(path: Path, against: str | None = None) -> Report:
    """Check a contract's file, or a folder of them, and with `against` (a git revision) also what changed since.

    Raises:
        CheckError: there is no such file or folder, or git does not know the revision.
    """
    if not path.exists():
        raise CheckError(f"{path}: no such file or folder. Pass a contract's file, or the folder that holds contracts.")
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    contracts, findings = [], []
    for file in files:
        contract, found = _check_file(file)
        contracts += [contract] if contract else []
        findings += found
    if path.is_dir() and not any(finding.level is Level.PROBLEM for finding in findings):
        try:
            load_contracts(path)  # what only the folder as a whole shows: it is empty, or a dataset is in it twice
        except ContractError as error:
            findings.append(Finding(str(path), Level.PROBLEM, str(error)))
        findings += shared_names(contracts)
        findings += _in_subfolders(path)
    if against is not None:
        folder = path if path.is_dir() else path.parent
        findings += _compare_with(folder, against, contracts, {file.name for file in files})
    if files and _validator() is None:
        what = "not checked against the official schema of ODCS: jsonschema is not installed; run `make setup`"
        findings.append(Finding(str(path), Level.NOTICE, what))
    return Report(tuple(contracts), tuple(findings))


def _in_subfolders(folder: Path) -> Iterator[Finding]:
    """The contracts that nothing reads, because they do not lie in the folder itself."""
    for file in sorted(folder.glob("*/*.yaml")):
        if "DataContract" in file.read_text("utf-8", errors="replace"):
            what = f"is not read: contracts are the files of {folder} itself. To use it, move it there"
            yield Finding(str(file.relative_to(folder)), Level.NOTICE, what, str(file))


def _check_file(file: Path) -> tuple[Contract | None, list[Finding]]:
    try:
        document = read_document(file)
        lines = Lines(file.read_text("utf-8"))
    except ContractError as error:
        return None, [Finding(file.name, Level.PROBLEM, str(error), str(file), error.line)]
    findings = [
        Finding(file.name, Level.PROBLEM, f'{text} is a date to YAML; put it in quotes: "{text}"', str(file), line)
        for line, text in lines.unquoted_dates()
    ]
    dates = {finding.line for finding in findings}
    try:
        contract = load_contract(file)
    except ContractError as error:
        broken = [
            Finding(file.name, Level.PROBLEM, f"{where}: {what}", str(file), lines.of_problem(where, what))
            for where, what in error.problems
        ] or [Finding(file.name, Level.PROBLEM, str(error), str(file))]
        return None, findings + [finding for finding in broken if finding.line not in dates]
    findings += _schema_findings(contract, document, lines)
    findings += _lint(contract, lines)
    for path, what in notices(document):
        findings.append(Finding(contract.dataset, Level.NOTICE, what, contract.file, lines.of_path(path)))
    for where, what in table_notices(contract):
        line = lines.of_problem(where, what)
        findings.append(Finding(contract.dataset, Level.NOTICE, what, contract.file, line))
    for what in without_key(contract):
        line = lines.of_problem("schema.properties", what)
        findings.append(Finding(contract.dataset, Level.NOTICE, what, contract.file, line))
    for what in unread_envelope(contract):
        line = lines.of_problem("customProperties.envelopeFields", what)
        findings.append(Finding(contract.dataset, Level.NOTICE, what, contract.file, line))
    return contract, findings


# The official schema


@cache
def _validator() -> Any:
    """What validates documents by the official schema; None where its package is not installed."""
    try:
        from jsonschema import Draft201909Validator
    except ModuleNotFoundError:
        return None
    return Draft201909Validator(json.loads(SCHEMA.read_text("utf-8")))


def _schema_findings(contract: Contract, document: Any, lines: Lines) -> Iterator[Finding]:
    validator = _validator()
    if validator is None:
        return
    from jsonschema.exceptions import best_match

    for path, definition, part in _parts(_with_quoted_dates(document)):
        validated = validator.evolve(schema={"$ref": definition}) if definition else validator
        for violation in validated.iter_errors(part):
            cause = best_match([violation])
            where = [*path, *cause.absolute_path]
            name = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in where)
            what = f"ODCS schema: ${name}: {cause.message}"
            yield Finding(contract.dataset, Level.PROBLEM, what, contract.file, lines.of_path(where))


def _parts(document: Any) -> Iterator[tuple[list[str | int], str, Any]]:
    """A contract in parts of one level each: the path of each, its definition in the schema (none: all of it), itself.

    Validating an object looks at all that is inside of it several times, so levels inside of levels would take a
    multiple of time for each: minutes for ten.
    """
    inner: list[tuple[list[str | int], str, Any]] = []

    def flat(field: Any, path: list[str | int]) -> Any:
        if not isinstance(field, dict):
            return field
        found = dict(field)
        if isinstance(properties := field.get("properties"), list):
            inner.extend(([*path, "properties", at], _FIELD, one) for at, one in enumerate(properties))
            found["properties"] = []
        if isinstance(items := field.get("items"), dict):
            inner.append(([*path, "items"], _ITEMS, items))
            found["items"] = {}
        return found

    outer = dict(document)
    if isinstance(schema := document.get("schema"), list):
        outer["schema"] = [
            one
            | {"properties": [flat(field, ["schema", at, "properties", place]) for place, field in enumerate(fields)]}
            if isinstance(one, dict) and isinstance(fields := one.get("properties"), list)
            else one
            for at, one in enumerate(schema)
        ]
    yield [], "", outer
    while inner:
        path, definition, part = inner.pop(0)
        yield path, definition, flat(part, path)


def _with_quoted_dates(value: Any) -> Any:
    """The document with texts for dates, which have been reported by themselves."""
    if isinstance(value, dict):
        return {key: _with_quoted_dates(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_quoted_dates(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value


# Lint


def _lint(contract: Contract, lines: Lines) -> Iterator[Finding]:
    def problem(what: str, where: str = "schema") -> Finding:
        line = lines.of_problem(where, what.removeprefix(f"{where}: "))
        return Finding(contract.dataset, Level.PROBLEM, what, contract.file, line)

    if Path(contract.file).stem != contract.dataset:
        yield problem(f"the file is {Path(contract.file).name}; name it {contract.dataset}.yaml, so that it is found")
    if not contract.description:
        yield problem("the dataset has no description: say what one row is")
    for where, what in table_problems(contract):
        yield problem(what, where)
    for field in contract.fields:
        if not field.description:
            yield problem(f"{field.name}: has no description", field.name)
        for example in field.examples:
            if not _fits(example, field):
                what = f"{field.name}: the example {example!r} is not of type {field.type.value}"
                written = f", written as {field.time.pattern}" if field.time.pattern else ""
                yield problem(what + written, field.name)


def _fits(example: Any, field: Field) -> bool:
    """Whether rows may hold this value."""
    if isinstance(example, date):  # has been reported: it must be in quotes
        return True
    text = json.dumps(example, ensure_ascii=False, default=str)
    try:
        leaf(field, text, Place(0, len(text)))
    except Rejection:
        return False
    return example is not None


# What changed


def _compare_with(directory: Path, revision: str, contracts: list[Contract], files: set[str]) -> Iterator[Finding]:
    """What changed since a revision in these files, and in those of the folder that are gone."""
    now = {contract.dataset: contract for contract in contracts}
    unread = {file.name for file in directory.glob("*.yaml")} - {Path(contract.file).name for contract in contracts}
    for name, before in contracts_at(directory, revision):
        if name not in files and (directory / name).exists():
            continue
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
