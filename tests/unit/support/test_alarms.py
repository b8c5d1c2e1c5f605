"""The evaluator of alarms decides as the tables of CloudWatch's User Guide do (alarms and missing data)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.alarms import Alarm, State, calculate, decide, metric

POINTS: dict[str, bool | None] = {"0": False, "X": True, "-": None}
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
KEPT = "the state before"
OK, ALARM, INSUFFICIENT = State.OK, State.ALARM, State.INSUFFICIENT_DATA

# Points, oldest first -> the state by treatment, in the order of TREATMENTS. 3 of 3 data points; five are looked at.
ALL_OF_THREE: list[tuple[str, tuple[str, str, str, str]]] = [
    ("0-X-X", (OK, OK, OK, OK)),
    ("0----", (OK, OK, OK, OK)),
    ("-----", (INSUFFICIENT, KEPT, ALARM, OK)),
    ("0XX-X", (ALARM, ALARM, ALARM, ALARM)),
    ("--X--", (ALARM, KEPT, ALARM, OK)),
]
TWO_OF_THREE: list[tuple[str, tuple[str, str, str, str]]] = [
    ("0-X-X", (ALARM, ALARM, ALARM, ALARM)),
    ("00X0X", (ALARM, ALARM, ALARM, ALARM)),
    ("0-X--", (OK, OK, ALARM, OK)),
    ("----0", (OK, OK, ALARM, OK)),
    ("---X-", (ALARM, KEPT, ALARM, OK)),
]


@pytest.mark.parametrize(
    ("datapoints", "text", "expected"),
    [(3, text, expected) for text, expected in ALL_OF_THREE] + [(2, text, expected) for text, expected in TWO_OF_THREE],
)
@pytest.mark.parametrize("before", State)
def test_the_documented_tables_hold(
    datapoints: int, text: str, expected: tuple[str, str, str, str], before: State
) -> None:
    points = [POINTS[point] for point in text]
    found = [decide(points, 3, datapoints, treatment, before) for treatment in TREATMENTS]
    assert found == [before if state == KEPT else state for state in expected]


def alarm(**values: Any) -> Alarm:
    return Alarm.of(
        {
            "alarm_name": "a",
            "namespace": "n",
            "metric_name": "m",
            "statistic": "Sum",
            "period": 300,
            "comparison_operator": "GreaterThanThreshold",
            "threshold": 0,
            "evaluation_periods": 1,
            "treat_missing_data": "notBreaching",
        }
        | values
    )


def test_a_sample_raises_the_alarm_within_a_minute_and_leaves_it_when_it_leaves_the_period() -> None:
    samples = {metric("n", "m"): [(600.0, 1.0)]}
    assert alarm().states(samples, 1800, surplus=0) == [(0, INSUFFICIENT), (60, OK), (660, ALARM), (960, OK)]


def test_another_dimension_is_another_metric() -> None:
    samples = {metric("n", "m", service="ingest"): [(600.0, 1.0)]}
    assert alarm().states(samples, 1800, surplus=2) == [(0, INSUFFICIENT), (60, OK)]


def test_alarms_on_dynamodb_ignore_missing_data_whatever_they_say() -> None:
    assert alarm(namespace="AWS/DynamoDB").missing == "ignore"


def test_data_points_to_alarm_are_all_periods_unless_fewer_are_named() -> None:
    assert alarm(evaluation_periods=3).datapoints == 3
    assert alarm(evaluation_periods=3, datapoints_to_alarm=2).datapoints == 2


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("IF(rows >= 100, 100 * bad / rows, 0)", 5.0),
        ("IF(rows < 100, 1, bad - 1)", 9.0),
        ("rows + none", None),
        ("IF(none > 1, 1, 0)", None),
        ("FILL(none, 0) + rows", 200.0),
        ("rows / zero", None),
    ],
)
def test_metric_math(expression: str, result: float | None) -> None:
    assert calculate(expression, {"rows": 200.0, "bad": 10.0, "zero": 0.0, "none": None}) == result


def test_metric_math_that_is_not_known_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="ANOMALY_DETECTION_BAND"):
        calculate("ANOMALY_DETECTION_BAND(rows, 2)", {"rows": 1.0})
