"""What is inside an object or array: a value at a path, and the fields that a contract describes there.

It walks through the row's text and builds no values but those that a column holds, so that memory stays in proportion
to them. Texts are known to be JSON.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from services.shared.contract.model import ELEMENT, Field, FieldType, Steps
from services.shared.judge.built import Checking, NeedsText, at_path, build, leaf_of
from services.shared.judge.nested import ScanValue, skip_blanks
from services.shared.judge.row_json import SHORT, scan_unbuilt, scan_value, shortened
from services.shared.judge.spelling import missing
from services.shared.judge.values import converted, wrong_type
from services.shared.judge.verdicts import Reason, Rejection, Value

MAX_VALUES = 100_000  # in one value of a struct or list column; JSON text has no limit
_MOST_KEYS = 1000  # of an object, that are kept for a message
_OPENERS = {FieldType.ARRAY: "[", FieldType.OBJECT: "{"}


class Place(NamedTuple):
    """Where a value begins and ends in a text."""

    start: int
    end: int


Found = Place | Rejection | None  # None where nothing is there; a rejection where a key on the way is there twice


class Places:
    """Where the values at paths below one value of a long text are, found in one walk however many they are."""

    def __init__(self, text: str, start: int, paths: Collection[Steps]) -> None:
        self._text, self._start, self._paths = text, start, paths
        self._found: dict[Steps, Found] | None = None

    def find(self, steps: Steps) -> Place | None:
        """As `find`, for one of the paths.

        Raises:
            Rejection: a key on the way appears more than once.
        """
        if self._found is None:
            self._found = _find_all(self._text, self._start, self._paths)
        return _not_refused(self._found[steps])


def value_at(field: Field, text: str, start: int, steps: Steps, places: Places | None = None) -> Value:
    """The value of a field at a path, from the value at `start` down; None where there is none.

    `places` are those of all fields below the value, for callers that ask for more than one.

    Raises:
        Rejection: it is not what the contract says, or a key on the way appears more than once.
    """
    if len(text) <= SHORT:
        with suppress(NeedsText):
            return leaf_of(field, at_path(build(text, start), steps))[0]
    place = places.find(steps) if places else find(text, start, steps)
    return leaf(field, text, place)[0] if place else None


def find(text: str, start: int, steps: Steps) -> Place | None:
    """Where the value at `steps` is, from the value at `start` down; None where there is none.

    What is not an object has no keys, and what is not an array no places: nothing is there, which is no error.

    Raises:
        Rejection: a key on the way appears more than once.
    """
    return _not_refused(_find_all(text, start, [steps])[steps])


def _not_refused(found: Found) -> Place | None:
    if isinstance(found, Rejection):
        raise found
    return found


def _find_all(text: str, start: int, paths: Collection[Steps]) -> dict[Steps, Found]:
    found: dict[Steps, Found] = {}
    _find_below(text, Place(start, start), paths, 0, found)
    return found


def _find_below(text: str, at: Found, paths: Collection[Steps], depth: int, found: dict[Steps, Found]) -> None:
    """Find the values of paths whose first `depth` steps lead to `at`."""
    further: dict[str | int, list[Steps]] = {}
    for steps in paths:
        if len(steps) == depth or not isinstance(at, Place):
            found[steps] = at
        else:
            further.setdefault(steps[depth], []).append(steps)
    if further and isinstance(at, Place):
        inside = _inside(text, at.start, further)
        for step, some in further.items():
            _find_below(text, inside.get(step), some, depth + 1, found)


def _inside(text: str, at: int, wanted: Collection[str | int]) -> dict[str | int, Found]:
    """Where the wanted keys of the object at `at`, or the wanted items of the array, are."""
    found: dict[str | int, Found] = {}
    read_value = _scanner(text)
    if text[at] == "{":
        for key, place in _members(text, at, read_value):
            if key in wanted:
                twice = Rejection(Reason.DUPLICATE_KEY, f"{shortened(key)!r} appears more than once")
                found[key] = twice if key in found else place
    elif text[at] == "[":
        last = max((step for step in wanted if isinstance(step, int)), default=-1)
        for number, place in enumerate(islice(_items(text, at, read_value), last + 1)):
            if number in wanted:
                found[number] = place
    return found


def keys_at(text: str, start: int, steps: Steps) -> tuple[str | int, list[str]]:
    """The first step that leads nowhere ("" where all lead to a value), and the keys that are there instead."""
    read_value = _scanner(text)
    at = start
    for step in steps:
        place = find(text, at, (step,))
        if place is None:
            return step, [key for key, _ in islice(_members(text, at, read_value), _MOST_KEYS)] if text[
                at
            ] == "{" else []
        at = place.start
    return "", []


def nested_value(field: Field, text: str, start: int) -> tuple[Value, bool]:
    """The object or array at `start`, judged by what the contract says of its inside.

    Returns:
        its JSON text, or of a struct or list column its value; and whether the column lacks something of it.

    Raises:
        Rejection: it is not what the contract says; with the path of the field inside, from `field` on.
    """
    if len(text) <= SHORT:
        with suppress(NeedsText):
            return _built_value(field, text, start)
    reading = _Reading(text)
    value, end = reading.value(field, start)
    return (value if field.is_nested_column else text[start:end]), reading.has_unknown


def _built_value(field: Field, text: str, start: int) -> tuple[Value, bool]:
    if not field.children:
        raise NeedsText
    node = build(text, start)
    checking = Checking()
    value = checking.value(field, node)
    if field.is_nested_column:
        return value, checking.has_unknown
    return text[start : _scanner(text)(text, start)[1]], checking.has_unknown


def _scanner(text: str) -> ScanValue:
    return scan_value if len(text) <= SHORT else scan_unbuilt


def _members(text: str, at: int, read_value: ScanValue) -> Iterator[tuple[str, Place]]:
    """The keys and values of the object at `at`."""
    at = skip_blanks(text, at + 1)
    while text[at] != "}":
        key, end = scanstring(text, at + 1, True)
        start = skip_blanks(text, skip_blanks(text, end) + 1)
        end = read_value(text, start)[1]
        yield key, Place(start, end)
        at = skip_blanks(text, end)
        if text[at] == ",":
            at = skip_blanks(text, at + 1)


def _items(text: str, at: int, read_value: ScanValue) -> Iterator[Place]:
    """The items of the array at `at`."""
    at = skip_blanks(text, at + 1)
    while text[at] != "]":
        end = read_value(text, at)[1]
        yield Place(at, end)
        at = skip_blanks(text, end)
        if text[at] == ",":
            at = skip_blanks(text, at + 1)


class _Reading:
    """One value on its way through what the contract says of its inside."""

    def __init__(self, text: str) -> None:
        self._text, self._scan = text, _scanner(text)
        self._values = 0
        self.has_unknown = False

    def value(self, field: Field, at: int) -> tuple[Value, int]:
        """The value at `at`, and where it ends. Of JSON text no value is made."""
        text = self._text
        if field.is_nested_column:
            self._count()
        if field.type not in _OPENERS:
            value, end = self._scan(text, at)
            return (None if value is None else converted(field, value)), end
        if text[at] == "n":
            return None, at + 4
        if text[at] != _OPENERS[field.type]:
            raise wrong_type(field, self._scan(text, at)[0])
        if not field.children:
            end = self._scan(text, at)[1]
            return text[at:end], end
        return self._object(field, at) if field.type is FieldType.OBJECT else self._array(field, at)

    def _count(self) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            what = f"holds more than {MAX_VALUES} values, too many for a column of structs or lists"
            raise Rejection(Reason.OUT_OF_RANGE, f"{what}; without its physicalType it is kept as JSON text")

    def _object(self, field: Field, at: int) -> tuple[Value, int]:
        text, start = self._text, at
        children = {child.key: child for child in field.children}
        found: dict[str, Value] = {}
        keys: list[str] = []
        at = skip_blanks(text, at + 1)
        while text[at] != "}":
            key, end = scanstring(text, at + 1, True)
            begin = skip_blanks(text, skip_blanks(text, end) + 1)
            child = children.get(key)
            if child is None:
                self.has_unknown = True
                if len(keys) < _MOST_KEYS:
                    keys.append(key)
                at = self._scan(text, begin)[1]
            else:
                at = self._child(child, begin, found)
            at = skip_blanks(text, at)
            if text[at] == ",":
                at = skip_blanks(text, at + 1)
        for child in field.children:
            if child.required and found.get(child.name) is None:
                raise missing(child.name, child.key, child.name in found, keys)
        if not field.is_nested_column:
            return text[start : at + 1], at + 1
        return {child.name: found.get(child.name) for child in field.children}, at + 1

    def _child(self, child: Field, begin: int, found: dict[str, Value]) -> int:
        try:
            if child.name in found:
                raise Rejection(Reason.DUPLICATE_KEY, f"{shortened(child.key)!r} appears more than once")
            found[child.name], end = self.value(child, begin)
        except Rejection as why:
            why.field = child.name if why.field is None else f"{child.name}.{why.field}"
            raise
        return end

    def _array(self, field: Field, at: int) -> tuple[Value, int]:
        text, start = self._text, at
        element, found, number = field.children[0], [], 0
        at = skip_blanks(text, at + 1)
        while text[at] != "]":
            try:
                if field.is_nested_column:
                    self._count()
                value, at = self.value(element, at)
                if value is None and element.required:
                    raise Rejection(Reason.MISSING_REQUIRED, "is null")
            except Rejection as why:
                why.field = ELEMENT if why.field is None else f"{ELEMENT}.{why.field}"
                why.detail = f"item {number}: {why.detail}" if not why.detail.startswith("item ") else why.detail
                raise
            if field.is_nested_column:
                found.append(value)
            number += 1
            at = skip_blanks(text, at)
            if text[at] == ",":
                at = skip_blanks(text, at + 1)
        return (found if field.is_nested_column else text[start : at + 1]), at + 1


def leaf(field: Field, text: str, place: Place) -> tuple[Value, bool]:
    """The value of a field at a place, and whether the field lacks something of it; see `nested_value`.

    Raises:
        Rejection: it is not what the contract says.
    """
    if text[place.start] == "n":
        return None, False
    if field.type in _OPENERS:
        return nested_value(field, text, place.start)
    value: Any = _scanner(text)(text, place.start)[0]
    return converted(field, value), False
