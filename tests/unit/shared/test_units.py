"""Planning is arithmetic, and a message that is no unit is refused with its reason."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.identities import UnacceptableKey
from services.shared.units import BronzeObject, MalformedMessage, Unit, plan, unit_count

PLAIN = BronzeObject("b", "bronze/shipments/a.jsonl", 1000, "etag", None, datetime(2026, 1, 1, tzinfo=UTC))


@given(st.integers(0, 10_000), st.integers(1, 3000))
def test_units_cover_every_byte_once(size: int, unit_bytes: int) -> None:
    units = list(plan(replace(PLAIN, size=size), unit_bytes))
    assert [unit.start for unit in units] == [0, *(unit.end for unit in units)][: len(units)]
    assert sum(unit.bytes for unit in units) == size
    assert all(0 < unit.bytes <= unit_bytes for unit in units)
    assert len(units) == unit_count(replace(PLAIN, size=size), unit_bytes)


def test_a_compressed_object_is_one_unit() -> None:
    source = replace(PLAIN, key="bronze/shipments/a.jsonl.gz", size=10**12)
    assert [(unit.start, unit.end) for unit in plan(source, 1024)] == [(0, 10**12)]
    assert unit_count(source, 1024) == 1


def test_an_object_of_100_gb_is_planned_lazily() -> None:
    units = plan(replace(PLAIN, size=100 * 10**9), 64 * 1024 * 1024)
    assert next(units).end == 64 * 1024 * 1024


def test_planning_refuses_a_key_that_is_not_taken() -> None:
    with pytest.raises(UnacceptableKey):
        unit_count(replace(PLAIN, key="bronze/shipments/a.csv"), 1024)


@given(st.text(min_size=1, max_size=30), st.one_of(st.none(), st.text(min_size=1, max_size=20)))
def test_a_message_reads_back(name: str, version_id: str | None) -> None:
    source = replace(PLAIN, key=f"bronze/shipments/{name}.jsonl", version_id=version_id)
    unit = Unit(source, 10, 20)
    assert Unit.from_message(unit.to_message()) == unit


@pytest.mark.parametrize(
    "body", ["", "no json", "[]", "null", "{}", '{"v": 2}', '{"v": 1}', "[" * 100_000, '{"v": 1, "bucket": ']
)
def test_a_body_that_is_no_unit_is_refused(body: str) -> None:
    with pytest.raises(MalformedMessage):
        Unit.from_message(body)


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": 5},
        {"bucket": ""},
        {"key": "elsewhere/a.jsonl"},
        {"size": "1000"},
        {"size": True},
        {"start": -1},
        {"start": 20, "end": 20},
        {"end": 2000},
        {"version_id": 7},
        {"created": "yesterday"},
        {"created": "2026-01-01T00:00:00"},
        {"key": "bronze/shipments/a.jsonl.gz"},
    ],
)
def test_a_unit_with_a_wrong_field_is_refused(change: dict[str, Any]) -> None:
    message = json.loads(Unit(PLAIN, 10, 20).to_message()) | change
    with pytest.raises(MalformedMessage):
        Unit.from_message(json.dumps(message))
