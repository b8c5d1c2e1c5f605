"""Tasks on one or several processes. A worker ends with its parent, however that ends.

Processes are started afresh (spawn): Arrow's threads do not survive a fork.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for_end
from types import FrameType
from typing import Any

from services.ops.errors import OperatorError
from workbench.inprocess.pipeline import MIB, NO_LIMIT_SECONDS
from workbench.trial.work import Done, Settings, Task, work

WORKER_BYTES = 512 * MIB  # what a worker may take; docs/benchmarks.md has the peaks
LEAST_BYTES = 8 * MIB  # of input for each process; less is read before a second one has started
_SECONDS_BETWEEN = 0.1
_AHEAD = 2  # tasks for each process that wait, so that none is idle

Watch = Callable[[int], None]  # told how many bytes were read so far


def default_jobs() -> int:
    """All cores that this process may use, as far as half of the machine's memory allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(cores, memory // 2 // WORKER_BYTES))


def work_through(tasks: Iterable[Task], settings: Settings, jobs: int, watch: Watch) -> Iterator[Done]:
    """Carry out tasks, in this process if `jobs` is 1. What became of each comes in no order.

    Raises:
        OperatorError: a worker was killed.
        OSError: the disk is full, or a file cannot be read.
    """
    if jobs == 1:
        yield from _here(tasks, settings, watch)
    else:
        yield from _side_by_side(iter(tasks), settings, jobs, watch)


def _here(tasks: Iterable[Task], settings: Settings, watch: Watch) -> Iterator[Done]:
    read = 0

    def on_bytes(number: int) -> None:
        nonlocal read
        read += number
        watch(read)

    with _noticed_interrupts() as check:

        def remaining() -> float:
            check()
            return NO_LIMIT_SECONDS

        for task in tasks:
            yield work(task, settings, on_bytes, remaining)


def _side_by_side(tasks: Iterator[Task], settings: Settings, jobs: int, watch: Watch) -> Iterator[Done]:
    context = multiprocessing.get_context("spawn")
    read, stop = context.Value("q", 0), context.Value("b", 0)
    with (
        ProcessPoolExecutor(jobs, context, _begin, (settings, read, stop)) as pool,
        _noticed_interrupts() as check,
    ):
        try:
            flying: set[Future[Done]] = set()
            while True:
                while len(flying) < jobs * _AHEAD and (task := next(tasks, None)):
                    flying.add(_submit(pool, task))
                if not flying:
                    return
                landed, flying = wait(flying, _SECONDS_BETWEEN, FIRST_COMPLETED)
                check()
                watch(read.value)
                for future in landed:
                    yield future.result()
        except BrokenProcessPool as error:
            raise OperatorError(
                "A worker process was killed, probably because memory ran out: run this again with --jobs 1."
            ) from error
        finally:
            stop.value = 1  # whatever ends this, what is still flying is not wanted
            pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, task: Task) -> Future[Done]:
    """Hand a task on. A process that starts for it never hears of Ctrl-C: what is blocked here is blocked there.

    Nor is it left half started: another thread of a library may take the signal, whose handler then runs in this one.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = signal.getsignal(signal.SIGINT)
    came: list[int] = []
    is_ours = callable(handler) and threading.current_thread() is threading.main_thread()
    if is_ours:
        signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        return pool.submit(_work, task)
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _noticed_interrupts() -> Iterator[Callable[[], None]]:
    """Gives a check, to be called often: Ctrl-C ends the work even where a library that is imported swallows it."""
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    is_ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if is_ours:  # not where it is ignored, as behind `&`
        signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, before)


# In a worker's process


_worker: tuple[Settings, Any, Any]


def _begin(settings: Settings, read: Any, stop: Any) -> None:
    global _worker  # the only way in which a pool hands its tasks something
    _worker = settings, read, stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_end([parent.sentinel])
        os._exit(1)


def _work(task: Task) -> Done:
    settings, read, stop = _worker

    def on_bytes(number: int) -> None:
        with read.get_lock():
            read.value += number

    def remaining() -> float:
        if stop.value:
            sys.exit("stopped")
        return NO_LIMIT_SECONDS

    return work(task, settings, on_bytes, remaining)
