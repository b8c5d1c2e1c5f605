"""A replay from a place to its end or a deadline: what needs work is copied, or sent to the queue; the rest is skipped.

Whatever was done before is recognised: what is committed by the ledger, what was copied by the listing of the copies
beside the listing of the sources, what was sent by the place of the walk. So a run that was stopped goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from services.ops.bronze import Listing
from services.ops.errors import OperatorError
from services.ops.parallel import Pace, in_order, read_ahead
from services.ops.replay.copying import Copier, KeyTooLong, NotCopyable, SourceChanged
from services.ops.replay.planning import Candidate, OriginEtag, ReplayRequest, Verdict, plan_replay
from services.shared.deadline import Deadline, OutOfTime
from services.shared.errors import Terminal
from services.shared.identities import REPLAY_ROOT, CopyKey
from services.shared.lake import Lake, LakeForbidden, ObjectGone
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, LeaseLost, LostRace
from services.shared.ledger.releases import NotReopened
from services.shared.planning.planner import Outcome, Planned, Planner
from services.shared.units import BronzeObject

if TYPE_CHECKING:
    from services.ops.history.remembered import Remembered

T = TypeVar("T")
DEFAULT_JOBS = 16  # the connections that a client keeps (services/shared/aws.py)
MAX_LISTED = 1000
_MAX_REFUSALS = 20
_NO_HURRY = Deadline(lambda: float("inf"), 0)

Force = Callable[[Candidate], None]  # takes its rows out and lets it in again; may raise Unreadable before that
Announce = Callable[[BronzeObject], None]
Watch = Callable[[str, int], None]


class Done(StrEnum):
    """What became of a candidate."""

    SKIPPED = "skipped"  # for its verdict
    COPIED = "copied"  # ingest goes on
    COPIED_BEFORE = "copied before"  # by an earlier run with the same destination
    SENT = "sent"  # its missing units are on the queue
    PUT_BACK = "put back"  # the ledger had lost it, and the history has it, finished: nothing is loaded
    ANNOUNCED = "announced"  # planned for the first time, or ingest was told of it
    LEFT = "left"  # somebody else is at work on it
    CHANGED = "changed"  # overwritten or deleted after it was listed: what is there now has an event of its own
    KEY_TOO_LONG = "key too long"  # for a copy: send it to the queue instead
    NOT_COPYABLE = "not copyable"  # archived, forbidden, or encrypted with a key that we may not use
    UNREADABLE = "unreadable"  # and so nothing was taken out of Silver (`--force`)
    NOT_ANNOUNCED = "not announced"  # nobody who could announce it was named


_LEFT_BEHIND = (Done.NOT_ANNOUNCED, Done.KEY_TOO_LONG, Done.NOT_COPYABLE, Done.UNREADABLE)


class Unreadable(Terminal):
    """The bytes of an object cannot be read: what is taken out of Silver now would not come back."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one candidate."""

    candidate: Candidate
    done: Done
    units: int = 0  # that were sent
    why: str = ""  # S3 does not copy it


@dataclass(slots=True)
class Summary:
    """Counts of one run. `listed` names those that are not committed, at most MAX_LISTED."""

    objects: Counter[tuple[Verdict, Done]] = field(default_factory=Counter)
    units: int = 0  # sent
    missing: int = 0  # units that nobody took care of
    bytes: int = 0  # of what was copied, sent or announced
    listed: list[Result] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # why S3 does not copy objects, at most _MAX_REFUSALS

    def add(self, result: Result) -> None:
        self.objects[result.candidate.verdict, result.done] += 1
        self.units += result.units
        self.missing += result.candidate.missing
        if result.done in (Done.COPIED, Done.SENT, Done.ANNOUNCED):
            self.bytes += result.candidate.source.size
        if result.candidate.verdict is not Verdict.COMMITTED and len(self.listed) < MAX_LISTED:
            self.listed.append(result)
        if result.why and len(self.refusals) < _MAX_REFUSALS:
            self.refusals.append(result.why)

    @property
    def all_right(self) -> bool:
        """Whether nothing was left behind that nobody else takes care of."""
        return not any(map(self.number, _LEFT_BEHIND))

    def number(self, what: Verdict | Done) -> int:
        """How many objects had this verdict, or this end."""
        return sum(number for pair, number in self.objects.items() if what in pair)

    def to_json(self) -> dict[str, Any]:
        """Counts only: small, whatever the replay is about."""
        return {
            "objects": {str(verdict): number for verdict in Verdict if (number := self.number(verdict))},
            "done": {str(done): number for done in Done if (number := self.number(done))},
            "units_sent": self.units,
            "units_missing": self.missing,
            "bytes": self.bytes,
        }


class Way(Protocol):
    """How an object that needs work is brought to its end. Called by several threads."""

    def handle(self, candidate: Candidate, deadline: Deadline) -> Result: ...


@dataclass(frozen=True, slots=True)
class DryRun:
    """Does nothing, and says what would be done."""

    def handle(self, candidate: Candidate, deadline: Deadline) -> Result:  # noqa: ARG002 (a Way)
        return Result(candidate, Done.SKIPPED)


@dataclass(frozen=True, slots=True)
class ByCopying:
    """Copies; S3 tells ingest. Needs no queue. A copy cannot announce what the ledger does not know: `announce` can."""

    copier: Copier
    listing: Listing
    announce: Announce | None = None
    force: Force | None = None

    def handle(self, candidate: Candidate, deadline: Deadline) -> Result:
        deadline.check()
        if candidate.verdict is Verdict.NEVER_ANNOUNCED:
            if self.announce is None:
                return Result(candidate, Done.NOT_ANNOUNCED)
            source = self.listing.pinned(candidate.source)
            if source is None:
                return Result(candidate, Done.CHANGED)
            self.announce(source)
            return Result(candidate, Done.ANNOUNCED)
        try:
            if candidate.verdict is Verdict.FORCED:  # no row leaves that cannot come back
                self.copier.checked_key_of(candidate.origin)
                if self.listing.pinned(candidate.source) is None:
                    return Result(candidate, Done.CHANGED)
                _forced(self.force, candidate)
            self.copier.copy(candidate.source, candidate.origin)
        except Unreadable:
            return Result(candidate, Done.UNREADABLE)
        except (NotReopened, LostRace):
            return Result(candidate, Done.LEFT)
        except NotCopyable as error:
            if candidate.verdict is Verdict.FORCED:  # it could be read: S3 refuses to write a copy, of any object
                raise OperatorError(
                    f"{error}. Its rows, and perhaps those of a few objects beside it, have left Silver and are "
                    "not loaded again: `smelt reconcile --older-than-minutes 0` loads them. No others were taken out."
                ) from error
            return Result(candidate, Done.NOT_COPYABLE, why=str(error))
        except SourceChanged:
            return Result(candidate, Done.CHANGED)
        except KeyTooLong:
            return Result(candidate, Done.KEY_TOO_LONG)
        return Result(candidate, Done.COPIED)


@dataclass(frozen=True, slots=True)
class BySending:
    """Plans through the ledger and sends what is missing."""

    planner: Planner
    listing: Listing
    force: Force | None = None

    def handle(self, candidate: Candidate, deadline: Deadline) -> Result:
        deadline.check()
        source: BronzeObject | None = candidate.source
        if candidate.verdict in (Verdict.NEVER_ANNOUNCED, Verdict.FORCED):
            # The version that the ledger has pinned may be gone, though the same bytes are there as another one.
            source = self.listing.pinned(candidate.source)
        if source is None:
            return Result(candidate, Done.CHANGED)
        try:
            if candidate.verdict is Verdict.FORCED:
                _forced(self.force, candidate)
        except Unreadable:
            return Result(candidate, Done.UNREADABLE)
        except (NotReopened, LostRace):
            return Result(candidate, Done.LEFT)
        try:
            planned = self._plan(candidate, source, deadline)
        except (LeaseHeld, LeaseLost):
            return Result(candidate, Done.LEFT)
        if planned.outcome is Outcome.PLANNED and candidate.verdict is Verdict.NEVER_ANNOUNCED:
            return Result(candidate, Done.ANNOUNCED, planned.units)
        if planned.outcome in (Outcome.PLANNED, Outcome.RESUMED):
            return Result(candidate, Done.SENT, planned.units)
        return Result(candidate, Done.LEFT)

    def _plan(self, candidate: Candidate, source: BronzeObject, deadline: Deadline) -> Planned:
        """A version that the ledger knows stays pinned. The planner finds out of what a copy is one."""
        if candidate.verdict is Verdict.REJECTED and candidate.known and not CopyKey.is_copy(source.key):
            return self.planner.judge_again(candidate.known, deadline)
        return self.planner.plan(source, deadline)


def _forced(force: Force | None, candidate: Candidate) -> None:
    if force is None:
        raise OperatorError(f"{candidate.origin}: nobody was named who retracts it, so it cannot be loaded again.")
    force(candidate)


def check_readable(lake: Lake, source: BronzeObject) -> None:
    """Read one byte of what would be loaded again.

    Raises:
        Unreadable: it was deleted, overwritten or archived, or we may not read it.
        LakeUnavailable: S3 did not answer.
    """
    if not source.size:
        return
    try:
        lake.open(source, 0, 1).close()
    except ObjectGone as error:  # its advice would take away what is left of it
        raise Unreadable(error.what) from error
    except LakeForbidden as error:
        raise Unreadable(str(error)) from error


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay. `ledger` is None where nobody may read it: then everything in the window is handled."""

    listing: Listing
    ledger: Ledger | None
    way: Way
    origin_etag: OriginEtag | None = None
    jobs: int = DEFAULT_JOBS
    pace: Pace = field(default_factory=Pace)
    past: Remembered | None = None  # the history, which knows what the ledger may have lost

    def run(
        self,
        request: ReplayRequest,
        place: Mapping[str, Any] | None = None,
        deadline: Deadline = _NO_HURRY,
        keep: Callable[[Mapping[str, Any]], None] = lambda _place: None,
        watch: Watch = lambda _what, _number: None,
    ) -> tuple[Summary, dict[str, Any] | None]:
        """Go on from `place` (None: the beginning) until the end or the deadline.

        Args:
            keep: hears from time to time up to which place everything has been handled.

        Returns:
            What was done in this run, and where the next one goes on; None at the end.

        Raises:
            ClientError, BotoCoreError, Throttled, SendFailed: AWS refuses or does not answer. `keep` has heard of what
                was done before.
        """
        summary, after, number = Summary(), str((place or {}).get("after", "")), 0
        if deadline.left <= 0:
            return summary, {"after": after}
        candidates = self._until(deadline, self._candidates(request, after))
        try:
            for result in in_order(lambda one: self._handle(one, deadline), candidates, self.jobs):
                if isinstance(result, str):  # everything up to this key, of which nothing may have been asked for
                    after = result
                    keep({"after": after})
                    continue
                summary.add(result)
                after = result.candidate.source.key
                number += 1
                watch("objects", number)
            if deadline.left > 0:
                return summary, None
        except OutOfTime:
            pass
        finally:
            if after:
                keep({"after": after})
        return summary, {"after": after}

    def _handle(self, given: tuple[Candidate, bool] | str, deadline: Deadline) -> Result | str:
        if isinstance(given, str):
            return given
        candidate, copied_before = given
        if not candidate.verdict.needs_work:
            return Result(candidate, Done.SKIPPED)
        if copied_before:
            return Result(candidate, Done.COPIED_BEFORE)
        self.pace.wait()
        if candidate.verdict is Verdict.NEVER_ANNOUNCED and self._is_put_back(candidate):
            return Result(candidate, Done.PUT_BACK)
        return self.way.handle(candidate, deadline)

    def _is_put_back(self, candidate: Candidate) -> bool:
        if self.past is None or self.ledger is None or isinstance(self.way, DryRun):
            return False
        return self.past.put_back(self.ledger, candidate.origin)

    def _candidates(self, request: ReplayRequest, after: str) -> Iterator[tuple[Candidate, bool] | str]:
        """Each with whether an earlier run has copied it; behind those of a page of the listing, its last key."""
        copies: Copies | None = None
        if isinstance(self.way, ByCopying) and not CopyKey.is_copy(request.prefix):
            copies = Copies(self.listing, self.way.copier, request.prefix, after)
        for page in plan_replay(self.ledger, self.listing, request, after, self.origin_etag):
            for candidate in page.candidates:
                needs_copy = candidate.verdict.needs_work and candidate.verdict is not Verdict.NEVER_ANNOUNCED
                yield candidate, needs_copy and copies is not None and copies.has(candidate)
            if page.last:
                yield page.last

    @staticmethod
    def _until(deadline: Deadline, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            if deadline.left <= 0:
                return
            yield item


class Copies:
    """The copies that an earlier run has made: a listing that goes along with that of the sources, in their order."""

    def __init__(self, listing: Listing, copier: Copier, prefix: str, after: str) -> None:
        def below(key: str) -> str:
            return str(CopyKey(copier.prefix, key))

        pages = listing.objects(below(prefix), below(after) if after else "")
        self._copies = (copy for page in read_ahead(pages) for copy in page)
        self._copier = copier
        self._next = next(self._copies, None)

    def has(self, candidate: Candidate) -> bool:
        """Whether this content has been copied. Ask in the order of keys."""
        key = self._copier.key_of(candidate.origin)
        while self._next is not None and self._next.key.encode() < key.encode():
            self._next = next(self._copies, None)
        copy, source = self._next, candidate.source
        if copy is None or copy.key != key or copy.size != source.size or copy.created < source.created:
            return False
        # Uploads in parts and SSE-KMS give a copy another etag; what was copied after the last change is this content.
        either_in_parts = "-" in copy.etag or "-" in source.etag
        return either_in_parts or copy.etag == source.etag or copy.created > source.created


def checked_destination(prefix: str) -> str:
    """A destination of copies, without a slash at its end.

    Raises:
        OperatorError: it is not below `bronze/replay/`; a copy elsewhere would be loaded as new data, a second time.
    """
    stripped = prefix.strip().rstrip("/")
    if not stripped.startswith(REPLAY_ROOT) or not stripped.removeprefix(REPLAY_ROOT).strip("/"):
        raise OperatorError(
            f"--dest-prefix is {prefix!r}; it must be {REPLAY_ROOT}<name of the run>, such as "
            f"{REPLAY_ROOT}2026-01-01T00-00-00Z. Anywhere else a copy is new data, and its rows would be there twice."
        )
    return stripped


def replay_chunk(
    replay: Replay,
    request: ReplayRequest,
    place: Mapping[str, Any] | None,
    deadline: Deadline,
    tell: Callable[[str], None] = lambda _why: None,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A part of a replay for Step Functions: as much as fits before the deadline.

    Args:
        tell: hears why S3 does not copy objects, of the first ones of this part.

    Returns:
        Counts of this part, and where the next one goes on (None at the end): both small, and what JSON can hold.
    """
    summary, further = replay.run(request, place, deadline)
    for why in summary.refusals:
        tell(why)
    return summary.to_json(), further
