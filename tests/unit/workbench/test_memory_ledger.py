"""The ledger's own tests, once more, over the table in memory: what holds on DynamoDB holds there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.test_ledger_lots import (  # noqa: F401 (collected here with the fixtures below)
    TestLots,
    TestUnits,
    clock,
    forgetful,
    ledger,
    test_only_open_work_is_in_the_sparse_index,
)
from workbench.inprocess.dynamodb import TABLE, MemoryDynamoDB
from workbench.inprocess.expressions import holds, updated


@pytest.fixture
def clients() -> Any:
    return SimpleNamespace(dynamodb=MemoryDynamoDB())


@pytest.fixture
def ledger_table() -> str:
    return TABLE


ITEM = {"pk": {"S": "a"}, "attempts": {"N": "2"}, "state": {"S": "PLANNED"}}


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("attribute_exists(pk)", True),
        ("attribute_not_exists(pk)", False),
        ("attempts >= :two AND attribute_not_exists(lot)", True),
        ("(attempts < :two) OR (#state IN (:done, :planned))", True),
        ("(attempts < :two) OR (#state IN (:done))", False),
        ("lease_until < :two", False),
    ],
)
def test_a_condition_is_what_it_is_in_dynamodb(condition: str, met: bool) -> None:
    values = {":two": {"N": "2"}, ":done": {"S": "DONE"}, ":planned": {"S": "PLANNED"}}
    assert holds(condition, ITEM, {"#state": "state"}, values) is met


def test_an_update_counts_sets_and_removes_and_leaves_the_item_as_it_was() -> None:
    changed = updated(
        "REMOVE #state SET attempts = if_not_exists(attempts, :zero) + :one, "
        "stalls = if_not_exists(stalls, :zero) + :one",
        ITEM,
        {"#state": "state"},
        {":zero": {"N": "0"}, ":one": {"N": "1"}},
    )
    assert changed == {"pk": {"S": "a"}, "attempts": {"N": "3"}, "stalls": {"N": "1"}}
    assert ITEM["attempts"] == {"N": "2"}


@pytest.mark.parametrize("expression", ["size(pk) > :one", "attempts BETWEEN :one AND :one", "pk = :one pk", "pk ="])
def test_a_condition_that_is_not_known_is_refused(expression: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        holds(expression, ITEM, {}, {":one": {"N": "1"}})


def refused(call: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    return str(raised.value.response["Error"]["Code"])


def test_what_dynamodb_refuses_is_refused_here() -> None:
    """An emulator takes it; in an account, the lot or the page could never be written."""
    table = MemoryDynamoDB()
    keys = [{"pk": {"S": str(number)}} for number in range(101)]
    writes = [{"Put": {"TableName": TABLE, "Item": key}} for key in keys]
    ask, write = table.batch_get_item, table.transact_write_items
    for twice_or_many in (keys, [keys[0], keys[0]]):
        assert refused(lambda k=twice_or_many: ask(RequestItems={TABLE: {"Keys": k}})) == "ValidationException"
    for wrong in (writes, [writes[0], writes[0]]):
        assert refused(lambda w=wrong: write(TransactItems=w)) == "ValidationException"
    large = {"pk": {"S": "a"}, "files": {"B": b"x" * 400 * 1024}}
    assert refused(lambda: table.put_item(TableName=TABLE, Item=large)) == "ValidationException"
    write(TransactItems=writes[:100])
    assert len(ask(RequestItems={TABLE: {"Keys": keys[:100]}})["Responses"][TABLE]) == 100
    table.put_item(TableName=TABLE, Item=large | {"files": {"B": b"x" * 399 * 1024}})
