"""What the values of one key were like in the sample, and the type that fits all of them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from services.shared.contract.model import FieldType
from services.shared.judge.row_json import Number

MAX_DISTINCT = 1000  # values that are told apart; more are "many"
MAX_CHILDREN = 100  # keys of an object; one with more of them is a map, whose keys are data
MAX_KEYS = 2000  # of rows; what has more has data for keys
MAX_LEVELS = 8  # of nesting that are described

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMERAL = re.compile(r"[1-9][0-9]{8,18}(?:\.[0-9]{1,9})?", re.ASCII)
_EPOCH_FIRST, _EPOCH_LAST = 946_684_800, 4_102_444_800  # 2000 and 2100, in seconds
_EPOCH_UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


@dataclass(slots=True)
class Evidence:
    """The values of one key, or of an array's items."""

    seen: int = 0  # rows, or objects, that have the key
    nulls: int = 0
    kinds: Counter[str] = field(default_factory=Counter)  # string, integer, number, boolean, object, array
    lowest: int | None = None  # of integers
    highest: int | None = None
    epoch_lowest: int | None = None  # of what may be epochs, without its fraction: numbers, and strings of digits
    epoch_highest: int | None = None
    fraction_digits: int = 0  # the most behind a point; -1 where there is an exponent
    is_finite: bool = True
    shortest: int | None = None  # characters of strings
    longest: int = 0
    dates: int = 0  # strings that are days
    times: int = 0  # strings that are RFC 3339 timestamps
    numerals: int = 0  # strings that may be epochs: 9 to 19 digits, perhaps with a fraction
    first: datetime | None = None  # of days and timestamps
    last: datetime | None = None
    distinct: Counter[str] = field(default_factory=Counter)  # strings, up to MAX_DISTINCT of them
    children: dict[str, Evidence] = field(default_factory=dict)  # of objects
    element: Evidence | None = None  # of arrays

    @property
    def values(self) -> int:
        """How many are not null."""
        return self.seen - self.nulls

    @property
    def is_map(self) -> bool:
        return len(self.children) > MAX_CHILDREN

    @property
    def has_many(self) -> bool:
        """Whether there are more different strings than are counted."""
        return len(self.distinct) >= MAX_DISTINCT

    def add(self, value: Any, level: int = 0) -> None:
        """Take one value."""
        self.seen += 1
        if value is None:
            self.nulls += 1
        elif isinstance(value, bool):
            self.kinds["boolean"] += 1
        elif isinstance(value, Number):
            self._add_number(value)
        elif isinstance(value, str):
            self._add_string(value)
        elif isinstance(value, list):
            self.kinds["array"] += 1
            self.element = self.element or Evidence()
            if level < MAX_LEVELS:
                for one in value:
                    self.element.add(one, level + 1)
        else:
            self.kinds["object"] += 1
            if level < MAX_LEVELS:
                self._add_object(value, level)

    def _add_object(self, value: dict[str, Any], level: int) -> None:
        for key, one in value.items():
            if key in self.children or not self.is_map:
                self.children.setdefault(key, Evidence()).add(one, level + 1)

    def _add_number(self, text: Number) -> None:
        if text.lstrip("-").isdigit():
            self.kinds["integer"] += 1
            number = int(text) if len(text) < 100 else (10**100 if text[0] != "-" else -(10**100))
            self.lowest = number if self.lowest is None else min(number, self.lowest)
            self.highest = number if self.highest is None else max(number, self.highest)
            self._add_epoch(number)
            self.is_finite = self.is_finite and math.isfinite(float(text))
            return
        self.kinds["number"] += 1
        self.is_finite = self.is_finite and math.isfinite(float(text))
        if "e" in text or "E" in text:
            self.fraction_digits = -1
        elif self.fraction_digits >= 0:
            self.fraction_digits = max(self.fraction_digits, len(text.partition(".")[2]))
            self._add_epoch(int(text.partition(".")[0][:100]))

    def _add_epoch(self, number: int) -> None:
        self.epoch_lowest = number if self.epoch_lowest is None else min(number, self.epoch_lowest)
        self.epoch_highest = number if self.epoch_highest is None else max(number, self.epoch_highest)

    def _add_string(self, text: str) -> None:
        self.kinds["string"] += 1
        self.shortest = len(text) if self.shortest is None else min(len(text), self.shortest)
        self.longest = max(self.longest, len(text))
        if text in self.distinct or not self.has_many:
            self.distinct[text] += 1
        if _NUMERAL.fullmatch(text):
            self.numerals += 1
            self._add_epoch(int(text.partition(".")[0]))
        moment = moment_of(text)
        if moment is not None:
            self.dates, self.times = self.dates + is_date(text), self.times + (not is_date(text))
            self.first = moment if self.first is None else min(moment, self.first)
            self.last = moment if self.last is None else max(moment, self.last)


def moment_of(text: str) -> datetime | None:
    """The UTC time of a day or a timestamp; None for any other text."""
    if len(text) < 10 or text[4] != "-" or not (_DATE.fullmatch(text) or _TIMESTAMP.fullmatch(text)):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def is_date(text: str) -> bool:
    """Whether a text of which `moment_of` has the time is a day."""
    return len(text) == len("2000-01-01")


@dataclass(frozen=True, slots=True)
class Fit:
    """A type of the contract, with what it needs to be said beside it, if anything; or why no type fits."""

    type: FieldType | None
    physical: str = ""
    why_not: str = ""
    format: str = ""
    takes_strings: bool = False


def fit(evidence: Evidence) -> Fit:
    """The type that takes every value that was seen; integers stay exact."""
    kinds = set(evidence.kinds)
    if not kinds:
        return Fit(None, why_not="is null wherever it is, so nothing says its type")
    if kinds <= {"integer", "number"}:
        return _fit_number(evidence, kinds)
    if len(kinds) > 1:
        listed = ", ".join(f"{number:,} times {kind}" for kind, number in evidence.kinds.most_common())
        return Fit(None, why_not=f"has values of several types: {listed}")
    if kinds == {"string"}:
        if evidence.dates == evidence.values:
            return Fit(FieldType.DATE)
        return Fit(FieldType.TIMESTAMP if evidence.times == evidence.values else FieldType.STRING)
    return Fit(FieldType(kinds.pop()))


def _fit_number(evidence: Evidence, kinds: set[str]) -> Fit:
    lowest, highest = evidence.lowest or 0, evidence.highest or 0
    if kinds == {"integer"}:
        if lowest >= -(2**63) and highest < 2**63:
            return Fit(FieldType.INTEGER)
        if lowest > -(10**38) and highest < 10**38:
            return Fit(FieldType.DECIMAL, "decimal(38,0)")
    if evidence.is_finite and max(-lowest, highest) <= 2**53:
        return Fit(FieldType.NUMBER)
    return Fit(None, why_not="has numbers that no column holds exactly")


def epoch_of(evidence: Evidence) -> tuple[str, datetime, datetime] | None:
    """The unit in which all of these numbers may be times since 1970 (of 2000 to 2100), the first and the last.

    They may have a fraction, but no exponent. So may strings that hold such numbers.
    """
    are_numbers = set(evidence.kinds) <= {"integer", "number"} and evidence.fraction_digits >= 0
    low, high = evidence.epoch_lowest, evidence.epoch_highest
    if not (are_numbers or evidence.numerals == evidence.values) or low is None or high is None:
        return None
    for unit, per_second in _EPOCH_UNITS.items():
        if _EPOCH_FIRST * per_second <= low and high <= _EPOCH_LAST * per_second:
            first, last = (
                datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number // per_second) for number in (low, high)
            )
            return unit, first, last
    return None


def gather(rows: Iterable[dict[str, Any]]) -> dict[str, Evidence]:
    """The evidence for each of the first MAX_KEYS keys, in the order in which they were first seen."""
    found: dict[str, Evidence] = {}
    for row in rows:
        for key, value in row.items():
            if key in found or len(found) < MAX_KEYS:
                found.setdefault(key, Evidence()).add(value)
    return found
