"""One way to write a text file as a whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def write_whole(file: Path, text: str) -> None:
    """Write a file in UTF-8, its line ends as they are: who reads it meanwhile, or after a failure, sees the last one.

    A link stays one, and what it leads to is replaced, with the permissions that it had.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    with whole(file) as stream:
        stream.write(text)


@contextmanager
def whole(file: Path) -> Iterator[TextIO]:
    """The same, piece by piece. What is no plain file, such as a pipe or a terminal, is just written to.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    if file.exists() and not file.is_file():
        with file.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    file = Path(os.path.realpath(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        if file.exists():
            shutil.copymode(file, unfinished)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
