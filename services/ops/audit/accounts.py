"""What became of an object: one word for it, and what to do next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from services.shared.identities import ObjectId
from services.shared.ledger.records import Counts, LedgerObject, ObjectState

MAX_ERRORS = 5  # of one object that are shown


class Outcome(StrEnum):
    """What became of an object, in the words that people read."""

    DONE = "done"  # every row is in Silver or in quarantine
    EMPTY = "empty"  # refused, but it has no bytes: there was nothing to load
    COMMITTED = "committed"  # every row is in Silver or in quarantine; the sweep will mark the object done
    IN_PROGRESS = "in_progress"  # units are being sent or processed
    OVERDUE = "overdue"  # still unfinished, long after its first event
    STOPPED = "stopped"  # a unit of it is a dead letter
    NOT_LOADED = "not_loaded"  # refused: its rows are in neither place
    RETRACTED = "retracted"  # an operator took its rows away
    RETRACTING = "retracting"  # an operator is taking its rows away, or stopped in the middle
    RELOADING = "reloading"  # `replay --force` has taken, or is taking, its rows out, and has not let it in again yet
    UPLOADED_AGAIN = "uploaded_again"  # retracted, and the same bytes came again: they are not loaded

    @property
    def word(self) -> str:
        """As people read it."""
        return self.value.replace("_", " ")

    @property
    def all_right(self) -> bool:
        """Whether nobody needs to do anything."""
        return self in (Outcome.DONE, Outcome.EMPTY, Outcome.COMMITTED, Outcome.IN_PROGRESS, Outcome.RETRACTED)

    @property
    def finished(self) -> bool:
        """Whether smelt will do no more about it."""
        return self in (
            Outcome.DONE,
            Outcome.EMPTY,
            Outcome.NOT_LOADED,
            Outcome.RETRACTED,
            Outcome.UPLOADED_AGAIN,
        )


_NEXT = {
    Outcome.OVERDUE: (
        "If the queue of units is not empty, wait. If it is, its units were lost: send ingest the object's event again "
        "(docs/audit.md); it sends the missing units."
    ),
    Outcome.STOPPED: (
        "Read the error, remove its cause, then run smelt redrive. If it finds no letter of these units (it was "
        "deleted, or is older than 14 days), run smelt replay for the object. A unit that is sent twice does no harm."
    ),
    Outcome.NOT_LOADED: "Upload the rows in a file that smelt accepts, and delete this one.",
    Outcome.RETRACTING: "If nobody is at it, run smelt retract for it again: it goes on where it stopped.",
    Outcome.RELOADING: (
        "If nobody is at it, run the same command again (smelt replay --force, or smelt reload): it is loaded again. "
        "Or run smelt retract for it, if its rows are to stay away."
    ),
    Outcome.UPLOADED_AGAIN: (
        "If its rows are wanted after all, run smelt replay --force with its whole key as --prefix. If they are not, "
        "run smelt retract for it again: this is then settled."
    ),
}


@dataclass(frozen=True, slots=True)
class Account:
    """One object: what became of it, how many of its units are committed, and the rows of those."""

    id: ObjectId
    state: ObjectState
    outcome: Outcome
    created: datetime
    size: int  # bytes
    units: int
    committed: int  # units
    counts: Counts = field(default_factory=Counts)
    dead: int = 0  # units that are dead letters
    reason: str = ""
    advice: str = ""  # the ledger's own, for a refused object
    errors: tuple[str, ...] = ()  # the last errors of units that are in no lot, at most MAX_ERRORS

    @property
    def next_step(self) -> str:
        """What to do about it; empty where nothing is to be done."""
        if self.outcome is Outcome.NOT_LOADED and self.advice:
            return self.advice
        return _NEXT.get(self.outcome, "")


def outcome_of(known: LedgerObject, committed: int, dead: int, now: datetime, overdue_after: timedelta) -> Outcome:
    """The word for an object of which `committed` units are committed and `dead` ones are dead letters."""
    if known.state is ObjectState.DONE:
        return Outcome.DONE
    if known.state is ObjectState.REJECTED:
        return Outcome.NOT_LOADED if known.source.size else Outcome.EMPTY
    if known.state is ObjectState.RETRACTED:
        if known.is_to_be_reloaded:
            return Outcome.RELOADING
        if known.is_leaving:
            return Outcome.RETRACTING
        return Outcome.UPLOADED_AGAIN if known.retraction and known.retraction.uploaded_again else Outcome.RETRACTED
    if committed >= known.plan.units:
        return Outcome.COMMITTED
    if dead:
        return Outcome.STOPPED
    since = known.seen or known.source.created
    return Outcome.OVERDUE if now - since > overdue_after else Outcome.IN_PROGRESS
