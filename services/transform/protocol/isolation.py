"""The order in which the units of a delivery are tried, so that none of them can harm its neighbours.

Whatever a unit does to its worker (an exception, memory, endless time), the others of its delivery are committed or
come back unharmed. The safest come first:

    1  units and lots that ran out of time before     alone, with the whole invocation; rejected after three times
    2  first deliveries                               together
    3  second deliveries                              marked as suspect in the ledger first, then together once more
    4  lots that somebody left                        the least often taken over first; dissolved after three times
    5  marked units                                   alone, the least suspect first, the attempt recorded first

Attempts decide which unit is a dead letter: five terminal failures, or deaths while alone. What is not a unit's fault
(time, another's lease, throttling, a missing permission, an outage) takes mark and attempt back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from services.shared.aws import FAILURES, Failure
from services.shared.deadline import LEASE_SLACK_SECONDS, Deadline, OutOfTime
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, LostRace, Lot, LotTooWide, UnitNotes
from services.shared.units import Unit
from services.transform.protocol.execution import LotReport
from services.transform.protocol.failures import TooLarge, UnexpectedFailure, as_failure, is_own_fault
from services.transform.protocol.lots import MAX_TAKE_OVERS, Attempt, LotWorker, too_large
from services.transform.reading.signatures import RefusedContent

MAX_ATTEMPTS = 5
_WHOLE_INVOCATION = 0.9  # of the time that the delivery had at its beginning
# A call of AWS that is never answered ends after about a minute (services/shared/aws.py). A unit that is tried alone
# with less time than that would be charged with the death of its worker. Of a short invocation, a quarter must do.
_SILENCE_SECONDS = 75.0


@dataclass(frozen=True, slots=True)
class FreeUnit:
    """A unit that is in no lot, with what the ledger notes of it, and how often its message was delivered."""

    unit: Unit
    notes: UnitNotes
    receives: int

    @property
    def is_marked(self) -> bool:
        return bool(self.notes.suspect or self.notes.attempts)

    @property
    def has_stalled(self) -> bool:
        """Whether it ran out of time, and its last worker lived: one that killed it is not tried before its neighbours.

        An attempt whose worker lived has no lease any more. Behind its neighbours it might run out of time for ever.
        """
        return bool(self.notes.stalls and not (self.notes.attempts and self.notes.lease_until))

    @property
    def suspicion(self) -> tuple[int, int]:
        return self.notes.attempts, self.notes.suspect


@dataclass(frozen=True, slots=True)
class OpenLot:
    """A lot that is not committed, with its units and their objects."""

    lot: Lot
    units: Sequence[Unit]


class Settlement(Protocol):
    """Where the outcome of each unit goes."""

    def committed(self, report: LotReport) -> None: ...

    def comes_back(self, units: Iterable[Unit], failure: Failure) -> None: ...

    def lost_race(self, unit: Unit, race: LostRace) -> None: ...

    def is_dead(self, unit: Unit, failure: Failure) -> None: ...

    def is_given_up(self, unit: Unit, failure: TooLarge | LotTooWide | RefusedContent) -> None: ...


class Isolation:
    """Tries units and lots against one deadline, and tells each outcome to a settlement."""

    def __init__(self, worker: LotWorker, ledger: Ledger, deadline: Deadline, settle: Settlement) -> None:
        self._worker, self._ledger, self._deadline, self._settle = worker, ledger, deadline, settle
        self._time_at_first = deadline.remaining()

    def work_through(self, free: Sequence[FreeUnit], lots: Sequence[OpenLot]) -> None:
        """Try everything once, in the order above."""
        stalled = [unit for unit in free if unit.has_stalled]
        marked = [unit for unit in free if unit.is_marked and not unit.has_stalled]
        others = [unit for unit in free if not unit.is_marked and not unit.has_stalled]
        for unit in sorted(stalled, key=lambda unit: -unit.notes.stalls):
            self._alone(unit)
        for lot in (lot for lot in lots if lot.lot.ran_out_of_time):
            self._resume(lot)
        self._together([unit for unit in others if unit.receives == 1])
        self._together_once_more([unit for unit in others if unit.receives > 1])
        for lot in sorted((lot for lot in lots if not lot.lot.ran_out_of_time), key=lambda lot: lot.lot.take_overs):
            self._resume(lot)
        for unit in sorted(marked, key=lambda unit: unit.suspicion):
            self._alone(unit)

    def _together(self, units: Sequence[FreeUnit]) -> None:
        """Lots of as many units as fit, one after the other. Units that were reached in vain are in `before`."""
        before = {unit.unit.id: unit for unit in units}
        left = [unit.unit for unit in units]
        while left:
            if out_of_time := self._out_of_time():
                self._not_their_fault([before[unit.id] for unit in left], out_of_time)
                return
            attempt = self._worker.start(left, self._deadline)
            left = attempt.left
            if attempt.report:
                self._settle.committed(attempt.report)
            for id_, failure in attempt.failed.items():
                self._failed_by_itself(before[id_], failure, recorded=False)
            if len(attempt.together) == 1:
                self._failed_in_its_lot(before[next(iter(attempt.together))], attempt, recorded=False)
            else:
                for id_, failure in attempt.together.items():
                    self._failed_in_company(before[id_], failure, attempt.together_marked)

    def _together_once_more(self, units: Sequence[FreeUnit]) -> None:
        """The worker before may have died of one of them: if this one dies too, each is tried alone."""
        marked = []
        for unit in units:
            try:
                self._ledger.units.suspect(unit.unit.id)
            except FAILURES as error:
                self._settle.comes_back([unit.unit], error)
            else:
                marked.append(unit)
        self._together(marked)

    def _alone(self, unit: FreeUnit) -> None:
        """A lot of this unit only. The attempt is recorded before it starts, so that the worker's death counts."""
        if out_of_time := self._out_of_time() or self._too_late_for_an_attempt():
            self._settle.comes_back([unit.unit], out_of_time)
            return
        if self._worker.clock() * 1000 <= unit.notes.lease_until:
            held = LeaseHeld(f"{unit.unit.id} is being tried alone by another worker", unit.notes.lease_until)
            self._settle.comes_back([unit.unit], held)
            return
        if unit.notes.attempts >= MAX_ATTEMPTS:  # the last attempt killed its worker
            error = unit.notes.last_error or (
                "the worker died whenever it tried this unit alone (memory, or a crash), or lost the ledger in the "
                "middle; look into its log, then redrive the message from the dead-letter queue"
            )
            self._settle.is_dead(unit.unit, UnexpectedFailure(error))
            return
        try:
            self._ledger.units.begin_attempt(unit.unit.id, self._deadline.remaining() + LEASE_SLACK_SECONDS)
        except LostRace as race:
            self._settle.lost_race(unit.unit, race)
            return
        except FAILURES as error:
            self._settle.comes_back([unit.unit], error)
            return
        whole = self._is_whole_invocation()
        attempt = self._worker.start([unit.unit], self._deadline)
        if attempt.report:
            self._settle.committed(attempt.report)
        for failure in attempt.failed.values():
            self._failed_by_itself(unit, failure, recorded=True, whole=whole)
        if attempt.together:
            self._failed_in_its_lot(unit, attempt, recorded=True)

    def _resume(self, open_lot: OpenLot) -> None:
        if out_of_time := self._out_of_time():
            self._settle.comes_back(open_lot.units, out_of_time)
            return
        try:
            report = self._worker.resume(open_lot.lot, open_lot.units, self._deadline, self._is_whole_invocation())
        except (TooLarge, LotTooWide) as error:
            if len(open_lot.units) == 1 and open_lot.units[0].is_whole_object:
                self._settle.is_given_up(open_lot.units[0], error)
            else:
                self._settle.comes_back(open_lot.units, error)
        except Exception as error:  # noqa: BLE001 (the border between a lot and its neighbours)
            self._settle.comes_back(open_lot.units, as_failure(error))
        else:
            self._settle.committed(report)

    # -- what a failure means ----------------------------------------------------------------------------------

    def _failed_by_itself(self, unit: FreeUnit, failure: Failure, recorded: bool, whole: bool = False) -> None:
        """A unit failed, and its neighbours have nothing to do with it. `recorded`: as an attempt, before it began."""
        if isinstance(failure, RefusedContent):  # so is every unit of its object: nothing of it is in any lot
            self._settle.is_given_up(unit.unit, failure)
        elif isinstance(failure, OutOfTime):
            self._ran_out_of_time(unit, failure, recorded, whole)
        elif not is_own_fault(failure):
            self._not_their_fault([unit], failure, recorded)
        elif unit.notes.attempts + 1 >= MAX_ATTEMPTS:
            self._settle.is_dead(unit.unit, failure)
        else:
            with suppress(*FAILURES):  # then one attempt more is made: the unit comes back all the same
                if recorded:
                    self._ledger.units.note_error(unit.unit.id, str(failure))
                else:
                    self._ledger.units.count_failure(unit.unit.id, unit.notes, str(failure))
            self._settle.comes_back([unit.unit], failure)

    def _failed_in_its_lot(self, unit: FreeUnit, attempt: Attempt, recorded: bool) -> None:
        """A lot of this unit only has failed. If time ran out, the unit is no stall: its lot keeps what was written."""
        failure = attempt.together[unit.unit.id]
        if isinstance(failure, LotTooWide) and unit.unit.is_whole_object and attempt.together_undone:
            self._settle.is_given_up(unit.unit, failure)  # every execution comes to the same end
        elif is_own_fault(failure):
            self._failed_by_itself(unit, failure, recorded)
        else:
            self._not_their_fault([unit], failure, recorded)

    def _failed_in_company(self, unit: FreeUnit, failure: Failure, marked: bool) -> None:
        """A lot of several units failed as a whole."""
        if not is_own_fault(failure):
            self._not_their_fault([unit], failure)
            return
        with suppress(*FAILURES):  # then they are tried together once more
            if not marked:
                self._ledger.units.suspect(unit.unit.id)
        self._settle.comes_back([unit.unit], failure)

    def _not_their_fault(self, units: Iterable[FreeUnit], failure: Failure, recorded: bool = False) -> None:
        """Take back what was recorded before: the attempt of a unit alone, or the mark of a second delivery."""
        for unit in units:
            # A mark that stays makes the unit slower. An attempt that stays looks like a death of its worker: where the
            # ledger is lost in the middle of five attempts, and found again before the next one, a healthy unit is a
            # dead letter.
            with suppress(*FAILURES):
                if recorded:
                    self._ledger.units.restore(unit.unit.id, unit.notes)
                elif unit.receives > 1:
                    self._ledger.units.take_mark_back(unit.unit.id, unit.notes)
            if isinstance(failure, LostRace):
                self._settle.lost_race(unit.unit, failure)
            else:
                self._settle.comes_back([unit.unit], failure)

    def _ran_out_of_time(self, unit: FreeUnit, failure: OutOfTime, recorded: bool, whole: bool) -> None:
        """Nothing of the unit could be written. The first time may have been in company; then whole invocations count.

        What a unit of its own has read is written before this is raised, so there was nothing.
        """
        counts = whole or not unit.notes.stalls
        try:
            is_free = self._ledger.units.count_stall(unit.unit.id, unit.notes) if counts else True
        except FAILURES as error:  # then it is not counted
            self._not_their_fault([unit], error, recorded)
            return
        if not is_free:
            race = LostRace(f"{unit.unit.id} is in a lot of another worker, which gets on with it")
            self._not_their_fault([unit], race, recorded)
        elif counts and unit.notes.stalls + 1 >= MAX_TAKE_OVERS:
            self._stalled_for_good(unit)
        else:
            self._not_their_fault([unit], failure, recorded)

    def _stalled_for_good(self, unit: FreeUnit) -> None:
        if unit.unit.is_whole_object:
            self._settle.is_given_up(unit.unit, too_large(unit.unit))
        else:  # other units of its object may be in Silver already: it is a dead letter in the end
            self._failed_by_itself(unit, too_large(unit.unit), recorded=True)

    def _out_of_time(self) -> OutOfTime | None:
        try:
            self._deadline.check()
        except OutOfTime as error:
            return error
        return None

    def _too_late_for_an_attempt(self) -> OutOfTime | None:
        if self._deadline.remaining() >= min(_SILENCE_SECONDS, self._time_at_first / 4):
            return None
        return OutOfTime("too little time is left to try a unit alone: an outage would look like its fault")

    def _is_whole_invocation(self) -> bool:
        return self._deadline.remaining() >= _WHOLE_INVOCATION * self._time_at_first
