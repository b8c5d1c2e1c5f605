"""The value of one field in a row: found where the contract says that it is, and converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]

from services.shared.contract.model import Field, FieldType, Steps
from services.shared.judge.inside import Place, Places, keys_at, leaf, value_at
from services.shared.judge.row_json import Row
from services.shared.judge.spelling import missing
from services.shared.judge.values import converted, wrong_type
from services.shared.judge.verdicts import Rejection, Value

_NESTED = {FieldType.ARRAY: list, FieldType.OBJECT: dict}
_MOST_KEYS = 1000  # that are looked through for another spelling


def field_value(field: Field, row: Row, places: Mapping[str, Places]) -> tuple[Value, bool]:
    """The field's value, and whether it holds all of the row's key that it is in.

    `places` are, for keys of the row, those of all fields inside them.

    Raises:
        Rejection: it is missing though required, or not what the contract says.
    """
    try:
        return _value(field, row, places)
    except Rejection as why:
        why.field = f"{field.name}.{why.field}" if why.field is not None and why.field != field.name else field.name
        raise


def _value(field: Field, row: Row, places: Mapping[str, Places]) -> tuple[Value, bool]:
    item = row.items.get(field.key)
    if item is None or item.value is None:
        if field.required:
            is_null = item is not None and len(field.path) == 1
            raise _missing(missing(field.name, field.key, is_null, [] if item else _keys(row)))
        return None, len(field.path) == 1
    if len(field.path) > 1:
        value = value_at(field, row.text, item.start, field.path[1:], places.get(field.key))
        if value is None and field.required:
            step, keys = keys_at(row.text, item.start, field.path[1:])
            raise _missing(missing(field.name, step, step == "", keys))
        return value, False
    if field.type not in _NESTED:
        return converted(field, item.value), True
    if not isinstance(item.value, _NESTED[field.type]):
        raise wrong_type(field, item.value)
    if not field.children:
        return row.text[item.start : item.end], True
    value, lacks = leaf(field, row.text, Place(item.start, item.end))
    return value, not (lacks and field.is_nested_column)


def places_inside(row: Row, paths: Mapping[str, Sequence[Steps]]) -> dict[str, Places]:
    """The places of these paths in the row's values, by key. They are looked for when one of them is asked for."""
    found = ((key, row.items.get(key), steps) for key, steps in paths.items())
    return {key: Places(row.text, item.start, steps) for key, item, steps in found if item}


def _missing(why: Rejection) -> Rejection:
    why.field = None
    return why


def _keys(row: Row) -> list[str]:
    bounds = zip(row.bounds[0::4], range(_MOST_KEYS), strict=False)
    return [scanstring(row.text, start + 1, True)[0] for start, _ in bounds]
