"""What the ledger says of a letter now: whether its rows are still missing, and whether redriving it can help.

What transform and ingest do with a message follows from the same facts (docs/architecture.md, "The protocol"), so a
standing says what will happen to a letter that is sent back to work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.ops.dead_letters.letters import Letter
from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LedgerObject, Lot, LotState, ObjectState, UnitRecord

_UNCOMMITTED = (LotState.PENDING, LotState.DISSOLVING)


class Standing(StrEnum):
    OPEN = "open"  # its rows are in neither Silver nor quarantine, and nobody works on them
    IN_PROGRESS = "in_progress"  # somebody works on it
    COMMITTED = "committed"  # its rows are in Silver or quarantine, or there are none to load
    REJECTED = "rejected"  # its object was given up since: transform acknowledges its messages
    RETRACTED = "retracted"  # somebody has taken its object's rows out of Silver
    UNKNOWN = "unknown"  # the ledger does not confirm it: transform would refuse it at once
    MALFORMED = "malformed"  # not a unit, or not an S3 event

    @property
    def can_be_work(self) -> bool:
        """Whether redriving it is of any use, or at least does no harm. The others would come back at once."""
        return self not in (Standing.UNKNOWN, Standing.MALFORMED)

    @property
    def is_settled(self) -> bool:
        """Nothing is left to do: it may be deleted, and nothing is lost."""
        return self in (Standing.COMMITTED, Standing.REJECTED, Standing.RETRACTED)


@dataclass(frozen=True, slots=True)
class Explained:
    """A letter, and what the ledger says of it now."""

    letter: Letter
    standing: Standing
    detail: str
    attempts: int
    last_error: str

    @property
    def subject(self) -> str:
        return self.letter.subject


@dataclass(frozen=True, slots=True)
class _Known:
    objects: Mapping[ObjectId, LedgerObject]
    units: Mapping[UnitId, UnitRecord]
    lots: Mapping[LotId, Lot]


def explain(ledger: Ledger, letters: Sequence[Letter]) -> list[Explained]:
    """What the ledger says of each of up to ten letters, by strongly consistent reads.

    Raises:
        ClientError, BotoCoreError, Throttled: the ledger cannot be read.
    """
    asked = [letter.unit.id for letter in letters if letter.unit]
    units = {record.id: record for record in ledger.find_units(asked)}
    objects = {known.id: known for known in ledger.find_objects(id_ for letter in letters for id_ in letter.objects)}
    lots = {lot.id: lot for lot in ledger.find_lots({record.lot for record in units.values() if record.lot})}
    known = _Known(objects, units, lots)
    return [_explain(letter, known) for letter in letters]


def _explain(letter: Letter, known: _Known) -> Explained:
    if letter.problem:
        return Explained(letter, Standing.MALFORMED, letter.problem, letter.attempts, letter.error)
    if letter.unit is None:
        standing, detail = _of_event([known.objects.get(id_) for id_ in letter.objects])
        return Explained(letter, standing, detail, letter.attempts, letter.error)
    record = known.units.get(letter.unit.id)
    notes = record.notes if record else None
    lot = known.lots.get(record.lot) if record and record.lot else None
    standing, detail = _of_unit(letter, known.objects.get(letter.unit.object), lot)
    # A dead unit's last error outlives the letter; a letter that SQS moved carries none.
    error = letter.error if "error" in letter.message.attributes else (notes and notes.last_error) or letter.error
    return Explained(letter, standing, detail, notes.attempts if notes else 0, error)


def _of_unit(letter: Letter, known: LedgerObject | None, lot: Lot | None) -> tuple[Standing, str]:
    if known is None or letter.unit is None:
        return Standing.UNKNOWN, "the ledger does not know this object: announce it first, or find out who sent this"
    if wrong := known.plan.contradiction(letter.unit):
        return Standing.UNKNOWN, f"{wrong}: find out who sent this"
    if lot is not None and lot.state not in _UNCOMMITTED:
        return Standing.COMMITTED, f"its rows were committed with lot {lot.id}"
    if lot is not None:
        return Standing.IN_PROGRESS, f"lot {lot.id} holds it and is {lot.state}"
    if known.is_finished:
        return _of_finished(known)
    return Standing.OPEN, "its rows are in neither Silver nor quarantine"


def _of_finished(known: LedgerObject) -> tuple[Standing, str]:
    if known.is_to_be_reloaded:
        return Standing.IN_PROGRESS, "its object was taken out to be loaded again, and is not let in yet"
    if known.state is ObjectState.DONE:
        return Standing.COMMITTED, "every row of its object is in Silver or quarantine"
    if known.state is ObjectState.REJECTED:
        return Standing.REJECTED, f"its object was given up since ({known.reason}): {known.advice}"
    return Standing.RETRACTED, "its object was retracted: its rows are not wanted in Silver"


def _of_event(objects: Iterable[LedgerObject | None]) -> tuple[Standing, str]:
    """Of the object that needs the event most."""
    found = list(objects)
    if any(known is None for known in found):
        return Standing.OPEN, "the ledger does not know its object: the event was never planned"
    known = [one for one in found if one is not None]
    if any(one.state is ObjectState.PLANNING for one in known):
        return Standing.OPEN, "its object is not planned to its end"
    unfinished = [one for one in known if not one.is_finished]
    if unfinished:
        return Standing.IN_PROGRESS, "its object is planned, and not all of its units are committed"
    if not known:
        return Standing.COMMITTED, "the event is about no new object"
    return _of_finished(known[0])
