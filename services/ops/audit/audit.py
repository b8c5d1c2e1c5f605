"""The audit's steps, and its result. See the package's page for the order and why it is the right one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import TypeVar

from services.ops.audit import suspects
from services.ops.audit.accounts import Account, Outcome, outcome_of
from services.ops.audit.findings import Finding, Findings
from services.ops.audit.listings import BronzeVersion, ListedFile, Listings
from services.ops.audit.past import Past
from services.ops.audit.recheck import Recheck, accounts
from services.ops.audit.scope import BRONZE_ROOT, REPLAY_ROOT, Scope
from services.ops.audit.spool import Spool
from services.ops.grid import Records
from services.ops.history.reader import History
from services.shared.identities import LakeKey, LotId, ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, LotState

T = TypeVar("T")
Watch = Callable[[str, int], None]  # what is being read, and how many so far
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """When waiting becomes a problem, and how much is kept of what is found."""

    in_flight: timedelta = timedelta(minutes=15)  # a younger upload may be on its way to ingest
    overdue: timedelta = timedelta(hours=24)  # an older object should be finished
    listed: int = 1000  # objects, and findings of each code, that are kept; all are counted
    quarantine_days: int = 0  # after which the bucket's lifecycle deletes files of quarantine; 0: never

    def expired(self, now: datetime) -> date:
        """The last day (UTC) whose quarantine files may be gone when the audit ends, which may be after midnight."""
        return (now - timedelta(days=self.quarantine_days - 1)).date() if self.quarantine_days else date.min


@dataclass(slots=True)
class TablesSeen:
    """What was compared with the lake's tables."""

    files: int = 0  # of committed lots
    waiting: int = 0  # lots that wait for the publisher, in each partition; they are no finding


@dataclass(slots=True)
class Audit:
    """What the audit found. Everything is counted; at most `Limits.listed` objects and findings of a code are kept."""

    findings: Findings
    objects: Counter[Outcome] = field(default_factory=Counter)
    counts: Counts = field(default_factory=Counts)  # rows of committed units
    lots: Counter[LotState] = field(default_factory=Counter)
    files: int = 0  # in Silver and quarantine
    history_rows: int = 0  # rows of the history
    leftovers: int = 0  # committed lots with files that the sweep will delete
    in_flight: int = 0  # uploads that ingest has not seen yet, and need not have
    replay_copies: int = 0  # versions under bronze/replay/: requests, not data of their own
    accounts: list[Account] = field(default_factory=list)  # of the objects that were asked for
    accounts_left_out: int = 0  # further ones, beyond the limit
    tables: TablesSeen | None = None  # None where the lake was not looked at

    def add(self, account: Account, listed: bool, limit: int) -> None:
        """Count an object and, if it is to be listed and there is room, keep it."""
        keep = listed and len(self.accounts) < limit
        if keep:
            self.accounts.append(account)
        self.accounts_left_out += listed and not keep
        self.count(account.outcome, account.counts)

    def count(self, outcome: Outcome, counts: Counts, number: int = 1) -> None:
        """Count objects with the rows of them all."""
        self.objects[outcome] += number
        self.counts += counts

    def add_lot(self, state: LotState, leftover: bool, number: int = 1) -> None:
        self.lots[state] += number
        self.leftovers += number if leftover and state is LotState.COMMITTED else 0

    @property
    def all_right(self) -> bool:
        """Nothing contradicts anything, and nothing needs somebody. Work in progress is all right."""
        return not self.findings.total and all(outcome.all_right for outcome, number in self.objects.items() if number)

    @property
    def unfinished(self) -> int:
        """Objects that are neither done nor without need to be: they have no bytes, or were retracted."""
        settled = (Outcome.DONE, Outcome.EMPTY, Outcome.RETRACTED)
        return self.objects.total() - sum(self.objects[outcome] for outcome in settled)


def audit(
    ledger: Ledger,
    listings: Listings,
    scope: Scope = Scope(),  # noqa: B008 (immutable, and so is the next)
    limits: Limits = Limits(),
    now: datetime | None = None,
    watch: Watch = lambda _what, _number: None,
    history: History | None = None,
) -> Audit:
    """Hold ledger, history, Bronze, Silver and quarantine against each other.

    Without `history`, nothing may have left the ledger.

    Raises:
        ClientError, BotoCoreError: ledger or bucket cannot be read.
    """
    result = Audit(Findings(limits.listed))
    moment = now or datetime.now(UTC)
    expired = limits.expired(moment.astimezone(UTC))
    with Spool(scope, expired) as spool:
        past = Past(ledger, spool, history, scope)
        recheck = Recheck(past, listings, scope, expired)
        for number, record in enumerate(ledger.scan(), 1):
            spool.add(record)
            if not number % 1000:
                watch("records of the ledger", number)
        spool.index()
        found = chain(
            _take_over(past, spool, result, watch),
            _compare_files(spool, listings, recheck, result, watch),
            _compare_bronze(spool, listings, recheck, result, moment - limits.in_flight, watch),
            _compare_records(spool, recheck, watch),
            _account(spool, past, recheck, result, moment, limits, watch),
        )
        for finding in found:
            result.findings.add(finding)
        for state, leftover, number in suspects.lot_states(spool):
            result.add_lot(state, leftover, number)
    return result


def _take_over(past: Past, spool: Spool, result: Audit, watch: Watch) -> Iterator[Finding]:
    """What has left the ledger, and what is wrong with the history."""
    yield from past.take_over()
    watch("rows of the history", past.rows)
    result.history_rows = past.rows
    suspects.past(spool)


def _compare_files(
    spool: Spool, listings: Listings, recheck: Recheck, result: Audit, watch: Watch
) -> Iterator[Finding]:
    """Files that no lot references, and files that are not smelt's. No narrower scope has them."""
    for page in listings.files():
        result.files += len(page)
        watch("files of Silver and quarantine", result.files)
        named, foreign = list[tuple[ListedFile, LotId]](), list[ListedFile]()
        for file in page:
            try:
                named.append((file, LakeKey.parse(file.key).lot))
            except ValueError:
                foreign.append(file)
        orphans = spool.unknown_files(named)
        if recheck.scope.is_everything:
            yield from recheck.files(orphans)
            yield from recheck.foreign(foreign)


def _compare_bronze(
    spool: Spool, listings: Listings, recheck: Recheck, result: Audit, in_flight_since: datetime, watch: Watch
) -> Iterator[Finding]:
    """Contents of Bronze that were never announced."""
    seen = 0
    for page in listings.bronze(recheck.scope.bronze_prefix):
        seen += len(page)
        watch("versions in Bronze", seen)
        yield from recheck.never_announced(_unknown(spool, page, recheck.scope, result, in_flight_since))


def _unknown(
    spool: Spool, page: list[BronzeVersion], scope: Scope, result: Audit, in_flight_since: datetime
) -> list[BronzeVersion]:
    copies = [version for version in page if version.id.key.startswith(REPLAY_ROOT)]
    result.replay_copies += len(copies)
    asked = {
        version.id: version
        for version in page
        if version.id.key.startswith(BRONZE_ROOT)
        and not version.id.key.startswith(REPLAY_ROOT)
        and scope.has(version.id, version.modified)
    }
    unknown = [asked[id_] for id_ in spool.unknown_objects(list(asked))]
    old = [version for version in unknown if version.modified < in_flight_since]
    result.in_flight += len(unknown) - len(old)
    return old


def _compare_records(spool: Spool, recheck: Recheck, watch: Watch) -> Iterator[Finding]:
    """Lots, units and files that contradict each other."""
    suspects.prepare(spool)
    yield from recheck.lots(_watched(suspects.lots(spool), "suspicious lots", watch))
    yield from recheck.units(_watched(suspects.units(spool), "suspicious units", watch))


def _account(
    spool: Spool, ledger: Records, recheck: Recheck, result: Audit, now: datetime, limits: Limits, watch: Watch
) -> Iterator[Finding]:
    """The accounts of all objects; those that look bad, and those that are listed, are read again."""
    scope = recheck.scope
    read_again: list[suspects.Known] = []
    doubtful: list[ObjectId] = []  # DONE, and not every unit is committed; REJECTED or RETRACTED, and some are
    with_done = scope.lists(Outcome.DONE)
    if not with_done:
        settled, rows = suspects.settled(spool)
        result.count(Outcome.DONE, rows, settled)
    for number, known in enumerate(suspects.objects(spool, with_done), 1):
        if not number % 1000:
            watch("objects", number)
        outcome = outcome_of(known.object, known.committed, known.dead, now, limits.overdue)
        if known.contradicts_itself:
            doubtful.append(known.object.id)
            if len(doubtful) >= _BATCH:
                yield from recheck.finished(doubtful)
                doubtful.clear()
        if outcome.all_right and not (scope.lists(outcome) and len(result.accounts) < limits.listed):
            result.count(outcome, known.counts)
            result.accounts_left_out += scope.lists(outcome)
            continue
        read_again.append(known)
        if len(read_again) >= _BATCH:
            _read_again(read_again, ledger, result, scope, now, limits)
    _read_again(read_again, ledger, result, scope, now, limits)
    yield from recheck.finished(doubtful)


def _read_again(
    batch: list[suspects.Known], ledger: Records, result: Audit, scope: Scope, now: datetime, limits: Limits
) -> None:
    for account in accounts(ledger, [known.object.id for known in batch], now, limits.overdue):
        result.add(account, listed=scope.lists(account.outcome), limit=limits.listed)
    batch.clear()


def _watched(items: Iterable[T], what: str, watch: Watch) -> Iterator[T]:
    for number, item in enumerate(items, 1):
        watch(what, number)
        yield item
