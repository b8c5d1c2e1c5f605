"""Work side by side whose results come in order, in bounded memory; and a brake for it. Knows nothing of smelt.

Ctrl-C must end a program, whatever its threads are waiting for. Those of `concurrent.futures` are waited for at exit,
so these are daemons: what has begun gets a moment to end, then it is left behind.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

GRACE_SECONDS = 3.0  # for work that changes something, after an error or Ctrl-C


def in_order(function: Callable[[T], R], items: Iterable[T], jobs: int, grace: float = GRACE_SECONDS) -> Generator[R]:
    """`function` of each item, `jobs` at a time. At most twice as many items are taken ahead of what is yielded.

    Raises:
        Exception: what `function` raised, behind the results before it. What has begun then has `grace` seconds.
    """
    flying: deque[Future[R]] = deque()
    threads = _Threads(function, jobs)
    try:
        for item in items:
            if len(flying) >= 2 * jobs:
                yield flying.popleft().result()
            flying.append(threads.submit(item))
        while flying:
            yield flying.popleft().result()
    finally:
        threads.close(flying, grace)


def read_ahead(items: Iterator[T], ahead: int = 2) -> Generator[T]:
    """The same items, of which a thread of its own fetches the next ones meanwhile."""

    def following(_: None) -> T | None:
        return next(items, None)

    threads = _Threads(following, 1)
    waiting = deque(threads.submit(None) for _ in range(ahead))
    try:
        while (item := waiting.popleft().result()) is not None:
            waiting.append(threads.submit(None))
            yield item
    finally:
        threads.close(waiting, 0)


class _Threads(Generic[T, R]):
    """Daemon threads that apply one function; they start when there is work for them."""

    def __init__(self, function: Callable[[T], R], jobs: int) -> None:
        self._function, self._jobs = function, jobs
        self._tasks: SimpleQueue[tuple[Future[R], T] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, item: T) -> Future[R]:
        future: Future[R] = Future()
        self._tasks.put((future, item))
        if len(self._threads) < self._jobs:
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()
        return future

    def close(self, flying: Iterable[Future[R]], grace: float) -> None:
        """What has not begun is dropped; what has gets `grace` seconds to end."""
        for future in flying:
            future.cancel()
        for _ in self._threads:
            self._tasks.put(None)
        until = time.monotonic() + grace
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, item = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = self._function(item)
            except BaseException as error:  # noqa: BLE001 (whatever it is, whoever waits for the result gets it)
                future.set_exception(error)
            else:
                future.set_result(result)


class Pace:
    """At most `per_second` turns a second, evenly; 0 for as many as there are. Safe for threads."""

    def __init__(
        self,
        per_second: float = 0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._sleep, self._clock = sleep, clock
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        if not self._gap:
            return
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)
