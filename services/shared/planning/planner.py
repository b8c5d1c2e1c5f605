"""From one object to its units on the queue, once.

    begin planning (lease)  ->  send every unit, noting how far  ->  finish planning

The object itself is never read. A planner that fails gives its lease back with its cursor, and the next one goes on
there at once. A planner that dies cannot; its lease ends by itself, before Lambda tries the event again. Units may come
on the queue more than once, but each comes; transform recognises them by their ids.

Whoever finishes another's planning uses the plan in the ledger, whatever its own settings say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from services.shared.aws import FAILURES
from services.shared.deadline import LEASE_SLACK_SECONDS, Deadline
from services.shared.identities import LotId, UnacceptableKey
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseLost, LedgerObject, ObjectState
from services.shared.planning.sending import SendTen, send_in_order
from services.shared.units import BronzeObject, Plan, Unit

# Lambda tries an event again 60 s after it failed, at the earliest. The lease of a planner that was killed, at whatever
# second of however long a timeout, must be over by then; one that lives renews its lease.
LEASE_SECONDS = 45.0
RENEW_SECONDS = 10.0
_LOOKED_UP_AT_ONCE = 100  # units; BatchGetItem's limit
_LOTS_READ_AT_ONCE = 20  # a lot's item has up to 400 KB


class Outcome(StrEnum):
    PLANNED = "planned"  # all its units were sent
    RESUMED = "resumed"  # it was planned before; units that nobody works on were sent again
    DUPLICATE = "duplicate"  # nothing was to be done
    REJECTED = "rejected"  # it is not turned into work
    REFUSED = "refused"  # uploaded again after an operator took its rows away; nothing is loaded


@dataclass(frozen=True, slots=True)
class Planned:
    """What became of one object. `units` counts those that the outcome is about."""

    outcome: Outcome
    units: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans the objects of one pipeline. `send` puts up to ten message bodies on its queue."""

    ledger: Ledger
    bronze_bucket: str
    unit_bytes: int  # bytes of a plain object that one worker reads, where the ledger has no plan yet
    send: SendTen

    def plan(self, source: BronzeObject, deadline: Deadline) -> Planned:
        """Plan one object, finish a planning that stopped, send units that are missing, or record why it is rejected.

        Raises:
            LeaseHeld: another invocation is planning it; come back.
            LeaseLost: another invocation has taken over.
            OutOfTime, SendFailed, ClientError, BotoCoreError: it is not planned yet; come back.
        """
        try:
            if source.bucket != self.bronze_bucket:
                raise UnacceptableKey(source.key, "foreign_bucket", f"this pipeline reads {self.bronze_bucket}")
            Plan.of(source, self.unit_bytes)
        except UnacceptableKey as error:
            is_new = self.ledger.objects.reject(source, error.reason, error.advice)
            return Planned(Outcome.REJECTED if is_new else Outcome.DUPLICATE, reason=str(error))
        known = self.ledger.objects.begin(source, self.unit_bytes, _lease(deadline))
        if known.state is ObjectState.RETRACTED and self.ledger.releases.note_upload(known, source):
            return Planned(Outcome.REFUSED, reason=f"{known.reason}: {known.advice}")
        if known.is_finished:
            return Planned(Outcome.DUPLICATE)
        if known.state is ObjectState.PLANNING:
            self._finish(known, source, deadline)
            return Planned(Outcome.PLANNED, known.plan.units)
        units = self._send_missing(self.ledger.objects.read_from(known, source).plan, deadline)
        return Planned(Outcome.RESUMED if units else Outcome.DUPLICATE, units)

    def _finish(self, ours: LedgerObject, announced: BronzeObject, deadline: Deadline) -> None:
        """Send the units that are not known to be on the queue. Ends our lease, whatever happens."""
        sent = ours.sent
        try:
            self.ledger.objects.read_from(ours, announced)
            rest = map(ours.plan.unit, range(ours.sent, ours.plan.units))
            renewed = deadline.remaining()
            with closing(send_in_order(self.send, rest, deadline)) as steps:
                for step in steps:
                    sent = ours.sent + step
                    if renewed - deadline.remaining() >= RENEW_SECONDS:
                        self.ledger.objects.advance(ours, sent, _lease(deadline))
                        renewed = deadline.remaining()
            if ours.plan.units:
                self.ledger.objects.finish(ours)
            else:
                self.ledger.objects.mark_done([ours.id])  # an empty object: no unit of it is missing
        except Exception as error:  # whatever it was, the next planner must be able to go on at once
            self._give_back(ours, sent, error)
            raise

    def _give_back(self, ours: LedgerObject, sent: int, error: Exception) -> None:
        if isinstance(error, LeaseLost):
            return  # it is another's now
        try:
            self.ledger.objects.give_back(ours, sent)
        except LeaseLost:
            return
        except FAILURES as second:
            error.add_note(f"its lease was not given back and ends within {LEASE_SECONDS:.0f} s ({second})")

    def _send_missing(self, plan: Plan, deadline: Deadline) -> int:
        """Send again those units that are not committed and that no worker has. Returns how many."""
        return max(send_in_order(self.send, self._missing(plan), deadline), default=0)

    def _missing(self, plan: Plan) -> Iterator[Unit]:
        """Units in no lot, or in one that its worker has left: nobody may have a message of such a lot any more."""
        every = iter(plan)
        while units := list(islice(every, _LOOKED_UP_AT_ONCE)):
            lot_of = {record.id: record.lot for record in self.ledger.find_units(unit.id for unit in units)}
            taken_care_of = self._not_abandoned({lot for lot in lot_of.values() if lot})
            yield from (unit for unit in units if lot_of.get(unit.id) not in taken_care_of)

    def _not_abandoned(self, lots: Iterable[LotId]) -> set[LotId]:
        waiting, kept = iter(lots), set[LotId]()
        while some := list(islice(waiting, _LOTS_READ_AT_ONCE)):
            kept |= {lot.id for lot in self.ledger.find_lots(some) if not self.ledger.lots.is_abandoned(lot)}
        return kept


def _lease(deadline: Deadline) -> float:
    """Seconds. A lease never outlives its worker by more than the slack."""
    return min(LEASE_SECONDS, deadline.remaining() + LEASE_SLACK_SECONDS)
