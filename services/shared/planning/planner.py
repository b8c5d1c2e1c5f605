"""From one object to its units on the queue, once.

    begin planning (lease)  ->  send every unit, noting how far  ->  finish planning

The object itself is never read. A planner that fails gives its lease back with its cursor, and the next one goes on
there at once. A planner that dies cannot; its lease ends by itself, before Lambda tries the event again. Units may come
on the queue more than once, but each comes; transform recognises them by their ids.

Whoever finishes another's planning uses the plan in the ledger, whatever its own settings say.

A replay's copy is a request to finish its origin: which object that is, the ledger decides (docs/replay.md). A copy
never becomes work of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from services.shared.aws import FAILURES
from services.shared.deadline import LEASE_SLACK_SECONDS, Deadline
from services.shared.identities import CopyKey, ObjectId, UnacceptableKey
from services.shared.lake import LakeForbidden, ObjectGone
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseLost, LedgerObject, ObjectState
from services.shared.planning.missing import Fate, fates
from services.shared.planning.sending import SendTen, send_in_order
from services.shared.units import BronzeObject, Copy, Plan, Unit

# Lambda tries an event again 60 s after it failed, at the earliest. The lease of a planner that was killed, at whatever
# second of however long a timeout, must be over by then; one that lives renews its lease.
LEASE_SECONDS = 45.0
RENEW_SECONDS = 10.0
_LOOKED_UP_AT_ONCE = 100  # units; BatchGetItem's limit


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


def _own_etag(copy: BronzeObject) -> str:
    return copy.etag


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans the objects of one pipeline. `send` puts up to ten message bodies on its queue.

    `origin_etag` tells of which content an object under `bronze/replay/` is a copy (`copies.S3Copies`).
    """

    ledger: Ledger
    bronze_bucket: str
    unit_bytes: int  # bytes of a plain object that one worker reads, where the ledger has no plan yet
    send: SendTen
    origin_etag: Callable[[BronzeObject], str] = _own_etag

    def plan(self, source: BronzeObject, deadline: Deadline) -> Planned:
        """Plan one object, finish a planning that stopped, send units that are missing, or record why it is rejected.

        Raises:
            LeaseHeld: another invocation is planning it; come back.
            LeaseLost: another invocation has taken over.
            OutOfTime, SendFailed, ClientError, BotoCoreError: it is not planned yet; come back.
        """
        if source.bucket == self.bronze_bucket and CopyKey.is_copy(source.key):
            return self._plan_origin(source, deadline)
        return self._plan(source, deadline)

    def judge_again(self, rejected: LedgerObject, deadline: Deadline) -> Planned:
        """Plan an object that was rejected, or taken out to be loaded again, if today's code takes its key.

        Raises:
            As `plan`.
        """
        if not self.takes(rejected):
            return Planned(Outcome.DUPLICATE, reason=f"{rejected.reason}: {rejected.advice}")
        marked = rejected.is_to_be_reloaded
        self.ledger.objects.reopen(rejected.id, self.unit_bytes, marked, rejected=not marked)  # or somebody else has
        return self._plan(rejected.source, deadline)

    def takes(self, known: LedgerObject) -> bool:
        """Whether judging an object again may come to another end than its key alone decides."""
        try:
            Plan.of(known.source, self.unit_bytes)
        except UnacceptableKey:
            return False
        return known.id.bucket == self.bronze_bucket

    def _plan(self, source: BronzeObject, deadline: Deadline) -> Planned:
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
        units = self.send_missing(self.ledger.objects.read_from(known, source).plan, deadline)
        return Planned(Outcome.RESUMED if units else Outcome.DUPLICATE, units)

    # -- copies ------------------------------------------------------------------------------------------------

    def _plan_origin(self, copy: BronzeObject, deadline: Deadline) -> Planned:
        """Finish the object that this is a copy of, from the copy where its own bytes are gone."""
        refusal: LakeForbidden | None = None
        pinned: Copy | None = None
        try:
            etag = self.origin_etag(copy)
            pinned = Copy(copy.key, copy.etag, copy.version_id)
        except ObjectGone:
            etag = copy.etag
        except LakeForbidden as error:
            etag, refusal = copy.etag, error
        known = find_origin(self.ledger, copy, etag)
        if known is None:
            if refusal is not None:
                raise refusal  # its metadata might have said more: tried again, and kept where somebody sees it
            return self._plan(copy, deadline)  # it is rejected: `BronzeKey` knows no such dataset
        if known.state is ObjectState.RETRACTED:
            return Planned(Outcome.REFUSED, reason=f"{known.reason}: {known.advice}")
        if known.state is ObjectState.DONE:
            return Planned(Outcome.DUPLICATE)
        if known.state is ObjectState.REJECTED:
            if not self.takes(known):
                return Planned(Outcome.DUPLICATE, reason=f"{known.reason}: {known.advice}")
            self.ledger.objects.reopen(known.id, self.unit_bytes, rejected=True)
        if pinned:
            self.ledger.objects.read_copy(known.id, pinned, copy.created)
        return self._plan(known.source, deadline)

    # -- sending -----------------------------------------------------------------------------------------------

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

    def send_missing(self, plan: Plan, deadline: Deadline, also_dead: bool = True) -> int:
        """Send again those units that are not committed and that no worker has. Returns how many.

        Args:
            also_dead: units that are dead letters, too. They start from zero, as if they were redriven.

        Raises:
            OutOfTime, SendFailed, ClientError, BotoCoreError: not all of them were sent.
        """
        missing = missing_units(self.ledger, plan, also_dead)
        return max(send_in_order(self.send, missing, deadline), default=0)


def missing_units(ledger: Ledger, plan: Plan, also_dead: bool = True) -> Iterator[Unit]:
    """Units in no lot, or in one that its worker has left: nobody may have a message of such a lot any more."""
    every = iter(plan)
    while units := list(islice(every, _LOOKED_UP_AT_ONCE)):
        found = fates(ledger, [unit.id for unit in units])
        for unit in units:
            fate = found[unit.id]
            if fate.is_missing and (also_dead or fate is not Fate.DEAD):
                yield unit


def find_origin(ledger: Ledger, copy: BronzeObject, etag: str) -> LedgerObject | None:
    """The object that this is a copy of: the first that its key may mean, with this etag or its own, and its size."""
    keys = CopyKey.origins(copy.key)
    wanted = [ObjectId(copy.bucket, key, one) for one in dict.fromkeys((etag, copy.etag)) for key in keys]
    found = {known.id: known for known in ledger.find_objects(wanted) if known.source.size == copy.size}
    return next((found[id_] for id_ in wanted if id_ in found), None)


def _lease(deadline: Deadline) -> float:
    """Seconds. A lease never outlives its worker by more than the slack."""
    return min(LEASE_SECONDS, deadline.remaining() + LEASE_SLACK_SECONDS)
