"""What a deployment's ledger, history and files say, gathered for a report. Reads only, in memory of bounded size."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from services.ops.history.loads import Choice, LoadState, Watch, files_of, loads, lots_of
from services.ops.history.reader import History
from services.ops.history.rows import Outcome
from services.ops.report.examples import read_examples
from services.ops.report.model import LISTED, LotPart, ObjectPart, Refusal, Report
from services.ops.status.status import NO_DATASET, Status
from services.shared.contract.model import Contract
from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT, UNKNOWN_RECORD_TYPE, LakeKey, LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LotFile

_MOST_LOTS = 100  # whose files are looked at: the newest

ReadFile = Callable[[LotFile], bytes]


def of_deployment(
    about: str,
    ledger: Ledger,
    history: History,
    read: ReadFile,
    status: Status,
    contracts: Sequence[Contract],
    since: datetime | None,
    watch: Watch = lambda _w, _n: None,
) -> Report:
    """Gather a report.

    Args:
        about: the names of the deployment, for its heading.
        ledger, history: where every object's outcome is.
        read: the bytes of a quarantine file; may raise `ObjectGone`.
        status: a glance at what is open.
        contracts: those whose fields the page describes.
        since: objects that were finished before are not counted; None: all are.
        watch: told how far it is.

    Raises:
        HistoryDamaged: a file of the history cannot be read.
        ClientError, BotoCoreError: ledger or bucket cannot be read.
    """
    report = Report("Pipeline", about, status.at, since, contracts=contracts, needs=status.needs)
    sums = _Sums(report)
    found = loads(ledger, history, Choice(since=since), LISTED, watch, sums.add)
    report.counts = found.counts
    report.objects_by_state = {str(state): found.states[state] for state in LoadState if found.states[state]}
    report.objects = [_object(load) for load in reversed(found.kept)]
    report.rejected = [_object(load) for load in reversed(sums.rejected)]
    report.rejected_total = found.states[LoadState.REJECTED]
    for name, one in status.datasets.items():
        report.dataset(name).open = one.open
    newest = sorted(lots_of([*found.kept, *sums.last.values()]), reverse=True)[:_MOST_LOTS]
    files = files_of(ledger, history, newest)
    report.lots = [_lot(id_, files[id_]) for id_ in newest if id_ in files][:LISTED]
    _note_newest(report, files)
    _add_refusals(report, sums.refused, files, read)
    if status.more:
        report.notes.append("More is open than was looked at: `smelt status` tells how to see all of it.")
    return report


class _Sums:
    """Adds loads up as they come."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.rejected: deque[Outcome] = deque(maxlen=LISTED)
        self.last: dict[str, Outcome] = {}  # of each dataset: what was loaded last
        self.refused: Counter[tuple[str, str]] = Counter()  # rows by dataset and reason

    def add(self, load: Outcome) -> None:
        name = load.dataset or NO_DATASET
        part, counts, state = self._report.dataset(name), load.tally.counts, LoadState.of(load.state)
        part.silver += counts.silver
        part.quarantined += counts.quarantined
        for reason, rows in load.tally.refused.items():
            self.refused[name, reason] += rows
        self._report.loaded.add(load.finished, name, counts.silver)
        self._report.refused.add(load.finished, name, counts.quarantined)
        if state is LoadState.REJECTED and load.size:
            self.rejected.append(load)
        if state is LoadState.DONE and (part.loaded is None or load.finished >= part.loaded):
            part.loaded, part.lag = load.finished, max(load.finished - load.created, timedelta())
            self.last[name] = load


def _object(load: Outcome) -> ObjectPart:
    state = LoadState.of(load.state)
    finished = None if state is LoadState.IN_PROGRESS else load.finished
    return ObjectPart(
        str(load.id),
        load.dataset or NO_DATASET,
        state.value,
        load.tally.counts,
        load.size,
        finished,
        load.reason,
        load.advice,
    )


def _lot(id_: LotId, files: Iterable[LotFile]) -> LotPart:
    parsed = [(LakeKey.parse(file.key), file) for file in files]
    rows = {root: sum(file.rows for key, file in parsed if key.root == root) for root in (SILVER_ROOT, QUARANTINE_ROOT)}
    claimed = datetime.fromtimestamp(id_.claimed_ms / 1000, UTC)
    return LotPart(
        str(id_), claimed, rows[SILVER_ROOT], rows[QUARANTINE_ROOT], len(parsed), sum(file.bytes for _, file in parsed)
    )


def _note_newest(report: Report, files: Mapping[LotId, Iterable[LotFile]]) -> None:
    """The latest day that recent lots wrote, of each dataset."""
    for key in (LakeKey.parse(file.key) for few in files.values() for file in few):
        if key.root == SILVER_ROOT and key.record_type in report.datasets:
            part = report.datasets[key.record_type]
            part.newest = max(part.newest, key.dt)


def _add_refusals(
    report: Report, refused: Counter[tuple[str, str]], files: Mapping[LotId, Iterable[LotFile]], read: ReadFile
) -> None:
    """Reasons by the dataset of the object, with rows from recent lots as examples."""
    recent = [file for id_ in sorted(files, reverse=True) for file in files[id_]]
    examples = read_examples((file for file in recent if LakeKey.parse(file.key).root == QUARANTINE_ROOT), read)
    report.refusals = [
        Refusal(
            dataset,
            reason,
            None,
            rows,
            examples.get((dataset, reason)) or examples.get((UNKNOWN_RECORD_TYPE, reason), []),
        )
        for (dataset, reason), rows in sorted(refused.items(), key=lambda entry: (-entry[1], entry[0]))[:LISTED]
    ]
    if len(refused) > LISTED:
        report.notes.append(f"{len(refused) - LISTED:,} more reasons with fewer rows are not shown.")
