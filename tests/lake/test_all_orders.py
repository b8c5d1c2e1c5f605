"""Loads, publishing, compactions that go on, retractions, maintenance, and the lake off and on, in random orders.

Each of them may die at any call. At the end, the table has each row that is left once, or a later one of its key.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from services.ops.compacting.table import compact_table
from services.ops.lake.compaction import Outdated
from services.shared.compaction import CompactionPlan
from services.shared.ledger.records import LeaseHeld, Outbox
from services.shared.units import BronzeObject
from tests.faults.rig import crash, shipment
from tests.lake.compacting import compaction_of, run_job
from tests.lake.rig import LakeRig, day
from tests.support.faults import Crash, Interrupter
from tests.support.rewriting import retract

STEPS = 14


class History:
    """One random history."""

    def __init__(self, lake: LakeRig, seed: int) -> None:
        self.lake, self._random = lake, random.Random(seed)
        self.left: dict[BronzeObject, list[int]] = {}  # objects that are not retracted, with their shipments
        self._next = 1

    def run(self) -> None:
        steps: list[Callable[[], None]] = [
            *[self.load] * 3,
            *[self.publish] * 2,
            *[self.compact] * 2,
            *(self.die_before_the_commit, self.retract, self.maintain, self.off_and_on),
        ]
        self.load()
        for _ in range(STEPS):
            with suppress(LeaseHeld, Outdated):
                try:
                    self._random.choice(steps)()
                except Crash:
                    self.lake.rig.clock.advance(2000)  # leases end
        for _ in range(2):
            self.lake.rig.clock.advance(5000)
            self.lake.rig.tidy()
            self.lake.backfill()
        self.lake.rig.tidy()

    def load(self) -> None:
        """Two new shipments, and now and then one that was there before."""
        numbers = [self._next, self._next + 1]
        if self._random.random() < 0.5:
            numbers.append(self._random.randint(1, self._next))
        self._next += 2
        source = self.lake.rig.upload("shipments", [shipment(number) for number in numbers])
        self.lake.rig.deliver(self.lake.rig.units[-1:])
        self.left[source] = numbers

    def publish(self) -> None:
        self.lake.publish(self._may_die())

    def die_before_the_commit(self) -> None:
        plan = compaction_of(self.lake, self._may_die()).prepare(day(1))
        if plan is not None and self._random.random() < 0.7:
            run_job(self.lake, plan)

    def compact(self) -> None:
        def job(plan: CompactionPlan) -> None:
            run_job(self.lake, plan)

        compact_table(compaction_of(self.lake, self._may_die()), day(1), job)

    def retract(self) -> None:
        if self.left:
            source = self._random.choice(list(self.left))
            del self.left[source]
            retract(self.lake.rig, source)

    def maintain(self) -> None:
        self.lake.maintain(timedelta(days=self._random.choice([0, 3])), self._may_die())

    def off_and_on(self) -> None:
        self.lake.rig.ledger.marks.close_outbox(Outbox.PUBLISH)
        self.lake.rig.clock.advance(3)
        if self._random.random() < 0.5:
            self.retract()
        self.lake.rig.tidy()
        self.lake.backfill()

    def _may_die(self) -> Interrupter | None:
        if self._random.random() < 0.6:
            return None
        return Interrupter(self._random.randint(1, 25), self._random.random() < 0.5, crash)


@pytest.mark.parametrize("seed", range(15))
def test_nothing_is_lost_or_doubled_in_any_order(lake: LakeRig, seed: int) -> None:
    history = History(lake, seed)
    history.run()
    wanted = {f"S{number}" for numbers in history.left.values() for number in numbers}
    rows = lake.rows().to_pylist() if lake.catalog().find("shipments") else []
    assert {row["shipment_id"] for row in rows} == wanted
    positions = Counter((row["_source"], row["_offset"]) for row in rows)
    assert set(positions.values()) <= {1}
    assert positions <= lake.in_silver()
