"""Work side by side keeps its order, its bounds, and its promise to end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from services.ops.parallel import Pace, in_order, read_ahead


def test_results_come_in_the_order_of_the_items_whatever_ends_first() -> None:
    second_done = threading.Event()

    def slow_first(number: int) -> int:
        if number == 0:
            assert second_done.wait(10)
        if number == 1:
            second_done.set()
        return number * number

    assert list(in_order(slow_first, range(10), 2)) == [number * number for number in range(10)]


def test_no_more_is_taken_than_twice_the_jobs_ahead_of_what_was_handed_on() -> None:
    taken = 0

    def counted() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = in_order(lambda number: number, counted(), 4)
    for handed_on, _ in enumerate(results):
        assert taken <= handed_on + 2 * 4 + 1


def test_an_error_comes_behind_the_results_before_it_and_nothing_new_is_begun() -> None:
    begun = []

    def failing(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    got: list[int] = []
    with pytest.raises(ValueError, match="three"):
        got.extend(in_order(failing, range(1000), 1))
    assert len(begun) < 10
    results = in_order(failing, range(1000), 1)
    assert [next(results) for _ in range(3)] == [0, 1, 2]


def test_what_hangs_is_left_behind() -> None:
    hanging = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            hanging.wait()
        if number == 0:
            raise KeyboardInterrupt
        return number

    with pytest.raises(KeyboardInterrupt):
        list(in_order(work, range(2), 2, grace=0.01))
    hanging.set()


def test_reading_ahead_gives_the_same_items_and_their_error() -> None:
    assert list(read_ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(read_ahead(iter(()))) == []

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    items = read_ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)


def test_a_pace_spreads_turns_evenly_and_makes_nothing_up() -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(4, sleep, lambda: now[0])
    for _ in range(3):
        pace.wait()
    assert slept == [0.25, 0.25]
    now[0] += 100  # a long break is not made up for by a rush
    for _ in range(3):
        pace.wait()
    assert slept == [0.25] * 4


def test_without_a_rate_nobody_waits() -> None:
    Pace(0, lambda _: pytest.fail("slept")).wait()
