"""Runs a command that must not outlive the process that started it: after kill -9 or a closed terminal, too.

usage: supervise.py COMMAND...   with a pipe as standard input, whose other end only the starting process has

The pipe ends when that process ends, however it ends. Then the command gets a moment to stop by itself, and what is
left of this process group is killed. Works on every POSIX system, and needs nothing but the standard library.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

SECONDS_TO_STOP = 5


def main(command: list[str]) -> int:
    """Run the command. Returns its exit code, 128 + the signal that ended it; does not return if the parent ended."""
    parent_ended = threading.Event()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        threading.Thread(target=_end_with_the_parent, args=[child, parent_ended], daemon=True).start()
        code = child.wait()
    if parent_ended.is_set():
        _kill_the_group()
    return code if code >= 0 else 128 - code


def _end_with_the_parent(child: subprocess.Popen[bytes], parent_ended: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    parent_ended.set()
    threading.Timer(SECONDS_TO_STOP, _kill_the_group).start()
    child.terminate()


def _kill_the_group() -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
