"""What the demos keep on disk: a run is kept as a whole, or not at all.

The emulator saves its ledger and queues only when it stops in order, but every object at once. So a run works on a
copy of what earlier runs left, and the copy replaces it when everything is in order. Ctrl-C, a closed terminal, kill -9
or a full disk leave the earlier runs as they were; the next run removes the rest.

    <folder>/current    what all kept runs left
    <folder>/running    the run that is going on, or the last one that was not kept
    <folder>/previous   only for a moment, while `running` takes the place of `current`
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.ops.errors import OperatorError

_SECONDS_FOR_A_KILLED_RUN = 8  # after which local/supervise.py has ended what that run had started


class Run:
    """One run of the demo: its files are in `folder`."""

    def __init__(self, home: Path, lock: int) -> None:
        self.lock = lock  # a file descriptor; whoever inherits it holds the lock too
        self.log = home / "emulator.log"
        self._current, self._running, self._previous = (home / name for name in ("current", "running", "previous"))
        self.folder = self._running
        if self._previous.exists() and not self._current.exists():  # stopped between the two steps of `keep`
            self._previous.rename(self._current)
        for rest in (self._previous, self._running):
            if rest.exists():
                shutil.rmtree(rest)
        if self._current.exists():
            shutil.copytree(self._current, self._running)
        else:
            self._running.mkdir()

    def keep(self) -> None:
        """Let this run be what the next ones go on from. The emulator must have stopped."""
        if self._current.exists():
            self._current.rename(self._previous)
        self._running.rename(self._current)
        self.folder = self._current
        if self._previous.exists():
            shutil.rmtree(self._previous)


@contextmanager
def new_run(home: Path) -> Iterator[Run]:
    """A run in `home`. It is dropped unless the block calls `keep`.

    Raises:
        OperatorError: another run is going on in `home`.
    """
    with locked(home, _SECONDS_FOR_A_KILLED_RUN) as lock:
        yield Run(home, lock)


@contextmanager
def locked(home: Path, seconds: float) -> Iterator[int]:
    """Hold the folder's lock, which is created with the folder. Gives the lock's file descriptor.

    Raises:
        OperatorError: somebody else held it all these seconds.
    """
    until = time.monotonic() + seconds
    while (lock := _try_to_lock(home)) is None:
        if time.monotonic() > until:
            raise OperatorError(
                f"Another demo is running in {home}. Wait until it ends, or press Ctrl-C in its terminal. "
                "Then run this again."
            )
        time.sleep(0.1)
    try:
        yield lock
    finally:
        os.close(lock)


def _try_to_lock(home: Path) -> int | None:
    home.mkdir(parents=True, exist_ok=True)
    lock = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if home.stat().st_ino == os.fstat(lock).st_ino:  # it has not been deleted in between
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None
