"""Which objects a replay is about, and what is to be done with each. Reads listings and the ledger, changes nothing.

Listing goes on while pages of it are looked up side by side; candidates come in the order of their keys, and no more
than some pages of them are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from services.ops.bronze import Listing
from services.ops.grid import batched, slices
from services.ops.parallel import in_order, read_ahead
from services.shared.identities import BronzeKey, CopyKey, ObjectId, UnacceptableKey
from services.shared.lake import ObjectGone
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LedgerObject, ObjectState
from services.shared.planning.missing import Fate, fates
from services.shared.planning.planner import find_origin
from services.shared.units import BronzeObject

LOOKERS = 8  # pages that are looked up side by side
_IDS_PER_READ = 100  # BatchGetItem's limit

OriginEtag = Callable[[BronzeObject], str]


class Verdict(StrEnum):
    """What is to be done with an object."""

    COMMITTED = "committed"  # every row is in Silver or quarantine: skipped
    IN_PROGRESS = "in progress"  # a worker has what is missing: skipped
    UNFINISHED = "unfinished"  # its missing units are sent
    NEVER_ANNOUNCED = "never announced"  # the ledger does not know it: announced
    REJECTED = "rejected"  # judged again
    NOT_TAKEN = "not taken"  # its key says that smelt does not read it: skipped
    RETRACTED = "retracted"  # its rows were taken out again: refused
    UNKNOWN_ORIGIN = "unknown origin"  # a copy of nothing that the ledger knows: skipped
    NOT_LOOKED_UP = "not looked up"  # without the ledger: ingest decides
    FORCED = "forced"  # it is committed, or named though it is retracted: taken out, then loaded again

    @property
    def needs_work(self) -> bool:
        return self in _NEED_WORK


_NEED_WORK = frozenset(
    {Verdict.UNFINISHED, Verdict.NEVER_ANNOUNCED, Verdict.REJECTED, Verdict.NOT_LOOKED_UP, Verdict.FORCED}
)


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Which objects: those whose key begins so and that were last modified in `[start, end)`.

    A copy under `bronze/replay/` is meant only where the prefix says so; it stands for its origin.

    With `force`, what is committed is loaded once more. What somebody has retracted for good is not, unless the prefix
    is its whole key: who names a folder does not mean the wrong files that were taken out of it.
    """

    prefix: str
    start: datetime | None = None
    end: datetime | None = None
    force: bool = False

    def has(self, source: BronzeObject) -> bool:
        if CopyKey.is_copy(source.key) and not CopyKey.is_copy(self.prefix):
            return False
        modified = source.created.astimezone(UTC)
        return (self.start is None or modified >= self.start) and (self.end is None or modified < self.end)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One object of the listing. `origin` is what it stands for, mostly itself; `known` what the ledger has of it."""

    source: BronzeObject
    origin: ObjectId
    verdict: Verdict
    missing: int = 0  # units that nobody takes care of
    known: LedgerObject | None = None

    @property
    def is_kept_away(self) -> bool:
        """Whether it was retracted for good when it was looked up."""
        known = self.known
        return known is not None and known.state is ObjectState.RETRACTED and not known.is_to_be_reloaded


class Page(NamedTuple):
    """What one page of the listing has of the request, which may be nothing. `last` is the last key that it lists."""

    candidates: list[Candidate]
    last: str


def plan_replay(
    ledger: Ledger | None,
    listing: Listing,
    request: ReplayRequest,
    after: str = "",
    origin_etag: OriginEtag | None = None,
) -> Iterator[Page]:
    """The candidates with a verdict each, page by page, in the order of their keys, from behind the key `after` on.

    A page without a candidate counts: whoever has little time must be able to stop, and go on, behind it.

    Args:
        ledger: without one, nothing is looked up.
        origin_etag: of which content a copy is one; needed only where the prefix is one of copies.

    Raises:
        ClientError, BotoCoreError, Throttled: listing or ledger cannot be read.
    """

    def look_up(page: list[BronzeObject]) -> Page:
        return Page(_look_up(ledger, request, origin_etag, page), page[-1].key if page else "")

    yield from in_order(look_up, read_ahead(listing.objects(request.prefix, after)), LOOKERS if ledger else 1, 0)


def _look_up(
    ledger: Ledger | None, request: ReplayRequest, origin_etag: OriginEtag | None, page: list[BronzeObject]
) -> list[Candidate]:
    meant = [source for source in page if request.has(source)]
    if not meant:
        return []
    if ledger is None:
        return [_not_looked_up(source) for source in meant]
    known: dict[BronzeObject, LedgerObject] = {}
    plain = [source for source in meant if not CopyKey.is_copy(source.key)]
    for batch in batched(plain, _IDS_PER_READ):
        found = {one.id: one for one in ledger.find_objects(source.id for source in batch)}
        known |= {source: found[source.id] for source in batch if source.id in found}
    for copy in (source for source in meant if CopyKey.is_copy(source.key)):
        if origin := _origin(ledger, copy, origin_etag):
            known[copy] = origin
    missing = _count_missing(ledger, [one for one in known.values() if not one.is_finished])
    return [_judged(source, known.get(source), missing, request) for source in meant]


def _origin(ledger: Ledger, copy: BronzeObject, origin_etag: OriginEtag | None) -> LedgerObject | None:
    try:
        etag = origin_etag(copy) if origin_etag else copy.etag
    except ObjectGone:
        etag = copy.etag
    return find_origin(ledger, copy, etag)


def _not_looked_up(source: BronzeObject) -> Candidate:
    return Candidate(source, source.id, Verdict.NOT_LOOKED_UP if _is_taken(source.key) else Verdict.NOT_TAKEN)


def _count_missing(ledger: Ledger, objects: list[LedgerObject]) -> dict[ObjectId, tuple[int, int]]:
    """For each: how many units nobody takes care of, and how many a worker has."""
    found = {known.id: (0, 0) for known in objects}
    for group in slices(found_once for found_once in {known.id: known for known in objects}.values()):
        fate = fates(ledger, [unit for part in group for unit in part.units])
        for part in group:
            told = [fate[unit] for unit in part.units]
            missing, working = found[part.object.id]
            missing += sum(one.is_missing for one in told)
            found[part.object.id] = missing, working + told.count(Fate.IN_LOT)
    return found


def _judged(
    source: BronzeObject,
    known: LedgerObject | None,
    missing: dict[ObjectId, tuple[int, int]],
    request: ReplayRequest,
) -> Candidate:
    if known is None:
        if CopyKey.is_copy(source.key):
            return Candidate(source, source.id, Verdict.UNKNOWN_ORIGIN)
        return Candidate(source, source.id, Verdict.NEVER_ANNOUNCED if _is_taken(source.key) else Verdict.NOT_TAKEN)
    free, working = missing.get(known.id, (0, 0))
    verdict = _verdict(known, free, working)
    is_meant = verdict is Verdict.RETRACTED and (known.is_to_be_reloaded or source.key == request.prefix)
    if request.force and (verdict is Verdict.COMMITTED or is_meant):
        verdict = Verdict.FORCED
    return Candidate(source, known.id, verdict, free, known)


def _verdict(known: LedgerObject, free: int, working: int) -> Verdict:
    if known.state is ObjectState.RETRACTED:
        return Verdict.RETRACTED
    if known.state is ObjectState.REJECTED:
        return Verdict.REJECTED if _is_taken(known.id.key) else Verdict.NOT_TAKEN
    if known.state is ObjectState.DONE:
        return Verdict.COMMITTED
    if known.state is ObjectState.PLANNING or free:  # a planner that lives refuses to be disturbed
        return Verdict.UNFINISHED
    return Verdict.IN_PROGRESS if working else Verdict.COMMITTED


def _is_taken(key: str) -> bool:
    try:
        BronzeKey.parse(key)
    except UnacceptableKey:
        return CopyKey.is_copy(key)
    return True
