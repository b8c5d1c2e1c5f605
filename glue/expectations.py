"""The rules of a contract measured by Great Expectations on Spark.

Great Expectations counts; what a count means is decided by `services.shared.gate.verdict`, because a limit of a
contract (`mustBeGreaterThan: 5`, in percent or rows) is more than the `success` of an expectation can say. Each
expectation carries the place of its rule, so a result that is missing is missed: `ExpectationSuite(expectations=[...])`
would log and drop a type that it does not know; `add_expectation_configuration` raises.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before it is imported: no job of ours calls anybody

import great_expectations as gx
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (so everybody calls it)
from pyspark.sql.window import Window

from glue.values import among, outside, unlike, values_that
from services.shared.columns import OFFSET, SOURCE
from services.shared.contract.quality import (
    AllowedValues,
    DuplicateValues,
    Freshness,
    MissingValues,
    NullValues,
    Pattern,
    Range,
    RowCount,
    Value,
)
from services.shared.gate.rules import RowConservation, Rule, fields_of
from services.shared.gate.verdict import SAMPLES, Measured, NotMeasured

ENGINE = f"Great Expectations {gx.__version__}"
_PART = "part"  # in an expectation's meta: its place among what is asked
_WRONG = "__wrong_"  # helper columns: the value of a row that is not as a rule wants it, else null
_EARLIEST = datetime(1, 1, 2)
_LARGEST_LONG = 2**63 - 1

Measurements = dict[int, Measured | NotMeasured]


class Asked(NamedTuple):
    """One expectation: its type, and its arguments. Rules may ask for the same one: it is measured once."""

    type: str
    arguments: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, type_: str, **arguments: Any) -> Asked:
        return cls(type_, tuple(sorted(arguments.items())))


class UnknownRule(Exception):
    """A rule that nobody here can measure."""


def expectations_of(rule: Rule, at: int) -> list[Asked]:
    """What Great Expectations is asked for a rule; the counts of several are added up.

    Raises:
        UnknownRule: it is none of those that are known here.
    """
    match rule:
        case RowCount():
            return [Asked.of("expect_table_row_count_to_be_between", min_value=0)]
        case NullValues(field=field):
            return [Asked.of("expect_column_values_to_not_be_null", column=field)]
        case MissingValues(field=field, values=values):
            asked = [_none_wrong(at)] * any(value is not None for value in values)
            return asked + [Asked.of("expect_column_values_to_not_be_null", column=field)] * (None in values)
        case Pattern() | AllowedValues() | Range() | DuplicateValues():
            return [_none_wrong(at)]
        case Freshness(field=field):
            return [Asked.of("expect_column_max_to_be_between", column=field, min_value=_EARLIEST)]
    raise UnknownRule(f"{type(rule).__name__} is a rule that glue/expectations.py does not know")


def _none_wrong(at: int) -> Asked:
    return Asked.of("expect_column_values_to_be_null", column=f"{_WRONG}{at}")


def wrong_values(rule: Rule) -> Column | None:
    """The values that are not as a rule wants them, null elsewhere; None where Great Expectations can tell by itself.

    Spark or Python compares, because Great Expectations would turn whole numbers and decimals into doubles, and what it
    hands to Spark goes through Java's old calendar: days before 1582 come out as others, years before 1000 not at all.
    """
    match rule:
        case MissingValues(field=field, values=values):
            listed = [value for value in values if value is not None]
            if not listed:
                return None
            if not all(map(_is_sparks, listed)):
                return values_that(field, among(listed))
            return F.when(F.col(field).isin([literal(value) for value in listed]), F.col(field))
        case AllowedValues(field=field, values=values):
            if not all(map(_is_sparks, values)):
                allowed = among(values)
                return values_that(field, lambda value: not allowed(value))
            return F.when(~F.col(field).isin([literal(value) for value in values]), F.col(field))
        case Pattern(field=field, pattern=pattern):
            return values_that(field, unlike(pattern))
        case Range(field=field, minimum=minimum, maximum=maximum):
            if not (_is_sparks(minimum) and _is_sparks(maximum)):
                return values_that(field, outside(minimum, maximum))
            wrong = F.lit(False)
            if minimum is not None:
                wrong |= F.col(field) < literal(minimum)
            if maximum is not None:
                wrong |= F.col(field) > literal(maximum)
            return F.when(wrong, F.col(field))
        case DuplicateValues(fields=fields):
            same = Window.partitionBy(*fields).orderBy(SOURCE, OFFSET)
            whole = F.lit(True)
            for field in fields:
                whole &= F.col(field).isNotNull()
            return F.when(whole & (F.row_number().over(same) > 1), F.lit(True))
    return None


def _is_sparks(value: Value | None) -> bool:
    """Whether Spark can compare with this value in any column of its type."""
    return not (isinstance(value, Decimal) or (isinstance(value, int) and abs(value) > _LARGEST_LONG))


def literal(value: Value) -> Column:
    """A contract's value in Spark, exactly."""
    if isinstance(value, datetime):
        return F.lit(value.isoformat()).cast("timestamp")
    if isinstance(value, date):
        return F.lit(value.isoformat()).cast("date")
    return F.lit(value)


def measure(
    rules: Sequence[Rule],
    partition: DataFrame,
    newest: DataFrame | None,
    committed: Mapping[str, int],
    sensitive: Iterable[str],
    now: datetime,
) -> tuple[int, Measurements]:
    """The rows of a partition, and what was measured of each rule, by its place.

    Args:
        partition: the rows, read from committed files. Times are UTC, and so must be the session's zone.
        newest: rows of the dataset's newest partition, for freshness; None where that is this one.
        committed: the rows of each file, by its name.
        sensitive: fields whose values stay where they are.
        now: with a zone.
    """
    measured: Measurements = {}
    rows, measured_rows = _count(partition, committed)
    groups: dict[bool, list[int]] = {False: [], True: []}
    for at, rule in enumerate(rules):
        source = newest if isinstance(rule, Freshness) and newest is not None else partition
        absent = [field for field in fields_of(rule) if field not in source.columns]
        if isinstance(rule, RowConservation):
            measured[at] = measured_rows
        elif absent:
            measured[at] = NotMeasured(f"the column {absent[0]} is in none of the files")
        else:
            groups[source is newest].append(at)
    hidden = frozenset(sensitive)
    for is_newest, places in groups.items():
        frame = newest if is_newest and newest is not None else partition
        for shown in (False, True):  # those whose values may be shown are asked apart: others never leave Spark
            some = [at for at in places if shown == hidden.isdisjoint(fields_of(rules[at]))]
            measured |= _measure({at: rules[at] for at in some}, frame, SAMPLES if shown else 0, now)
    return rows, measured


def _count(partition: DataFrame, committed: Mapping[str, int]) -> tuple[int, Measured]:
    """All rows, and how many are too many or too few in a file."""
    counted = partition.groupBy(F.col("_metadata.file_name").alias("file")).count().collect()
    found = {row["file"]: int(row["count"]) for row in counted}
    names = sorted({*found, *committed})
    wrong = {name: found.get(name, 0) - committed.get(name, 0) for name in names}
    told = [
        f"{name} holds {found.get(name, 0):,} rows, committed were {committed.get(name, 0):,}"
        for name, surplus in wrong.items()
        if surplus
    ]
    more = f"; and {len(told) - 3:,} more files" if len(told) > 3 else ""
    return sum(found.values()), Measured(sum(map(abs, wrong.values())), note="; ".join(told[:3]) + more)


def _measure(rules: Mapping[int, Rule], frame: DataFrame, samples: int, now: datetime) -> Measurements:
    if not rules:
        return {}
    measured: Measurements = {}
    suite = gx.ExpectationSuite(name="contract")
    parts: dict[Asked, int] = {}
    for at, rule in rules.items():
        try:
            for asked in expectations_of(rule, at):
                if asked not in parts:
                    suite.add_expectation_configuration(
                        ExpectationConfiguration(
                            type=asked.type, kwargs=dict(asked.arguments), meta={_PART: len(parts)}
                        )
                    )
                    parts[asked] = len(parts)
        except Exception as error:  # noqa: BLE001 (whatever refuses a rule, the rule was not measured)
            measured[at] = NotMeasured(_why(error))
    if len(suite.expectations) != len(parts):
        why = f"Great Expectations was given {len(parts)} expectations and holds {len(suite.expectations)}"
        return measured | {at: NotMeasured(why) for at in rules}
    left = {at: rule for at, rule in rules.items() if at not in measured}
    needed = {field for rule in left.values() for field in fields_of(rule)}
    wrong = {f"{_WRONG}{at}": values for at, rule in left.items() if (values := wrong_values(rule)) is not None}
    frame = frame.select(*sorted(needed), *(values.alias(name) for name, values in wrong.items()))
    times = [name for name, kind in frame.dtypes if name in wrong and kind == "timestamp"]
    # As text: Python's own clock has no room before 0001-01-01, and cannot make what comes from Spark of that day.
    frame = frame.withColumns({name: F.col(name).cast("string") for name in times})
    return measured | _run(suite, parts, left, frame, samples, now)


def _run(
    suite: gx.ExpectationSuite,
    parts: Mapping[Asked, int],
    rules: Mapping[int, Rule],
    frame: DataFrame,
    samples: int,
    now: datetime,
) -> Measurements:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_spark("spark").add_dataframe_asset("partition")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})
    # BASIC: counts, and few values. SUMMARY would carry values of sensitive fields, COMPLETE all of them.
    form = {"result_format": "BASIC", "partial_unexpected_count": samples}
    answers: dict[int, list[Any]] = {}
    for answer in batch.validate(suite, result_format=form).results:
        answers.setdefault(answer.expectation_config.meta[_PART], []).append(answer)
    measured: Measurements = {}
    for at, rule in rules.items():
        wanted = [answers.get(parts[asked], []) for asked in expectations_of(rule, at)]
        if any(len(found) != 1 for found in wanted):
            why = f"Great Expectations gave {sum(map(len, wanted))} results of {len(wanted)}"
            measured[at] = NotMeasured(why)
            continue
        try:
            measured[at] = _sum(rule, [found[0] for found in wanted], now)
        except _NoNumber as none:
            measured[at] = NotMeasured(str(none))
    return measured


class _NoNumber(Exception):
    """A result that has none; why."""


def _sum(rule: Rule, answers: Sequence[Any], now: datetime) -> Measured:
    numbers, samples = [], list[str]()
    for answer in answers:
        if raised := list(_raised(answer.exception_info)):
            raise _NoNumber(raised[0])
        if isinstance(rule, Freshness):
            newest = answer.result.get("observed_value")
            if not isinstance(newest, date):
                raise _NoNumber(f"{rule.field} has no value in the newest files")
            numbers.append((now - _moment(newest)).total_seconds())
            samples.append(str(newest))
            continue
        name = "observed_value" if isinstance(rule, RowCount) else "unexpected_count"
        number = answer.result.get(name)
        if not isinstance(number, int) or isinstance(number, bool):
            raise _NoNumber(f"Great Expectations gives no {name}")
        numbers.append(number)
        if not isinstance(rule, RowCount | NullValues | DuplicateValues):
            listed = answer.result.get("partial_unexpected_list") or []
            samples += [str(value) for value in listed if value is not None]
    return Measured(sum(numbers), tuple(dict.fromkeys(samples)))


def _moment(value: date) -> datetime:
    """A time of Spark (without zone, in UTC) or a day, of which the end counts: it is as fresh as it can be."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    return datetime.combine(value, time.max, UTC)


def _raised(info: Mapping[str, Any]) -> Iterator[str]:
    """The messages of exceptions: `info` is one entry, or an entry for each metric."""
    for entry in [info] if "raised_exception" in info else info.values():
        if entry.get("raised_exception"):
            yield _first_line(str(entry.get("exception_message") or "it raised an exception"))


def _why(error: BaseException) -> str:
    return _first_line(f"{type(error).__name__}: {error}")


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else "no message")[:500]
