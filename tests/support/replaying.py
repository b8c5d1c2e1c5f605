"""A rig with everything in front of its queue: Bronze to be listed and copied, ingest, replay and reconcile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.ops.bronze import Versions
from services.ops.reconcile import OLDER_THAN, Reconciled, Scope, reconcile
from services.ops.replay.copying import Copier
from services.ops.replay.planning import ReplayRequest
from services.ops.replay.running import Announce, ByCopying, BySending, Force, Replay, Summary
from services.shared.deadline import Deadline
from services.shared.identities import ObjectId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld
from services.shared.planning.copies import ORIGIN_ETAG
from services.shared.planning.planner import Planned, Planner
from services.shared.units import BronzeObject, Plan
from tests.faults.rig import Rig
from tests.support.faults import LEDGER_CALLS, Interrupted, Interrupter
from tests.support.lake import BRONZE, CREATED
from tests.support.queue import record

RUN = "bronze/replay/run"
EVERYTHING = ReplayRequest("bronze/")


@dataclass
class MemoryBronze:
    """The rig's Bronze as a listing, and as the S3 client that copies. `old` are overwritten or deleted versions."""

    rig: Rig
    bucket: str = BRONZE
    metadata: dict[str, str] = field(default_factory=dict)  # key -> the etag that the copy names
    copied: list[BronzeObject] = field(default_factory=list)
    page: int = 2
    old: set[ObjectId] = field(default_factory=set)

    def objects(self, prefix: str, after: str = "") -> Iterator[list[BronzeObject]]:
        for page in self._contents(prefix, after):
            yield [one for one in page if one.id not in self.old]

    def _contents(self, prefix: str, after: str) -> Iterator[list[BronzeObject]]:
        found = [self._listed(ObjectId.parse(id_), data) for id_, data in self.rig.lake.objects.items()]
        found = [one for one in found if one.key.startswith(prefix) and one.key.encode() > after.encode()]
        found = [one for one in found if self.rig.name in one.key]
        found.sort(key=lambda one: one.key.encode())
        for first in range(0, len(found), self.page):
            yield found[first : first + self.page]

    def versions(self, prefix: str, after: str = "") -> Iterator[Versions]:
        for page in self._contents(prefix, after):
            yield Versions.of(page, [one.key for one in page], [one.id for one in page if one.id not in self.old])

    def pinned(self, source: BronzeObject) -> BronzeObject | None:
        return source if str(source.id) in self.rig.lake.objects else None

    def _listed(self, id_: ObjectId, data: bytes) -> BronzeObject:
        return BronzeObject(id_.bucket, id_.key, len(data), id_.etag, None, CREATED)

    def copy_object(self, Bucket: str, Key: str, Metadata: Any, CopySource: Any, **_: Any) -> None:  # noqa: N803
        """What is copied gets an etag of its own, as S3 gives where uploads had parts."""
        source = next(one for page in self.objects(CopySource["Key"]) for one in page)
        self.put_copy(Key, source.id, Metadata[ORIGIN_ETAG])
        assert Bucket == BRONZE

    def put_copy(self, key: str, source: ObjectId, told: str) -> BronzeObject:
        data = self.rig.lake.objects[str(source)]
        copy = BronzeObject(BRONZE, key, len(data), hashlib.md5(data).hexdigest(), None, CREATED)  # noqa: S324 (an etag)
        self.rig.lake.objects[str(copy.id)] = data
        self.metadata[key] = told
        self.copied.append(copy)
        return copy

    def origin_etag(self, copy: BronzeObject) -> str:
        return self.metadata.get(copy.key) or copy.etag


@dataclass
class Desk:
    """What ingest and operators do to a rig. `queue` holds the bodies that nobody has received yet."""

    rig: Rig
    queue: list[str] = field(default_factory=list)
    late: list[BronzeObject] = field(default_factory=list)  # whose events Lambda hands over once more
    _receipts: int = 0

    def __post_init__(self) -> None:
        self.bronze = MemoryBronze(self.rig)

    # -- in front of the queue ---------------------------------------------------------------------------------

    def upload(self, dataset: str, lines: Sequence[bytes], etag: str = "", suffix: str = ".jsonl") -> BronzeObject:
        """An object that nobody has announced. Its rows are expected."""
        data = b"".join(line + b"\n" for line in lines)
        source = self.rig.lake.upload(f"bronze/{dataset}/{self.rig.name}-{len(self.rig.lake.objects)}{suffix}", data)
        if etag:
            del self.rig.lake.objects[str(source.id)]
            source = replace(source, etag=etag)
            self.rig.lake.objects[str(source.id)] = data
        self.rig.expect(source, lines)
        self.rig.units += Plan.of(source, self.rig.unit_bytes)
        return source

    def planner(self, stops: Interrupter | None = None) -> Planner:
        stops = stops or Interrupter()

        def send(bodies: Sequence[str]) -> None:
            stops.call("send", self.queue.extend, bodies)

        return Planner(self.ledger(stops), BRONZE, self.rig.unit_bytes, send, self.bronze.origin_etag)

    def ledger(self, stops: Interrupter) -> Ledger:
        client: Any = Interrupted(self.rig.dynamodb, stops, LEDGER_CALLS)
        return Ledger(client, self.rig.table, self.rig.clock)

    def ingest(self, source: BronzeObject, stops: Interrupter | None = None) -> Planned:
        return self.planner(stops).plan(source, Deadline(lambda: 60.0, 5.0))

    def ingest_copies(self) -> list[Planned]:
        """S3 tells ingest of every copy that was made."""
        copies, self.bronze.copied = self.bronze.copied, []
        return [planned for copy in copies if (planned := self.announce(copy))]

    def announce(self, source: BronzeObject) -> Planned | None:
        """S3 tells ingest. Where another invocation is planning the same object, Lambda tries again later."""
        try:
            return self.ingest(source)
        except LeaseHeld:
            self.late.append(source)
            return None

    def deliver(self) -> None:
        """Everything on the queue is delivered, until nothing comes back."""
        for _ in range(30):
            self.rig.clock.advance(2 * self.rig.invocation_seconds)
            late, self.late = self.late, []
            for source in late:
                self.announce(source)
            if not self.queue and not self.late:
                return
            bodies, self.queue = self.queue, []
            records = []
            for body in bodies:
                self._receipts += 1
                records.append(record(body, f"q-{self._receipts}"))
            result = self.rig.deliver_records(records)
            assert result is not None
            self.queue += [one["body"] for one in records if one["messageId"] in result.failed]
        raise AssertionError("messages come back for ever")

    # -- operators ---------------------------------------------------------------------------------------------

    def replay_by_copy(
        self,
        request: ReplayRequest = EVERYTHING,
        prefix: str = RUN,
        stops: Interrupter | None = None,
        announce: Announce | None = None,
        with_ledger: bool = True,
        force: Force | None = None,
    ) -> Summary:
        stops = stops or Interrupter()
        client: Any = Interrupted(self.bronze, stops, ["copy_object"])
        way = ByCopying(Copier(client, prefix), self.bronze, announce, force)
        ledger = self.ledger(stops) if with_ledger else None
        summary, place = Replay(self.bronze, ledger, way, self.bronze.origin_etag, jobs=1).run(request)
        assert place is None
        return summary

    def replay_by_sending(
        self, request: ReplayRequest = EVERYTHING, stops: Interrupter | None = None, force: Force | None = None
    ) -> Summary:
        stops = stops or Interrupter()
        way = BySending(self.planner(stops), self.bronze, force)
        summary, place = Replay(self.bronze, self.ledger(stops), way, self.bronze.origin_etag, jobs=1).run(request)
        assert place is None
        return summary

    def reconcile(
        self, stops: Interrupter | None = None, older_than: timedelta = OLDER_THAN, **more: Any
    ) -> Reconciled:
        stops = stops or Interrupter()
        more = {"scope": Scope()} | more
        now = datetime.fromtimestamp(self.rig.clock.now, UTC)
        return reconcile(self.ledger(stops), self.bronze, self.planner(stops), older_than, now=now, **more)

    def hours(self, number: float) -> None:
        self.rig.clock.advance(3600 * number)

    def check(self) -> None:
        """Every row is where it belongs, once, and nothing is open that a sweep would not close."""
        self.rig.check_exactly_once()
