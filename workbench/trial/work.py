"""The work of a trial: files into tasks, and each task through a pipeline of its own, in this process or another.

A task is what one delivery of SQS would hold: some whole files, or some units of a large one. Each has a ledger of its
own, so memory does not grow with the number of files; the planned units of a file are the same in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from services.shared.contract.model import Contract
from services.shared.identities import ObjectId, UnitId
from services.shared.ledger.records import MAX_UNITS_PER_LOT, Counts, LedgerObject, LotFile, ObjectState
from services.shared.units import BronzeObject, Unit
from services.transform.protocol.execution import LotReport
from workbench.inprocess.folder import FolderLake, local_object
from workbench.inprocess.pipeline import InProcess, no_limit
from workbench.trial.inputs import Input


class Unaccounted(RuntimeError):
    """A unit is neither committed nor given up, or committed more than once: a bug."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every worker needs: the contracts by dataset, where files are written, and how files are cut (bytes)."""

    contracts: Mapping[str, Contract]
    folder: Path
    unit_bytes: int


@dataclass(frozen=True, slots=True)
class Task:
    """Units that are delivered together, and where the bytes of their objects are."""

    units: tuple[Unit, ...]
    files: Mapping[ObjectId, Path]

    @property
    def sources(self) -> Iterable[BronzeObject]:
        return {unit.object.id: unit.object for unit in self.units}.values()


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is not turned into work."""

    file: Path
    reason: str
    advice: str


@dataclass(slots=True)
class Done:
    """What became of a task."""

    counts: Counts = field(default_factory=Counts)
    files: list[LotFile] = field(default_factory=list)
    given_up: dict[ObjectId, str] = field(default_factory=dict)


def tasks(
    inputs: Iterable[Input],
    created: datetime,
    settings: Settings,
    task_bytes: int,
    refuse: Callable[[Refused], None],
    accept: Callable[[ObjectId, Path], None],
) -> Iterator[Task]:
    """Plan files, and put their units together to about `task_bytes`.

    Refused files are told to `refuse`, the others to `accept`: a file that grows has another id a moment later.
    """
    units: list[Unit] = []
    files: dict[ObjectId, Path] = {}
    size = 0
    for one in inputs:
        source = local_object(one.path, one.dataset, created)
        path = one.path.resolve()
        known = _planned(source, path, settings)
        if known.state is ObjectState.REJECTED:
            refuse(Refused(one.path, known.reason, known.advice))
            continue
        accept(source.id, one.path)
        for unit in known.plan:
            if units and (size + unit.bytes > task_bytes or len(units) == MAX_UNITS_PER_LOT):
                yield Task(tuple(units), files)
                units, files, size = [], {}, 0
            units.append(unit)
            files[source.id] = path
            size += unit.bytes
    if units:
        yield Task(tuple(units), files)


def _planned(source: BronzeObject, path: Path, settings: Settings) -> LedgerObject:
    return InProcess({}, FolderLake({source.id: path}, settings.folder), settings.unit_bytes).plan(source)


def work(
    task: Task,
    settings: Settings,
    on_bytes: Callable[[int], None] = lambda _: None,
    remaining: Callable[[], float] = no_limit,
) -> Done:
    """Carry a task out.

    Args:
        task: what to do.
        settings: with which contracts, and where to.
        on_bytes: told how many bytes were read, each time.
        remaining: seconds that are left; may raise what is to end the work.

    Raises:
        OSError: the disk is full, or a file cannot be read.
        Unaccounted: a bug.
    """
    pipeline = InProcess(
        settings.contracts, FolderLake(task.files, settings.folder, on_bytes), settings.unit_bytes, remaining
    )
    for source in task.sources:
        pipeline.plan(source)
    done = Done()
    committed: list[UnitId] = []

    def add(report: LotReport) -> None:
        done.counts += report.counts
        done.files += report.lot.files
        committed.extend(unit.id for unit in report.units)

    done.given_up = pipeline.deliver(task.units, add)
    left = {unit.id for unit in task.units} - set(committed)
    if len(committed) != len(set(committed)) or any(unit.object not in done.given_up for unit in left):
        raise Unaccounted(f"{len(task.units)} units were delivered, {len(committed)} committed: {sorted(left)[:3]}")
    return done
