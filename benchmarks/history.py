"""The cases of benchmarks/ops.py that are about the ledger over time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any

from services.ops.audit.audit import audit
from services.ops.audit.listings import S3Listings
from services.ops.history.loads import Choice, files_of, loads, lots_of
from services.ops.history.reader import History
from services.ops.history.writer import OBJECTS_PER_FILE, archive
from services.shared.identities import LotId, ObjectId
from services.shared.ledger.items import Item, open_shard, pack
from services.shared.ledger.ledger import Ledger

BRONZE, SILVER = "company-data-bronze", "company-data-silver"
YESTERDAY = datetime(2026, 1, 31, tzinfo=UTC)
NOW = YESTERDAY + timedelta(days=1, hours=1)
DAY_MS = 86_400_000
KIB = 1024


class FolderHistory:
    """The history in a folder. Implements `services.ops.history.files.HistoryFiles`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.requests = {"PutObject": 0, "GetObject": 0, "bytes put": 0, "bytes got": 0}

    def names(self, table: str, first_day: date | None = None) -> Iterator[str]:
        root = f"history/{table}/"
        after = root + (f"dt={first_day.isoformat()}/" if first_day else "")
        keys = (str(path.relative_to(self._folder)) for path in (self._folder / root).rglob("*.parquet"))
        return iter(sorted(key for key in keys if key > after))

    def read(self, key: str) -> bytes | None:
        path = self._folder / key
        if not path.exists():
            return None
        data = path.read_bytes()
        self.requests["GetObject"] += 1
        self.requests["bytes got"] += len(data)
        return data

    def put_new(self, key: str, data: bytes) -> bool:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.requests["PutObject"] += 1
        self.requests["bytes put"] += len(data)
        return True


def _aged(fleet: Any, items: int, archived: list[str] | None = None) -> Any:
    """A fleet that was loaded yesterday; with `archived`, it is in these files, and all but its objects has expired."""

    class Aged(fleet):  # type: ignore[misc]
        batch: Item | None = None
        units_read = units_written = 0.0

        def since(self, number: int, of: int) -> int:
            return int(YESTERDAY.timestamp() * 1000) + number * DAY_MS // of

        def object_item(self, number: int) -> Item:
            item: Item = super().object_item(number)
            if archived:
                gone = ("sent", "seen_at", "planned_at", "units")
                kept = {name: value for name, value in item.items() if name not in gone}
                return kept | {"archived": {"S": archived[number // OBJECTS_PER_FILE]}}
            entered = {"N": str(self.since(number, self.objects))}
            if self.marked[number]:
                return item | {"archived": {"S": "f"}}
            return item | {"open": {"S": open_shard("done", self.id(number))}, "since": entered}

        def lot_item(self, lot: int) -> Item:
            item: Item = super().lot_item(lot)
            reasons = {f"{number:012x}": {"wrong_type": 1000} for number in self.members(lot)}
            item |= {"reasons": pack(reasons)}
            if self.marked_lots[lot]:
                return item | {"archived": {"S": "f"}}
            entered = {"N": str(self.since(lot, self.lots))}
            return item | {"open": {"S": open_shard("committed", self.lot_id(lot))}, "since": entered}

        def find(self, pk: str) -> Item | None:
            return None if archived and not pk.startswith("object#") else super().find(pk)

        def prepare(self) -> None:
            self.lock = Lock()
            self.marked, self.marked_lots = bytearray(self.objects), bytearray(self.lots)
            self.shards: dict[str, Any] = {}
            for kind, count, name in (("done", self.objects, self.id), ("committed", self.lots, self.lot_id)):
                for number in range(0 if archived else count):
                    self.shards.setdefault(open_shard(kind, name(number)), array("L")).append(number)

        def _query(self, ExpressionAttributeValues: Any, **request: Any) -> Iterator[Any]:  # noqa: N803
            shard = ExpressionAttributeValues[":shard"]["S"]
            size = request.get("PaginationConfig", {}).get("PageSize", 5000)
            numbers, done = self.shards.get(shard, ()), shard.startswith("done")
            count = self.objects if done else self.lots
            for _, group in groupby(enumerate(numbers), lambda pair: pair[0] // size):
                self.requests["Query"] += 1
                page = [
                    {
                        "pk": {"S": f"object#{self.id(number)}" if done else f"lot#{self.lot_id(number)}"},
                        "open": {"S": shard},
                        "since": {"N": str(self.since(number, count))},
                    }
                    for _, number in group
                ]
                self.units_read += -(-sum(map(_size, page)) // (4 * KIB)) / 2
                yield {"Items": page}

        def _scan(self, **request: Any) -> Iterator[Any]:
            for page in super()._scan(**request):
                yield {"Items": [i for i in page["Items"] if not archived or i["pk"]["S"].startswith("object#")]}

        def batch_get_item(self, RequestItems: Any) -> dict[str, Any]:  # noqa: N803
            answer: dict[str, Any] = super().batch_get_item(RequestItems)
            self.units_read += sum(-(-_size(i) // (4 * KIB)) for some in answer["Responses"].values() for i in some)
            return answer

        def get_item(self, **_: Any) -> dict[str, Any]:
            self.requests["GetItem"] += 1
            return {"Item": self.batch} if self.batch else {}

        def put_item(self, Item: Any, **_: Any) -> None:  # noqa: N803
            self.requests["PutItem"] += 1
            self.units_written += -(-_size(Item) // KIB)
            self.batch = Item

        def transact_write_items(self, **_: Any) -> None:
            self.requests["TransactWriteItems"] += 1
            self.units_written += 2 * -(-_size(self.batch or {}) // KIB)
            self.batch = None

        def update_item(self, Key: Any, UpdateExpression: str, **_: Any) -> None:  # noqa: N803
            pk = Key["pk"]["S"]
            with self.lock:
                self.requests["UpdateItem"] += 1
                self.units_written += -(-_size(self.find(pk) or {}) // KIB)
                if "#open" in UpdateExpression:  # it leaves the index, too
                    self.units_written += 1
                    if pk.startswith("object#"):
                        self.marked[int(ObjectId.parse(pk.removeprefix("object#")).etag, 16)] = 1
                    else:
                        self.marked_lots[int(LotId.parse(pk.removeprefix("lot#")).token, 16)] = 1

    made = Aged(objects=items * 20 // 41)
    made.prepare()
    return made


def _size(item: Item) -> int:
    return sum(len(name) + len(next(iter(value.values()))) for name, value in item.items())


def _archive(fleet: Any, items: int, folder: Path) -> tuple[Any, dict[str, Any]]:
    client, files = _aged(fleet, items), FolderHistory(folder)
    done = archive(Ledger(client, "ledger", clock=NOW.timestamp), files)
    units = {"read units": round(client.units_read), "write units": round(client.units_written)}
    told = {"objects": done.objects, "lots": done.lots, "expiring units": done.expiring_units, "files": done.files}
    return client, {"items": client.items, **told, **units, "S3": files.requests}


def _history(fleet: Any, items: int, folder: Path) -> tuple[Any, dict[str, Any]]:
    files = FolderHistory(folder)
    client = _aged(fleet, items, list(files.names("objects")))
    ledger, past = Ledger(client, "ledger", clock=NOW.timestamp), History(files)
    found = loads(ledger, past, Choice(), 100)
    named = files_of(ledger, past, lots_of(found.kept))
    return client, {"loads": found.total, "rows": found.counts.read, "lots named": len(named), "S3": files.requests}


def _audit(fleet: Any, items: int, folder: Path) -> tuple[Any, dict[str, Any]]:
    files = FolderHistory(folder)
    client = _aged(fleet, items, list(files.names("objects")))
    ledger = Ledger(client, "ledger", clock=NOW.timestamp)
    found = audit(ledger, S3Listings(client, BRONZE, SILVER), now=NOW + timedelta(days=60), history=History(files))
    codes = {str(code): number for code, number in found.findings.numbers.items()}
    return client, {"findings": codes, "done": sum(found.objects.values()), "history rows": found.history_rows}


CASES: dict[str, Callable[[Any, int, Path], tuple[Any, dict[str, Any]]]] = {
    "archive": _archive,
    "history": _history,
    "audit-expired": _audit,
}
