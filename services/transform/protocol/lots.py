"""Lots: from free units, or from a lot that somebody left unfinished, to committed Silver files.

The order of steps is the protocol that makes redelivery harmless:

    read and parse  ->  claim (or record outputs)  ->  write files  ->  commit  ->  delete leftover files
    no side effect      the ledger knows every key     same keys, same             keys of an earlier
                        before it is written           rows each time              execution only

A worker may die between any two steps. Whoever gets the units next finds the lot in the ledger, takes it over once
its lease is over and executes all of it again from its unit list. A lot of many units is held in memory and written as
one part. A unit that does not fit in memory has a lot of its own and is written in parts; after each one the ledger
notes how far it has come, and whoever goes on with the same contracts goes on from there.

This module knows neither SQS nor Lambda: it takes units and a deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from services.shared.aws import FAILURES, Failure
from services.shared.columns import ROWS_VERSION
from services.shared.contract.model import Contract
from services.shared.deadline import LEASE_SLACK_SECONDS, Deadline, OutOfTime
from services.shared.errors import Terminal
from services.shared.identities import ObjectId, UnitId
from services.shared.lake import Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseLost, Lot, LotState, LotTooWide
from services.shared.units import Unit
from services.transform.protocol.execution import SECONDS_TO_WRITE, Execution, LotReport, NoRoom
from services.transform.protocol.failures import TooLarge, as_failure, is_own_fault
from services.transform.reading.reader import UnitReader
from services.transform.rows.parser import RowParser

_DELETED_AT_ONCE = 64
MAX_TAKE_OVERS = 3  # without progress; then the lot is dissolved and its units are tried alone


@dataclass(slots=True)
class Attempt:
    """What came of trying some free units: a committed lot, units that failed, units not reached.

    `failed` holds units that failed by themselves while they were read, `together` those of a lot that failed as a
    whole. `together_undone` says that nothing of that lot is left, `together_marked` that the ledger has marked its
    units.
    """

    report: LotReport | None = None
    failed: dict[UnitId, Failure] = field(default_factory=dict)
    together: dict[UnitId, Failure] = field(default_factory=dict)
    together_undone: bool = False
    together_marked: bool = False
    left: list[Unit] = field(default_factory=list)


class LotWorker:
    """Executes lots against one lake and one ledger.

    Args:
        lot_bytes: memory for rows at once, in bytes.
        writers: how many files are written at the same time.
        clock: gives epoch seconds; replaced in tests.
    """

    def __init__(
        self,
        lake: Lake,
        ledger: Ledger,
        contracts: Mapping[str, Contract],
        lot_bytes: int,
        reader: UnitReader,
        clock: Callable[[], float] = time.time,
        writers: int = 8,
    ) -> None:
        self.lake = lake
        self.ledger = ledger
        self.contracts = contracts
        # Who makes the rows: the contracts, and this code under a name that no dataset can have.
        self.versions = {name: contract.version for name, contract in contracts.items()} | {"_rows": str(ROWS_VERSION)}
        self.memory_budget = lot_bytes + lot_bytes // 64  # units' last rows end a little beyond their ranges
        self.reader = reader
        self.parser = RowParser(contracts)
        self.clock = clock
        self.writers = writers
        self.dissolved = 0  # lots, since the worker was made

    def start(self, candidates: Sequence[Unit], deadline: Deadline) -> Attempt:
        """Make one lot of as many of these free units as fit, in order, and commit it.

        A unit that cannot be read fails alone. What happens once the lot is being written concerns all of its units.
        """
        run = Execution(self, deadline)
        attempt = Attempt(left=list(candidates))
        try:
            while attempt.left and run.has_room_for(attempt.left[0]):
                unit = attempt.left[0]
                try:
                    run.read(unit)
                except NoRoom:
                    break
                except Exception as error:  # the border between a unit and its neighbours
                    if run.sealed:
                        raise
                    attempt.failed[unit.id] = as_failure(error)
                    if isinstance(error, OutOfTime):
                        attempt.left.pop(0)
                        break
                attempt.left.pop(0)
            if run.units:
                attempt.report = run.finish()
                self._tidy(attempt.report, deadline)
        except Exception as error:  # noqa: BLE001 (the border between a lot and its neighbours)
            failure = as_failure(error)
            attempt.left = [unit for unit in attempt.left if unit not in run.units]
            attempt.together = {unit.id: failure for unit in run.units}
            attempt.together_marked = run.lot is not None and self._leave(run.lot, failure, deadline)
            attempt.together_undone = run.lot is None or attempt.together_marked
        return attempt

    def resume(self, lot: Lot, units: Sequence[Unit], deadline: Deadline, whole: bool) -> LotReport:
        """Finish a lot whose worker is gone: execute it, whole or from its last part on, from its unit list.

        Args:
            units: the lot's units, with their objects.
            whole: whether it has a whole invocation; running out of less time counts against it only the first time.

        Raises:
            LeaseHeld: its worker is not gone yet.
            TooLarge: its only unit gets nowhere; the lot is dissolved.
            LotTooWide: its lists do not fit in the ledger; the lot is dissolved.
            Exception: it could not be committed; it is dissolved if that will happen again.
        """
        ours = self.ledger.lots.take_over(lot, self.versions, deadline.remaining() + LEASE_SLACK_SECONDS)
        if ours.state is LotState.DISSOLVING or ours.take_overs > MAX_TAKE_OVERS:
            self._dissolve(ours, deadline)
            raise _Dissolved(
                f"lot {lot.id} was given up after {ours.take_overs - 1} executions; its units are tried alone"
            )
        run = Execution(self, deadline, ours)
        try:
            for unit in units:
                run.read(unit)
            report = run.finish()
        except Exception as error:  # the border between a lot and its neighbours
            failure = as_failure(error)
            ours = run.lot or ours
            if isinstance(error, LotTooWide):  # every execution comes to the same end
                self._dissolve(ours, deadline)
                raise
            # The first time may have been in company. It counts, so that the lot has the next invocation for itself.
            is_first = not ours.stalled and ours.take_overs > 0
            counts = isinstance(error, OutOfTime) and (whole or is_first)
            if counts and len(units) == 1 and ours.take_overs >= MAX_TAKE_OVERS:
                self._dissolve(ours, deadline)
                raise too_large(units[0]) from error
            self._leave(ours, failure, deadline, forgive=not counts)
            raise
        self._tidy(report, deadline)
        return report

    def tidy(self, lot: Lot, deadline: Deadline) -> None:
        """Delete what a commit left over. Nobody can need these files: the lot is committed without them.

        Raises:
            OutOfTime: only the reserve is left; the sweep deletes the rest.
        """
        for keys in _some_at_a_time(sorted(lot.outputs)):
            deadline.check()
            self.lake.delete(keys)
        self.ledger.lots.clear_outputs(lot)

    def _tidy(self, report: LotReport, deadline: Deadline) -> None:
        """What follows a commit. Where it fails, the sweep does it: lot and objects stay in the index of open work."""
        with suppress(*FAILURES):
            self.ledger.objects.mark_done_as_seen(whole_objects(report.units))
        with suppress(*FAILURES):
            if report.lot.outputs:
                self.tidy(report.lot, deadline)

    def _leave(self, lot: Lot, failure: Failure, deadline: Deadline, forgive: bool = True) -> bool:
        """Leave a lot that cannot be committed now. Returns whether it is dissolved, and so its units marked.

        Where it would happen again, the lot is undone, so that its units are free. Otherwise the lease is given back,
        so that nobody has to wait for it.
        """
        if isinstance(failure, LeaseLost):
            return False
        try:
            if is_own_fault(failure):
                self._dissolve(lot, deadline)
                return True
            self.ledger.lots.give_back(lot, forgive)
        except Exception:  # noqa: BLE001 (whatever it is: the lease ends by itself, and the next worker goes on)
            return False
        return False

    def _dissolve(self, lot: Lot, deadline: Deadline) -> None:
        """First make sure that it is never committed, then delete its files, then free its units.

        Raises:
            OutOfTime: no time is left to delete more. The lease is given back, and the next worker goes on.
        """
        dissolving = self.ledger.lots.begin_dissolving(lot)
        for keys in _some_at_a_time(sorted(dissolving.outputs)):
            if deadline.remaining() <= SECONDS_TO_WRITE:
                self.ledger.lots.give_back(dissolving, forgive=True)
                raise OutOfTime(f"lot {lot.id} is being dissolved, and no time is left to delete all of its files")
            self.lake.delete(keys)
        self.ledger.lots.dissolve(dissolving)
        self.dissolved += 1


def _some_at_a_time(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many as are deleted between two looks at the clock: a second's worth, where S3 is at its slowest."""
    return (keys[at : at + _DELETED_AT_ONCE] for at in range(0, len(keys), _DELETED_AT_ONCE))


class _Dissolved(Terminal):
    """The lot was given up; each of its units is marked and tried alone when it comes again."""


def too_large(unit: Unit) -> TooLarge:
    found = f"{unit.id}: {MAX_TAKE_OVERS} invocations brought nothing to write."
    if unit.is_whole_object:
        return TooLarge(
            f"{found} Nothing of it is in Silver. Upload the same rows as plain JSON lines, which are read in ranges "
            "side by side, or as several smaller files, and delete this one, or it may be loaded beside them some day. "
            "A longer timeout of the function helps objects that come later"
        )
    return TooLarge(
        f"{found} Other units of its object may be in Silver: do not upload its rows again. Raise the function's "
        "timeout, then redrive the message from the dead-letter queue"
    )


def whole_objects(units: Sequence[Unit]) -> list[tuple[ObjectId, int]]:
    """Objects that these units cover from the first byte to the last, and since when each was open as it was seen."""
    covered: dict[ObjectId, int] = {}
    for unit in units:
        covered[unit.object.id] = covered.get(unit.object.id, 0) + unit.bytes
    whole = (unit for unit in units if unit.start == 0 and covered[unit.object.id] == unit.object.size)
    return [(unit.object.id, unit.open_since) for unit in whole]
