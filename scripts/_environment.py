"""Lets the scripts of this folder run with any Python: needs nothing but the standard library, and old Pythons read it.

The scripts call `enter` first. If this Python has smelt's packages, it goes on; if not, the script runs again with the
checkout's `.venv`; if there is none, the message says what to do.
"""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PACKAGES = ("boto3", "rich", "typer", "yaml")
CANNOT_WORK = 2  # as services/ops/cli/console.py says


def enter() -> None:
    """Make sure that the script can import smelt and its packages. Until it has, Ctrl-C ends it without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as behind `&`
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if sys.version_info >= (3, 11) and not missing:
        sys.path.insert(0, str(ROOT))
        return
    if PYTHON.exists() and Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(str(PYTHON), [str(PYTHON), *sys.argv])  # noqa: S606 (the checkout's own Python, no shell)
    what = "the packages {} are missing".format(", ".join(missing)) if missing else "smelt needs Python 3.11 or newer"
    print(f"error: {what} ({sys.executable}). Run `make setup` in {ROOT}, then run this again.", file=sys.stderr)
    sys.exit(CANNOT_WORK)
