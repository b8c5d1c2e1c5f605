"""Runs in .venv-spark: judges many plans in one Spark session, with the job's own code.

A plan may come with a sabotage of Great Expectations, to show that the gate notices:

    unknown_type    a rule becomes an expectation type that Great Expectations does not know
    unknown_rule    a rule is one that glue/expectations.py does not know
    dropped         the suite loses an expectation without a word, as ExpectationSuite(expectations=[...]) does
    lost_result     a result is missing among the answers
    no_count        a result has no count
    bad_column      an expectation raises while it is measured
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import great_expectations as gx
from great_expectations.datasource.fluent.interfaces import Batch

from glue import expectations
from glue.expectations import Asked, UnknownRule
from glue.session import session
from glue.validate_silver import run
from services.shared.contract.quality import NullValues
from services.shared.gate.plan import GatePlan

_ask, _add, _validate = (
    expectations.expectations_of,
    gx.ExpectationSuite.add_expectation_configuration,
    Batch.validate,
)


def _unknown_type(rule: Any, at: int) -> list[Asked]:
    return [Asked.of("expect_no_such_thing")] if isinstance(rule, NullValues) else _ask(rule, at)


def _unknown_rule(rule: Any, at: int) -> list[Asked]:
    if isinstance(rule, NullValues):
        raise UnknownRule("a rule of tomorrow")
    return _ask(rule, at)


def _bad_column(rule: Any, at: int) -> list[Asked]:
    if isinstance(rule, NullValues):
        return [Asked.of("expect_column_values_to_not_be_null", column="no_such_column")]
    return _ask(rule, at)


def _dropped(suite: Any, configuration: Any) -> Any:
    if configuration.type != "expect_column_values_to_not_be_null":
        return _add(suite, configuration)
    return None


def _lost_result(batch: Any, suite: Any, **options: Any) -> Any:
    answer = _validate(batch, suite, **options)
    answer.results = [one for one in answer.results if "null" not in one.expectation_config.type]
    return answer


def _no_count(batch: Any, suite: Any, **options: Any) -> Any:
    answer = _validate(batch, suite, **options)
    for one in answer.results:
        one.result.pop("unexpected_count", None)
    return answer


@contextmanager
def _sabotaged(how: str) -> Iterator[None]:
    patches = {
        "": mock.patch.object(expectations, "expectations_of", _ask),
        "unknown_type": mock.patch.object(expectations, "expectations_of", _unknown_type),
        "unknown_rule": mock.patch.object(expectations, "expectations_of", _unknown_rule),
        "bad_column": mock.patch.object(expectations, "expectations_of", _bad_column),
        "dropped": mock.patch.object(gx.ExpectationSuite, "add_expectation_configuration", _dropped),
        "lost_result": mock.patch.object(Batch, "validate", _lost_result),
        "no_count": mock.patch.object(Batch, "validate", _no_count),
    }
    with patches[how]:
        yield


def main(asked: str, answers: str) -> None:
    spark = session("tests", "local")
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    spark.sparkContext.setLogLevel("OFF")
    found = {}
    for name, (plan, sabotage) in json.loads(Path(asked).read_text()).items():
        with _sabotaged(sabotage):
            found[name] = run(GatePlan.from_json(plan), spark).to_json()
    Path(answers).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
