"""Transitions of lots, and of the units in them.

    (none) --claim--> PENDING --commit--> COMMITTED --clear_outputs--> COMMITTED, nothing left to delete
                      |  |  ^
                      |  |  '-- take_over, once the lease is over or was given back
                      |  '----- record (outputs, progress), give_back
                      '--begin_dissolving--> DISSOLVING --dissolve--> (none), its units free and marked
                                                |     ^
                                                '-----' take_over

A lot that is DISSOLVING can never be committed, and lot ids are random: so nobody can ever need a file that its
dissolver deletes, however long that one was paused. Likewise files that a commit leaves over (`outputs` of a COMMITTED
lot: written by an execution under another contract version) are deleted only after it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from services.shared.identities import LotId, UnitId
from services.shared.ledger.items import (
    Item,
    check_width,
    lot_from,
    lot_key,
    open_shard,
    pack,
    pack_files,
    pack_progress,
    state_of,
    token_of,
    unit_key,
)
from services.shared.ledger.marks import Marks
from services.shared.ledger.records import (
    Counts,
    LeaseHeld,
    LeaseLost,
    LostRace,
    Lot,
    LotFile,
    LotState,
    Progress,
    reasons_key,
)
from services.shared.ledger.table import NEW, UNBOUND, Condition, LedgerTable, in_state, lease_over, leased_with

FILES_THAT_SURELY_FIT = 1000
_CLOSE = "#open = :finished, since = :since"  # out of the index's open work, into what the history takes next
_FREE = UNBOUND & Condition("attribute_not_exists(refused_at)", {})  # refused with its object, while it was in no lot


class Lots:
    """The transitions of lots over one table."""

    def __init__(self, table: LedgerTable, marks: Marks) -> None:
        self._table = table
        self._marks = marks

    def claim(
        self,
        lot_id: LotId,
        units: Sequence[UnitId],
        outputs: Iterable[str],
        contracts: Mapping[str, str],
        lease_seconds: float,
    ) -> Lot:
        """Bind free units to a new lot, all or nothing, and record what it will write before it is written.

        Raises:
            LostRace: a unit is bound already, or refused.
            LotTooWide: the lists do not fit in one item.
        """
        token, until = secrets.token_hex(8), self._table.lease_end(lease_seconds)
        lot = Lot(lot_id, LotState.PENDING, tuple(units), frozenset(outputs), contracts, token, until)
        packed_outputs = pack(sorted(lot.outputs))
        check_width(packed_outputs)
        item = lot_key(lot_id) | {
            "state": {"S": LotState.PENDING},
            "open": {"S": open_shard("lot", lot_id)},
            "since": {"N": str(self._table.now_ms())},
            "units": pack([str(unit) for unit in units]),
            "unit_count": {"N": str(len(units))},
            "outputs": packed_outputs,
            "contracts": {"S": _contracts_text(contracts)},
            "lease_token": {"S": token},
            "lease_until": {"N": str(until)},
            "claimed_at": self._table.timestamp(),
        }
        bind = ("SET lot = :lot REMOVE expires_at", {":lot": {"S": str(lot_id)}})
        refused = self._table.transact(
            [
                {"put": item, "condition": NEW},
                *({"update": (unit_key(unit), *bind), "condition": _FREE} for unit in units),
            ]
        )
        if refused:
            raise LostRace(f"lot {lot_id} was not claimed ({', '.join(refused)}); its messages go back to the queue")
        return lot

    @staticmethod
    def check_fits(files: Iterable[str], outputs: Iterable[str]) -> None:
        """Check, before anything is written, that a lot with these files can be committed.

        Args:
            files: keys of all its files.
            outputs: keys that an earlier execution may have written.

        Raises:
            LotTooWide: the lists will not fit in one item.
        """
        keys = list(files)
        if len(keys) < FILES_THAT_SURELY_FIT:
            return
        # Etags are what does not compress; rows and bytes are of any size that occurs.
        expected = [LotFile(key, 10**6, 10**8, secrets.token_hex(16)) for key in keys]
        check_width(pack_files(expected), pack(sorted(set(outputs) | set(keys))))

    def take_over(self, lot: Lot, contracts: Mapping[str, str], lease_seconds: float) -> Lot:
        """Take a lot whose lease is over. The condition names the token seen, so one of many takers wins.

        `lot` may be minutes old: its worker may have written further files since then, under the same token. So the
        lot is read again once the new token keeps everybody else from changing it.

        Progress under other contracts is forgotten: the lot is executed from its start.
        The take-over is counted before it starts; `record_progress` sets the count back, `give_back` may take one back.

        Returns:
            The lot as it is now, with our lease.

        Raises:
            LeaseHeld: the lease is alive, or another worker was faster.
            LeaseLost: another worker took it from us at once.
        """
        if lot.lease_until >= self._table.now_ms():
            raise LeaseHeld(f"lot {lot.id} is being executed by another worker", lot.lease_until)
        token, until = secrets.token_hex(8), self._table.lease_end(lease_seconds)
        abandoned = in_state(lot.state) & leased_with(lot.lease_token) & lease_over(self._table.now_ms())
        found = self._table.update_if(
            lot_key(lot.id),
            "SET lease_token = :token, lease_until = :until, contracts = :contracts, stalled = :stalled,"
            " take_overs = if_not_exists(take_overs, :zero) + :one",
            {
                ":stalled": _flag(lot.ran_out_of_time),
                ":token": {"S": token},
                ":until": {"N": str(until)},
                ":contracts": {"S": _contracts_text(contracts)},
                ":zero": {"N": "0"},
                ":one": {"N": "1"},
            },
            abandoned,
            lambda there: token_of(there) == token,
        )
        if found is not None:
            raise LeaseHeld(f"lot {lot.id} was taken over by another worker")
        ours = self.look_again(lot)
        if ours is None or ours.lease_token != token:
            raise _lost(lot)
        if ours.progress is None or ours.progress.contracts == contracts:
            return ours
        if ours.state is LotState.PENDING:
            self._update_own(ours, "REMOVE progress", {})
        return replace(ours, progress=None)

    def record_outputs(self, lot: Lot, outputs: Iterable[str]) -> Lot:
        """Record further keys before they are written, so that whoever executes or dissolves the lot finds them.

        Raises:
            LeaseLost: the lot is no longer ours.
            LotTooWide: the lists do not fit in one item.
        """
        recorded = lot.outputs | set(outputs)
        if recorded == lot.outputs:
            return lot
        packed = pack(sorted(recorded))
        check_width(packed, *([pack_progress(lot.progress)] if lot.progress else []))
        self._update_own(lot, "SET outputs = :outputs", {":outputs": packed})
        return replace(lot, outputs=recorded)

    def record_progress(self, lot: Lot, progress: Progress) -> Lot:
        """A part is written: whoever takes the lot over goes on behind it.

        Raises:
            LeaseLost: the lot is no longer ours.
            LotTooWide: the lists do not fit in one item.
        """
        packed = pack_progress(progress)
        check_width(packed, pack(sorted(lot.outputs)))
        self._update_own(
            lot,
            "SET progress = :progress, take_overs = :none, stalled = :no",
            {":progress": packed, ":none": {"N": "0"}, ":no": _flag(False)},
        )
        return replace(lot, progress=progress, take_overs=0, stalled=False)

    def give_back(self, lot: Lot, forgive: bool) -> None:
        """End our lease, so that the next worker need not wait for it.

        Without `forgive`, the lot has stalled. With it, this take-over does not count, and the lot is what it was
        before: what stopped us was not the lot's fault. A lot that is no longer ours is left alone.
        """
        take_overs = max(lot.take_overs - 1, 0) if forgive else lot.take_overs
        stalled = lot.stalled if forgive else True
        self._table.update(
            lot_key(lot.id),
            "SET lease_until = :over, take_overs = :count, stalled = :stalled",
            {":over": {"N": "0"}, ":count": {"N": str(take_overs)}, ":stalled": _flag(stalled)},
            in_state(LotState.PENDING, LotState.DISSOLVING) & leased_with(lot.lease_token),
        )

    def commit(
        self,
        lot: Lot,
        files: Sequence[LotFile],
        unit_counts: Sequence[Counts],
        reasons: Sequence[Mapping[str, int]] = (),
    ) -> Lot:
        """The lot's files are all written: record them with their rows, and close the lot. Its marks land with that.

        `unit_counts`, and `reasons` (refused rows by reason code), are in the order of the lot's units.

        Where an earlier execution wrote other keys as well, they stay in `outputs`, and the lot in the index of open
        work, until `clear_outputs`.

        Raises:
            LeaseLost: the lot is no longer ours; whoever has it executes it again to the same end.
            LotTooWide: the lists do not fit in one item.
        """
        total = sum(unit_counts, Counts())
        leftover = lot.outputs - {file.key for file in files}
        packed = pack_files(files)
        check_width(packed, pack(sorted(leftover)))
        told = {reasons_key(unit): dict(rows) for unit, rows in zip(lot.units, reasons, strict=False) if rows}
        values = {
            ":reasons": pack(told),
            ":committed": {"S": LotState.COMMITTED},
            ":files": packed,
            ":unit_counts": pack([[c.read, c.silver, c.quarantined] for c in unit_counts]),
            ":read": {"N": str(total.read)},
            ":silver": {"N": str(total.silver)},
            ":quarantined": {"N": str(total.quarantined)},
            ":now": self._table.timestamp(),
        }
        set_ = (
            "SET #state = :committed, files = :files, unit_counts = :unit_counts, rows_read = :read,"
            " rows_silver = :silver, rows_quarantined = :quarantined, committed_at = :now, reasons = :reasons"
        )
        if leftover:
            values[":outputs"] = pack(sorted(leftover))
            expression = f"{set_}, outputs = :outputs REMOVE progress, lease_until"
        else:
            values |= self._finished(lot.id)
            expression = f"{set_}, {_CLOSE} REMOVE outputs, progress, lease_until"
        found = self._table.update_if(
            lot_key(lot.id),
            expression,
            values,
            in_state(LotState.PENDING) & leased_with(lot.lease_token),
            lambda there: state_of(there) == LotState.COMMITTED and token_of(there) == lot.lease_token,
            beside=self._marks.of_commit(lot.id, [file.key for file in files]),
        )
        if found is not None:
            raise _lost(lot)
        return replace(
            lot,
            state=LotState.COMMITTED,
            outputs=frozenset(leftover),
            progress=None,
            counts=total,
            unit_counts=tuple(unit_counts),
            files=tuple(files),
            reasons=told,
        )

    def clear_outputs(self, lot: Lot) -> None:
        """The files that the commit left over are deleted. Nothing changes where somebody has said so before.

        Only the first commit leaves `outputs`: see `rewrites`.
        """
        left_over = in_state(LotState.COMMITTED) & Condition("attribute_exists(outputs)", {})
        self._table.update(lot_key(lot.id), f"SET {_CLOSE} REMOVE outputs", self._finished(lot.id), left_over)

    def begin_dissolving(self, lot: Lot) -> Lot:
        """From here on the lot can never be committed: its files may be deleted.

        Raises:
            LeaseLost: the lot is no longer ours.
        """
        found = self._table.update_if(
            lot_key(lot.id),
            "SET #state = :dissolving",
            {":dissolving": {"S": LotState.DISSOLVING}},
            in_state(LotState.PENDING, LotState.DISSOLVING) & leased_with(lot.lease_token),
            lambda there: state_of(there) == LotState.DISSOLVING and token_of(there) == lot.lease_token,
        )
        if found is not None:
            raise _lost(lot)
        return replace(lot, state=LotState.DISSOLVING)

    def dissolve(self, lot: Lot) -> None:
        """Forget the lot, free its units, and mark each as suspect. Its files must have been deleted before.

        Raises:
            LeaseLost: the lot is no longer ours.
        """
        bound = Condition("lot = :this", {":this": {"S": str(lot.id)}})
        free = (
            "REMOVE lot SET suspect = if_not_exists(suspect, :zero) + :one",
            {":one": {"N": "1"}, ":zero": {"N": "0"}},
        )
        refused = self._table.transact(
            [
                {"delete": lot_key(lot.id), "condition": in_state(LotState.DISSOLVING) & leased_with(lot.lease_token)},
                *({"update": (unit_key(unit), *free), "condition": bound} for unit in lot.units),
            ]
        )
        if refused:
            raise _lost(lot)

    def is_abandoned(self, lot: Lot) -> bool:
        """Whether the lot's rows are not in the lake and no worker's lease on it is alive."""
        return not lot.state.holds_rows and lot.lease_until < self._table.now_ms()

    def look_again(self, lot: Lot) -> Lot | None:
        """The lot as it is now; None where it is gone."""
        found = self._table.get(lot_key(lot.id))
        return lot_from(found) if found else None

    def _finished(self, id_: LotId) -> Item:
        """The values of `_CLOSE`."""
        return {":finished": {"S": open_shard("committed", id_)}, ":since": {"N": str(self._table.now_ms())}}

    def _update_own(self, lot: Lot, expression: str, values: Item) -> None:
        ours = in_state(LotState.PENDING) & leased_with(lot.lease_token)
        if not self._table.update(lot_key(lot.id), expression, values, ours):
            raise _lost(lot)


def _lost(lot: Lot) -> LeaseLost:
    return LeaseLost(f"lot {lot.id} is no longer ours; whoever has it finishes it")


def _flag(value: bool) -> Item:
    return {"N": str(int(value))}


def _contracts_text(contracts: Mapping[str, str]) -> str:
    return json.dumps(dict(contracts), sort_keys=True)
