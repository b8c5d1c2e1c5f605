"""Retract and retry over a rig: real transitions and code, with ways to stop them at any call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from services.ops.rewrite.quarantine import Selection
from services.ops.rewrite.retraction import Retracted, Retraction
from services.ops.rewrite.retry import Retried, Retry
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.shared.units import BronzeObject
from tests.faults.rig import Rig
from tests.support.archive import NoArchive
from tests.support.faults import LAKE_CALLS, LEDGER_CALLS, Crash, Interrupted, Interrupter
from tests.support.lake import MemoryLake

ENDLESS = Deadline.endless()


class MemoryShelf:
    """The listing of quarantine in a lake in memory."""

    def __init__(self, lake: MemoryLake) -> None:
        self._lake = lake

    def quarantine(self, dataset: str | None, after: str = "") -> Iterator[str]:
        prefix = f"quarantine/{dataset}/" if dataset else "quarantine/"
        yield from sorted(key for key in list(self._lake.files) if key.startswith(prefix) and key > after)


def _broken(rig: Rig, interrupter: Interrupter | None) -> tuple[Any, Ledger]:
    interrupter = interrupter or Interrupter()
    lake = Interrupted(rig.lake, interrupter, LAKE_CALLS)
    return lake, Ledger(Interrupted(rig.dynamodb, interrupter, LEDGER_CALLS), rig.table, rig.clock)


def retract(
    rig: Rig,
    source: BronzeObject,
    interrupter: Interrupter | None = None,
    deadline: Deadline = ENDLESS,
    place: int = 0,
    sleep: Callable[[float], Any] | None = None,
) -> Retracted | None:
    """Retract an object; None where it crashed. Waiting lets the clock go on, unless `sleep` does something else."""
    lake, ledger = _broken(rig, interrupter)
    retraction = Retraction(
        ledger, lake, "Ann", "wrong file", NoArchive(), clock=rig.clock, sleep=sleep or rig.clock.advance, writers=1
    )
    try:
        return retraction.run(source.id, deadline, place)
    except Crash:
        return None


def retry(
    rig: Rig,
    contracts: Mapping[str, Contract],
    interrupter: Interrupter | None = None,
    wanted: Selection = Selection(),  # noqa: B008 (immutable)
    dry_run: bool = False,
) -> Retried | None:
    """Retry quarantined rows; None where it crashed."""
    lake, ledger = _broken(rig, interrupter)
    run = Retry(
        ledger, lake, MemoryShelf(rig.lake), contracts, "Ann", "contract fixed", NoArchive(), clock=rig.clock, writers=1
    )
    try:
        return run.run(wanted, ENDLESS, dry_run)
    except Crash:
        return None
