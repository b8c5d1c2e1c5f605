"""The spool: the ledger's records as rows of a temporary SQLite file, so that memory does not grow with the ledger.

Rows are joined by 64-bit hashes of the names: short, and fast to sort. Two names with one hash could
hide a problem (of 100 million names, with a probability of 1 in 4,000); they cannot invent one, because each suspect is
read again under its name. The file is deleted when it is opened, so nothing is left over, whatever happens.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.ops.audit.listings import ListedFile
from services.ops.audit.rules import check_record, may_have_expired
from services.ops.audit.scope import Scope
from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.records import Counts, LedgerObject, Lot, UnitRecord

_SCHEMA = """
CREATE TABLE object (oid INTEGER, id TEXT, state TEXT, size INTEGER, step INTEGER, created TEXT, seen TEXT,
                     reason TEXT, advice TEXT, leaving INTEGER, again INTEGER, in_scope INTEGER, file INTEGER,
                     settled INTEGER);
CREATE TABLE unit   (oid INTEGER, uid INTEGER, lid INTEGER, id TEXT, dead INTEGER);
CREATE TABLE lot    (lid INTEGER, id TEXT, state TEXT, leftover INTEGER, suspect INTEGER, generation INTEGER,
                     content INTEGER, file INTEGER, past INTEGER);
CREATE TABLE member (oid INTEGER, uid INTEGER, lid INTEGER, start INTEGER, stop INTEGER, committed INTEGER,
                     read INTEGER, silver INTEGER, quarantined INTEGER);
CREATE TABLE file   (kid INTEGER, lid INTEGER, content INTEGER, committed INTEGER, must_exist INTEGER);
CREATE TABLE listed (kid INTEGER, content INTEGER);
CREATE TABLE named  (oid INTEGER, lid INTEGER);
"""
_INDEXES = """
CREATE INDEX object_oid ON object (oid);
CREATE INDEX unit_dead ON unit (oid) WHERE dead;
CREATE INDEX lot_lid ON lot (lid);
CREATE INDEX file_kid ON file (kid, lid);
"""
LEAVING_TO_BE_RELOADED = 2  # in the column `leaving`; 1: it leaves for good
_CACHE_KIB = 32 * 1024  # of SQLite's pages, and of each sort
_PARAMETERS = 500  # of one query
_BUFFERED = 2000  # rows of each table before they are written


def hashed(name: object) -> int:
    """A name's 64-bit hash, as SQLite holds integers."""
    return int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=8).digest(), signed=True)


def content_of(size: int, etag: str) -> int:
    """What tells two contents of one file apart."""
    return hashed(f"{size} {etag.strip(chr(34))}")


def content_of_lot(lot: Lot) -> int:
    """What tells two records of one generation apart."""
    return hashed((lot.units, lot.unit_counts, lot.counts, lot.files))


class Spool:
    """First `add` every record of the ledger, then `index`; after that the listings are compared with it.

    Files of quarantine of the day `expired` or an earlier one may be gone.
    """

    def __init__(self, scope: Scope, expired: date = date.min) -> None:
        self._scope, self._expired = scope, expired
        self._folder = tempfile.TemporaryDirectory(prefix="smelt-audit-")
        self._db = sqlite3.connect(Path(self._folder.name) / "spool.sqlite")
        for setting in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{_CACHE_KIB}"):
            self._db.execute(f"PRAGMA {setting}")
        self._db.executescript(_SCHEMA)
        self._rows: dict[str, list[tuple[Any, ...]]] = {
            name: [] for name in ("object", "unit", "lot", "member", "file", "listed", "named")
        }
        self.history = dict[str, int]()  # numbers of the history's files, as records name them

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._folder.cleanup()

    # -- filling ---------------------------------------------------------------------------------------------

    def add(self, record: LedgerObject | Lot | UnitRecord) -> None:
        """Take over what the queries need of one record."""
        if isinstance(record, LedgerObject):
            self._add_object(record)
        elif isinstance(record, Lot):
            self._add_lot(record)
        else:
            lot = hashed(record.lot) if record.lot else None
            dead = int(bool(record.notes.dead)) if lot is None else 0
            row = (hashed(record.id.object), hashed(record.id), lot, str(record.id), dead)
            self._append("unit", row)

    def _add_object(self, known: LedgerObject) -> None:
        source = known.source
        row = (
            hashed(source.id),
            str(source.id),
            known.state.value,
            source.size,
            known.plan.step,
            source.created.isoformat(),
            (known.seen or source.created).isoformat(),
            known.reason,
            known.advice,
            LEAVING_TO_BE_RELOADED if known.is_to_be_reloaded else int(known.is_leaving),
            int(bool(known.retraction and known.retraction.uploaded_again)),
            int(self._scope.has(source.id, source.created)),
            self.number_of(known.archived),
            int(known.is_archived),
        )
        self._append("object", row)

    def add_past(self, lot: Lot, generation: int, file: str) -> None:
        """Take over a lot that has left the ledger, as this file of the history has it."""
        self._add_lot(replace(lot, archived=file), generation, past=1)

    def add_names(self, object_: int, lots: Iterable[str]) -> None:
        """The history says of an object, by its hash, which lots hold it."""
        for lot in lots:
            self._append("named", (object_, hashed(lot)))

    def number_of(self, file: str) -> int | None:
        """The number of a file of the history."""
        return self.history.setdefault(file, len(self.history)) if file else None

    def _add_lot(self, lot: Lot, generation: int = 0, past: int = 0) -> None:
        lid, committed = hashed(lot.id), lot.state.holds_rows
        suspect = next(check_record(lot), None) is not None
        row = (lid, str(lot.id), lot.state.value, int(bool(lot.leftovers)), int(suspect))
        known = (generation or lot.generation, content_of_lot(lot), self.number_of(lot.archived), past)
        self._append("lot", row + known)
        counts = lot.unit_counts if len(lot.unit_counts) == len(lot.units) else (Counts(),) * len(lot.units)
        for unit, rows in zip(lot.units, counts, strict=True):
            numbers = (unit.start, unit.end, int(committed), rows.read, rows.silver, rows.quarantined)
            self._append("member", (hashed(unit.object), hashed(unit), lid, *numbers))
        for file in lot.files:
            must_exist = int(not may_have_expired(file.key, self._expired))
            self._append("file", (hashed(file.key), lid, content_of(file.bytes, file.etag), 1, must_exist))
        in_progress = {file.key for file in lot.progress.files} if lot.progress else set()
        for key in lot.outputs | lot.obsolete | in_progress:
            self._append("file", (hashed(key), lid, None, 0, 0))

    def index(self) -> None:
        """The ledger has been read: make it fast to look into."""
        self._flush()
        self._db.executescript(_INDEXES)

    def _append(self, table: str, row: tuple[Any, ...]) -> None:
        rows = self._rows[table]
        rows.append(row)
        if len(rows) >= _BUFFERED:
            self._write(table)

    def _write(self, table: str) -> None:
        rows = self._rows[table]
        if rows:
            self._db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608
            rows.clear()

    def _flush(self) -> None:
        for table in self._rows:
            self._write(table)
        self._db.commit()

    # -- comparing -------------------------------------------------------------------------------------------

    def unknown_objects(self, ids: Sequence[ObjectId]) -> list[ObjectId]:
        """Those of these objects that are not in the ledger."""
        known = self._known("SELECT oid FROM object WHERE oid IN", [hashed(id_) for id_ in ids])
        return [id_ for id_ in ids if hashed(id_) not in known]

    def unknown_files(self, files: Sequence[tuple[ListedFile, LotId]]) -> list[ListedFile]:
        """Remember these listed files. Gives those that their lot does not name."""
        for file, _ in files:
            self._append("listed", (hashed(file.key), content_of(file.size, file.etag)))
        keys = [hashed(file.key) for file, _ in files]
        marks = ", ".join("?" * len(keys))
        named = set(self._db.execute(f"SELECT kid, lid FROM file WHERE kid IN ({marks})", keys))  # noqa: S608
        return [file for file, lot in files if (hashed(file.key), hashed(lot)) not in named]

    def known_lots(self, ids: Iterable[LotId]) -> dict[int, tuple[int, int, int]]:
        """Generation, content and whether it has left the ledger, of those of these lots that are known, by hash."""
        rows = self._matching("SELECT lid, generation, content, past FROM lot WHERE lid IN", map(hashed, ids))
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def known_objects(self, ids: Iterable[str]) -> dict[int, tuple[str, int | None, int]]:
        """State, file of the history and whether that is its last word, of those of these objects that are known."""
        rows = self._matching("SELECT oid, state, file, settled FROM object WHERE oid IN", map(hashed, ids))
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def bound(self, units: Iterable[UnitId]) -> dict[int, str]:
        """The lots of those of these units that the history knows, by the units' hashes."""
        rows = self._matching("SELECT uid, lot.id FROM bound JOIN lot USING (lid) WHERE uid IN", map(hashed, units))
        return {row[0]: str(row[1]) for row in rows}

    def files_of(self, lots: Iterable[LotId]) -> dict[str, list[LotId]]:
        """The history's files that have these lots."""
        names = {number: file for file, number in self.history.items()}
        rows = self._matching("SELECT file, id FROM lot WHERE file IS NOT NULL AND lid IN", map(hashed, lots))
        found: dict[str, list[LotId]] = {}
        for number, lot in rows:
            found.setdefault(names[number], []).append(LotId.parse(lot))
        return found

    def _matching(self, select: str, hashes: Iterable[int]) -> list[tuple[Any, ...]]:
        self._flush()
        rows = list[tuple[Any, ...]]()
        wanted = list(hashes)
        for first in range(0, len(wanted), _PARAMETERS):
            some = wanted[first : first + _PARAMETERS]
            rows += self._db.execute(f"{select} ({', '.join('?' * len(some))})", some)
        return rows

    def _known(self, select: str, hashes: Sequence[int]) -> set[int]:
        marks = ", ".join("?" * len(hashes))
        return {number for (number,) in self._db.execute(f"{select} ({marks})", hashes)}

    def query(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a query, one at a time."""
        self._flush()
        yield from self._db.execute(sql, values)

    def run(self, sql: str) -> None:
        """A statement that prepares for queries."""
        self._flush()
        self._db.execute(sql)

    def run_all(self, sql: str) -> None:
        """Several statements that prepare for queries."""
        self._flush()
        self._db.executescript(sql)

    @property
    def bytes(self) -> int:
        """Of the file on disk."""
        ((pages, size),) = self._db.execute("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
        return int(pages * size)


def names(rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """The first column of rows, as text."""
    return (str(row[0]) for row in rows)
