"""Each function that `smelt query` lets pass answers as Athena's documentation says."""

from __future__ import annotations

import pytest
from sqlglot import exp

from tests.unit.workbench.athena_answers import ANSWERS, FOUR
from tests.unit.workbench.athena_limits import LIMITS
from workbench.query.athena import LocalAthena, QueryError, statements_of
from workbench.query.functions import COMPARED, key_of
from workbench.query.values import as_json


@pytest.fixture(scope="module")
def athena(tmp_path_factory: pytest.TempPathFactory) -> LocalAthena:
    return LocalAthena(tmp_path_factory.mktemp("lake"))


@pytest.mark.parametrize(("sql", "answer"), [*ANSWERS, *LIMITS])
def test_the_answer_is_athenas(athena: LocalAthena, sql: str, answer: object) -> None:
    ((found,),) = athena.query(f"WITH {FOUR} SELECT {sql} AS x").rows
    found = as_json(found)
    assert type(found) is type(answer)  # 1 is not 1.0
    assert found == (pytest.approx(answer) if isinstance(answer, float) else answer)


def test_every_function_that_passes_has_an_answer() -> None:
    calls = {key_of(call) for sql, _ in ANSWERS for call in statements_of(f"SELECT {sql}")[0].find_all(exp.Func)}
    assert COMPARED - calls == set()


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("list_sum(ARRAY[1])", "list_sum has not been compared"),  # DuckDB's
        ("format_datetime(now(), 'yyyy')", "use date_format"),
        ("skewness(1)", "skewness has not been compared"),
        ("system.quantify(1)", "quantify has not been compared"),
    ],
)
def test_no_other_function_passes(athena: LocalAthena, sql: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        athena.query(f"SELECT {sql}")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("CAST('a' AS char(2))", "use varchar"),
        ("from_unixtime(0, 9, 0)", "takes a zone by its name"),
        ("date_format(now(), concat('%H', ':%i'))", "only a format in quotes"),
        ("date_parse('10', concat('%', 'H'))", "only a format in quotes"),
        ("format('%tY', now())", "write %% for a per cent sign"),
        ("format('%2$s', 'a', 'b')", "a value for each"),
        ("format('%s and %s', 'a')", "a value for each"),
        ("(SELECT count(*) FROM UNNEST(ARRAY[1], ARRAY[2]))", "a name for each column"),
        ("(SELECT try(sum(x) / 0) FROM (VALUES 1) AS t(x))", "write a / nullif"),
        ("from_unixtime(1750000000123)", "divide milliseconds by 1000"),
        ("ARRAY[date_add('year', 9000, date '2026-01-01')]", "not in the years 1 to 9999"),
        ("regexp_replace('ab', 'a(?=b)', '')", "have no"),
        ("regexp_split('a-b', '[\\W_]+')", "no .W in brackets"),
        (
            "levenshtein_distance(array_join(transform(sequence(300, 500), n -> chr(CAST(n AS integer))), ''), 'a')",
            "no more than 127 different letters",
        ),
        ("(SELECT sequence(min(x), max(x)) FROM (VALUES date '2026-01-01') AS t(x))", "INTERVAL '1' DAY"),
        ("(SELECT reverse(x) FROM (VALUES ARRAY[1, 2]) AS t(x))", "write reverse\\(filter"),
        (
            "(SELECT count(*) FROM (VALUES 1, 2) AS t(x) CROSS JOIN LATERAL (SELECT floor(x / 2) AS y))",
            "use it in LATERAL",
        ),
        ("floor('a')", "floor and ceil take a number"),
        (
            "(SELECT floor(element_at(map_values(histogram(x)), 1)) FROM (VALUES 1) AS t(x))",
            "calculate it in a subquery",
        ),
        (
            "(SELECT CAST(x AS row(a bigint, c bigint)) FROM (SELECT CAST(ROW(1, 2) AS row(a bigint, b bigint)) AS x))",
            "name them where they are made",
        ),
        ("CAST(JSON '5' AS row(a bigint))", "Expected OBJECT"),
    ],
)
def test_what_cannot_be_answered_says_what_to_write(athena: LocalAthena, sql: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        athena.query(f"SELECT {sql}")
