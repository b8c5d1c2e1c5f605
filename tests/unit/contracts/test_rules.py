"""Quality rules: what each becomes, and the sentence that refuses what would not be evaluated."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from services.shared.contract.loader import load_contract
from services.shared.contract.model import ContractError
from services.shared.contract.quality import (
    AllowedValues,
    Comparison,
    DuplicateValues,
    Freshness,
    Limit,
    MissingValues,
    NullValues,
    Pattern,
    QualityRule,
    Range,
    RowCount,
    Unit,
)
from tests.unit.contracts.conftest import Change

ROOT = Path(__file__).resolve().parents[3]
FIELDS = """\
      - name: count
        logicalType: integer
      - name: ratio
        logicalType: number
      - name: fragile
        logicalType: boolean
      - name: day
        logicalType: date
      - name: seen
        logicalType: timestamp
      - name: tags
"""
IDS = "".join(f"          {name}: {9 + n}\n" for n, name in enumerate(["count", "ratio", "fragile", "day", "seen"]))
NONE = Limit(Comparison.EQUAL, 0)


def of_field(write: Change, name: str, rule: str) -> Path:
    """The contract with a rule of a field, in YAML's flow style."""
    fields = ("      - name: tags\n", FIELDS)
    quality = (f"- name: {name}\n", f"- name: {name}\n        quality: [{rule}]\n")
    return write(fields, ("          tags: 8\n", "          tags: 8\n" + IDS), quality)


def of_dataset(write: Change, rule: str) -> Path:
    return write(("    properties:\n", f"    quality: [{rule}]\n    properties:\n"))


def latency(write: Change, entry: str) -> Path:
    return write(("schema:\n", f"slaProperties: [{entry}]\nschema:\n"))


def rule_of(file: Path) -> QualityRule:
    (rule,) = load_contract(file).quality
    return rule


def refusal(file: Path) -> str:
    with pytest.raises(ContractError) as caught:
        load_contract(file)
    return str(caught.value).removeprefix(f"{file}: ")


class TestLimits:
    @pytest.mark.parametrize(
        ("text", "limit"),
        [
            ("mustBe: 0", Limit(Comparison.EQUAL, 0)),
            ("mustNotBe: 7", Limit(Comparison.NOT_EQUAL, 7)),
            ("mustBeGreaterThan: 1", Limit(Comparison.GREATER, 1)),
            ("mustBeGreaterOrEqualTo: 1.5", Limit(Comparison.GREATER_OR_EQUAL, 1.5)),
            ("mustBeLessThan: 10", Limit(Comparison.LESS, 10)),
            ("mustBeLessOrEqualTo: 10", Limit(Comparison.LESS_OR_EQUAL, 10)),
            ("mustBeBetween: [1, 5]", Limit(Comparison.BETWEEN, 1, 5)),
            ("mustNotBeBetween: [1, 5]", Limit(Comparison.NOT_BETWEEN, 1, 5)),
            ("unit: rows, mustBe: 0", Limit(Comparison.EQUAL, 0)),
            ("unit: percent, mustBeLessThan: 10", Limit(Comparison.LESS, 10, unit=Unit.PERCENT)),
        ],
    )
    def test_are_read(self, write: Change, text: str, limit: Limit) -> None:
        file = of_field(write, "count", f"{{metric: nullValues, {text}}}")
        assert rule_of(file) == NullValues(name="nullValues(count)", field="count", limit=limit)

    @pytest.mark.parametrize(
        ("limit", "holds", "fails"),
        [
            (Limit(Comparison.EQUAL, 2), [2], [1, 3]),
            (Limit(Comparison.NOT_EQUAL, 2), [1, 3], [2]),
            (Limit(Comparison.GREATER, 2), [2.1], [2, 1]),
            (Limit(Comparison.GREATER_OR_EQUAL, 2), [2, 3], [1.9]),
            (Limit(Comparison.LESS, 2), [1.9], [2, 3]),
            (Limit(Comparison.LESS_OR_EQUAL, 2), [2, 0], [2.1]),
            (Limit(Comparison.BETWEEN, 2, 4), [2, 3, 4], [1.9, 4.1]),
            (Limit(Comparison.NOT_BETWEEN, 2, 4), [1.9, 4.1], [2, 3, 4]),
        ],
    )
    def test_hold_or_not(self, limit: Limit, holds: list[float], fails: list[float]) -> None:
        assert [limit.holds(measured) for measured in holds] == [True] * len(holds)
        assert [limit.holds(measured) for measured in fails] == [False] * len(fails)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("unit: rows", "does not say what the number must be; write exactly one of mustBe, "),
            ("mustBe: 0, mustNotBe: 1", "has mustBe, mustNotBe; write exactly one of"),
            ("mustBe: true", "mustBe is True, not a number of rows (0 or more)"),
            ("mustBe: none", "mustBe is 'none', not a number of rows"),
            ("mustBe: -1", "mustBe is -1, not a number of rows (0 or more)"),
            ("mustBe: .nan", "mustBe is nan, not a number of rows"),
            ("mustBe: .inf", "mustBe is inf, not a number of rows"),
            ("unit: percent, mustBe: 101", "mustBe is 101, not a number of percent (0 to 100)"),
            ("unit: share, mustBe: 0", "unit is 'share'; write rows or percent"),
            ("unit: [rows], mustBe: 0", "unit is ['rows']; write rows or percent"),
            ("mustBeBetween: 5", "mustBeBetween is 5, not a number"),
            ("mustBeBetween: [5]", "mustBeBetween is [5], not two numbers with the smaller one first"),
            ("mustBeBetween: [5, 1]", "mustBeBetween is [5, 1], not two numbers with the smaller one first"),
        ],
    )
    def test_that_make_no_sense_are_refused(self, write: Change, text: str, reason: str) -> None:
        message = refusal(of_field(write, "count", f"{{metric: nullValues, {text}}}"))
        assert message.startswith("count.quality[0]: ")
        assert reason in message


class TestRulesOfAField:
    @pytest.mark.parametrize(
        ("field", "text", "rule"),
        [
            (
                "tags",
                "{type: library, metric: nullValues, mustBe: 0}",
                NullValues(name="nullValues(tags)", field="tags", limit=NONE),
            ),
            (
                "parcel_id",
                "{metric: duplicateValues, mustBe: 0}",
                DuplicateValues(name="duplicateValues(parcel_id)", fields=("parcel_id",), limit=NONE),
            ),
            (
                "parcel_id",
                "{metric: missingValues, arguments: {missingValues: [null, '', N/A]}, mustBe: 0}",
                MissingValues(name="missingValues(parcel_id)", field="parcel_id", values=(None, "", "N/A"), limit=NONE),
            ),
            (
                "parcel_id",
                "{metric: invalidValues, arguments: {pattern: '^P-[0-9]+$'}, mustBe: 0}",
                Pattern(name="invalidValues(parcel_id)", field="parcel_id", pattern="^P-[0-9]+$", limit=NONE),
            ),
            (
                "count",
                "{metric: invalidValues, arguments: {validValues: [1, 2]}, mustBe: 0}",
                AllowedValues(name="invalidValues(count)", field="count", values=(1, 2), limit=NONE),
            ),
            (
                "fragile",
                "{metric: invalidValues, arguments: {validValues: [true]}, mustBe: 0}",
                AllowedValues(name="invalidValues(fragile)", field="fragile", values=(True,), limit=NONE),
            ),
            (
                "price",
                "{metric: invalidValues, arguments: {minimum: 0.1, maximum: 9999}, mustBe: 0}",
                Range(
                    name="invalidValues(price)",
                    field="price",
                    minimum=Decimal("0.1"),
                    maximum=Decimal(9999),
                    limit=NONE,
                ),
            ),
            (
                "ratio",
                "{metric: invalidValues, arguments: {maximum: 1}, mustBe: 0}",
                Range(name="invalidValues(ratio)", field="ratio", minimum=None, maximum=1.0, limit=NONE),
            ),
            (
                "day",
                "{metric: invalidValues, arguments: {minimum: 2020-01-01, maximum: '2030-12-31'}, mustBe: 0}",
                Range(
                    name="invalidValues(day)",
                    field="day",
                    minimum=date(2020, 1, 1),
                    maximum=date(2030, 12, 31),
                    limit=NONE,
                ),
            ),
            (
                "seen",
                "{metric: invalidValues, arguments: {minimum: '2020-01-01T02:00:00+02:00'}, mustBe: 0}",
                Range(
                    name="invalidValues(seen)",
                    field="seen",
                    minimum=datetime(2020, 1, 1, tzinfo=UTC),
                    maximum=None,
                    limit=NONE,
                ),
            ),
        ],
    )
    def test_become_values_of_the_field_s_type(self, write: Change, field: str, text: str, rule: QualityRule) -> None:
        assert repr(rule_of(of_field(write, field, text))) == repr(rule)  # 1 == 1.0 == True, their texts differ

    def test_keep_the_author_s_words(self, write: Change) -> None:
        words = "id: a, name: all known, description: Why., dimension: completeness, tags: [x], businessImpact: y"
        rule = rule_of(of_field(write, "count", f"{{metric: nullValues, mustBe: 0, {words}}}"))
        assert (rule.name, rule.description) == ("all known", "Why.")

    @pytest.mark.parametrize(
        ("field", "text", "reason"),
        [
            ("count", "{type: sql, query: SELECT 1, mustBe: 0}", "type is 'sql'; smelt evaluates library rules only"),
            ("count", "{type: text, description: ok}", "type is 'text'; smelt evaluates library rules only"),
            ("count", "{mustBe: 0}", "metric is missing; write one of duplicateValues, invalidValues, missingValues"),
            ("count", "{metric: freshness, mustBe: 0}", "metric is 'freshness'; write one of"),
            ("count", "{metric: [nullValues], mustBe: 0}", "metric is ['nullValues']; write one of"),
            ("count", "{metric: nullValues, mustbe: 0}", "'mustbe' is not known; there are arguments,"),
            ("count", "{metric: nullValues, mustBe: 0, severity: info}", "'severity' is not known"),
            ("count", "{rule: nullValues, mustBe: 0}", "'rule' is not known"),
            ("count", "nullValues", "quality[0]: is a string, not a mapping"),
            ("count", "{metric: rowCount, mustBe: 0}", "rowCount counts the rows of the dataset"),
            ("count", "{metric: nullValues, arguments: {min: 1}, mustBe: 0}", "arguments of nullValues: 'min' is not"),
            ("count", "{metric: nullValues, arguments: [1], mustBe: 0}", "arguments is a list, not a mapping"),
            ("count", "{metric: missingValues, mustBe: 0}", "arguments.missingValues is missing, not a list"),
            ("count", "{metric: invalidValues, mustBe: 0}", "needs one of validValues, pattern, or minimum and"),
            (
                "count",
                "{metric: invalidValues, arguments: {validValues: [1], minimum: 0}, mustBe: 0}",
                "write a rule for each",
            ),
            (
                "count",
                "{metric: invalidValues, arguments: {validValues: []}, mustBe: 0}",
                "arguments.validValues is empty, not a list with entries",
            ),
            (
                "count",
                "{metric: invalidValues, arguments: {validValues: [1, '2']}, mustBe: 0}",
                "'2' is not a value of count, which is an integer",
            ),
            (
                "count",
                "{metric: invalidValues, arguments: {validValues: [true]}, mustBe: 0}",
                "True is not a value of count",
            ),
            (
                "parcel_id",
                "{metric: invalidValues, arguments: {validValues: [1]}, mustBe: 0}",
                "1 is not a value of parcel_id, which is a string",
            ),
            (
                "seen",
                "{metric: invalidValues, arguments: {minimum: soon}, mustBe: 0}",
                "'soon' is not a value of seen, which is a timestamp",
            ),
            (
                "count",
                "{metric: invalidValues, arguments: {pattern: a}, mustBe: 0}",
                "pattern is for strings; the field",
            ),
            ("parcel_id", "{metric: invalidValues, arguments: {pattern: '('}, mustBe: 0}", "not a regular expression"),
            ("parcel_id", "{metric: invalidValues, arguments: {pattern: 1}, mustBe: 0}", "pattern is a number, not a"),
            ("parcel_id", "{metric: invalidValues, arguments: {minimum: a}, mustBe: 0}", "minimum and maximum are for"),
            (
                "count",
                "{metric: invalidValues, arguments: {minimum: 5, maximum: 1}, mustBe: 0}",
                "minimum (5) is above maximum (1)",
            ),
            (
                "tags",
                "{metric: invalidValues, arguments: {validValues: [a]}, mustBe: 0}",
                "invalidValues cannot look into an array",
            ),
            (
                "count",
                "{metric: duplicateValues, arguments: {properties: [count]}, mustBe: 0}",
                "duplicateValues of one field has no arguments",
            ),
        ],
    )
    def test_that_would_not_be_evaluated_are_refused(self, write: Change, field: str, text: str, reason: str) -> None:
        message = refusal(of_field(write, field, text))
        assert message.startswith(f"{field}.quality[0]: ")
        assert reason in message

    def test_are_all_named_where_several_are_wrong(self, write: Change) -> None:
        rules = "{metric: a, mustBe: 0}, {metric: nullValues, mustBe: 0}, {metric: b, mustBe: 0}"
        message = refusal(of_field(write, "count", rules))
        assert "count.quality[0]: metric is 'a'" in message
        assert "count.quality[2]: metric is 'b'" in message


class TestRulesOfTheDataset:
    def test_count_its_rows(self, write: Change) -> None:
        rule = rule_of(of_dataset(write, "{metric: rowCount, mustBeGreaterThan: 0}"))
        assert rule == RowCount(name="rowCount", limit=Limit(Comparison.GREATER, 0))

    def test_look_for_duplicates_over_several_fields(self, write: Change) -> None:
        text = "{metric: duplicateValues, unit: percent, mustBeLessThan: 1, arguments: {properties: [at, parcel_id]}}"
        limit = Limit(Comparison.LESS, 1, unit=Unit.PERCENT)
        name = "duplicateValues(at, parcel_id)"
        assert rule_of(of_dataset(write, text)) == DuplicateValues(name=name, fields=("at", "parcel_id"), limit=limit)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("{metric: rowCount, unit: percent, mustBe: 0}", "in the quality of the schema, in rows"),
            ("{metric: nullValues, mustBe: 0}", "nullValues is about one field: write it in the quality of that field"),
            ("{metric: duplicateValues, mustBe: 0}", "arguments.properties is missing, not a list with entries"),
            (
                "{metric: duplicateValues, mustBe: 0, arguments: {properties: [id]}}",
                "duplicateValues: 'id' is not a field of the dataset",
            ),
        ],
    )
    def test_that_are_wrong_are_refused(self, write: Change, text: str, reason: str) -> None:
        message = refusal(of_dataset(write, text))
        assert message.startswith("schema.quality[0]: ")
        assert reason in message


class TestLatency:
    @pytest.mark.parametrize("element", ["at", "parcels.at"])
    @pytest.mark.parametrize(
        ("number", "unit", "at_most"),
        [
            (2, "d", timedelta(days=2)),
            (1.5, "hours", timedelta(minutes=90)),
            (10, "m", timedelta(minutes=10)),
        ],
    )
    def test_says_how_old_the_newest_row_may_be(
        self, write: Change, element: str, number: float, unit: str, at_most: timedelta
    ) -> None:
        file = latency(write, f"{{property: latency, value: {number}, unit: {unit}, element: {element}}}")
        assert rule_of(file) == Freshness(name="latency(at)", field="at", at_most=at_most)

    def test_is_the_only_service_level_that_is_evaluated(self, write: Change) -> None:
        file = latency(write, "{property: retention, value: 3, unit: y}, {property: availability, value: 99}")
        assert load_contract(file).quality == ()

    @pytest.mark.parametrize(
        ("entry", "reason"),
        [
            (
                "{property: freshness, value: 1, unit: d, element: at}",
                "property is 'freshness'; how old the newest row",
            ),
            ("{property: [latency], value: 1, unit: d, element: at}", "property is ['latency']; how old"),
            ("{property: latency, value: 1, unit: d}", "element is None; write a date or timestamp field"),
            ("{property: latency, value: 1, unit: d, element: tags}", "element is 'tags'; write a date or timestamp"),
            ("{property: latency, value: 1, element: at}", "unit is None; write d, h or m"),
            ("{property: latency, value: 1, unit: [d], element: at}", "unit is ['d']; write d, h or m"),
            ("{property: latency, value: 0, unit: d, element: at}", "value is 0, not a number above 0"),
            ("{property: latency, value: x, unit: d, element: at}", "value is 'x', not a number above 0"),
            ("{property: latency, value: 1.0e+300, unit: d, element: at}", "value is 1e+300, which is too large"),
            ("{property: latency, value: 1, unit: d, element: at, schedule: x}", "'schedule' is not known"),
        ],
    )
    def test_that_is_wrong_is_refused(self, write: Change, entry: str, reason: str) -> None:
        message = refusal(latency(write, entry))
        assert message.startswith("slaProperties[0]: ")
        assert reason in message


def test_the_contracts_that_ship_have_their_rules() -> None:
    def names(dataset: str) -> list[str]:
        return [rule.name for rule in load_contract(ROOT / "contracts" / f"{dataset}.yaml").quality]

    assert names("shipments") == [
        "rowCount",
        "duplicateValues(shipment_id)",
        "nullValues(shipment_id)",
        "nullValues(carrier)",
        "nullValues(weight_kg)",
    ]
    assert names("tracking_events") == ["rowCount", "duplicateValues(shipment_id, status)", "invalidValues(status)"]
    assert names("invoice_lines") == ["rowCount", "duplicateValues(invoice_id, sku)"]
