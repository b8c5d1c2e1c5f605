"""A DynamoDB client whose one table is a dictionary: the real ledger runs on it, for as long as the process lives.

It answers the calls that `services.shared.ledger.table` makes, in DynamoDB's words, errors included, and refuses what
DynamoDB's limits do (Amazon DynamoDB API Reference: BatchGetItem, TransactWriteItems; Developer Guide, item sizes). All
of it is consistent at once. Nothing is throttled, and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from services.shared.ledger.ledger import Ledger
from workbench.inprocess.expressions import Item, holds, updated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


TABLE = "memory"
_MOST_KEYS = 100  # of a BatchGetItem, and items of a transaction
_MOST_ITEM_BYTES = 400 * 1024


class TransactionCanceledException(ClientError):
    """A transaction of which a condition failed."""


class MemoryDynamoDB:
    """One table, TABLE, with the hash key `pk` and the index of open work (hash key `open`, range key `since`)."""

    exceptions = SimpleNamespace(TransactionCanceledException=TransactionCanceledException)

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._lock = Lock()

    # -- reads -------------------------------------------------------------------------------------------------

    def get_item(self, *, TableName: str, Key: Item, **_: Any) -> dict[str, Any]:  # noqa: N803 (boto3's names)
        _check(TableName)
        with self._lock:
            found = self._items.get(Key["pk"]["S"])
            return {"Item": dict(found)} if found is not None else {}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        ((table, asked),) = RequestItems.items()
        _check(table)
        _check_keys("BatchGetItem", [key["pk"]["S"] for key in asked["Keys"]])
        with self._lock:
            found = (self._items.get(key["pk"]["S"]) for key in asked["Keys"])
            return {"Responses": {table: [dict(item) for item in found if item is not None]}}

    def get_paginator(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(paginate={"scan": self._scan, "query": self._query}[name])

    def _scan(self, *, Segment: int = 0, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        with self._lock:
            items = [dict(item) for item in self._items.values()] if Segment == 0 else []
        yield {"Items": items}

    def _query(
        self,
        *,
        ExpressionAttributeValues: Mapping[str, Item],  # noqa: N803
        ExclusiveStartKey: Item | None = None,  # noqa: N803
        **_: Any,
    ) -> Iterator[dict[str, Any]]:
        """The open work in one shard, oldest first, as the ledger asks for it."""
        shard = ExpressionAttributeValues[":shard"]
        with self._lock:
            open_ = [item for item in self._items.values() if item.get("open") == shard]
        after = _place(ExclusiveStartKey) if ExclusiveStartKey else None
        keys = [{name: item[name] for name in ("pk", "open", "since")} for item in open_]
        yield {"Items": sorted((key for key in keys if after is None or _place(key) > after), key=_place)}

    def query(
        self,
        *,
        ExpressionAttributeValues: Mapping[str, Item],  # noqa: N803
        ScanIndexForward: bool = True,  # noqa: N803
        Limit: int,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        """The oldest or newest open work in one shard since a time, as `smelt status` asks for it."""
        since = int(ExpressionAttributeValues[":since"]["N"])
        (page,) = self._query(ExpressionAttributeValues=ExpressionAttributeValues)
        keys = [key for key in page["Items"] if int(key["since"]["N"]) >= since]
        return {"Items": (keys if ScanIndexForward else keys[::-1])[:Limit]}

    # -- writes ------------------------------------------------------------------------------------------------

    def put_item(self, **request: Any) -> dict[str, Any]:
        return self._write("PutItem", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        return self._write("UpdateItem", request)

    def delete_item(self, **request: Any) -> dict[str, Any]:
        return self._write("DeleteItem", request)

    def transact_write_items(self, *, TransactItems: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        requests = [request for entry in TransactItems for request in entry.values()]
        _check_keys("TransactWriteItems", [_key(request) for request in requests])
        with self._lock:
            allowed = [self._is_allowed(request) for request in requests]
            if all(allowed):
                for key, item in [(_key(request), self._changed(request)) for request in requests]:
                    self._store(key, item)
                return {}
        reasons = [{"Code": "None" if one else "ConditionalCheckFailed"} for one in allowed]
        answer: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": "a condition failed"},
            "CancellationReasons": reasons,
        }
        raise TransactionCanceledException(answer, "TransactWriteItems")

    def _write(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self._is_allowed(request):
                self._store(_key(request), self._changed(request))
                return {}
        error: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "the condition failed"}}
        raise ClientError(error, operation)

    def _is_allowed(self, request: Mapping[str, Any]) -> bool:
        _check(request["TableName"])
        condition = request.get("ConditionExpression")
        return condition is None or holds(condition, self._items.get(_key(request), {}), *_words(request))

    def _changed(self, request: Mapping[str, Any]) -> Item | None:
        """The item as the request leaves it; None where it deletes it."""
        if "Item" in request:
            item = dict(request["Item"])
        elif "UpdateExpression" in request:
            before = self._items.get(_key(request)) or dict(request["Key"])
            item = updated(request["UpdateExpression"], before, *_words(request))
        else:
            return None
        if (size := _size({"M": item})) > _MOST_ITEM_BYTES:
            raise _invalid("PutItem", f"Item size has exceeded the maximum allowed size: {size} bytes")
        return item

    def _store(self, key: str, item: Item | None) -> None:
        if item is None:
            self._items.pop(key, None)
        else:
            self._items[key] = item


def memory_ledger() -> Ledger:
    """A ledger in memory, empty."""
    return Ledger(cast("DynamoDBClient", MemoryDynamoDB()), TABLE)


def _check(table: str) -> None:
    if table != TABLE:
        error: Any = {"Error": {"Code": "ResourceNotFoundException", "Message": f"no table {table}"}}
        raise ClientError(error, "DynamoDB")


def _check_keys(operation: str, keys: Sequence[str]) -> None:
    if len(keys) > _MOST_KEYS:
        raise _invalid(operation, f"{len(keys)} items; the most is {_MOST_KEYS}")
    if len(set(keys)) < len(keys):
        raise _invalid(operation, "it names an item twice")


def _size(value: Item) -> int:
    """About as many bytes as DynamoDB counts."""
    ((kind, held),) = value.items()
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _size(part) for name, part in held.items())
    if kind == "L":
        return 3 + sum(1 + _size(part) for part in held)
    return len(held.encode()) if kind == "S" else len(held) if kind == "B" else 21 if kind == "N" else 1


def _invalid(operation: str, message: str) -> ClientError:
    answer: Any = {"Error": {"Code": "ValidationException", "Message": message}}
    return ClientError(answer, operation)


def _key(request: Mapping[str, Any]) -> str:
    key: str = (request.get("Item") or request["Key"])["pk"]["S"]
    return key


def _words(request: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[str, Item]]:
    return request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})


def _place(key: Item) -> tuple[int, str]:
    return int(key["since"]["N"]), key["pk"]["S"]
