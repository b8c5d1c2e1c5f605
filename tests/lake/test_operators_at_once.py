"""Operators, schedules, traffic, lost files and the lake at random, beside each other and killed at any call."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pyarrow as pa
import pytest

from services.ops.history.reader import History
from services.ops.lake.check import check_table
from services.ops.lake.committer import TableBusy, WrongFile
from services.ops.lake.compaction import Outdated
from services.shared.contract.model import Contract
from services.shared.ledger.records import LeaseHeld
from services.shared.manifest_json import ManifestError
from tests.faults.test_random_histories import CASES
from tests.lake.compacting import compact
from tests.lake.rig import LakeRig, Make, positions_of
from tests.lake.test_random_histories import LATER
from tests.support.faults import Interrupter
from tests.support.office import DAMAGE, Office, wider
from tests.support.replaying import Desk

STEPS = 20  # of one case
GIVEN_UP = (Outdated, LeaseHeld, TableBusy, WrongFile, ManifestError, FileNotFoundError, pa.ArrowInvalid)
WORK = (
    *["upload"] * 2,
    *["deliver"] * 4,
    *["publish"] * 5,
    *["compact"] * 5,
    "maintain",
    "backfill",
    *["wait", "let_expire", "sweep", "reconcile", "replay"],
    *["archive", "retract", "force", "retry"] * 2,
)


@dataclass
class LakeOffice(Office):
    """The office, with tables over its files. Every shipment comes once, so that no row is ever superseded."""

    lake: LakeRig = field(kw_only=True)
    _shipments: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.history = self.lake.history
        self.lake.backfill()  # from here on, rewrites leave marks

    def number(self) -> int:
        return next(self._shipments)

    def pause(self, seconds: float) -> None:
        """The schedule publishes while somebody waits."""
        super().pause(seconds)
        self.lake.publish()

    def publish(self, stops: Interrupter) -> None:
        self.lake.publish(stops)

    def compact(self, stops: Interrupter) -> None:
        days = sorted({key.split("dt=")[1][:10] for key in self.rig.lake.files if key.startswith("silver/shipments/")})
        with suppress(*GIVEN_UP):
            self.told["compacted"] += bool(compact(self.lake, self.dice.choice(days or ["2026-01-01"]), stops))

    def maintain(self, stops: Interrupter) -> None:
        with suppress(LeaseHeld, TableBusy):
            self.lake.maintain(LATER, stops)

    def backfill(self, stops: Interrupter) -> None:
        self.lake.backfill(stops, again=bool(self.dice.randrange(2)))

    def come_to_an_end(self) -> None:
        super().come_to_an_end()
        self.lake.settle()

    def check(self) -> None:
        super().check()
        committed = Counter[tuple[str, int]]()
        for row in self.rig.lake.rows("silver/shipments"):
            committed[row["_source"], row["_offset"]] += 1
        assert self.lake.positions() == committed
        checked = check_table(self.rig.ledger, self.lake.catalog(), self.lake.store, History(self.history), "shipments")
        assert (checked.missing, checked.stale, checked.uneven, checked.waiting) == ([], [], [], 0)
        assert not list(self.rig.ledger.open_entries("publish"))

    def check_snapshots(self) -> None:
        """No file is gone that a snapshot names."""
        found = self.lake.catalog().find("shipments")
        for snapshot in found.snapshots() if found else ():
            assert max(positions_of(self.lake.rows(snapshot=snapshot.snapshot_id)).values(), default=1) == 1


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("work", [WORK, (*WORK, *DAMAGE)], ids=["whole files", "lost files"])
def test_every_row_is_in_the_table_once_whatever_operators_do(
    make: Make, contracts: dict[str, Contract], work: tuple[str, ...]
) -> None:
    told = Counter[str]()
    for seed in range(max(CASES // 15, 5)):
        lake = make()
        lake.unit_bytes = lake.rig.unit_bytes = 300
        office = LakeOffice(Desk(lake.rig), wider(contracts), random.Random(seed), work=work, lake=lake)
        for _ in range(3):
            office.upload(Interrupter())
            office.deliver(Interrupter())
        try:
            for _ in range(STEPS):
                office.one_step()
                if not office.harmed:
                    office.check_snapshots()
            office.come_to_an_end()
            office.check()
        except Exception as error:
            error.add_note(f"with the seed {seed}")
            raise
        told += office.told
    assert told["killed"]
    assert told["compacted"]
    assert bool(told["loaded again"]) is (work != WORK)
