"""The `smelt` command, also as `python -m workbench.cli`. It imports only what it must before Ctrl-C is quiet."""

from __future__ import annotations

from typing import NoReturn

from services.ops.cli.interrupts import quiet_until_run


def main() -> NoReturn:
    """The entry point of `smelt`."""
    quiet_until_run()
    from services.ops.cli.console import run
    from workbench.cli.app import app

    run(app)


if __name__ == "__main__":
    main()
