"""How long a worker may go on, and how long its leases outlive it. Pure: the time left comes from a function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from services.shared.errors import Transient

LEASE_SLACK_SECONDS = 5.0  # a lease outlives its worker: the runtime stops the worker at its deadline
_LONGEST_RESERVE_SECONDS = 15.0


class OutOfTime(Transient):
    """The worker's deadline is too near to go on; another worker goes on with what is left."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long the worker may go on. `reserve` seconds are kept back for ending what has begun."""

    remaining: Callable[[], float]  # seconds until the worker is stopped
    reserve: float  # seconds

    @classmethod
    def of(cls, remaining: Callable[[], float]) -> Self:
        """With a quarter of the time that is left now as the reserve, at most 15 seconds."""
        return cls(remaining, min(_LONGEST_RESERVE_SECONDS, remaining() / 4))

    @classmethod
    def endless(cls) -> Self:
        """Of a worker that nobody stops, such as a command."""
        return cls(lambda: math.inf, 0)

    @property
    def left(self) -> float:
        """Seconds before the reserve begins; negative once it has begun."""
        return self.remaining() - self.reserve

    def check(self) -> None:
        """
        Raises:
            OutOfTime: only the reserve is left.
        """
        if self.left <= 0:
            raise OutOfTime(
                f"only {self.remaining():.1f} s are left before the worker is stopped; the next one goes on"
            )
