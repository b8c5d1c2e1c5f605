"""What the ledger holds, as plain values, and what its transitions raise. No AWS client."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.shared.errors import Terminal, Transient
from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.units import BronzeObject, Plan, Unit

MAX_UNITS_PER_LOT = 99  # a DynamoDB transaction takes 100 items: the lot and its units


class ObjectState(StrEnum):
    PLANNING = "PLANNING"  # its units are being sent
    PLANNED = "PLANNED"  # all its units have been sent; not all of them are committed
    DONE = "DONE"  # every unit is committed
    REJECTED = "REJECTED"  # it is not turned into work, or cannot be; the reason stands beside it
    RETRACTED = "RETRACTED"  # an operator took its rows away, or is about to: open until the last one is gone


class LotState(StrEnum):
    PENDING = "PENDING"
    COMMITTED = "COMMITTED"
    DISSOLVING = "DISSOLVING"  # it can never be committed any more; its files are being deleted
    REWRITING = "REWRITING"  # committed, and files of its next generation are being written; `files` are what counts

    @property
    def holds_rows(self) -> bool:
        """Whether the lot's files are what Silver and quarantine have of its units."""
        return self in (LotState.COMMITTED, LotState.REWRITING)


class Outbox(StrEnum):
    """Who is told of each commit by a mark."""

    PUBLISH = "publish"  # the lake's tables
    EVENTS = "events"  # whoever wants to know which partitions were written


class LeaseHeld(Transient):
    """Somebody else is at work on this: come back when their lease is over, at `until_ms` if that is known."""

    def __init__(self, message: str, until_ms: int = 0) -> None:
        super().__init__(message)
        self.until_ms = until_ms  # epoch milliseconds


class LostRace(Transient):
    """Another worker bound one of these units first; the next look at the ledger finds the winner's lot."""


class LetInAgain(LostRace):
    """The object is not being retracted any more: somebody else has let it in again."""


class LeaseLost(Transient):
    """Our lease ended and the work is no longer ours."""


class LotTooWide(Terminal):
    """A lot whose lists do not fit in one ledger item."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of one unit or lot. Conservation: `read == silver + quarantined`."""

    read: int = 0
    silver: int = 0
    quarantined: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.read + other.read, self.silver + other.silver, self.quarantined + other.quarantined)

    @property
    def conserved(self) -> bool:
        return self.read == self.silver + self.quarantined


@dataclass(frozen=True, slots=True)
class LotFile:
    """One Parquet file of a lot: its key, rows, bytes, and the etag that S3 answered."""

    key: str
    rows: int
    bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a lot of one unit has come that is written in parts.

    `position` is where reading goes on, as the reader understands it; `part` is the number of the next part. Files and
    counts are those of the parts before it. Only a worker with the same `contracts` may go on from here.
    """

    position: tuple[Any, ...]
    part: int
    counts: Counts
    files: tuple[LotFile, ...]
    contracts: Mapping[str, str]
    reasons: Mapping[str, int] = field(default_factory=dict)  # refused rows by reason code


UNKNOWN_REASON = "unknown"  # of refused rows whose reasons the lot does not tell


@dataclass(frozen=True, slots=True)
class Intent:
    """Why a lot is being rewritten, or was the last time, by whom, and when it began."""

    kind: str  # RETRACT or RETRY
    object: ObjectId | None = None  # RETRACT: the one whose rows leave
    by: str = ""
    note: str = ""  # the operator's words
    at: datetime | None = None


RETRACT, RETRY = "retract", "retry"


@dataclass(frozen=True, slots=True)
class Lot:
    """A lot as the ledger holds it. `units` and their order decide the contents of its files of the first generation.

    `generation` counts the rewrites that have begun, the first commit included. While a lot is REWRITING, its new files
    have this number in their names, and are in `outputs`.
    """

    id: LotId
    state: LotState
    units: tuple[UnitId, ...]
    outputs: frozenset[str]  # every key that an execution may have written; once committed: files still to be deleted
    contracts: Mapping[str, str]  # dataset -> contract version, and `_rows`, of the last claim or take-over
    lease_token: str
    lease_until: int  # epoch milliseconds
    take_overs: int = 0  # since the last progress
    stalled: bool = False  # the last worker that neither died nor was forgiven had run out of time without progress
    progress: Progress | None = None
    counts: Counts = Counts()
    unit_counts: tuple[Counts, ...] = ()  # in the order of `units`, once committed
    files: tuple[LotFile, ...] = ()  # once committed
    generation: int = 1
    obsolete: frozenset[str] = frozenset()  # files that a rewrite has replaced, still to be deleted
    intent: Intent | None = None
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # once committed: by `reasons_key`
    archived: str = ""  # the last history file with it
    indexed: bool = field(default=False, compare=False)  # in the index: it is unfinished, or awaits the history

    @property
    def leftovers(self) -> frozenset[str]:
        """Files of a committed lot that are to be deleted."""
        return self.outputs | self.obsolete if self.state is LotState.COMMITTED else self.obsolete

    @property
    def is_archived(self) -> bool:
        """Whether the history holds it as it is."""
        return bool(self.archived) and not self.indexed

    def reasons_of(self, unit: UnitId, counts: Counts) -> dict[str, int]:
        """Why rows of this unit were refused: rows by reason code. They add up to what the unit's counts say."""
        told = self.reasons.get(reasons_key(unit), {})
        if sum(told.values()) == counts.quarantined:
            return dict(told)
        return {UNKNOWN_REASON: counts.quarantined} if counts.quarantined else {}

    @property
    def ran_out_of_time(self) -> bool:
        """Whether its last worker gave it back without progress for want of time; not where that one died."""
        return self.stalled and self.lease_until == 0


def reasons_key(unit: UnitId) -> str:
    """A unit's short name among the units of its lot: it stays the same when other units leave the lot."""
    return hashlib.blake2b(str(unit).encode(), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Retraction:
    """Who took an object's rows away, when and why, and how many they were."""

    at: datetime
    by: str = ""
    note: str = ""  # the operator's words
    rows: Counts | None = None  # that left; None while some may still be there
    uploaded_again: datetime | None = None  # the same bytes came again, later than that
    reload: bool = False  # they are to be loaded again, which has not begun yet


@dataclass(frozen=True, slots=True)
class LedgerObject:
    """An object as the ledger holds it: the plan that its first event fixed, and what became of it."""

    plan: Plan
    state: ObjectState
    sent: int = 0  # units that are known to be on the queue, from the first
    lease_token: str = ""
    lease_until: int = 0  # epoch milliseconds
    seen: datetime | None = None  # when the ledger first heard of it, or it was let in again
    version_at: datetime | None = None  # time of the event that announced the version that is read
    resent: datetime | None = None  # when units of it were last sent again because they seemed lost
    reason: str = ""  # why it is REJECTED or RETRACTED: a code
    advice: str = ""  # and what can be done
    retraction: Retraction | None = None  # the last one, also where the object was loaded again since
    archived: str = ""  # the last history file with it
    since: int = field(default=0, compare=False)  # epoch milliseconds: how long it is in the index in this way
    indexed: bool = field(default=False, compare=False)  # in the index: it is unfinished, or awaits the history

    @property
    def is_archived(self) -> bool:
        """Whether the history holds it as it is."""
        return bool(self.archived) and not self.indexed

    @property
    def source(self) -> BronzeObject:
        return self.plan.source

    @property
    def id(self) -> ObjectId:
        return self.plan.source.id

    @property
    def is_finished(self) -> bool:
        """Whether no unit of it will be turned into rows any more."""
        return self.state in (ObjectState.DONE, ObjectState.REJECTED, ObjectState.RETRACTED)

    @property
    def is_leaving(self) -> bool:
        """Whether it is RETRACTED, and some of its rows may still be in Silver or quarantine."""
        return self.state is ObjectState.RETRACTED and (self.retraction is None or self.retraction.rows is None)

    @property
    def is_to_be_reloaded(self) -> bool:
        """Whether its rows were, or are being, taken out only to be loaded again, which has not begun yet."""
        return self.state is ObjectState.RETRACTED and self.retraction is not None and self.retraction.reload


@dataclass(frozen=True, slots=True)
class UnitNotes:
    """What the ledger remembers of a unit beside the lot that holds it."""

    suspect: int = 0  # how often a lot that it was in has failed for a reason that nobody could pin on one unit
    attempts: int = 0  # terminal failures, and deaths while it was tried alone
    lease_until: int = 0  # epoch milliseconds; until then, the worker that tries it alone may be alive
    stalls: int = 0  # whole invocations of its own that brought nothing to write
    dead: str = ""  # id of the message with which it became a dead letter
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """A unit as the ledger holds it."""

    id: UnitId
    lot: LotId | None = None
    notes: UnitNotes = UnitNotes()
    refused: bool = False  # with its object: no lot can claim it
    retracted: Counts = Counts()  # its rows that were taken away again
    left: LotId | None = None  # the lot that they were in: it may still have files of them to delete


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the ledger says of the units that were asked for: their objects, notes, and the lots that hold them."""

    asked: frozenset[UnitId] = frozenset()
    objects: Mapping[ObjectId, LedgerObject] = field(default_factory=dict)
    notes: Mapping[UnitId, UnitNotes] = field(default_factory=dict)
    lots: Mapping[LotId, Lot] = field(default_factory=dict)
    lot_of: Mapping[UnitId, LotId] = field(default_factory=dict)

    def units_of(self, lot: Lot) -> list[Unit]:
        """A lot's units, in order, each with its object as the ledger knows it.

        Raises:
            KeyError: the object of a unit was not looked up.
        """
        known = [(unit, self.objects[unit.object]) for unit in lot.units]
        return [Unit(found.source, unit.start, unit.end, found.since) for unit, found in known]
