"""What is inside objects and arrays that are short enough to be built as Python values; `inside` takes all others.

Both give the same. An object is built as a tuple of (key, value), an array as a list, so that no key gets lost.
"""

from __future__ import annotations

import json
from typing import Any

from services.shared.contract.model import ELEMENT, Field, FieldType, Steps
from services.shared.judge.nested import ScanValue
from services.shared.judge.row_json import Number, shortened
from services.shared.judge.spelling import missing
from services.shared.judge.values import converted, wrong_type
from services.shared.judge.verdicts import Reason, Rejection, Value

Node = Any  # a tuple of pairs, a list, a string, a `Number`, a boolean or None

_build: ScanValue = json.JSONDecoder(  # type: ignore[attr-defined]
    object_pairs_hook=tuple, parse_int=Number, parse_float=Number
).scan_once
_ABSENT = object()


class NeedsText(Exception):
    """The value of a field is JSON text, which a built value has lost."""


def build(text: str, start: int = 0) -> Node:
    """The value at `start` of a text that is known to be JSON."""
    return _build(text, start)[0]


def at_path(node: Node, steps: Steps) -> Node:
    """The value at a path, or None.

    Raises:
        Rejection: a key on the way appears more than once.
    """
    for step in steps:
        if isinstance(step, str):
            if type(node) is not tuple:
                return None
            found = [value for key, value in node if key == step]
            if len(found) > 1:
                raise Rejection(Reason.DUPLICATE_KEY, f"{shortened(step)!r} appears more than once")
        else:
            found = node[step : step + 1] if type(node) is list else []
        if not found:
            return None
        node = found[0]
    return node


def leaf_of(field: Field, node: Node) -> tuple[Value, bool]:
    """A built value as a field's, and whether the field lacks something of it.

    Raises:
        Rejection: it is not what the contract says; with the path of the field inside.
        NeedsText: the field, or one inside it, is stored as JSON text.
    """
    if node is None:
        return None, False
    if field.type not in (FieldType.OBJECT, FieldType.ARRAY):
        return converted(field, node), False
    if not field.is_nested_column:
        raise NeedsText
    checking = Checking()
    return checking.value(field, node), checking.has_unknown


class Checking:
    """One built value on its way through what the contract says of its inside."""

    def __init__(self) -> None:
        self.has_unknown = False

    def value(self, field: Field, node: Node) -> Value:
        """The value of a struct or list column; of JSON text, anything that is not None."""
        if node is None:
            return None
        match field.type:
            case FieldType.OBJECT:
                if type(node) is not tuple:
                    raise wrong_type(field, node)
                return self._object(field, node) if field.children else True
            case FieldType.ARRAY:
                if type(node) is not list:
                    raise wrong_type(field, node)
                return self._array(field, node) if field.children else True
        return converted(field, node)

    def _object(self, field: Field, node: tuple[tuple[str, Node], ...]) -> Value:
        found = dict(node)
        is_repeated = len(found) < len(node)
        values: dict[str, Value] = {}
        known = 0
        for child in field.children:
            inner = found.get(child.key, _ABSENT)
            if inner is _ABSENT:
                values[child.name] = None
                continue
            known += 1
            try:
                if is_repeated and [key for key, _ in node].count(child.key) > 1:
                    raise Rejection(Reason.DUPLICATE_KEY, f"{shortened(child.key)!r} appears more than once")
                values[child.name] = self._child(field, child, inner)
            except Rejection as why:
                why.field = child.name if why.field is None else f"{child.name}.{why.field}"
                raise
        self.has_unknown |= known < len(found) or is_repeated
        for child in field.children:
            if child.required and values[child.name] is None:
                keys = (key for key in found if key not in {child.key for child in field.children})
                raise missing(child.name, child.key, child.key in found, keys)
        return {child.name: values[child.name] for child in field.children} if field.is_nested_column else True

    def _child(self, field: Field, child: Field, node: Node) -> Value:
        is_text = child.type in (FieldType.OBJECT, FieldType.ARRAY) and not child.is_nested_column
        if is_text and field.is_nested_column and node is not None:
            raise NeedsText
        return self.value(child, node)

    def _array(self, field: Field, node: list[Node]) -> Value:
        element, values = field.children[0], []
        for number, inner in enumerate(node):
            try:
                value = self._child(field, element, inner)
                if value is None and element.required:
                    raise Rejection(Reason.MISSING_REQUIRED, "is null")
            except Rejection as why:
                why.field = ELEMENT if why.field is None else f"{ELEMENT}.{why.field}"
                why.detail = f"item {number}: {why.detail}" if not why.detail.startswith("item ") else why.detail
                raise
            values.append(value)
        return values if field.is_nested_column else True
