"""The keys that a contract file may have, and what smelt makes of each: nothing that has a meaning is ignored.

A key is read, or it is words for people (`businessName`), or it is refused with what to write instead.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from services.shared.contract.problems import Problems

_WORDS = {"id", "businessName", "tags", "authoritativeDefinitions", "description"}
DOCUMENT_KEYS = {
    *("apiVersion", "kind", "version", "status", "schema", "slaProperties", "id", "name", "description", "domain"),
    *("tenant", "tags", "dataProduct", "support", "price", "team", "roles", "authoritativeDefinitions", "servers"),
    *("contractCreatedTs", "customProperties", "slaDefaultElement"),
}
SCHEMA_KEYS = _WORDS | {
    *("name", "logicalType", "properties", "quality", "customProperties", "relationships"),
    *("dataGranularityDescription", "physicalType", "physicalName"),
}
PROPERTY_KEYS = _WORDS | {
    *("name", "logicalType", "logicalTypeOptions", "physicalType", "physicalName", "required", "examples", "quality"),
    *("primaryKey", "primaryKeyPosition", "properties", "items", "customProperties", "classification"),
    *("criticalDataElement", "encryptedName", "transformDescription", "relationships"),
}
_REFUSED = {
    "unique": "smelt does not check it in rows; write a quality rule with the metric duplicateValues",
    "partitioned": "Silver is partitioned by the day of the event time alone; remove it",
    "partitionKeyPosition": "Silver is partitioned by the day of the event time alone; remove it",
    "transformLogic": "smelt runs no code of a contract; remove it, or say it in transformDescription",
    "transformSourceObjects": "write the one key or path that the value comes from as physicalName",
}
_HARMLESS: dict[str, Any] = {"unique": False, "partitioned": False}  # what is so anyway
_RULE = "smelt does not check it in rows; write a quality rule (invalidValues)"
_OPTIONS = {
    "timestamp": {"format", "timezone", "defaultTimezone"},
    "date": {"format"},
    "integer": {"format"},
    "number": {"format"},
}
_FORMATS = {"integer": "i64", "number": "f64"}  # what the columns are
_KNOWN_OPTIONS = {
    *("minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *(
        "timezone",
        "defaultTimezone",
        "multipleOf",
        "maxProperties",
        "minProperties",
        "required",
        "maxItems",
        "minItems",
    ),
    "uniqueItems",
}


def check_keys(entry: dict[Any, Any], known: Collection[str], where: str, problems: Problems) -> None:
    """A problem for each key of a mapping that would be ignored, with the word that was probably meant."""
    for key, value in entry.items():
        if key in known or (key in _HARMLESS and value == _HARMLESS[key]):
            continue
        if key in _REFUSED and known is PROPERTY_KEYS:
            problems.add(where, f"{key}: {_REFUSED[key]}")
        else:
            problems.add(where, f"{key!r} is not known{suggestion(key, known)}")


def suggestion(word: Any, known: Collection[str]) -> str:
    """What was probably meant, as the end of a sentence; empty where nothing is close."""
    if not isinstance(word, str):
        return ""
    close = get_close_matches(word.lower(), [one.lower() for one in known], 1, 0.7)
    meant = next((one for one in known if close and one.lower() == close[0]), None)
    return f"; is it {meant}?" if meant else ""


def read_options(entry: dict[Any, Any], logical: Any, where: str, problems: Problems) -> dict[str, Any]:
    """The `logicalTypeOptions` that smelt reads; a problem for each other one."""
    value = entry.get("logicalTypeOptions")
    options = {} if value is None else problems.mapping(value, f"{where}.logicalTypeOptions")
    read = _OPTIONS.get(str(logical), set())
    for key, option in options.items():
        if key not in _KNOWN_OPTIONS:
            problems.add(where, f"logicalTypeOptions: {key!r} is not known{suggestion(key, _KNOWN_OPTIONS)}")
        elif key not in read:
            problems.add(where, f"logicalTypeOptions.{key}: {_RULE}")
        elif logical in _FORMATS and option != _FORMATS[logical]:
            problems.add(
                where,
                f"logicalTypeOptions.format is {option!r}, but the column is {_FORMATS[logical]}; remove it, or write "
                "a quality rule for the range",
            )
    return {key: option for key, option in options.items() if key in read and logical not in _FORMATS}
