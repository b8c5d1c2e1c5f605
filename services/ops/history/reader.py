"""The history as records: streamed day by day in bounded memory; where a lot is; and the way back into the ledger."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from services.ops.errors import OperatorError
from services.ops.grid import in_batches_of_lots
from services.ops.history.files import HistoryFiles, S3HistoryFiles, parsed
from services.ops.history.rows import OUTLINE, Outcome, Outline, from_parquet, lot_from, outcome_from
from services.ops.history.schema import LOTS, OBJECTS
from services.shared.identities import HISTORY_LOTS, HISTORY_OBJECTS, HistoryKey, LotId, ObjectId, milliseconds
from services.shared.ledger.archive import FinishedLot
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Lot, ObjectState

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CACHE_BYTES = 32 * 1024 * 1024
Keep = Callable[[pa.RecordBatch], pa.RecordBatch]


class HistoryDamaged(OperatorError):
    """A file of the history is missing, or is not what was written. `key` names it."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}. Restore it from its previous version in the bucket, then run this again")
        self.key = key
        self.why = why


class ArchivedLot(NamedTuple):
    """A generation of a lot, and the file that has it."""

    found: FinishedLot
    file: str


class History:
    """What the ledger has handed over. Every read lists anew, so it sees what has just been written."""

    def __init__(self, files: HistoryFiles) -> None:
        self._files = files
        self._cache = OrderedDict[str, bytes]()

    @classmethod
    def of(cls, client: S3Client, bucket: str) -> Self:
        return cls(S3HistoryFiles(client, bucket))

    def keys(self, table: str, since: datetime | None = None, until: datetime | None = None) -> Iterator[HistoryKey]:
        """The files that may hold what was finished in this time, in its order."""
        for key in parsed(self._files.names(table, since.date() if since else None)):
            if until and key.first_ms >= milliseconds(until):
                break
            if since is None or key.last_ms >= milliseconds(since):
                yield key

    def objects(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        dataset: str = "",
        prefix: str = "",
        states: Collection[ObjectState] = (),
    ) -> Iterator[Outcome]:
        """Outcomes that were reached in this time (`until` not included), in the order of files, then of time.

        Raises:
            HistoryDamaged: a file cannot be read.
        """

        for key in self.keys(HISTORY_OBJECTS, since, until):
            for outcome in self.objects_of_file(str(key), dataset, prefix, states):
                if (since is None or outcome.finished >= since) and (until is None or outcome.finished < until):
                    yield outcome

    def objects_of_file(
        self, key: str, dataset: str = "", prefix: str = "", states: Collection[ObjectState] = ()
    ) -> Iterator[Outcome]:
        """The chosen outcomes that one file has.

        Raises:
            HistoryDamaged: it cannot be read.
        """

        def keep(batch: pa.RecordBatch) -> pa.RecordBatch:
            masks = [pc.starts_with(batch["key"], prefix)] if prefix else []
            masks += [pc.equal(batch["dataset"], dataset)] if dataset else []
            masks += [pc.is_in(batch["state"], pa.array([state.value for state in states]))] if states else []
            return batch.filter(_all(masks)) if masks else batch

        return objects_in(key, self._read(key), keep)

    def lots(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[ArchivedLot]:
        """Every generation of a lot that was finished in this time.

        Raises:
            HistoryDamaged: a file cannot be read.
        """
        for key in self.keys(HISTORY_LOTS, since, until):
            for found in lots_in(str(key), self._read(str(key))):
                yield ArchivedLot(found, str(key))

    def find_lots(self, ids: Iterable[LotId]) -> Iterator[Lot]:
        """Those of these lots that the history holds, as their latest generation.

        Raises:
            HistoryDamaged: a file cannot be read.
        """
        return (entry.found.lot for entry in self.locate(ids).values())

    def locate(self, ids: Iterable[LotId]) -> dict[LotId, ArchivedLot]:
        """The latest generation of each of these lots that the history holds, and its file.

        Raises:
            HistoryDamaged: a file cannot be read.
        """
        wanted = set(ids)
        found: dict[LotId, ArchivedLot] = {}
        if not wanted:
            return found
        first = min(id_.claimed_ms for id_ in wanted)
        names = self._files.names(HISTORY_LOTS, HistoryKey(HISTORY_LOTS, first, first, "").day)
        keys = [key for key in parsed(names) if key.last_ms >= first]
        for key in sorted(keys, key=lambda key: key.rewritten):  # the first generations, then later ones, each in order
            asked = {id_ for id_ in wanted if id_.claimed_ms <= key.last_ms and (key.rewritten or id_ not in found)}
            if asked:
                for lot in self.lots_of_file(str(key), asked):
                    before = found.get(lot.lot.id)
                    if before is None or before.found.generation < lot.generation:
                        found[lot.lot.id] = ArchivedLot(lot, str(key))
        return found

    def has(self, key: str) -> bool:
        """Whether this file is there now."""
        return self._files.read(key) is not None

    def outlines(self, key: str) -> Iterator[Outline]:
        """The outcomes that one file has, in few words.

        Raises:
            HistoryDamaged: it cannot be read.
        """
        rows = _records(key, self._read(key), OBJECTS, lambda batch: batch, dict, OUTLINE)
        return (Outline(row["object"], row["state"], row["lots"]) for row in rows)

    def lot_names(self, key: str) -> Iterator[LotId]:
        """The lots that one file has, by name alone.

        Raises:
            HistoryDamaged: it cannot be read.
        """
        rows = _records(key, self._read(key), LOTS, lambda batch: batch, dict, ("lot",))
        return (LotId.parse(row["lot"]) for row in rows)

    def lots_of_file(self, key: str, ids: Collection[LotId] | None = None) -> Iterator[FinishedLot]:
        """The lots that one file has, or those of these.

        Raises:
            HistoryDamaged: it cannot be read.
        """
        if ids is None:
            return lots_in(key, self._read(key))
        names = pa.array([str(id_) for id_ in ids])
        return lots_in(key, self._read(key), lambda batch: batch.filter(pc.is_in(batch["lot"], names)))

    def outcome_of(self, id_: ObjectId, file: str) -> Outcome:
        """The latest outcome of this object in this file.

        Raises:
            HistoryDamaged: it cannot be read, or does not have it.
        """
        name = str(id_)
        rows = list(objects_in(file, self._read(file), lambda batch: batch.filter(pc.equal(batch["object"], name))))
        if not rows:
            raise HistoryDamaged(file, f"the ledger says that it has {id_}, and it does not")
        return max(rows, key=lambda outcome: outcome.finished)

    def lots_of(self, ledger: Ledger, object_id: ObjectId) -> dict[LotId, ArchivedLot]:
        """The lots that held the object's units when it was archived, as the history has them.

        Raises:
            HistoryDamaged: a file cannot be read.
        """
        known = next(iter(ledger.find_objects([object_id])), None)
        if known is None or not known.archived:
            return {}
        return self.locate(self.outcome_of(object_id, known.archived).tally.lots)

    def lots_with(self, ledger: Ledger, id_: ObjectId) -> Iterator[Lot]:
        """The lots that held the object's units when it was archived, as they are now: in the ledger, or else here.

        Raises:
            HistoryDamaged: a file cannot be read.
        """
        known = next(iter(ledger.find_objects([id_])), None)
        if known is None or not known.archived:
            return
        gone = set(self.outcome_of(id_, known.archived).tally.lots)
        for few in in_batches_of_lots(list(gone)):
            for lot in ledger.find_lots(few):
                gone.discard(lot.id)
                yield lot
        yield from self.find_lots(gone)

    def restore_object(self, ledger: Ledger, id_: ObjectId) -> None:
        """Put the object's lots back into the ledger, with all their units, and let none of them expire.

        Safe to repeat. They expire again after another retention, unless they are rewritten.

        Raises:
            HistoryDamaged: a file cannot be read, or one of the lots is in no file.
        """
        known = next(iter(ledger.find_objects([id_])), None)
        if known is None or not known.archived:
            return  # nothing of it can have expired
        lots = self.outcome_of(id_, known.archived).tally.lots
        lost = self._restore(ledger, lots, self.locate)
        if lost:
            raise HistoryDamaged(f"lot {min(lost)}", "it has left the ledger, and no file of the history has it")

    def restore_lots(self, ledger: Ledger, ids: Iterable[LotId]) -> None:
        """Put these lots back into the ledger, with all their units, and let none of them expire.

        A lot that is in the ledger stays as it is there. One that was retracted whole stays away, as does one that the
        history does not know.

        Raises:
            HistoryDamaged: a file cannot be read.
        """
        self._restore(ledger, list(ids), lambda gone: self._living(ledger, gone))

    def _restore(
        self, ledger: Ledger, ids: Collection[LotId], look: Callable[[set[LotId]], dict[LotId, ArchivedLot]]
    ) -> set[LotId]:
        """Gives those that are neither in the ledger nor found."""
        for id_ in ids:
            ledger.archive.keep_lot(id_)
        gone = set(ids) - {lot.id for few in in_batches_of_lots(ids) for lot in ledger.find_lots(few)}
        archived = look(gone)
        for entry in archived.values():
            ledger.archive.put_back(*entry)
        for few in in_batches_of_lots(ids):
            for lot in ledger.find_lots(few):
                for unit in lot.units:
                    ledger.archive.keep_unit(unit, lot.id)
        return gone - archived.keys()

    def _living(self, ledger: Ledger, ids: Iterable[LotId]) -> dict[LotId, ArchivedLot]:
        """Those of these lots that an object is DONE with. The others were retracted whole since they were archived."""
        archived = self.locate(ids)
        objects = {unit.object for entry in archived.values() for unit in entry.found.lot.units}
        named = set[LotId]()
        for known in ledger.find_objects(objects):
            if known.state is ObjectState.DONE and known.archived:
                named.update(self.outcome_of(known.id, known.archived).tally.lots)
        return {id_: entry for id_, entry in archived.items() if id_ in named}

    def _read(self, key: str) -> bytes:
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        data = self._files.read(key)
        if data is None:
            raise HistoryDamaged(key, "the file is missing")
        self._cache[key] = data
        while sum(map(len, self._cache.values())) > _CACHE_BYTES and len(self._cache) > 1:
            self._cache.popitem(last=False)
        return data


def objects_in(key: str, data: bytes, keep: Keep = lambda batch: batch) -> Iterator[Outcome]:
    """The outcomes in a file.

    Raises:
        HistoryDamaged: it is not what was written.
    """
    return _records(key, data, OBJECTS, keep, outcome_from)


def lots_in(key: str, data: bytes, keep: Keep = lambda batch: batch) -> Iterator[FinishedLot]:
    """The lots in a file.

    Raises:
        HistoryDamaged: it is not what was written.
    """
    return _records(key, data, LOTS, keep, lot_from)


def _records(
    key: str,
    data: bytes,
    schema: pa.Schema,
    keep: Keep,
    record: Callable[[dict[str, Any]], Any],
    columns: Sequence[str] = (),
) -> Iterator[Any]:
    try:
        for batch in from_parquet(data, schema, columns):
            yield from map(record, keep(batch).to_pylist())
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise HistoryDamaged(key, f"the file is damaged ({why})") from error


def _all(masks: list[pa.Array]) -> pa.Array:
    mask = masks[0]
    for other in masks[1:]:
        mask = pc.and_(mask, other)
    return mask
