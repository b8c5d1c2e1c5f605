"""Marks: what a commit tells those who follow it, in the commit's own transaction, so that nothing is lost in between.

    (none) --Lots.commit--> waiting, generation 1 --remove--> (none)         note_swap: it waits for a lost file only
                                 |                               |
                                 '--------Rewrites.begin---------'--> generation g+1, not ready
                                                                         |  record_outputs: further partitions
                            (none) <--remove-- waiting <-----------------'
                                                   finish_rewriting, undo

An outbox is one reader of marks: `publish` adds files to the lake's tables, `events` tells which partitions were
written. Transform writes marks for the outboxes of its setting OUTBOXES. The ledger knows them too (`open`), because
commands rewrite lots without that setting; after `close_outbox`, rewrites write none. A worker without the setting
notes that it passes an open outbox by, so that the reader who opens it again looks at what has no marks.

A mark is one item of a lot, however many datasets the lot has: so a commit is a transaction of three items at most. A
rewrite puts the mark of its generation in place of the one that is there, with the partitions of both. A lot without
rows in Silver has no mark.

A reader does with each mark something that may be repeated, then removes it:

    for waiting in ledger.marks.to_deal_with(Outbox.EVENTS):
        tell(waiting.mark.partitions)          # dataset -> days; waiting.lot has files and counts
        ledger.marks.remove(waiting.mark)      # only if the lot has not been rewritten meanwhile

Who dies in between meets the mark again. `after=waiting.place` goes on behind a mark; the index of open work, which
`to_deal_with` walks, is eventually consistent, so a new mark may be met a moment later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from services.shared.identities import SILVER_ROOT, LakeKey, LotId, milliseconds
from services.shared.ledger.entries import OpenEntry, entries_of
from services.shared.ledger.items import Item, lot_from, lot_key, open_shard, pack, unpack
from services.shared.ledger.records import Lot, LotState, Outbox
from services.shared.ledger.table import NEW, Condition, LedgerTable, Write

_LOTS_AT_ONCE = 25  # that are read: each may have thousands of files
_MAX_WHY = 1000  # characters
_ALWAYS = Condition("attribute_exists(pk) OR attribute_not_exists(pk)", {})
_THERE = Condition("attribute_exists(pk)", {})
_SHUT_OR_PASSED_BY = Condition("attribute_not_exists(pk) OR attribute_exists(passed_by_at)", {})


@dataclass(frozen=True, slots=True)
class Mark:
    """A committed generation of a lot that a reader has not dealt with."""

    outbox: Outbox
    lot: LotId
    generation: int
    partitions: Mapping[str, frozenset[str]]  # days (YYYY-MM-DD) by dataset: of this generation and of those before it
    since: int  # epoch milliseconds: when it was written; of one that waits, when what it tells of was committed


class Waiting(NamedTuple):
    """A mark that can be dealt with, the lot as it was read with it, and the mark's place in the index."""

    mark: Mark
    lot: Lot
    place: OpenEntry


class Behind(NamedTuple):
    """Why a rewrite's replaced files are still there."""

    since: int  # epoch milliseconds
    held: str  # what keeps the publisher; empty where nothing that is known does


class Marks:
    """The marks over one table. `outboxes` are those of our setting."""

    def __init__(self, table: LedgerTable, outboxes: Iterable[Outbox] = ()) -> None:
        self._table = table
        self._outboxes = frozenset(outboxes)

    # -- which outboxes there are ----------------------------------------------------------------------------

    def open(self, outbox: Outbox) -> None:
        """From here on, rewrites leave marks for this outbox. Commits do where their worker has the setting.

        One that is open is opened anew if workers without the setting have been at work since.
        """
        item = _outbox_key(outbox) | {"opened_at": self._table.timestamp()}
        self._table.put_if(item, _SHUT_OR_PASSED_BY, lambda there: there == item)

    def settle(self) -> None:
        """Open the outboxes of our setting. Of one that is open without it, note that we commit without marks.

        So it is where the lake was switched off and nobody has closed its outbox: its next reader must know.
        """
        opened = self.opened()
        for outbox in sorted(self._outboxes - opened):
            self.open(outbox)
        for outbox in sorted(opened - self._outboxes):
            at = {":at": self._table.timestamp()}
            self._table.update(_outbox_key(outbox), "SET passed_by_at = :at", at, _THERE)

    def opened(self) -> frozenset[Outbox]:
        """The outboxes that the ledger knows."""
        found = self._table.get_many([_outbox_key(outbox) for outbox in Outbox])
        return frozenset(Outbox(item["pk"]["S"].rpartition("#")[2]) for item in found)

    def opened_at(self, outbox: Outbox) -> int | None:
        """Since when the ledger knows this outbox, in epoch milliseconds; None where it does not."""
        found = self._table.get(_outbox_key(outbox))
        return milliseconds(datetime.fromisoformat(found["opened_at"]["S"])) if found else None

    def close_outbox(self, outbox: Outbox) -> int:
        """Nobody reads these marks any more: forget them. First take the setting away from transform.

        Returns:
            how many marks were waiting.
        """
        self._table.delete(_outbox_key(outbox))
        forgotten = 0
        for entry in entries_of(self._table, outbox):
            self._table.delete({"pk": {"S": entry.pk}})
            forgotten += 1
        return forgotten

    # -- reading ---------------------------------------------------------------------------------------------

    def to_deal_with(self, outbox: Outbox, after: OpenEntry | None = None) -> Iterator[Waiting]:
        """Marks whose generation is committed, shard by shard, the oldest first in each, from behind `after` on.

        A lot is read before its mark: partitions are added only while a lot is REWRITING, so those of a mark whose
        generation was committed by then are complete. A mark may be of an earlier generation than its lot: it was left
        behind by a worker that committed while its outbox was closed, and the lot was rewritten before it was opened
        again. What it asks for is the same: what the lot is now.
        """
        entries = entries_of(self._table, outbox, after)
        while some := list(islice(entries, _LOTS_AT_ONCE)):
            found = self._table.get_many([lot_key(entry.lot) for entry in some])
            read = list(map(lot_from, found))
            lots = {lot.id: lot for lot in read}
            rewritten = {lot.id: _rewritten_ms(item) for lot, item in zip(read, found, strict=True)}
            marks = {item["pk"]["S"]: item for item in self._table.get_many([{"pk": {"S": e.pk}} for e in some])}
            for entry in some:
                lot, item = lots.get(entry.lot), marks.get(entry.pk)
                if lot is None or item is None or lot.state is not LotState.COMMITTED:
                    continue
                mark = _mark_from(item)
                if mark.generation <= lot.generation:
                    since = max(mark.since, rewritten[lot.id])  # a rewrite writes its mark before its files
                    yield Waiting(replace(mark, since=since), lot, entry)

    def remove(self, mark: Mark) -> bool:
        """The mark was dealt with.

        Returns:
            False where a rewrite has replaced it: that one is still to be dealt with.
        """
        return self._table.delete_if(_mark_key(mark.outbox, mark.lot), _no_other_generation(mark.generation))

    def note_swap(self, mark: Mark) -> bool:
        """The lake's tables name no replaced file of the lot any more; the mark waits for files that are lost.

        Returns:
            False where a rewrite has replaced the mark.
        """
        at = {":at": self._table.timestamp()}
        same = Condition("generation = :generation", {":generation": {"N": str(mark.generation)}})
        return self._table.update(_mark_key(mark.outbox, mark.lot), "SET swapped_at = :at", at, same)

    def note_held(self, mark: Mark, why: str) -> bool:
        """The lake's tables cannot take over what the mark asks for: why, and what to do, for who waits for that.

        Returns:
            False where a rewrite has replaced the mark.
        """
        told = {":why": {"S": why[:_MAX_WHY]}}
        same = Condition("generation = :generation", {":generation": {"N": str(mark.generation)}})
        return self._table.update(_mark_key(mark.outbox, mark.lot), "SET held = :why", told, same)

    def is_behind(self, lot: LotId) -> bool:
        """Whether the lake's tables may name files that rewrites of the lot have replaced."""
        return self.behind(lot) is not None

    def behind(self, lot: LotId) -> Behind | None:
        """Since when the lake's tables are behind with a lot, and what the publisher has said of it."""
        if Outbox.PUBLISH not in self.opened():
            return None
        found = self._table.get(_mark_key(Outbox.PUBLISH, lot))
        if not found or "swapped_at" in found:
            return None
        return Behind(int(found["since"]["N"]), str(found.get("held", {}).get("S", "")))

    def holding(self, lots: Iterable[LotId], outboxes: Iterable[Outbox] = tuple(Outbox)) -> set[LotId]:
        """Those of these lots that have marks in one of these outboxes, if it is open."""
        asked = sorted(set(lots))
        told = frozenset(outboxes) & self.opened() if asked else ()
        found = self._table.get_many([_mark_key(outbox, lot) for outbox in told for lot in asked])
        return {_mark_from(item).lot for item in found}

    # -- writing, for the transitions of lots ----------------------------------------------------------------

    def of_commit(self, lot: LotId, keys: Iterable[str]) -> list[Write]:
        """The marks that land with a lot's first commit. `keys` are its files."""
        return self._writes(sorted(self._outboxes), lot, 1, _partitions(keys)) if self._outboxes else []

    def of_rewrite(self, lot: LotId, generation: int, keys: Iterable[str]) -> list[Write]:
        """The marks of a rewrite, in place of those that wait: with the partitions of both, and of these files."""
        outboxes = sorted(self._outboxes | self.opened())
        if not outboxes:
            return []
        found = {
            mark.outbox: mark
            for mark in map(_mark_from, self._table.get_many([_mark_key(outbox, lot) for outbox in outboxes]))
        }
        return [
            write
            for outbox in outboxes
            for write in self._writes(
                [outbox],
                lot,
                generation,
                _together(found[outbox].partitions if outbox in found else {}, _partitions(keys)),
            )
        ]

    def of_damage(self, lot: Lot) -> list[Write]:
        """The mark of a lot whose files are lost, for the lake, where none is there."""
        if Outbox.PUBLISH not in self.opened():
            return []
        writes = self._writes([Outbox.PUBLISH], lot.id, lot.generation, _partitions(file.key for file in lot.files))
        return [{**write, "condition": NEW} for write in writes]

    def _writes(
        self, outboxes: Sequence[Outbox], lot: LotId, generation: int, partitions: Mapping[str, frozenset[str]]
    ) -> list[Write]:
        if not partitions:
            return []
        told = pack({dataset: sorted(days) for dataset, days in sorted(partitions.items())})
        since = {"N": str(self._table.now_ms())}
        return [
            {
                "put": _mark_key(outbox, lot)
                | {
                    "open": {"S": open_shard(outbox, lot)},
                    "since": since,
                    "generation": {"N": str(generation)},
                    "partitions": told,
                },
                "condition": _ALWAYS,
            }
            for outbox in outboxes
        ]


def _outbox_key(outbox: Outbox) -> Item:
    return {"pk": {"S": f"pipeline#outbox#{outbox}"}}


def _mark_key(outbox: Outbox, lot: LotId) -> Item:
    return {"pk": {"S": f"mark#{outbox}#{lot}"}}


def _no_other_generation(generation: int) -> Condition:
    """Nobody has begun to rewrite the lot since the mark was read. A mark that is gone was removed by somebody else."""
    return Condition("attribute_not_exists(pk) OR generation = :generation", {":generation": {"N": str(generation)}})


def _mark_from(item: Item) -> Mark:
    _, outbox, lot = item["pk"]["S"].split("#")
    days = {dataset: frozenset(told) for dataset, told in unpack(item["partitions"]).items()}
    return Mark(Outbox(outbox), LotId.parse(lot), int(item["generation"]["N"]), days, int(item["since"]["N"]))


def _rewritten_ms(lot: Item) -> int:
    """When a lot's last rewrite ended, in epoch milliseconds; 0 where there was none."""
    return milliseconds(datetime.fromisoformat(lot["rewritten_at"]["S"])) if "rewritten_at" in lot else 0


def _partitions(keys: Iterable[str]) -> dict[str, frozenset[str]]:
    """Which partitions of Silver these files are in."""
    found: dict[str, set[str]] = {}
    for key in keys:
        if key.startswith(f"{SILVER_ROOT}/"):
            file = LakeKey.parse(key)
            found.setdefault(file.record_type, set()).add(file.dt)
    return {dataset: frozenset(days) for dataset, days in found.items()}


def _together(one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    none = frozenset[str]()
    return {dataset: one.get(dataset, none) | other.get(dataset, none) for dataset in {*one, *other}}
