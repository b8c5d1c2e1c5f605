"""What must hold for one lot, its units, their objects and its files. Pure: plain values in, findings out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date

from services.ops.audit.findings import Code, Finding
from services.ops.audit.listings import ListedFile
from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT, LakeKey, LotId, ObjectId, UnitId
from services.shared.ledger.records import Counts, LedgerObject, Lot, LotFile, LotState, UnitRecord


def check_record(lot: Lot) -> Iterator[Finding]:
    """What the lot's own record must fulfil."""
    subject = f"lot {lot.id}"
    for unit, number in Counter(lot.units).items():
        if number > 1:
            yield Finding(Code.UNIT_IN_TWO_LOTS, str(unit), f"lot {lot.id} lists it {number} times")
    if not lot.state.holds_rows:
        return
    summed = sum(lot.unit_counts, Counts())
    if len(lot.unit_counts) != len(lot.units):
        detail = f"it has counts of {len(lot.unit_counts)} units and lists {len(lot.units)} units"
        yield Finding(Code.ROWS_DO_NOT_ADD_UP, subject, detail)
    elif summed != lot.counts:
        detail = f"its total is {_told(lot.counts)}, its units add up to {_told(summed)}"
        yield Finding(Code.ROWS_DO_NOT_ADD_UP, subject, detail)
    elif not all(counts.conserved for counts in lot.unit_counts):
        unit = next(unit for unit, counts in zip(lot.units, lot.unit_counts, strict=True) if not counts.conserved)
        detail = f"rows read are not rows in Silver plus rows in quarantine ({_told(lot.counts)}), first in {unit}"
        yield Finding(Code.ROWS_DO_NOT_ADD_UP, subject, detail)
    yield from _check_file_rows(lot)


def _check_file_rows(lot: Lot) -> Iterator[Finding]:
    rows: Counter[str] = Counter()
    for file in lot.files:
        root, misnamed = _root_of(file, lot)
        rows[root] += file.rows
        if misnamed:
            yield Finding(Code.FILE_MISNAMED, file.key, f"lot {lot.id} names it, but {misnamed}")
    for root, counted in ((SILVER_ROOT, lot.counts.silver), (QUARANTINE_ROOT, lot.counts.quarantined)):
        if rows[root] != counted:
            detail = f"its files under {root}/ have {rows[root]:,} rows, its counts say {counted:,}"
            yield Finding(Code.FILE_ROWS_DIFFER, f"lot {lot.id}", detail)


def _root_of(file: LotFile, lot: Lot) -> tuple[str, str]:
    """The root that a file is in, and what is wrong with its name."""
    try:
        key = LakeKey.parse(file.key)
    except ValueError:
        return file.key.partition("/")[0], "it is not a name that smelt gives to a file"
    if key.lot != lot.id:
        return key.root, f"it is a file of lot {key.lot}"
    # While a lot is rewritten, files of the generation that has begun do not count yet.
    last = lot.generation - (lot.state is LotState.REWRITING)
    return key.root, "" if key.generation <= last else f"it is of generation {key.generation}, the lot of {last}"


def check_units(
    lot: Lot,
    units: Mapping[UnitId, UnitRecord],
    objects: Mapping[ObjectId, LedgerObject],
    other_lots: Mapping[LotId, Lot],
) -> Iterator[Finding]:
    """The lot's units are bound to it and to no other, and lie on the grids of their objects' plans."""
    for unit in dict.fromkeys(lot.units):
        known = objects.get(unit.object)
        if known is None:
            yield Finding(Code.UNKNOWN_OBJECT, str(unit.object), f"lot {lot.id} has a unit of it: {unit}")
        elif not known.plan.has(unit.start, unit.end):
            detail = f"lot {lot.id} has it; the object has {known.source.size:,} bytes in units of {known.plan.step:,}"
            yield Finding(Code.UNIT_OFF_GRID, str(unit), detail)
        bound = units[unit].lot if unit in units else None
        if bound == lot.id:
            continue
        other = other_lots.get(bound) if bound else None
        if other and unit in other.units:
            detail = f"lots {lot.id} ({lot.state}) and {other.id} ({other.state}) both list it"
            yield Finding(Code.UNIT_IN_TWO_LOTS, str(unit), detail)
        else:
            where = f"bound to lot {bound}" if bound else "free"
            yield Finding(Code.UNIT_NOT_BOUND, str(unit), f"lot {lot.id} ({lot.state}) lists it, but it is {where}")


def may_have_expired(key: str, expired: date) -> bool:
    """Whether it is a file of quarantine of the day `expired` or an earlier one."""
    if expired == date.min or not key.startswith(f"{QUARANTINE_ROOT}/"):
        return False
    try:
        return date.fromisoformat(LakeKey.parse(key).dt) <= expired
    except ValueError:
        return False


def check_files(lot: Lot, listed: Mapping[str, ListedFile], expired: date = date.min) -> Iterator[Finding]:
    """The files of a committed lot are there as they were written, also while it is rewritten.

    Those of quarantine may have expired.
    """
    if not lot.state.holds_rows:
        return
    for file in lot.files:
        there = listed.get(file.key)
        if there is None and may_have_expired(file.key, expired):
            continue
        if there is None:
            detail = f"lot {lot.id} committed it with {file.rows:,} rows, {file.bytes:,} bytes, etag {_etag(file)}"
            yield Finding(Code.FILE_MISSING, file.key, detail)
        elif (there.size, there.etag) != (file.bytes, _etag(file)):
            detail = (
                f"lot {lot.id} wrote {file.bytes:,} bytes with etag {_etag(file)}; "
                f"the bucket has {there.size:,} bytes with etag {there.etag}"
            )
            yield Finding(Code.FILE_DIFFERS, file.key, detail)


def check_listed(file: ListedFile, lot_id: LotId, lot: Lot | None) -> Iterator[Finding]:
    """A file that is there belongs to a lot that has written it, is writing it, or is about to delete it."""
    if lot is None:
        yield Finding(Code.ORPHAN_FILE, file.key, f"lot {lot_id} is not in the ledger ({file.size:,} bytes)")
        return
    named = {known.key for known in lot.files} | lot.outputs | lot.obsolete
    if lot.progress:
        named |= {known.key for known in lot.progress.files}
    if file.key not in named:
        detail = f"lot {lot.id} ({lot.state}) does not reference it ({file.size:,} bytes)"
        yield Finding(Code.ORPHAN_FILE, file.key, detail)


def _etag(file: LotFile) -> str:
    return file.etag.strip('"')


def _told(counts: Counts) -> str:
    return f"{counts.read:,} read, {counts.silver:,} in Silver, {counts.quarantined:,} in quarantine"
