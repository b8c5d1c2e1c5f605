"""The account of every object: what the ledger says became of its rows, and whether the lake agrees.

Reads only. An object is *done* when all its units are in committed lots whose rows add up; a file in the lake that no
committed lot names, or a committed lot whose file is missing, is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.shared.identities import LakeKey, LotId, ObjectId, UnitId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, LedgerObject, Lot, LotState, ObjectState


@dataclass(slots=True)
class ObjectAccount:
    """One object: its state in the ledger, its units, and the rows of those that are committed."""

    id: ObjectId
    state: ObjectState
    reason: str = ""
    units: int = 0
    committed: int = 0
    counts: Counts = field(default_factory=Counts)
    errors: list[str] = field(default_factory=list)  # the last error of each unit that is in no lot

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do: rejected with its reason, or every unit committed."""
        return self.state is ObjectState.REJECTED or (
            self.state is ObjectState.PLANNED and self.committed == self.units
        )


@dataclass(slots=True)
class Audit:
    """All objects, and what is wrong. Nothing is wrong if `findings` is empty."""

    objects: dict[ObjectId, ObjectAccount] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    @property
    def counts(self) -> Counts:
        return sum((account.counts for account in self.objects.values()), Counts())


def audit(ledger: Ledger, files: Iterable[str]) -> Audit:
    """Hold the ledger against itself and against `files`, the keys of all files in Silver and quarantine."""
    result, lots, unit_errors = Audit(), dict[LotId, Lot](), dict[UnitId, str]()
    for entry in ledger.scan():
        if isinstance(entry, LedgerObject):
            result.objects[entry.id] = ObjectAccount(entry.id, entry.state, entry.reason, entry.units)
        elif isinstance(entry, Lot):
            lots[entry.id] = entry
        elif not entry[1] and entry[2]:
            unit_errors[entry[0]] = entry[2]
    for unit, error in unit_errors.items():
        if unit.object in result.objects:
            result.objects[unit.object].errors.append(f"{unit}: {error}")
    for lot in lots.values():
        _add_lot(lot, result)
    _compare_files(lots, set(files), result)
    return result


def _add_lot(lot: Lot, result: Audit) -> None:
    if lot.state is not LotState.COMMITTED:
        return
    if not lot.counts.conserved or sum(lot.unit_counts, Counts()) != lot.counts:
        result.findings.append(f"lot {lot.id}: rows do not add up: {lot.counts}")
    for unit, counts in zip(lot.units, lot.unit_counts, strict=True):
        account = result.objects.get(unit.object.id)
        if account is None:
            result.findings.append(f"lot {lot.id}: its object {unit.object.id} is not in the ledger")
            continue
        account.committed += 1
        account.counts += counts


def _compare_files(lots: dict[LotId, Lot], files: set[str], result: Audit) -> None:
    listed = {file.key for lot in lots.values() if lot.state is LotState.COMMITTED for file in lot.files}
    result.findings += [f"{key}: a committed lot names it, and it is not in the lake" for key in sorted(listed - files)]
    for key in sorted(files - listed):
        try:
            lot = lots.get(LakeKey.parse(key).lot)
        except ValueError as error:
            result.findings.append(str(error))
            continue
        if lot is None or lot.state is LotState.COMMITTED:
            result.findings.append(f"{key}: no lot names it; its rows may stand elsewhere too")
