"""What CloudWatch would make of an alarm, by its documented rules (Amazon CloudWatch User Guide, "Alarm evaluation",
"Configuring how CloudWatch alarms treat missing data", "Using math expressions with CloudWatch metrics").

Reads alarms as a Terraform plan shows them, and samples that a test makes up. Knows standard resolution, static
thresholds, and the metric math that our alarms use. Not simulated: how long metrics take to arrive, and actions.
"""

from __future__ import annotations

import ast
import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MINUTE = 60
HOUR = 60 * MINUTE
_TICK = MINUTE  # alarms of standard resolution are evaluated once a minute

Value = float | None  # of one period; None: missing
Metric = tuple[str, str, tuple[tuple[str, str], ...]]  # namespace, name, dimensions in order
Samples = Mapping[Metric, Sequence[tuple[float, float]]]  # second and value of each, ordered by time


class State(StrEnum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


_STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}
_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def metric(namespace: str, name: str, **dimensions: str) -> Metric:
    """The identity of a metric: all three parts; a dimension more is another metric."""
    return namespace, name, tuple(sorted(dimensions.items()))


@dataclass(frozen=True)
class Query:
    """One metric, as a statistic over a period of seconds."""

    metric: Metric
    statistic: str
    period: int

    def value(self, samples: Samples, end: float) -> Value:
        """Of the period that ends at `end`."""
        ordered = samples.get(self.metric, ())
        first, last = (bisect_left(ordered, (at,)) for at in (end - self.period, end))
        found = [value for _, value in ordered[first:last]]
        return _STATISTICS[self.statistic](found) if found else None


@dataclass(frozen=True)
class Alarm:
    """`datapoints` of the last `periods` must breach."""

    name: str
    queries: Mapping[str, Query]
    expression: str  # of the queries' ids; the id alone where there is one metric
    breaches: Callable[[float, float], bool]
    threshold: float
    periods: int
    datapoints: int
    missing: str  # notBreaching, breaching, missing or ignore

    @classmethod
    def of(cls, planned: Mapping[str, Any]) -> Alarm:
        """An `aws_cloudwatch_metric_alarm` of `terraform show -json`."""
        queries: dict[str, Query] = {}
        expression = "only"
        if planned.get("metric_name"):
            queries["only"] = _query(planned, "statistic")
        for query in planned.get("metric_query") or []:
            for one in query.get("metric") or []:
                queries[query["id"]] = _query(one, "stat")
            if query.get("return_data"):
                expression = query.get("expression") or query["id"]
        periods = int(planned["evaluation_periods"])
        # AWS: alarms on AWS/DynamoDB always ignore missing data, whatever they say.
        on_dynamodb = any(query.metric[0] == "AWS/DynamoDB" for query in queries.values())
        return cls(
            name=planned["alarm_name"],
            queries=queries,
            expression=expression,
            breaches=_BREACHES[planned["comparison_operator"]],
            threshold=float(planned["threshold"]),
            periods=periods,
            datapoints=int(planned.get("datapoints_to_alarm") or periods),
            missing="ignore" if on_dynamodb else planned.get("treat_missing_data") or "missing",
        )

    @property
    def period(self) -> int:
        """Seconds."""
        return max(query.period for query in self.queries.values())

    def breaching(self, samples: Samples, end: float) -> bool | None:
        """Whether the period that ends at `end` breaches; None: its data point is missing."""
        values = {name: query.value(samples, end) for name, query in self.queries.items()}
        value = calculate(self.expression, values)
        return None if value is None else self.breaches(value, self.threshold)

    def states(self, samples: Samples, until: float, *, surplus: int) -> list[tuple[float, State]]:
        """When it changes its state, from its creation at second 0 on.

        Args:
            surplus: data points that CloudWatch looks at beyond `periods`. How many is not documented (two in the
                User Guide's examples), so a test asks with several.
        """
        known: dict[float, bool | None] = {}
        state = State.INSUFFICIENT_DATA
        changes = [(0.0, state)]
        for tick in range(_TICK, int(until) + 1, _TICK):
            ends = [tick - n * self.period for n in reversed(range(self.periods + surplus))]
            for end in ends:
                if end not in known:
                    known[end] = self.breaching(samples, end) if end > 0 else None
            new = decide([known[end] for end in ends], self.periods, self.datapoints, self.missing, state)
            if new is not state:
                state = new
                changes.append((float(tick), state))
        return changes


def _query(one: Mapping[str, Any], statistic: str) -> Query:
    found = metric(one["namespace"], one["metric_name"], **(one.get("dimensions") or {}))
    return Query(found, one[statistic], int(one["period"]))


def decide(points: Sequence[bool | None], periods: int, datapoints: int, missing: str, before: State) -> State:
    """The state that follows from the evaluation range's data points, oldest first; None: missing.

    Enough real data points: the latest `periods` of them count, whatever is missing in between. Too few: what is
    missing is filled in, as `missing` says. Without filling, an alarm is raised early if all that is there breaches
    and began `datapoints` ago, so that no later data point could prevent it.
    """
    real = [point for point in points if point is not None]
    if len(real) < periods and missing in ("breaching", "notBreaching"):
        real = [missing == "breaching"] * (periods - len(real)) + real
    if len(real) >= periods:
        return State.ALARM if sum(real[-periods:]) >= datapoints else State.OK
    if not real:
        return State.INSUFFICIENT_DATA if missing == "missing" else before
    if not all(real):
        return State.ALARM if sum(real) >= datapoints else State.OK
    age_of_oldest = len(points) - points.index(True)
    return State.ALARM if missing == "missing" and age_of_oldest >= datapoints else before


_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def calculate(expression: str, values: Mapping[str, Value]) -> Value:
    """A metric math expression over one period. A missing operand, and a division by 0, make the result missing.

    Raises:
        NotImplementedError: a function or an operator that our alarms do not use.
    """
    return _calculate(ast.parse(expression, mode="eval").body, values)


def _calculate(node: ast.expr, values: Mapping[str, Value]) -> Value:
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _called(node.func.id, node.args, values)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _combined(_OPERATORS[type(node.op)], [node.left, node.right], values)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OPERATORS:
        return _combined(_OPERATORS[type(node.ops[0])], [node.left, node.comparators[0]], values)
    raise NotImplementedError(f"metric math: {ast.unparse(node)}")


def _called(function: str, arguments: Sequence[ast.expr], values: Mapping[str, Value]) -> Value:
    if function == "IF":
        condition = _calculate(arguments[0], values)
        return None if condition is None else _calculate(arguments[1 if condition else 2], values)
    if function == "FILL":
        value = _calculate(arguments[0], values)
        return _calculate(arguments[1], values) if value is None else value
    raise NotImplementedError(f"metric math: {function}")


def _combined(
    combine: Callable[[float, float], float], operands: Iterable[ast.expr], values: Mapping[str, Value]
) -> Value:
    left, right = (_calculate(operand, values) for operand in operands)
    if left is None or right is None or (combine is operator.truediv and right == 0):
        return None
    return float(combine(left, right))
