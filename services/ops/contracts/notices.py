"""Keys that the standard allows and nothing of smelt acts on: said, so that nobody relies on them.

Words for people (`description`, `businessName`, `support`, ...) are not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.shared.contract.model import Contract
from services.shared.judge.verdicts import RECORD_TYPE

_ROOT = {
    "servers": "smelt reads the buckets from its settings",
    "roles": "smelt grants no access; that is done in Terraform",
    "slaDefaultElement": "smelt reads the element of each service level",
    "customProperties": "smelt reads those of the schema and of its fields",
}
_SCHEMA = {
    "physicalName": "the dataset has one name, which is `name`",
    "physicalType": "a dataset is a folder of Parquet files",
    "relationships": "smelt does not check references",
}
_FIELD = {
    "encryptedName": "smelt does not encrypt single fields",
    "relationships": "smelt does not check references",
}

Notice = tuple[list[str | int], str]  # where it is, from the document down, and what to know


def notices(document: Any) -> Iterator[Notice]:
    """What a contract's file says that nothing acts on."""
    yield from _of(document, _ROOT, [])
    for at, schema in enumerate(_list(document, "schema")):
        yield from _of(schema, _SCHEMA, ["schema", at])
        yield from _of_fields(schema, ["schema", at])


def without_key(contract: Contract) -> Iterator[str]:
    """That no field identifies a row, where it is so."""
    if not contract.keys:
        yield (
            "schema.properties: no field has primaryKey: true, so compaction keeps every row, also those that a "
            "producer sent twice"
        )


def unread_envelope(contract: Contract) -> Iterator[str]:
    """The values of the envelope that rows get, and that are no field's."""
    used = {field.key for field in contract.fields} | {RECORD_TYPE}
    for name, _ in contract.envelope_fields:
        if name not in used:
            yield f"envelopeFields.{name}: no field reads the key {name}, so each row keeps the value in _rescued"


def _of_fields(parent: Any, where: list[str | int]) -> Iterator[Notice]:
    for at, entry in enumerate(_list(parent, "properties")):
        yield from _of(entry, _FIELD, [*where, "properties", at])
        yield from _of_fields(entry, [*where, "properties", at])
    if isinstance(parent, dict) and isinstance(parent.get("items"), dict):
        yield from _of(parent["items"], _FIELD, [*where, "items"])
        yield from _of_fields(parent["items"], [*where, "items"])


def _of(mapping: Any, known: dict[str, str], where: list[str | int]) -> Iterator[Notice]:
    for key in mapping if isinstance(mapping, dict) else ():
        if key in known and mapping[key] not in (None, [], {}):
            name = mapping.get("name") if known is _FIELD else None
            yield [*where, key], f"{f'{name}: ' if name else ''}{key} has no effect: {known[key]}"


def _list(mapping: Any, key: str) -> list[Any]:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, list) else []
