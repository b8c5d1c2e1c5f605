"""Work side by side whose results come in order, in bounded memory; and a brake for it. Knows nothing of smelt."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(function: Callable[[T], R], items: Iterable[T], jobs: int) -> Generator[R]:
    """`function` of each item, `jobs` at a time. At most twice as many items are taken ahead of what is yielded.

    Raises:
        Exception: what `function` raised, when the results before it have come. What has begun is ended first.
    """
    flying: deque[Future[R]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for item in items:
                if len(flying) >= 2 * jobs:
                    yield flying.popleft().result()
                flying.append(pool.submit(function, item))
            while flying:
                yield flying.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def read_ahead(items: Iterator[T], ahead: int = 2) -> Generator[T]:
    """The same items, of which a thread of its own fetches the next ones meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        try:
            waiting = deque(pool.submit(next, items, None) for _ in range(ahead))
            while (item := waiting.popleft().result()) is not None:
                waiting.append(pool.submit(next, items, None))
                yield item
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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
