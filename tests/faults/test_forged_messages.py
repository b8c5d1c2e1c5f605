"""Whoever may send to the queue can neither double a row, nor misplace one, nor stop a delivery."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.stack import Clients
from services.shared.contract.model import Contract
from services.shared.ledger.records import ObjectState
from tests.faults.rig import Rig, shipment
from tests.support.queue import record


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    rig = Rig(clients.dynamodb, ledger_table, contracts)
    rig.upload("shipments", [shipment(number, 1 + number % 3) for number in range(20)])
    return rig


def genuine(rig: Rig) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(rig.units[0].to_message())
    return body


FORGED: dict[str, dict[str, Any]] = {
    "an overlapping range": {"start": 512, "end": 1536},
    "a range inside a unit": {"start": 0, "end": 700},
    "the whole object": {"start": 0, "end": 10**9},
    "another size": {"size": 10**9},
    "created in 1999, so that every row is out of its window": {"created": "1999-01-01T00:00:00+00:00"},
    "a date at the end of the calendar, with an offset": {"created": "9999-12-31T23:59:59-23:59"},
    "a date at the beginning of the calendar, with an offset": {"created": "0001-01-01T00:00:00+23:59"},
    "an object that was never announced": {"key": "bronze/shipments/never-announced.jsonl"},
    "another bucket": {"bucket": "somebody-elses-bucket"},
    "a key with half of a surrogate pair": {"key": "bronze/shipments/\ud800.jsonl"},
    "a key of 3,000 characters": {"key": "bronze/shipments/" + "k" * 3000},
    "a # in the etag": {"etag": "abc#def"},
    "a version of its own": {"version_id": "null", "v": 1},
    "an unknown format version": {"v": 99},
    "a huge number": {"end": 10**400},
    "a float": {"start": 0.0},
    "true for a number": {"start": False},
    "a list for a key": {"key": ["bronze"]},
}
NOT_UNITS = {
    "no JSON": "}{",
    "an array": "[]",
    "deep nesting": "[" * 10_000,
    "a long text": "x" * 300_000,
    "null": "null",
    "a digit": "7",
    "blank": " ",
    "a number with too many digits": '{"v": ' + "9" * 10_000 + "}",
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("first", [True, False], ids=["sent first", "sent last"])
def test_a_forged_message_is_a_dead_letter_and_changes_nothing(rig: Rig, forged: dict[str, Any], first: bool) -> None:
    message = json.dumps(genuine(rig) | forged)
    records = [rig.record(unit) for unit in rig.units]
    records.insert(0 if first else len(records), record(message, "forged"))
    result = rig.deliver_records(records)
    assert result is not None
    assert not result.failed
    assert list(result.dead) == ["forged"]
    (letter,) = rig.dead_letters.sent
    assert letter["MessageAttributes"]["error"]["StringValue"]
    rig.dead_letters.sent.clear()
    rig.check_exactly_once()


@pytest.mark.parametrize("body", NOT_UNITS.values(), ids=NOT_UNITS)
def test_what_is_not_a_unit_is_a_dead_letter_at_once(rig: Rig, body: str) -> None:
    result = rig.deliver_records([record(body, "strange"), *(rig.record(unit) for unit in rig.units)])
    assert result is not None
    assert not result.failed
    (letter,) = rig.dead_letters.sent
    assert letter["MessageAttributes"]["reason"]["StringValue"] == "malformed_message"
    assert body.startswith(letter["MessageBody"])
    rig.dead_letters.sent.clear()
    rig.check_exactly_once()


def test_a_genuine_message_sent_by_somebody_else_is_a_duplicate(rig: Rig) -> None:
    rig.deliver(rig.units)
    result = rig.deliver_records([record(rig.units[0].to_message(), "again")])
    assert result is not None
    assert result.duplicates == 1
    rig.check_exactly_once()


def test_a_message_of_a_rejected_object_is_acknowledged(rig: Rig) -> None:
    source = rig.units[0].object
    rig.ledger.objects.reject_known(rig.units[0].id, "too_large", "split it")
    result = rig.deliver(rig.units)
    assert result is not None
    assert not result.failed
    assert not rig.lake.files
    assert rig.state_of(source) is ObjectState.REJECTED


def test_an_item_of_the_ledger_that_cannot_be_read_stops_only_its_own_unit(rig: Rig) -> None:
    broken = rig.upload("shipments", [shipment(1)])
    rig.dynamodb.update_item(
        TableName=rig.table,
        Key={"pk": {"S": f"object#{broken.id}"}},
        UpdateExpression="SET created = :nonsense",
        ExpressionAttributeValues={":nonsense": {"S": "yesterday"}},
    )
    units = list(rig.units)
    result = rig.deliver(units)
    assert result is not None
    assert list(result.failed) == [f"m-{units[-1].id}"]
    rig.forget(broken)
    rig.check_exactly_once()
