"""What a report says: plain values of bounded size, whatever the pipeline holds. Counts are rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.ops.report.timeline import Timeline
from services.shared.contract.model import Contract
from services.shared.ledger.records import Counts

LISTED = 30  # objects, lots and rejected objects, of each; all are counted
EXAMPLES = 3  # of each reason


@dataclass(frozen=True, slots=True)
class Example:
    """A refused row. `line` counts from 1; None where it was not counted."""

    file: str
    line: int | None
    offset: int
    detail: str
    raw: str  # shortened


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows that were refused for one reason in one field (None: the row as a whole, or several fields)."""

    dataset: str
    reason: str
    field: str | None
    rows: int
    examples: Sequence[Example]


@dataclass(slots=True)
class DatasetPart:
    """One dataset. `silver` and `quarantined` are rows; `bytes` are those of Silver's files."""

    name: str
    silver: int = 0
    quarantined: int = 0
    files: int = 0
    bytes: int = 0
    newest: str = ""  # the latest event time in Silver, or its day
    loaded: datetime | None = None  # when rows came last
    lag: timedelta | None = None  # of the last object: from its creation until all of it was loaded
    open: int = 0  # unfinished objects


@dataclass(frozen=True, slots=True)
class ObjectPart:
    """One object of Bronze and what became of it."""

    name: str
    dataset: str
    state: str
    counts: Counts
    size: int | None  # bytes
    finished: datetime | None
    reason: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class LotPart:
    """One lot: what was written together."""

    name: str
    claimed: datetime
    silver: int
    quarantined: int
    files: int
    bytes: int


@dataclass(slots=True)
class Report:
    """Everything on the page."""

    title: str
    about: str  # a folder, or the names of a deployment
    at: datetime
    since: datetime | None = None  # what was finished before is not counted; None: everything is
    counts: Counts = field(default_factory=Counts)
    datasets: dict[str, DatasetPart] = field(default_factory=dict)
    loaded: Timeline = field(default_factory=Timeline)  # rows to Silver, by when they were loaded
    refused: Timeline = field(default_factory=Timeline)  # rows to quarantine, by when
    happened: Timeline = field(default_factory=lambda: Timeline(24))  # rows in Silver, by the day of their event time
    refusals: list[Refusal] = field(default_factory=list)
    objects: list[ObjectPart] = field(default_factory=list)  # the latest first
    objects_by_state: dict[str, int] = field(default_factory=dict)
    rejected: list[ObjectPart] = field(default_factory=list)
    rejected_total: int = 0
    lots: list[LotPart] = field(default_factory=list)
    contracts: Sequence[Contract] = ()
    needs: list[tuple[int, str, str]] = field(default_factory=list)  # how many, of what, the command that shows it
    notes: list[str] = field(default_factory=list)  # what the reader must know about these figures

    def dataset(self, name: str) -> DatasetPart:
        return self.datasets.setdefault(name, DatasetPart(name))
