"""Ways to stop a worker in the middle, or to let another one run in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any


class Crash(BaseException):
    """The worker is gone: no handler, no clean-up, no answer. Nothing in the product may catch it."""


@dataclass
class Interrupter:
    """Counts the calls that a worker makes to the outside, and interrupts one of them.

    At call number `at` (from 1), or at the first call named `first`, `action` runs `before` the call takes effect, or
    after it. An action that raises `Crash` stops the worker there; another may let a second worker run in between.
    """

    at: int = 0
    before: bool = True
    action: Callable[[], None] = field(default=lambda: None)
    calls: list[str] = field(default_factory=list)
    first: str = ""
    _counting: Lock = field(default_factory=Lock)

    def call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._counting:  # some workers call from several threads
            self.calls.append(name)
            hit = len(self.calls) == self.at or (name == self.first and self.calls.count(name) == 1)
        if hit and self.before:
            self.action()
        result = function(*args, **kwargs)
        if hit and not self.before:
            self.action()
        return result


class Interrupted:
    """An object whose named methods go through an interrupter; everything else passes straight."""

    def __init__(self, target: Any, interrupter: Interrupter, methods: Sequence[str]) -> None:
        self._target = target
        self._interrupter = interrupter
        self._methods = frozenset(methods)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if name not in self._methods:
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._interrupter.call(name, attribute, *args, **kwargs)

        return call


class LostAnswers:
    """A client whose writes land but whose answers get lost, so that each is sent twice, as botocore's retry does."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.exceptions = client.exceptions

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name not in ("put_item", "update_item"):
            return method

        def twice(**request: Any) -> Any:
            method(**request)
            return method(**request)

        return twice


LAKE_CALLS = ("open", "read", "put", "delete")
LEDGER_CALLS = (
    "put_item",
    "update_item",
    "get_item",
    "batch_get_item",
    "transact_write_items",
    "delete_item",
)
QUEUE_CALLS = ("send_message",)
