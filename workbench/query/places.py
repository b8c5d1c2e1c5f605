"""Where Silver is on this machine, if nobody says: the last trial, or the demos."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from services.ops.errors import OperatorError
from workbench.inprocess.folder import ACCOUNT, walk

STATE = Path(".smelt")
_SILVER, _QUARANTINE = "silver/*/dt=*/*.parquet", "quarantine/*/dt=*/*.parquet"
_LAKES = ("try", "*/current/s3/*/*")  # a trial, and the buckets of the demos' emulator


def lakes(state: Path) -> list[Path]:
    """The folders under `state` that hold Silver or quarantine, or the account of a trial, the newest first."""
    found = {folder for pattern in _LAKES for folder in state.glob(pattern) if is_lake(folder)}
    return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)


def is_lake(folder: Path) -> bool:
    """Whether there are files of Silver or quarantine in it, or a trial ended there, perhaps without a row."""
    return (folder / ACCOUNT).is_file() or any(folder.glob(_SILVER)) or any(folder.glob(_QUARANTINE))


def find_lake(given: Path | None, state: Path = STATE) -> Path:
    """The folder that was given, or the newest under `state`.

    Raises:
        OperatorError: there is none.
        OSError: a folder in it cannot be looked into, so that its rows would be missing.
    """
    lake = _lake(given, state)
    for root in ("silver", "quarantine", "history"):
        if (lake / root).exists():
            deque(walk(lake / root), maxlen=0)
    return lake


def _lake(given: Path | None, state: Path) -> Path:
    if given is None:
        found = lakes(state)
        if not found:
            raise OperatorError(
                f"No Silver on this machine yet: {state} holds none. Run `smelt try FILE...` or `make demo`, or pass "
                "--silver DIR."
            )
        return found[0]
    if not given.is_dir():
        raise OperatorError(f"{given}: no such folder. Pass the folder that holds silver/ and quarantine/.")
    if given.name == "silver" and not is_lake(given) and is_lake(given.absolute().parent):
        return given.absolute().parent
    if not is_lake(given):
        raise OperatorError(f"{given}: holds no files such as silver/<dataset>/dt=<day>/<name>.parquet.")
    return given
