"""What is wrong with a contract file, collected, so that its author reads all of it at once."""

from __future__ import annotations

from typing import Any


class Problems:
    """A list of problems, and the checks that every part of the loader needs."""

    def __init__(self) -> None:
        self.entries_found: list[tuple[str, str]] = []

    @property
    def found(self) -> list[str]:
        """Each problem as a sentence."""
        return [f"{where}: {what}" for where, what in self.entries_found]

    def add(self, where: str, what: str) -> None:
        """Note a problem: `where` is a key of the file or the name of a field."""
        self.entries_found.append((where, what))

    def mapping(self, value: Any, where: str) -> dict[Any, Any]:
        """The value, if it is a mapping; else a problem and an empty one."""
        if isinstance(value, dict):
            return value
        self.add(where, f"is {kind_of(value)}, not a mapping")
        return {}

    def entries(self, value: Any, where: str) -> list[Any]:
        """The value, if it is a list with entries; else a problem and an empty one."""
        if isinstance(value, list) and value:
            return value
        self.add(where, f"is {kind_of(value)}, not a list with entries")
        return []

    def optional_mappings(self, value: Any, where: str) -> list[dict[Any, Any]]:
        """The mappings of a list that may be missing; a problem for everything else."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.add(where, f"is {kind_of(value)}, not a list")
            return []
        mappings = [self.mapping(entry, f"{where}[{at}]") for at, entry in enumerate(value)]
        return [mapping for mapping in mappings if mapping]

    def flag(self, entry: dict[Any, Any], key: str, where: str) -> bool:
        """An optional key that is true or false; false if it is missing."""
        value = entry.get(key, False)
        if not isinstance(value, bool):
            self.add(where, f"{key} is {value!r}, not true or false")
        return value is True


def text_of(value: Any) -> str:
    """An optional text; a missing one is empty."""
    return "" if value is None else str(value)


def repeated(names: list[str]) -> list[str]:
    """The names that appear more than once, sorted."""
    return sorted({name for name in names if names.count(name) > 1})


_KINDS = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a mapping"}


def kind_of(value: Any) -> str:
    """What a value of YAML is, in a sentence."""
    if value is None:
        return "missing"
    if value in ([], {}):
        return "empty"
    return _KINDS.get(type(value), f"a {type(value).__name__}")
