"""The gate on Spark: each rule is broken once and seen to fail; whatever cannot be judged is an error, never a pass."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from services.shared.gate.plan import GatePlan, PlannedFile
from services.shared.gate.verdict import GateResult, RuleResult, Verdict
from tests.support.gate import (
    CONTRACT,
    DT,
    SCHEMA,
    SPARK_PYTHON,
    Row,
    fresh_file,
    good_rows,
    partition,
    plan_of,
    run_on_spark,
    write_file,
)

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(not SPARK_PYTHON.exists(), reason="`make setup-spark` installs Spark"),
    pytest.mark.skipif(
        shutil.which("java") is None, reason="Spark needs Java 17: apt-get install openjdk-17-jre-headless"
    ),
]


def _edit(**changes: object) -> Callable[[list[Row]], None]:
    """Rows of which the fourth has these values."""

    def edit(rows: list[Row]) -> None:
        rows[3].update(changes)

    return edit


def _nulls(rows: list[Row]) -> None:
    for row in rows[:2]:
        row["carrier"] = None


def _notes(rows: list[Row]) -> None:
    for row in rows:
        row["note"] = row["note"] or ""
    for row in rows[:6]:
        row["note"] = "n/a"


# The rule's name, and what breaks it and nothing else.
MUTATIONS: dict[str, Callable[[list[Row]], None]] = {
    "parcel_id is there": _edit(parcel_id=None),
    "few without carrier": _nulls,
    "known carrier": _edit(carrier="<script>alert(1)</script>"),
    "weight is not negative": _edit(weight=-0.5),
    "price is small": _edit(price=Decimal("99.51")),
    "due later": _edit(due=date(2026, 1, 30)),
    "on this day": _edit(handed_in_at=datetime(2026, 2, 1, tzinfo=UTC)),
    "email looks right": _edit(email="Secret Person"),
    "half of the notes": _notes,
    "no parcel twice": _edit(parcel_id="p1", carrier="GLS"),
    "enough rows": lambda rows: rows.__delitem__(slice(4, None)),
}
WIDER = SCHEMA.set(SCHEMA.get_field_index("price"), pa.field("price", pa.decimal128(24, 2)))
FOLDERS = ["what? *", "100%41", "a[1]{x,y}\\z"]
DUE_RULE = '{metric: invalidValues, arguments: {minimum: "2026-01-31"}, mustBe: 0, name: due later}'
CARRIER_RULE = "arguments: {validValues: [DHL, GLS]}"
FAR = "12345678901234567"


def _due(arguments: str) -> str:
    return CONTRACT.replace('{minimum: "2026-01-31"}', arguments)


def _price(arguments: str) -> str:
    return CONTRACT.replace("{maximum: 99.5}", arguments).replace("decimal(10,2)", "decimal(24,2)")


def _time(arguments: str) -> str:
    return CONTRACT.replace('{minimum: "2026-01-31T00:00:00Z", maximum: "2026-01-31T23:59:59Z"}', arguments)


def _carrier(pattern: str) -> str:
    return CONTRACT.replace(CARRIER_RULE, f"arguments: {{pattern: '{pattern}'}}")


# A contract, and what its fourth row has: names that end with "right" pass, the others fail one rule, and that alone.
EXACT: dict[str, tuple[str, Row]] = {
    "a rule twice is right": (CONTRACT.replace(DUE_RULE, f"{DUE_RULE}\n          - {DUE_RULE}"), {}),
    "two limits of one count are right": (
        CONTRACT.replace(
            "{metric: nullValues, mustBe: 0",
            "{metric: nullValues, mustBeLessThan: 3}\n          - {metric: nullValues, mustBe: 0",
        ),
        {},
    ),
    "a price above a bound that no double has": (_price(f"{{maximum: {FAR}}}"), {"price": Decimal(f"{FAR}.50")}),
    "a price of a list that no double has": (_price(f"{{validValues: [9.5, {FAR}]}}"), {"price": Decimal(f"{FAR}.50")}),
    "a price below a bound is right": (_price(f"{{maximum: {FAR}}}"), {"price": Decimal(f"{FAR}.00")}),
    "days from the first one on are right": (_due('{minimum: "0001-01-01"}'), {"due": date(1, 1, 1)}),
    "a day before 1582": (_due('{minimum: "0987-01-01"}'), {"due": date(986, 12, 31)}),
    "a listed day is right": (_due('{validValues: ["0001-01-01", "2026-02-01"]}'), {"due": date(1, 1, 1)}),
    "a moment before 1582": (
        _time('{minimum: "1500-01-01T00:00:00Z"}'),
        {"handed_in_at": datetime(1499, 12, 31, tzinfo=UTC)},
    ),
    "a moment of 1500 is right": (
        _time('{minimum: "1500-01-01T00:00:00Z"}'),
        {"handed_in_at": datetime(1500, 1, 1, tzinfo=UTC)},
    ),
    "the first moment of all": (
        _time('{minimum: "0001-01-01T00:00:01Z"}'),
        {"handed_in_at": datetime(1, 1, 1, tzinfo=UTC)},
    ),
    "two & in a class are right": (_carrier("^[A-Z&&-]+$"), {}),
    "a bracket in a class is right": (_carrier("^[[A-Z]+$"), {}),
    "a name with an underscore is right": (_carrier("^(?P<a_b>[A-Z])[A-Z]+(?P=a_b)?$"), {}),
    "at most three is right": (_carrier("^[A-Z]{,3}$"), {}),
    "four of at most three": (_carrier("^[A-Z]{,3}$"), {"carrier": "ABCD"}),
    "a condition is right": (_carrier("^(D)?(?(1)HL|GLS)$"), {}),
    "a comment is right": (_carrier("(?x)^ DHL | GLS $ # [or nothing"), {}),
    "a half is right": (_carrier(r"^\w+$"), {"carrier": "½"}),
    "an accent by itself": (_carrier(r"^\w+$"), {"carrier": "A\u0301"}),
    "a separator of groups": (_carrier(r"^\S+$"), {"carrier": "A\x1cB"}),
    "a line that is no vertical tabulator": (_carrier(r"^(?:DHL|GLS|A\vB)$"), {"carrier": "A\nB"}),
    "an octal number": (_carrier(r"^(?!.*\130)"), {"carrier": "AX"}),
    "a price, and a list with more digits than fit beside it": (
        _price("{validValues: [9.5, 1.0e-17]}"),
        {"price": Decimal(10**21)},
    ),
    "a price, and a bound with more digits than fit beside it": (
        _price("{maximum: 9.5, minimum: 1.0e-17}"),
        {"price": Decimal(10**21)},
    ),
}
SABOTAGES = ["unknown_type", "unknown_rule", "dropped", "lost_result", "no_count", "bad_column"]


def _with(root: Path, contract: str = CONTRACT, **changes: object) -> GatePlan:
    """A partition of good rows, of which the fourth has these values."""
    rows = good_rows()
    _edit(**changes)(rows)
    return replace(partition(root, rows, WIDER), contract_text=contract)


def _plans(root: Path) -> dict[str, GatePlan]:
    plans = {"good": partition(root / "good", good_rows())}
    for name, mutate in MUTATIONS.items():
        rows = good_rows()
        mutate(rows)
        plans[name] = partition(root / name.replace(" ", "_"), rows)
    plans |= {how: partition(root / how, good_rows()) for how in SABOTAGES}
    good = plans["good"]
    day = f"silver/parcels/dt={DT}"

    stale = root / "stale"
    files = [write_file(stale, f"{day}/a.parquet", good_rows())]
    plans["stale"] = plan_of(stale, files, [fresh_file(stale, timedelta(days=4))])

    lost = [PlannedFile(file.key, file.rows + 1) for file in good.files]
    plans["lost rows"] = plan_of(root / "good", lost, good.newest)
    a, b = good.files
    moved = [PlannedFile(a.key, a.rows + 1), PlannedFile(b.key, b.rows - 1)]
    plans["moved rows"] = plan_of(root / "good", moved, good.newest)
    plans["not in the bucket"] = plan_of(root / "good", good.files, good.newest, missing=[f"{day}/gone.parquet"])
    plans["file is gone"] = plan_of(root / "good", [*good.files, PlannedFile(f"{day}/gone.parquet", 3)], good.newest)

    torn = partition(root / "torn", good_rows())
    file = root / "torn" / torn.files[0].key
    file.write_bytes(file.read_bytes()[:200])
    plans["torn file"] = torn

    empty = root / "empty"
    plans["no rows"] = plan_of(empty, [write_file(empty, f"{day}/a.parquet", [])], [fresh_file(empty)])
    plans["no files"] = plan_of(empty, [])
    plans["no rule"] = plan_of(empty, [], contract="kind: Nonsense")
    plans["no file is left"] = plan_of(empty, [], missing=[f"{day}/gone.parquet"])
    plans["wrong contract"] = plan_of(root / "good", good.files, contract=CONTRACT.replace("parcels", "letters"))
    ends = {"a return": "a@b\r", "a next line": "a@b\x85", "a line separator": "a@b\u2028"}
    for what, email in ends.items():
        plans[f"{what} at the end"] = _with(root / what.replace(" ", "_"), email=email)
    for what, (contract, changes) in EXACT.items():
        plans[what] = _with(root / what.replace(" ", "_"), contract, **changes)
    by_day = CONTRACT.replace("parcels.handed_in_at", "parcels.due")
    plans["fresh by a day"] = replace(_with(root / "by_day", by_day, due=datetime.now(UTC).date()), newest=())
    anything = CONTRACT.replace(r"^\\w+@\\w+$", r"^.+$")
    plans["a return inside"] = _with(root / "inside", anything, email="a\rb\u2028c")
    strictly = CONTRACT.replace(r"^\\w+@\\w+$", r"^\\w+@\\w+\\Z")
    plans["a new line at the very end"] = _with(root / "very_end", strictly, email="a@b\n")
    for name in FOLDERS:
        plans[f"folder {name}"] = partition(root / name, good_rows())
    grown = root / "grown"
    files = [
        write_file(grown, f"{day}/a.parquet", good_rows()),
        write_file(grown, f"{day}/b.parquet", [good_rows(21)[20]], WIDER),
    ]
    plans["wider decimals"] = plan_of(
        grown, files, [fresh_file(grown)], CONTRACT.replace("decimal(10,2)", "decimal(24,2)")
    )

    without = pa.schema([field for field in SCHEMA if field.name != "note"])
    older = root / "older"
    files = [
        write_file(older, f"{day}/a.parquet", good_rows()),
        write_file(older, f"{day}/b.parquet", [good_rows()[3]], without),
    ]
    lenient = CONTRACT.replace("mustBe: 0\n        name: no parcel twice", "mustBe: 1\n        name: no parcel twice")
    strict = lenient.replace("mustBeLessOrEqualTo: 50", "mustBeLessOrEqualTo: 46")
    plans["column came later"] = plan_of(older, files, [fresh_file(older)], strict)
    plans["column is nowhere"] = plan_of(
        older, files[1:], [fresh_file(older)], CONTRACT.replace("[5, 1000]", "[1, 1000]")
    )
    odd = root / "odd"
    other = SCHEMA.set(SCHEMA.get_field_index("weight"), pa.field("weight", pa.string()))
    odd_rows = [row | {"weight": "heavy"} for row in good_rows()]
    files = [write_file(odd, f"{day}/a.parquet", good_rows()), write_file(odd, f"{day}/b.parquet", odd_rows, other)]
    plans["other type"] = plan_of(odd, files, [fresh_file(odd)])
    return plans


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GateResult]:
    root = tmp_path_factory.mktemp("gate")
    answers = run_on_spark(root, _plans(root), {how: how for how in SABOTAGES})
    return {name: GateResult.from_json(answer) for name, answer in answers.items()}


def _rule(result: GateResult, name: str) -> RuleResult:
    return next(rule for rule in result.rules if rule.name == name)


def test_a_good_partition_passes_every_rule(results: dict[str, GateResult]) -> None:
    good = results["good"]
    assert (good.verdict, good.cause) == (Verdict.PASSED, "")
    assert (good.rows, good.rows_expected, good.files, good.contract_version) == (20, 20, 2, "1.2.0")
    assert len(good.rules) == 13
    assert {rule.verdict for rule in good.rules} == {Verdict.PASSED}
    assert _rule(good, "few without carrier").observed == "5 %"
    assert "Great Expectations 1.24.1 on Spark 3.5.6" in good.engine


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_breaks_a_rule_fails_that_rule_and_no_other(results: dict[str, GateResult], name: str) -> None:
    broken = results[name]
    assert broken.verdict is Verdict.FAILED
    assert [rule.name for rule in broken.rules if rule.verdict is not Verdict.PASSED] == [name]
    assert name in broken.cause


def test_failing_values_are_shown_as_they_are(results: dict[str, GateResult]) -> None:
    assert _rule(results["known carrier"], "known carrier").samples == ("<script>alert(1)</script>",)
    assert _rule(results["price is small"], "price is small").samples == ("99.51",)
    assert _rule(results["due later"], "due later").samples == ("2026-01-30",)
    assert _rule(results["on this day"], "on this day").samples == ("2026-02-01 00:00:00",)


def test_values_of_a_classified_field_are_nowhere(results: dict[str, GateResult]) -> None:
    result = results["email looks right"]
    assert "Secret" not in result.to_json()
    assert _rule(result, "email looks right").withheld
    assert _rule(result, "email looks right").observed == "1"


def test_a_dataset_is_as_fresh_as_its_newest_partition(results: dict[str, GateResult]) -> None:
    fresh = _rule(results["good"], "latency(handed_in_at)")
    assert (fresh.observed[:2], fresh.expected) == ("1 ", "at most 3 d")
    stale = results["stale"]
    assert (stale.verdict, _rule(stale, "latency(handed_in_at)").observed[:3]) == (Verdict.FAILED, "4 d")


def test_each_file_must_hold_the_rows_that_were_committed(results: dict[str, GateResult]) -> None:
    lost, moved = (_rule(results[name], "row conservation") for name in ("lost rows", "moved rows"))
    assert (lost.verdict, lost.observed) == (Verdict.FAILED, "2")
    assert (moved.verdict, moved.observed) == (Verdict.FAILED, "2")
    assert "a.parquet holds 10 rows, committed were 11" in lost.note


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("not in the bucket", "gone.parquet"),
        ("file is gone", "gone.parquet"),
        ("torn file", "a.parquet"),
        ("no file is left", "gone.parquet"),
        ("no rows", "no committed row"),
        ("no files", "no committed row"),
        ("wrong contract", "letters"),
        ("column is nowhere", "the column note is in none of the files"),
        ("other type", "CANNOT_MERGE_SCHEMAS"),
    ],
)
def test_what_cannot_be_judged_is_an_error(results: dict[str, GateResult], name: str, told: str) -> None:
    assert results[name].verdict is Verdict.ERROR
    assert told in results[name].cause


@pytest.mark.parametrize("how", SABOTAGES)
def test_a_rule_that_great_expectations_does_not_measure_is_an_error(results: dict[str, GateResult], how: str) -> None:
    result = results[how]
    assert result.verdict is Verdict.ERROR
    assert _rule(result, "parcel_id is there").verdict is Verdict.ERROR


def test_files_of_before_a_column_hold_null_in_it(results: dict[str, GateResult]) -> None:
    result = results["column came later"]
    assert _rule(results["good"], "half of the notes").observed == "45 %"  # 9 of 20
    assert _rule(result, "half of the notes").observed == "47.62 %"  # 10 of 21: that of the older file is missing, too
    assert [rule.name for rule in result.rules if rule.verdict is not Verdict.PASSED] == ["half of the notes"]


@pytest.mark.parametrize(
    "name",
    ["a return at the end", "a next line at the end", "a line separator at the end", "a new line at the very end"],
)
def test_a_pattern_ends_where_python_ends_it(results: dict[str, GateResult], name: str) -> None:
    result = results[name]
    assert result.verdict is Verdict.FAILED
    assert [rule.name for rule in result.rules if rule.verdict is not Verdict.PASSED] == ["email looks right"]


@pytest.mark.parametrize("name", [name for name in EXACT if not name.endswith("right")])
def test_values_are_compared_exactly(results: dict[str, GateResult], name: str) -> None:
    result = results[name]
    assert result.verdict is Verdict.FAILED, result.cause
    assert [rule.observed for rule in result.rules if rule.verdict is not Verdict.PASSED] == ["1"]


@pytest.mark.parametrize(
    "name",
    [
        "a return inside",
        *(f"folder {name}" for name in FOLDERS),
        "wider decimals",
        "fresh by a day",
        *(name for name in EXACT if name.endswith("right")),
    ],
)
def test_what_is_unusual_but_right_passes(results: dict[str, GateResult], name: str) -> None:
    assert (results[name].verdict, results[name].cause) == (Verdict.PASSED, "")
