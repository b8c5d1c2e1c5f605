"""A worker stops while there is still time to end what it has begun."""

from __future__ import annotations

import pytest

from services.shared.deadline import Deadline, OutOfTime
from services.shared.errors import Transient
from tests.support.lake import Clock


def test_work_goes_on_until_only_the_reserve_is_left() -> None:
    clock = Clock(0.0)
    deadline = Deadline(lambda: 60 - clock.now, reserve=5)
    clock.advance(54.9)
    deadline.check()
    clock.advance(0.1)
    with pytest.raises(OutOfTime, match=r"5\.0 s are left"):
        deadline.check()


@pytest.mark.parametrize(("seconds", "reserve"), [(8.0, 2.0), (60.0, 15.0), (900.0, 15.0)])
def test_the_reserve_is_a_quarter_of_the_time_but_at_most_15_seconds(seconds: float, reserve: float) -> None:
    assert Deadline.of(lambda: seconds).reserve == reserve


def test_running_out_of_time_is_nobodys_fault() -> None:
    assert issubclass(OutOfTime, Transient)
