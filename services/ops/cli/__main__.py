"""The `smelt` command, also as `python -m services.ops.cli`. It imports only what it must before Ctrl-C is quiet."""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """The entry point of `smelt`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as behind `&`
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while packages are imported; `run` handles it from then on
    from services.ops.cli.app import app
    from services.ops.cli.console import run

    run(app)


if __name__ == "__main__":
    main()
