"""The ledger's finished part on its way into the history, and back.

    in the index (done, committed) --begin--> in the batch, and there --file is put--> mark --> in no index, `archived`
                                                                                         |
    `expires_at` <--expire-- a lot that is archived, and every object of it is DONE and archived, with its units

There is one batch at a time, and only what is in it is archived. Its file's name and its entries are persisted before
the file is put, and the file is put once. An entry of the index names one outcome by its time (`since`): what changed
meanwhile has another entry or none, so a mark that comes late changes nothing. The next batch begins when this one is
removed, after its last mark. So each outcome is in one file, whoever dies, and however often a step is repeated.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.items import (
    Item,
    counts_item,
    lot_from,
    lot_key,
    object_from,
    object_key,
    open_shard,
    pack,
    pack_files,
    token_of,
    unit_key,
    unpack,
)
from services.shared.ledger.records import Counts, LeaseHeld, LeaseLost, LedgerObject, Lot, LotState, ObjectState
from services.shared.ledger.table import NEW, Condition, LedgerTable, in_state, lease_over, leased_with
from services.shared.units import Plan

MAX_BATCH_BYTES = 300_000  # of the packed entries: an item holds 400 KB
_BATCH: Item = {"pk": {"S": "batch#history"}}
_WORKING = "sent, planned_at, seen_at, version_at, units"  # what only unfinished objects need

Entry = tuple[str, int]  # an item's key, and `since` when the entry was made


@dataclass(frozen=True, slots=True)
class Batch:
    """What one history file is made of."""

    file: str  # its key
    entries: tuple[Entry, ...]
    lease_token: str
    lease_until: int  # epoch milliseconds


@dataclass(frozen=True, slots=True)
class FinishedObject:
    """One outcome of an object."""

    object: LedgerObject
    since: int  # epoch milliseconds: when it was finished
    by: str = ""  # who retracted it
    note: str = ""  # and in which words


@dataclass(frozen=True, slots=True)
class FinishedLot:
    """One generation of a committed lot."""

    lot: Lot
    since: int  # epoch milliseconds: when nothing was left to do about it
    generation: int  # from 1
    claimed: datetime | None
    committed: datetime | None
    archived_generation: int = 0  # that the history holds already


class Archive:
    """The transitions between ledger and history over one table."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def now_ms(self) -> int:
        """The ledger's time, in epoch milliseconds."""
        return self._table.now_ms()

    # -- the batch -------------------------------------------------------------------------------------------

    def open_batch(self) -> Batch | None:
        """The batch that somebody has begun and not ended."""
        found = self._table.get(_BATCH)
        return _batch_from(found) if found else None

    def begin_batch(self, file: str, entries: Sequence[Entry], lease_seconds: float) -> Batch:
        """Begin the one batch.

        Raises:
            LeaseHeld: there is one already.
        """
        token, until = secrets.token_hex(8), self._table.lease_end(lease_seconds)
        item = _BATCH | {
            "file": {"S": file},
            "entries": pack([list(entry) for entry in entries]),
            "lease_token": {"S": token},
            "lease_until": {"N": str(until)},
        }
        found = self._table.put_if(item, NEW, lambda there: token_of(there) == token)
        if found is not None:
            raise _held(_batch_from(found)) if found else LeaseHeld("another run has just ended a batch")
        return _batch_from(item)

    def take_over(self, batch: Batch, lease_seconds: float) -> Batch:
        """Take the batch of a run that has died or given it back.

        Raises:
            LeaseHeld: its lease is alive, or another run was faster.
        """
        if batch.lease_until >= self._table.now_ms():
            raise _held(batch)
        token, until = secrets.token_hex(8), self._table.lease_end(lease_seconds)
        found = self._table.update_if(
            _BATCH,
            "SET lease_token = :token, lease_until = :until",
            {":token": {"S": token}, ":until": {"N": str(until)}},
            leased_with(batch.lease_token) & lease_over(self._table.now_ms()),
            lambda there: token_of(there) == token,
        )
        if found is not None:
            raise LeaseHeld("another run has taken the batch over")
        return Batch(batch.file, batch.entries, token, until)

    def give_back(self, batch: Batch) -> None:
        """End our lease: the next run goes on with the batch at once."""
        self._table.update(_BATCH, "SET lease_until = :over", {":over": {"N": "0"}}, leased_with(batch.lease_token))

    def end_batch(self, batch: Batch) -> None:
        """Every mark of the batch is made.

        Raises:
            LeaseLost: another run has the batch, and ends it.
        """
        if self._table.transact([{"delete": _BATCH, "condition": leased_with(batch.lease_token)}]):
            raise LeaseLost(f"the batch of {batch.file} was taken over by another run, which ends it")

    # -- what it is made of ----------------------------------------------------------------------------------

    def finished_objects(self, entries: Iterable[Entry]) -> list[FinishedObject]:
        """Those of these outcomes that still are what the ledger says, in order."""
        return [_finished_object(item, since) for item, since in self._unchanged(entries)]

    def finished_object(self, id_: ObjectId) -> FinishedObject | None:
        """The outcome of this object that awaits the history; None where it is unfinished, or archived."""
        item = self._table.get(object_key(id_))
        waits = "open" in item and item["open"]["S"] == open_shard("done", id_)
        return _finished_object(item, int(item["since"]["N"])) if waits else None

    def finished_lots(self, entries: Iterable[Entry]) -> list[FinishedLot]:
        """Those of these generations that still are what the ledger says, in order."""
        return [_finished_lot(item, since) for item, since in self._unchanged(entries)]

    def _unchanged(self, entries: Iterable[Entry]) -> list[tuple[Item, int]]:
        told = list(entries)
        found = {item["pk"]["S"]: item for item in self._table.get_many([{"pk": {"S": pk}} for pk, _ in told])}
        items = [(found[pk], since) for pk, since in told if pk in found]
        return [(item, since) for item, since in items if "open" in item and item["since"]["N"] == str(since)]

    # -- marks -----------------------------------------------------------------------------------------------

    def mark_object(self, id_: ObjectId, since: int, file: str) -> bool:
        """This outcome is in this file: the item leaves the index and shrinks to identity and outcome."""
        return self._table.update(
            object_key(id_),
            f"SET archived = :file REMOVE #open, since, {_WORKING}",
            {":file": {"S": file}},
            _entered(since),
        )

    def mark_lot(self, id_: LotId, since: int, file: str, generation: int) -> bool:
        """This generation is in this file: the lot leaves the index."""
        return self._table.update(
            lot_key(id_),
            "SET archived = :file, archived_generation = :generation REMOVE #open, since",
            {":file": {"S": file}, ":generation": {"N": str(generation)}},
            _entered(since),
        )

    def settle(self, lot: FinishedLot) -> bool:
        """The history holds this generation already (the lot was restored): it leaves the index."""
        return self._table.update(lot_key(lot.lot.id), "REMOVE #open, since", {}, _entered(lot.since))

    # -- expiry ----------------------------------------------------------------------------------------------

    def expirable(self, lots: Iterable[LotId]) -> list[Lot]:
        """Those of these lots that may expire with their units.

        The history holds the lot, nothing is left to do about it, and every object of it is DONE and in the history.
        """
        items = self._table.get_many([lot_key(id_) for id_ in lots])
        found = [lot_from(item) for item in items if "expires_at" not in item]
        settled = [lot for lot in found if lot.state is LotState.COMMITTED and lot.is_archived]
        wanted = {unit.object for lot in settled for unit in lot.units}
        objects = map(object_from, self._table.get_many([object_key(id_) for id_ in wanted]))
        done = {known.id for known in objects if known.state is ObjectState.DONE and known.is_archived}
        return [lot for lot in settled if all(unit.object in done for unit in lot.units)]

    def expire_unit(self, unit: UnitId, lot: LotId, at: int) -> bool:
        """DynamoDB may delete this unit of this lot at this time, in epoch seconds."""
        bound = Condition("lot = :lot", {":lot": {"S": str(lot)}})
        return self._table.update(unit_key(unit), "SET expires_at = :at", {":at": {"N": str(at)}}, bound)

    def expire_lot(self, lot: Lot, at: int) -> bool:
        """DynamoDB may delete the lot at this time. Its units were told before."""
        unmarked = Condition("attribute_not_exists(#open) AND archived = :file", {":file": {"S": lot.archived}})
        settled = in_state(LotState.COMMITTED) & unmarked
        return self._table.update(lot_key(lot.id), "SET expires_at = :at", {":at": {"N": str(at)}}, settled)

    # -- the way back ----------------------------------------------------------------------------------------

    def keep_lot(self, id_: LotId) -> bool:
        """The lot shall not expire now. The index has it again, so that it expires after another retention.

        Returns:
            False where it does not expire, or is not in the ledger.
        """
        expiring = in_state(LotState.COMMITTED) & Condition("attribute_exists(expires_at)", {})
        return self._table.update(
            lot_key(id_), "SET #open = :finished, since = :since REMOVE expires_at", self._committed(id_), expiring
        )

    def put_back(self, found: FinishedLot, file: str) -> bool:
        """Put a lot that has expired back into the ledger, as this file of the history has it.

        Returns:
            False where it is in the ledger.
        """
        lot = found.lot
        entered = self._committed(lot.id)
        item = lot_key(lot.id) | {
            "state": {"S": LotState.COMMITTED},
            "open": entered[":finished"],
            "since": entered[":since"],
            "units": pack([str(unit) for unit in lot.units]),
            "unit_count": {"N": str(len(lot.units))},
            "unit_counts": pack([[counts.read, counts.silver, counts.quarantined] for counts in lot.unit_counts]),
            "reasons": pack({unit: dict(rows) for unit, rows in lot.reasons.items()}),
            "files": pack_files(lot.files),
            "contracts": {"S": json.dumps(dict(lot.contracts), sort_keys=True)},
            "rows_read": {"N": str(lot.counts.read)},
            "rows_silver": {"N": str(lot.counts.silver)},
            "rows_quarantined": {"N": str(lot.counts.quarantined)},
            "archived": {"S": file},
            "archived_generation": {"N": str(found.generation)},
        }
        if found.generation > 1:  # the first one is not written, as `Lots.commit` does not
            item["generation"] = {"N": str(found.generation)}
        for name, moment in (("claimed_at", found.claimed), ("committed_at", found.committed)):
            if moment:
                item[name] = {"S": moment.isoformat(timespec="milliseconds")}
        return self._table.put_if(item, NEW, lambda there: there == item) is None

    def put_back_object(
        self,
        plan: Plan,
        state: ObjectState,
        file: str,
        finished: datetime,
        reason: str,
        advice: str,
        by: str,
        note: str,
    ) -> bool:
        """Put an object back that the ledger has lost, as this file of the history has it: finished, and archived.

        Returns:
            False where it is in the ledger.
        """
        source = plan.source
        item = object_key(source.id) | {
            "state": {"S": state},
            "size": {"N": str(source.size)},
            "created": {"S": source.created.isoformat()},
            "step": {"N": str(plan.step)},
            "archived": {"S": file},
        }
        for name, text in (("version_id", source.version_id), ("reason", reason), ("advice", advice)):
            if text:
                item[name] = {"S": text}
        if state is ObjectState.RETRACTED:
            item |= {"retracted_at": {"S": finished.isoformat(timespec="milliseconds")}, "retracted_by": {"S": by}}
            item |= {"note": {"S": note}, "rows_retracted": counts_item(Counts())}
        return self._table.put_if(item, NEW, lambda there: there == item) is None

    def keep_unit(self, unit: UnitId, lot: LotId) -> bool:
        """The unit shall be there, bound to its lot, and not expire.

        Returns:
            False where it is free, or bound to another lot.
        """
        return self._table.update(
            unit_key(unit),
            "SET lot = :lot REMOVE expires_at",
            {},
            Condition("attribute_not_exists(pk) OR lot = :lot", {":lot": {"S": str(lot)}}),
        )

    def _committed(self, id_: LotId) -> Item:
        return {":finished": {"S": open_shard("committed", id_)}, ":since": {"N": str(self._table.now_ms())}}


def _entered(since: int) -> Condition:
    """The item is in the index, and was entered at this time."""
    return Condition("attribute_exists(#open) AND since = :entered", {":entered": {"N": str(since)}})


def _finished_object(item: Item, since: int) -> FinishedObject:
    return FinishedObject(object_from(item), since, _text(item, "retracted_by"), _text(item, "note"))


def _finished_lot(item: Item, since: int) -> FinishedLot:
    return FinishedLot(
        lot=lot_from(item),
        since=since,
        generation=_number(item, "generation") or 1,
        claimed=_moment(item, "claimed_at"),
        committed=_moment(item, "committed_at"),
        archived_generation=_number(item, "archived_generation"),
    )


def _batch_from(item: Item) -> Batch:
    entries = tuple((str(pk), int(since)) for pk, since in unpack(item["entries"]))
    return Batch(item["file"]["S"], entries, token_of(item), int(item["lease_until"]["N"]))


def _held(batch: Batch) -> LeaseHeld:
    return LeaseHeld("another run is writing the history", batch.lease_until)


def _text(item: Item, name: str) -> str:
    return str(item.get(name, {}).get("S", ""))


def _number(item: Item, name: str) -> int:
    return int(item.get(name, {}).get("N", 0))


def _moment(item: Item, name: str) -> datetime | None:
    return datetime.fromisoformat(item[name]["S"]) if name in item else None
