"""Each function that `smelt query` lets pass answers as Athena's documentation says."""

from __future__ import annotations

import pytest
from sqlglot import exp

from tests.unit.workbench.athena_answers import ANSWERS, FOUR
from workbench.query.athena import LocalAthena, QueryError, statements_of
from workbench.query.functions import COMPARED, key_of
from workbench.query.values import as_json


@pytest.fixture(scope="module")
def athena(tmp_path_factory: pytest.TempPathFactory) -> LocalAthena:
    return LocalAthena(tmp_path_factory.mktemp("lake"))


@pytest.mark.parametrize(("sql", "answer"), ANSWERS)
def test_the_answer_is_athenas(athena: LocalAthena, sql: str, answer: object) -> None:
    ((found,),) = athena.query(f"WITH {FOUR} SELECT {sql} AS x").rows
    assert as_json(found) == (pytest.approx(answer) if isinstance(answer, float) else answer)


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
