"""How much memory this process took at most in between, as Linux counts it: what Arrow and DuckDB take is in it."""

from __future__ import annotations

import re
import resource
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
    begin_peak()
    before, grown = _bytes("VmRSS"), 0
    yield lambda: grown
    grown = max(0, peak_bytes() - before)


def begin_peak() -> None:
    """Let the peak begin now, where the system is Linux."""
    if (_SELF / "clear_refs").exists():
        (_SELF / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most memory that the process had at once since then. What `getrusage` tells begins with the parent's."""
    if (_SELF / "status").exists():
        return _bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _bytes(what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB$", (_SELF / "status").read_text(), re.MULTILINE)
    assert found, what
    return int(found[1]) * 1024
