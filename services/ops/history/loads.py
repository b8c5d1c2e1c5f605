"""What became of each file: the history, then what it does not have yet, then what is unfinished. Nothing twice.
Rows that were moved since the history wrote them down are told as they are (`moved`).

The history is listed before the index is read, and again after it: what was archived in between is in the second
listing alone, and what was told from the index already is left out there. An archive task puts a file before it takes
what is in it out of the index, and may die in between: the batch that it leaves open names what is in both.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.ops.grid import batched, in_batches_of_lots
from services.ops.history.moved import as_they_are, rewritten_lots
from services.ops.history.reader import History
from services.ops.history.rows import Outcome, outcome_of_finished
from services.ops.history.tally import Tallies
from services.shared.identities import HISTORY_OBJECTS, HistoryKey, LotId, ObjectId, milliseconds
from services.shared.ledger.archive import Entry, FinishedObject
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, LedgerObject, LotFile, ObjectState

Watch = Callable[[str, int], None]
_BATCH = 500
_DAY_MS = 86_400_000


class LoadState(StrEnum):
    """What became of a file, in the words that people read."""

    DONE = "done"  # every row is in Silver or in quarantine
    REJECTED = "rejected"  # refused: none of its rows is
    RETRACTED = "retracted"  # its rows were taken away again
    IN_PROGRESS = "in_progress"  # it is being loaded; its rows are those that are committed

    @classmethod
    def of(cls, state: ObjectState) -> LoadState:
        return cls(state.lower()) if state.lower() in set(cls) else cls.IN_PROGRESS


@dataclass(frozen=True, slots=True)
class Choice:
    """Which loads are asked for. Times are those at which they were finished.

    What is unfinished is asked for however old it is, and where it was announced before `until`.
    """

    object: str = ""  # s3://bucket/key, with #etag for one content of it
    dataset: str = ""
    prefix: str = ""  # of the Bronze key
    since: datetime | None = None
    until: datetime | None = None  # not included
    states: frozenset[LoadState] = frozenset()  # none: all

    def has(self, load: Outcome) -> bool:
        name = str(load.id)
        state = LoadState.of(load.state)
        return (
            (not self.object or name == self.object or name.rpartition("#")[0] == self.object)
            and load.id.key.startswith(self.prefix)
            and (not self.dataset or load.dataset == self.dataset)
            and (not self.states or state in self.states)
            and (self.since is None or load.finished >= self.since or state is LoadState.IN_PROGRESS)
            and (self.until is None or load.finished < self.until)
        )

    @property
    def key_prefix(self) -> str:
        """What the keys begin with, as far as is known."""
        match = re.fullmatch(r"s3://[^/]+/(.*?)(#[^#]*)?", self.object, re.DOTALL)
        return max(match[1] if match else "", self.prefix, key=len)


@dataclass(slots=True)
class Loads:
    """The loads that were chosen: all counted, the last `limit` of them kept, in their order."""

    limit: int
    kept: deque[Outcome] = field(init=False)
    states: Counter[LoadState] = field(default_factory=Counter)
    counts: Counts = field(default_factory=Counts)
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.kept = deque(maxlen=self.limit)

    def add(self, load: Outcome) -> None:
        self.kept.append(load)
        self.states[LoadState.of(load.state)] += 1
        self.counts += load.tally.counts
        self.refused.update(load.tally.refused)

    @property
    def total(self) -> int:
        return self.states.total()


def loads(
    ledger: Ledger,
    history: History,
    choice: Choice,
    limit: int,
    watch: Watch = lambda _w, _n: None,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> Loads:
    """What became of the chosen files, oldest first, unfinished ones last; `tell` is told each of them.

    Raises:
        HistoryDamaged: a file of the history cannot be read.
        ClientError, BotoCoreError: ledger or bucket cannot be read.
    """
    found = Loads(limit)
    for number, load in enumerate(_all(ledger, history, choice), 1):
        if not number % 1000:
            watch("loads", number)
        if choice.has(load):
            found.add(load)
            tell(load)
    return found


def lots_of(chosen: Iterable[Outcome]) -> set[LotId]:
    """The lots that hold the rows of these loads."""
    return {lot for load in chosen for lot in load.tally.lots}


def files_of(ledger: Ledger, history: History, lots: Iterable[LotId]) -> dict[LotId, tuple[LotFile, ...]]:
    """The files of these lots, as they are now: in the ledger, or else in the history's latest generation."""
    wanted = set(lots)
    files: dict[LotId, tuple[LotFile, ...]] = {}
    for few in in_batches_of_lots(wanted):
        files |= {lot.id: lot.files for lot in ledger.find_lots(few)}
    archived = history.locate(wanted - files.keys())
    return files | {id_: entry.found.lot.files for id_, entry in archived.items()}


def _all(ledger: Ledger, history: History, choice: Choice) -> Iterator[Outcome]:
    identity = _whole_identity(choice.object)
    known = next(ledger.find_objects([identity]), None) if identity else None
    if known:  # else the text is a key with a `#` of its own
        yield from _one(ledger, history, known)
        return
    today = ledger.archive.now_ms() // _DAY_MS * _DAY_MS
    rewritten = rewritten_lots(ledger, history, today, choice.since)
    read = set[HistoryKey]()
    yield from as_they_are(ledger, history, _from_history(history, choice, read), rewritten)
    in_both = _read_and_in_the_index(ledger, read)
    told = set[int]()  # of days that may be archived meanwhile
    until = milliseconds(choice.until) if choice.until else 1 << 62
    for batch in batched(ledger.finished_entries("done", until), _BATCH):
        entries = [(entry.pk, entry.since) for entry in batch if (entry.pk, entry.since) not in in_both]
        for load in _finished(ledger, ledger.archive.finished_objects(entries)):
            told |= {hash((load.id, load.since))} if load.since < today else set()
            yield load
    yield from (
        load
        for load in _from_history(history, choice, read, before_ms=today)
        if hash((load.id, load.since)) not in told
    )
    if not choice.states or choice.states & {LoadState.IN_PROGRESS, LoadState.RETRACTED}:
        yield from _open(ledger)


def _from_history(
    history: History, choice: Choice, read: set[HistoryKey], before_ms: int = 1 << 62
) -> Iterator[Outcome]:
    """From files that are not in `read`, which they join."""
    keys = [key for key in history.keys(HISTORY_OBJECTS, choice.since, choice.until) if key not in read]
    read.update(keys)
    states: Collection[ObjectState] = [ObjectState(state.upper()) for state in choice.states & _FINISHED]
    if choice.states and not states:
        return
    for key in keys:
        if key.first_ms < before_ms:
            yield from history.objects_of_file(str(key), choice.dataset, choice.key_prefix, states)


def _read_and_in_the_index(ledger: Ledger, read: Collection[HistoryKey]) -> set[Entry]:
    """Of files that were read, what the index may still have. Only the open batch's file is not taken out of it yet."""
    batch = ledger.archive.open_batch()
    return set(batch.entries) if batch and HistoryKey.parse(batch.file) in read else set()


_FINISHED = frozenset(LoadState) - {LoadState.IN_PROGRESS}


def _finished(ledger: Ledger, finished: Iterable[FinishedObject]) -> Iterator[Outcome]:
    by_id = {found.object.id: found for found in finished}
    for known, tally in Tallies(ledger).of(found.object for found in by_id.values()):
        yield outcome_of_finished(by_id[known.id], tally)


def _open(ledger: Ledger) -> Iterator[Outcome]:
    """What is unfinished, and what is being retracted, for good or to be loaded again."""
    for batch in batched(ledger.open_objects(), _BATCH):
        known = [
            found
            for found in ledger.find_objects(batch)
            if not found.is_finished or found.is_leaving or found.is_to_be_reloaded
        ]
        yield from _finished(ledger, map(_as_it_is, known))


def _one(ledger: Ledger, history: History, known: LedgerObject) -> Iterator[Outcome]:
    """The latest outcome of one content, without reading others."""
    if known.is_archived:
        yield from as_they_are(ledger, history, [history.outcome_of(known.id, known.archived)])
    else:
        yield from _finished(ledger, [ledger.archive.finished_object(known.id) or _as_it_is(known)])


def _as_it_is(known: LedgerObject) -> FinishedObject:
    if known.state is ObjectState.RETRACTED and (begun := known.retraction):
        return FinishedObject(known, milliseconds(begun.at), begun.by, begun.note)
    return FinishedObject(known, milliseconds(known.seen or known.source.created))


def _whole_identity(text: str) -> ObjectId | None:
    """None where it may be a key alone, with a `#` of its own."""
    try:
        id_ = ObjectId.parse(text)
    except ValueError:
        return None
    return id_ if re.fullmatch(r"[0-9a-fA-F-]{8,}", id_.etag) else None
