"""The smoke test's own rows: known, unique, and compared value by value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.ops.smoke import DATASET, GOOD_ROWS, SmokeFile, SmokeTest, compare, make_file
from services.shared.contract.model import Contract
from services.shared.identities import ObjectId
from services.shared.judge.judge import RowJudge
from services.shared.judge.verdicts import Accepted, Reason, Rejected
from services.shared.ledger.records import LedgerObject, Lookup, ObjectState
from services.shared.units import BronzeObject, Plan

NOW = datetime(2026, 1, 2, 0, 0, 30, 123456, tzinfo=UTC)  # its rows lie in two days


@pytest.fixture
def file() -> SmokeFile:
    return make_file(NOW)


def landed(file: SmokeFile) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Silver and quarantine as they must be."""
    silver = [{**values, "_offset": offset} for offset, values in file.accepted.items()]
    return silver, [{"_offset": at, "reason": str(reason), "detail": "d"} for at, reason in file.refused.items()]


def test_the_judge_takes_and_refuses_what_the_run_expects(file: SmokeFile, contracts: dict[str, Contract]) -> None:
    judge, at = RowJudge(contracts), 0
    verdicts = {}
    for line in file.body.splitlines():
        verdicts[at] = judge.judge(line, DATASET, NOW)
        at += len(line) + 1
    refused = {at: verdict.reason for at, verdict in verdicts.items() if isinstance(verdict, Rejected)}
    accepted = {at: verdict for at, verdict in verdicts.items() if isinstance(verdict, Accepted)}
    assert refused == file.refused
    assert accepted.keys() == file.accepted.keys()
    assert len(accepted) == GOOD_ROWS


def test_there_is_a_value_of_every_type_and_each_bad_row_has_another_reason(
    file: SmokeFile, contracts: dict[str, Contract]
) -> None:
    assert len({field.type for field in contracts[DATASET].fields}) == 8  # all but `object`, stored as an array is
    assert len(set(file.refused.values())) == len(file.refused) == 3
    columns = {field.name for field in contracts[DATASET].fields} | {"_rescued"}
    assert {name for values in file.accepted.values() for name in values} == columns


def test_no_two_runs_have_the_same_bytes_even_in_the_same_moment() -> None:
    first, second = make_file(NOW), make_file(NOW)
    assert first.body != second.body
    assert first.key != second.key


def test_what_landed_as_it_must_is_all_right(file: SmokeFile) -> None:
    assert compare(file, *landed(file)) == []


def test_a_missing_row_and_one_too_many_are_named(file: SmokeFile) -> None:
    silver, quarantine = landed(file)
    second = silver[1]["_offset"]
    assert compare(file, [*silver[1:], silver[1]], quarantine) == [
        "1 rows missing in Silver: at byte 0",
        f"1 rows more than once in Silver: at byte {second}",
    ]


def test_a_wrong_value_is_named_with_the_right_one(file: SmokeFile) -> None:
    silver, quarantine = landed(file)
    silver[0]["smoke_amount"] += 1
    (problem,) = compare(file, silver, quarantine)
    assert "row at byte 0: smoke_amount is Decimal('1.00'), not Decimal('0.00')" in problem


def test_a_row_in_the_wrong_place_and_a_wrong_reason_are_named(file: SmokeFile) -> None:
    silver, quarantine = landed(file)
    quarantine[0]["reason"] = Reason.TOO_DEEP
    quarantine.append({"_offset": silver.pop()["_offset"], "reason": "unknown_record_type", "detail": "no contract"})
    problems = compare(file, silver, quarantine)
    assert len(problems) == 4
    assert [problem.split(":")[0] for problem in problems[:2]] == [
        "1 rows missing in Silver",
        "1 rows in quarantine by mistake",
    ]
    assert "refused as too_deep, not wrong_type" in problems[2]
    assert "refused as unknown_record_type, no contract" in problems[3]


class Pipeline:
    """A ledger and a bucket in memory, in which an object stays as it is."""

    def __init__(self, state: ObjectState | None) -> None:
        self.state = state

    def list_objects_v2(self, **_: Any) -> dict[str, str]:
        return {}

    def put_object(self, **_: Any) -> dict[str, str]:
        return {"ETag": '"e"'}

    def find_objects(self, ids: list[ObjectId]) -> Any:
        source = BronzeObject("bronze", ids[0].key, 100, "e", None, NOW)
        known = LedgerObject(Plan.of(source, 1000), self.state or ObjectState.PLANNED, reason="r", advice="Do it.")
        return iter([known] if self.state else [])

    def look_up(self, _units: Any) -> Any:
        return Lookup()


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (None, "nothing more happened within 60 s. ingest has not planned the object."),
        (
            ObjectState.PLANNED,
            "nothing more happened within 60 s. ingest has planned the object, and transform has not",
        ),
        (ObjectState.REJECTED, "the object is rejected (r). Do it."),
    ],
)
def test_waiting_ends_with_the_next_step_for_where_the_object_is(state: ObjectState | None, problem: str) -> None:
    pipeline: Any = Pipeline(state)
    seconds = [0.0]
    told: list[str] = []

    def pause(length: float) -> None:
        seconds[0] += length

    test = SmokeTest(pipeline, pipeline, "bronze", "silver", "table", told.append, pause, lambda: seconds[0])
    found = test.run(60)
    assert not found.passed
    assert found.problems[0].startswith(problem)
    assert found.leaves[0].startswith("s3://bronze/bronze/smoke/")
    assert seconds[0] == (0 if state is ObjectState.REJECTED else 60)
    assert ("waiting for ingest: 0 s of 60 s at most" in told) == (state is None)
