"""The quality rules of a contract as typed values, and nothing that evaluates them on data.

A rule says which number is measured on a partition of Silver, and what that number must be. The numbers:

    RowCount                         rows
    NullValues, MissingValues,       rows whose value is null, stands for a missing value, or is not as it should be;
    AllowedValues, Pattern, Range    null is neither missing nor wrong there, unless a rule lists it
    DuplicateValues                  rows beyond the first of each combination of values; rows with a null do not count
    Freshness                        age of the newest value in the whole dataset when the rule is evaluated
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

Value = str | int | float | Decimal | bool | date | datetime


class Comparison(StrEnum):
    """How a measured number is compared, by the keys of the Open Data Contract Standard."""

    EQUAL = "mustBe"
    NOT_EQUAL = "mustNotBe"
    GREATER = "mustBeGreaterThan"
    GREATER_OR_EQUAL = "mustBeGreaterOrEqualTo"
    LESS = "mustBeLessThan"
    LESS_OR_EQUAL = "mustBeLessOrEqualTo"
    BETWEEN = "mustBeBetween"
    NOT_BETWEEN = "mustNotBeBetween"


class Unit(StrEnum):
    """What is counted: rows, or their share of all rows of the partition."""

    ROWS = "rows"
    PERCENT = "percent"  # 0 to 100


@dataclass(frozen=True, slots=True)
class Limit:
    """What a measured number must be. `upper` is set for BETWEEN and NOT_BETWEEN, whose ends belong to the range."""

    comparison: Comparison
    value: int | float
    upper: int | float | None = None
    unit: Unit = Unit.ROWS

    def holds(self, measured: int | float) -> bool:
        """Whether a measured number (in `unit`) is as it must be."""
        upper = self.value if self.upper is None else self.upper
        match self.comparison:
            case Comparison.EQUAL:
                return measured == self.value
            case Comparison.NOT_EQUAL:
                return measured != self.value
            case Comparison.GREATER:
                return measured > self.value
            case Comparison.GREATER_OR_EQUAL:
                return measured >= self.value
            case Comparison.LESS:
                return measured < self.value
            case Comparison.LESS_OR_EQUAL:
                return measured <= self.value
            case Comparison.BETWEEN:
                return self.value <= measured <= upper
            case Comparison.NOT_BETWEEN:
                return not self.value <= measured <= upper


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """`name` says in a few words which rule it is, for reports; `description` is the author's reason for it."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCount(_Rule):
    """How many rows the partition has."""

    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class NullValues(_Rule):
    """How many rows have null in this field."""

    field: str
    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingValues(_Rule):
    """How many rows have one of these values, which stand for none (None is null)."""

    field: str
    values: tuple[Value | None, ...]
    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedValues(_Rule):
    """How many rows have a value that is not one of these."""

    field: str
    values: tuple[Value, ...]
    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern(_Rule):
    """How many rows have a string in which the regular expression matches nowhere (`^` and `$` anchor it)."""

    field: str
    pattern: str
    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Range(_Rule):
    """How many rows have a value below `minimum` or above `maximum`; None is no bound, and one of them is set."""

    field: str
    minimum: Value | None
    maximum: Value | None
    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateValues(_Rule):
    """How many rows repeat the values of these fields, taken together."""

    fields: tuple[str, ...]
    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness(_Rule):
    """How old the newest value of this date or timestamp may be."""

    field: str
    at_most: timedelta


QualityRule = RowCount | NullValues | MissingValues | AllowedValues | Pattern | Range | DuplicateValues | Freshness
