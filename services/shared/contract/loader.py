"""Data contracts from ODCS v3 YAML.

A contract file is the only place where a dataset is described. This module reads it into the values of `model`
and refuses a broken one with the file, the field and the reason.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.shared.contract.document import read_document
from services.shared.contract.model import Contract, ContractError, Field, FieldType


def load_contracts(directory: Path | str) -> dict[str, Contract]:
    """All contracts of a folder (`*.yaml`), by dataset.

    Raises:
        ContractError: the folder is missing or holds none, one is broken, or two describe the same dataset.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise ContractError(f"{folder}: is no folder; set CONTRACTS_DIR to the folder that holds the contracts")
    if misnamed := sorted(folder.glob("*.yml")):
        raise ContractError(f"{misnamed[0]}: would be overlooked; rename it to {misnamed[0].stem}.yaml")
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ContractError(f"{folder}: no contract here (*.yaml); set CONTRACTS_DIR to the folder that holds them")
    contracts: dict[str, Contract] = {}
    for file in files:
        contract = load_contract(file)
        if contract.dataset in contracts:
            raise ContractError(
                f"{file}: dataset {contract.dataset!r} is described by {contracts[contract.dataset].file} already; "
                "keep one of the two"
            )
        contracts[contract.dataset] = contract
    return contracts


def load_contract(file: Path | str) -> Contract:
    """One contract.

    Raises:
        ContractError: the file cannot be read or is no contract that smelt can use; all its problems are named.
    """
    path = Path(file)
    return _Reading(path, read_document(path)).contract()


_NAME = re.compile(r"[a-z][a-z0-9_]*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_DECIMAL = re.compile(r"decimal\((\d{1,3}),\s*(\d{1,3})\)", re.IGNORECASE)
_DECIMAL_ALIKE = re.compile(r"(decimal|dec|numeric)\b.*|number\(.*", re.IGNORECASE)  # would lose its exactness silently
_DURATION = re.compile(r"P(\d{1,4})D|PT(\d{1,5})H")
_RESERVED = {"dt"}  # the partition key beside record_type, which a contract may declare as a column of its own


class _Reading:
    """One file on its way to a `Contract`; collects what is wrong with it."""

    def __init__(self, path: Path, document: Any) -> None:
        self._path = path
        self._document = document
        self._problems: list[str] = []

    def contract(self) -> Contract:
        if not isinstance(self._document, dict):
            raise ContractError(f"{self._path}: is {_kind(self._document)}, not a mapping; is it a contract?")
        document = self._document
        self._check_kind(document)
        schemas = self._list(document.get("schema"), "schema")
        if len(schemas) > 1:
            self._problem("schema", f"holds {len(schemas)} datasets; a file describes exactly one")
        schema = self._mapping(schemas[0] if schemas else {}, "schema")
        dataset = self._name(schema.get("name"), "schema.name")
        properties = self._properties(schema)
        fields = tuple(self._field(entry) for entry in properties)
        self._check_twice([field.name for field in fields])
        custom = self._custom(schema)
        event_time = self._event_time(custom, fields)
        keys = self._keys(properties)
        earliest, max_ahead = self._window(custom)
        if self._problems:
            raise ContractError(f"{self._path}: " + "; ".join(self._problems))
        version = str(document["version"])
        description = _text(schema.get("description"))
        return Contract(dataset, version, fields, event_time, keys, earliest, max_ahead, description, str(self._path))

    def _problem(self, where: str, what: str) -> None:
        self._problems.append(f"{where}: {what}")

    def _mapping(self, value: Any, where: str) -> dict[Any, Any]:
        if isinstance(value, dict):
            return value
        self._problem(where, f"is {_kind(value)}, not a mapping")
        return {}

    def _list(self, value: Any, where: str) -> list[Any]:
        if isinstance(value, list) and value:
            return value
        self._problem(where, f"is {_kind(value)}, not a list with entries")
        return []

    def _check_kind(self, document: dict[Any, Any]) -> None:
        if document.get("kind") != "DataContract":
            self._problem("kind", f"is {document.get('kind')!r}, not 'DataContract'")
        version = document.get("apiVersion")
        if not isinstance(version, str) or not version.startswith("v3."):
            self._problem("apiVersion", f"is {version!r}; smelt reads v3 of the Open Data Contract Standard")
        if not isinstance(document.get("version"), str) or not _VERSION.fullmatch(document["version"]):
            self._problem("version", f"is {document.get('version')!r}; write three numbers, as in 1.0.0")

    def _name(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            self._problem(where, f"is {_kind(value)} ({value!r}), not a text; quote it")
        elif not _NAME.fullmatch(value):
            self._problem(where, f"{value!r} must be lower-case letters, digits and _, beginning with a letter")
        return str(value)

    def _properties(self, schema: dict[Any, Any]) -> list[dict[Any, Any]]:
        entries = self._list(schema.get("properties"), "schema.properties")
        mappings = [self._mapping(entry, f"schema.properties[{at}]") for at, entry in enumerate(entries)]
        return [mapping for mapping in mappings if mapping]

    def _field(self, entry: dict[Any, Any]) -> Field:
        name = self._name(entry.get("name"), "schema.properties.name")
        if name in _RESERVED:
            self._problem(name, "is the name of a partition key; call the field something else")
        required = entry.get("required", False)
        if not isinstance(required, bool):
            self._problem(name, f"required is {required!r}, not true or false")
        type_, precision, scale = self._type(name, entry)
        examples = entry.get("examples", [])
        if not isinstance(examples, list):
            self._problem(name, f"examples is {_kind(examples)}, not a list")
            examples = []
        description = _text(entry.get("description"))
        return Field(name, type_, required is True, precision, scale, description, tuple(examples))

    def _type(self, name: str, entry: dict[Any, Any]) -> tuple[FieldType, int | None, int | None]:
        logical, physical = entry.get("logicalType"), str(entry.get("physicalType", ""))
        if match := _DECIMAL.fullmatch(physical):
            precision, scale = int(match[1]), int(match[2])
            if logical != "number":
                self._problem(name, f"a decimal has the logicalType number, not {logical!r}")
            if not (1 <= precision <= 38 and scale <= precision):
                self._problem(name, f"{physical}: precision is 1 to 38, and scale no more than precision")
            return FieldType.DECIMAL, precision, scale
        if _DECIMAL_ALIKE.fullmatch(physical):
            self._problem(name, f"physicalType {physical!r}: write an exact number as decimal(precision,scale)")
        if not isinstance(logical, str) or logical not in _LOGICAL_TYPES:
            self._problem(name, f"logicalType is {logical!r}, not one of {', '.join(sorted(_LOGICAL_TYPES))}")
            return FieldType.STRING, None, None
        return FieldType(logical), None, None

    def _check_twice(self, names: list[str]) -> None:
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._problem(name, "is described twice")

    def _custom(self, schema: dict[Any, Any]) -> dict[str, Any]:
        entries = schema.get("customProperties", [])
        if not isinstance(entries, list):
            self._problem("schema.customProperties", f"is {_kind(entries)}, not a list")
            return {}
        pairs = [self._mapping(entry, "schema.customProperties") for entry in entries]
        names = [str(pair.get("property")) for pair in pairs]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._problem(f"customProperties.{name}", "stands twice")
        custom = {name: pair.get("value") for name, pair in zip(names, pairs, strict=True)}
        for unknown in sorted(custom.keys() - {"eventTime", "earliest", "maxAhead"}):
            self._problem(f"customProperties.{unknown}", "is not known; there are eventTime, earliest and maxAhead")
        return custom

    def _event_time(self, custom: dict[str, Any], fields: tuple[Field, ...]) -> str:
        name = custom.get("eventTime")
        field = next((field for field in fields if field.name == name), None)
        if field is None:
            self._problem("customProperties.eventTime", f"names {name!r}, which is no field")
        elif field.type not in (FieldType.TIMESTAMP, FieldType.DATE) or not field.required:
            self._problem(field.name, "is the event time, so it must be required, and a timestamp or a date")
        return str(name)

    def _keys(self, properties: list[dict[Any, Any]]) -> tuple[str, ...]:
        for entry in properties:
            if not isinstance(entry.get("primaryKey", False), bool):
                self._problem(str(entry.get("name")), f"primaryKey is {entry['primaryKey']!r}, not true or false")
        keys = [entry for entry in properties if entry.get("primaryKey") is True]
        for entry in keys:
            if entry.get("required") is not True:
                self._problem(str(entry.get("name")), "is part of the primary key, so it must be required")
        if not keys:
            self._problem("schema.properties", "no field is marked primaryKey: true; compaction needs to know the key")
        try:
            keys.sort(key=lambda entry: int(entry.get("primaryKeyPosition", 1)))
        except (TypeError, ValueError):
            self._problem("schema.properties", "a primaryKeyPosition is not a whole number")
        return tuple(str(entry.get("name")) for entry in keys)

    def _window(self, custom: dict[str, Any]) -> tuple[datetime, timedelta]:
        earliest, ahead = custom.get("earliest"), custom.get("maxAhead")
        match = _DURATION.fullmatch(str(ahead))
        if not match:
            what = f"is {ahead!r}, not whole days or hours such as P1D or PT6H (at most P9999D)"
            self._problem("customProperties.maxAhead", what)
        days, hours = (int(group or 0) for group in match.groups()) if match else (0, 0)
        try:
            written = datetime.fromisoformat(str(earliest))
            moment = written.astimezone(UTC) if written.tzinfo else written.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self._problem("customProperties.earliest", f"is {earliest!r}, not a day such as '2000-01-01'")
            moment = datetime.min.replace(tzinfo=UTC)
        return moment, timedelta(days=days, hours=hours)


_LOGICAL_TYPES = {type_.value for type_ in FieldType} - {FieldType.DECIMAL.value}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _kind(value: Any) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"
