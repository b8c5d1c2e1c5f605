"""How much memory this process took at most in between, as Linux counts it: what Arrow and DuckDB take is in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SELF = Path("/proc/self")


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Gives a function that says, after the block, by how many bytes the process grew at most. 0 where not on Linux."""
    if not (_SELF / "clear_refs").exists():
        yield lambda: 0
        return
    (_SELF / "clear_refs").write_text("5")  # the peak begins now
    before, grown = _bytes("VmRSS"), 0
    yield lambda: grown
    grown = max(0, _bytes("VmHWM") - before)


def _bytes(what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB$", (_SELF / "status").read_text(), re.MULTILINE)
    assert found, what
    return int(found[1]) * 1024
