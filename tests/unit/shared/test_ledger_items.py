"""What the ledger's records keep of rewriting survives being written as items and read back."""

from __future__ import annotations

from datetime import UTC, datetime

from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.items import (
    Item,
    counts_item,
    intent_from,
    intent_text,
    lot_from,
    lot_key,
    object_from,
    object_key,
    pack,
    unit_from,
    unit_key,
)
from services.shared.ledger.records import RETRACT, RETRY, Counts, Intent, LotState, ObjectState, Retraction

OBJECT = ObjectId("bronze", "bronze/shipments/é#1.jsonl", "etag")
LOT = LotId("20260131T000000Z", "0123456789abcdef")
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def lot_item(**attributes: Item) -> Item:
    return lot_key(LOT) | {"state": {"S": "COMMITTED"}, "contracts": {"S": "{}"}, "units": pack([])} | attributes


def object_item(**attributes: Item) -> Item:
    created = {"created": {"S": AT.isoformat()}, "size": {"N": "10"}, "step": {"N": "10"}}
    return object_key(OBJECT) | created | {"state": {"S": "RETRACTED"}} | attributes


def test_a_lot_that_was_never_rewritten_is_of_the_first_generation() -> None:
    lot = lot_from(lot_item())
    assert (lot.generation, lot.obsolete, lot.intent) == (1, frozenset(), None)


def test_a_lot_keeps_its_generation_its_obsolete_files_and_its_intent() -> None:
    intent = Intent(RETRACT, OBJECT, "Ann", "the wrong file: “é”", AT)
    attributes = {"generation": {"N": "3"}, "obsolete": pack(["silver/a"]), "intent": {"S": intent_text(intent)}}
    lot = lot_from(lot_item(state={"S": "REWRITING"}, **attributes))
    assert lot.state is LotState.REWRITING
    assert (lot.generation, lot.obsolete, lot.intent) == (3, {"silver/a"}, intent)


def test_an_intent_without_an_object_reads_back() -> None:
    intent = Intent(RETRY)
    assert intent_from(intent_text(intent)) == intent


def test_leftover_files_of_a_lot_are_never_those_that_are_being_written() -> None:
    attributes = {"outputs": pack(["silver/new"]), "obsolete": pack(["silver/old"])}
    assert lot_from(lot_item(**attributes)).leftovers == {"silver/new", "silver/old"}
    assert lot_from(lot_item(state={"S": "REWRITING"}, **attributes)).leftovers == {"silver/old"}


def test_a_retracted_object_says_who_when_why_and_how_many_rows() -> None:
    told = {
        "retracted_at": {"S": AT.isoformat()},
        "retracted_by": {"S": "Ann"},
        "note": {"S": "wrong file"},
        "rows_retracted": counts_item(Counts(5, 3, 2)),
    }
    known = object_from(object_item(**told))
    assert known.state is ObjectState.RETRACTED
    assert known.retraction == Retraction(AT, "Ann", "wrong file", Counts(5, 3, 2))
    assert known.is_finished
    assert not known.is_leaving


def test_an_object_is_leaving_until_its_retracted_rows_are_counted() -> None:
    assert object_from(object_item(retracted_at={"S": AT.isoformat()})).is_leaving


def test_a_refused_unit_tells_the_rows_that_it_had() -> None:
    unit = UnitId(OBJECT, 0, 10)
    item = unit_key(unit) | {"refused_at": {"S": AT.isoformat()}, "retracted": counts_item(Counts(5, 3, 2))}
    assert unit_from(item).refused
    assert unit_from(item).retracted == Counts(5, 3, 2)
    assert not unit_from(unit_key(unit)).refused
