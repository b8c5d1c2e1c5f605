"""Ctrl-C while a program is still importing its packages. This module imports nothing else."""

from __future__ import annotations

import signal


def quiet_until_run() -> None:
    """Let Ctrl-C end the process without a stack trace; `console.run` handles it from then on."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as behind `&`
        signal.signal(signal.SIGINT, signal.SIG_DFL)
