"""DynamoDB's condition and update expressions, as far as the ledger uses them, over one item. No AWS client.

    condition := any of (all of (comparison | attribute_exists(a) | attribute_not_exists(a) | (condition)))
    comparison := operand (= | < | <= | > | >=) operand | operand IN (operand, ...)
    update := SET a = operand [+ operand], ... | REMOVE a, ...

Whatever else DynamoDB knows raises `ValueError`, so that nothing is silently taken for something else.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Item = dict[str, Any]

_TOKEN = re.compile(r"\s*([:#]?\w+|<=|>=|[=<>(),+])")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(condition: str, item: Item, names: Mapping[str, str], values: Mapping[str, Item]) -> bool:
    """Whether the item, empty where there is none, meets the condition.

    Raises:
        ValueError: the condition uses what this module does not know.
    """
    reading = _Reading(condition, item, names, values)
    result = reading.any_of()
    reading.end()
    return result


def updated(update: str, item: Item, names: Mapping[str, str], values: Mapping[str, Item]) -> Item:
    """A copy of the item with the update applied; all operands are those of the item before it.

    Raises:
        ValueError: the update uses what this module does not know.
    """
    reading = _Reading(update, item, names, values)
    changed = reading.clauses(dict(item))
    reading.end()
    return changed


class _Reading:
    """One expression from its first token to its last."""

    def __init__(self, text: str, item: Item, names: Mapping[str, str], values: Mapping[str, Item]) -> None:
        self._text, self._item, self._names, self._values = text, item, names, values
        self._tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"not an expression that is known here: {text!r}")
            self._tokens.append(found[1])
            at = found.end()
        self._at = 0

    def any_of(self) -> bool:
        result = self._all_of()
        while self._skip("OR"):
            result = self._all_of() or result
        return result

    def clauses(self, changed: Item) -> Item:
        while self._at < len(self._tokens):
            if self._skip("SET"):
                self._each(lambda: self._set(changed))
            elif self._skip("REMOVE"):
                self._each(lambda: changed.pop(self._name(), None))
            else:
                raise ValueError(f"not an update that is known here: {self._text!r}")
        return changed

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise ValueError(f"not an expression that is known here: {self._text!r}")

    # -- conditions --------------------------------------------------------------------------------------------

    def _all_of(self) -> bool:
        result = self._one()
        while self._skip("AND"):
            result = self._one() and result
        return result

    def _one(self) -> bool:
        if self._skip("("):
            result = self.any_of()
            self._expect(")")
            return result
        for function, wanted in (("attribute_exists", True), ("attribute_not_exists", False)):
            if self._skip(function):
                self._expect("(")
                there = self._name() in self._item
                self._expect(")")
                return there is wanted
        left = self._operand()
        if self._skip("IN"):
            self._expect("(")
            choices: list[Item | None] = []
            self._each(lambda: choices.append(self._operand()))
            self._expect(")")
            return left is not None and left in choices
        compare = _COMPARE.get(sign := self._next())
        if compare is None:
            raise ValueError(f"not a comparison that is known here: {sign!r} in {self._text!r}")
        right = self._operand()
        return left is not None and right is not None and compare(_plain(left), _plain(right))

    # -- updates -----------------------------------------------------------------------------------------------

    def _set(self, changed: Item) -> None:
        name = self._name()
        self._expect("=")
        value = self._value()
        if self._skip("+"):
            value = {"N": str(_plain(value) + _plain(self._value()))}
        changed[name] = value

    def _value(self) -> Item:
        value = self._operand()
        if value is None:
            raise ValueError(f"an attribute that is not there in {self._text!r}")
        return value

    # -- both --------------------------------------------------------------------------------------------------

    def _operand(self) -> Item | None:
        """A value, or None for an attribute that is not there."""
        if self._skip("if_not_exists"):
            self._expect("(")
            there = self._item.get(self._name())
            self._expect(",")
            otherwise = self._operand()
            self._expect(")")
            return there if there is not None else otherwise
        if self._tokens[self._at].startswith(":"):
            return self._values[self._next()]
        return self._item.get(self._name())

    def _each(self, read: Callable[[], Any]) -> None:
        read()
        while self._skip(","):
            read()

    def _name(self) -> str:
        token = self._next()
        return self._names[token] if token.startswith("#") else token

    def _next(self) -> str:
        if self._at == len(self._tokens):
            raise ValueError(f"an expression that breaks off: {self._text!r}")
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip(self, token: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at] == token
        self._at += found
        return found

    def _expect(self, token: str) -> None:
        if not self._skip(token):
            raise ValueError(f"{token!r} is missing in {self._text!r}")


def _plain(value: Item) -> Any:
    """A number or a text, so that values of one type compare."""
    ((kind, content),) = value.items()
    return int(content) if kind == "N" else content
