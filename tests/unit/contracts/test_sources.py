"""What a field says of where its value is and how it is written, and what it may not say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.shared.contract.loader import load_contract
from services.shared.contract.model import CREATION, ContractError, Steps, TimeFormat
from services.shared.contract.sources import SourceError, parse_source, path_text
from services.shared.judge.judge import RowJudge
from services.shared.judge.times import epoch_moment, moment_of
from services.shared.judge.verdicts import Accepted, Reason, Rejected
from tests.unit.contracts.conftest import Change

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("customerId", ("customerId",)),
        ("a.b", ("a.b",)),
        ("$.customer.id", ("customer", "id")),
        ("$.items[0].sku", ("items", 0, "sku")),
        ("$['a key'][\"it's\"]", ("a key", "it's")),
        ("$['$schema']", ("$schema",)),
        ("$.zür.a-b", ("zür", "a-b")),
    ],
)
def test_a_source_is_a_key_or_a_path_and_is_written_as_it_is_read(text: str, steps: Steps) -> None:
    assert parse_source(text) == steps
    assert parse_source(path_text(steps)) == steps


@pytest.mark.parametrize("text", ["", "$", "$.", "$..a", "$.a[*]", "$[0]", "$.a[-1]", "$.a['b]", "$.a b", "$.a[01]"])
def test_what_names_no_single_value_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        parse_source(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd HH:mm:ss", "2026-05-01 12:00:00"),
        ("dd/MMM/yyyy:HH:mm:ss Z", "01/May/2026:14:00:00 +0200"),
        ("EEE MMM dd HH:mm:ss Z yyyy", "Fri May 01 12:00:00 +0000 2026"),
        ("M/d/yyyy h:mm:ss a", "5/1/2026 12:00:00 pm"),
        ("yyyyMMdd'T'HHmmssX", "20260501T070000-05"),
        ("yyyy-MM-dd HH:mm[:ss][ XXX]", "2026-05-01 12:00"),
        ("yyyy-MM-dd HH:mm[:ss][ XXX]", "2026-05-01 13:00:00 +01:00"),
    ],
)
def test_a_pattern_reads_a_time(pattern: str, text: str) -> None:
    assert moment_of(text, TimeFormat(pattern)) == NOON


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd", "2026-02-30"),
        ("yyyy-MM-dd", "2026-05-01 "),
        ("EEE dd.MM.yyyy", "Mon 01.05.2026"),
        ("d.M.yyyy h a", "1.5.2026 13 pm"),
        ("yyyy-MM-dd HH:mmX", "2026-05-01 12:00+24"),
        ("yyyy-MM-dd", "\uff12026-05-01"),
    ],
)
def test_a_pattern_refuses_what_is_no_time(pattern: str, text: str) -> None:
    assert moment_of(text, TimeFormat(pattern)) is None


@pytest.mark.parametrize(
    ("token", "micros"),
    [("0.0000019", 1), ("-0.0000019", -2), ("1.5e1", 15_000_000), ("-1", -1_000_000), ("0e999", 0), ("1e-999", 0)],
)
def test_an_epoch_is_exact_and_never_later_than_it_is_written(token: str, micros: int) -> None:
    moment = epoch_moment(token, "epoch_seconds")
    assert moment is not None
    assert round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) == micros


OPTIONS = "logicalType: timestamp\n        logicalTypeOptions: "
REFUSED = {
    "a century that is guessed": (OPTIONS + "{format: yy-MM-dd}", "write yyyy: a year of two digits has no century"),
    "a zone by name": (OPTIONS + "{format: yyyy-MM-dd, defaultTimezone: Europe/Berlin}", "write UTC or an offset"),
    "a wrong epoch": (OPTIONS + "{format: epoch_ms}", "write one of epoch_seconds, epoch_milliseconds"),
    "letters without quotes": (OPTIONS + "{format: yyyy-MM-ddTHH}", "put text in single quotes"),
    "a contradiction": (OPTIONS + "{format: yyyy-MM-dd, timezone: true}", "has no offset"),
    "another option": (OPTIONS + "{minimum: '2020-01-01'}", "logicalTypeOptions.minimum: smelt does not check it"),
    "no path": ("logicalType: timestamp\n        physicalName: $.a[*]", "is not a path to one value"),
    "strings as times": (
        "logicalType: timestamp\n        customProperties: [{property: acceptStrings, value: true}]",
        "acceptStrings is for numbers, booleans and epochs",
    ),
    "code": ("logicalType: timestamp\n        transformSourceObjects: [a]", "as physicalName"),
}


@pytest.mark.parametrize(("new", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_meant_is_refused_with_what_to_write(write: Change, new: str, why: str) -> None:
    with pytest.raises(ContractError, match="at: ") as refused:
        load_contract(write(("logicalType: timestamp", new)))
    assert why in str(refused.value)


def judge(write: Change, row: bytes, *changes: tuple[str, str]) -> Accepted | Rejected:
    contract = load_contract(write(*changes))
    return RowJudge({contract.dataset: contract}).judge(row, contract.dataset, NOON)


def test_a_missing_key_in_another_spelling_is_named(write: Change) -> None:
    found = judge(write, b'{"at": "2026-05-01T00:00:00Z", "ParcelId": "a"}')
    assert isinstance(found, Rejected)
    assert (found.reason, found.field) == (Reason.MISSING_REQUIRED, "parcel_id")
    assert "the row has 'ParcelId': write that as the field's physicalName" in found.detail


def test_what_is_wrong_inside_is_named_by_its_path(write: Change) -> None:
    items = "logicalType: array\n        items: {logicalType: object, properties: [{name: sku, logicalType: string}]}"
    ids = "tags: 8\n          tags.element: 9\n          tags.element.sku: 10"
    row = b'{"at": "2026-05-01T00:00:00Z", "parcel_id": "a", "tags": [{}, {"sku": 5}]}'
    found = judge(write, row, ("logicalType: array", items), ("tags: 8", ids))
    assert found == Rejected("parcels", Reason.WRONG_TYPE, "tags.element.sku", "item 1: is the number 5, not string")


def test_rows_without_a_time_have_that_of_their_object(write: Change) -> None:
    window = (
        '      - property: earliest\n        value: "2020-01-01"\n      - property: maxAhead\n        value: PT6H\n'
    )
    changes = (("value: at", f"value: {CREATION}"), (window, ""), ("        required: true\n", ""))
    assert isinstance(judge(write, b'{"parcel_id": "a"}', *changes), Accepted)
