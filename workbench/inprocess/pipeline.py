"""The real planning and the real transform over local files, without a queue and without time limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.identities import ObjectId
from services.shared.ledger.records import LedgerObject
from services.shared.planning.planner import Planner
from services.shared.units import BronzeObject, Unit
from services.transform.protocol.dead_letters import DeadLetterQueue
from services.transform.protocol.delivery import DeliveryProcessor
from services.transform.protocol.execution import LotReport
from services.transform.protocol.lots import LotWorker
from services.transform.reading.reader import UnitReader
from workbench.inprocess.dynamodb import memory_ledger
from workbench.inprocess.folder import BUCKET, FolderLake

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

MIB = 1024 * 1024
UNIT_BYTES, LOT_BYTES, MAX_ROW_BYTES = 64 * MIB, 128 * MIB, 8 * MIB  # as the functions have them if nothing is set
NO_LIMIT_SECONDS = 10 * 365 * 86_400.0
_MOST_DELIVERIES = 20  # of one message; five attempts of its own make a unit a dead letter long before


class NeverSettled(RuntimeError):
    """Messages came back again and again, although nothing else is at work: a bug."""


def no_limit() -> float:
    """Seconds that are left."""
    return NO_LIMIT_SECONDS


class InProcess:
    """One pipeline in this process, its ledger in memory.

    Args:
        contracts: by dataset.
        lake: where objects are read and files are written.
        unit_bytes: bytes of a plain file that are read as one unit.
        remaining: seconds until the work must stop; may raise whatever is to end it.
    """

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        lake: FolderLake,
        unit_bytes: int = UNIT_BYTES,
        remaining: Callable[[], float] = no_limit,
    ) -> None:
        self._lake = lake
        self._deadline = Deadline(remaining, 0.0)
        self.ledger = memory_ledger()
        self._planner = Planner(self.ledger, BUCKET, unit_bytes, lambda _bodies: None)  # deliveries are made by callers
        queue = SimpleNamespace(send_message=lambda **_: None)  # `deliver` tells what became a dead letter, and why
        worker = LotWorker(lake, self.ledger, contracts, LOT_BYTES, UnitReader(lake, MAX_ROW_BYTES))
        dead_letters = DeadLetterQueue(cast("SQSClient", queue), "dead letters")
        self._processor = DeliveryProcessor(worker, self.ledger, dead_letters, BUCKET, BUCKET)

    def plan(self, source: BronzeObject) -> LedgerObject:
        """Plan an object as ingest does; gives it as the ledger knows it then: planned, rejected, or done if empty."""
        self._planner.plan(source, self._deadline)
        (known,) = self.ledger.find_objects([source.id])
        return known

    def deliver(
        self, units: Sequence[Unit], on_lot: Callable[[LotReport], None] = lambda _: None
    ) -> dict[ObjectId, str]:
        """Deliver units of planned objects, again and again until each is committed or given up.

        Returns:
            the objects that were given up, and why.

        Raises:
            OSError: the disk is full, or a file cannot be read.
            NeverSettled: a bug.
        """
        given_up: dict[ObjectId, str] = {}
        waiting = {str(number): unit for number, unit in enumerate(units)}
        for receives in range(1, _MOST_DELIVERIES + 1):
            records = [_record(name, unit, receives) for name, unit in waiting.items()]
            result = self._processor.process(records, self._deadline, on_lot)
            if self._lake.failure:
                raise self._lake.failure
            given_up |= {waiting[name].object.id: str(error) for name, error in result.dead.items()}
            given_up |= {object_: str(error) for object_, error in result.rejected.items()}
            last, waiting = result.failed, {name: waiting[name] for name in result.failed}
            if not waiting:
                return given_up
        raise NeverSettled(f"units were not settled: {last}")


def _record(name: str, unit: Unit, receives: int) -> dict[str, Any]:
    return {"messageId": name, "body": unit.to_message(), "attributes": {"ApproximateReceiveCount": str(receives)}}
