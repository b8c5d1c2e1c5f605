"""Data contracts from ODCS v3 YAML.

A contract file is the only place where a dataset is described. This module reads it into the values of `model`
and refuses a broken one with the file, the field and the reason.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from services.shared.contract.document import read_document
from services.shared.contract.fields import FIELD_IDS, MAX_DATASET_NAME, assign_ids, read_fields, read_name
from services.shared.contract.keys import DOCUMENT_KEYS, SCHEMA_KEYS, check_keys, suggestion
from services.shared.contract.model import CREATION, Contract, ContractError, Field, FieldType, walk
from services.shared.contract.problems import Problems, kind_of, repeated, text_of
from services.shared.contract.rules import read_rules


def load_contracts(directory: Path | str) -> dict[str, Contract]:
    """All contracts of a folder (`*.yaml`), by dataset.

    Raises:
        ContractError: the folder is missing or holds none, one is broken, or two describe the same dataset.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise ContractError(f"{folder}: is not a folder; set CONTRACTS_DIR to the folder that holds the contracts")
    if misnamed := sorted(folder.glob("*.yml")):
        raise ContractError(f"{misnamed[0]}: would be ignored; rename it to {misnamed[0].stem}.yaml")
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ContractError(f"{folder}: no contracts found (*.yaml); set CONTRACTS_DIR to the folder that holds them")
    contracts: dict[str, Contract] = {}
    for file in files:
        contract = load_contract(file)
        if contract.dataset in contracts:
            raise ContractError(
                f"{file}: dataset {contract.dataset!r} is already described by {contracts[contract.dataset].file}; "
                "keep one of the two files"
            )
        contracts[contract.dataset] = contract
    return contracts


def load_contract(file: Path | str, ids_required: bool = True) -> Contract:
    """One contract. Where ids are not required, fields without one get the next free id.

    Raises:
        ContractError: the file cannot be read or is not a contract that smelt can use; all its problems are named.
    """
    path = Path(file)
    return _Reading(path, read_document(path), ids_required).contract()


_VERSION = re.compile(r"\d+\.\d+\.\d+")
_DURATION = re.compile(r"P(\d{1,4})D|PT(\d{1,5})H")
_PATH = re.compile(r"\$((?:\.[^\s.\[\]'\"]+){1,20})")
_NO_POSITION = -1  # of a key, in the standard
_CUSTOM = ("eventTime", "earliest", "maxAhead", "rowsPath", "envelopeFields", FIELD_IDS)


def keys_of_path(path: str) -> tuple[str, ...]:
    """The keys of a path to rows, such as `$.data.items`; none if it is not one."""
    match = _PATH.fullmatch(path)
    return tuple(match[1][1:].split(".")) if match else ()


class _Reading:
    """One file on its way to a `Contract`; collects what is wrong with it."""

    def __init__(self, path: Path, document: Any, ids_required: bool) -> None:
        self._path = path
        self._document = document
        self._ids_required = ids_required
        self._problems = Problems()

    def contract(self) -> Contract:
        if not isinstance(self._document, dict):
            what = kind_of(self._document).replace("missing", "empty")
            raise ContractError(f"{self._path}: is {what}, not a mapping; is it a contract?")
        document, problems = self._document, self._problems
        self._check_kind(document)
        schemas = problems.entries(document.get("schema"), "schema")
        if len(schemas) > 1:
            problems.add("schema", f"holds {len(schemas)} datasets; a file describes exactly one")
        schema = problems.mapping(schemas[0] if schemas else {}, "schema")
        check_keys(schema, SCHEMA_KEYS, "schema", problems)
        dataset = read_name(schema.get("name"), "schema.name", MAX_DATASET_NAME, problems)
        entries = self._entries(schema)
        fields = read_fields(entries, problems)
        custom = self._custom(schema)
        event_time = self._event_time(custom, fields)
        keys = self._keys(entries)
        earliest, max_ahead = self._window(custom)
        rows_path = self._rows_path(custom)
        envelope_fields = self._envelope_fields(custom, rows_path)
        quality = read_rules(document, schema, entries, fields, problems)
        fields, retired = self._with_ids(fields, custom)
        if problems.found:
            raise ContractError(f"{self._path}: " + "; ".join(problems.found), tuple(problems.entries_found))
        return Contract(
            dataset,
            str(document["version"]),
            fields,
            event_time,
            keys,
            earliest,
            max_ahead,
            text_of(schema.get("description")),
            str(self._path),
            quality,
            retired,
            text_of(document.get("status")),
            rows_path=rows_path,
            envelope_fields=envelope_fields,
        )

    def _check_kind(self, document: dict[Any, Any]) -> None:
        check_keys(document, DOCUMENT_KEYS, "contract", self._problems)
        if document.get("kind") != "DataContract":
            self._problems.add("kind", f"is {document.get('kind')!r}, not 'DataContract'")
        version = document.get("apiVersion")
        if not isinstance(version, str) or not version.startswith("v3."):
            self._problems.add("apiVersion", f"is {version!r}; smelt reads v3 of the Open Data Contract Standard")
        if not isinstance(document.get("version"), str) or not _VERSION.fullmatch(document["version"]):
            self._problems.add("version", f"is {document.get('version')!r}; write three numbers, such as 1.0.0")

    def _entries(self, schema: dict[Any, Any]) -> list[dict[Any, Any]]:
        entries = self._problems.entries(schema.get("properties"), "schema.properties")
        mappings = [self._problems.mapping(entry, f"schema.properties[{at}]") for at, entry in enumerate(entries)]
        return [mapping for mapping in mappings if mapping]

    def _custom(self, schema: dict[Any, Any]) -> dict[str, Any]:
        pairs = self._problems.optional_mappings(schema.get("customProperties"), "schema.customProperties")
        names = [str(pair.get("property")) for pair in pairs]
        for name in repeated(names):
            self._problems.add(f"customProperties.{name}", "appears more than once")
        custom = {name: pair.get("value") for name, pair in zip(names, pairs, strict=True)}
        for unknown in sorted(custom.keys() - {*_CUSTOM}):
            what = f"is not known{suggestion(unknown, _CUSTOM)}; there are {', '.join(_CUSTOM)}"
            self._problems.add(f"customProperties.{unknown}", what)
        return custom

    def _with_ids(
        self, fields: tuple[Field, ...], custom: dict[str, Any]
    ) -> tuple[tuple[Field, ...], tuple[tuple[str, int], ...]]:
        """The fields with their ids, and the earlier fields. A missing id is reported only if the others are right."""
        known = len(self._problems.found)
        fields, retired = assign_ids(fields, custom.get(FIELD_IDS), self._problems)
        missing = [path for path, field in walk(fields) if not field.id]
        if missing and self._ids_required and len(self._problems.found) == known:
            what = f"has no id for {', '.join(missing)}; run `smelt contracts number {self._path}`, which writes it"
            self._problems.add(f"customProperties.{FIELD_IDS}", what)
        return fields, retired

    def _event_time(self, custom: dict[str, Any], fields: tuple[Field, ...]) -> str:
        name = custom.get("eventTime")
        if name == CREATION:
            return CREATION
        field = next((field for field in fields if field.name == name), None)
        if field is None:
            what = (
                f"is missing; name the field that says when a row happened, or {CREATION}, when its object was created"
                if name is None
                else f"is {name!r}, which is not a field{suggestion(name, [field.name for field in fields])}"
            )
            self._problems.add("customProperties.eventTime", what)
        elif field.type not in (FieldType.TIMESTAMP, FieldType.DATE) or not field.required:
            self._problems.add(field.name, "is the event time, so it must be required, and a timestamp or a date")
        return str(name)

    def _keys(self, entries: list[dict[Any, Any]]) -> tuple[str, ...]:
        keys = [entry for entry in entries if self._problems.flag(entry, "primaryKey", str(entry.get("name")))]
        for entry in entries:
            if not entry.get("primaryKey") and entry.get("primaryKeyPosition", _NO_POSITION) != _NO_POSITION:
                self._problems.add(str(entry.get("name")), "primaryKeyPosition means nothing without primaryKey: true")
        for entry in keys:
            if entry.get("required") is not True:
                self._problems.add(str(entry.get("name")), "is part of the primary key, so it must be required")
        try:
            keys.sort(key=lambda entry: int(entry.get("primaryKeyPosition", 1)))
        except (TypeError, ValueError):
            self._problems.add("schema.properties", "a primaryKeyPosition is not a whole number")
        return tuple(str(entry.get("name")) for entry in keys)

    def _rows_path(self, custom: dict[str, Any]) -> tuple[str, ...]:
        return self._keys_of(custom["rowsPath"], "customProperties.rowsPath") if "rowsPath" in custom else ()

    def _envelope_fields(
        self, custom: dict[str, Any], rows: tuple[str, ...]
    ) -> tuple[tuple[str, tuple[str, ...]], ...]:
        where = "customProperties.envelopeFields"
        fields = custom.get("envelopeFields", {})
        if not isinstance(fields, dict):
            self._problems.add(where, f"is {kind_of(fields)}; write a path for each key, such as account: $.accountId")
            return ()
        if fields and not rows:
            self._problems.add(where, "means nothing without rowsPath")
        paths = [(str(name), self._keys_of(path, f"{where}.{name}")) for name, path in fields.items()]
        for name, path in paths:
            if path and path == rows[: len(path)]:
                self._problems.add(f"{where}.{name}", "holds the rows themselves; name a value beside them")
        return tuple(paths)

    def _keys_of(self, path: Any, where: str) -> tuple[str, ...]:
        keys = keys_of_path(path) if isinstance(path, str) else ()
        if not keys:
            self._problems.add(where, f"is {path!r}; write the keys that lead there, 20 at most, such as $.Records")
        return keys

    def _window(self, custom: dict[str, Any]) -> tuple[datetime, timedelta]:
        earliest, ahead = custom.get("earliest"), custom.get("maxAhead")
        if custom.get("eventTime") == CREATION:
            for name in ("earliest", "maxAhead"):
                if name in custom:
                    what = f"has no effect where the event time is {CREATION}; remove it"
                    self._problems.add(f"customProperties.{name}", what)
            return datetime.min.replace(tzinfo=UTC), timedelta()
        match = _DURATION.fullmatch(str(ahead))
        if not match:
            what = f"is {ahead!r}, not whole days or hours such as P1D or PT6H (at most P9999D)"
            self._problems.add("customProperties.maxAhead", what)
        days, hours = (int(group or 0) for group in match.groups()) if match else (0, 0)
        if isinstance(earliest, date):
            self._problems.add("customProperties.earliest", f'is a date of YAML; put it in quotes: "{earliest}"')
        try:
            written = datetime.fromisoformat(str(earliest))
            moment = written.astimezone(UTC) if written.tzinfo else written.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self._problems.add("customProperties.earliest", f"is {earliest!r}, not a day such as '2000-01-01'")
            moment = datetime.min.replace(tzinfo=UTC)
        return moment, timedelta(days=days, hours=hours)
