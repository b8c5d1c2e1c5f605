"""Transitions that rewrite a committed lot: some of its rows leave, or move from quarantine to Silver.

    COMMITTED --begin--> REWRITING --finish_rewriting--> COMMITTED, with `obsolete` --clear_obsolete--> COMMITTED
                          |  |  ^
                          |  |  '-- take_over, once the lease is over or was given back; record_outputs, renew
                          |  '----- undo --> COMMITTED with the files that it had, the new ones in `obsolete`
                          '-------- give_back

`begin` raises the lot's generation, and every file that is written has that number in its name. A generation is never
used again, also not by whoever undoes it: so nobody can ever need a file that is `obsolete`, however late it is
deleted, and a second rewrite begins only when none is left. Until `finish_rewriting`, the lot's `files`, `units` and
counts are those of the generation before: what a reader of the ledger finds is true at every moment.

The lot's marks are those of the new generation from `begin` on, and know every key before it is written: so
`finish_rewriting`, which frees up to 99 units in one transaction, needs no room for them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from services.shared.identities import UnitId
from services.shared.ledger.items import (
    Item,
    check_width,
    counts_item,
    intent_text,
    lot_from,
    lot_key,
    open_shard,
    pack,
    pack_files,
    state_of,
    token_of,
    unit_key,
)
from services.shared.ledger.marks import Marks
from services.shared.ledger.records import (
    Counts,
    Intent,
    LeaseHeld,
    LeaseLost,
    LedgerObject,
    LostRace,
    Lot,
    LotFile,
    LotState,
    reasons_key,
)
from services.shared.ledger.releases import check_leaving, still_leaving
from services.shared.ledger.table import Condition, LedgerTable, Write, in_state, lease_over, leased_with

_COMMITTED = in_state(LotState.COMMITTED)
_REWRITING = in_state(LotState.REWRITING)
_NOTHING_LEFT = Condition("attribute_not_exists(outputs) AND attribute_not_exists(obsolete)", {})
_CLOSE = "#open = :finished, since = :since"  # out of the index's open work, into what the history takes next


class Rewrites:
    """The rewriting transitions of lots over one table."""

    def __init__(self, table: LedgerTable, marks: Marks) -> None:
        self._table = table
        self._marks = marks

    def begin(self, lot: Lot, intent: Intent, lease_seconds: float, leaving: LedgerObject | None = None) -> Lot:
        """Make a committed lot ours to rewrite. `lot` is as it was seen: without leftover files.

        Args:
            leaving: the object whose rows are to leave. It cannot be let in again before they have: its units are in
                this lot until the rewrite ends. So it is enough to look at it here.

        Raises:
            LostRace: the lot is not as it was seen any more; look again.
            LetInAgain: the object is not being retracted any more.
        """
        token, until = secrets.token_hex(8), self._table.lease_end(lease_seconds)
        generation = lot.generation + 1
        marks = self._marks.of_rewrite(lot.id, generation, [file.key for file in lot.files])
        found = self._table.update_if(
            lot_key(lot.id),
            "SET #state = :rewriting, generation = :generation, intent = :intent, lease_token = :token,"
            " lease_until = :until, #open = :shard, since = :since REMOVE expires_at",
            {
                ":rewriting": {"S": LotState.REWRITING},
                ":generation": {"N": str(generation)},
                ":intent": {"S": intent_text(intent)},
                ":token": {"S": token},
                ":until": {"N": str(until)},
                ":shard": {"S": open_shard("lot", lot.id)},
                ":since": {"N": str(self._table.now_ms())},
            },
            _COMMITTED & _NOTHING_LEFT & _of_generation(lot.generation),
            lambda there: token_of(there) == token,
            beside=[*marks, *([still_leaving(leaving)] if leaving else [])],
        )
        if found is not None:
            if leaving:
                check_leaving(self._table, leaving)
            raise LostRace(f"lot {lot.id} is not to be rewritten as it was seen: somebody else works on it")
        state = LotState.REWRITING
        return replace(
            lot, state=state, generation=generation, intent=intent, lease_token=token, lease_until=until, outputs=_NONE
        )

    def take_over(self, lot: Lot, lease_seconds: float) -> Lot:
        """Take a rewrite whose lease is over. One of many takers wins.

        Returns:
            The lot as it is now, with our lease: REWRITING, of the same generation, with what it was to become.

        Raises:
            LeaseHeld: the lease is alive, or another was faster.
            LeaseLost: another took it from us at once.
        """
        if lot.lease_until >= self._table.now_ms():
            raise LeaseHeld(f"lot {lot.id} is being rewritten by somebody else", lot.lease_until)
        token, until = secrets.token_hex(8), self._table.lease_end(lease_seconds)
        found = self._table.update_if(
            lot_key(lot.id),
            "SET lease_token = :token, lease_until = :until",
            {":token": {"S": token}, ":until": {"N": str(until)}},
            _REWRITING & leased_with(lot.lease_token) & lease_over(self._table.now_ms()),
            lambda there: token_of(there) == token,
        )
        if found is not None:
            raise LeaseHeld(f"lot {lot.id} was taken over by somebody else")
        item = self._table.get(lot_key(lot.id))
        if token_of(item) != token:
            raise _lost(lot)
        return lot_from(item)

    def renew(self, lot: Lot, lease_seconds: float) -> Lot:
        """Let our lease end `lease_seconds` from now.

        Raises:
            LeaseLost: the lot is no longer ours.
        """
        until = self._table.lease_end(lease_seconds)
        self._update_own(lot, "SET lease_until = :until", {":until": {"N": str(until)}})
        return replace(lot, lease_until=until)

    def record_outputs(self, lot: Lot, outputs: Iterable[str]) -> Lot:
        """Record keys before they are written, so that whoever finishes or undoes the rewrite finds them.

        Raises:
            LeaseLost: the lot is no longer ours.
            LotTooWide: the lists do not fit in one item.
        """
        recorded = lot.outputs | set(outputs)
        if recorded == lot.outputs:
            return lot
        packed = pack(sorted(recorded))
        check_width(packed, pack_files(lot.files))
        beside = self._marks.of_rewrite(lot.id, lot.generation, recorded)
        self._update_own(lot, "SET outputs = :outputs", {":outputs": packed}, beside)
        return replace(lot, outputs=recorded)

    def give_back(self, lot: Lot) -> None:
        """End our lease, so that nobody needs to wait for it. A lot that is no longer ours is left alone."""
        ours = _REWRITING & leased_with(lot.lease_token)
        self._table.update(lot_key(lot.id), "SET lease_until = :over", {":over": {"N": "0"}}, ours)

    def finish_rewriting(
        self,
        lot: Lot,
        files: Sequence[LotFile],
        unit_counts: Sequence[Counts],
        freed: Sequence[UnitId],
        reasons: Mapping[str, Mapping[str, int]] | None = None,
    ) -> Lot:
        """All new files are written: in one transaction they replace the old ones.

        Args:
            lot: ours, REWRITING.
            files: all files of the lot from now on; those that did not change are among them.
            unit_counts: of the units that stay, in their order.
            freed: units that leave the lot. They become free and refused, so that no lot can claim them, and keep the
                rows that they had and the lot's name.
            reasons: why rows are refused, as `Lot.reasons`; None where that has not changed for the units that stay.

        Raises:
            LeaseLost: the lot is no longer ours.
            LotTooWide: the lists do not fit in one item.
        """
        leaving = set(freed)
        units = tuple(unit for unit in lot.units if unit not in leaving)
        obsolete = ({file.key for file in lot.files} | lot.outputs) - {file.key for file in files}
        now = self._table.timestamp()
        bound = Condition("lot = :this", {":this": {"S": str(lot.id)}})
        kept = {reasons_key(unit) for unit in units}
        told = {name: rows for name, rows in (lot.reasons if reasons is None else reasons).items() if name in kept}
        write = self._next(lot, units, files, unit_counts, obsolete, told)
        had = dict(zip(lot.units, lot.unit_counts, strict=True))
        refused = self._table.transact(
            [
                write,
                *(
                    {
                        "update": (
                            unit_key(unit),
                            "SET refused_at = :now, retracted = :rows, left_lot = :this REMOVE lot, expires_at",
                            {":now": now, ":rows": counts_item(had[unit]), ":this": {"S": str(lot.id)}},
                        ),
                        "condition": bound,
                    }
                    for unit in freed
                ),
            ]
        )
        if refused and not self._has_landed(lot):
            raise _lost(lot)
        return replace(
            lot,
            state=LotState.COMMITTED,
            units=units,
            outputs=_NONE,
            obsolete=frozenset(obsolete),
            files=tuple(files),
            counts=sum(unit_counts, Counts()),
            unit_counts=tuple(unit_counts),
            reasons=told,
        )

    def _next(
        self,
        lot: Lot,
        units: Sequence[UnitId],
        files: Sequence[LotFile],
        unit_counts: Sequence[Counts],
        obsolete: Iterable[str],
        reasons: Mapping[str, Mapping[str, int]],
    ) -> Write:
        """The write that makes a lot what it has been rewritten to."""
        total = sum(unit_counts, Counts())
        packed, packed_obsolete = pack_files(files), pack(sorted(obsolete))
        packed_reasons = pack({name: dict(told) for name, told in reasons.items()})
        check_width(packed, packed_obsolete, packed_reasons)
        values: Item = {
            ":committed": {"S": LotState.COMMITTED},
            ":files": packed,
            ":units": pack([str(unit) for unit in units]),
            ":unit_count": {"N": str(len(units))},
            ":unit_counts": pack([[c.read, c.silver, c.quarantined] for c in unit_counts]),
            ":reasons": packed_reasons,
            ":read": {"N": str(total.read)},
            ":silver": {"N": str(total.silver)},
            ":quarantined": {"N": str(total.quarantined)},
            ":now": self._table.timestamp(),
        }
        set_ = (
            "SET #state = :committed, files = :files, units = :units, unit_count = :unit_count,"
            " unit_counts = :unit_counts, rows_read = :read, rows_silver = :silver, rows_quarantined = :quarantined,"
            " reasons = :reasons, rewritten_at = :now"
        )
        if obsolete:
            values[":obsolete"] = packed_obsolete
            expression = f"{set_}, obsolete = :obsolete REMOVE outputs, lease_until"
        else:
            values |= self._finished(lot)
            expression = f"{set_}, {_CLOSE} REMOVE outputs, lease_until"
        ours = _REWRITING & leased_with(lot.lease_token)
        return {"update": (lot_key(lot.id), expression, values), "condition": ours}

    def _has_landed(self, lot: Lot) -> bool:
        """Whether our `finish_rewriting` was there already: its answer was lost."""
        there = self._table.get(lot_key(lot.id))
        return state_of(there) == LotState.COMMITTED and token_of(there) == lot.lease_token

    def undo(self, lot: Lot) -> Lot:
        """The lot is again what it was before the rewrite; what was written is to be deleted.

        Raises:
            LeaseLost: the lot is no longer ours.
        """
        values: Item = {":committed": {"S": LotState.COMMITTED}}
        if lot.outputs:
            values[":obsolete"] = pack(sorted(lot.outputs))
            expression = "SET #state = :committed, obsolete = :obsolete REMOVE outputs, intent, lease_until"
        else:
            values |= self._finished(lot)
            expression = f"SET #state = :committed, {_CLOSE} REMOVE intent, lease_until"
        found = self._table.update_if(
            lot_key(lot.id),
            expression,
            values,
            _REWRITING & leased_with(lot.lease_token),
            lambda there: state_of(there) == LotState.COMMITTED and token_of(there) == lot.lease_token,
        )
        if found is not None:
            raise _lost(lot)
        return replace(lot, state=LotState.COMMITTED, outputs=_NONE, obsolete=lot.outputs, intent=None)

    def clear_obsolete(self, lot: Lot) -> None:
        """The replaced files are deleted. Also a lot without units goes to the history: nothing of it is left."""
        seen = _COMMITTED & _of_generation(lot.generation) & Condition("attribute_exists(obsolete)", {})
        self._table.update(lot_key(lot.id), f"SET {_CLOSE} REMOVE obsolete", self._finished(lot), seen)

    def _finished(self, lot: Lot) -> Item:
        """The values of `_CLOSE`."""
        return {":finished": {"S": open_shard("committed", lot.id)}, ":since": {"N": str(self._table.now_ms())}}

    def leave_mark(self, lot: Lot) -> None:
        """Leave the marks of a rewrite that began when nobody read them. One that is over by now needs none."""
        beside = self._marks.of_rewrite(lot.id, lot.generation, [*(file.key for file in lot.files), *lot.outputs])
        noted = (lot_key(lot.id), "SET marked_at = :now", {":now": self._table.timestamp()})
        as_seen = _REWRITING & _of_generation(lot.generation)
        if beside:
            self._table.transact([{"update": noted, "condition": as_seen}, *beside])

    def ask_to_publish(self, lot: Lot) -> None:
        """Let the publisher look at a committed lot again. A mark that is there will do; the lot expires no more."""
        marks = self._marks.of_damage(lot)
        noted = (lot_key(lot.id), "SET marked_at = :now REMOVE expires_at", {":now": self._table.timestamp()})
        if marks:
            self._table.transact([{"update": noted, "condition": _COMMITTED & _of_generation(lot.generation)}, *marks])

    def is_abandoned(self, lot: Lot) -> bool:
        """Whether the lot is being rewritten, and nobody's lease on it is alive."""
        return lot.state is LotState.REWRITING and lot.lease_until < self._table.now_ms()

    def _update_own(self, lot: Lot, expression: str, values: Item, beside: Sequence[Write] = ()) -> None:
        ours = _REWRITING & leased_with(lot.lease_token)
        write = (lot_key(lot.id), expression, values)
        if beside:
            done = not self._table.transact([{"update": write, "condition": ours}, *beside])
        else:
            done = self._table.update(*write, ours)
        if not done:
            raise _lost(lot)


_NONE: frozenset[str] = frozenset()


def _of_generation(generation: int) -> Condition:
    if generation == 1:
        return Condition("attribute_not_exists(generation)", {})
    return Condition("generation = :seen_generation", {":seen_generation": {"N": str(generation)}})


def _lost(lot: Lot) -> LeaseLost:
    return LeaseLost(f"lot {lot.id} is no longer ours; whoever has it finishes or undoes its rewrite")
