"""From numbers to a verdict: only what was measured, and is as it must be, passes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.shared.contract.model import Contract
from services.shared.contract.quality import Freshness
from services.shared.gate.plan import GatePlan, PlanError, PlannedFile
from services.shared.gate.rules import rules_of
from services.shared.gate.verdict import (
    GateResult,
    Measured,
    NotMeasured,
    ResultError,
    Verdict,
    judge,
    not_judged,
    nothing_to_judge,
)
from tests.support.gate import CONTRACT, plan_of

NOW = datetime(2026, 2, 1, tzinfo=UTC)
ROWS = 100


@pytest.fixture
def plan() -> GatePlan:
    return plan_of(Path("/lake"), [PlannedFile("silver/parcels/dt=2026-01-31/a.parquet", ROWS)])


@pytest.fixture
def contract(plan: GatePlan) -> Contract:
    return plan.contract()


def _all(contract: Contract, **numbers: float) -> dict[int, Measured | NotMeasured]:
    """Every rule measured as good, but those whose number is given, by name with _ for blanks."""
    good = {"enough rows": ROWS}
    return {
        at: Measured(numbers.get(rule.name.replace(" ", "_"), good.get(rule.name, 0)))
        for at, rule in enumerate(rules_of(contract))
    }


def test_every_rule_measured_and_right_has_passed(plan: GatePlan, contract: Contract) -> None:
    result = judge(plan, contract, ROWS, _all(contract), NOW)
    assert (result.verdict, result.cause) == (Verdict.PASSED, "")
    assert {rule.verdict for rule in result.rules} == {Verdict.PASSED}


def test_a_number_just_beyond_its_limit_is_not_told_as_the_limit(plan: GatePlan, contract: Contract) -> None:
    numbers = {"half_of_the_notes": 500_001, "few_without_carrier": 99_999.0, "latency(handed_in_at)": 3 * 86_400 + 1}
    result = judge(plan, contract, 1_000_000, _all(contract, **numbers), NOW)
    told = {rule.name: (rule.observed, rule.verdict) for rule in result.rules}
    assert told["half of the notes"] == ("50.0001 %", Verdict.FAILED)
    assert told["few without carrier"] == ("9.9999 %", Verdict.PASSED)
    assert told["latency(handed_in_at)"] == ("more than 3 d", Verdict.FAILED)


def test_a_number_that_is_not_right_fails_and_the_cause_says_it_all(plan: GatePlan, contract: Contract) -> None:
    result = judge(plan, contract, ROWS, _all(contract, few_without_carrier=10), NOW)
    assert result.verdict is Verdict.FAILED
    assert result.cause == (
        "1 of 13 rules failed: few without carrier: rows with null in carrier: 10 %, expected less than 10 %."
    )


@pytest.mark.parametrize("at", range(13))
def test_a_rule_that_nobody_measured_is_an_error(plan: GatePlan, contract: Contract, at: int) -> None:
    measured = _all(contract)
    del measured[at]
    result = judge(plan, contract, ROWS, measured, NOW)
    assert (result.verdict, result.rules[at].verdict) == (Verdict.ERROR, Verdict.ERROR)
    assert "nobody measured it" in result.cause


def test_an_error_outweighs_a_failure(plan: GatePlan, contract: Contract) -> None:
    measured = _all(contract, no_parcel_twice=3) | {5: NotMeasured("Spark says\n  no")}
    result = judge(plan, contract, ROWS, measured, NOW)
    assert result.verdict is Verdict.ERROR
    assert "Spark says no" in result.cause


def test_a_number_for_no_rule_is_an_error(plan: GatePlan, contract: Contract) -> None:
    assert judge(plan, contract, ROWS, _all(contract) | {99: Measured(0)}, NOW).verdict is Verdict.ERROR


def test_no_rows_are_an_error_whatever_the_rules_say(plan: GatePlan, contract: Contract) -> None:
    assert judge(plan, contract, 0, _all(contract), NOW).verdict is Verdict.ERROR
    assert nothing_to_judge(plan, NOW).verdict is Verdict.ERROR


def test_a_file_that_is_missing_is_an_error(plan: GatePlan, contract: Contract) -> None:
    result = judge(replace(plan, missing=("silver/parcels/x.parquet",)), contract, ROWS, _all(contract), NOW)
    assert result.verdict is Verdict.ERROR
    assert "silver/parcels/x.parquet" in result.cause


@pytest.mark.parametrize("rows", [0, ROWS])
def test_where_all_files_are_missing_that_is_told(plan: GatePlan, contract: Contract, rows: int) -> None:
    lost = replace(plan, files=(), missing=("silver/parcels/x.parquet",))
    for result in (judge(lost, contract, rows, _all(contract), NOW), nothing_to_judge(lost, NOW)):
        assert result.verdict is Verdict.ERROR
        assert "x.parquet" in result.cause


def test_values_of_classified_fields_are_kept_out_even_if_somebody_sends_them(
    plan: GatePlan, contract: Contract
) -> None:
    at = next(at for at, rule in enumerate(rules_of(contract)) if rule.name == "email looks right")
    result = judge(plan, contract, ROWS, _all(contract) | {at: Measured(1, ("secret",), "secret too")}, NOW)
    assert result.rules[at].withheld
    assert "secret" not in result.to_json()


@pytest.mark.parametrize(("age", "observed"), [(3600, "at most 3 d"), (3 * 86400 + 3600, "more than 3 d")])
def test_the_age_of_a_classified_time_is_told_by_its_limit_only(age: float, observed: str) -> None:
    """With the run's time, the age is the value."""
    secret = CONTRACT.replace(
        "        logicalType: timestamp\n", "        logicalType: timestamp\n        classification: pii\n"
    )
    plan = plan_of(Path("/lake"), [], contract=secret)
    contract = plan.contract()
    at = next(at for at, rule in enumerate(rules_of(contract)) if isinstance(rule, Freshness))
    result = judge(plan, contract, ROWS, _all(contract) | {at: Measured(age, ("2026-01-31 01:02:03",))}, NOW)
    assert result.rules[at].observed == observed
    assert "01:02:03" not in result.to_json()


def test_a_part_that_is_classified_makes_its_column_sensitive() -> None:
    inside = CONTRACT.replace(
        "      - name: note\n        logicalType: string\n",
        "      - name: note\n        logicalType: object\n        properties:\n"
        "          - {name: iban, logicalType: string, classification: Restricted}\n",
    ).partition("        quality:\n          - metric: missingValues")[0]
    inside = inside.replace("note: 12", "note: 12, note.iban: 13")
    contract = plan_of(Path("/lake"), [], contract=inside).contract()
    assert {field.name for field in contract.fields if field.is_sensitive} == {"email", "note"}


def test_public_is_the_one_class_whose_values_are_shown() -> None:
    public = plan_of(Path("/lake"), [], contract=CONTRACT.replace("confidential", "Public")).contract()
    assert not any(field.is_sensitive for field in public.fields)


def test_results_and_plans_come_back_as_they_were(plan: GatePlan, contract: Contract) -> None:
    result = judge(plan, contract, ROWS, _all(contract, weight_is_not_negative=2), NOW, "an engine")
    assert GateResult.from_json(result.to_json()) == result
    assert GatePlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "rules": 3}', "null"])
def test_what_is_no_result_and_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ResultError):
        GateResult.from_json(text)
    with pytest.raises(PlanError):
        GatePlan.from_json(text)


def test_a_result_with_another_verdict_is_refused(plan: GatePlan) -> None:
    document = json.loads(not_judged(plan, "why", NOW).to_json()) | {"verdict": "perhaps"}
    with pytest.raises(ResultError):
        GateResult.from_json(json.dumps(document))
