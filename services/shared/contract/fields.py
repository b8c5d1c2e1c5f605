"""The properties of a contract file as fields, with what is nested in them and with their ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from services.shared.contract.model import (
    ELEMENT,
    FIRST_FIELD_ID,
    LAST_FIELD_ID,
    Field,
    FieldType,
    number_fields,
    walk,
)
from services.shared.contract.problems import Problems, kind_of, repeated, text_of

FIELD_IDS = "fieldIds"  # the custom property that keeps the ids

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NESTED_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DECIMAL = re.compile(r"decimal\((\d{1,3}),\s*(\d{1,3})\)", re.IGNORECASE)
_DECIMAL_ALIKE = re.compile(r"(decimal|dec|numeric)\b.*|number\(.*", re.IGNORECASE)  # would lose its exactness silently
_LOGICAL_TYPES = {type_.value for type_ in FieldType} - {FieldType.DECIMAL.value}
_PARTITION_KEYS = {"dt", "record_type"}


def read_name(value: Any, where: str, problems: Problems) -> str:
    """The name of a dataset or a column: one that Athena needs no quotes for."""
    if not isinstance(value, str):
        what = "is missing" if value is None else f"is {kind_of(value)} ({value!r}), not a string; put it in quotes"
        problems.add(where, what)
    elif not _NAME.fullmatch(value):
        problems.add(where, f"{value!r} must be lower-case letters, digits and _, beginning with a letter")
    return str(value)


def read_fields(entries: list[dict[Any, Any]], problems: Problems) -> tuple[Field, ...]:
    """The columns of a dataset, without ids."""
    fields = tuple(_column(entry, problems) for entry in entries)
    for name in repeated([field.name for field in fields]):
        problems.add(name, "is described more than once")
    return fields


def _column(entry: dict[Any, Any], problems: Problems) -> Field:
    name = read_name(entry.get("name"), "schema.properties.name", problems)
    if name in _PARTITION_KEYS:
        advice = "a row's record_type only chooses its dataset" if name == "record_type" else "choose another name"
        problems.add(name, f"is the name of a partition key of the tables, so no column may have it; {advice}")
    return _field(name, name, entry, problems)


def _field(name: str, path: str, entry: dict[Any, Any], problems: Problems) -> Field:
    type_, precision, scale = _type(path, entry, problems)
    required = problems.flag(entry, "required", path)
    examples = entry.get("examples", [])
    if not isinstance(examples, list):
        problems.add(path, f"examples is {kind_of(examples)}, not a list")
        examples = []
    description = text_of(entry.get("description"))
    children = tuple(_children(path, type_, entry, problems))
    return Field(name, type_, required, precision, scale, description, tuple(examples), children=children)


def _type(path: str, entry: dict[Any, Any], problems: Problems) -> tuple[FieldType, int | None, int | None]:
    logical, physical = entry.get("logicalType"), str(entry.get("physicalType", ""))
    if match := _DECIMAL.fullmatch(physical):
        precision, scale = int(match[1]), int(match[2])
        if logical != "number":
            problems.add(path, f"a decimal has the logicalType number, not {logical!r}")
        if not (1 <= precision <= 38 and scale <= precision):
            problems.add(path, f"{physical}: precision must be 1 to 38, and scale not larger than precision")
        return FieldType.DECIMAL, precision, scale
    if _DECIMAL_ALIKE.fullmatch(physical):
        problems.add(path, f"physicalType is {physical!r}; write an exact number as decimal(precision,scale)")
    if not isinstance(logical, str) or logical not in _LOGICAL_TYPES:
        what = "missing" if logical is None else repr(logical)
        problems.add(path, f"logicalType is {what}; write one of {', '.join(sorted(_LOGICAL_TYPES))}")
        return FieldType.STRING, None, None
    return FieldType(logical), None, None


def _children(path: str, type_: FieldType, entry: dict[Any, Any], problems: Problems) -> Iterator[Field]:
    """What is inside an object or an array, if the contract says so."""
    for key, of in (("properties", FieldType.OBJECT), ("items", FieldType.ARRAY)):
        if key in entry and type_ is not of:
            problems.add(path, f"has {key}, which only the logicalType {of.value} has")
    if type_ is FieldType.OBJECT:
        inner = problems.optional_mappings(entry.get("properties"), f"{path}.properties")
        names = [str(one.get("name")) for one in inner]
        for name in repeated([name.lower() for name in names]):
            problems.add(f"{path}.{name}", "is described more than once (upper and lower case are not told apart)")
        for name, one in zip(names, inner, strict=True):
            yield _nested(name, f"{path}.{name}", one, problems)
    elif type_ is FieldType.ARRAY and "items" in entry:
        items = problems.mapping(entry["items"], f"{path}.items")
        if items:
            yield _nested(ELEMENT, f"{path}.{ELEMENT}", items, problems)


def _nested(name: str, path: str, entry: dict[Any, Any], problems: Problems) -> Field:
    if name != ELEMENT and not (isinstance(entry.get("name"), str) and _NESTED_NAME.fullmatch(name)):
        problems.add(path, "the name must be letters, digits and _, not beginning with a digit")
    for key, advice in (
        ("quality", "quality rules are checked on whole columns only"),
        ("primaryKey", "a key is made of whole columns"),
    ):
        if key in entry:
            problems.add(path, f"has {key} inside another field; {advice}")
    return _field(name, path, entry, problems)


def assign_ids(
    fields: tuple[Field, ...], registry: Any, problems: Problems
) -> tuple[tuple[Field, ...], tuple[tuple[str, int], ...]]:
    """The fields with their ids (0 for those without), and the paths and ids of fields that the dataset had earlier.

    `registry` is the value of the custom property `fieldIds`: an id for the path of each field, present and past.
    """
    ids = _read_registry(registry, problems)
    paths = {path for path, _ in walk(fields)}
    retired = tuple((path, id_) for path, id_ in ids.items() if path not in paths)
    return number_fields(fields, ids, repeat(0)), retired


def _read_registry(registry: Any, problems: Problems) -> dict[str, int]:
    """The ids that `fieldIds` holds; a problem for each that cannot be one."""
    where = f"customProperties.{FIELD_IDS}"
    entries = {} if registry is None else problems.mapping(registry, where)
    ids: dict[str, int] = {}
    for path, id_ in entries.items():
        if not isinstance(path, str):
            problems.add(where, f"{path!r} is {kind_of(path)}, not a string; put it in quotes")
        elif type(id_) is not int or not FIRST_FIELD_ID <= id_ <= LAST_FIELD_ID:
            what = f"the id of {path} is {id_!r}, not a whole number from {FIRST_FIELD_ID} to {LAST_FIELD_ID}"
            problems.add(where, what)
            ids[path] = 0
        else:
            ids[path] = id_
    for id_ in sorted({id_ for id_ in ids.values() if id_ and list(ids.values()).count(id_) > 1}):
        same = ", ".join(path for path, other in ids.items() if other == id_)
        problems.add(
            where,
            f"{id_} is the id of more than one field: {same}; delete the line of the newer ones and run "
            "`smelt contracts number`",
        )
    return ids
