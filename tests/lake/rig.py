"""The pipeline and its lake on this machine: real transform and publishing, a folder for the bucket, SQLite's catalog.

The ledger is in memory. Every call to it, to the catalog and to the folder can be the last one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.table import Table

from services.ops.history.reader import History
from services.ops.lake.catalog import LakeCatalog, sqlite_catalog
from services.ops.lake.maintenance import Maintained, Maintenance
from services.ops.lake.publish import Published, Publisher
from services.ops.lake.run import publish
from services.ops.lake.store import FolderStore, StoredFile
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox
from tests.faults.rig import Rig
from tests.support.faults import LEDGER_CALLS, Crash, Interrupted, Interrupter
from tests.support.history import MemoryHistory
from tests.support.lake import MemoryLake
from workbench.inprocess.dynamodb import TABLE, MemoryDynamoDB

STORE_CALLS = ("read", "put", "delete", "list")
CATALOG_CALLS = ("load_table", "create_table", "create_namespace", "commit_table")
ENDLESS = Deadline.endless()


class FolderLake(MemoryLake):
    """Objects in memory, the files of the lake in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def put(self, key: str, data: bytes) -> str:
        (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / key).write_bytes(data)
        return super().put(key, data)

    def delete(self, keys: Iterable[str]) -> None:
        listed = list(keys)
        super().delete(listed)
        for key in listed:
            (self.folder / key).unlink(missing_ok=True)


class BreakableCatalog:
    """A catalog whose calls go through an interrupter, those that its tables make included."""

    def __init__(self, catalog: Any, interrupter: Interrupter) -> None:
        self._catalog, self._interrupter = catalog, interrupter

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._catalog, name)
        if name not in CATALOG_CALLS:
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            found = self._interrupter.call(name, attribute, *args, **kwargs)
            if isinstance(found, Table):
                found.catalog = self  # type: ignore[assignment]
            return found

        return call


class Ahead:
    """The store for somebody whose clock is ahead: what is written from now on is as new to them as it is to us."""

    def __init__(self, store: Any, known: Iterable[StoredFile], ahead: timedelta) -> None:
        self._store, self._known, self._ahead = store, {file.key for file in known}, ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, prefix: str, after: str = "") -> Iterator[StoredFile]:
        for file in self._store.list(prefix, after):
            yield file if file.key in self._known else replace(file, modified=file.modified + self._ahead)


@dataclass
class LakeRig:
    """One pipeline with a lake."""

    folder: Path
    contracts: Mapping[str, Contract]
    unit_bytes: int = 1 << 20
    rig: Rig = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rig = Rig(
            MemoryDynamoDB(),
            TABLE,
            self.contracts,
            self.unit_bytes,
            lake=FolderLake(self.folder),
            outboxes=frozenset({Outbox.PUBLISH}),
        )
        self.store = FolderStore(self.folder)
        self.history = MemoryHistory()

    def catalog(self, interrupter: Interrupter | None = None) -> LakeCatalog:
        catalog: Any = sqlite_catalog(self.folder / "catalog.db")
        if interrupter:
            catalog = BreakableCatalog(catalog, interrupter)
        return LakeCatalog(catalog, "lake", self.store.root)

    def parts(self, interrupter: Interrupter | None = None) -> tuple[Ledger, LakeCatalog, Any]:
        """Ledger, catalog and store; each call of them goes through the interrupter."""
        if interrupter is None:
            return self.rig.ledger, self.catalog(), self.store
        client = Interrupted(self.rig.dynamodb, interrupter, LEDGER_CALLS)
        ledger = Ledger(client, self.rig.table, self.rig.clock, self.rig.outboxes)
        return ledger, self.catalog(interrupter), Interrupted(self.store, interrupter, STORE_CALLS)

    def publish(self, interrupter: Interrupter | None = None, lots_per_commit: int = 500) -> Published | None:
        """One run of the publisher; None where it crashed."""
        ledger, catalog, store = self.parts(interrupter)
        try:
            publisher = Publisher(
                ledger, catalog, store, self.contracts, ENDLESS, lots_per_commit=lots_per_commit, removers=1
            )
            return publisher.run()
        except Crash:
            return None

    def backfill(self, interrupter: Interrupter | None = None, again: bool = False) -> Published | None:
        """One run of publisher and backfill; None where it crashed."""
        ledger, catalog, store = self.parts(interrupter)
        try:
            return publish(
                ledger, catalog, store, self.contracts, History(self.history), ENDLESS, again=again, removers=1
            )
        except Crash:
            return None

    def maintain(self, after: timedelta = timedelta(0), interrupter: Interrupter | None = None) -> Maintained | None:
        """Maintenance of the table `after` some time; None where it crashed."""
        ledger, catalog, store = self.parts(interrupter)
        now, ahead = datetime.now(UTC) + after, Ahead(store, self.store.list(""), after)
        try:
            return Maintenance(ledger, catalog, ahead, ENDLESS, lambda: now).run("shipments")
        except Crash:
            return None

    def table(self, dataset: str = "shipments") -> Table:
        found = self.catalog().find(dataset)
        assert found is not None
        return found

    def rows(self, dataset: str = "shipments", snapshot: int | None = None) -> pa.Table:
        return self.table(dataset).scan(snapshot_id=snapshot).to_arrow()

    def positions(self, dataset: str = "shipments") -> Counter[tuple[str, int]]:
        """How often each row, by source and offset, is in the table."""
        found = self.catalog().find(dataset)
        return positions_of(found.scan().to_arrow()) if found else Counter()

    def in_silver(self, dataset: str = "shipments") -> Counter[tuple[str, int]]:
        """The same of committed files of Silver, as the ledger has them."""
        found: Counter[tuple[str, int]] = Counter()
        for lot in self.lots():
            for file in lot.files:
                if file.key.startswith(f"silver/{dataset}/"):
                    found += positions_of(pq.read_table(self.folder / file.key, columns=["_source", "_offset"]))
        return found

    def lots(self) -> list[Any]:
        return [lot for lot in self.rig.ledger.scan() if hasattr(lot, "files") and lot.state.holds_rows]

    def snapshots(self, dataset: str = "shipments") -> int:
        return len(self.table(dataset).snapshots())

    def check(self, *datasets: str) -> None:
        """Each committed row is in its table exactly once, and nothing waits."""
        for dataset in datasets or ("shipments",):
            assert self.positions(dataset) == self.in_silver(dataset)
        assert not list(self.rig.ledger.open_entries("publish"))

    def settle(self) -> None:
        """Leases end, and what was interrupted is done again."""
        self.rig.clock.advance(2000)
        for _ in range(3):
            done = self.publish()
            assert done is not None
            assert done.all_right, done.problems
        self.rig.tidy()


def positions_of(table: pa.Table) -> Counter[tuple[str, int]]:
    return Counter(zip(table["_source"].to_pylist(), table["_offset"].to_pylist(), strict=True))


def day(number: int) -> str:
    return date(2026, 1, number).isoformat()


Make = Callable[[], LakeRig]
