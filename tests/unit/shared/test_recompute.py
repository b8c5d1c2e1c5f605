"""A row judged again: where it starts and ends in its object, and what becomes of it."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.shared.compaction import InputFile
from services.shared.contract.model import Contract
from services.shared.identities import COMPACTED_ROOT, CompactionRun
from services.shared.judge.judge import RowJudge
from services.shared.manifest_json import ManifestError
from services.shared.recompute import Fate, RecomputePlan, judge_again, row_at

CREATED = datetime(2026, 1, 15, 12, tzinfo=UTC)
PARTITION = ("shipments", "2026-01-15")
RUN = CompactionRun(COMPACTED_ROOT, *PARTITION, "1")


@pytest.mark.parametrize(
    ("content", "offset", "row"),
    [
        (b'{"a":1}\n{"b":2}\n', 8, b'{"b":2}'),
        (b'[ {"a":[{"b":"}"}]},{}]', 1, b'{"a":[{"b":"}"}]}'),
        (b'{"a":"\\"}"} {"b":1}', 0, b'{"a":"\\"}"}'),
        (b'{\n "a": 1\n}\n', 0, b'{\n "a": 1\n}'),
        (b'{"a":1', 0, None),
        (b"[1]", 0, None),
        (b"", 0, None),
        (b'{"a":1}', 99, None),
    ],
)
def test_a_row_is_found_by_the_byte_at_which_it_starts(content: bytes, offset: int, row: bytes | None) -> None:
    assert row_at(content, offset) == row


def test_a_long_text_takes_no_memory_beside_itself() -> None:
    row = b'{"a":"' + b"x" * (1 << 20) + b'"}'
    tracemalloc.start()
    try:
        assert row_at(row, 0) == row
        assert tracemalloc.get_traced_memory()[1] < 3 * len(row)
    finally:
        tracemalloc.stop()


def _row(**values: Any) -> bytes:
    row = {"event_time": "2026-01-15T10:00:00Z", "shipment_id": "S1", "origin": "Oslo", "destination": "Cork"}
    return json.dumps(row | values).encode()


@pytest.mark.parametrize(
    ("row", "reason", "fate", "now"),
    [
        (_row(), None, Fate.SAME, ""),
        (_row(event_time="2026-01-14T10:00:00Z"), None, Fate.MOVED, "silver/shipments/dt=2026-01-14/"),
        (_row(origin=None), None, Fate.REFUSED, "missing_required, origin"),
        (_row(), "out_of_window", Fate.ACCEPTED, "silver/shipments/dt=2026-01-15/"),
        (_row(origin=None), "missing_required", Fate.SAME, ""),
        (_row(weight_kg="x"), "missing_required", Fate.OTHER_REASON, "wrong_type"),
    ],
)
def test_what_becomes_of_a_row(
    contracts: dict[str, Contract], row: bytes, reason: str | None, fate: Fate, now: str
) -> None:
    judged, accepted = judge_again(RowJudge(contracts), contracts, row, "shipments", CREATED, PARTITION, reason)

    assert judged.fate is fate
    assert now in judged.now
    assert (accepted is not None) is (fate is Fate.SAME and reason is None)


def test_nothing_is_said_of_a_row_that_has_values_of_the_envelope_in_another_datasets_object(
    contracts: dict[str, Contract],
) -> None:
    wrapped = replace(contracts["shipments"], dataset="wrapped", rows_path=("rows",), envelope_fields=(("a", ("a",)),))
    known = {**contracts, "wrapped": wrapped}
    row = _row(record_type="shipments", origin=None)
    judged, accepted = judge_again(RowJudge(known), known, row, "wrapped", CREATED, PARTITION, None)
    assert (judged.fate, accepted) == (Fate.UNREADABLE, None)
    assert "rows in objects of wrapped get values from outside of themselves" in judged.now


def test_a_plan_comes_back_as_it_was_written() -> None:
    files = (InputFile("silver/a", "e", 1, 2, "lot"),)
    plan = RecomputePlan(RUN, {"shipments": "text"}, files, ())

    assert RecomputePlan.from_json(plan.to_json()) == plan
    for mutated in (
        plan.to_json().replace('"rows": 1', '"rows": "1"'),
        plan.to_json().replace("silver_comp", "silver/"),
        "{}",
    ):
        with pytest.raises(ManifestError):
            RecomputePlan.from_json(mutated)
