"""Messages: from what SQS delivers to units that the ledger confirms. Nothing that a body says is believed before.

What the ledger's object decides, and what happens to the message then:

    no such object, or another size, event time or range than planned  ->  refused: a dead letter with its reason
    DONE, REJECTED or RETRACTED                                        ->  a duplicate: acknowledged
    PLANNING or PLANNED                                                ->  a unit, read as the ledger's object says
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.shared.ledger.records import LedgerObject
from services.shared.units import Unit, UnitMessage
from services.transform.protocol.failures import RefusedMessage


@dataclass(frozen=True, slots=True)
class Letter:
    """One SQS message of a delivery: its id, body, and how often SQS has delivered it, this time included."""

    message_id: str
    body: str
    receives: int

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Letter:
        return cls(record["messageId"], record["body"], int(record["attributes"]["ApproximateReceiveCount"]))


def confirmed(message: UnitMessage, known: LedgerObject | None, bronze_bucket: str) -> Unit:
    """The unit that a message is about, with its object as the ledger knows it.

    Raises:
        RefusedMessage: the ledger does not confirm the message.
    """
    if message.object.bucket != bronze_bucket:
        raise RefusedMessage(f"{message.id} is not in {bronze_bucket}, the only bucket that this pipeline reads")
    if known is None:
        raise RefusedMessage(
            f"{message.id}: the ledger does not know this object. If it is in Bronze, upload it again, so that S3 "
            "announces it; otherwise find out who sends to this queue"
        )
    if wrong := known.plan.contradiction(message):
        raise RefusedMessage(f"{message.id}: {wrong}; find out who sends to this queue")
    return Unit(known.source, message.start, message.end, known.since)
