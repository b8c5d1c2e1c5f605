"""Transitions of objects.

    (none) --begin--> PLANNING --finish--> PLANNED --mark_done--> DONE
                      |  |   ^                |
                      |  |   '-- begin, once the lease is over or was given back: goes on at the stored plan and cursor
                      |  '------ mark_done ---|-----------------> DONE
                      '------- reject_known --'-----------------> REJECTED
    (none) --reject--> REJECTED

RETRACTED, and the way back to PLANNING, are in `releases`.
An object carries `open`, and so is in the index of open work, until it is DONE or REJECTED. Then it moves to the kind
`done` of the same index, from where the history takes it. Its plan (size, event time, unit size) is fixed by the first
write. The lease of a planning only keeps a second planner from sending the same units;
where it ends too early they are sent twice, which is harmless.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from services.shared.identities import ObjectId, UnitId
from services.shared.ledger.items import Item, object_from, object_key, open_shard, state_of, token_of, unit_key
from services.shared.ledger.records import LeaseHeld, LeaseLost, LedgerObject, ObjectState
from services.shared.ledger.releases import Releases
from services.shared.ledger.table import NEW, UNBOUND, Condition, LedgerTable, in_state, lease_over, leased_with
from services.shared.units import BronzeObject, Copy, Plan

_UNFINISHED = in_state(ObjectState.PLANNING, ObjectState.PLANNED)
_CLOSE = ", #open = :finished, since = :since REMOVE lease_until, lease_token"


class Objects:
    """The transitions of objects over one table."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def begin(self, source: BronzeObject, unit_bytes: int, lease_seconds: float) -> LedgerObject:
        """Start planning an object, or take an abandoned planning over.

        Returns:
            The object. It is PLANNING with a lease of ours where its units from number `sent` on are ours to send, by
            its *stored* plan. In every other state there is nothing to begin: the event is a duplicate.

        Raises:
            LeaseHeld: another planner holds a live lease.
            UnacceptableKey: the key is not one that smelt reads.
        """
        token = secrets.token_hex(8)
        until = self._table.lease_end(lease_seconds)
        item = self._item(Plan.of(source, unit_bytes)) | {
            "state": {"S": ObjectState.PLANNING},
            "sent": {"N": "0"},
            "open": {"S": open_shard("object", source.id)},
            "since": {"N": str(self._table.now_ms())},
            "lease_token": {"S": token},
            "lease_until": {"N": str(until)},
        }
        found = self._table.put_if(item, NEW, lambda there: token_of(there) == token)
        if found is None:
            return object_from(item)
        known = object_from(found)
        if known.state is not ObjectState.PLANNING:
            return known
        return self._take_over(known, token, until)

    def _take_over(self, known: LedgerObject, token: str, until: int) -> LedgerObject:
        """The condition names the token seen, so one of many takers wins."""
        if known.lease_until >= self._table.now_ms():
            raise LeaseHeld(
                f"{known.id} is being planned by another invocation; if that one dies, its lease is over at "
                f"{known.lease_until} (epoch milliseconds)",
                known.lease_until,
            )
        abandoned = in_state(ObjectState.PLANNING) & leased_with(known.lease_token) & lease_over(self._table.now_ms())
        found = self._table.update_if(
            object_key(known.id),
            "SET lease_token = :token, lease_until = :until",
            {":token": {"S": token}, ":until": {"N": str(until)}},
            abandoned,
            lambda there: token_of(there) == token,
        )
        if found is not None:
            raise LeaseHeld(f"{known.id} was taken over by another invocation")
        return object_from(self._table.get(object_key(known.id)))

    def advance(self, planning: LedgerObject, sent: int, lease_seconds: float) -> None:
        """All units before number `sent` are on the queue; the lease is renewed, to end `lease_seconds` from now.

        Raises:
            LeaseLost: the planning is not ours any more. If another planner has taken over, it sends the same units.
        """
        until = self._table.lease_end(lease_seconds)
        values = {":sent": {"N": str(sent)}, ":until": {"N": str(until)}}
        self._update_own(planning, "SET sent = :sent, lease_until = :until", values)

    def give_back(self, planning: LedgerObject, sent: int) -> None:
        """End our lease: the next planner goes on at unit number `sent` at once.

        Raises:
            LeaseLost: the planning is not ours any more.
        """
        values = {":sent": {"N": str(sent)}, ":over": {"N": "0"}}
        self._update_own(planning, "SET sent = :sent, lease_until = :over", values)

    def finish(self, planning: LedgerObject) -> None:
        """All units of the object are on the queue. Nothing changes where they are all committed already.

        Raises:
            LeaseLost: another planner has taken over.
        """
        found = self._table.update_if(
            object_key(planning.id),
            "SET #state = :planned, planned_at = :now, sent = :sent REMOVE lease_until, lease_token",
            {
                ":planned": {"S": ObjectState.PLANNED},
                ":now": self._table.timestamp(),
                ":sent": {"N": str(planning.plan.units)},
            },
            in_state(ObjectState.PLANNING) & leased_with(planning.lease_token),
            lambda there: state_of(there) not in ("", ObjectState.PLANNING),
        )
        if found is not None:
            raise LeaseLost(f"{planning.id}: another invocation took its planning over")

    def read_from(self, known: LedgerObject, announced: BronzeObject) -> LedgerObject:
        """Pin the version that a later event announced: the same bytes, uploaded again, while work is unfinished.

        Events come out of order, and side by side: the newest version wins, an older one changes nothing.
        """
        seen = known.version_at or known.source.created
        if not announced.version_id or announced.version_id == known.source.version_id or announced.created < seen:
            return known
        at = announced.created.isoformat()
        pinned = self._table.update(
            object_key(known.id),
            "SET version_id = :version, version_at = :at",
            {":version": {"S": announced.version_id}, ":at": {"S": at}},
            _UNFINISHED & Condition("attribute_not_exists(version_at) OR version_at <= :at", {}),
        )
        if not pinned:
            return known
        source = replace(known.source, version_id=announced.version_id)
        return replace(known, plan=replace(known.plan, source=source), version_at=announced.created)

    def read_copy(self, id_: ObjectId, copy: Copy, announced: datetime) -> None:
        """Pin a copy of an unfinished object, to be read where the object's own bytes are gone. The newest wins."""
        at = announced.isoformat()
        version = {":version": {"S": copy.version_id}} if copy.version_id else {}
        which = ", copy_version = :version" if version else " REMOVE copy_version"
        self._table.update(
            object_key(id_),
            f"SET copy_key = :key, copy_etag = :etag, copy_at = :at{which}",
            {":key": {"S": copy.key}, ":etag": {"S": copy.etag}, ":at": {"S": at}, **version},
            _UNFINISHED & Condition("attribute_not_exists(copy_at) OR copy_at <= :at", {}),
        )

    def note_resent(self, id_: ObjectId) -> None:
        """Units of an unfinished object were sent again: whoever looks for lost ones leaves it alone for a while."""
        now = {":now": self._table.timestamp()}
        self._table.update(object_key(id_), "SET resent_at = :now", now, _UNFINISHED)

    def forget_copy(self, id_: ObjectId) -> None:
        """Remove the record of a copy that was rejected because nobody knew its origin. Today the ledger does."""
        unknown = in_state(ObjectState.REJECTED) & Condition("reason = :reason", {":reason": {"S": "unknown_origin"}})
        self._table.delete_if(object_key(id_), unknown)

    def reject(self, source: BronzeObject, reason: str, advice: str) -> bool:
        """Record that an object is not turned into work, why, and what can be done.

        Returns:
            False where the object was known already.
        """
        item = self._item(Plan(source, max(source.size, 1))) | {
            "state": {"S": ObjectState.REJECTED},
            "reason": {"S": reason},
            "advice": {"S": advice},
            "rejected_at": self._table.timestamp(),
            "open": {"S": open_shard("done", source.id)},
            "since": {"N": str(self._table.now_ms())},
        }
        return self._table.put_if(item, NEW, lambda there: there == item) is None

    def reject_known(self, unit: UnitId, reason: str, advice: str) -> bool:
        """Give up an unfinished object whose only unit can never be read. From here on no lot can claim the unit.

        Returns:
            False where the object is finished already, or another worker has a lot with the unit. Nothing is changed.
        """
        give_up = f"SET #state = :rejected, reason = :reason, advice = :advice, rejected_at = :now{_CLOSE}"
        values = {
            **self._finished(unit.object),
            ":rejected": {"S": ObjectState.REJECTED},
            ":reason": {"S": reason},
            ":advice": {"S": advice},
            ":now": self._table.timestamp(),
        }
        refuse = ("SET refused_at = :now", {":now": self._table.timestamp()})
        return not self._table.transact(
            [
                {"update": (object_key(unit.object), give_up, values), "condition": _UNFINISHED},
                {"update": (unit_key(unit), *refuse), "condition": UNBOUND},
            ]
        )

    def reopen(
        self, id_: ObjectId, unit_bytes: int | None = None, marked: bool = False, rejected: bool = False
    ) -> LedgerObject:
        """Let a RETRACTED or REJECTED object in again: see `Releases.reopen`."""
        return Releases(self._table).reopen(id_, unit_bytes, marked, rejected)

    def mark_done(self, ids: Iterable[ObjectId]) -> None:
        """These objects have no unit that could be missing: they are empty. One that is finished stays as it is."""
        for id_ in ids:
            self._mark_done(id_)

    def mark_done_as_seen(self, seen: Iterable[tuple[ObjectId, int]]) -> int:
        """Every unit of these objects was committed when they were seen; each with its `since` at that time.

        Only an object that was not let in again since is DONE: an operator may have retracted it and begun to load it
        again, however short a time ago its units were committed.

        Returns:
            How many are DONE by this.
        """
        return sum(self._mark_done(id_, Condition("since = :seen", {":seen": {"N": str(at)}})) for id_, at in seen)

    def _mark_done(self, id_: ObjectId, *conditions: Condition) -> bool:
        condition = _UNFINISHED
        for further in conditions:
            condition &= further
        return self._table.update(
            object_key(id_),
            f"SET #state = :done, done_at = :now{_CLOSE}",
            {":done": {"S": ObjectState.DONE}, ":now": self._table.timestamp(), **self._finished(id_)},
            condition,
        )

    def _finished(self, id_: ObjectId) -> Item:
        """The values of `_CLOSE`: out of the index's open work, into what the history takes next."""
        return {":finished": {"S": open_shard("done", id_)}, ":since": {"N": str(self._table.now_ms())}}

    def _item(self, plan: Plan) -> Item:
        source = plan.source
        version = {"version_id": {"S": source.version_id}} if source.version_id else {}
        return {
            **object_key(source.id),
            **version,
            "size": {"N": str(source.size)},
            "created": {"S": source.created.isoformat()},
            "step": {"N": str(plan.step)},
            "units": {"N": str(plan.units)},
            "seen_at": self._table.timestamp(),
        }

    def _update_own(self, planning: LedgerObject, expression: str, values: Item) -> None:
        ours = in_state(ObjectState.PLANNING) & leased_with(planning.lease_token)
        if not self._table.update(object_key(planning.id), expression, values, ours):
            raise LeaseLost(
                f"{planning.id}: its planning was taken over by another invocation, or the object is finished"
            )
