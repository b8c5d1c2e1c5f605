"""One delivery of SQS messages: which are done, which go back.

Looks the units up in the ledger, finishes what others left, makes lots of what is free, and answers with the ids
of the messages that must come again. It knows the batch's format; what a lot is belongs to `lots`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.shared.aws import FAILURES, Failure
from services.shared.errors import Terminal
from services.shared.identities import UnitId
from services.shared.ledger.ledger import Ledger, Lookup, LostRace, LotState
from services.shared.units import MalformedMessage, Unit
from services.transform.protocol.lots import Deadline, LotReport, LotWorker, OutOfTime

_ROUNDS = 3  # a race is lost to a worker with one of our units; another look at the ledger settles it


@dataclass(slots=True)
class BatchResult:
    """What became of a delivery. `failed` holds the reason for each message that goes back."""

    reports: list[LotReport] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)  # by message id
    duplicates: int = 0  # messages whose unit was committed before

    @property
    def response(self) -> dict[str, list[dict[str, str]]]:
        """SQS's partial batch response."""
        return {"batchItemFailures": [{"itemIdentifier": message} for message in self.failed]}


class BatchProcessor:
    """Processes deliveries with one worker. Objects of other buckets than `bronze_bucket` are refused."""

    def __init__(self, worker: LotWorker, ledger: Ledger, bronze_bucket: str) -> None:
        self._worker = worker
        self._ledger = ledger
        self._bronze_bucket = bronze_bucket

    def process(
        self,
        records: Sequence[Mapping[str, Any]],
        deadline: Deadline,
        on_lot: Callable[[LotReport], None] = lambda _: None,
    ) -> BatchResult:
        """Process one delivery; `on_lot` hears of each lot as soon as it is committed."""
        delivery = _Delivery(on_lot)
        self._read_messages(records, delivery)
        units = dict(delivery.units)
        for _ in range(_ROUNDS):
            if not units:
                break
            found = self._ledger.look_up(units)
            self._finish_known(found, delivery, deadline)
            free = [unit for id_, unit in units.items() if id_ not in found.lot_of]
            units = self._start_lots(free, delivery, deadline)
        for unit, error in delivery.lost_races.items():
            if unit in units:
                delivery.fail([unit], error)
        return delivery.result

    def _read_messages(self, records: Sequence[Mapping[str, Any]], delivery: _Delivery) -> None:
        for record in records:
            message = record["messageId"]
            try:
                unit = Unit.from_message(record["body"])
                if unit.object.bucket != self._bronze_bucket:
                    raise MalformedMessage(f"{unit.id} is not in {self._bronze_bucket}, the only bucket that is read")
            except MalformedMessage as error:
                delivery.result.failed[message] = error
            else:
                delivery.units.setdefault(unit.id, unit)
                delivery.messages.setdefault(unit.id, []).append(message)

    def _finish_known(self, found: Lookup, delivery: _Delivery, deadline: Deadline) -> None:
        for lot in found.lots.values():
            units = [unit for unit, holder in found.lot_of.items() if holder == lot.id]
            if lot.state is LotState.COMMITTED:
                delivery.result.duplicates += sum(len(delivery.messages[unit]) for unit in units)
                continue
            try:
                deadline.check()
                delivery.commit(self._worker.resume(lot, deadline))
            except FAILURES as error:
                delivery.fail(units, error)

    def _start_lots(self, free: list[Unit], delivery: _Delivery, deadline: Deadline) -> dict[UnitId, Unit]:
        """Make lots of these units. Returns those that lost a race: most of them are still free, so look again."""
        lost: dict[UnitId, Unit] = {}
        while free:
            try:
                deadline.check()
            except OutOfTime as error:
                delivery.fail((unit.id for unit in free), error)
                break
            attempt = self._worker.start(free, deadline)
            if attempt.report:
                delivery.commit(attempt.report)
            for unit, failure in attempt.failed.items():
                if isinstance(failure, LostRace):
                    delivery.lost_races[unit] = failure
                    lost[unit] = delivery.units[unit]
                    continue
                delivery.fail([unit], failure)
                if isinstance(failure, Terminal):
                    self._ledger.note_failure(unit, str(failure))
            free = attempt.left
        return lost


class _Delivery:
    """The messages of one delivery, by unit; the same unit may come in several messages."""

    def __init__(self, on_lot: Callable[[LotReport], None]) -> None:
        self.units: dict[UnitId, Unit] = {}
        self.messages: dict[UnitId, list[str]] = {}
        self.lost_races: dict[UnitId, LostRace] = {}
        self.result = BatchResult()
        self._on_lot = on_lot

    def commit(self, report: LotReport) -> None:
        self.result.reports.append(report)
        self._on_lot(report)

    def fail(self, units: Iterable[UnitId], error: Failure) -> None:
        for unit in units:
            for message in self.messages[unit]:
                self.result.failed[message] = error
