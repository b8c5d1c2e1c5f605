"""Findings: each has a stable code, what it is about, what is wrong, and what to do next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Code(StrEnum):
    """Stable names: alarms and scripts may depend on them. docs/audit.md lists them."""

    NEVER_ANNOUNCED = "never_announced"
    UNKNOWN_OBJECT = "unknown_object"
    UNIT_OFF_GRID = "unit_off_grid"
    UNIT_IN_TWO_LOTS = "unit_in_two_lots"
    UNIT_NOT_BOUND = "unit_not_bound"
    UNIT_OF_MISSING_LOT = "unit_of_missing_lot"
    UNIT_NOT_IN_LOT = "unit_not_in_lot"
    DONE_NOT_COMMITTED = "done_not_committed"
    REJECTED_COMMITTED = "rejected_committed"
    RETRACTED_COMMITTED = "retracted_committed"
    ROWS_DO_NOT_ADD_UP = "rows_do_not_add_up"
    FILE_ROWS_DIFFER = "file_rows_differ"
    FILE_MISNAMED = "file_misnamed"
    FILE_MISSING = "file_missing"
    FILE_DIFFERS = "file_differs"
    ORPHAN_FILE = "orphan_file"
    FOREIGN_FILE = "foreign_file"
    HISTORY_MISSING = "history_missing"
    HISTORY_DAMAGED = "history_damaged"
    HISTORY_DIFFERS = "history_differs"
    TABLE_FILE_MISSING = "table_file_missing"
    TABLE_FILE_LEFT = "table_file_left"
    TABLE_RUN_UNEVEN = "table_run_uneven"
    TABLE_UNREADABLE = "table_unreadable"


_LEDGER_WRONG = (
    "The ledger contradicts itself: somebody edited it, or this is a bug in smelt. Change nothing by hand, keep this "
    "output, and report it."
)
_RESTORE = (
    "Find out who changed the bucket. If it keeps versions, restore the version with the size and etag that the ledger "
    "names; otherwise run `smelt reload` for the file: it reads its rows from Bronze again. docs/runbook.md has both."
)

_RESTORE_HISTORY = (
    "Restore the file from its previous version in the bucket before anything else: what has left the ledger is known "
    "by it alone, so that other findings may be wrong until then. Delete nothing."
)
NEXT: dict[Code, str] = {
    Code.NEVER_ANNOUNCED: (
        "Check the bucket's notification and the ingest-failures queue, then run smelt reconcile with --silver-bucket: "
        "it plans what nobody has seen, and puts back what the ledger has lost. Do not upload or copy the object again."
    ),
    Code.UNKNOWN_OBJECT: _LEDGER_WRONG,
    Code.UNIT_OFF_GRID: _LEDGER_WRONG,
    Code.UNIT_IN_TWO_LOTS: f"The unit's rows may be in Silver twice. {_LEDGER_WRONG}",
    Code.UNIT_NOT_BOUND: _LEDGER_WRONG,
    Code.UNIT_OF_MISSING_LOT: f"The unit's rows are not in Silver, and nobody will read it. {_LEDGER_WRONG}",
    Code.UNIT_NOT_IN_LOT: f"The unit's rows are not in Silver, and nobody will read it. {_LEDGER_WRONG}",
    Code.DONE_NOT_COMMITTED: f"Rows are missing in Silver. {_LEDGER_WRONG}",
    Code.REJECTED_COMMITTED: f"Its rows are in Silver: do not upload them again. {_LEDGER_WRONG}",
    Code.RETRACTED_COMMITTED: f"Rows that were taken away are in Silver or quarantine. {_LEDGER_WRONG}",
    Code.ROWS_DO_NOT_ADD_UP: _LEDGER_WRONG,
    Code.FILE_ROWS_DIFFER: _LEDGER_WRONG,
    Code.FILE_MISNAMED: _LEDGER_WRONG,
    Code.FILE_MISSING: _RESTORE,
    Code.FILE_DIFFERS: _RESTORE,
    Code.ORPHAN_FILE: (
        "Queries see its rows, and they may be in other files too. Keep a copy outside silver/ and quarantine/, "
        "then delete it; its objects' rows are accounted for without it. First make sure that no other pipeline writes "
        "into this bucket."
    ),
    Code.FOREIGN_FILE: "smelt did not write it, and queries may read it. Move it out of silver/ and quarantine/.",
    Code.HISTORY_MISSING: f"{_RESTORE_HISTORY} If the ledger was restored from a backup: docs/runbook.md.",
    Code.HISTORY_DAMAGED: _RESTORE_HISTORY,
    Code.HISTORY_DIFFERS: (
        "An object that only the history has is put back by smelt reconcile with --silver-bucket. "
        f"Otherwise: {_LEDGER_WRONG}"
    ),
    Code.TABLE_FILE_MISSING: "Queries of the lake's table miss its rows. Run smelt publish --backfill; audit again.",
    Code.TABLE_FILE_LEFT: (
        "Queries of the lake's table see rows that were replaced or retracted. Run smelt publish --backfill, then "
        "audit again."
    ),
    Code.TABLE_RUN_UNEVEN: (
        "The rows of a compaction's files are not those of its record. Change nothing by hand, keep this output and "
        "the run's folder, and report it. The plain table `silver` has every row."
    ),
    Code.TABLE_UNREADABLE: (
        "Nobody knows whether queries of the lake's table see every row. Do what the message says; if it says nothing, "
        "restore what it names from an older version of the bucket. The plain table `silver` has every row."
    ),
}

# With one of these, records of lots are missing: what looks like nobody's file may hold rows that are nowhere else.
_LOTS_ARE_MISSING = frozenset(
    {
        Code.NEVER_ANNOUNCED,
        Code.UNKNOWN_OBJECT,
        Code.UNIT_OF_MISSING_LOT,
        Code.DONE_NOT_COMMITTED,
        Code.HISTORY_MISSING,
        Code.HISTORY_DAMAGED,
        Code.HISTORY_DIFFERS,
    }
)
_DELETE_NOTHING = (
    "Delete nothing yet: other findings say that records are missing in the ledger or the history, and the rows of "
    "this file may be nowhere else. Settle those first, then audit again."
)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that is wrong. `subject` is the object, unit, lot or key that it is about."""

    code: Code
    subject: str
    detail: str


@dataclass(slots=True)
class Findings:
    """All findings counted, and the first `limit` of each code kept, so that memory stays bounded."""

    limit: int
    numbers: Counter[Code] = field(default_factory=Counter)
    _kept: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        self.numbers[finding.code] += 1
        if self.numbers[finding.code] <= self.limit:
            self._kept.append(finding)

    def next_step(self, code: Code) -> str:
        """What to do about findings of this code, in view of all others."""
        if code is Code.ORPHAN_FILE and any(self.numbers[other] for other in _LOTS_ARE_MISSING):
            return _DELETE_NOTHING
        return NEXT[code]

    @property
    def kept(self) -> list[Finding]:
        """By code, then by subject."""
        return sorted(self._kept)

    @property
    def total(self) -> int:
        return self.numbers.total()
