"""Reading many items of a table that is throttled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from services.shared.ledger import table as module
from services.shared.ledger.table import LedgerTable, Throttled

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
