"""Rows in any order: what resembles the others closely enough to be taken with them, and must not be."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from services.shared.contract.model import Contract, Field, FieldType
from services.transform.blocks import lines_block
from services.transform.rows import parser
from services.transform.rows.any_order import _KeyTable
from services.transform.rows.layout import MAX_KEYS
from services.transform.rows.parser import Parsed, RowParser

CREATED = datetime(2026, 6, 1, tzinfo=UTC)
CONTRACT = Contract(
    dataset="parcels",
    version="1.0.0",
    fields=(
        Field("at", FieldType.TIMESTAMP, required=True),
        Field("name", FieldType.STRING),
        Field("the_weight_of_this_parcel", FieldType.NUMBER),
        Field("tags", FieldType.ARRAY),
    ),
    event_time="at",
    keys=("name",),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)
AT = '"at":"2026-05-01T10:00:00Z"'
ITEMS = (
    AT,
    '"name":"a"',
    '"the_weight_of_this_parcel":1.5',
    '"tags":[{"at":1}]',
    '"new":"x"',
    '"record_type":"parcels"',
)


def parse_among_others(row: str) -> Parsed:
    """Parse a row that is among others of the same keys, each in an order of its own."""
    chance = random.Random(1)
    rows = ["{" + ",".join(chance.sample(ITEMS, len(ITEMS))) + "}" for _ in range(400)]
    rows[137] = row
    return RowParser({"parcels": CONTRACT}).parse(lines_block("\n".join(rows).encode(), 0), "parcels", CREATED)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f'{{"x"{AT}}}', "malformed_json"),
        (f'{{"x",{AT}}}', "malformed_json"),
        (f'{{{AT},"x"}}', "malformed_json"),
        (f'{{{AT}"name":"a"}}', "malformed_json"),
        (f'{{{AT};"name":"a"}}', "malformed_json"),
        (f'{{{AT},"name":"a"],"new":"x"}}', "malformed_json"),
        (f'{{{AT},"name":"a","new":"x"]', "malformed_json"),
        (f'{{{AT},"tags":[{{"name":"a"}},"new":"x"}}', "malformed_json"),
        (f'{{{AT},"tags":["]",{{"at":1}}],"new":x"}}', "malformed_json"),
        (f'{{{AT},"name":"a","name":"a"}}', "duplicate_key"),
        (f'{{{AT},"name":"a","n\\u0061me":"a"}}', "duplicate_key"),
        (f'{{{AT},"new":1,"new":1}}', "duplicate_key"),
        ('{"name":"a"}', "missing_required"),
        ('{"tags":[{"at":"2026-05-01T10:00:00Z"}]}', "missing_required"),
        (f'{{{AT},"record_type":"others"}}', "unknown_record_type"),
        (f'{{{AT},"record_type":1}}', "wrong_type"),
        ("{}", "missing_required"),
    ],
)
def test_a_bad_row_among_good_ones_is_refused(row: str, reason: str) -> None:
    parsed = parse_among_others(row)
    assert parsed.reasons == {reason: 1}
    assert parsed.silver["parcels"].num_rows == 399


@pytest.mark.parametrize(
    ("row", "weight", "rescued"),
    [
        (f'{{"the_weight_of_that_parcel":2,{AT}}}', None, '{"the_weight_of_that_parcel":2}'),
        (f'{{"the_weight_of_this_parce\\u006c":2,{AT}}}', 2.0, None),
        (f'{{"the_weight_of_this_parcel":2,{AT} }}', 2.0, None),
        (f'{{"new": 1,{AT},"other" : 2}}', None, '{"new":1,"other":2}'),
        (f'{{"tags":["\\"at\\":"],{AT},"the_weight_of_this_parcel":2}}', 2.0, None),
    ],
)
def test_a_row_that_is_written_in_another_way_is_read_as_it_is(
    row: str, weight: float | None, rescued: str | None
) -> None:
    parsed = parse_among_others(row)
    assert parsed.reasons == {}
    ours = [found for found in parsed.silver["parcels"].to_pylist() if found["_rescued"] != '{"new":"x"}']
    assert [(found["the_weight_of_this_parcel"], found["_rescued"]) for found in ours] == [(weight, rescued)]


def test_key_sets_are_no_larger_than_what_may_be_learned_and_made_into_tables_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    make = _KeyTable.__init__

    def counting(table: _KeyTable, known: list[bytes]) -> None:
        sizes.append(len(known))
        make(table, known)

    monkeypatch.setattr(_KeyTable, "__init__", counting)
    monkeypatch.setattr(parser, "_MOST_VALUES", 50_000)
    chance = random.Random(1)
    unknown = [[f'"k{kind}_{number}":1' for number in range(600)] for kind in range(4)]
    rows = [[AT, *chance.choice(unknown)] for _ in range(400)]
    block = "\n".join("{" + ",".join(chance.sample(row, len(row))) + "}" for row in rows).encode()
    parsed = RowParser({"parcels": CONTRACT}).parse(lines_block(block, 0), "parcels", CREATED)
    assert parsed.silver["parcels"].num_rows == len(rows)
    assert max(sizes) <= MAX_KEYS + len(CONTRACT.fields)
    assert len(sizes) <= 8


def test_keys_that_begin_and_end_alike_have_one_place_in_the_table() -> None:
    """So their bytes must be compared; otherwise the test above would show nothing."""
    table = _KeyTable([b'"the_weight_of_this_parcel"', b'"the_weight_of_that_parcel"'])
    assert sum(table._table < 2) == 1
