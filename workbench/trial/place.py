"""Where a trial's files go: a folder that is replaced as a whole, or not at all.

    <out>                       the last trial that ended, with `account.json`, its contracts and its page
    <out>.running-<random>      one that is going on, or that was killed; the next one removes it
    <out>.previous              only for a moment, while the new one takes its place

A trial holds the lock of its running folder. So a second one tells a killed trial from one that is alive.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.ops.errors import OperatorError
from workbench.inprocess.folder import ACCOUNT, pattern

PAGE = "report.html"


class Place:
    """The folder of a trial that is going on. What is not kept is deleted."""

    def __init__(self, out: Path, folder: Path) -> None:
        self._out, self.folder = out, folder

    def keep(self) -> None:
        """Let this trial take the place of the last one."""
        previous = _previous(self._out)
        if self._out.exists():
            self._out.rename(previous)
        self.folder.rename(self._out)
        if previous.exists():
            shutil.rmtree(previous)


@contextmanager
def new_place(out: Path) -> Iterator[Place]:
    """A folder for one trial; it is deleted unless the block calls `keep`.

    Raises:
        OperatorError: `out` holds something else than a trial, or another trial is writing to it.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 (links stay: a folder is renamed beside them)
    _check_is_ours(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    _clear(out)
    folder = out.with_name(f"{out.name}.running-{secrets.token_hex(4)}")
    folder.mkdir()
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield Place(out, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _previous(out: Path) -> Path:
    return out.with_name(f"{out.name}.previous")


def _check_is_ours(out: Path) -> None:
    if out.is_dir() and ((out / ACCOUNT).is_file() or not any(out.iterdir())):
        return
    if out.exists() or out.is_symlink():
        raise OperatorError(
            f"{out}: holds something else than the result of `smelt try`, which would be deleted. Pass another --out."
        )


def _clear(out: Path) -> None:
    """Remove what killed trials left."""
    previous = _previous(out)
    if previous.is_dir():  # killed while it was replaced
        if out.exists():
            shutil.rmtree(previous)
        else:
            previous.rename(out)
    for left in out.parent.glob(f"{pattern(Path(out.name))}.running-*"):
        lock = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
        except BlockingIOError:
            raise OperatorError(
                f"{out}: another `smelt try` is writing here. Wait until it ends, or pass another --out."
            ) from None
        finally:
            os.close(lock)
