"""Where in a contract's file something is: the lines of its keys and fields, and what YAML takes for a date."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from services.shared.contract.model import ELEMENT

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_DATE_TAG = "tag:yaml.org,2002:timestamp"


class Lines:
    """The lines of one file, from 1. The text must be YAML."""

    def __init__(self, text: str) -> None:
        self._root: Any = yaml.compose(text, Loader=yaml.SafeLoader)

    def of_problem(self, where: str, what: str) -> int:
        """The line of what the loader calls `where`; of the key that `what` is about, if one of its words is such."""
        node, line = self._find(where)
        if what.startswith("is not known"):
            return int(node.start_mark.line) + 1
        for word in re.findall(r"\w+", what)[:6]:
            for key, _ in _pairs(node):
                if key.value == word:
                    return int(key.start_mark.line) + 1
        return line

    def of_path(self, path: Sequence[str | int]) -> int:
        """The line of a value by its keys and places from the document down; the last one that is there."""
        return self._walk(self._root, path)[1]

    def unquoted_dates(self) -> Iterator[tuple[int, str]]:
        """The line and the text of each value that YAML reads as a date or a time."""
        nodes = [self._root]
        while nodes:
            node = nodes.pop()
            if isinstance(node, yaml.ScalarNode) and node.tag == _DATE_TAG:
                yield int(node.start_mark.line) + 1, node.value
            elif isinstance(node, yaml.SequenceNode):
                nodes += reversed(node.value)
            else:
                nodes += reversed([value for _, value in _pairs(node)])

    def _find(self, where: str) -> tuple[Any, int]:
        schema, line = self._walk(self._root, ["schema", 0])
        if where == "contract":
            return self._root, 1
        steps = [int(place) if place else name for name, place in _STEP.findall(where)]
        if steps[:1] == ["schema"]:
            return self._walk(schema, steps[1:], line)
        if steps[:1] == ["customProperties"]:
            return self._custom_property(schema, line, str(steps[-1]))
        found = self._field(schema, steps)
        return found or self._walk(self._root, steps)

    def _custom_property(self, schema: Any, line: int, name: str) -> tuple[Any, int]:
        entries, line = self._walk(schema, ["customProperties"], line)
        for entry in _items(entries):
            if any(key.value == "property" and value.value == name for key, value in _pairs(entry)):
                return entry, self._walk(entry, ["value"], int(entry.start_mark.line) + 1)[1]
        return entries, line

    def _field(self, schema: Any, steps: list[str | int]) -> tuple[Any, int] | None:
        """The field that a path begins with, and what is in it of the rest of the path."""
        node, found = schema, None
        while steps:
            if steps[0] == ELEMENT and _value(node, "items") is not None:
                node = _value(node, "items")
            else:
                entries = _items(_value(node, "properties"))
                node = next((entry for entry in entries if _text(entry, "name") == steps[0]), None)
                if node is None:
                    break
            found, steps = (node, int(node.start_mark.line) + 1), steps[1:]
        return self._walk(found[0], steps, found[1]) if found else None

    @staticmethod
    def _walk(node: Any, path: Sequence[str | int], line: int = 1) -> tuple[Any, int]:
        for step in path:
            inner, at = None, None
            if isinstance(step, int):
                items = _items(node)
                inner = items[step] if step < len(items) else None
                at = inner
            else:
                for key, value in _pairs(node):
                    if key.value == step:
                        inner, at = value, key
            if inner is None or at is None:
                break
            node, line = inner, int(at.start_mark.line) + 1
        return node, line


def _pairs(node: Any) -> list[Any]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _items(node: Any) -> list[Any]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _value(node: Any, name: str) -> Any:
    return next((value for key, value in _pairs(node) if key.value == name), None)


def _text(node: Any, name: str) -> Any:
    value = _value(node, name)
    return value.value if isinstance(value, yaml.ScalarNode) else None
