#!/usr/bin/env python3
"""Installs a lock into a virtual environment of this checkout. Does nothing where that has been done; safe to repeat.

usage: install.py VENV LOCK... [--smelt]     later LOCKs are parts of the first one; --smelt adds the `smelt` command

An environment whose creation or installation was stopped half-way, that was moved with its checkout, whose Python is
gone, or from which a package was deleted, is removed and made again. Where the lock's contents are those that were
installed last, nothing is asked of the network. Two at the same time wait for each other. Any Python 3.6 reads this
file, so that it can ask for a newer one.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPERVISE = ROOT / "local" / "supervise.py"
OLDEST = (3, 11)
FAILED, INTERRUPTED = 2, 130  # exit codes, as services/ops/cli/console.py has them
PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
PROBE = "import pip, sys; print(sys.prefix, sys.version_info[:2])"


class Environment:
    """A virtual environment, and what is written down in it about what it holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.unfinished = folder / ".unfinished"  # is there while something is being installed
        self.record = folder / ".installed.json"

    def installed(self) -> "dict[str, str]":
        """What was installed last: each lock's contents as a hash, the Python that it was for, and what came of it."""
        return dict(json.loads(self.record.read_text())) if self.record.exists() else {}

    def modules(self) -> "set[str]":
        """The modules and packages that it holds, by the names of their files and folders. One folder is listed."""
        names = {path.name for folder in self.folder.glob("lib/python3*/site-packages") for path in folder.iterdir()}
        names.discard("__pycache__")
        return {name for name in names if (name[:-3] if name.endswith(".py") else name).isidentifier()}

    def probe(self) -> str:
        """Its folder and Python version, as its own Python says them; empty if that does not run or has no pip."""
        if not self.python.exists():
            return ""
        asked = subprocess.run([str(self.python), "-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        told = asked.stdout.decode().strip()
        return told if asked.returncode == 0 and told.startswith(str(self.folder)) else ""

    def is_sound(self) -> bool:
        """Whether it can be used as it is; one that a person made has no record, and may be sound."""
        probed = self.probe()
        known = self.installed()
        is_whole = self.modules() >= set(known.get("modules", "").split())
        return bool(probed) and is_whole and not self.unfinished.exists() and known.get("python", probed) == probed

    def make(self, turn: int) -> None:
        """Make it, or make it again."""
        if self.folder.exists():
            print(f"{self.folder.name} is not complete, or its Python is gone: making it again ...", flush=True)
            shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.unfinished.touch()
        _call(sys.executable, "-m", "venv", str(self.folder), turn=turn)
        self.unfinished.unlink()


def install(environment: Environment, locks: "list[Path]", smelt: bool, turn: int) -> None:
    """Bring the environment to what the first lock says."""
    wanted = {os.path.relpath(lock, ROOT): _hash(lock) for lock in locks}
    if smelt:
        wanted["pyproject.toml"] = _hash(ROOT / "pyproject.toml")  # which commands there are
    if not environment.is_sound():
        environment.make(turn)
    known = environment.installed()
    if all(known.get(name) == value for name, value in wanted.items()):
        return
    print(f"installing {os.path.relpath(locks[0], ROOT)} into {environment.folder.name} ...", flush=True)
    packages = list(environment.folder.glob("lib/python3*/site-packages"))
    before = [folder.stat().st_mtime_ns for folder in packages]
    environment.unfinished.touch()
    try:
        python = str(environment.python)
        _call(python, *PIP, "--require-hashes", "-r", str(locks[0]), turn=turn)
        if smelt:
            _call(python, *PIP, "--no-deps", "--no-build-isolation", "-e", str(ROOT), turn=turn)
    except subprocess.CalledProcessError:
        if before == [folder.stat().st_mtime_ns for folder in packages]:
            environment.unfinished.unlink()  # nothing was installed or removed: such as where the index does not answer
        raise
    state = {"python": environment.probe(), "modules": " ".join(sorted(environment.modules()))}
    environment.record.write_text(json.dumps({**known, **wanted, **state}, indent=1))
    environment.unfinished.unlink()


def _call(*command: str, turn: int) -> None:
    """Run a command that ends when this process ends, however that ends, and that keeps the turn until then.

    Ctrl-C reaches it through us alone, so that it stays quiet.
    """
    line = [sys.executable, str(SUPERVISE), *command]
    with subprocess.Popen(line, stdin=subprocess.PIPE, pass_fds=[turn], start_new_session=True) as process:
        process.wait()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _take_turn() -> int:
    """Wait until nobody else installs in this checkout. The turn ends when this process and its pip have ended."""
    turn = os.open(str(ROOT), os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another installation in this checkout ...", flush=True)
        fcntl.flock(turn, fcntl.LOCK_EX)
    return turn


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main(arguments: "list[str]") -> int:
    if sys.version_info < OLDEST:
        print("error: smelt needs Python 3.11 or newer: run make again with PYTHON=python3.11", file=sys.stderr)
        return FAILED
    smelt = "--smelt" in arguments
    names = [argument for argument in arguments if argument != "--smelt"]
    if len(names) < 2 or any(name.startswith("-") for name in names):
        print(str(__doc__).strip(), file=sys.stderr)
        return FAILED
    venv, *locks = names
    try:
        install(Environment(ROOT / venv), [ROOT / lock for lock in locks], smelt, _take_turn())
    except KeyboardInterrupt:
        print("Interrupted. Run the same command again; it goes on from here.", file=sys.stderr)
        return INTERRUPTED
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"error: {locks[0]} could not be installed into {venv}: {error}.", file=sys.stderr)
        print("Its reason is above. Check the network, the proxy and the disk; then run this again.", file=sys.stderr)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
