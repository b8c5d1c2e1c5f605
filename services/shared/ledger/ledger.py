"""The ledger: the DynamoDB table that knows what has been done with every object, unit and lot.

Every transition is one conditional write, named here, and the only way the state changes:

    object   (none) --begin_planning--> PLANNING --finish_planning--> PLANNED
                                        |      ^
                                        '------' begin_planning, once the lease is over
             (none) --reject_object---> REJECTED

    lot      (none) --claim_lot-------> PENDING --commit_lot--------> COMMITTED
                                        |  |   ^
                                        |  '---' take_over, once the lease is over
                                        '--dissolve_lot--> (none), its units are free again

    unit     (none) --claim_lot-------> bound to a lot; dissolve_lot frees it

An ambiguous outcome (the write landed, its answer did not arrive, the client sent it again) looks like a failed
condition. So every conditional update that fails reads the item back: if it already carries our lease token in
the state we asked for, the write was ours and has landed.

This module knows no S3 and no rows. Times are UTC; leases are epoch milliseconds, TTLs epoch seconds. The item
size limit (400 KB) and the transaction limit (100 items) are DynamoDB's.
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from services.shared.errors import Terminal, Transient
from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.units import BronzeObject, Unit

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

MAX_UNITS_PER_LOT = 99  # a transaction takes 100 items: the lot and its units
MAX_BLOB_BYTES = 150_000  # two such lists and the counts stay under an item's 400 KB

Item = dict[str, Any]


class ObjectState(StrEnum):
    PLANNING = "PLANNING"
    PLANNED = "PLANNED"
    REJECTED = "REJECTED"


class LotState(StrEnum):
    PENDING = "PENDING"
    COMMITTED = "COMMITTED"


class LeaseHeld(Transient):
    """Somebody else is at work on this: come back when their lease is over, at `until_ms` if that is known."""

    def __init__(self, message: str, until_ms: int = 0) -> None:
        super().__init__(message)
        self.until_ms = until_ms  # epoch milliseconds


class LostRace(Transient):
    """Another worker bound one of these units first; the next delivery finds the winner's lot."""


class LeaseLost(Transient):
    """Our lease ended and the work is no longer ours."""


class LotTooWide(Terminal):
    """A lot whose lists do not fit in one ledger item."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of one unit or lot. Conservation: `read == silver + quarantined`."""

    read: int = 0
    silver: int = 0
    quarantined: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.read + other.read, self.silver + other.silver, self.quarantined + other.quarantined)

    @property
    def conserved(self) -> bool:
        return self.read == self.silver + self.quarantined


@dataclass(frozen=True, slots=True)
class LotFile:
    """One Parquet file of a committed lot."""

    key: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Lot:
    """A lot as the ledger holds it. `units` and their order decide the contents of its files."""

    id: LotId
    state: LotState
    units: tuple[Unit, ...]
    outputs: frozenset[str]  # every key that an execution of this lot may have written
    contracts: Mapping[str, str]  # dataset -> contract version of the last claim or take-over
    lease_token: str
    lease_until: int  # epoch milliseconds
    counts: Counts = Counts()
    unit_counts: tuple[Counts, ...] = ()  # in the order of `units`, once committed
    files: tuple[LotFile, ...] = ()  # once committed


@dataclass(frozen=True, slots=True)
class LedgerObject:
    """An object as the ledger holds it."""

    id: ObjectId
    state: ObjectState
    size: int
    unit_bytes: int
    units: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the ledger says of some units: the lots that hold them, and which unit is in which."""

    lots: Mapping[LotId, Lot] = field(default_factory=dict)
    lot_of: Mapping[UnitId, LotId] = field(default_factory=dict)


def _pack(value: Any) -> bytes:
    packed = zlib.compress(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), 6)
    if len(packed) > MAX_BLOB_BYTES:
        raise LotTooWide(
            f"a list of {len(value)} entries needs {len(packed)} bytes in the ledger, more than {MAX_BLOB_BYTES}; "
            "narrow the contract's event-time window or cut the object into smaller ones"
        )
    return packed


def _unpack(blob: bytes) -> Any:
    return json.loads(zlib.decompress(blob))


def _object_key(id_: ObjectId) -> Item:
    return {"pk": {"S": f"object#{id_}"}}


def _unit_key(id_: UnitId) -> Item:
    return {"pk": {"S": f"unit#{id_}"}}


def _lot_key(id_: LotId) -> Item:
    return {"pk": {"S": f"lot#{id_}"}}


def _condition_failed(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


TABLE_SCHEMA: Mapping[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "open", "AttributeType": "S"},
        {"AttributeName": "lease_until", "AttributeType": "N"},
    ],
    # Sparse: only unfinished work carries `open`, so "what is stuck?" reads nothing else.
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "open_work",
            "KeySchema": [
                {"AttributeName": "open", "KeyType": "HASH"},
                {"AttributeName": "lease_until", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


class Ledger:
    """The transitions, over one table. `clock` gives epoch seconds and is replaced in tests."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        ttl_days: int = 90,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._table = table
        self._ttl_seconds = ttl_days * 86_400
        self._clock = clock

    # -- objects ---------------------------------------------------------------------------------------------

    def begin_planning(self, source: BronzeObject, units: int, unit_bytes: int, lease_seconds: float) -> str | None:
        """Start planning an object: returns our lease token, or None where it is already planned.

        Three situations pass the condition: nobody has seen the object; a planner died and its lease is over.
        A redelivery that meets a finished object is a duplicate; one that meets a live planner must come back.

        Raises:
            LeaseHeld: another planner holds a live lease.
        """
        token = secrets.token_hex(8)
        item = self._object_item(source) | {
            "state": {"S": ObjectState.PLANNING},
            "units": {"N": str(units)},
            "unit_bytes": {"N": str(unit_bytes)},
            "open": {"S": "object"},
            "lease_token": {"S": token},
            "lease_until": {"N": str(self._lease_end(lease_seconds))},
        }
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk) OR (#state = :planning AND lease_until < :now)",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":planning": {"S": ObjectState.PLANNING},
                    ":now": {"N": str(self._now_ms())},
                },
            )
        except ClientError as error:
            if not _condition_failed(error):
                raise
            found = self._get(_object_key(source.id))
            if found.get("state", {}).get("S") != ObjectState.PLANNING:
                return None
            if found["lease_token"]["S"] != token:
                raise LeaseHeld(f"{source.id} is being planned by another invocation; it will be retried") from None
        return token

    def finish_planning(self, source: BronzeObject, token: str) -> None:
        """All units of the object are on the queue.

        Raises:
            LeaseLost: another planner took over; it sends the same units, so nothing is lost.
        """
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_object_key(source.id),
                UpdateExpression="SET #state = :planned, planned_at = :now REMOVE #open, lease_until",
                ConditionExpression="#state = :planning AND lease_token = :token",
                ExpressionAttributeNames={"#state": "state", "#open": "open"},
                ExpressionAttributeValues={
                    ":planned": {"S": ObjectState.PLANNED},
                    ":planning": {"S": ObjectState.PLANNING},
                    ":token": {"S": token},
                    ":now": {"S": self._timestamp()},
                },
            )
        except ClientError as error:
            if not _condition_failed(error):
                raise
            found = self._get(_object_key(source.id))
            if found.get("state", {}).get("S") != ObjectState.PLANNED or found["lease_token"]["S"] != token:
                raise LeaseLost(f"{source.id}: another invocation took its planning over") from None

    def reject_object(self, source: BronzeObject, reason: str) -> bool:
        """Record that an object is not turned into work, and why. Returns False where it was known already."""
        item = self._object_item(source) | {
            "state": {"S": ObjectState.REJECTED},
            "reason": {"S": reason},
            "units": {"N": "0"},
            "unit_bytes": {"N": "0"},
        }
        try:
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as error:
            if not _condition_failed(error):
                raise
            return False
        return True

    # -- units and lots --------------------------------------------------------------------------------------

    def look_up(self, units: Iterable[UnitId]) -> Lookup:
        """Which of these units are bound to a lot, and those lots. Reads are strongly consistent."""
        bound = self._batch_get([_unit_key(unit) for unit in set(units)])
        lot_of = {
            UnitId.parse(item["pk"]["S"].removeprefix("unit#")): LotId.parse(item["lot"]["S"])
            for item in bound
            if "lot" in item
        }
        lots = [_lot_from(item) for item in self._batch_get([_lot_key(lot) for lot in set(lot_of.values())])]
        found = {lot.id: lot for lot in lots}
        # A unit whose lot is gone was read while a dissolve landed in between: it is free.
        return Lookup(found, {unit: lot for unit, lot in lot_of.items() if lot in found})

    def claim_lot(
        self,
        lot_id: LotId,
        units: Sequence[Unit],
        outputs: Iterable[str],
        contracts: Mapping[str, str],
        lease_seconds: float,
    ) -> Lot:
        """Bind free units to a new lot, all or nothing, and record what it will write before it is written.

        Raises:
            LostRace: a unit is bound already.
            LotTooWide: the lists do not fit in one item.
        """
        token = secrets.token_hex(8)
        lot = Lot(
            lot_id, LotState.PENDING, tuple(units), frozenset(outputs), contracts, token, self._lease_end(lease_seconds)
        )
        expires = {"N": str(self._expiry())}
        put_lot = {
            "TableName": self._table,
            "Item": _lot_key(lot_id)
            | {
                "state": {"S": LotState.PENDING},
                "open": {"S": "lot"},
                "units": {"B": _pack([unit.to_message() for unit in units])},
                "unit_count": {"N": str(len(units))},
                "outputs": {"B": _pack(sorted(lot.outputs))},
                "contracts": {"S": json.dumps(dict(contracts), sort_keys=True)},
                "lease_token": {"S": token},
                "lease_until": {"N": str(lot.lease_until)},
                "claimed_at": {"S": self._timestamp()},
                "expires_at": expires,
            },
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        bind_units = [
            {
                "TableName": self._table,
                "Key": _unit_key(unit.id),
                "UpdateExpression": "SET lot = :lot, expires_at = :expires",
                "ConditionExpression": "attribute_not_exists(lot)",
                "ExpressionAttributeValues": {":lot": {"S": str(lot_id)}, ":expires": expires},
            }
            for unit in units
        ]
        writes: list[Any] = [{"Put": put_lot}, *({"Update": update} for update in bind_units)]
        try:
            # botocore adds one ClientRequestToken per call, so its own retries of this call are idempotent.
            self._client.transact_write_items(TransactItems=writes)
        except self._client.exceptions.TransactionCanceledException as error:
            reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
            raise LostRace(f"lot {lot_id} was not claimed ({reasons}); its messages go back to the queue") from error
        return lot

    def take_over(self, lot: Lot, contracts: Mapping[str, str], lease_seconds: float) -> Lot:
        """Take a lot whose lease is over. The condition names the token seen, so one of many takers wins.

        Raises:
            LeaseHeld: the lease is alive, or another worker was faster.
        """
        if lot.lease_until >= self._now_ms():
            raise LeaseHeld(f"lot {lot.id} is being executed by another worker", lot.lease_until)
        token, until = secrets.token_hex(8), self._lease_end(lease_seconds)
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_lot_key(lot.id),
                UpdateExpression="SET lease_token = :token, lease_until = :until, contracts = :contracts",
                ConditionExpression="#state = :pending AND lease_token = :seen AND lease_until < :now",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":pending": {"S": LotState.PENDING},
                    ":seen": {"S": lot.lease_token},
                    ":now": {"N": str(self._now_ms())},
                    ":token": {"S": token},
                    ":until": {"N": str(until)},
                    ":contracts": {"S": json.dumps(dict(contracts), sort_keys=True)},
                },
            )
        except ClientError as error:
            if not _condition_failed(error):
                raise
            if self._get(_lot_key(lot.id)).get("lease_token", {}).get("S") != token:
                raise LeaseHeld(f"lot {lot.id} was taken over by another worker") from None
        return Lot(lot.id, LotState.PENDING, lot.units, lot.outputs, contracts, token, until)

    def record_outputs(self, lot: Lot, outputs: Iterable[str]) -> Lot:
        """Record further keys before they are written, so that whoever executes or dissolves the lot finds them.

        Raises:
            LeaseLost: the lot is no longer ours.
        """
        recorded = lot.outputs | set(outputs)
        if recorded == lot.outputs:
            return lot
        self._update_own_lot(lot, "SET outputs = :outputs", {":outputs": {"B": _pack(sorted(recorded))}})
        return Lot(lot.id, lot.state, lot.units, recorded, lot.contracts, lot.lease_token, lot.lease_until)

    def commit_lot(self, lot: Lot, files: Sequence[LotFile], unit_counts: Sequence[Counts]) -> None:
        """The lot's files are all written: record them with their rows and close the lot.

        Raises:
            LeaseLost: the lot is no longer ours; whoever has it executes it again to the same end.
        """
        total = sum(unit_counts, Counts())
        try:
            self._update_own_lot(
                lot,
                "SET #state = :committed, files = :files, unit_counts = :unit_counts, outputs = :outputs,"
                " rows_read = :read, rows_silver = :silver, rows_quarantined = :quarantined,"
                " committed_at = :now REMOVE #open, lease_until",
                {
                    ":committed": {"S": LotState.COMMITTED},
                    ":files": {"B": _pack([[file.key, file.rows, file.bytes] for file in files])},
                    ":unit_counts": {"B": _pack([[c.read, c.silver, c.quarantined] for c in unit_counts])},
                    ":outputs": {"B": _pack(sorted(file.key for file in files))},
                    ":read": {"N": str(total.read)},
                    ":silver": {"N": str(total.silver)},
                    ":quarantined": {"N": str(total.quarantined)},
                    ":now": {"S": self._timestamp()},
                },
                {"#open": "open"},
            )
        except LeaseLost:
            found = self._get(_lot_key(lot.id))
            ours = found.get("lease_token", {}).get("S") == lot.lease_token
            if not (ours and found["state"]["S"] == LotState.COMMITTED):
                raise

    def dissolve_lot(self, lot: Lot) -> None:
        """Forget a lot of ours and free its units. Its output keys must have been deleted before.

        Raises:
            LeaseLost: the lot is no longer ours.
        """
        delete_lot = {
            "TableName": self._table,
            "Key": _lot_key(lot.id),
            "ConditionExpression": "#state = :pending AND lease_token = :token",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {":pending": {"S": LotState.PENDING}, ":token": {"S": lot.lease_token}},
        }
        free_units = [
            {
                "TableName": self._table,
                "Key": _unit_key(unit.id),
                "ConditionExpression": "lot = :lot",
                "ExpressionAttributeValues": {":lot": {"S": str(lot.id)}},
            }
            for unit in lot.units
        ]
        writes: list[Any] = [{"Delete": delete} for delete in (delete_lot, *free_units)]
        try:
            self._client.transact_write_items(TransactItems=writes)
        except self._client.exceptions.TransactionCanceledException as error:
            raise LeaseLost(f"lot {lot.id} is no longer ours and was not dissolved") from error

    def note_failure(self, unit: UnitId, error: str) -> None:
        """Keep the last reason why a free unit could not be read, for whoever finds it in the dead-letter queue."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_unit_key(unit),
                UpdateExpression="SET last_error = :error, failed_at = :now, expires_at = :expires ADD failures :one",
                ConditionExpression="attribute_not_exists(lot)",
                ExpressionAttributeValues={
                    ":error": {"S": error[:1000]},
                    ":now": {"S": self._timestamp()},
                    ":expires": {"N": str(self._expiry())},
                    ":one": {"N": "1"},
                },
            )
        except ClientError as failure:
            if not _condition_failed(failure):
                raise
            # Another delivery of the unit has bound it meanwhile: it was readable after all.

    # -- reading it all, for audits and reports ----------------------------------------------------------------

    def scan(self) -> Iterable[LedgerObject | Lot | tuple[UnitId, str, str]]:
        """Every object, every lot, and every unit as `(id, lot id or "", last error)`, in no order."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        for page in pages:
            for item in page["Items"]:
                yield from _from_item(dict(item))

    # -- plumbing ----------------------------------------------------------------------------------------------

    def _object_item(self, source: BronzeObject) -> Item:
        return _object_key(source.id) | {
            "size": {"N": str(source.size)},
            "created": {"S": source.created.isoformat()},
            "seen_at": {"S": self._timestamp()},
            "expires_at": {"N": str(self._expiry())},
        }

    def _update_own_lot(self, lot: Lot, expression: str, values: Item, names: Mapping[str, str] | None = None) -> None:
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_lot_key(lot.id),
                UpdateExpression=expression,
                ConditionExpression="#state = :pending AND lease_token = :token",
                ExpressionAttributeNames={"#state": "state", **(names or {})},
                ExpressionAttributeValues={
                    ":pending": {"S": LotState.PENDING},
                    ":token": {"S": lot.lease_token},
                    **values,
                },
            )
        except ClientError as error:
            if not _condition_failed(error):
                raise
            raise LeaseLost(f"lot {lot.id} is no longer ours; whoever has it finishes it") from None

    def _get(self, key: Item) -> Item:
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return dict(answer.get("Item", {}))

    def _batch_get(self, keys: Sequence[Item]) -> list[Item]:
        items: list[Item] = []
        for first in range(0, len(keys), 100):  # BatchGetItem takes 100 keys
            asked: Any = {self._table: {"Keys": keys[first : first + 100], "ConsistentRead": True}}
            pause = 0.05
            while asked:
                answer = self._client.batch_get_item(RequestItems=asked)
                items += answer["Responses"].get(self._table, [])
                asked = answer.get("UnprocessedKeys")
                if asked:  # part of it was throttled, or the answer passed 16 MB: DynamoDB asks for the rest again
                    time.sleep(pause)
                    pause = min(2 * pause, 1.0)
        return items

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _lease_end(self, seconds: float) -> int:
        return self._now_ms() + int(seconds * 1000)

    def _expiry(self) -> int:
        return int(self._clock()) + self._ttl_seconds

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")


def _lot_from(item: Item) -> Lot:
    def number(name: str) -> int:
        return int(item.get(name, {}).get("N", 0))

    def blob(name: str) -> list[Any]:
        return list(_unpack(item[name]["B"])) if name in item else []

    return Lot(
        id=LotId.parse(item["pk"]["S"].removeprefix("lot#")),
        state=LotState(item["state"]["S"]),
        units=tuple(Unit.from_message(message) for message in blob("units")),
        outputs=frozenset(blob("outputs")),
        contracts=json.loads(item["contracts"]["S"]),
        lease_token=item["lease_token"]["S"],
        lease_until=number("lease_until"),
        counts=Counts(number("rows_read"), number("rows_silver"), number("rows_quarantined")),
        unit_counts=tuple(Counts(*counts) for counts in blob("unit_counts")),
        files=tuple(LotFile(*file) for file in blob("files")),
    )


def _from_item(item: Item) -> Iterable[LedgerObject | Lot | tuple[UnitId, str, str]]:
    kind, _, rest = item["pk"]["S"].partition("#")
    if kind == "lot":
        yield _lot_from(item)
    elif kind == "unit":
        yield UnitId.parse(rest), item.get("lot", {}).get("S", ""), item.get("last_error", {}).get("S", "")
    else:
        yield LedgerObject(
            id=ObjectId.parse(rest),
            state=ObjectState(item["state"]["S"]),
            size=int(item["size"]["N"]),
            unit_bytes=int(item["unit_bytes"]["N"]),
            units=int(item["units"]["N"]),
            reason=item.get("reason", {}).get("S", ""),
        )
