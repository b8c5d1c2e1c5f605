"""Planning is arithmetic, and a message that is not a unit is refused with its reason."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.identities import UnacceptableKey
from services.shared.units import MAX_OBJECT_BYTES, BronzeObject, MalformedMessage, Plan, Unit, UnitMessage

PLAIN = BronzeObject("bucket", "bronze/shipments/a.jsonl", 1000, "etag", None, datetime(2026, 1, 1, tzinfo=UTC))


class TestPlans:
    @given(st.integers(0, 10_000), st.integers(1, 3000))
    def test_units_cover_every_byte_once(self, size: int, unit_bytes: int) -> None:
        plan = Plan.of(replace(PLAIN, size=size), unit_bytes)
        units = list(plan)
        assert [unit.start for unit in units] == [0, *(unit.end for unit in units)][: len(units)]
        assert sum(unit.bytes for unit in units) == size
        assert all(0 < unit.bytes <= unit_bytes for unit in units)
        assert len(units) == plan.units

    @given(st.integers(1, 300), st.integers(1, 100), st.integers(-1, 301), st.integers(-1, 301))
    def test_a_plan_has_exactly_its_own_units(self, size: int, unit_bytes: int, start: int, end: int) -> None:
        plan = Plan.of(replace(PLAIN, size=size), unit_bytes)
        assert plan.has(start, end) == ((start, end) in {(unit.start, unit.end) for unit in plan})

    def test_a_compressed_object_is_one_unit(self) -> None:
        plan = Plan.of(replace(PLAIN, key="bronze/shipments/a.jsonl.gz", size=10**12), 1024)
        assert [(unit.start, unit.end) for unit in plan] == [(0, 10**12)]
        assert plan.units == 1

    def test_an_empty_object_has_no_unit(self) -> None:
        plan = Plan.of(replace(PLAIN, size=0), 1024)
        assert (plan.units, list(plan)) == (0, [])

    def test_the_units_of_s3s_largest_object_are_made_one_at_a_time(self) -> None:
        plan = Plan.of(replace(PLAIN, size=MAX_OBJECT_BYTES), 64 * 1024 * 1024)
        assert plan.units == 819_200
        assert next(iter(plan)).end == 64 * 1024 * 1024
        assert plan.unit(819_199).end == MAX_OBJECT_BYTES
        assert sys.getsizeof(iter(plan)) < 200

    def test_a_key_that_is_not_accepted_cannot_be_planned(self) -> None:
        with pytest.raises(UnacceptableKey):
            Plan.of(replace(PLAIN, key="bronze/shipments/a.csv"), 1024)


class TestMessages:
    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
    def test_a_message_reads_back(self, name: str) -> None:
        unit = Unit(replace(PLAIN, key=f"bronze/shipments/{name}.jsonl"), 10, 20)
        message = UnitMessage.parse(unit.to_message())
        assert (message.id, message.size, message.created) == (unit.id, 1000, PLAIN.created)

    def test_a_message_names_no_version_because_the_ledger_does(self) -> None:
        assert "version" not in Unit(replace(PLAIN, version_id="v1"), 10, 20).to_message()

    @pytest.mark.parametrize(
        "body",
        ["", "not json", "[]", "null", "{}", '{"v": 1}', '{"v": 2}', "[" * 10_000, '{"v": 2, "bucket": ', "x" * 16_385],
        ids=lambda body: body[:12],
    )
    def test_a_body_that_is_not_a_unit_is_refused(self, body: str) -> None:
        with pytest.raises(MalformedMessage):
            UnitMessage.parse(body)

    @pytest.mark.parametrize(
        "change",
        [
            {"bucket": 5},
            {"bucket": ""},
            {"bucket": "a/b"},
            {"etag": "a#b"},
            {"key": ""},
            {"key": "x" * 1025},
            {"key": "\ud800"},
            {"size": "1000"},
            {"size": True},
            {"size": MAX_OBJECT_BYTES + 1},
            {"start": -1},
            {"start": 20, "end": 20},
            {"end": 2000},
            {"created": "yesterday"},
            {"created": "2026-01-01T00:00:00"},
            {"created": "0001-01-01T00:00:00+14:00"},
            {"created": "9999-12-31T23:59:59-14:00"},
            {"created": "1999-12-31T23:59:59+00:00"},
        ],
        ids=ascii,
    )
    def test_a_unit_with_a_wrong_field_is_refused(self, change: dict[str, Any]) -> None:
        message = json.loads(Unit(PLAIN, 10, 20).to_message()) | change
        with pytest.raises(MalformedMessage):
            UnitMessage.parse(json.dumps(message))
