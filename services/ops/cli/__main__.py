"""The `smelt` command, also as `python -m services.ops.cli`. It imports only what it must before Ctrl-C is quiet."""

from __future__ import annotations

from typing import NoReturn

from services.ops.cli.interrupts import quiet_until_run


def main() -> NoReturn:
    """The entry point of `smelt`."""
    quiet_until_run()
    from services.ops.cli.app import app
    from services.ops.cli.console import run

    run(app)


if __name__ == "__main__":
    main()
