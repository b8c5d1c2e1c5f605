"""Random histories: loading, retracting, publishing, compacting and tidying, any of them interrupted by any other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.ops.lake.committer import TableBusy, WrongFile
from services.ops.lake.compaction import Outdated
from services.shared.ledger.records import LeaseHeld
from services.shared.units import BronzeObject
from tests.faults.rig import crash, shipment
from tests.faults.test_random_histories import CASES
from tests.lake.compacting import compact
from tests.lake.rig import LakeRig, Make, day
from tests.support.faults import Interrupter
from tests.support.rewriting import retract

ACTS = ["load", "retract", "publish", "compact", "maintain", "backfill"]
LATER = timedelta(days=40)
PAUSE = timedelta(seconds=2000)  # of who is interrupted: longer than a lease, shorter than what nobody names stays


@dataclass(frozen=True)
class Step:
    act: str
    at: int  # the call that is interrupted; 0: none
    before: bool
    meanwhile: str  # what another one does then, with all leases over; empty: the one who acts dies
    pick: int


STEPS = st.lists(
    st.builds(
        Step,
        act=st.sampled_from(ACTS),
        at=st.integers(0, 30),
        before=st.booleans(),
        meanwhile=st.sampled_from(["", *ACTS]),
        pick=st.integers(0, 5),
    ),
    min_size=2,
    max_size=9,
)


class Story:
    """One lake, and what happens to it. Every shipment comes once, so that no row is ever superseded."""

    def __init__(self, lake: LakeRig) -> None:
        self.lake, self.numbers = lake, count()
        self.sources: list[BronzeObject] = []
        self.retracted: list[BronzeObject] = []
        for _ in range(3):
            self.act("load", None, 0)

    def act(self, what: str, interrupter: Interrupter | None, pick: int, later: timedelta = LATER) -> None:
        lake, on = self.lake, 1 + pick % 2
        if what == "load":
            pair = [
                lake.rig.upload("shipments", [shipment(next(self.numbers), on), shipment(next(self.numbers), 1)])
                for _ in range(2)
            ]
            self.sources += pair
            lake.rig.deliver(lake.rig.units[-2:], interrupter)
        elif what == "retract":
            self.retract(self.sources[pick % len(self.sources)], interrupter)
        elif what == "publish":
            lake.publish(interrupter)
        elif what == "compact":
            with suppress(Outdated, LeaseHeld, TableBusy, WrongFile, FileNotFoundError):  # given up
                compact(lake, day(on), interrupter)
        elif what == "maintain":
            with suppress(LeaseHeld, TableBusy):
                lake.maintain(later, interrupter)
        else:
            lake.backfill(interrupter, again=bool(pick % 2))

    def retract(self, source: BronzeObject, interrupter: Interrupter | None) -> None:
        def sleep(seconds: float) -> None:
            self.lake.rig.clock.advance(max(seconds, 2000))
            self.lake.publish()
            self.lake.rig.tidy()

        if source not in self.retracted:
            self.retracted.append(source)
        retract(self.lake.rig, source, interrupter, sleep=sleep)

    def play(self, step: Step) -> None:
        def other() -> None:
            self.lake.rig.clock.advance(PAUSE.total_seconds())
            self.act(step.meanwhile, None, step.pick + 1, PAUSE)

        interrupter = Interrupter(step.at, step.before, other if step.meanwhile else crash)
        self.act(step.act, interrupter, step.pick)
        for snapshot in self.lake.table().snapshots() if self.lake.catalog().find("shipments") else ():
            self.lake.rows(snapshot=snapshot.snapshot_id)  # no file is gone that a snapshot names
        self.lake.rig.clock.advance(2000)

    def end(self) -> None:
        for source in self.retracted:
            self.retract(source, None)
            self.lake.rig.forget(source)
        self.lake.rig.drain(self.lake.rig.units)
        self.lake.settle()
        self.lake.check()
        self.lake.rig.check_exactly_once()


@pytest.mark.timeout(3600)
@settings(
    max_examples=max(CASES // 15, 5),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=STEPS)
@example([Step("publish", 0, True, "", 0), Step("load", 0, True, "", 0), Step("maintain", 3, True, "publish", 0)])
def test_every_committed_row_is_in_the_table_once_after_any_history(make: Make, steps: list[Step]) -> None:
    story = Story(make())
    for step in steps:
        story.play(step)
    story.end()
