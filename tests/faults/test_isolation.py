"""Whatever one unit does, its neighbours are committed or come back unharmed; healthy units are never dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from local.stack import Clients
from services.shared.contract.model import Contract
from services.shared.deadline import OutOfTime
from services.shared.errors import Transient
from services.shared.identities import BronzeKey, UnacceptableKey
from services.shared.lake import ByteStream, LakeUnavailable
from services.shared.ledger.records import ObjectState, UnitNotes
from services.shared.parquet import encode as encoding
from services.shared.units import BronzeObject, Unit
from services.transform.blocks import Piece
from services.transform.protocol.isolation import MAX_ATTEMPTS
from services.transform.reading.reader import UnitReader
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipment
from tests.support.faults import Interrupter
from tests.support.lake import Clock, MemoryLake
from tests.support.queue import record
from tests.support.readers import MisbehavingReader


def explode() -> None:
    raise ValueError("something that nobody foresaw")


def run_out_of_memory() -> None:
    raise MemoryError


KILLERS: dict[str, Callable[[], None]] = {
    "it kills its worker": crash,
    "it raises what nobody foresaw": explode,
    "it runs out of memory": run_out_of_memory,
}


def neighbours(rig: Rig, count: int) -> None:
    for number in range(count):
        rig.upload("shipments", [shipment(number), shipment(number + 1)])


def poison(rig: Rig, behave: Callable[[], None], name: str = "poison") -> Unit:
    """A unit that behaves like this whenever it is read; its rows are not expected anywhere."""
    source = rig.plan(rig.lake.upload(f"bronze/shipments/{rig.name}-{name}.jsonl", shipment(1)))
    behaviours = {name: behave}
    before = rig.reader
    rig.reader = lambda lake: MisbehavingReader(lake, behaviours) if before is rig_reader else before(lake)
    return next(unit for unit in rig.units if unit.object.id == source.id)


rig_reader = Rig.__dataclass_fields__["reader"].default


def play_until_acknowledged(rig: Rig, units: list[Unit], deliveries: int) -> int:
    """Deliver as SQS does: what is not acknowledged comes again, together. Returns how many deliveries it took."""
    left = list(units)
    for number in range(1, deliveries + 1):
        result = rig.deliver(left)
        done = {unit.id for unit in rig.acknowledged(left, result)}
        left = [unit for unit in left if unit.id not in done]
        if not left:
            return number
        rig.clock.advance(6 * INVOCATION_SECONDS)
    raise AssertionError(f"{len(left)} messages are not acknowledged after {deliveries} deliveries")


class Silent(MemoryLake):
    """S3 answers nothing: a call fails after a minute, unless Lambda stops the worker before."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.worker_ends = 0.0

    def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
        self._clock.advance(63)
        if self._clock.now >= self.worker_ends:
            crash()
        raise LakeUnavailable(f"{source.id} cannot be read now: read timeout ({start}-{end})")


def test_hours_without_an_answer_of_s3_make_no_healthy_unit_a_dead_letter(rig: Rig) -> None:
    """As many units as an invocation can just not try: each time it would be stopped in the same one."""
    rig.lake, rig.invocation_seconds = Silent(rig.clock), 300
    neighbours(rig, 5)
    for _ in range(12):
        rig.lake.worker_ends = rig.clock.now + rig.invocation_seconds
        rig.deliver(rig.units)
        rig.clock.advance(6 * rig.invocation_seconds)
    assert not rig.dead_letters.sent
    assert {rig.ledger.units.notes(unit.id).attempts for unit in rig.units} == {0}


def test_a_lot_that_killed_its_worker_is_not_tried_first_after_an_outage(rig: Rig) -> None:
    """The worker between gave it back without a fault of the lot, as one does that runs out of time."""
    behaviour: list[Callable[[], None]] = [lambda: None]
    unit = poison(rig, lambda: behaviour[0]())
    assert rig.deliver([unit], Interrupter(first="put", before=True, action=crash)) is None
    rig.clock.advance(2 * INVOCATION_SECONDS)
    behaviour[0] = crash
    assert rig.deliver([unit]) is None
    rig.clock.advance(2 * INVOCATION_SECONDS)
    behaviour[0] = be_refused
    assert rig.deliver([unit]) is not None
    behaviour[0] = crash
    neighbours(rig, 1)
    assert rig.deliver(rig.units) is None
    assert rig.lake.positions() == rig.expected


def be_refused() -> None:
    raise LakeUnavailable("S3 does not answer")


class TestAUnitThatHarmsItsWorker:
    @pytest.mark.parametrize("behave", KILLERS.values(), ids=KILLERS)
    def test_becomes_a_dead_letter_and_its_neighbours_are_committed(self, rig: Rig, behave: Callable[[], None]) -> None:
        neighbours(rig, 8)
        unit = poison(rig, behave)
        rig.units.insert(0, rig.units.pop())  # it is read first
        play_until_acknowledged(rig, rig.units, deliveries=3 + MAX_ATTEMPTS)
        (letter,) = rig.dead_letters.sent
        assert letter["MessageBody"] == unit.to_message()
        assert letter["MessageAttributes"]["reason"]["StringValue"] == "attempts_exhausted"
        rig.dead_letters.sent.clear()
        rig.forget(unit.object)
        rig.check_exactly_once()

    @pytest.mark.parametrize("behave", KILLERS.values(), ids=KILLERS)
    def test_is_tried_alone_after_its_neighbours(self, rig: Rig, behave: Callable[[], None]) -> None:
        """With the fourth delivery at the latest everybody else is committed: it is the most suspect one by then."""
        neighbours(rig, 5)
        unit = poison(rig, behave)
        rig.units.insert(0, rig.units.pop())
        for _ in range(4):
            rig.deliver(rig.units)
            rig.clock.advance(6 * INVOCATION_SECONDS)
        assert set(rig.look_up().lot_of) == {other.id for other in rig.units if other is not unit}

    def test_whose_key_a_later_release_refuses_is_in_no_lot(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """It was planned by the release before. In a lot it would be committed without its rows."""
        neighbours(rig, 3)
        unit = poison(rig, explode, "refused")
        rig.units.insert(0, rig.units.pop())
        real = BronzeObject.bronze_key.__get__

        def refuse(source: BronzeObject) -> BronzeKey:
            if "refused" in source.key:
                raise UnacceptableKey(source.key, "outside_bronze", "rename it")
            return real(source)

        monkeypatch.setattr(BronzeObject, "bronze_key", property(refuse))
        play_until_acknowledged(rig, rig.units, deliveries=3 + MAX_ATTEMPTS)
        assert [letter["MessageBody"] for letter in rig.dead_letters.sent] == [unit.to_message()]
        rig.dead_letters.sent.clear()
        rig.forget(unit.object)
        rig.check_exactly_once()

    def test_its_dead_letter_says_why(self, rig: Rig) -> None:
        unit = poison(rig, explode)
        play_until_acknowledged(rig, [unit], deliveries=MAX_ATTEMPTS)
        (letter,) = rig.dead_letters.sent
        assert "something that nobody foresaw" in letter["MessageAttributes"]["error"]["StringValue"]
        assert rig.look_up().notes[unit.id].last_error.startswith("ValueError")

    def test_two_of_them_in_one_delivery_do_not_save_each_other(self, rig: Rig) -> None:
        neighbours(rig, 4)
        poison(rig, crash, "poison")
        second = rig.plan(rig.lake.upload(f"bronze/shipments/{rig.name}-poison-too.jsonl", shipment(2)))
        assert second
        play_until_acknowledged(rig, rig.units, deliveries=3 + 2 * MAX_ATTEMPTS)
        assert len(rig.dead_letters.sent) == 2
        assert len(rig.look_up().lot_of) == 4

    def test_whose_lot_fails_as_a_whole_is_found_by_trying_each_alone(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What fails when all rows of a lot are encoded together points at nobody."""
        neighbours(rig, 3)
        source = rig.upload("tracking_events", [b'{"no": "event time"}'])
        unit = next(unit for unit in rig.units if unit.object.id == source.id)
        real = encoding.quarantine_file

        def refuse(*args: Any) -> bytes:
            raise OverflowError("these rows cannot be encoded")

        monkeypatch.setattr(encoding, "quarantine_file", refuse)
        play_until_acknowledged(rig, rig.units, deliveries=2 + MAX_ATTEMPTS)
        assert len(rig.dead_letters.sent) == 1
        assert set(rig.look_up().lot_of) == {other.id for other in rig.units if other is not unit}

        monkeypatch.setattr(encoding, "quarantine_file", real)  # the bug is fixed, and the letter redriven
        redriven = rig.dead_letters.sent.pop()["MessageBody"]
        result = rig.deliver_records([record(redriven, "another message")])
        assert result is not None
        assert not result.failed
        rig.check_exactly_once()


class TestDeadLetters:
    def test_a_unit_that_another_worker_has_bound_meanwhile_is_none(self, rig: Rig) -> None:
        """Two deliveries have it at once: one commits it right before the other notes that it is dead."""
        rig.upload("shipments", [shipment(1)])
        (unit,) = rig.units
        for _ in range(MAX_ATTEMPTS):
            rig.ledger.units.begin_attempt(unit.id, 0)
            rig.clock.advance(1)

        def the_other_commits() -> None:
            rig.ledger.units.restore(unit.id, UnitNotes())
            assert rig.deliver([unit]) is not None

        copy = record(unit.to_message(), "a copy of the message", receives=3)
        result = rig.deliver_records([copy], Interrupter(first="update_item", action=the_other_commits))
        assert result is not None
        assert result.duplicates == 1
        rig.check_exactly_once()

    def dead(self, rig: Rig) -> Unit:
        unit = poison(rig, explode)
        play_until_acknowledged(rig, [unit], deliveries=MAX_ATTEMPTS)
        return unit

    @pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
    def test_are_sent_whatever_call_the_worker_dies_at(self, rig: Rig, before: bool) -> None:
        unit = poison(rig, explode)
        for _ in range(MAX_ATTEMPTS - 1):
            rig.deliver([unit])
            rig.clock.advance(6 * INVOCATION_SECONDS)
        for step in range(1, 30):
            sent = len(rig.dead_letters.sent)
            if rig.deliver([unit], Interrupter(step, before, crash)) is None:
                rig.clock.advance(6 * INVOCATION_SECONDS)
                result = rig.deliver([unit])  # SQS delivers the same message again
                assert result is not None
            assert rig.dead_letters.sent[sent:], step
            if step > 1 and len(rig.dead_letters.sent) - sent == 1:
                return
        raise AssertionError("the worker died at every call")

    def test_start_from_zero_when_somebody_redrives_them(self, rig: Rig) -> None:
        unit = self.dead(rig)
        body = rig.dead_letters.sent.pop()["MessageBody"]
        for receives in range(1, MAX_ATTEMPTS):
            result = rig.deliver_records([record(body, "redriven", receives)])
            assert result is not None
            assert list(result.failed) == ["redriven"]
            rig.clock.advance(6 * INVOCATION_SECONDS)
        assert not rig.dead_letters.sent
        rig.deliver_records([record(body, "redriven", MAX_ATTEMPTS)])
        assert len(rig.dead_letters.sent) == 1
        assert rig.look_up().notes[unit.id].dead == "redriven"

    def test_come_back_when_they_cannot_be_sent(self, rig: Rig) -> None:
        unit = poison(rig, explode)
        for _ in range(MAX_ATTEMPTS - 1):
            rig.deliver([unit])
            rig.clock.advance(6 * INVOCATION_SECONDS)

        def refuse(**_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="the queue")

        rig.dead_letters.send_message = refuse  # type: ignore[method-assign]
        result = rig.deliver([unit])
        assert result is not None
        assert result.failed
        del rig.dead_letters.send_message  # type: ignore[method-assign]
        rig.deliver([unit])
        assert len(rig.dead_letters.sent) == 1


class TestWhatIsNotAUnitsFault:
    @staticmethod
    def forbidden() -> None:
        raise Transient("AccessDenied")

    @staticmethod
    def throttled() -> None:
        raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "PutItem")

    @pytest.mark.parametrize("trouble", ["forbidden", "throttled"])
    def test_a_long_outage_makes_no_dead_letter(self, rig: Rig, trouble: str) -> None:
        neighbours(rig, 3)
        behaviours = {rig.name: getattr(self, trouble)}
        rig.reader = lambda lake: MisbehavingReader(lake, behaviours)
        for _ in range(4 * MAX_ATTEMPTS):
            result = rig.deliver(rig.units)
            assert result is not None
            assert len(result.failed) == len(rig.units)
            rig.clock.advance(6 * INVOCATION_SECONDS)
        behaviours.clear()
        rig.drain(rig.units)
        rig.check_exactly_once()

    @pytest.mark.parametrize("call", ["put_item", "update_item", "transact_write_items", "batch_get_item", "put"])
    def test_a_call_that_always_fails_for_an_hour_makes_no_dead_letter(self, rig: Rig, call: str) -> None:
        neighbours(rig, 3)

        class Failing(Interrupter):
            def call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
                if name == call:
                    raise ClientError({"Error": {"Code": "ThrottlingException"}}, name)
                return super().call(name, function, *args, **kwargs)

        for _ in range(2 * MAX_ATTEMPTS):
            rig.deliver(rig.units, Failing())
            rig.clock.advance(6 * INVOCATION_SECONDS)
        rig.drain(rig.units)
        rig.check_exactly_once()

    def test_slow_units_that_are_not_reached_are_never_dead_letters(self, rig: Rig) -> None:
        """400 units of 10 s each, in batches of 100, with 60 s for an invocation."""
        neighbours(rig, 40)
        rig.reader = lambda lake: MisbehavingReader(lake, {rig.name: partial(rig.clock.advance, 10)})
        left = list(rig.units)
        for _ in range(40):
            if not left:
                break
            done = {unit.id for unit in rig.acknowledged(left, rig.deliver(left))}
            left = [unit for unit in left if unit.id not in done]
        rig.check_exactly_once()

    def test_receives_that_lambda_used_up_by_itself_do_not_count(self, rig: Rig) -> None:
        neighbours(rig, 3)
        for unit in rig.units:
            rig.receives[f"m-{unit.id}"] = 500
        rig.deliver(rig.units)
        rig.check_exactly_once()


class TestAUnitThatTakesTooLong:
    def test_is_rejected_with_advice_when_nothing_of_it_can_be_written(self, rig: Rig) -> None:
        neighbours(rig, 3)

        def go_on_for_ever() -> None:
            rig.clock.advance(50)
            raise OutOfTime("the reader has read blanks until its deadline")

        unit = poison(rig, go_on_for_ever)
        rig.units.insert(0, rig.units.pop())
        assert play_until_acknowledged(rig, rig.units, deliveries=5) == 4
        (known,) = rig.ledger.find_objects([unit.object.id])
        assert (known.state, known.reason) == (ObjectState.REJECTED, "too_large")
        assert "Nothing of it is in Silver" in known.advice
        assert "JSON lines" in known.advice
        assert known.id not in rig.open_objects()
        rig.forget(unit.object)
        rig.check_exactly_once()

    def test_of_an_object_with_other_units_is_a_dead_letter_and_the_object_stays_open(
        self, clients: Clients, ledger_table: str, contracts: dict[str, Contract]
    ) -> None:
        """The other units' rows are in Silver: an object that says REJECTED would hide them."""
        rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=1024)
        source = rig.upload("shipments", [shipment(number) for number in range(20)])
        stuck = rig.units[1]

        class Stuck(UnitReader):
            def read(self, unit: Unit, *args: Any, **kwargs: Any) -> Iterator[Piece]:
                if unit.id == stuck.id:
                    rig.clock.advance(50)
                    raise OutOfTime("nothing was found until the deadline")
                return super().read(unit, *args, **kwargs)

        rig.reader = lambda lake: Stuck(lake, max_row_bytes=4096)
        play_until_acknowledged(rig, rig.units, deliveries=20)
        assert rig.state_of(source) is ObjectState.PLANNED
        (letter,) = rig.dead_letters.sent
        error = letter["MessageAttributes"]["error"]["StringValue"]
        assert "do not upload its rows again" in error, "they would be in Silver twice"
        assert "redrive" in error
        assert set(rig.look_up().lot_of) == {unit.id for unit in rig.units if unit.id != stuck.id}

    def test_is_not_rejected_for_time_that_others_used(self, rig: Rig) -> None:
        """Two heavy units never fit in one invocation together: neither is blamed for the other."""
        neighbours(rig, 2)
        rig.reader = lambda lake: MisbehavingReader(lake, {rig.name: partial(rig.clock.advance, 40)})
        play_until_acknowledged(rig, rig.units, deliveries=10)
        rig.check_exactly_once()

    def test_has_what_was_read_of_it_written_before_it_goes_on(self, rig: Rig) -> None:
        rig.upload("shipments", [shipment(number) for number in range(30)])
        rig.reader = lambda lake: MisbehavingReader(lake, {rig.name: partial(rig.clock.advance, 50)})
        result = rig.deliver(rig.units)
        assert result is not None
        assert result.failed
        assert rig.lake.files
        rig.reader = Rig.__dataclass_fields__["reader"].default
        rig.drain(rig.units)
        rig.check_exactly_once()
