"""`make clean-demo`: deletes what the demos have stored, unless one is running. Needs no packages."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from local.demo.runs import locked
from services.ops.errors import OperatorError


def clean(state: Path) -> None:
    """Delete the folder of all demos.

    Raises:
        OperatorError: one of them is running.
    """
    with ExitStack() as locks:
        for home in sorted(state.iterdir()) if state.exists() else ():
            if home.is_dir():
                locks.enter_context(locked(home, seconds=0))
        if state.exists():
            shutil.rmtree(state)


if __name__ == "__main__":
    try:
        clean(Path(sys.argv[1]))
    except (OperatorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
