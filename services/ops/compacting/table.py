"""A compaction into a table of the lake: the job between a plan and a commit, each under the table's lease.

Whoever dies between plan and commit has changed nothing. The next compaction commits what the job has done by then; if
the job has not ended, or its files have changed meanwhile, it makes a plan of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from services.ops.lake.compaction import Compaction, Swap
from services.shared.compaction import CompactionPlan
from services.shared.ledger.records import LeaseHeld

T = TypeVar("T")

_PAUSE = 5  # seconds
_PAUSES = 200  # whoever was killed has a table for a quarter of an hour


@dataclass(slots=True)
class Patience:
    """Waits for whoever works on the table, as the publisher does each minute, for seconds."""

    tell: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    pauses: int = 0

    def __call__(self, held: LeaseHeld) -> None:
        if self.pauses == _PAUSES:
            raise held
        if self.pauses == 0:
            self.tell(f"{held}: waiting for its end")
        self.pauses += 1
        self.sleep(_PAUSE)


def _give_up(held: LeaseHeld) -> None:
    raise held


def compact_table(
    compaction: Compaction,
    dt: str,
    run_job: Callable[[CompactionPlan], None],
    wait: Callable[[LeaseHeld], None] = _give_up,
) -> Swap | None:
    """Compact one partition of the table; None where there is nothing to gain, or no table.

    Args:
        wait: is called where somebody else works on the table; it may raise.

    Raises:
        Outdated: what the plan replaces was replaced meanwhile; nothing was changed.
        LeaseHeld: somebody else works on the table, and `wait` gives up.
        ManifestError, WrongFile: what the job wrote is not what its plan asks for; nothing was changed.
    """
    ended = compaction.find_ended(dt)
    if ended is None:
        plan = _alone(lambda: compaction.prepare(dt), wait)
        if plan is None:
            return None
        run_job(plan)
        ended = compaction.load(plan.run)
    return _alone(lambda: compaction.commit(*ended), wait)


def _alone(work: Callable[[], T], wait: Callable[[LeaseHeld], None]) -> T:
    while True:
        try:
            return work()
        except LeaseHeld as held:
            wait(held)
