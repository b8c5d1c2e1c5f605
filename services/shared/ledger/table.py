"""The ledger's table at the rim: consistent reads, conditional writes, and what happens to answers that were lost.

An ambiguous outcome (the write landed, its answer did not arrive, the client sent it again) looks like a failed
condition. So every conditional write that fails reads the item back, here and nowhere else: if it already carries
what we wrote, the write was ours and has landed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from services.shared.errors import Transient
from services.shared.ledger.items import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

TABLE_SCHEMA: Mapping[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "open", "AttributeType": "S"},
        {"AttributeName": "since", "AttributeType": "N"},
    ],
    # Sparse: only unfinished work, and what the history has not taken yet, carries `open` (a kind and a shard, such as
    # `object#07`), so "what is open?" reads nothing else.
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "open_work",
            "KeySchema": [
                {"AttributeName": "open", "KeyType": "HASH"},
                {"AttributeName": "since", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}

# Reasons of a cancelled transaction: somebody was faster, or nobody had room.
_CONDITION = "ConditionalCheckFailed"
_THROTTLED = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded"})
Write = Mapping[str, Any]  # one of a transaction, as `LedgerTable.transact` says

_BATCH_KEYS = 100  # BatchGetItem's limit
_CONFLICT = "TransactionConflict"  # somebody's transaction has one of the items in hand at this moment
_CONFLICTING = "TransactionConflictException"  # the same, told to a write that is no transaction
_CONFLICT_PAUSES = 5  # before further tries, doubled from `_FIRST_PAUSE` on: at most 1.5 seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between requests for what was throttled; doubled while nothing comes


@dataclass(frozen=True, slots=True)
class Condition:
    """A named condition of a write: its expression, and the values and attribute names that it needs.

    `#state` may be used in every expression without being declared.
    """

    expression: str
    values: Mapping[str, Item]

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"({self.expression}) AND ({other.expression})", {**self.values, **other.values})

    def __or__(self, other: Condition) -> Condition:
        return Condition(f"({self.expression}) OR ({other.expression})", {**self.values, **other.values})


class Throttled(Transient):
    """DynamoDB has no capacity for what it is asked."""


class LedgerTable:
    """One table. `clock` gives epoch seconds and is replaced in tests."""

    def __init__(self, client: DynamoDBClient, name: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._name = name
        self._clock = clock

    @property
    def name(self) -> str:
        return self._name

    # -- time ------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        return int(self._clock() * 1000)

    def lease_end(self, seconds: float) -> int:
        return self.now_ms() + int(seconds * 1000)

    def timestamp(self) -> Item:
        return {"S": datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")}

    # -- reads -----------------------------------------------------------------------------------------------

    def get(self, key: Item) -> Item:
        """An item, strongly consistent; empty where there is none."""
        answer = self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True)
        return dict(answer.get("Item", {}))

    def get_many(self, keys: Sequence[Item]) -> list[Item]:
        """Those of the items that exist, each once, in no order, strongly consistent. A key may be given twice.

        Raises:
            Throttled: several requests in a row brought nothing.
        """
        items: list[Item] = []
        # DynamoDB refuses a key twice; an index shows an item twice that moves in it while it is read.
        single = list({key["pk"]["S"]: key for key in keys}.values())
        for first in range(0, len(single), _BATCH_KEYS):
            asked: Any = {self._name: {"Keys": single[first : first + _BATCH_KEYS], "ConsistentRead": True}}
            pause = _FIRST_PAUSE
            while asked:
                answer = self._client.batch_get_item(RequestItems=asked)
                found = answer["Responses"].get(self._name, [])
                items += found
                asked = answer.get("UnprocessedKeys")
                if not asked:  # otherwise part of it was throttled, or the answer passed 16 MB
                    break
                pause = _FIRST_PAUSE if found else 2 * pause
                if pause > _LONGEST_PAUSE:
                    raise Throttled(
                        f"table {self._name}: DynamoDB reads none of {len(asked[self._name]['Keys'])} items. "
                        "It is throttled: try again later"
                    )
                time.sleep(pause)
        return items

    def scan(self, segment: int = 0, segments: int = 1) -> Any:
        """All items of one of `segments` parts of the table, in no order, strongly consistent."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._name, ConsistentRead=True, Segment=segment, TotalSegments=segments
        )
        for page in pages:
            yield from page["Items"]

    def open_keys(self, shard: str, after: Item | None = None, page_size: int | None = None) -> Any:
        """Keys (`pk`, `open`, `since`) of the open work in one shard of the index, oldest first, those behind `after`.

        `page_size` is how many are read at once; else as many as fit in an answer of 1 MB.
        Eventually consistent, as every index is. The item of `after` may have left the index.
        """
        start: dict[str, Any] = {"ExclusiveStartKey": after} if after else {}
        start |= {"PaginationConfig": {"PageSize": page_size}} if page_size else {}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            IndexName="open_work",
            KeyConditionExpression="#open = :shard",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":shard": {"S": shard}},
            **start,
        )
        for page in pages:
            yield from page["Items"]

    def open_sample(self, shard: str, most: int, since_ms: int, newest_first: bool) -> list[Item]:
        """At most `most` keys of one shard of the index that are in it since `since_ms` or later; as `open_keys`."""
        request: Any = {
            "TableName": self._name,
            "IndexName": "open_work",
            "KeyConditionExpression": "#open = :shard AND since >= :since",
            "ExpressionAttributeNames": {"#open": "open"},
            "ExpressionAttributeValues": {":shard": {"S": shard}, ":since": {"N": str(since_ms)}},
            "ScanIndexForward": not newest_first,
        }
        found: list[Item] = []
        while len(found) < most:
            answer = self._client.query(**request, Limit=most - len(found))
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return found

    # -- writes ----------------------------------------------------------------------------------------------

    def put(self, item: Item) -> None:
        """Write a whole item over whatever is there."""
        self._alone(lambda: self._client.put_item(TableName=self._name, Item=item))

    def delete(self, key: Item) -> None:
        """Delete an item; a missing one is fine."""
        self._alone(lambda: self._client.delete_item(TableName=self._name, Key=key))

    def put_if(self, item: Item, condition: Condition, landed: Callable[[Item], bool]) -> Item | None:
        """Write a whole item. Returns None once it stands there, or the item that is in the way.

        `landed` tells our own write, read back, from anybody else's.
        """
        request = self._conditional(condition, {})
        return self._unless_landed(
            lambda: self._alone(lambda: self._client.put_item(TableName=self._name, Item=item, **request)),
            {"pk": item["pk"]},
            landed,
        )

    def update_if(
        self,
        key: Item,
        expression: str,
        values: Mapping[str, Item],
        condition: Condition,
        landed: Callable[[Item], bool],
        beside: Sequence[Write] = (),
    ) -> Item | None:
        """Change an item. Returns None once that has landed, or the item whose state refuses it.

        `beside` are writes of other items that land with it, all or none.

        Raises:
            Throttled: with `beside`: another write of these items is under way.
        """
        if beside:
            refused = self.transact([{"update": (key, expression, values), "condition": condition}, *beside])
            found = self.get(key) if refused else {}
            if not refused or landed(found):
                return None
            if _CONDITION not in refused:
                raise Throttled(f"table {self._name}: another write is under way ({', '.join(refused)})")
            return found
        return self._unless_landed(lambda: self._update(key, expression, values, condition), key, landed)

    def update(self, key: Item, expression: str, values: Mapping[str, Item], condition: Condition) -> bool:
        """Change an item where a lost answer does no harm. Returns whether the condition held."""
        try:
            self._update(key, expression, values, condition)
        except ClientError as error:
            if not _condition_failed(error):
                raise
            return False
        return True

    def delete_if(self, key: Item, condition: Condition) -> bool:
        """Delete an item. Returns whether the condition held; a missing item is no harm."""
        request = self._conditional(condition, {})
        try:
            self._alone(lambda: self._client.delete_item(TableName=self._name, Key=key, **request))
        except ClientError as error:
            if not _condition_failed(error):
                raise
            return False
        return True

    def transact(self, writes: Sequence[Write]) -> list[str]:
        """All of these writes or none. Returns nothing once they have landed, or the reasons of the refusal.

        Each is `{"put": item}`, `{"update": (key, expression, values)}` or `{"delete": key}`, with its `condition`.
        botocore adds one ClientRequestToken to a call, so its own retries of the call are idempotent. A transaction
        that met another one, and no condition that failed, is tried again for a second: it says nothing about our
        lease.

        Raises:
            Throttled: no condition failed; the table has no capacity now.
        """
        entries = [self._entry(write) for write in writes]
        reasons: list[str] = []
        for pause in _pauses():
            time.sleep(pause)
            try:
                self._client.transact_write_items(TransactItems=entries)
            except self._client.exceptions.TransactionCanceledException as error:
                reasons = [str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])]
                if _CONDITION in reasons:
                    return reasons
                if _CONFLICT not in reasons:
                    if not _THROTTLED.isdisjoint(reasons):
                        raise Throttled(
                            f"table {self._name}: DynamoDB has no capacity for a write ({', '.join(reasons)})"
                        ) from error
                    return reasons
            else:
                return []
        return reasons

    # -- plumbing --------------------------------------------------------------------------------------------

    def _update(self, key: Item, expression: str, values: Mapping[str, Item], condition: Condition) -> None:
        request = self._conditional(condition, values, expression)
        self._alone(
            lambda: self._client.update_item(TableName=self._name, Key=key, UpdateExpression=expression, **request)
        )

    def _alone(self, write: Callable[[], Any]) -> None:
        """Make a write that is no transaction. One that meets a transaction over its item is tried again for a second.

        botocore does not do that: to it, TransactionConflictException is an answer like any other.

        Raises:
            Throttled: it met one each time.
        """
        for pause in _pauses():
            time.sleep(pause)
            try:
                write()
            except ClientError as error:
                if error.response["Error"]["Code"] != _CONFLICTING:
                    raise
                last = error
            else:
                return
        raise Throttled(f"table {self._name}: other writes of an item are under way; try again") from last

    def _entry(self, write: Write) -> Any:
        condition: Condition = write["condition"]
        if "put" in write:
            return {"Put": {"TableName": self._name, "Item": write["put"], **self._conditional(condition, {})}}
        if "delete" in write:
            return {"Delete": {"TableName": self._name, "Key": write["delete"], **self._conditional(condition, {})}}
        key, expression, values = write["update"]
        request = self._conditional(condition, values, expression)
        return {"Update": {"TableName": self._name, "Key": key, "UpdateExpression": expression, **request}}

    @staticmethod
    def _conditional(condition: Condition, values: Mapping[str, Item], expression: str = "") -> dict[str, Any]:
        used = condition.expression + expression
        names = {f"#{name}": name for name in ("state", "open") if f"#{name}" in used}
        request: dict[str, Any] = {"ConditionExpression": condition.expression}
        if names:
            request["ExpressionAttributeNames"] = names
        if all_values := {**condition.values, **values}:
            request["ExpressionAttributeValues"] = all_values
        return request

    def _unless_landed(self, write: Callable[[], Any], key: Item, landed: Callable[[Item], bool]) -> Item | None:
        try:
            write()
        except ClientError as error:
            if not _condition_failed(error):
                raise
            found = self.get(key)
            return None if landed(found) else found
        return None


def _pauses() -> list[float]:
    """Seconds before each try, of which the first has none. Two that met must not meet again: no two pause alike."""
    return [0, *(_FIRST_PAUSE * 2**number * random.uniform(0.5, 1) for number in range(_CONFLICT_PAUSES))]


def _condition_failed(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


NEW = Condition("attribute_not_exists(pk)", {})
NOT_LEASED = Condition("attribute_not_exists(lease_until)", {})
UNBOUND = Condition("attribute_not_exists(lot)", {})  # of a unit: it is in no lot


def in_state(*states: str) -> Condition:
    """The item is in one of these states."""
    values = {f":state{number}": {"S": state} for number, state in enumerate(states)}
    return Condition(f"#state IN ({', '.join(values)})", values)


def leased_with(token: str) -> Condition:
    """The lease is the one with this token, whether it is over or not."""
    return Condition("lease_token = :token_seen", {":token_seen": {"S": token}})


def lease_over(now_ms: int) -> Condition:
    """The lease has ended, or was given back."""
    return Condition("lease_until < :now_ms", {":now_ms": {"N": str(now_ms)}})
