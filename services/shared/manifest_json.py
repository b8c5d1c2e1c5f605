"""Plans and manifests as JSON, read strictly: what is missing, strange or of another kind is an error and its place."""

from __future__ import annotations

import json
from typing import Any, Self

from services.shared.errors import Terminal

FORMAT = 1


class ManifestError(Terminal):
    """A plan or manifest that must not be followed. The message says which, and what is wrong with it."""


class Body:
    """A JSON object whose values are asked for by name and kind; a wrong one is a ManifestError that says where."""

    def __init__(self, body: Any, where: str) -> None:
        if type(body) is not dict:
            raise ManifestError(f"{where}: not a JSON object")
        self._body: dict[str, Any] = body
        self.where = where

    @classmethod
    def read(cls, text: str | bytes, where: str) -> Self:
        try:
            body = cls(json.loads(text), where)
        except ValueError as error:
            raise ManifestError(f"{where}: not JSON: {error}") from error
        if body.value("format") != FORMAT:
            raise ManifestError(f"{where}: of format {body.value('format')!r}, and this code reads {FORMAT}")
        return body

    def names(self) -> list[str]:
        return list(self._body)

    def only(self, *names: str, is_top: bool = True, optional: tuple[str, ...] = ()) -> None:
        wanted = {*names, "format"} if is_top else set(names)
        if strange := sorted(set(self._body) - wanted - set(optional)):
            raise ManifestError(f"{self.where}: unknown key {strange[0]!r}")

    def value(self, name: str) -> Any:
        if name not in self._body:
            raise ManifestError(f"{self.where}: {name} is missing")
        return self._body[name]

    def text(self, name: str, least: int = 1) -> str:
        return self._text(name, self.value(name), least)

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self._text(name, one, 1) for one in self._list(name))

    def number(self, name: str, least: int = 0) -> int:
        found = self.value(name)
        if type(found) is not int or found < least:
            raise ManifestError(f"{self.where}: {name} is {found!r}, not a whole number from {least} on")
        return found

    def bodies(self, name: str) -> list[Body]:
        return [Body(one, f"{self.where}, {name} {place}") for place, one in enumerate(self._list(name), start=1)]

    def _list(self, name: str) -> list[Any]:
        found = self.value(name)
        if type(found) is not list:
            raise ManifestError(f"{self.where}: {name} is no list")
        return found

    def _text(self, name: str, found: Any, least: int) -> str:
        if type(found) is not str or len(found) < least:
            raise ManifestError(f"{self.where}: {name} is {found!r}, not a text")
        return found
