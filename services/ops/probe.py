"""The ops workflow's look at its own result: is everything that was to be replayed in Silver, or accounted for?

- Every object of the prefix that was last modified in the window is DONE or has all its units in committed lots, or the
  ledger says why it is not loaded (REJECTED, RETRACTED for good).
- The rows of their lots are conserved: what was read is in Silver plus quarantine, and in the files that the lot names.
- Silver has at least so many Parquet objects of the record type that were written since the window's start.

A look goes on where the one before stopped: what is accounted for stays so, hence it is asked once. Lists and reads the
ledger only; changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

from services.ops.audit.rules import check_record
from services.ops.bronze import Listing
from services.ops.grid import in_batches_of_lots, slices
from services.ops.replay.planning import ReplayRequest
from services.ops.workflow import Request
from services.shared.deadline import Deadline, OutOfTime
from services.shared.identities import SILVER_ROOT, BronzeKey, ObjectId, UnacceptableKey, UnitId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, LedgerObject, ObjectState, UnitRecord

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_NAMED = 5  # examples in a failure's cause
_FURTHER_PAGES = 10  # looked at behind the first page on which something is missing, only to count
_UNFINISHED = frozenset({ObjectState.PLANNING, ObjectState.PLANNED})  # every other state is an end
_NOT_LOADED = frozenset({ObjectState.REJECTED, ObjectState.RETRACTED})  # the ledger says why


class SilverFiles(Protocol):
    """What the probe asks of Silver."""

    def modified(self, prefix: str, after: str) -> Iterator[list[tuple[str, datetime]]]:
        """Keys behind a key, each with its time, in pages of up to 1,000."""


class S3Silver:
    """The Silver bucket on S3."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def modified(self, prefix: str, after: str) -> Iterator[list[tuple[str, datetime]]]:
        start: dict[str, Any] = {"StartAfter": after} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix, **start)
        for page in pages:
            yield [(entry["Key"], entry["LastModified"]) for entry in page.get("Contents", [])]


@dataclass(frozen=True, slots=True)
class Tally:
    """What is accounted for."""

    objects: int = 0
    rejected: int = 0
    retracted: int = 0
    not_taken: int = 0  # of keys that smelt does not read
    rows_read: int = 0
    rows_silver: int = 0
    rows_quarantined: int = 0
    parquet_objects: int = 0  # recent ones, counted up to what is asked for

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Tally)))


@dataclass(frozen=True, slots=True)
class Place:
    """Everything up to the key `after` is accounted for in Bronze, or (`in_silver`) counted in Silver."""

    in_silver: bool = False
    after: str = ""
    tally: Tally = Tally()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> Self:
        """None is the beginning."""
        return cls(stored["in_silver"], stored["after"], Tally(**stored["tally"])) if stored else cls()


@dataclass(slots=True)
class Missing:
    """What is not as it should be: how many objects, and the first few in words."""

    objects: int = 0
    named: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # rows that are not conserved
    files: str = ""

    def __bool__(self) -> bool:
        return bool(self.objects or self.wrong or self.files)

    def __str__(self) -> str:
        parts = []
        if self.objects:
            more = "" if self.objects == len(self.named) else f" and {self.objects - len(self.named):,} more"
            are = "object is" if self.objects == 1 else "objects are"
            parts.append(f"{self.objects:,} {are} not accounted for: {'; '.join(self.named)}{more}.")
        if self.wrong:
            parts.append(f"Rows are not conserved: {'; '.join(self.wrong)}.")
        if self.files:
            parts.append(self.files)
        return " ".join(parts)

    def add(self, text: str) -> None:
        self.objects += 1
        if len(self.named) < _NAMED:
            self.named.append(text)

    def add_wrong(self, text: str) -> None:
        if len(self.wrong) < _NAMED:
            self.wrong.append(text)


@dataclass(frozen=True, slots=True)
class Probed:
    """What one look found. `place` is where the next one goes on; `at_end`: nothing is left to be looked at."""

    missing: Missing
    place: Place
    at_end: bool


def probe(
    ledger: Ledger, bronze: Listing, silver: SilverFiles, request: Request, place: Place, deadline: Deadline
) -> Probed:
    """Look from `place` on, until time is over, everything is as it should be, or too much is missing.

    Raises:
        ClientError, BotoCoreError, Throttled: S3 or the ledger does not answer; look again from the same place.
    """
    if not place.in_silver:
        probed = _look_at_objects(ledger, bronze, request, place, deadline)
        if not probed.at_end or probed.missing:
            return probed
        place = Place(True, "", probed.place.tally)
    return _count_files(silver, request, place, deadline)


def _look_at_objects(ledger: Ledger, bronze: Listing, request: Request, place: Place, deadline: Deadline) -> Probed:
    missing, further = Missing(), 0
    meant = ReplayRequest(request.src_prefix, request.start, request.end)
    try:
        for page in bronze.objects(request.src_prefix, place.after):
            deadline.check()
            tally = _account(ledger, [source.id for source in page if meant.has(source)], missing, deadline)
            if missing:
                further += 1
                if further > _FURTHER_PAGES:
                    return Probed(missing, place, at_end=False)
            elif page:
                place = Place(False, page[-1].key, place.tally + tally)
    except OutOfTime:
        return Probed(missing, place, at_end=False)
    return Probed(missing, place, at_end=True)


def _account(ledger: Ledger, ids: Sequence[ObjectId], missing: Missing, deadline: Deadline) -> Tally:
    """What the ledger says of these objects; what is missing of them is added to `missing`."""
    known = {found.id: found for found in ledger.find_objects(ids)}
    states = Counter(found.state for found in known.values())
    for taken_out in (one.id for one in known.values() if one.is_to_be_reloaded):
        missing.add(f"{taken_out}: was taken out to be loaded again, and is not let in yet (smelt audit --unfinished)")
    rejected, retracted = states[ObjectState.REJECTED], states[ObjectState.RETRACTED]
    not_taken = 0
    for id_ in ids:
        if id_ not in known and _is_taken(id_.key):
            missing.add(f"{id_}: the ledger does not know it; its event has not reached ingest")
        elif id_ not in known:
            not_taken += 1
    tally = Tally(len(known) + not_taken, rejected, retracted, not_taken)
    in_silver = Counter[ObjectId]()
    for group in slices(known[id_] for id_ in ids if id_ in known and known[id_].state not in _NOT_LOADED):
        deadline.check()
        units = [unit for part in group for unit in part.units]
        rows, records = _rows(ledger, units, missing)
        in_silver.update(unit.object for unit in rows)
        for part in group:
            if part.ends_object and part.object.state in _UNFINISHED:
                _tell(part.object, in_silver[part.object.id], records, missing)
        total = sum(rows.values(), Counts())
        tally += Tally(rows_read=total.read, rows_silver=total.silver, rows_quarantined=total.quarantined)
    return tally


def _is_taken(key: str) -> bool:
    try:
        BronzeKey.parse(key)
    except UnacceptableKey:
        return False
    return True


def _rows(
    ledger: Ledger, units: Sequence[UnitId], missing: Missing
) -> tuple[dict[UnitId, Counts], dict[UnitId, UnitRecord]]:
    """The rows of those of these units that are in Silver, and all that the ledger knows of the units."""
    records = {record.id: record for record in ledger.find_units(units)}
    rows = dict[UnitId, Counts]()
    for batch in in_batches_of_lots({record.lot for record in records.values() if record.lot}):
        for lot in ledger.find_lots(batch):
            if lot.state.holds_rows:
                for finding in check_record(lot):
                    missing.add_wrong(f"{finding.subject}: {finding.detail}")
                counted = zip(lot.units, lot.unit_counts, strict=False)
                rows |= {unit: counts for unit, counts in counted if unit in records and records[unit].lot == lot.id}
    return rows, records


def _tell(known: LedgerObject, in_silver: int, records: Mapping[UnitId, UnitRecord], missing: Missing) -> None:
    """Say of an unfinished object what is missing of it, if anything is: DONE may come later than its last unit."""
    if in_silver >= known.plan.units:
        return
    text = f"{known.id}: {known.state}, {in_silver:,} of {known.plan.units:,} units in Silver"
    errors = [
        f"unit {record.id.start}-{record.id.end} {'is a dead letter' if record.notes.dead else 'failed'}: "
        f"{record.notes.last_error[:300]}"
        for record in records.values()
        if record.id.object == known.id and record.lot is None and record.notes.last_error
    ]
    missing.add(", ".join([text, *errors[:1]]))


def _count_files(silver: SilverFiles, request: Request, place: Place, deadline: Deadline) -> Probed:
    """Count recent Parquet objects up to the number that is asked for."""
    prefix, wanted = f"{SILVER_ROOT}/{request.record_type}/", request.min_parquet_objects
    count, after = place.tally.parquet_objects, place.after
    if count < wanted:
        for page in silver.modified(prefix, after):
            if deadline.left <= 0:
                return Probed(Missing(), _counted(place, after, count), at_end=False)
            count += sum(key.endswith(".parquet") and modified >= request.start for key, modified in page)
            after = page[-1][0] if page else after
            if count >= wanted:
                break
    if count >= wanted:
        return Probed(Missing(), _counted(place, after, min(count, wanted)), at_end=True)
    text = (
        f"{prefix} has {count:,} Parquet objects written since {request.start.isoformat()}; "
        f"min_parquet_objects is {wanted:,}."
    )
    return Probed(Missing(files=text), _counted(place, "", 0), at_end=True)


def _counted(place: Place, after: str, count: int) -> Place:
    return Place(True, after, replace(place.tally, parquet_objects=count))
