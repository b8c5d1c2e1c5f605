"""Reading many items of a table that is throttled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from services.shared.ledger import table as module
from services.shared.ledger.table import NEW, LedgerTable, Throttled

KEYS = [{"pk": {"S": f"object#{number}"}} for number in range(6)]


class Answers:
    """A client that reads so many of the keys that are asked for, one number for each request; the last one repeats."""

    def __init__(self, reads: Sequence[int]) -> None:
        self._reads = list(reads)
        self.requests = 0

    def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803 (botocore's name)
        count = self._reads.pop(0) if len(self._reads) > 1 else self._reads[0]
        self.requests += 1
        keys = RequestItems["table"]["Keys"]
        left = {"table": {"Keys": keys[count:], "ConsistentRead": True}} if keys[count:] else {}
        return {"Responses": {"table": keys[:count]}, "UnprocessedKeys": left}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    return slept


def test_items_that_dynamodb_leaves_out_are_asked_for_again(pauses: list[float]) -> None:
    answers: Any = Answers([2, 0, 1])
    assert LedgerTable(answers, "table").get_many(KEYS) == KEYS
    assert pauses == [0.05, 0.1, 0.05, 0.05, 0.05]


def test_a_table_that_gives_nothing_is_an_error_that_passes(pauses: list[float]) -> None:
    """It was asked until Lambda killed the function, and everything in the delivery became suspect."""
    answers: Any = Answers([1, 0])
    with pytest.raises(Throttled, match="none of 5 items"):
        LedgerTable(answers, "table").get_many(KEYS)
    assert sum(pauses) < 10


def test_a_key_that_the_index_shows_twice_is_asked_for_once() -> None:
    """DynamoDB refuses a request with a key twice; an index shows an item twice that moves in it while it is read."""

    class Strict:
        def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803 (botocore's name)
            keys = RequestItems["table"]["Keys"]
            assert len({key["pk"]["S"] for key in keys}) == len(keys), "Provided list of item keys contains duplicates"
            return {"Responses": {"table": keys}}

    strict: Any = Strict()
    assert LedgerTable(strict, "table").get_many([*KEYS, KEYS[0], KEYS[3]]) == KEYS


class Cancelling:
    """A client that cancels every transaction for these reasons."""

    def __init__(self, *reasons: str) -> None:
        self.exceptions = boto3.client("dynamodb", "us-east-2").exceptions
        answer: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
            "CancellationReasons": [{"Code": reason} for reason in reasons],
        }
        self._error = self.exceptions.TransactionCanceledException(answer, "TransactWriteItems")

    def transact_write_items(self, TransactItems: Any) -> Any:  # noqa: N803 (botocore's name)
        raise self._error


@pytest.mark.parametrize("reason", ["ConditionalCheckFailed", "TransactionConflict"])
def test_a_transaction_that_somebody_else_was_faster_with_is_refused(reason: str, pauses: list[float]) -> None:
    client: Any = Cancelling("None", "ThrottlingError", reason)
    assert reason in LedgerTable(client, "table").transact([])
    assert (len(pauses) > 1) == (reason == "TransactionConflict")  # which the next try may not meet


class Conflicting:
    """DynamoDB while somebody's transaction has the item in hand, for so many writes. What botocore never repeats."""

    def __init__(self, conflicts: int) -> None:
        self.exceptions = boto3.client("dynamodb", "us-east-2").exceptions
        self.conflicts = conflicts
        self.written = 0

    def _write(self, code: str, **more: Any) -> None:
        if self.conflicts:
            self.conflicts -= 1
            answer: Any = {"Error": {"Code": code, "Message": "conflict"}, **more}
            if code == "TransactionConflictException":
                raise ClientError(answer, "UpdateItem")
            raise self.exceptions.TransactionCanceledException(answer, "TransactWriteItems")
        self.written += 1

    def put_item(self, **_: Any) -> None:
        self._write("TransactionConflictException")

    update_item = delete_item = put_item

    def transact_write_items(self, **_: Any) -> None:
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
        self._write("TransactionCanceledException", CancellationReasons=reasons)


KEY = {"pk": {"S": "lot#1"}}
WRITES = {
    "put": lambda table: table.put(KEY),
    "delete": lambda table: table.delete(KEY),
    "put_if": lambda table: table.put_if(KEY, NEW, lambda _: False),
    "update": lambda table: table.update(KEY, "REMOVE a", {}, NEW),
    "update_if": lambda table: table.update_if(KEY, "REMOVE a", {}, NEW, lambda _: False),
    "delete_if": lambda table: table.delete_if(KEY, NEW),
    "transact": lambda table: table.transact([{"delete": KEY, "condition": NEW}]),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_meets_a_transaction_over_its_item_is_made_a_moment_later(name: str, pauses: list[float]) -> None:
    client: Any = Conflicting(2)
    assert WRITES[name](LedgerTable(client, "table")) in (None, True, [])
    assert (client.written, len(pauses)) == (1, 3)


@pytest.mark.parametrize("name", sorted(WRITES.keys() - {"transact"}))
def test_a_write_that_always_meets_transactions_says_so(name: str, pauses: list[float]) -> None:
    client: Any = Conflicting(100)
    with pytest.raises(Throttled, match="under way"):
        WRITES[name](LedgerTable(client, "table"))
    assert 0.5 < sum(pauses) < 1.6


def test_a_transaction_that_is_throttled_is_no_lost_race() -> None:
    client: Any = Cancelling("None", "ThrottlingError")
    with pytest.raises(Throttled, match="no capacity"):
        LedgerTable(client, "table").transact([])
