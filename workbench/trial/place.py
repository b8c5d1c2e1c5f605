"""Where a trial's files go: a folder that is replaced as a whole, or not at all.

    <out>                       the last trial that ended, with `account.json`, its contracts and its page
    <out>.running-<random>      one that is going on, or that was killed; the next one removes it
    <out>.previous              only for a moment, while the new one takes its place

A trial holds the lock of its running folder. So a second one tells a killed trial from one that is alive. Nothing is
deleted that a trial did not write: a folder in which there is anything else stays as it is.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.ops.errors import OperatorError
from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT
from workbench.inprocess.folder import ACCOUNT, CONTRACTS, pattern

PAGE = "report.html"
_WRITTEN = {SILVER_ROOT: ".parquet", QUARANTINE_ROOT: ".parquet", CONTRACTS: ".yaml"}  # folders, and the files in them
_OF_OTHERS = {".DS_Store"}  # which a desktop puts into any folder
_RUNNING = re.compile(r"\.running-[0-9a-f]{8}")


class Place:
    """The folder of a trial that is going on. What is not kept is deleted."""

    def __init__(self, out: Path, folder: Path) -> None:
        self._out, self.folder = out, folder

    def keep(self) -> None:
        """Let this trial take the place of the last one.

        Raises:
            OperatorError: something else is there by now.
        """
        previous = _previous(self._out)
        with _alone_in(self._out.parent):
            _check_is_ours(self._out)
            if self._out.exists():
                self._out.rename(previous)
            self.folder.rename(self._out)
            if previous.exists():
                _remove(previous, self._out)


@contextmanager
def new_place(out: Path) -> Iterator[Place]:
    """A folder for one trial; it is deleted unless the block calls `keep`.

    Raises:
        OperatorError: `out` holds something else than a trial, or another trial is writing to it.
    """
    out = Path(os.path.realpath(out))  # a link stays, and what it points at is replaced
    if os.path.ismount(out):
        raise OperatorError(f"{out}: a disk is mounted there, and --out is replaced as a whole. Pass {out / 'try'}.")
    _check_is_ours(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = _running(out)
    lock = None
    try:  # an interrupt may come at any time
        with _alone_in(out.parent):
            _clear(out)
            folder.mkdir()
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Place(out, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Of trials that begin in a folder at the same time, one after the other."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _running(out: Path) -> Path:
    return out.with_name(f"{out.name}.running-{secrets.token_hex(4)}")


def _remove(previous: Path, out: Path) -> None:
    """Delete a trial, under a name that says so if this is killed before the end."""
    gone = _running(out)
    previous.rename(gone)
    shutil.rmtree(gone)


def _previous(out: Path) -> Path:
    return out.with_name(f"{out.name}.previous")


def _check_is_ours(out: Path) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not any(out.iterdir()):
        return
    if not out.is_dir() or not _is_account(out / ACCOUNT):
        raise OperatorError(
            f"{out}: holds something else than the result of `smelt try`, which would be deleted. Pass another --out."
        )
    foreign = next(_foreign(out), None)
    if foreign is not None:
        raise OperatorError(
            f"{foreign}: was not written by `smelt try`, and would be deleted with the rest of {out}. Move it, or pass "
            "another --out."
        )


def _is_account(file: Path) -> bool:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {"all_right", "contracts", "refused_files"} <= found.keys()


def _foreign(out: Path) -> Iterator[Path]:
    """What no trial writes."""
    for entry in sorted(out.iterdir()):
        suffix = _WRITTEN.get(entry.name)
        if suffix is None or not entry.is_dir() or entry.is_symlink():
            if entry.name not in {ACCOUNT, PAGE, *_OF_OTHERS} or not entry.is_file():
                yield entry
            continue
        for above, folders, names in os.walk(entry):
            yield from (Path(above, name) for name in folders if Path(above, name).is_symlink())
            yield from (Path(above, name) for name in names if not name.endswith(suffix) and name not in _OF_OTHERS)


def _clear(out: Path) -> None:
    """Remove what killed trials left."""
    previous = _previous(out)
    _check_is_ours(previous)
    if previous.is_dir():  # killed while it was replaced
        if out.exists():
            _remove(previous, out)
        else:
            previous.rename(out)
    for left in out.parent.glob(f"{pattern(Path(out.name))}.running-*"):
        if not _RUNNING.fullmatch(left.name.removeprefix(out.name)):
            continue
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
