"""Transitions that take an object out of the pipeline again, and let it in once more.

    PLANNING, PLANNED, DONE --begin--> RETRACTED, leaving --finish--> RETRACTED --reopen--> PLANNING
                                                            REJECTED ---reopen------------> PLANNING

From `begin` on, deliveries of the object's units are acknowledged as duplicates. Each free unit is then refused, so
that a worker that had looked before cannot claim it; units of committed lots are taken out of them (`rewrites`), which
refuses them too. When the last one is refused, `finish` counts the rows that have left. Until then the object is in the
index of open work, so that whoever stops in the middle is found. An object that is taken out only to be loaded again is
marked `reload`, and stays in that index until it is let in.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

from services.shared.errors import Terminal
from services.shared.identities import ObjectId, UnitId
from services.shared.ledger.items import (
    Item,
    counts_item,
    object_from,
    object_key,
    open_shard,
    state_of,
    unit_from,
    unit_key,
)
from services.shared.ledger.records import Counts, LedgerObject, LetInAgain, LostRace, ObjectState, Retraction
from services.shared.ledger.table import UNBOUND, Condition, LedgerTable, Write, in_state
from services.shared.units import BronzeObject, Plan

REASON = "retracted"
ADVICE = (
    "An operator took its rows away: uploading the same bytes again loads nothing. If the rows are wanted after all, "
    "run `smelt replay --force` with its whole key as --prefix."
)
MAX_NOTE = 1000  # characters of an operator's words that are kept
UNITS_AT_ONCE = 99  # of a transaction beside their object, and of a read

_RETRACTED = in_state(ObjectState.RETRACTED)
_REFUSED = Condition("attribute_exists(refused_at)", {})
_TO_BE_RELOADED = Condition("attribute_exists(reload)", {})
_TO_STAY_AWAY = Condition("attribute_not_exists(reload)", {})
_FRESH = (
    "REMOVE refused_at, retracted, left_lot, attempts, suspect, stalls, dead, dead_at, last_error, lease_token,"
    " lease_until"
)


class NothingToRetract(Terminal):
    """The object is not in the ledger, or was refused: none of its rows is in Silver or quarantine."""


class NotReopened(Terminal):
    """The object is not one that can be let in again."""


class KeptAway(NotReopened):
    """Somebody has retracted the object for good meanwhile: only who asks for just that loads it again."""


class Releases:
    """The releasing transitions over one table."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def begin(
        self, id_: ObjectId, by: str, note: str, reload: bool = False, unless_kept_away: bool = False
    ) -> LedgerObject:
        """Mark an object as RETRACTED. One that is already stays as it is, but a later upload of it is forgiven.

        Args:
            reload: its rows are taken out to be loaded again. Without it, they are to stay away, also where somebody
                else wanted to load them again.
            unless_kept_away: with `reload`, an object that was retracted for good stays so.

        Raises:
            NothingToRetract: there are no rows of it.
            KeptAway: it is retracted for good, and that is to stay so.
        """
        at = self._table.timestamp()
        found = self._table.update_if(
            object_key(id_),
            "SET #state = :retracted, retracted_at = :at, retracted_by = :by, note = :note, reason = :reason,"
            f" advice = :advice, #open = :shard, since = :since{', reload = :at' if reload else ''}"
            f" REMOVE lease_until, lease_token, rows_retracted, uploaded_again_at{'' if reload else ', reload'}",
            {
                ":retracted": {"S": ObjectState.RETRACTED},
                ":at": at,
                ":by": {"S": by[:MAX_NOTE]},
                ":note": {"S": note[:MAX_NOTE]},
                ":reason": {"S": REASON},
                ":advice": {"S": ADVICE},
                ":shard": {"S": open_shard("object", id_)},
                ":since": {"N": str(self._table.now_ms())},
            },
            in_state(ObjectState.PLANNING, ObjectState.PLANNED, ObjectState.DONE),
            lambda there: state_of(there) == ObjectState.RETRACTED,
        )
        if found and state_of(found) != ObjectState.REJECTED:  # let in between our write and the look at what it met
            return self.begin(id_, by, note, reload, unless_kept_away)
        if found is not None:
            why = f"was refused ({found['reason']['S']})" if found else "is not in the ledger"
            raise NothingToRetract(f"{id_} {why}: none of its rows is in Silver or quarantine.")
        known = object_from(self._table.get(object_key(id_)))
        if known.retraction and known.retraction.uploaded_again:
            self._table.update(object_key(id_), "REMOVE uploaded_again_at", {}, _RETRACTED)
            known = object_from(self._table.get(object_key(id_)))
        if reload and unless_kept_away and known.state is ObjectState.RETRACTED and not known.is_to_be_reloaded:
            raise _for_good(id_)
        if known.is_to_be_reloaded != reload:
            self._reload(known) if reload else self._keep_away(known)
            known = object_from(self._table.get(object_key(id_)))
        return known

    def begun(self, id_: ObjectId) -> LedgerObject:
        """An object that somebody is retracting, or has retracted. Changes nothing.

        Raises:
            LetInAgain: it is not RETRACTED.
        """
        item = self._table.get(object_key(id_))
        if state_of(item) != ObjectState.RETRACTED:
            raise _let_in_again(id_)
        return object_from(item)

    def _reload(self, known: LedgerObject) -> None:
        """It was to stay away, and is to be loaded again."""
        self._table.update(
            object_key(known.id),
            "SET reload = :at, #open = :shard, since = :since",
            {
                ":at": self._table.timestamp(),
                ":shard": {"S": open_shard("object", known.id)},
                ":since": {"N": str(self._table.now_ms())},
            },
            _RETRACTED & _same(known.retraction) & _TO_STAY_AWAY,
        )

    def _keep_away(self, known: LedgerObject) -> None:
        """It is not to be loaded again after all."""
        if known.is_leaving:
            self._table.update(object_key(known.id), "REMOVE reload", {}, _RETRACTED & _same(known.retraction))
            return
        expression = "SET #open = :finished, since = :since REMOVE reload"
        gone = _RETRACTED & _same(known.retraction) & Condition("attribute_exists(rows_retracted)", {})
        self._table.update(object_key(known.id), expression, self._finished(known.id), gone & _TO_BE_RELOADED)

    def refuse(self, leaving: LedgerObject, units: Sequence[UnitId]) -> bool:
        """Refuse up to UNITS_AT_ONCE units of a RETRACTED object that are in no lot, all or none.

        Returns:
            False where one of them is in a lot meanwhile: look again.

        Raises:
            LetInAgain: somebody else has finished this retraction and let the object in: its units are wanted.
        """
        refuse = ("SET refused_at = if_not_exists(refused_at, :now)", {":now": self._table.timestamp()})
        writes = [{"update": (unit_key(unit), *refuse), "condition": UNBOUND} for unit in units]
        refused = self._table.transact([still_leaving(leaving), *writes])
        if refused:
            check_leaving(self._table, leaving)
        return not refused

    def finish(self, leaving: LedgerObject) -> Counts:
        """Every unit of a RETRACTED object is refused: count the rows that have left.

        Raises:
            LostRace: a unit is in a lot.
            LetInAgain: somebody let the object in again meanwhile.
        """
        rows = Counts()
        for records in self._units(leaving.plan):
            for item in records:
                record = unit_from(item)
                if record.lot is not None:
                    raise LostRace(f"{record.id} is in lot {record.lot}: its object has not left yet")
                rows += record.retracted
        leaves = _RETRACTED & _same(leaving.retraction)
        if not (self._note_rows(leaving, rows, leaves) or self._close(leaving, rows, leaves)):
            raise _let_in_again(leaving.id)
        return rows

    def _note_rows(self, leaving: LedgerObject, rows: Counts, leaves: Condition) -> bool:
        """It is to be loaded again: it stays open work."""
        if not leaving.is_to_be_reloaded:
            return False
        values = {":rows": counts_item(rows)}
        return self._table.update(
            object_key(leaving.id), "SET rows_retracted = :rows", values, leaves & _TO_BE_RELOADED
        )

    def _close(self, leaving: LedgerObject, rows: Counts, leaves: Condition) -> bool:
        """It is finished: the history takes it from there."""
        expression = "SET rows_retracted = :rows, #open = :finished, since = :since"
        values = {":rows": counts_item(rows)} | self._finished(leaving.id)
        return self._table.update(object_key(leaving.id), expression, values, leaves & _TO_STAY_AWAY)

    def _finished(self, id_: ObjectId) -> Item:
        return {":finished": {"S": open_shard("done", id_)}, ":since": {"N": str(self._table.now_ms())}}

    def note_upload(self, known: LedgerObject, announced: BronzeObject) -> bool:
        """The same bytes of a RETRACTED object were announced. Note it if they were uploaded after it was retracted.

        Returns:
            Whether that is so. Otherwise the event is an old one, delivered again.
        """
        if known.retraction is None or announced.created <= known.retraction.at:
            return False
        at = {"S": announced.created.isoformat()}
        later = Condition("attribute_not_exists(uploaded_again_at) OR uploaded_again_at < :at", {})
        self._table.update(object_key(known.id), "SET uploaded_again_at = :at", {":at": at}, _RETRACTED & later)
        return True

    def reopen(
        self, id_: ObjectId, unit_bytes: int | None = None, marked: bool = False, rejected: bool = False
    ) -> LedgerObject:
        """Let an object in again that is RETRACTED, all its rows gone, or REJECTED. It is PLANNING, without a lease.

        First its units are released, then the object: whoever stops in between starts again. An object that is being
        loaded, or is loaded, stays as it is. `unit_bytes` cuts an object that was refused before it had a plan.

        Args:
            marked: only one that is to be reloaded, and that nobody has retracted for good meanwhile.
            rejected: only one that is REJECTED. It may have been loaded meanwhile, and retracted.

        Raises:
            NotReopened: it is not in the ledger, its rows have not left yet, or it is to stay away.
            UnacceptableKey: its key is not one that smelt reads.
        """
        item = self._table.get(object_key(id_))
        if not item:
            raise NotReopened(f"{id_} is not in the ledger.")
        known = object_from(item)
        if known.state not in (ObjectState.RETRACTED, ObjectState.REJECTED):
            return known
        if rejected and known.state is ObjectState.RETRACTED:
            return known
        if known.is_leaving:
            raise NotReopened(f"{id_}: not all of its rows have left. Run `smelt retract` for it until it is done.")
        if marked and not known.is_to_be_reloaded:
            raise _for_good(id_)
        plan = known.plan
        if known.state is ObjectState.REJECTED and "sent" not in item and unit_bytes:
            plan = Plan.of(known.source, unit_bytes)
        for records in self._units(plan):
            for record in records:
                if "refused_at" in record:
                    self._table.update({"pk": record["pk"]}, _FRESH, {}, _REFUSED & UNBOUND)
        self._let_in(known, plan, _TO_BE_RELOADED if marked else None)
        return object_from(self._table.get(object_key(id_)))

    def _let_in(self, known: LedgerObject, plan: Plan, only: Condition | None = None) -> None:
        token, as_seen = secrets.token_hex(8), in_state(known.state)
        if only:
            as_seen &= only
        if known.retraction and known.state is ObjectState.RETRACTED:
            as_seen &= _same(known.retraction) & Condition("attribute_exists(rows_retracted)", {})
        found = self._table.update_if(
            object_key(known.id),
            "SET #state = :planning, sent = :none, step = :step, units = :units, lease_until = :none,"
            " lease_token = :token, reopened_at = :now, #open = :shard, since = :since"
            " REMOVE reason, advice, rejected_at, uploaded_again_at, planned_at, done_at, reload",
            {
                ":planning": {"S": ObjectState.PLANNING},
                ":none": {"N": "0"},
                ":step": {"N": str(plan.step)},
                ":units": {"N": str(plan.units)},
                ":token": {"S": token},
                ":now": self._table.timestamp(),
                ":shard": {"S": open_shard("object", known.id)},
                ":since": {"N": str(self._table.now_ms())},
            },
            as_seen,
            lambda there: state_of(there) not in ("", known.state),
        )
        if found is not None:
            raise NotReopened(
                f"{known.id}: somebody is retracting it again. Run the command once more when that is done."
            )

    def _units(self, plan: Plan) -> Iterator[list[Item]]:
        """The items of a plan's units, batch by batch; units of which the ledger knows nothing have none."""
        every = iter(plan)
        while batch := list(islice(every, UNITS_AT_ONCE)):
            yield self._table.get_many([unit_key(unit.id) for unit in batch])


def still_leaving(leaving: LedgerObject) -> Write:
    """A write for a transaction that changes nothing, and fails where this retraction is over.

    Whoever retracts may have been paused for hours. Without it, it would take away what was loaded since.
    """
    same = ("SET #state = :retracted", {":retracted": {"S": ObjectState.RETRACTED}})
    return {"update": (object_key(leaving.id), *same), "condition": _RETRACTED & _same(leaving.retraction)}


def check_leaving(table: LedgerTable, leaving: LedgerObject) -> None:
    """
    Raises:
        LetInAgain: this retraction is over.
    """
    known = object_from(table.get(object_key(leaving.id)))
    is_same = known.retraction and leaving.retraction and known.retraction.at == leaving.retraction.at
    if known.state is not ObjectState.RETRACTED or not is_same:
        raise _let_in_again(leaving.id)


def _let_in_again(id_: ObjectId) -> LetInAgain:
    return LetInAgain(f"{id_} is not being retracted any more: somebody let it in again")


def _for_good(id_: ObjectId) -> KeptAway:
    return KeptAway(
        f"{id_}: somebody has retracted it for good meanwhile. `smelt replay --force` of its key loads it after all."
    )


def _same(retraction: Retraction | None) -> Condition:
    """The object has not been retracted again since this retraction."""
    at = retraction.at if retraction else datetime.min
    return Condition("retracted_at = :seen_at", {":seen_at": {"S": at.isoformat(timespec="milliseconds")}})
