"""What is in quarantine, as the ledger's committed lots have it: rows by dataset, reason and field, and single rows.

The bucket's listing says which lots have files there; the ledger says which of the files count. A file that is being
written, or waits to be deleted, is never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from services.ops.grid import batched
from services.ops.rewrite.archive import Archive
from services.ops.rewrite.files import files_of
from services.shared.errors import Transient
from services.shared.identities import QUARANTINE_ROOT, LakeKey, LotId
from services.shared.lake import Lake, ObjectGone
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Lot, LotFile
from services.shared.parquet.subset import read_rows

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

Watch = Callable[[str, int], None]
MAX_GROUPS = 1000  # of rows with the same dataset, reason and field; the others are counted together
_LOTS_AT_ONCE = 20  # a lot's item has up to 400 KB
_READERS = 8  # files on their way at once


class Shelf(Protocol):
    """The listing of quarantine."""

    def quarantine(self, dataset: str | None, after: str = "") -> Iterator[str]:
        """Keys of quarantine, of one dataset's folder if it is given, in order, behind the key `after`."""


class S3Shelf:
    """The listing on S3."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def quarantine(self, dataset: str | None, after: str = "") -> Iterator[str]:
        prefix = f"{QUARANTINE_ROOT}/{dataset}/" if dataset else f"{QUARANTINE_ROOT}/"
        start: Any = {"StartAfter": after} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix, **start)
        for page in pages:
            yield from (entry["Key"] for entry in page.get("Contents", []))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows are meant. Empty fields choose nothing in particular, so all."""

    dataset: str = ""  # the folder: a record type with a contract, or `_unknown`
    code: str = ""  # the reason
    field: str = ""
    source: str = ""  # what `_source` begins with: s3://bucket/key or an object's whole id

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Which of these rows of quarantine are meant."""
        chosen = pc.is_valid(rows["reason"])
        if self.code:
            chosen = pc.and_(chosen, pc.equal(rows["reason"], self.code))
        if self.field:
            chosen = pc.and_(chosen, pc.fill_null(pc.equal(rows["field"], self.field), False))
        if self.source:
            chosen = pc.and_(chosen, pc.starts_with(rows["_source"], self.source))
        return chosen


class Folder(NamedTuple):
    """The files that one lot has in one folder of quarantine. `last` is a key to go on behind."""

    lot: LotId
    record_type: str
    last: str


def folders(shelf: Shelf, dataset: str, after: str = "") -> Iterator[Folder]:
    """The folders of quarantine and the lots in them, in order. A lot's files of one folder follow each other."""

    def parsed(keys: Iterable[str]) -> Iterator[tuple[LakeKey, str]]:
        for key in keys:
            try:
                yield LakeKey.parse(key), key
            except ValueError:
                continue  # not smelt's; the audit reports it

    keys = parsed(shelf.quarantine(dataset or None, after))
    for (lot, record_type), group in groupby(keys, lambda pair: (pair[0].lot, pair[0].record_type)):
        yield Folder(lot, record_type, max(key for _, key in group))


def lots_of(
    ledger: Ledger, archive: Archive, found: Iterable[Folder], restore: bool
) -> Iterator[tuple[Folder, Lot | None]]:
    """Each folder with its lot as it is now; None where neither ledger nor archive has it.

    Lots that have left the ledger come from the archive; with `restore`, they come back into the ledger first.
    """
    for batch in batched(found, _LOTS_AT_ONCE):
        lots = {lot.id: lot for lot in ledger.find_lots(folder.lot for folder in batch)}
        missing = {folder.lot for folder in batch} - lots.keys()
        if missing:
            if restore:
                archive.restore_lots(ledger, missing)
            back = ledger.find_lots(missing) if restore else archive.find_lots(missing)
            lots |= {lot.id: lot for lot in back}
        yield from ((folder, lots.get(folder.lot)) for folder in batch)


@dataclass(frozen=True, slots=True)
class Sample:
    """A quarantined row, for people."""

    source: str
    offset: int
    detail: str
    raw: str


@dataclass(slots=True)
class Group:
    """Rows with the same dataset, reason and field."""

    rows: int = 0
    samples: list[Sample] = field(default_factory=list)


GroupKey = tuple[str, str, str]  # dataset's folder, reason, field (empty: the row as a whole)


@dataclass(slots=True)
class Shown:
    """What is in quarantine."""

    rows: int = 0
    files: int = 0
    groups: dict[GroupKey, Group] = field(default_factory=dict)
    others: int = 0  # rows of further groups, beyond MAX_GROUPS


class Replaced(Transient):
    """Somebody rewrote the lot while its files were being read."""


def files_as_they_are(ledger: Ledger, lake: Lake, lot: Lot, folder: Folder) -> Iterator[bytes]:
    """The files that a lot has in one folder, several on their way at once, without those that have expired.

    Raises:
        Replaced: a file is gone because somebody rewrote the lot; look at it again.
    """

    def read(file: LotFile) -> bytes | None:
        try:
            return lake.read(file.key, file.etag)
        except ObjectGone as error:
            now = ledger.lots.look_again(lot)
            if now is not None and now.files == lot.files:
                return None  # it has expired, or somebody deleted it: the audit tells which
            raise Replaced(f"lot {lot.id} was rewritten while it was being read; run this again") from error

    files = files_of(lot, QUARANTINE_ROOT, folder.record_type)
    if len(files) == 1:
        yield from (data for data in map(read, files) if data is not None)
        return
    with ThreadPoolExecutor(_READERS, thread_name_prefix="read") as pool:
        for batch in batched(files, _READERS):
            yield from (data for data in pool.map(read, batch) if data is not None)


def committed_rows(
    ledger: Ledger, lake: Lake, shelf: Shelf, archive: Archive, wanted: Selection
) -> Iterator[tuple[Folder, pa.Table]]:
    """The chosen rows of each committed file, with their folder. Memory holds a few files at a time.

    Raises:
        Replaced: somebody rewrote a lot of which a part has been given out already; begin again.
    """
    for folder, lot in lots_of(ledger, archive, folders(shelf, wanted.dataset), restore=False):
        current, given = lot, False
        while current is not None and current.state.holds_rows:
            try:
                for data in files_as_they_are(ledger, lake, current, folder):
                    rows = read_rows(data)
                    given = True
                    yield folder, rows.filter(wanted.mask(rows))
            except Replaced:
                if given:
                    raise
                current = ledger.lots.look_again(current)
            else:
                break


def show(
    ledger: Ledger,
    lake: Lake,
    shelf: Shelf,
    archive: Archive,
    wanted: Selection,
    samples: int = 3,
    watch: Watch = lambda _what, _number: None,
) -> Shown:
    """Count what is in quarantine, with the first rows of each group."""
    result = Shown()
    for folder, rows in committed_rows(ledger, lake, shelf, archive, wanted):
        result.files += 1
        result.rows += rows.num_rows
        watch("files of quarantine", result.files)
        counted = rows.group_by(["reason", "field"]).aggregate([([], "count_all")]).to_pylist()
        for entry in counted:
            key = (folder.record_type, entry["reason"], entry["field"] or "")
            if key not in result.groups and len(result.groups) >= MAX_GROUPS:
                result.others += entry["count_all"]
                continue
            group = result.groups.setdefault(key, Group())
            group.rows += entry["count_all"]
            if len(group.samples) < samples:
                chosen = Selection(code=entry["reason"], field=entry["field"] or "").mask(rows)
                if not entry["field"]:
                    chosen = pc.and_(chosen, pc.is_null(rows["field"]))
                first = rows.filter(chosen).slice(0, samples - len(group.samples)).to_pylist()
                group.samples += [Sample(row["_source"], row["_offset"], row["detail"], row["raw"]) for row in first]
    return result


def export(
    ledger: Ledger, lake: Lake, shelf: Shelf, archive: Archive, wanted: Selection
) -> Iterator[Mapping[str, Any]]:
    """Each chosen row with all its columns and the lot that it is in."""
    for folder, rows in committed_rows(ledger, lake, shelf, archive, wanted):
        for batch in rows.to_batches(max_chunksize=1000):
            for row in batch.to_pylist():
                yield row | {"_lot": str(folder.lot)}
