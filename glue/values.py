"""Values that Python tests row by row, where Spark would not do it as a contract means it.

Patterns are Python's, and Java's regular expressions differ in small ways that a translation does not level: what is a
letter, a blank, the edge of a word. Decimals: where the digits of a column and of a bound do not fit together into 38,
Spark compares null, which is neither wrong nor right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 (so everybody calls it)
from pyspark.sql.types import BooleanType

Test = Callable[[Any], bool]  # of a value that is not null


def values_that(field: str, test: Test) -> Column:
    """The values that a test is true of, null elsewhere."""

    def holds(value: Any) -> bool:
        return value is not None and test(value)

    return F.when(F.udf(holds, BooleanType())(F.col(field)), F.col(field))


def unlike(pattern: str) -> Test:
    """Whether a text has no place that matches."""
    search = re.compile(pattern).search
    return lambda text: search(text) is None


def among(values: Iterable[Any]) -> Test:
    listed = frozenset(values)
    return lambda value: value in listed


def outside(minimum: Any, maximum: Any) -> Test:
    """Whether a value is below the minimum, or above the maximum; None is no bound."""

    def is_outside(value: Any) -> bool:
        return (minimum is not None and value < minimum) or (maximum is not None and value > maximum)

    return is_outside
