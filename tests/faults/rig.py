"""A pipeline from the queue on: real transform, real ledger on an emulator, lake in memory, and ways to break it."""

from __future__ import annotations

import itertools
import json
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.shared.contract.model import Contract
from services.shared.identities import LakeKey
from services.shared.ledger.ledger import Ledger, LotState
from services.shared.units import BronzeObject, Unit, plan
from services.transform.protocol.delivery import BatchProcessor, BatchResult
from services.transform.protocol.lots import Deadline, LotWorker
from services.transform.reading.reader import UnitReader
from tests.support.faults import LAKE_CALLS, LEDGER_CALLS, Crash, Interrupted, Interrupter
from tests.support.lake import BRONZE, Clock, MemoryLake

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
    """Objects, their units, and workers over them. `unit_bytes` cuts objects small."""

    dynamodb: Any
    table: str
    contracts: Mapping[str, Contract]
    unit_bytes: int = 1024
    lake: MemoryLake = field(default_factory=MemoryLake)
    clock: Clock = field(default_factory=Clock)
    units: list[Unit] = field(default_factory=list)
    expected: Counter[tuple[str, int]] = field(default_factory=Counter)
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _numbers: Any = field(default_factory=itertools.count)

    def upload(self, dataset: str, lines: Sequence[bytes]) -> BronzeObject:
        """An object of these lines; each is expected to end up exactly once."""
        data = b"".join(line + b"\n" for line in lines)
        source = self.lake.upload(f"bronze/{dataset}/{self.name}-{next(self._numbers)}.jsonl", data)
        offset = 0
        for line in lines:
            if line:  # a blank line is no row
                self.expected[str(source.id), offset] += 1
            offset += len(line) + 1
        self.units += plan(source, self.unit_bytes)
        return source

    def deliver(
        self, units: Sequence[Unit], interrupter: Interrupter | None = None, lot_bytes: int = 1 << 20
    ) -> BatchResult | None:
        """One invocation with one message for each of these units; None where it crashed."""
        interrupter = interrupter or Interrupter()
        lake = Interrupted(self.lake, interrupter, LAKE_CALLS)
        ledger = Ledger(Interrupted(self.dynamodb, interrupter, LEDGER_CALLS), self.table, clock=self.clock)
        reader = UnitReader(lake, max_row_bytes=4096, block_bytes=512)
        worker = LotWorker(lake, ledger, self.contracts, lot_bytes, reader, self.clock)
        batch = [{"messageId": str(n), "body": unit.to_message()} for n, unit in enumerate(units)]
        deadline = Deadline.of(self._remaining())
        try:
            return BatchProcessor(worker, ledger, BRONZE).process(batch, deadline)
        except Crash:
            return None

    def acknowledged(self, units: Sequence[Unit], result: BatchResult | None) -> list[Unit]:
        """Which of the delivered units SQS will not deliver again."""
        if result is None:
            return []
        back = {failure["itemIdentifier"] for failure in result.response["batchItemFailures"]}
        return [unit for n, unit in enumerate(units) if str(n) not in back]

    def drain(self, pending: Sequence[Unit], deliveries: int = 20) -> None:
        """Deliver, with time passing between, until every message is acknowledged."""
        left = list(pending)
        for _ in range(deliveries):
            if not left:
                return
            self.clock.advance(2 * INVOCATION_SECONDS)
            done = set(map(str, (unit.id for unit in self.acknowledged(left, self.deliver(left)))))
            left = [unit for unit in left if str(unit.id) not in done]
        raise AssertionError(f"{len(left)} messages are still not acknowledged after {deliveries} deliveries")

    def forget(self, source: BronzeObject) -> None:
        """Expect nothing of an object any more."""
        self.units = [unit for unit in self.units if unit.object != source]
        for row in [row for row in self.expected if row[0] == str(source.id)]:
            del self.expected[row]

    def check_exactly_once(self) -> None:
        """Every row stands once in Silver or quarantine; the ledger names each file, and no other file exists."""
        assert self.lake.positions() == self.expected
        found = Ledger(self.dynamodb, self.table, clock=self.clock).look_up([unit.id for unit in self.units])
        assert len(found.lot_of) == len({unit.id for unit in self.units})
        assert {lot.state for lot in found.lots.values()} <= {LotState.COMMITTED}
        for lot in found.lots.values():
            assert {LakeKey.parse(file.key).lot for file in lot.files} <= {lot.id}
        listed = {file.key: file.rows for lot in found.lots.values() for file in lot.files}
        assert set(listed) == set(self.lake.files)
        assert all(lot.counts.conserved for lot in found.lots.values())
        assert sum(lot.counts.read for lot in found.lots.values()) == self.expected.total()

    def _remaining(self) -> Callable[[], float]:
        end = self.clock.now + INVOCATION_SECONDS
        return lambda: end - self.clock.now


def crash() -> None:
    """The action of an interrupter that stops the worker for good."""
    raise Crash


def shipments_and_nonsense(rig: Rig) -> Rig:
    """Two objects of several units, rows over three days, some of them bad: several files a lot."""
    rig.upload("shipments", [*(shipment(n, 1 + n % 3) for n in range(12)), b"{broken", b'{"event_time": 5}'])
    rig.upload("nonsense", [shipment(n) for n in range(4)])
    return rig
