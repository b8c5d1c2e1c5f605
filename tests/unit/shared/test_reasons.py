"""Why rows of a unit were refused, as its lot keeps it."""

from __future__ import annotations

from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.records import UNKNOWN_REASON, Counts, Lot, LotState, reasons_key

UNIT, OTHER = (UnitId(ObjectId("bronze", "bronze/shipments/a.jsonl", "e"), start, start + 10) for start in (0, 10))
LOT_ID = LotId("20260131T120000Z", "0" * 16)


def lot(units: tuple[UnitId, ...]) -> Lot:
    reasons = {reasons_key(UNIT): {"wrong_type": 2}, reasons_key(OTHER): {"bad_date": 1}}
    return Lot(LOT_ID, LotState.COMMITTED, units, frozenset(), {}, "", 0, reasons=reasons)


def test_a_unit_keeps_its_reasons_when_another_one_leaves_the_lot() -> None:
    assert lot((UNIT, OTHER)).reasons_of(OTHER, Counts(5, 4, 1)) == {"bad_date": 1}
    assert lot((OTHER,)).reasons_of(OTHER, Counts(5, 4, 1)) == {"bad_date": 1}


def test_reasons_always_add_up_to_the_refused_rows() -> None:
    assert lot((UNIT,)).reasons_of(UNIT, Counts(5, 4, 1)) == {UNKNOWN_REASON: 1}
    assert lot((UNIT,)).reasons_of(UNIT, Counts(5, 5, 0)) == {}
