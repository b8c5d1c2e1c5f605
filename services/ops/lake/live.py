"""What a table has of some partitions now: live files, and what the outputs of compactions stand for.

A file of Silver is in a table in one of two ways: it is live, or a compaction has read it and that run's outputs are
live. The second way is not in Iceberg's metadata. So whoever commits a run first writes down which files of Silver it
stands for (`lake/<dataset>/runs/dt=.../<run>.json`); the record counts only where the run's outputs are live, so one
that was written and never committed changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.types import DateType

from services.ops.lake.store import Store
from services.shared.errors import Terminal
from services.shared.identities import LAKE_ROOT, SILVER_ROOT, CompactionRun, LakeKey, LotId

_EPOCH = date(1970, 1, 1)
_FORMAT = 1
_DAYS_AT_ONCE = 30
READERS = 8  # of manifests
_BYTES_AT_ONCE = 2 * 1024 * 1024  # of manifests that are read side by side: some 30 MB in memory


class LakeDamaged(Terminal):
    """A table has what smelt never puts there, or a record is missing. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file that the table has now. `sequence` is the number of the snapshot that brought it first."""

    key: str
    rows: int
    bytes: int
    sequence: int
    data_file: DataFile


@dataclass(frozen=True, slots=True)
class Covered:
    """A file of Silver that the outputs of a run stand for."""

    key: str
    rows: int
    bytes: int
    sequence: int  # of the snapshot that brought it, before it was compacted

    @property
    def lot(self) -> LotId:
        return LakeKey.parse(self.key).lot


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Which files of Silver a run stands for."""

    run: CompactionRun
    files: tuple[Covered, ...]
    rows: int  # of its outputs
    keys: tuple[str, ...] | None = None  # by which rows were superseded; None in records that do not say it

    @property
    def key(self) -> str:
        return record_key(self.run)

    @property
    def superseded(self) -> int:
        return sum(file.rows for file in self.files) - self.rows

    def to_json(self) -> str:
        files = [[file.key, file.rows, file.bytes, file.sequence] for file in self.files]
        body = {"format": _FORMAT, "run": str(self.run), "rows": self.rows, "files": files, "keys": self.keys}
        return json.dumps(body, indent=1)

    @classmethod
    def from_json(cls, text: bytes, where: str) -> RunRecord:
        try:
            told: Any = json.loads(text)
            if told["format"] != _FORMAT:
                raise LakeDamaged(
                    f"{where} is of format {told['format']}, which this program does not know: use a newer"
                )
            files = tuple(Covered(*entry) for entry in told["files"])
            keys = told.get("keys")
            return cls(CompactionRun.parse(told["run"]), files, told["rows"], None if keys is None else tuple(keys))
        except (ValueError, KeyError, TypeError) as error:
            raise LakeDamaged(f"{where} is no record of a compaction: {error}") from error


def record_key(run: CompactionRun) -> str:
    return f"{LAKE_ROOT}/{run.record_type}/runs/dt={run.dt}/{run.run}.json"


@dataclass(slots=True)
class Live:
    """Some partitions of one table at one snapshot, by key."""

    snapshot_id: int | None
    files: dict[str, LiveFile] = field(default_factory=dict)
    runs: dict[CompactionRun, RunRecord] = field(default_factory=dict)

    def of_lots(self) -> dict[LotId, list[LiveFile]]:
        """Live files of Silver by lot."""
        found: dict[LotId, list[LiveFile]] = {}
        for file in self.files.values():
            if file.key.startswith(f"{SILVER_ROOT}/"):
                found.setdefault(LakeKey.parse(file.key).lot, []).append(file)
        return found

    def lots(self) -> set[LotId]:
        """The lots of all files that are live, or that runs stand for."""
        return {*self.of_lots(), *(file.lot for record in self.runs.values() for file in record.files)}

    def covered(self) -> dict[str, tuple[CompactionRun, Covered]]:
        """Files of Silver that runs stand for."""
        return {file.key: (run, file) for run, record in self.runs.items() for file in record.files}

    def outputs(self, run: CompactionRun) -> list[LiveFile]:
        return [file for file in self.files.values() if file.key.startswith(str(run))]


def read_live(table: Table, store: Store, days: Collection[str] | None = None) -> Live:
    """What the table has now of these days (YYYY-MM-DD); of all where there is no choice.

    Raises:
        LakeDamaged: a file is none of smelt's, or nothing says what a run stands for.
    """
    snapshot = table.current_snapshot()
    live = Live(snapshot.snapshot_id if snapshot else None)
    for entry in live_files(table, store.root, days):
        live.files[entry.key] = entry
    for key in live.files:
        if not key.startswith(f"{SILVER_ROOT}/"):
            run = run_of(key)
            if run not in live.runs:
                live.runs[run] = read_record(store, run)
    return live


def live_files(table: Table, root: str, days: Collection[str] | None = None) -> Iterator[LiveFile]:
    """The table's files of these days, as its current snapshot has them."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return
    numbers = None if days is None else {day_number(day) for day in days}
    manifests = [one for one in snapshot.manifests(table.io) if numbers is None or _may_hold(one, numbers)]

    def read(manifest: ManifestFile) -> list[LiveFile]:
        entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        return [_live_file(entry, root) for entry in entries if numbers is None or day_of(entry.data_file) in numbers]

    with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
        for some in side_by_side(manifests):
            for files in pool.map(read, some):
                yield from files


def side_by_side(manifests: Iterable[ManifestFile]) -> Iterator[list[ManifestFile]]:
    """Manifests that memory holds together: several small ones, or a large one."""
    some, size = list[ManifestFile](), 0
    for manifest in manifests:
        if some and (len(some) == READERS or size + manifest.manifest_length > _BYTES_AT_ONCE):
            yield some
            some, size = [], 0
        some.append(manifest)
        size += manifest.manifest_length
    if some:
        yield some


def _live_file(entry: ManifestEntry, root: str) -> LiveFile:
    data = entry.data_file
    key = key_of(data.file_path, root)
    return LiveFile(key, data.record_count, data.file_size_in_bytes, entry.sequence_number or 0, data)


def read_days(table: Table, store: Store) -> Iterator[tuple[frozenset[str], Live]]:
    """All of the table, some days at a time."""
    days = sorted({day_of(file.data_file) for file in live_files(table, store.root)})
    for at in range(0, len(days), _DAYS_AT_ONCE):
        some = frozenset(map(day_text, days[at : at + _DAYS_AT_ONCE]))
        yield some, read_live(table, store, some)


def read_record(store: Store, run: CompactionRun) -> RunRecord:
    """
    Raises:
        LakeDamaged: nothing says what this run stands for.
    """
    key = record_key(run)
    text = store.read(key)
    if text is None:
        raise LakeDamaged(
            f"the table {run.record_type} has files of {run}, and {key} is missing, which says what they stand for. "
            "Restore it from an older version of the bucket"
        )
    return RunRecord.from_json(text, key)


def run_of(key: str) -> CompactionRun:
    try:
        return CompactionRun.parse(key)
    except ValueError as error:
        raise LakeDamaged(
            f"a table of the lake has the file {key}, which smelt has not put there: another program, such as a table "
            "optimizer of AWS Glue, has rewritten the table. docs/lake.md, 'Nobody else', says what to do"
        ) from error


def key_of(address: str, root: str) -> str:
    if not address.startswith(root):
        raise LakeDamaged(f"a table of the lake has the file {address}, which is not under {root}")
    return address.removeprefix(root)


def day_number(day: str) -> int:
    """Days since 1970, as Iceberg's partitions have them."""
    return (date.fromisoformat(day) - _EPOCH).days


def day_of(data: DataFile) -> int:
    """The partition of a file, as `day_number`."""
    value: Any = data.partition[0]
    return (value - _EPOCH).days if isinstance(value, date) else int(value)


def day_text(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


def _may_hold(manifest: ManifestFile, numbers: Collection[int]) -> bool:
    """Whether files of one of these days may be in a manifest, as its bounds say."""
    summaries = manifest.partitions
    if not summaries or summaries[0].lower_bound is None or summaries[0].upper_bound is None:
        return True
    low, high = (_number(bound) for bound in (summaries[0].lower_bound, summaries[0].upper_bound))
    return any(low <= number <= high for number in numbers)


def _number(bound: bytes) -> int:
    value: Any = from_bytes(DateType(), bound)
    return (value - _EPOCH).days if isinstance(value, date) else int(value)


Records = Mapping[CompactionRun, RunRecord]
