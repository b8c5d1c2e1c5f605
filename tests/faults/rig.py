"""A pipeline from the queue on: real transform, real ledger on an emulator, lake in memory, and ways to break it."""

from __future__ import annotations

import gzip
import itertools
import json
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.identities import LakeKey, ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Lookup, LotState, ObjectState, Outbox
from services.shared.units import BronzeObject, Unit
from services.transform.protocol.dead_letters import DeadLetterQueue
from services.transform.protocol.delivery import DeliveryProcessor, DeliveryResult
from services.transform.protocol.lots import LotWorker
from services.transform.reading.reader import UnitReader
from tests.support.faults import LAKE_CALLS, LEDGER_CALLS, QUEUE_CALLS, Crash, Interrupted, Interrupter
from tests.support.lake import BRONZE, SILVER, Clock, MemoryLake
from tests.support.queue import MemoryQueue, record

INVOCATION_SECONDS = 60.0


def shipment(number: int, day: int = 1) -> bytes:
    """One good row."""
    return json.dumps(
        {
            "event_time": f"2026-01-{day:02d}T00:00:{number % 60:02d}Z",
            "shipment_id": f"S{number}",
            "origin": "HAM",
            "destination": "OSL",
            "carrier": "DHL",
            "weight_kg": number + 0.5,
        }
    ).encode()


@dataclass
class Rig:
    """Objects, their units, and workers over them. `unit_bytes` cuts objects small, `home` is the ledger's bucket.

    Each unit has one message; `receives` counts how often it was delivered.
    """

    dynamodb: Any
    table: str
    contracts: Mapping[str, Contract]
    unit_bytes: int = 1024
    lake: MemoryLake = field(default_factory=MemoryLake)
    clock: Clock = field(default_factory=Clock)
    dead_letters: MemoryQueue = field(default_factory=MemoryQueue)
    units: list[Unit] = field(default_factory=list)
    expected: Counter[tuple[str, int]] = field(default_factory=Counter)
    receives: Counter[str] = field(default_factory=Counter)  # by message id
    reader: Callable[[Any], UnitReader] = lambda lake: UnitReader(lake, max_row_bytes=4096, block_bytes=512)
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    invocation_seconds: float = INVOCATION_SECONDS
    silver: str = SILVER
    home: str = ""  # the bucket that the ledger belongs to, where it is not `silver`
    outboxes: frozenset[Outbox] = frozenset()
    _numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.ledger.home.settle_in_bucket(self.home or self.silver)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.dynamodb, self.table, self.clock, self.outboxes)

    def plan(self, source: BronzeObject) -> BronzeObject:
        """Plan an object as ingest does; its units join `units`."""
        planning = self.ledger.objects.begin(source, self.unit_bytes, 60)
        self.ledger.objects.finish(planning)
        self.units += planning.plan
        return source

    def upload(self, dataset: str, lines: Sequence[bytes], suffix: str = ".jsonl") -> BronzeObject:
        """An object of these lines, packed if its suffix is `.jsonl.gz`; each is expected to end up exactly once."""
        data = b"".join(line + b"\n" for line in lines)
        data = gzip.compress(data) if suffix.endswith(".gz") else data
        source = self.lake.upload(f"bronze/{dataset}/{self.name}-{next(self._numbers)}{suffix}", data)
        self.expect(source, lines)
        return self.plan(source)

    def expect(self, source: BronzeObject, lines: Sequence[bytes]) -> None:
        """Expect each line that is not blank once, at its offset."""
        offset = 0
        for line in lines:
            if line:
                self.expected[str(source.id), offset] += 1
            offset += len(line) + 1

    def deliver(
        self,
        units: Sequence[Unit],
        interrupter: Interrupter | None = None,
        lot_bytes: int = 1 << 20,
        contracts: Mapping[str, Contract] | None = None,
    ) -> DeliveryResult | None:
        """One invocation with one message for each of these units; None where it crashed."""
        return self.deliver_records([self.record(unit) for unit in units], interrupter, lot_bytes, contracts)

    def record(self, unit: Unit) -> dict[str, Any]:
        """The unit's own message, delivered once more."""
        message_id = f"m-{unit.id}"
        self.receives[message_id] += 1
        return record(unit.to_message(), message_id, self.receives[message_id])

    def deliver_records(
        self,
        records: Sequence[Mapping[str, Any]],
        interrupter: Interrupter | None = None,
        lot_bytes: int = 1 << 20,
        contracts: Mapping[str, Contract] | None = None,
    ) -> DeliveryResult | None:
        """One invocation with these messages; None where it crashed."""
        interrupter = interrupter or Interrupter()
        lake = Interrupted(self.lake, interrupter, LAKE_CALLS)
        ledger = Ledger(Interrupted(self.dynamodb, interrupter, LEDGER_CALLS), self.table, self.clock, self.outboxes)
        dead_letters = DeadLetterQueue(Interrupted(self.dead_letters, interrupter, QUEUE_CALLS), "dead-letters")
        worker = LotWorker(
            lake, ledger, contracts or self.contracts, lot_bytes, self.reader(lake), self.clock, writers=1
        )
        deadline = Deadline.of(self._remaining())
        try:
            return DeliveryProcessor(worker, ledger, dead_letters, BRONZE, self.silver).process(records, deadline)
        except Crash:
            return None

    def acknowledged(self, units: Sequence[Unit], result: DeliveryResult | None) -> list[Unit]:
        """Which of the delivered units SQS will not deliver again."""
        if result is None:
            return []
        return [unit for unit in units if f"m-{unit.id}" not in result.failed]

    def drain(self, pending: Sequence[Unit], deliveries: int = 30, lot_bytes: int = 1 << 20) -> None:
        """Deliver, with time passing between, until every message is acknowledged."""
        left = list(pending)
        for _ in range(deliveries):
            if not left:
                return
            self.clock.advance(2 * self.invocation_seconds)
            done = {unit.id for unit in self.acknowledged(left, self.deliver(left, lot_bytes=lot_bytes))}
            left = [unit for unit in left if unit.id not in done]
        raise AssertionError(f"{len(left)} messages are still not acknowledged after {deliveries} deliveries")

    def forget(self, source: BronzeObject) -> None:
        """Expect nothing of an object any more."""
        self.units = [unit for unit in self.units if unit.object.id != source.id]
        for row in [row for row in self.expected if row[0] == str(source.id)]:
            del self.expected[row]

    def tidy(self) -> None:
        """What the sweep does for lots whose commit or rewrite left files."""
        sweep(self.ledger, self.lake)

    def delete_of_paused_worker(self) -> None:
        """Delete the one file that a worker may leave who was paused between the fence and the write.

        docs/architecture.md says what remains then: at most that one file, which no lot names. An operator deletes it
        after the audit.
        """
        lots = self.look_up().lots.values()
        named = {file.key for lot in lots for file in [*lot.files, *(lot.progress.files if lot.progress else ())]}
        orphans = set(self.lake.files) - named - {key for lot in lots for key in lot.outputs | lot.obsolete}
        assert len(orphans) <= 1
        self.lake.delete(orphans)

    def look_up(self) -> Lookup:
        """What the ledger says of all units."""
        return self.ledger.look_up([unit.id for unit in self.units])

    def state_of(self, source: BronzeObject) -> ObjectState:
        (found,) = self.ledger.find_objects([source.id])
        return found.state

    def open_objects(self) -> set[ObjectId]:
        """This rig's objects in the index of open work."""
        return {id_ for id_ in self.ledger.open_objects() if self.name in id_.key}

    def check_exactly_once(self) -> None:
        """Every row is once in Silver or quarantine; the ledger names each file, and there is no other file."""
        assert self.lake.positions() == self.expected
        found = self.look_up()
        assert len(found.lot_of) == len({unit.id for unit in self.units})
        assert {lot.state for lot in found.lots.values()} <= {LotState.COMMITTED}
        for lot in found.lots.values():
            assert {LakeKey.parse(file.key).lot for file in lot.files} <= {lot.id}
        listed = {file.key: file.etag for lot in found.lots.values() for file in lot.files}
        assert listed == {key: self.lake.etag(key) for key in self.lake.files}
        assert not any(lot.outputs for lot in found.lots.values())
        assert all(lot.counts.conserved for lot in found.lots.values())
        assert sum(lot.counts.read for lot in found.lots.values()) == self.expected.total()
        assert not self.dead_letters.sent

    def _remaining(self) -> Callable[[], float]:
        end = self.clock.now + self.invocation_seconds
        return lambda: end - self.clock.now


def crash() -> None:
    """The action of an interrupter that stops the worker for good."""
    raise Crash


def shipments_and_nonsense(rig: Rig) -> Rig:
    """Two objects of several units, rows over three days, some of them bad: several files a lot."""
    rig.upload("shipments", [*(shipment(n, 1 + n % 3) for n in range(12)), b"{broken", b'{"event_time": 5}'])
    rig.upload("nonsense", [shipment(n) for n in range(4)])
    return rig
