"""Rules, limits and numbers in words, for reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from services.shared.contract.quality import (
    AllowedValues,
    Comparison,
    DuplicateValues,
    Freshness,
    Limit,
    MissingValues,
    NullValues,
    Pattern,
    Range,
    RowCount,
    Unit,
)
from services.shared.gate.rules import RowConservation, Rule

_COMPARED = {
    Comparison.EQUAL: "{0}",
    Comparison.NOT_EQUAL: "not {0}",
    Comparison.GREATER: "more than {0}",
    Comparison.GREATER_OR_EQUAL: "{0} or more",
    Comparison.LESS: "less than {0}",
    Comparison.LESS_OR_EQUAL: "at most {0}",
    Comparison.BETWEEN: "{0} to {1}",
    Comparison.NOT_BETWEEN: "not {0} to {1}",
}
_MOST_SHOWN = 10  # of the values that a rule lists


def what_is_counted(rule: Rule, code: Callable[[str], str] = str) -> str:
    """What a rule's number counts, such as `rows with null in carrier`; `code` marks names, values and patterns."""
    match rule:
        case RowConservation():
            return "rows too many or too few in a file, against what was committed"
        case RowCount():
            return "rows"
        case NullValues(field=field):
            return f"rows with null in {code(field)}"
        case MissingValues(field=field, values=values):
            return f"rows with {_listed(values, code)} in {code(field)}"
        case AllowedValues(field=field, values=values):
            return f"rows whose {code(field)} is none of {_listed(values, code)}"
        case Pattern(field=field, pattern=pattern):
            return f"rows whose {code(field)} does not match {code(pattern)}"
        case Range(field=field, minimum=minimum, maximum=maximum):
            bounds = [f"below {minimum}"] * (minimum is not None) + [f"above {maximum}"] * (maximum is not None)
            return f"rows whose {code(field)} is {' or '.join(bounds)}"
        case DuplicateValues(fields=fields):
            return f"rows that repeat {', '.join(map(code, fields))}"
        case Freshness(field=field):
            return f"age of the newest {code(field)} in the dataset"


def limit_in_words(limit: Limit) -> str:
    """Such as `less than 10 %`."""
    unit = " %" if limit.unit is Unit.PERCENT else ""
    ends = [f"{end:,}{unit}" for end in (limit.value, limit.upper) if end is not None]
    return _COMPARED[limit.comparison].format(*ends)


def number_in_words(number: float, unit: Unit, limit: Limit | None = None) -> str:
    """Such as `12` or `0.25 %`; a share that is not nothing is never told as 0, nor one beyond a limit as within it."""
    if unit is Unit.ROWS:
        return f"{number:,.0f}"
    told = (f"{number:.{digits}g}" for digits in range(4, 18))
    return f"{next(one for one in told if limit is None or limit.holds(float(one)) == limit.holds(number))} %"


def span_in_words(span: timedelta) -> str:
    """Such as `2 d 3 h`, `5 min`, `12 s`."""
    seconds = int(span.total_seconds())
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    parts = [(seconds // 86400, "d"), (seconds % 86400 // 3600, "h"), (seconds % 3600 // 60, "min")]
    told = [f"{number} {unit}" for number, unit in parts if number]
    return sign + (" ".join(told[:2]) or f"{seconds} s")


def _listed(values: tuple[object, ...], code: Callable[[str], str]) -> str:
    shown = ["null" if value is None else repr(value) if isinstance(value, str) else str(value) for value in values]
    more = len(shown) - _MOST_SHOWN
    return ", ".join(map(code, shown[:_MOST_SHOWN])) + (f" and {more:,} more" if more > 0 else "")
