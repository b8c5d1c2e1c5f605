"""The quality rules of a contract file as typed values: its `quality` lists, and the latency among its `slaProperties`.

A rule that smelt would not evaluate is refused, so that nobody relies on it: another type than `library`, an unknown
metric, an unknown key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from services.shared.contract.model import Field, FieldType
from services.shared.contract.problems import Problems, kind_of, text_of
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
    Value,
)

_OPERATORS = {comparison.value for comparison in Comparison}
_WORDS = {"id", "name", "description", "dimension", "businessImpact", "tags", "authoritativeDefinitions"}
_RULE_KEYS = {"type", "metric", "unit", "arguments"} | _OPERATORS | _WORDS
_ARGUMENTS = {
    "rowCount": set[str](),
    "nullValues": set[str](),
    "missingValues": {"missingValues"},
    "invalidValues": {"validValues", "pattern", "minimum", "maximum"},
    "duplicateValues": {"properties"},
}
_LATENCY = "latency"
_LATENCY_KEYS = {"id", "property", "value", "unit", "element", "driver", "description"}
# The other service levels of the standard are promises between people; nothing evaluates them.
_PROMISES = {
    *("availability", "throughput", "errorRate", "generalAvailability", "endOfSupport", "endOfLife", "retention"),
    *("frequency", "timeOfAvailability", "timeToDetect", "timeToNotify", "timeToRepair"),
}
_DURATIONS = {
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("h", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
}


def read_rules(
    document: dict[Any, Any],
    schema: dict[Any, Any],
    entries: list[dict[Any, Any]],
    fields: tuple[Field, ...],
    problems: Problems,
) -> tuple[QualityRule, ...]:
    """All rules of a file: of the dataset, of each field (`entries` and `fields` are alike), then the latency."""
    reading = _Rules({field.name: field for field in fields}, str(schema.get("name")), problems)
    rules = [*reading.of_list(schema.get("quality"), "schema.quality", None)]
    for entry, field in zip(entries, fields, strict=True):
        rules += reading.of_list(entry.get("quality"), f"{field.name}.quality", field)
    return (*rules, *reading.latency(document.get("slaProperties")))


_BEYOND_DOUBLE = 1e308


class _Wrong(Exception):
    """This rule cannot be used."""


class _Rules:
    """Reads rules one by one. A broken one becomes a problem, and the others are still read."""

    def __init__(self, fields: Mapping[str, Field], dataset: str, problems: Problems) -> None:
        self._fields, self._dataset, self._problems = fields, dataset, problems

    def of_list(self, value: Any, where: str, field: Field | None) -> Iterator[QualityRule]:
        for at, entry in enumerate(self._problems.optional_mappings(value, where)):
            try:
                yield self._rule(entry, field)
            except _Wrong as wrong:
                self._problems.add(f"{where}[{at}]", str(wrong))

    def _rule(self, entry: dict[Any, Any], field: Field | None) -> QualityRule:
        if entry.get("type", "library") != "library":
            raise _Wrong(f"type is {entry['type']!r}; smelt evaluates library rules only, so write one with a metric")
        _check_keys(entry, _RULE_KEYS)
        metric = entry.get("metric")
        if not isinstance(metric, str) or metric not in _ARGUMENTS:
            what = "missing" if metric is None else repr(metric)
            raise _Wrong(f"metric is {what}; write one of {', '.join(sorted(_ARGUMENTS))}")
        arguments = entry.get("arguments", {})
        if not isinstance(arguments, dict):
            raise _Wrong(f"arguments is {kind_of(arguments)}, not a mapping")
        _check_keys(arguments, _ARGUMENTS[metric], f"arguments of {metric}: ")
        limit = _limit(entry)
        target = [field.name] if field else []
        if metric == "duplicateValues":
            target = self._duplicate_fields(arguments, field)
        words = _words(entry, f"{metric}({', '.join(target)})" if target else metric)
        match metric:
            case "rowCount":
                if field or limit.unit is Unit.PERCENT:
                    raise _Wrong(
                        "rowCount counts the rows of the dataset: write it in the quality of the schema, in rows"
                    )
                return RowCount(limit=limit, **words)
            case "duplicateValues":
                return DuplicateValues(fields=tuple(target), limit=limit, **words)
        if field is None:
            raise _Wrong(f"{metric} is about one field: write it in the quality of that field")
        if metric == "nullValues":
            return NullValues(field=field.name, limit=limit, **words)
        if field.type in (FieldType.ARRAY, FieldType.OBJECT):
            raise _Wrong(
                f"{metric} cannot look into an {field.type.value}: Silver keeps it as JSON text; use nullValues"
            )
        if metric == "missingValues":
            listed = _listed(arguments, "missingValues")
            missing = tuple(None if value is None else _value(value, field) for value in listed)
            return MissingValues(field=field.name, values=missing, limit=limit, **words)
        return _invalid_values(arguments, field, limit, words)

    def _duplicate_fields(self, arguments: dict[Any, Any], field: Field | None) -> list[str]:
        if field:
            if arguments:
                raise _Wrong("duplicateValues of one field has no arguments; for more fields, write it in the schema")
            return [field.name]
        names = _listed(arguments, "properties")
        for name in names:
            if not isinstance(name, str) or name not in self._fields:
                raise _Wrong(f"duplicateValues: {name!r} is not a field of the dataset")
        return names

    def latency(self, value: Any) -> Iterator[Freshness]:
        for at, entry in enumerate(self._problems.optional_mappings(value, "slaProperties")):
            name = entry.get("property")
            try:
                if name == _LATENCY:
                    yield self._freshness(entry)
                elif not isinstance(name, str) or name not in _PROMISES:
                    raise _Wrong(f"property is {name!r}; how old the newest row may be is the property latency")
            except _Wrong as wrong:
                self._problems.add(f"slaProperties[{at}]", str(wrong))

    def _freshness(self, entry: dict[Any, Any]) -> Freshness:
        _check_keys(entry, _LATENCY_KEYS)
        element, unit = entry.get("element"), entry.get("unit")
        number: Any = entry.get("value")
        name = str(element).removeprefix(f"{self._dataset}.")
        field = self._fields.get(name)
        if field is None or field.type not in (FieldType.DATE, FieldType.TIMESTAMP):
            raise _Wrong(f"element is {element!r}; write a date or timestamp field, such as {self._dataset}.event_time")
        if not isinstance(unit, str) or unit not in _DURATIONS:
            raise _Wrong(f"unit is {unit!r}; write d, h or m (days, hours, minutes)")
        if not _is_number(number) or number <= 0:
            raise _Wrong(f"value is {number!r}, not a number above 0")
        try:
            at_most = _DURATIONS[unit] * number
        except OverflowError as error:
            raise _Wrong(f"value is {number!r}, which is too large") from error
        return Freshness(field=name, at_most=at_most, **_words(entry, f"{_LATENCY}({name})"))


def _check_keys(mapping: dict[Any, Any], known: set[str], of: str = "") -> None:
    for key in mapping:
        if key not in known:
            raise _Wrong(f"{of}{key!r} is not known; there are {', '.join(sorted(known)) or 'none'}")


def _words(entry: dict[Any, Any], name: str) -> dict[str, str]:
    return {"name": text_of(entry.get("name")) or name, "description": text_of(entry.get("description"))}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _BEYOND_DOUBLE


def _limit(entry: dict[Any, Any]) -> Limit:
    given = sorted(_OPERATORS & entry.keys())
    if len(given) != 1:
        said = f"has {', '.join(given)}" if given else "does not say what the number must be"
        raise _Wrong(f"{said}; write exactly one of {', '.join(sorted(_OPERATORS))}")
    unit = entry.get("unit", Unit.ROWS.value)
    if unit not in list(Unit):
        raise _Wrong(f"unit is {unit!r}; write rows or percent")
    comparison, value = Comparison(given[0]), entry[given[0]]
    ends = value if comparison in (Comparison.BETWEEN, Comparison.NOT_BETWEEN) else [value]
    most = 100 if unit == Unit.PERCENT else float("inf")
    if not isinstance(ends, list) or not all(_is_number(end) and 0 <= end <= most for end in ends):
        raise _Wrong(f"{given[0]} is {value!r}, not a number of {unit} ({'0 to 100' if most == 100 else '0 or more'})")
    if ends is not value:
        return Limit(comparison, value, unit=Unit(unit))
    if len(ends) != 2 or ends[0] >= ends[1]:
        raise _Wrong(f"{given[0]} is {value!r}, not two numbers with the smaller one first")
    return Limit(comparison, ends[0], ends[1], Unit(unit))


def _listed(arguments: dict[Any, Any], key: str) -> list[Any]:
    values = arguments.get(key)
    if not isinstance(values, list) or not values:
        raise _Wrong(f"arguments.{key} is {kind_of(values)}, not a list with entries")
    return values


def _invalid_values(arguments: dict[Any, Any], field: Field, limit: Limit, words: dict[str, str]) -> QualityRule:
    is_range = bool({"minimum", "maximum"} & arguments.keys())
    if is_range + ("validValues" in arguments) + ("pattern" in arguments) != 1:
        raise _Wrong(
            "invalidValues needs one of validValues, pattern, or minimum and maximum, in arguments; "
            "write a rule for each"
        )
    if "validValues" in arguments:
        allowed = tuple(_value(value, field) for value in _listed(arguments, "validValues"))
        return AllowedValues(field=field.name, values=allowed, limit=limit, **words)
    if "pattern" in arguments:
        return Pattern(field=field.name, pattern=_pattern(arguments["pattern"], field), limit=limit, **words)
    if field.type in (FieldType.STRING, FieldType.BOOLEAN):
        raise _Wrong(f"minimum and maximum are for numbers, dates and timestamps; the field is a {field.type.value}")
    low, high = (_value(arguments[key], field) if key in arguments else None for key in ("minimum", "maximum"))
    if low is not None and high is not None and low > high:  # type: ignore[operator]  # both are of the field's type
        raise _Wrong(f"minimum ({low}) is above maximum ({high})")
    return Range(field=field.name, minimum=low, maximum=high, limit=limit, **words)


def _pattern(pattern: Any, field: Field) -> str:
    if field.type is not FieldType.STRING:
        raise _Wrong(f"pattern is for strings; the field is a {field.type.value}")
    if not isinstance(pattern, str):
        raise _Wrong(f"pattern is {kind_of(pattern)}, not a string; put it in quotes")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise _Wrong(f"pattern {pattern!r} is not a regular expression: {error}") from error
    return pattern


def _value(value: Any, field: Field) -> Value:
    """A value of a rule as one of the field's type. YAML itself has dates and times; quoted ones are texts."""
    match field.type:
        case FieldType.STRING if isinstance(value, str):
            return value
        case FieldType.BOOLEAN if isinstance(value, bool):
            return value
        case FieldType.INTEGER if isinstance(value, int) and not isinstance(value, bool):
            return value
        case FieldType.NUMBER if _is_number(value):
            return float(value)
        case FieldType.DECIMAL if _is_number(value):
            return Decimal(str(value))
        case FieldType.DATE | FieldType.TIMESTAMP if isinstance(value, str | date):
            moment = _moment(str(value), field.type)
            if moment is not None:
                return moment
    raise _Wrong(f"{value!r} is not a value of {field.name}, which is {_WITH_ARTICLE[field.type]}")


def _moment(text: str, type_: FieldType) -> date | datetime | None:
    try:
        if type_ is FieldType.DATE:
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


_WITH_ARTICLE = {type_: f"{'an' if type_.value[0] in 'aio' else 'a'} {type_.value}" for type_ in FieldType}
