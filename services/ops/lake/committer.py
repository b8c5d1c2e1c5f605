"""The one way to change a table: some files go, some come, in one snapshot, from exactly what was looked at.

    load the table --> look at the partitions --> decide --> check each new file --> commit on that snapshot
         ^                                                                              |
         '------------------------ somebody else was faster: look again ----------------'

Iceberg's own retry would add the same files to a table in which they are meanwhile, and a delete by predicate would
take what was published meanwhile. So the table has `commit.retry.num-retries=0`, files that go are named, and a
commit counts only on the snapshot that was looked at. Where the outcome of a commit is not known, the next look tells:
what is live is not added again.

Old snapshots that name files which a rewrite has replaced are forgotten in the very commit that replaces them: these
files are about to be deleted.

A commit can be overtaken by a rewrite that has nothing to change in the table, since what it replaces is not there yet.
Such a change is a `barrier`: a snapshot without files, on which nobody's earlier look counts any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH

from services.ops.lake.bounds import data_file
from services.ops.lake.catalog import LakeCatalog
from services.ops.lake.forgetting import ForgetSnapshots
from services.ops.lake.live import Live, LiveFile, day_of, day_text, read_live
from services.ops.lake.schema import SchemaConflict, check_file, with_earlier
from services.ops.lake.store import Store
from services.shared.contract.model import Contract
from services.shared.errors import Terminal, Transient
from services.shared.lake import LakeForbidden

LONGEST_COMMIT = 1800.0  # seconds; what nothing names is deleted when it is older, see `maintenance`
READERS = 16  # footers that are read at once
_TOLD = 3  # files that a message names
_TRIES = 4  # against somebody else who commits to the same table


class TableBusy(Transient):
    """Somebody else commits to the table again and again."""


class HeldByTag(Terminal):
    """A tag or a branch, which smelt never makes, keeps a snapshot that must be forgotten."""


class WrongFile(Terminal):
    """Files are not what the ledger, or a manifest, says of them, or their columns are not the table's."""

    def __init__(self, wrong: Mapping[str, str], unfit: Iterable[str] = ()) -> None:
        self.wrong = wrong  # what is wrong with each, by key
        self.unfit = frozenset(unfit)  # those of them whose columns are not the table's
        super().__init__("; ".join([f"{key} {what}" for key, what in wrong.items()][:_TOLD]))


class NewFile(Protocol):
    """A file that comes, with what is known of it."""

    @property
    def key(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def bytes(self) -> int: ...


@dataclass(slots=True)
class Change:
    """Files that come and go. `since`: the first snapshot (its sequence number) that must not be kept.

    `barrier`: also where no file comes or goes, no commit from an earlier look at the table may land behind this one.
    """

    add: dict[str, NewFile] = field(default_factory=dict)
    remove: dict[str, LiveFile] = field(default_factory=dict)
    since: int | None = None
    barrier: bool = False

    def forget(self, sequence: int) -> None:
        self.since = sequence if self.since is None else min(self.since, sequence)

    def __bool__(self) -> bool:
        return bool(self.add or self.remove or self.barrier)


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did; `snapshot_id` is None where there was nothing to do."""

    snapshot_id: int | None = None
    added: int = 0  # files
    removed: int = 0
    forgotten: int = 0  # snapshots
    races: int = 0  # that were lost before


class Committer:
    """Commits to one table. Whoever uses it holds the table's lease.

    A table whose dataset has no contract any more stays as it is, and gets and loses files like every other.
    """

    def __init__(self, catalog: LakeCatalog, store: Store, dataset: str, contract: Contract | None) -> None:
        self._catalog, self._store, self._dataset, self._contract = catalog, store, dataset, contract

    def commit(self, days: Iterable[str], decide: Callable[[Live], Change], about: Mapping[str, str]) -> Committed:
        """Make the change that `decide` finds in what the table has now of these days.

        `about` becomes part of the snapshot's summary.

        Raises:
            WrongFile: a file that comes does not fit; nothing has changed.
            SchemaConflict: the contract does not fit the table.
            HeldByTag: a snapshot that must be forgotten has a tag or a branch.
            TableBusy: somebody else was faster each time.
        """
        looked_at = frozenset(days)
        for races in range(_TRIES):
            try:
                return self._try(looked_at, decide, about, races)
            except CommitFailedException:
                continue
        raise TableBusy(f"the table {self._dataset}: somebody else commits to it; it is tried again later")

    def _try(
        self, days: frozenset[str], decide: Callable[[Live], Change], about: Mapping[str, str], races: int
    ) -> Committed:
        began = time.time()
        table = self._catalog.ensure(self._contract) if self._contract else self._catalog.find(self._dataset)
        if table is None:
            raise CommitFailedException("somebody has just dropped the table")
        change = decide(read_live(table, self._store, days))
        if not change:
            return Committed(races=races)
        try:
            coming = data_files(table, self._store, list(change.add.values()))
        except WrongFile as error:
            if self._grow(table, error.unfit):
                raise CommitFailedException("the table has grown: it is looked at again") from error
            raise
        old = [s.snapshot_id for s in table.snapshots() if change.since is not None and _number(s) >= change.since]
        transaction = table.transaction()
        update = transaction.update_snapshot(snapshot_properties=dict(about))
        with update.overwrite() if change.remove else update.merge_append() as snapshot:
            for coming_file in coming:
                snapshot.append_data_file(coming_file)
            for live in change.remove.values():
                snapshot.delete_data_file(live.data_file)
        if time.time() - began > LONGEST_COMMIT:  # maintenance may have deleted what we have written
            raise TableBusy(f"the table {self._dataset}: this commit took too long; it is tried again later")
        if old:
            _check_no_tag(table, old)
            ForgetSnapshots(transaction).by_ids(old).commit()
        done = transaction.commit_transaction()
        current = done.current_snapshot()
        return Committed(current.snapshot_id if current else None, len(change.add), len(change.remove), len(old), races)

    def _grow(self, table: Table, keys: Iterable[str]) -> bool:
        """Whether the table has got columns that these files have from earlier contracts, and that it had not."""
        if self._contract is None:
            return False
        schema = table.schema()
        for key in keys:
            with suppress(OSError, ValueError), table.io.new_input(f"{self._store.root}{key}").open() as opened:
                schema = with_earlier(schema, self._contract, pq.read_schema(opened)) or schema
        if schema == table.schema():
            return False
        self._catalog.grow(table, Schema(*schema.fields, schema_id=table.schema().schema_id + 1))
        return True


def _check_no_tag(table: Table, snapshots: Sequence[int]) -> None:
    tagged = sorted(named for id_, names in names_of_snapshots(table).items() if id_ in snapshots for named in names)
    if tagged:
        raise HeldByTag(
            f"the tag or branch {tagged[0]} keeps a snapshot with rows that were retracted or retried, or were in one "
            f"compaction with such. Drop it, such as by ALTER TABLE ... DROP TAG `{tagged[0]}` in Spark"
        )


def names_of_snapshots(table: Table) -> dict[int, list[str]]:
    """Tags and branches by the snapshot that they name, without the table's own branch."""
    found: dict[int, list[str]] = {}
    for name, ref in table.refs().items():
        if name != MAIN_BRANCH:
            found.setdefault(ref.snapshot_id, []).append(name)
    return found


def data_files(table: Table, store: Store, files: Sequence[NewFile]) -> list[DataFile]:
    """What Iceberg notes of files, from their footers, each checked against what is known of it.

    Raises:
        WrongFile: some are missing, or have other rows, another size, another day or other columns than they should.
        LakeForbidden: S3 refuses us one that is there.
    """
    if not files:
        return []
    found: list[DataFile] = []
    wrong: dict[str, str] = {}
    unfit: set[str] = set()
    with ThreadPoolExecutor(min(READERS, len(files)), thread_name_prefix="footer") as pool:
        for looked_at in [pool.submit(_data_file, table, store, file) for file in files]:
            try:
                found.append(looked_at.result())
            except WrongFile as error:
                wrong |= error.wrong
                unfit |= error.unfit
    if wrong:
        raise WrongFile(wrong, unfit)
    return found


def _data_file(table: Table, store: Store, file: NewFile) -> DataFile:
    address = f"{store.root}{file.key}"
    try:
        with table.io.new_input(address).open() as opened:
            parquet = pq.ParquetFile(opened)
            check_file(table.schema(), parquet.schema_arrow, file.key)
            found = data_file(table, parquet.metadata, address)
    except (FileNotFoundError, PermissionError) as error:
        # S3 answers 403 for a missing file, too, unless it takes us for somebody who may list the bucket: our role may
        # list below a prefix only, and a request for a file has none.
        if isinstance(error, PermissionError) and any(listed.key == file.key for listed in store.list(file.key)):
            raise LakeForbidden(f"{file.key} cannot be read: {error}. Check the function's role and the key") from error
        raise WrongFile({file.key: "is missing. Run smelt audit"}) from error
    except (SchemaConflict, ValueError, KeyError) as error:
        raise WrongFile({file.key: f"does not fit the table: {error}"}, [file.key]) from error
    if (found.record_count, found.file_size_in_bytes) != (file.rows, file.bytes):
        what = f"has {found.record_count:,} rows in {found.file_size_in_bytes:,} bytes, and not "
        what += f"{file.rows:,} in {file.bytes:,} as is written down. Run smelt audit"
        raise WrongFile({file.key: what})
    if found.partition[0] is None:
        by = table.schema().find_column_name(table.spec().fields[0].source_id)
        what = (
            f"has no {by}, by whose days the table is partitioned: a table keeps the event time that it was made with. "
        )
        what += "Give the field that name again (physicalName says where its value is), or the dataset another name"
        raise WrongFile({file.key: what})
    day = day_text(day_of(found))
    if f"/dt={day}/" not in file.key:
        raise WrongFile({file.key: f"has rows of {day}. Report this as a bug"})
    return found


def _number(snapshot: object) -> int:
    return int(getattr(snapshot, "sequence_number", 0) or 0)
