"""Progress on a terminal: what is being read, and how many so far. Nothing where standard error is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.ops.cli.console import messages

_SECONDS_BETWEEN = 0.2


@contextmanager
def watching() -> Iterator[Callable[[str, int], None]]:
    """Gives a function to be called with what is read and how many so far, as often as the caller likes."""
    if not messages.is_terminal:
        yield lambda _what, _number: None
        return
    with messages.status("reading ...") as status:
        shown = 0.0

        def watch(what: str, number: int) -> None:
            nonlocal shown
            if time.monotonic() - shown >= _SECONDS_BETWEEN:
                shown = time.monotonic()
                status.update(f"{what}: {number:,}")

        yield watch
