"""What the ledger notes of free units: marks, attempts, and which of them are dead letters.

    fresh --suspect--> marked --attempt--> tried alone, 1..5 times --bury--> dead --revive--> fresh
               ^                  |
               '--- clear: what happened was not the unit's fault

A unit that is bound to a lot needs none of this: `Lots.claim` binds it whatever stands here.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from services.shared.identities import UnitId
from services.shared.ledger.items import Item, token_of, unit_from, unit_key
from services.shared.ledger.records import LeaseHeld, LostRace, UnitNotes
from services.shared.ledger.table import NOT_LEASED, UNBOUND, Condition, LedgerTable, lease_over

_MAX_ERROR = 1000  # characters of an error that are kept
_COUNTING = {":one": {"N": "1"}, ":zero": {"N": "0"}}
_END_ATTEMPT = "REMOVE lease_token, lease_until"


class Units:
    """The notes on units over one table. Where another worker has bound a unit meanwhile, nothing is written."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def suspect(self, unit: UnitId) -> None:
        """A lot with this unit has failed, and nobody knows because of which unit."""
        self._note(unit, "SET suspect = if_not_exists(suspect, :zero) + :one", _COUNTING)

    def begin_attempt(self, unit: UnitId, lease_seconds: float) -> None:
        """The unit is about to be tried alone. Recorded first, so that the death of the worker counts.

        Raises:
            LeaseHeld: another worker is trying it, with another copy of the message.
            LostRace: another worker has bound it meanwhile.
        """
        token, until = secrets.token_hex(8), self._table.lease_end(lease_seconds)
        values = {**_COUNTING, ":token": {"S": token}, ":until": {"N": str(until)}}
        found = self._table.update_if(
            unit_key(unit),
            "SET attempts = if_not_exists(attempts, :zero) + :one, lease_token = :token, lease_until = :until",
            values,
            UNBOUND & (NOT_LEASED | lease_over(self._table.now_ms())),
            lambda there: token_of(there) == token,
        )
        if found is None:
            return
        known = unit_from(found)
        if known.lot is not None:
            raise LostRace(f"{unit} is in lot {known.lot} of another worker")
        raise LeaseHeld(f"{unit} is being tried alone by another worker", known.notes.lease_until)

    def count_failure(self, unit: UnitId, before: UnitNotes, error: str) -> None:
        """The unit failed for a reason of its own, while it was not tried alone: that is an attempt, too."""
        values = {":attempts": {"N": str(before.attempts + 1)}, ":error": {"S": error[:_MAX_ERROR]}}
        self._note(unit, "SET attempts = :attempts, last_error = :error", values)

    def note_error(self, unit: UnitId, error: str) -> None:
        """Keep the last error of an attempt that was recorded before it began; it is over."""
        self._note(unit, f"SET last_error = :error {_END_ATTEMPT}", {":error": {"S": error[:_MAX_ERROR]}})

    def take_mark_back(self, unit: UnitId, before: UnitNotes) -> None:
        """Take the mark back of a unit that was not tried alone. An attempt may be another worker's, and goes on."""
        self._note(unit, "SET suspect = :suspect", {":suspect": {"N": str(before.suspect)}})

    def restore(self, unit: UnitId, before: UnitNotes) -> None:
        """Take mark and attempt back of a unit that was tried alone: what happened was not the unit's fault.

        Never upwards: `before` may hold the attempt of another worker, which that one has taken back meanwhile.
        """
        values = {":suspect": {"N": str(before.suspect)}, ":attempts": {"N": str(before.attempts)}}
        not_upwards = UNBOUND & Condition("attempts >= :attempts", {}) if before.attempts else UNBOUND
        expression = f"SET suspect = :suspect, attempts = :attempts {_END_ATTEMPT}"
        self._table.update(unit_key(unit), expression, values, not_upwards)

    def count_stall(self, unit: UnitId, before: UnitNotes) -> bool:
        """A whole invocation was the unit's own, and it brought nothing to write.

        Returns:
            False where another worker has bound the unit meanwhile: nothing may be concluded from our failure.
        """
        return self._note(unit, "SET stalls = :stalls", {":stalls": {"N": str(before.stalls + 1)}})

    def bury(self, unit: UnitId, message_id: str, error: str) -> bool:
        """The unit is about to be sent to the dead-letter queue, in place of this message.

        Returns:
            False where another worker has bound the unit meanwhile: it must not be sent.
        """
        values = {":message": {"S": message_id}, ":error": {"S": error[:_MAX_ERROR]}, ":now": self._table.timestamp()}
        return self._note(unit, f"SET dead = :message, dead_at = :now, last_error = :error {_END_ATTEMPT}", values)

    def revive(self, unit: UnitId) -> None:
        """A dead letter was sent back to the queue: the unit starts from zero."""
        self._note(unit, f"{_END_ATTEMPT}, dead, dead_at, attempts, suspect, stalls", {})

    def notes(self, unit: UnitId) -> UnitNotes:
        """What stands there now."""
        found = self._table.get(unit_key(unit))
        return unit_from(found).notes if found else UnitNotes()

    def _note(self, unit: UnitId, expression: str, values: Mapping[str, Item]) -> bool:
        return self._table.update(unit_key(unit), expression, values, UNBOUND)
