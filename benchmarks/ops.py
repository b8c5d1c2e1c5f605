#!/usr/bin/env python3
"""Time, memory and requests of operators' commands over a large ledger.

usage: python -m benchmarks.ops [--items 1000000] [--json] [--only CASE,CASE]

audit, sweep (of one very large object); replay and reconcile (nothing to do; with -stuck, nine in ten must be sent
again); archive (everything was loaded yesterday), history (all of it, archived and expired), audit-expired (the same
audit as the first, with lots and units in the history alone).

Real: the ledger's code, its parsing of DynamoDB items, the audit, its spool on disk, the sweep. Fake: the network. The
clients make pages as DynamoDB (1 MB of a scan, 100 items of a batch) and S3 (1,000 entries) make them, out of numbers,
so that they need no memory; what botocore takes to parse an answer, and what the services take to answer, is not in it.
Each case runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

from benchmarks import history
from services.ops.audit.audit import audit
from services.ops.audit.listings import S3Listings
from services.ops.audit.spool import Spool
from services.ops.bronze import S3Bronze
from services.ops.reconcile import reconcile
from services.ops.replay.planning import ReplayRequest, Verdict, plan_replay
from services.ops.sweep import sweep
from services.shared.identities import LakeKey, LotId, ObjectId, UnitId
from services.shared.ledger.items import OPEN_SHARDS, Item, object_key, open_shard, pack, unit_key
from services.shared.ledger.ledger import Ledger
from services.shared.planning.planner import Planner

BRONZE, SILVER = "company-data-bronze", "company-data-silver"
PAGE_BYTES = 1_000_000
_COUNTING = Lock()  # look-ups run side by side
CREATED = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW = CREATED + timedelta(days=2)
CASES = ("generate", "audit", "sweep", "replay", "replay-stuck", "reconcile", "reconcile-stuck")
LARGE_UNITS = 800_000  # S3's largest object in units of 64 MiB


@dataclass
class Fleet:
    """A ledger of objects of one unit each (as most are), in lots of `per_lot` units with two files, by arithmetic.

    Of every thousand lots the files of one are missing, so that there are suspects to be read again; of every thousand
    objects one was never announced.
    """

    objects: int
    per_lot: int = 20
    requests: Counter[str] = field(default_factory=Counter)

    @property
    def lots(self) -> int:
        return -(-self.objects // self.per_lot)

    @property
    def items(self) -> int:
        return 2 * self.objects + self.lots

    # -- the ledger's items ----------------------------------------------------------------------------------

    def id(self, number: int) -> ObjectId:
        key = f"bronze/shipments/2026/01/31/part-{number:09d}-of-one-day.jsonl.gz"
        return ObjectId(BRONZE, key, f"{number:032x}")

    def unit(self, number: int) -> UnitId:
        return UnitId(self.id(number), 0, 4_000_000)

    def lot_id(self, lot: int) -> LotId:
        return LotId("20260131T120000Z", f"{lot:016x}")

    def object_item(self, number: int) -> Item:
        return object_key(self.id(number)) | {
            "state": {"S": "DONE"},
            "size": {"N": "4000000"},
            "step": {"N": "4000000"},
            "units": {"N": "1"},
            "sent": {"N": "1"},
            "created": {"S": CREATED.isoformat()},
            "seen_at": {"S": CREATED.isoformat()},
            "planned_at": {"S": CREATED.isoformat()},
            "done_at": {"S": CREATED.isoformat()},
        }

    def unit_item(self, number: int) -> Item:
        return unit_key(self.unit(number)) | {"lot": {"S": str(self.lot_id(number // self.per_lot))}}

    def files(self, lot: int) -> list[list[Any]]:
        rows = len(self.members(lot)) * 10_000
        return [
            [
                str(LakeKey(root, "shipments", day, self.lot_id(lot), "0" * 8)),
                share * rows // 10,
                1_000_000,
                f"{lot:032x}",
            ]
            for root, day, share in (("quarantine", "2026-01-31", 1), ("silver", "2026-01-30", 9))
        ]

    def members(self, lot: int) -> range:
        return range(lot * self.per_lot, min((lot + 1) * self.per_lot, self.objects))

    def lot_item(self, lot: int) -> Item:
        members = self.members(lot)
        rows = len(members) * 10_000
        return {
            "pk": {"S": f"lot#{self.lot_id(lot)}"},
            "state": {"S": "COMMITTED"},
            "units": pack([str(self.unit(number)) for number in members]),
            "unit_counts": pack([[10_000, 9_000, 1_000]] * len(members)),
            "files": pack(self.files(lot)),
            "contracts": {"S": '{"shipments": "1.0.0"}'},
            "lease_token": {"S": "0123456789abcdef"},
            "rows_read": {"N": str(rows)},
            "rows_silver": {"N": str(rows * 9 // 10)},
            "rows_quarantined": {"N": str(rows // 10)},
        }

    def find(self, pk: str) -> Item | None:
        kind, _, name = pk.partition("#")
        if kind == "lot":
            return self.lot_item(int(LotId.parse(name).token, 16))
        id_ = ObjectId.parse(name) if kind == "object" else UnitId.parse(name).object
        number = int(id_.etag, 16)
        if number >= self.objects:
            return None
        return self.object_item(number) if kind == "object" else self.unit_item(number)

    # -- DynamoDB --------------------------------------------------------------------------------------------

    def get_paginator(self, operation: str) -> Any:
        return _Pages(getattr(self, f"_{operation}"))

    def _scan(self, **_: Any) -> Iterator[dict[str, Any]]:
        """Objects, units and lots of ranges of the fleet in turn, so that nothing comes in a helpful order."""
        step, lots = 1000 * self.per_lot, 1000
        for part in range(-(-self.objects // step)):
            numbers = range(part * step, min((part + 1) * step, self.objects))
            of_lots = range(part * lots, min((part + 1) * lots, self.lots))
            items = chain(
                map(self.unit_item, reversed(numbers)),
                map(self.lot_item, of_lots),
                map(self.object_item, numbers),
            )
            page, size = list[Item](), 0
            for item in items:
                page.append(item)
                size += _size(item)
                if size >= PAGE_BYTES:
                    self.requests["Scan"] += 1
                    self.requests["scanned bytes"] += size
                    yield {"Items": page}
                    page, size = [], 0
            self.requests["Scan"] += 1
            self.requests["scanned bytes"] += size
            yield {"Items": page}

    def batch_get_item(self, RequestItems: Any) -> dict[str, Any]:  # noqa: N803 (AWS's name)
        ((table, asked),) = RequestItems.items()
        found = [item for key in asked["Keys"] if (item := self.find(key["pk"]["S"]))]
        missing = len(asked["Keys"]) - len(found)
        with _COUNTING:
            self.requests["BatchGetItem"] += 1
            self.requests["read units"] += missing + sum(-(-_size(item) // 4096) for item in found)
        return {"Responses": {table: found}}

    def _query(self, ExpressionAttributeValues: Any, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: ARG002, N803
        """Nothing is open."""
        self.requests["Query"] += 1
        yield {"Items": []}

    # -- S3 --------------------------------------------------------------------------------------------------

    def _list_object_versions(self, **_: Any) -> Iterator[dict[str, Any]]:
        total = self.objects + self.objects // 1000  # the last ones were never announced
        for first in range(0, total, 1000):
            self.requests["ListObjectVersions"] += 1
            yield {"Versions": [self._version(number) for number in range(first, min(first + 1000, total))]}

    def list_object_versions(self, KeyMarker: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.requests["ListObjectVersions (again)"] += 1
        number = int(KeyMarker.split("part-")[1][:9])
        found = [self._version(near) for near in range(number, number + 1000)]
        return {"Versions": found, "IsTruncated": True, "NextKeyMarker": found[-1]["Key"]}

    def _version(self, number: int) -> dict[str, Any]:
        id_ = self.id(number)
        return {
            "Key": id_.key,
            "ETag": f'"{id_.etag}"',
            "Size": 4_000_000,
            "VersionId": f"{number:032x}",
            "LastModified": CREATED,
        }

    def _list_objects_v2(self, Prefix: str, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        if Prefix.startswith("bronze/"):
            for page in self._list_object_versions():
                self.requests["ListObjectsV2"] += 1
                self.requests["ListObjectVersions"] -= 1
                yield {"Contents": page["Versions"]}
            return
        for first in range(0, self.lots, 1000):
            self.requests["ListObjectsV2"] += 1
            lots = (lot for lot in range(first, min(first + 1000, self.lots)) if lot % 1000 != 7)
            files = (file for lot in lots for file in self.files(lot) if file[0].startswith(Prefix))
            yield {"Contents": [_listed(file) for file in files]}

    def list_objects_v2(self, StartAfter: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.requests["ListObjectsV2 (again)"] += 1
        return {"Contents": [{"Key": f"{StartAfter}~", "Size": 1, "ETag": '"e"'}], "IsTruncated": True}


@dataclass
class Stuck(Fleet):
    """The same objects, all planned. Every tenth was committed, and the messages of the others are lost."""

    def object_item(self, number: int) -> Item:
        state = {"state": {"S": "PLANNED"}, "open": {"S": open_shard("object", self.id(number))}, "since": {"N": "1"}}
        return super().object_item(number) | state

    def find(self, pk: str) -> Item | None:
        if pk.startswith("unit#") and int(UnitId.parse(pk.removeprefix("unit#")).object.etag, 16) % 10:
            return None
        return super().find(pk)

    def _query(self, ExpressionAttributeValues: Any, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        """Shards of equal size; which objects are in which does not matter here. 1 MB are about 4,500 entries."""
        kind, _, shard = ExpressionAttributeValues[":shard"]["S"].partition("#")
        numbers = range(int(shard), self.objects if kind == "object" else 0, OPEN_SHARDS)
        for first in range(0, len(numbers), 4500):
            self.requests["Query"] += 1
            yield {
                "Items": [
                    object_key(self.id(number)) | {"open": {"S": f"object#{shard}"}, "since": {"N": "1"}}
                    for number in numbers[first : first + 4500]
                ]
            }

    def update_item(self, **_: Any) -> None:
        self.requests["UpdateItem"] += 1

    def put_item(self, **_: Any) -> None:
        self.requests["PutItem"] += 1


@dataclass
class OneLargeObject(Fleet):
    """One object of LARGE_UNITS units, all committed, in lots of 99: what the sweep has to walk."""

    per_lot: int = 99
    done: bool = False

    def id(self, number: int) -> ObjectId:  # noqa: ARG002 (there is one)
        return ObjectId(BRONZE, "bronze/shipments/large.jsonl", "e" * 32)

    def unit(self, number: int) -> UnitId:
        return UnitId(self.id(0), number * 64, (number + 1) * 64)

    def find(self, pk: str) -> Item | None:
        if pk.startswith("lot#"):
            return self.lot_item(int(LotId.parse(pk.removeprefix("lot#")).token, 16))
        if pk.startswith("unit#"):
            return self.unit_item(UnitId.parse(pk.removeprefix("unit#")).start // 64)
        state = {"state": {"S": "DONE" if self.done else "PLANNED"}}
        return self.object_item(0) | state | {"size": {"N": str(64 * self.objects)}, "step": {"N": "64"}}

    def _query(self, ExpressionAttributeValues: Any, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        self.requests["Query"] += 1
        shard = open_shard("object", self.id(0))
        if ExpressionAttributeValues[":shard"]["S"] == shard:
            yield {"Items": [object_key(self.id(0)) | {"open": {"S": shard}, "since": {"N": "1"}}]}

    def get_item(self, **_: Any) -> dict[str, Any]:
        self.requests["GetItem"] += 1
        return {}

    def put_item(self, **_: Any) -> None:
        self.requests["PutItem"] += 1

    def delete_item(self, **_: Any) -> None:
        self.requests["DeleteItem"] += 1

    def update_item(self, **_: Any) -> None:
        self.requests["UpdateItem"] += 1
        self.done = True


@dataclass
class _Pages:
    make: Any

    def paginate(self, **request: Any) -> Any:
        return self.make(**request)


def _listed(file: list[Any]) -> dict[str, Any]:
    return {"Key": file[0], "Size": file[2], "ETag": f'"{file[3]}"'}


def _size(item: Item) -> int:
    """Bytes as DynamoDB counts them: names and values."""
    return sum(len(name) + len(next(iter(value.values()))) for name, value in item.items())


def measure(case: str, items: int, folder: Path) -> dict[str, Any]:
    """Run one case in this process. The history is in `folder`, from one case to the next."""
    largest = [0]
    close = Spool.__exit__

    def noting(spool: Spool, *told: Any) -> None:
        largest[0] = spool.bytes
        close(spool, *told)

    Spool.__exit__ = noting  # type: ignore[method-assign]
    begun, cpu = time.monotonic(), time.process_time()
    if case == "audit":
        client: Any = Fleet(objects=items * 20 // 41)
        found = audit(Ledger(client, "ledger"), S3Listings(client, BRONZE, SILVER), now=NOW)
        result: dict[str, Any] = {
            "items": client.items,
            "findings": {str(code): number for code, number in found.findings.numbers.items()},
            "done": sum(found.objects.values()),
        }
    elif case.startswith("replay"):
        client = (Stuck if "stuck" in case else Fleet)(objects=items)
        verdicts = Counter[Verdict]()
        request = ReplayRequest("bronze/shipments/", CREATED - timedelta(days=1), NOW)
        for page in plan_replay(Ledger(client, "ledger"), S3Bronze(client, BRONZE), request):
            verdicts.update(candidate.verdict for candidate in page.candidates)
        result = {"verdicts": {str(verdict): number for verdict, number in verdicts.items()}}
    elif case.startswith("reconcile"):
        client = (Stuck if "stuck" in case else Fleet)(objects=items)
        sent = Counter[str]()
        planner = Planner(Ledger(client, "ledger"), BRONZE, 1 << 26, lambda bodies: sent.update(messages=len(bodies)))
        dry_run = "stuck" not in case  # there, what was never announced is not planned: the fake ledger takes no object
        found_now = reconcile(Ledger(client, "ledger"), S3Bronze(client, BRONZE), planner, dry_run=dry_run, now=NOW)
        result = found_now.to_json() | {"sent": sent["messages"]}
    elif case == "generate":  # what the fake clients alone take
        client = Fleet(objects=items * 20 // 41)
        for pages in (client._scan(), client._list_object_versions(), client._list_objects_v2(Prefix="")):
            for _ in pages:
                pass
        result = {"items": client.items}
    elif case in history.CASES:
        client, result = history.CASES[case](Fleet, items, folder)
    else:
        client = OneLargeObject(objects=LARGE_UNITS)
        swept = sweep(Ledger(client, "ledger"), client)
        result = {"units": LARGE_UNITS, "marked done": swept.done}
    return result | {
        "seconds": round(time.monotonic() - begun, 1),
        "CPU seconds": round(time.process_time() - cpu, 1),
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "spool MB": largest[0] // 1_000_000,
        "requests": dict(client.requests),
    }


def main() -> None:
    words = sys.argv[1:]
    if words[:1] == ["--case"]:
        print(json.dumps(measure(words[1], int(words[2]), Path(words[3]))))
        return
    items = int(words[words.index("--items") + 1]) if "--items" in words else 1_000_000
    cases = [*CASES, *history.CASES]
    asked = words[words.index("--only") + 1].split(",") if "--only" in words else cases
    with tempfile.TemporaryDirectory(prefix="smelt-history-") as folder:
        for case in asked:
            command = [sys.executable, "-m", "benchmarks.ops", "--case", case, str(items), folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
            told = json.loads(done.stdout)
            print(json.dumps({"case": case} | told) if "--json" in words else f"{case}: {told}", flush=True)


if __name__ == "__main__":
    main()
