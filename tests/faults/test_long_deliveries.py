"""A worker looks its units up once and may act minutes later: what another worker did meanwhile must count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from local.stack import Clients
from services.shared.contract.model import Contract
from services.shared.identities import LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, Progress
from services.shared.units import Unit
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipment
from tests.support.faults import Interrupter
from tests.support.lake import Clock
from tests.support.readers import SlowReader

PART_BYTES = 3000  # a part holds about 20 of the rows
ANSWER_SECONDS = 30  # real ones, until a test gives up on another thread


@dataclass
class Script(Interrupter):
    """Runs an action before or after the n-th call of a name: `{("put", 2): action}`."""

    before_call: Mapping[tuple[str, int], Callable[[], None]] = field(default_factory=dict)
    after_call: Mapping[tuple[str, int], Callable[[], None]] = field(default_factory=dict)

    def call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.calls.append(name)
        at = (name, self.calls.count(name))
        self.before_call.get(at, lambda: None)()
        result = function(*args, **kwargs)
        self.after_call.get(at, lambda: None)()
        return result


@dataclass
class Paused:
    """A worker in a thread of its own that waits at one point until it is told to go on."""

    ready: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread = field(default_factory=threading.Thread)

    def wait(self) -> None:
        self.ready.set()
        assert self.go.wait(ANSWER_SECONDS)

    def start(self, work: Callable[[], object]) -> None:
        self.thread = threading.Thread(target=work)
        self.thread.start()
        assert self.ready.wait(ANSWER_SECONDS)

    def go_on(self) -> None:
        self.go.set()
        self.thread.join(ANSWER_SECONDS)
        assert not self.thread.is_alive()


def without_day_one(contracts: Mapping[str, Contract]) -> dict[str, Contract]:
    """A newer version of the contract, under which rows of the first day are refused: other files."""
    shipments = contracts["shipments"]
    earliest = shipments.earliest.replace(year=2026, month=1, day=2)
    return {**contracts, "shipments": replace(shipments, version="9.0.0", earliest=earliest)}


def deliver_over_its_death(rig: Rig, worker: Paused, units: list[Unit], **options: Any) -> None:
    """A delivery that looks its units up, works on a fresh one until the other worker is dead, and then takes over."""
    rig.clock.advance(INVOCATION_SECONDS / 2)

    def the_other_dies() -> None:
        worker.go_on()
        rig.clock.advance(INVOCATION_SECONDS / 2 + 6)  # its lease is over; 9 s are left before our reserve

    result = rig.deliver(units, Interrupter(first="open", action=the_other_dies), **options)
    assert result is not None
    assert [report.taken_over for report in result.reports] == [False, True]


def test_files_that_a_worker_of_another_contract_version_wrote_since_the_look_up_are_deleted(rig: Rig) -> None:
    """Two contract versions during a deployment, and not one message twice."""
    rig.upload("shipments", [*(shipment(n, 2) for n in range(3)), shipment(3, 1)])
    rig.upload("shipments", [shipment(n, 2) for n in range(3)])
    first, second = rig.units
    newer = without_day_one(rig.contracts)
    dies = Interrupter(first="put", action=crash)
    assert rig.deliver([first, second], dies, contracts=newer) is None
    rig.clock.advance(2 * INVOCATION_SECONDS)
    rig.upload("shipments", [shipment(4, 2)])
    fresh = rig.units[2]

    older = Paused()
    script = Script(before_call={("open", 1): older.wait}, after_call={("put", 2): crash})
    older.start(lambda: rig.deliver([first], script))  # it has taken the lot over, and writes a file for day one
    deliver_over_its_death(rig, older, [second, fresh], contracts=newer)
    rig.drain(rig.units)
    rig.check_exactly_once()


def test_parts_of_a_large_unit_that_were_written_since_the_look_up_are_not_written_twice(rig: Rig) -> None:
    rig.reader = lambda lake: SlowReader(lake, rig.clock, 0)
    rig.upload("shipments", [shipment(number, 1 + number % 3) for number in range(120)], ".jsonl.gz")
    rig.upload("shipments", [shipment(1)])
    large, fresh = rig.units

    worker = Paused()
    script = Script(after_call={("put", 4): worker.wait, ("put", 11): crash})  # in the second part, and in the fourth
    worker.start(lambda: rig.deliver([large], script, PART_BYTES))
    deliver_over_its_death(rig, worker, [large, fresh], lot_bytes=3 * PART_BYTES)
    rig.drain(rig.units, lot_bytes=3 * PART_BYTES)
    rig.check_exactly_once()


def test_a_take_over_gives_the_lot_as_it_is_now(clients: Clients, ledger_table: str, rig: Rig) -> None:
    """Outputs, progress and count; progress under other contracts is forgotten."""
    rig.upload("shipments", [shipment(1)])
    ids = [unit.id for unit in rig.units]
    clock = Clock()
    lots = Ledger(clients.dynamodb, ledger_table, clock).lots
    lot_id = LotId.parse("20260101T000000Z-0123456789abcdef")
    claimed = lots.claim(lot_id, ids, ["one"], {"shipments": "1"}, 60)
    clock.advance(61)
    seen = lots.take_over(claimed, {"shipments": "1"}, 60)
    assert seen.take_overs == 1
    progress = Progress((10, "lines"), 1, Counts(1, 1, 0), (), {"shipments": "1"})
    lots.record_progress(lots.record_outputs(seen, ["two"]), progress)
    clock.advance(61)
    taken = lots.take_over(seen, {"shipments": "1"}, 60)
    assert (taken.outputs, taken.progress, taken.take_overs) == (frozenset({"one", "two"}), progress, 1)
    clock.advance(61)
    others = lots.take_over(taken, {"shipments": "2"}, 60)
    assert (others.outputs, others.progress, others.take_overs) == (frozenset({"one", "two"}), None, 2)
    there = lots.look_again(others)
    assert there is not None
    assert there.progress is None
