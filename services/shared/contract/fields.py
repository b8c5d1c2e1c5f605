"""The properties of a contract file as fields, with what is nested in them and with their ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from typing import Any

from services.shared.contract.keys import PROPERTY_KEYS, check_keys, read_options, suggestion
from services.shared.contract.model import (
    ELEMENT,
    EPOCHS,
    FIRST_FIELD_ID,
    LAST_FIELD_ID,
    Field,
    FieldType,
    Steps,
    TimeFormat,
    number_fields,
    walk,
)
from services.shared.contract.problems import Problems, kind_of, repeated, text_of
from services.shared.contract.sources import SourceError, parse_source
from services.shared.contract.times import FormatError, read_time_format

FIELD_IDS = "fieldIds"  # the custom property that keeps the ids

MAX_COLUMN_NAME = 255  # characters; what Glue takes
MAX_DATASET_NAME = 200  # a table, a folder and a file are called so, some with a few characters more

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NESTED_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DECIMAL = re.compile(r"decimal\((\d{1,3}),\s*(\d{1,3})\)", re.IGNORECASE)
_DECIMAL_ALIKE = re.compile(r"(decimal|dec|numeric)\b.*|number\(.*", re.IGNORECASE)  # would lose its exactness silently
_LOGICAL_TYPES = {type_.value for type_ in FieldType} - {FieldType.DECIMAL.value}
_PARTITION_KEYS = {"dt", "record_type"}
ACCEPT_STRINGS = "acceptStrings"  # the custom property of a field
_STRING_TAKERS = {FieldType.INTEGER, FieldType.NUMBER, FieldType.DECIMAL, FieldType.BOOLEAN}
_TEXT = ("string", "varchar", "text")
_STORED = {  # what a physicalType may say, because it is so
    FieldType.STRING: _TEXT,
    FieldType.INTEGER: ("bigint", "long", "int64"),
    FieldType.NUMBER: ("double", "float64"),
    FieldType.BOOLEAN: ("boolean", "bool"),
    FieldType.DATE: ("date",),
    FieldType.TIMESTAMP: ("timestamp", "timestamptz", "timestamp(6)", "timestamp(6) with time zone"),
    FieldType.ARRAY: ("json", "array", *_TEXT),
    FieldType.OBJECT: ("json", "struct", *_TEXT),
}
_COLUMNS = {FieldType.ARRAY: "array", FieldType.OBJECT: "struct"}  # the physicalType that is not JSON text


def read_name(value: Any, where: str, longest: int, problems: Problems) -> str:
    """The name of a dataset or a column: one that Athena needs no quotes for, of at most `longest` characters."""
    if not isinstance(value, str):
        what = "is missing" if value is None else f"is {kind_of(value)} ({value!r}), not a string; put it in quotes"
        problems.add(where, what)
    elif not _NAME.fullmatch(value):
        problems.add(where, f"{value!r} must be lower-case letters, digits and _, beginning with a letter")
    elif len(value) > longest:
        problems.add(where, f"{value[:20]}... has {len(value):,} characters; a name may have {longest}")
    return str(value)


def read_fields(entries: list[dict[Any, Any]], problems: Problems) -> tuple[Field, ...]:
    """The columns of a dataset, without ids."""
    fields = tuple(_column(entry, problems) for entry in entries)
    for name in repeated([field.name for field in fields]):
        problems.add(name, "is described more than once")
    return fields


def _column(entry: dict[Any, Any], problems: Problems) -> Field:
    name = read_name(entry.get("name"), "schema.properties.name", MAX_COLUMN_NAME, problems)
    if name in _PARTITION_KEYS:
        advice = "a row's record_type only chooses its dataset" if name == "record_type" else "choose another name"
        problems.add(name, f"is the name of a partition key of the tables, so no column may have it; {advice}")
    return _field(name, name, entry, problems)


def _field(name: str, path: str, entry: dict[Any, Any], problems: Problems, parent: Field | None = None) -> Field:
    check_keys(entry, PROPERTY_KEYS, path, problems)
    type_, precision, scale = _type(path, entry, problems)
    required = problems.flag(entry, "required", path)
    examples = entry.get("examples", [])
    if not isinstance(examples, list):
        problems.add(path, f"examples is {kind_of(examples)}, not a list")
        examples = []
    description = text_of(entry.get("description"))
    options = read_options(entry, entry.get("logicalType"), path, problems)
    field = Field(
        name,
        type_,
        required,
        precision,
        scale,
        description,
        tuple(examples),
        source=_source(name, path, entry, problems),
        time=(time := _time(type_, path, options, problems)),
        takes_strings=_takes_strings(type_, time, path, entry, problems),
        is_nested_column=_is_nested_column(type_, path, entry, problems),
        classification=_classification(path, entry, problems),
    )
    if field.is_nested_column and parent and not parent.is_nested_column:
        stored = _COLUMNS[parent.type]
        problems.add(path, f"cannot be a column of its own inside JSON text; write physicalType: {stored} outside too")
    children = tuple(_children(path, field, entry, problems))
    if field.is_nested_column and not children:
        inside = "properties" if type_ is FieldType.OBJECT else "items"
        problems.add(path, f"is stored as {_COLUMNS[type_]}, so the contract must say its {inside}")
    return replace(field, children=children)


def _source(name: str, path: str, entry: dict[Any, Any], problems: Problems) -> Steps:
    """Where the value comes from, as `physicalName` says; empty where it is the key with the field's name."""
    written = entry.get("physicalName")
    if written is None:
        return ()
    if not isinstance(written, str):
        problems.add(path, f"physicalName is {kind_of(written)} ({written!r}), not a string; put it in quotes")
        return ()
    if name == ELEMENT and path.endswith(f".{ELEMENT}"):
        problems.add(path, "physicalName: the items of an array have no key; remove it")
        return ()
    try:
        source = parse_source(written)
    except SourceError as error:
        problems.add(path, f"physicalName {error}")
        return ()
    if "." in path and len(source) > 1:
        problems.add(path, f"physicalName is the path {written!r}; inside another field it is a key of that field")
        return ()
    return () if source == (name,) else source


def _classification(path: str, entry: dict[Any, Any], problems: Problems) -> str:
    """In lower case. What is not a text is a problem, since a value that must not be shown would be."""
    value = entry.get("classification")
    if value is None:
        return ""
    if not isinstance(value, str) or not value.strip():
        problems.add(path, f"classification is {kind_of(value)}, not a word such as public or confidential")
        return "unknown"
    return value.strip().lower()


def _time(type_: FieldType, path: str, options: dict[str, Any], problems: Problems) -> TimeFormat:
    if type_ in (FieldType.DATE, FieldType.TIMESTAMP) and options:
        try:
            return read_time_format(options, type_)
        except FormatError as error:
            problems.add(path, f"logicalTypeOptions: {error}")
    return TimeFormat()


def _takes_strings(type_: FieldType, time: TimeFormat, path: str, entry: dict[Any, Any], problems: Problems) -> bool:
    """Whether numbers and booleans may be written as strings, as a custom property of the field says."""
    takes = False
    for pair in problems.optional_mappings(entry.get("customProperties"), f"{path}.customProperties"):
        name, value = pair.get("property"), pair.get("value")
        if name != ACCEPT_STRINGS:
            what = f"customProperties: {name!r} is not known{suggestion(name, [ACCEPT_STRINGS])}"
            problems.add(path, f"{what}; a field has only {ACCEPT_STRINGS}")
        elif not isinstance(value, bool):
            problems.add(path, f"{ACCEPT_STRINGS} is {value!r}, not true or false")
        elif value and type_ not in _STRING_TAKERS and time.pattern not in EPOCHS:
            problems.add(
                path, f"{ACCEPT_STRINGS} is for numbers, booleans and epochs; the field is of type {type_.value}"
            )
        else:
            takes = value
    return takes


def _is_nested_column(type_: FieldType, path: str, entry: dict[Any, Any], problems: Problems) -> bool:
    """Whether `physicalType` asks for a struct or list; a problem where it says what the column is not."""
    physical = entry.get("physicalType")
    if physical is None or type_ is FieldType.DECIMAL:
        return False
    stored = _STORED[type_]
    if not isinstance(physical, str) or " ".join(physical.lower().split()) not in stored:
        advice = "for a limit, write a quality rule (invalidValues)"
        if type_ in _COLUMNS:
            advice = f"json is JSON text, {_COLUMNS[type_]} a column of that type"
        problems.add(
            path, f"physicalType is {physical!r}, but the column is {stored[0]}: write that, or remove it; {advice}"
        )
        return False
    return physical.lower() == _COLUMNS.get(type_)


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
        entry = {key: value for key, value in entry.items() if key != "physicalType"}
    if not isinstance(logical, str) or logical not in _LOGICAL_TYPES:
        what = "missing" if logical is None else repr(logical)
        meant = suggestion(logical, _LOGICAL_TYPES)
        problems.add(path, f"logicalType is {what}{meant}; write one of {', '.join(sorted(_LOGICAL_TYPES))}")
        return FieldType.STRING, None, None
    return FieldType(logical), None, None


def _children(path: str, field: Field, entry: dict[Any, Any], problems: Problems) -> Iterator[Field]:
    """What is inside an object or an array, if the contract says so."""
    type_ = field.type
    for key, of in (("properties", FieldType.OBJECT), ("items", FieldType.ARRAY)):
        if key in entry and type_ is not of:
            problems.add(path, f"has {key}, which only the logicalType {of.value} has")
    if type_ is FieldType.OBJECT:
        inner = problems.optional_mappings(entry.get("properties"), f"{path}.properties")
        names = [str(one.get("name")) for one in inner]
        for name in repeated([name.lower() for name in names]):
            problems.add(f"{path}.{name}", "is described more than once (upper and lower case are not told apart)")
        for name, one in zip(names, inner, strict=True):
            yield _nested(name, f"{path}.{name}", one, problems, field)
    elif type_ is FieldType.ARRAY and "items" in entry:
        items = problems.mapping(entry["items"], f"{path}.items")
        if items:
            yield _nested(ELEMENT, f"{path}.{ELEMENT}", items, problems, field)


def _nested(name: str, path: str, entry: dict[Any, Any], problems: Problems, parent: Field) -> Field:
    if name != ELEMENT and not (isinstance(entry.get("name"), str) and _NESTED_NAME.fullmatch(name)):
        problems.add(path, "the name must be letters, digits and _, not beginning with a digit")
    if len(name) > MAX_COLUMN_NAME:
        problems.add(path, f"the name has {len(name):,} characters; it may have {MAX_COLUMN_NAME}")
    for key, advice in (
        ("quality", "quality rules are checked on whole columns only"),
        ("primaryKey", "a key is made of whole columns"),
        ("primaryKeyPosition", "a key is made of whole columns"),
    ):
        if key in entry:
            problems.add(path, f"has {key} inside another field; {advice}")
    return _field(name, path, entry, problems, parent)


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
