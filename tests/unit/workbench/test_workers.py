"""Ctrl-C while processes are started."""

from __future__ import annotations

import signal
import socket
import threading
from typing import Any

import pytest

from workbench.trial import workers


def test_a_process_is_not_left_half_started_where_a_thread_of_a_library_takes_the_signal() -> None:
    taken = threading.Event()
    noticed, notice = socket.socketpair()
    notice.setblocking(False)
    before = signal.set_wakeup_fd(notice.fileno())  # to which each signal writes as it arrives, in whatever thread
    thread = threading.Thread(target=taken.wait)
    thread.start()
    started: list[str] = []

    class Pool:
        def submit(self, *_: object) -> None:
            started.append("begun")
            signal.pthread_kill(thread.ident or 0, signal.SIGINT)
            noticed.recv(1)
            started.append("complete")

    pool: Any = Pool()
    task: Any = None
    try:
        with pytest.raises(KeyboardInterrupt), workers._noticed_interrupts():
            workers._submit(pool, task)
    finally:
        signal.set_wakeup_fd(before)
        taken.set()
        thread.join()
    assert started == ["begun", "complete"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
