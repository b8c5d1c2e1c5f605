"""One delivery of SQS messages: which are done, which come back, which are dead letters.

Looks the units up in the ledger, has them tried in the order that `isolation` knows, and answers with the ids of the
messages that must come again. What a lot is belongs to `lots`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from services.shared.aws import FAILURES, Failure
from services.shared.deadline import Deadline
from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Lookup, LostRace, Lot, LotState, LotTooWide, UnitNotes
from services.shared.units import MalformedMessage, Unit, UnitMessage
from services.transform.protocol.dead_letters import DeadLetterQueue
from services.transform.protocol.execution import LotReport
from services.transform.protocol.failures import RefusedMessage, TooLarge, UnexpectedFailure, as_failure, is_own_fault
from services.transform.protocol.isolation import FreeUnit, Isolation, OpenLot
from services.transform.protocol.lots import LotWorker, whole_objects
from services.transform.protocol.messages import Letter, confirmed
from services.transform.reading.signatures import RefusedContent

_ROUNDS = 3  # a race is lost to a worker with one of our units; another look at the ledger settles it


@dataclass(slots=True)
class DeliveryResult:
    """What became of a delivery. `failed` holds the reason for each message that comes back."""

    reports: list[LotReport] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)  # by message id
    duplicates: int = 0  # messages whose unit or object was finished before
    dead: dict[str, Failure] = field(default_factory=dict)  # messages that became dead letters, by message id
    rejected: dict[ObjectId, Failure] = field(default_factory=dict)  # objects that were given up
    rejected_bytes: int = 0  # of these objects, as they are in Bronze
    dissolved: int = 0  # lots that were given up; their units are tried alone

    @property
    def response(self) -> dict[str, list[dict[str, str]]]:
        """SQS's partial batch response."""
        return {"batchItemFailures": [{"itemIdentifier": message} for message in self.failed]}


class DeliveryProcessor:
    """Processes deliveries with one worker. Objects of other buckets than `bronze_bucket` are refused.

    `silver_bucket` must be the ledger's: otherwise every message comes back.
    """

    def __init__(
        self,
        worker: LotWorker,
        ledger: Ledger,
        dead_letters: DeadLetterQueue,
        bronze_bucket: str,
        silver_bucket: str,
    ) -> None:
        self._worker = worker
        self._ledger = ledger
        self._dead_letters = dead_letters
        self._bronze_bucket = bronze_bucket

        def settle() -> None:
            ledger.home.settle_in_bucket(silver_bucket)
            ledger.marks.settle()

        self._settle: Callable[[], None] | None = settle

    def process(
        self,
        records: Sequence[Mapping[str, Any]],
        deadline: Deadline,
        on_lot: Callable[[LotReport], None] = lambda _: None,
    ) -> DeliveryResult:
        """Process one delivery; `on_lot` hears of each lot as soon as it is committed."""
        dissolved_before = self._worker.dissolved
        delivery = _Delivery(self._worker, self._ledger, self._dead_letters, self._bronze_bucket, on_lot)
        delivery.open(records)
        if self._settle is not None and delivery.try_for_all(self._settle):
            self._settle = None  # once for each process
        isolation = Isolation(self._worker, self._ledger, deadline, delivery)
        for _ in range(_ROUNDS):
            for found in delivery.look_up():
                isolation.work_through(*delivery.sort(found))
        delivery.close(deadline)
        delivery.result.dissolved = self._worker.dissolved - dissolved_before
        return delivery.result


class _Delivery:
    """The letters of one delivery, and what becomes of each. Implements `isolation.Settlement`."""

    def __init__(
        self,
        worker: LotWorker,
        ledger: Ledger,
        dead_letters: DeadLetterQueue,
        bronze_bucket: str,
        on_lot: Callable[[LotReport], None],
    ) -> None:
        self._worker, self._ledger, self._dead_letters = worker, ledger, dead_letters
        self._bronze_bucket, self._on_lot = bronze_bucket, on_lot
        # By all that they say, not by unit: a forged message must not stand in for a genuine one of the same unit.
        self._waiting: dict[UnitMessage, list[Letter]] = {}
        self._letters: dict[UnitId, list[Letter]] = {}  # of confirmed units
        self._lost: dict[UnitId, LostRace] = {}
        self._committed: dict[LotId, tuple[Lot, Lookup]] = {}  # lots of duplicates
        self.result = DeliveryResult()

    def open(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Read the messages; what is not a unit is a dead letter at once."""
        for letter in map(Letter.of, records):
            try:
                message = UnitMessage.parse(letter.body)
            except MalformedMessage as error:
                self._send_dead([letter], "malformed_message", error)
            else:
                self._waiting.setdefault(message, []).append(letter)

    def try_for_all(self, needed: Callable[[], None]) -> bool:
        """Do what every unit needs; where that fails, all messages come back."""
        try:
            needed()
        except FAILURES as error:
            for letters in self._waiting.values():
                self._come_back(letters, error)
            self._waiting.clear()
            return False
        return True

    def close(self, deadline: Deadline) -> None:
        """Whatever has lost one race after the other comes back. Then, if there is time, what others left is tidied."""
        for message, letters in self._waiting.items():
            self._come_back(letters, self._lost[message.id])
        for lot, found in self._committed.values():
            if deadline.left > 0:
                self._finish_tidying(lot, found, deadline)

    def look_up(self) -> Iterator[Lookup]:
        """What the ledger says of the waiting units, in one answer, unless an item of theirs cannot be read."""
        if self._waiting:
            yield from self._look_up(list({message.id for message in self._waiting}))

    def _look_up(self, units: Sequence[UnitId]) -> Iterator[Lookup]:
        try:
            found = self._ledger.look_up(units)
        except Exception as error:  # noqa: BLE001 (the border between one unit's items and its neighbours')
            failure = as_failure(error)
            if is_own_fault(failure) and len(units) > 1:
                yield from self._look_up(units[: len(units) // 2])
                yield from self._look_up(units[len(units) // 2 :])
                return
            asked = set(units)
            for message in [message for message in self._waiting if message.id in asked]:
                self._come_back(self._waiting.pop(message), failure)
        else:
            yield found

    def sort(self, found: Lookup) -> tuple[list[FreeUnit], list[OpenLot]]:
        """Confirm the units that were looked up; what is finished is acknowledged. Gives those that are left to do."""
        free: list[FreeUnit] = []
        lots: dict[LotId, OpenLot] = {}
        for message in [message for message in self._waiting if message.id in found.asked]:
            letters = self._waiting.pop(message)
            try:
                unit = confirmed(message, found.objects.get(message.object), self._bronze_bucket)
                self._letters.setdefault(unit.id, []).extend(letters)
                lot = found.lots[found.lot_of[unit.id]] if unit.id in found.lot_of else None
                if lot is not None and not lot.state.holds_rows:
                    lots[lot.id] = OpenLot(lot, found.units_of(lot))
                elif lot is not None or found.objects[message.object].is_finished:
                    self.result.duplicates += len(letters)
                    if lot is not None and lot.state is LotState.COMMITTED:
                        self._committed[lot.id] = lot, found
                elif notes := self._notes_of_living(unit, found.notes.get(unit.id, UnitNotes()), letters):
                    free.append(FreeUnit(unit, notes, max(letter.receives for letter in letters)))
            except RefusedMessage as error:
                self._send_dead(letters, "refused_message", error)
            except Exception as error:  # noqa: BLE001 (the border between a unit and its neighbours)
                self._come_back(letters, as_failure(error))
        return free, list(lots.values())

    def _finish_tidying(self, lot: Lot, found: Lookup, deadline: Deadline) -> None:
        """The worker that committed this lot may have died right afterwards. Otherwise the sweep does it."""
        with suppress(Exception):  # whatever it is: its rows are committed, and so are its neighbours of this delivery
            if lot.outputs:
                self._worker.tidy(lot, deadline)
            covered = whole_objects(found.units_of(lot))
            self._ledger.objects.mark_done_as_seen(pair for pair in covered if not found.objects[pair[0]].is_finished)

    def _notes_of_living(self, unit: Unit, notes: UnitNotes, letters: Sequence[Letter]) -> UnitNotes | None:
        """A dead unit's own message repeats the sending: its worker died before it could acknowledge.

        Any other message was redriven by somebody: the unit starts from zero.
        """
        if not notes.dead:
            return notes
        own = [letter for letter in letters if letter.message_id == notes.dead]
        if own:
            self._send_dead(own, "attempts_exhausted", UnexpectedFailure(notes.last_error))
            self.result.duplicates += len(letters) - len(own)
            return None
        try:
            self._ledger.units.revive(unit.id)
        except FAILURES as error:
            self._come_back(letters, error)
            return None
        return UnitNotes()

    # -- Settlement --------------------------------------------------------------------------------------------

    def committed(self, report: LotReport) -> None:
        self.result.reports.append(report)
        self._on_lot(report)

    def comes_back(self, units: Iterable[Unit], failure: Failure) -> None:
        for unit in units:
            self._come_back(self._letters.get(unit.id, ()), failure)

    def lost_race(self, unit: Unit, race: LostRace) -> None:
        self._lost[unit.id] = race
        self._waiting[unit.as_message()] = self._letters.pop(unit.id)

    def is_dead(self, unit: Unit, failure: Failure) -> None:
        """Note it, then send the letter, then acknowledge. A crash in between repeats the sending."""
        letters = self._letters[unit.id]
        try:
            is_free = self._ledger.units.bury(unit.id, letters[0].message_id, str(failure))
        except FAILURES as error:
            self._come_back(letters, error)
            return
        if not is_free:
            self.lost_race(unit, LostRace(f"{unit.id} is in a lot of another worker: it is no dead letter"))
            return
        self._send_dead(letters[:1], "attempts_exhausted", failure)

    def is_given_up(self, unit: Unit, failure: TooLarge | LotTooWide | RefusedContent) -> None:
        match failure:
            case RefusedContent():
                reason = failure.reason
            case TooLarge():
                reason = "too_large"
            case _:
                reason = "too_wide"
        try:
            is_rejected = self._ledger.objects.reject_known(unit.id, reason, str(failure))
        except FAILURES as error:
            self._come_back(self._letters.get(unit.id, ()), error)
            return
        if is_rejected:
            self.result.rejected[unit.object.id] = failure
            self.result.rejected_bytes += unit.object.size
        else:
            self.lost_race(unit, LostRace(f"{unit.id} is in a lot of another worker, or its object is finished"))

    def _send_dead(self, letters: Sequence[Letter], reason: str, failure: Failure) -> None:
        for letter in letters:
            try:
                self._dead_letters.send(letter, reason, str(failure))
            except FAILURES as error:
                self._come_back([letter], error)
            else:
                self.result.dead[letter.message_id] = failure

    def _come_back(self, letters: Iterable[Letter], failure: Failure) -> None:
        for letter in letters:
            self.result.failed[letter.message_id] = failure
