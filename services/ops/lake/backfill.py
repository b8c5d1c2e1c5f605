"""What was committed before there were marks: found by listing Silver, published like everything else.

    list some files of a dataset --> their lots, from the ledger or the history --> a commit --> the place is noted

Only files that a committed lot names come into the table. Lots that are being rewritten get a mark instead, so that
their files wait for the publisher; so do lots that could not be published, such as one whose file is lost. A pass that
began while workers without the setting OUTBOXES may still have been at work is followed by a second one. Every step may
be repeated, and losing the place costs time only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from services.ops.grid import LOTS_PER_READ, batched
from services.ops.history.reader import History
from services.ops.lake.catalog import LakeCatalog
from services.ops.lake.live import read_days
from services.ops.lake.publish import Published, Publisher, wanted_files
from services.ops.lake.store import Store, StoredFile
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline, OutOfTime
from services.shared.identities import SILVER_ROOT, LakeKey, LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LotFile, LotState, Outbox

FILES_AT_ONCE = 1_000
GRACE_MS = 20 * 60 * 1000  # an invocation lasts 15 minutes at most; after that no worker is without the setting


@dataclass(frozen=True, slots=True)
class Place:
    """How far a dataset's pass has come, since the lake was enabled at `opened`: what came before that is no matter."""

    opened: int  # epoch milliseconds
    began: int  # epoch milliseconds
    after: str = ""  # the last key that was dealt with
    done: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"opened": self.opened, "began": self.began, "after": self.after, "done": self.done}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> Place | None:
        try:
            if not stored:
                return None
            return cls(int(stored["opened"]), int(stored["began"]), str(stored["after"]), bool(stored["done"]))
        except (KeyError, TypeError, ValueError):
            return None


class Backfill:
    """Brings what Silver has into the tables, dataset by dataset."""

    def __init__(
        self,
        ledger: Ledger,
        catalog: LakeCatalog,
        store: Store,
        contracts: Mapping[str, Contract],
        history: History,
        publisher: Publisher,
        deadline: Deadline,
    ) -> None:
        self._ledger, self._catalog, self._store, self._contracts = ledger, catalog, store, contracts
        self._history, self._publisher, self._deadline = history, publisher, deadline

    @property
    def _done(self) -> Published:
        return self._publisher.done

    def run(self, again: bool = False) -> None:
        """Go on until every dataset is done, or time is over. `again` starts all of them from the beginning."""
        for dataset in sorted(self._contracts):
            if again:
                self._ledger.cursors.clear(_walk(dataset))
            try:
                self._publisher.attempt(dataset, partial(self._run, dataset))
            except OutOfTime:
                self._done.finished = False
                return

    def _run(self, dataset: str) -> None:
        place = Place.from_json(self._ledger.cursors.load(_walk(dataset)))
        opened = self._ledger.marks.opened_at(Outbox.PUBLISH) or 0
        if place is not None and place.opened != opened:
            place = None  # the lake was off in between, and its tables may be new ones
        if place is not None and place.done and place.began > opened + GRACE_MS:
            return
        if place is None or place.done:
            if place is not None and self._ledger.now_ms() <= opened + GRACE_MS:
                return  # the second pass begins when all workers have the setting
            self._catalog.ensure(self._contracts[dataset])
            place = Place(opened, self._ledger.now_ms())
        files = self._store.list(f"{SILVER_ROOT}/{dataset}/", place.after)
        for some in _pages(files):
            self._deadline.check()
            self._publish(dataset, [key for key in map(_lake_key, some) if key is not None])
            self._done.listed += len(some)
            place = Place(opened, place.began, some[-1].key)
            self._ledger.cursors.save(_walk(dataset), place.to_json())
        self._take_out(dataset)
        self._ledger.cursors.save(_walk(dataset), Place(opened, place.began, place.after, done=True).to_json())

    def _publish(self, dataset: str, keys: Iterable[LakeKey]) -> None:
        listed = list(keys)
        days = {key.dt for key in listed}
        lots: dict[LotId, dict[str, LotFile]] = {}
        for some in batched(sorted({key.lot for key in listed}), LOTS_PER_READ):
            for id_, files in self._files_of(some):
                wanted = wanted_files(files, dataset)
                lots[id_] = {key: file for key, file in wanted.items() if LakeKey.parse(key).dt in days}
        if lots:
            self._bring(dataset, lots, days)

    def _bring(self, dataset: str, lots: Mapping[LotId, Mapping[str, LotFile]], days: Set[str]) -> None:
        """Publish, and leave a mark for what could not be: the pass does not come back, the publisher does."""
        left = self._publisher.publish_each(dataset, lots, days)
        for lot in self._ledger.find_lots(sorted(left)):
            self._ledger.rewrites.ask_to_publish(lot)

    def _take_out(self, dataset: str) -> None:
        """Take out what lots do not have any more: retracted while the lake was off, they are in no listing."""
        table = self._catalog.find(dataset)
        for days, live in read_days(table, self._store) if table else ():
            self._deadline.check()
            have: dict[LotId, set[str]] = {}
            for key in (*(key for key in live.files if key.startswith(f"{SILVER_ROOT}/")), *live.covered()):
                have.setdefault(LakeKey.parse(key).lot, set()).add(key)
            stale: dict[LotId, dict[str, LotFile]] = {}
            for some in batched(sorted(have), LOTS_PER_READ):
                for id_, files in self._files_of(some):
                    wanted = {
                        key: file for key, file in wanted_files(files, dataset).items() if LakeKey.parse(key).dt in days
                    }
                    if have[id_] - wanted.keys():
                        stale[id_] = wanted
            if stale:
                self._bring(dataset, stale, days)

    def _files_of(self, ids: Iterable[LotId]) -> Iterator[tuple[LotId, tuple[LotFile, ...]]]:
        """The files of those of these lots that are committed and at rest."""
        gone = set(ids)
        for lot in self._ledger.find_lots(gone.copy()):
            gone.discard(lot.id)
            if lot.state is LotState.REWRITING:
                self._ledger.rewrites.leave_mark(lot)
            elif lot.state is LotState.COMMITTED:
                yield lot.id, lot.files
        for id_, archived in self._history.locate(gone).items():
            yield id_, archived.found.lot.files


def _walk(dataset: str) -> str:
    return f"lake#{dataset}"


def _lake_key(file: StoredFile) -> LakeKey | None:
    try:
        return LakeKey.parse(file.key)
    except ValueError:
        return None  # the audit tells of files that smelt does not write


def _pages(files: Iterator[StoredFile]) -> Iterator[list[StoredFile]]:
    while some := list(islice(files, FILES_AT_ONCE)):
        yield some
