"""Dead letters sent back to work, with everything going wrong on the way: none is lost, and no row is loaded twice."""

from __future__ import annotations

from typing import Any

import pytest

from local.stack import Clients
from services.ops.dead_letters.dropping import REFUSED, SETTLED, drop
from services.ops.dead_letters.letters import Kind, unit_letter
from services.ops.dead_letters.looking import QueueLook
from services.ops.dead_letters.redrive import Redriven, read, redrive
from services.ops.dead_letters.sending import Pace, UnitQueue
from services.ops.dead_letters.standing import Standing
from services.ops.dead_letters.wanted import Wanted
from services.shared.contract.model import Contract
from services.shared.units import BronzeObject
from tests.faults.rig import INVOCATION_SECONDS, Rig, shipment
from tests.support.faults import Crash, Interrupted, Interrupter
from tests.support.queue import record
from tests.support.sqs import DEAD, UNITS, MemorySqs, Mortal

SQS_CALLS = ("receive_message", "send_message_batch", "delete_message_batch", "change_message_visibility_batch")


class Pipeline:
    """A rig whose queues are SQS's, and whose Bronze objects can be lost and found again."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.sqs = MemorySqs(rig.clock)
        rig.dead_letters = self.sqs  # type: ignore[assignment]

    def upload(self, rows: int = 5) -> BronzeObject:
        """An object of one unit, whose message is in the queue."""
        source = self.rig.upload("shipments", [shipment(n) for n in range(rows)])
        self.sqs.send_message(UNITS, self.rig.units[-1].to_message())
        return source

    def lose(self, source: BronzeObject) -> bytes:
        return self.rig.lake.objects.pop(str(source.id))

    def find(self, source: BronzeObject, data: bytes) -> None:
        self.rig.lake.objects[str(source.id)] = data

    def deliver(self) -> bool:
        """One delivery of what is visible in the queue; whether there was anything."""
        records = self.sqs.receive_records()
        if not records:
            return False
        result = self.rig.deliver_records(records)
        assert result is not None
        for one in records:
            again = one["messageId"] in result.failed
            entry = {"Id": "0", "ReceiptHandle": one["receiptHandle"], "VisibilityTimeout": 5}
            act = self.sqs.change_message_visibility_batch if again else self.sqs.delete_message_batch
            act(UNITS, [entry])
        return True

    def work(self) -> None:
        """Deliver, with time passing, until the queue is empty."""
        for _ in range(40):
            self.rig.clock.advance(2 * INVOCATION_SECONDS)
            self.deliver()
            if not self.sqs.queues[UNITS]:
                return
        raise AssertionError(f"still in the queue: {self.sqs.bodies(UNITS)}")

    def bury(self, number: int = 3) -> list[tuple[BronzeObject, bytes]]:
        """Objects whose units are dead letters, since their bytes could not be had."""
        sources = [self.upload() for _ in range(number)]
        lost = [(source, self.lose(source)) for source in sources]
        self.work()
        assert [unit.object for unit in self.rig.units[-number:]] == sources
        return lost

    def redrive(self, sqs: Any = None, **more: Any) -> Redriven:
        client = sqs or self.sqs
        look = QueueLook(client, DEAD, per_second=50)
        work = UnitQueue(client, UNITS)
        return redrive(self.rig.ledger, look, Kind.UNIT, work, Pace(50, sleep=lambda _: None), **more)

    def standings(self) -> list[Standing]:
        with QueueLook(self.sqs, DEAD) as look:  # type: ignore[arg-type]
            return [found.standing for page in read(self.rig.ledger, look, Kind.UNIT) for found in page]


@pytest.fixture
def pipe(rig: Rig) -> Pipeline:
    return Pipeline(rig)


def repair(pipe: Pipeline, lost: list[tuple[BronzeObject, bytes]]) -> None:
    for source, data in lost:
        pipe.find(source, data)


def test_dead_letters_whose_cause_is_fixed_are_loaded_once(pipe: Pipeline) -> None:
    repair(pipe, pipe.bury())
    result = pipe.redrive()
    assert (result.looked_at, result.sent, result.all_right) == (3, {Standing.OPEN: 3}, True)
    pipe.work()
    pipe.rig.check_exactly_once()


def test_a_letter_that_fails_again_comes_back_and_is_not_sent_twice_in_one_run(pipe: Pipeline) -> None:
    """Transform gives it up again while the redrive still runs: the run must end all the same."""
    pipe.bury(12)
    stops = Interrupter(first="delete_message_batch", before=False, action=pipe.work)
    result = pipe.redrive(Interrupted(pipe.sqs, stops, SQS_CALLS))
    assert (result.sent.total(), result.newer) == (12, 10)
    pipe.work()
    assert len(pipe.sqs.bodies(DEAD)) == 12


def test_letters_that_somebody_else_looks_at_are_told_and_not_taken_for_none(pipe: Pipeline) -> None:
    pipe.bury()
    pipe.sqs.receive_message(QueueUrl=DEAD, MaxNumberOfMessages=10, VisibilityTimeout=600)
    result = pipe.redrive()
    assert (result.looked_at, result.in_flight) == (0, 3)


def test_a_dry_run_sends_nothing_and_says_the_same(pipe: Pipeline) -> None:
    pipe.bury()
    planned = pipe.redrive(dry_run=True)
    assert (pipe.sqs.bodies(UNITS), len(pipe.sqs.visible(DEAD))) == ([], 3)
    assert pipe.redrive().sent == planned.sent


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_redrive_that_is_killed_at_any_call_loses_no_letter(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], before: bool
) -> None:
    for step in range(1, 20):
        rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=1 << 20)
        pipe = Pipeline(rig)
        lost = pipe.bury(12)
        repair(pipe, lost)
        mortal = Mortal(pipe.sqs, step, before)
        try:
            pipe.redrive(mortal)
        except Crash:
            pass
        else:
            assert step > 8  # every call of a run was tried
            return
        rig.clock.advance(120)  # for which the look has hidden the letters
        assert pipe.redrive().all_right
        pipe.work()
        rig.check_exactly_once()
    raise AssertionError("the redrive never came to its end")


def test_a_letter_that_is_sent_and_not_deleted_is_in_both_queues_and_loaded_once(pipe: Pipeline) -> None:
    repair(pipe, pipe.bury())
    first = pipe.sqs.bodies(DEAD)[0]
    pipe.sqs.refused_deletes += [first] * 9
    result = pipe.redrive()
    assert (result.sent.total(), result.not_deleted, result.all_right) == (3, 1, False)
    assert [message.body for message in pipe.sqs.visible(DEAD)] == [first]
    pipe.work()
    pipe.sqs.refused_deletes.clear()
    assert pipe.standings() == [Standing.COMMITTED]
    assert pipe.redrive().sent == {Standing.COMMITTED: 1}
    pipe.work()
    pipe.rig.check_exactly_once()


def test_a_letter_that_the_queue_does_not_take_stays(pipe: Pipeline) -> None:
    repair(pipe, pipe.bury())
    refused = pipe.sqs.bodies(DEAD)[1]
    pipe.sqs.refused_sends.append(refused)
    result = pipe.redrive()
    assert (result.sent.total(), result.not_sent) == (2, 1)
    assert [message.body for message in pipe.sqs.visible(DEAD)] == [refused]
    assert pipe.redrive().all_right
    pipe.work()
    pipe.rig.check_exactly_once()


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
@pytest.mark.parametrize("call", SQS_CALLS)
def test_two_redrives_at_once_load_every_row_once(pipe: Pipeline, call: str, before: bool) -> None:
    repair(pipe, pipe.bury(12))
    stops = Interrupter(first=call, before=before, action=lambda: (pipe.redrive(), None)[1])
    pipe.redrive(Interrupted(pipe.sqs, stops, SQS_CALLS))
    assert pipe.sqs.bodies(DEAD) == []
    pipe.work()
    pipe.rig.check_exactly_once()


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
@pytest.mark.parametrize("call", SQS_CALLS)
def test_a_redrive_while_transform_works_loads_every_row_once(pipe: Pipeline, call: str, before: bool) -> None:
    repair(pipe, pipe.bury(12))
    for _ in range(3):
        pipe.upload()

    def work() -> None:
        pipe.deliver()

    pipe.redrive(Interrupted(pipe.sqs, Interrupter(first=call, before=before, action=work), SQS_CALLS))
    pipe.work()
    assert pipe.sqs.bodies(DEAD) == []
    pipe.rig.check_exactly_once()


def test_letters_hidden_for_too_short_a_time_are_at_worst_sent_twice(pipe: Pipeline) -> None:
    """Each call takes an hour, so another operator gets the letters too, before the first one has sent them."""
    repair(pipe, pipe.bury(12))

    def hours() -> None:
        pipe.rig.clock.advance(50_000)
        pipe.redrive()

    pipe.redrive(Interrupted(pipe.sqs, Interrupter(first="send_message_batch", action=hours), SQS_CALLS))
    assert len(pipe.sqs.bodies(UNITS)) > 12
    pipe.work()
    assert pipe.sqs.bodies(DEAD) == []
    pipe.rig.check_exactly_once()


class TestALetterWithNothingLeftToDo:
    def committed(self, pipe: Pipeline) -> str:
        """A dead letter whose unit was committed since, by another copy of its message."""
        repair(pipe, pipe.bury(1))
        (body,) = pipe.sqs.bodies(DEAD)
        pipe.sqs.send_message(UNITS, body)
        pipe.work()
        assert pipe.standings() == [Standing.COMMITTED]
        return body

    def test_is_explained(self, pipe: Pipeline) -> None:
        self.committed(pipe)
        with QueueLook(pipe.sqs, DEAD) as look:  # type: ignore[arg-type]
            ((found,),) = read(pipe.rig.ledger, look, Kind.UNIT)
        assert found.detail.startswith("its rows were committed with lot ")

    def test_may_be_redriven(self, pipe: Pipeline) -> None:
        self.committed(pipe)
        assert pipe.redrive().sent == {Standing.COMMITTED: 1}
        pipe.work()
        pipe.rig.check_exactly_once()

    def test_may_be_dropped_and_an_open_one_is_not(self, pipe: Pipeline) -> None:
        self.committed(pipe)
        ((source, data),) = pipe.bury(1)
        assert sorted(pipe.standings()) == [Standing.COMMITTED, Standing.OPEN]
        dropped = drop(pipe.rig.ledger, QueueLook(pipe.sqs, DEAD), Kind.UNIT, SETTLED | REFUSED)  # type: ignore[arg-type]
        assert (dropped.dropped, dropped.left) == ({Standing.COMMITTED: 1}, {Standing.OPEN: 1})
        assert [unit.reason for unit in letters(pipe)] == ["attempts_exhausted"]
        pipe.find(source, data)
        pipe.redrive()
        pipe.work()
        pipe.rig.check_exactly_once()

    def test_open_letters_cannot_be_asked_to_be_dropped(self, pipe: Pipeline) -> None:
        with pytest.raises(ValueError, match="must not be dropped"):
            drop(pipe.rig.ledger, QueueLook(pipe.sqs, DEAD), Kind.UNIT, {Standing.OPEN})  # type: ignore[arg-type]

    def test_of_an_object_that_was_given_up_since_is_acknowledged(self, pipe: Pipeline) -> None:
        ((source, _),) = pipe.bury(1)
        (unit,) = pipe.rig.units
        assert pipe.rig.ledger.objects.reject_known(unit.id, "too_large", "write smaller files")
        assert pipe.standings() == [Standing.REJECTED]
        assert pipe.redrive().sent == {Standing.REJECTED: 1}
        pipe.work()
        assert pipe.sqs.bodies(DEAD) == []
        pipe.rig.forget(source)
        assert pipe.rig.lake.positions() == {}

    def test_of_a_retracted_object_is_acknowledged_and_brings_nothing_back(
        self, pipe: Pipeline, clients: Clients, ledger_table: str
    ) -> None:
        ((source, data),) = pipe.bury(1)
        pipe.find(source, data)  # its bytes could be read again
        clients.dynamodb.update_item(
            TableName=ledger_table,
            Key={"pk": {"S": f"object#{source.id}"}},
            UpdateExpression="SET #state = :retracted REMOVE #open, since",
            ExpressionAttributeNames={"#state": "state", "#open": "open"},
            ExpressionAttributeValues={":retracted": {"S": "RETRACTED"}},
        )
        assert pipe.standings() == [Standing.RETRACTED]
        assert pipe.redrive().sent == {Standing.RETRACTED: 1}
        pipe.work()
        assert pipe.sqs.bodies(DEAD) == []
        assert pipe.rig.lake.positions() == {}

    def test_of_an_object_that_is_to_be_loaded_again_is_not_settled(self, pipe: Pipeline) -> None:
        ((source, _),) = pipe.bury(1)
        pipe.rig.ledger.releases.begin(source.id, "Ann", "forced", reload=True)
        dropped = drop(pipe.rig.ledger, QueueLook(pipe.sqs, DEAD), Kind.UNIT, SETTLED | REFUSED)  # type: ignore[arg-type]
        assert (dropped.dropped, dropped.left) == ({}, {Standing.IN_PROGRESS: 1})


def test_dropping_tells_of_letters_that_somebody_else_looks_at(pipe: Pipeline) -> None:
    pipe.bury()
    pipe.sqs.receive_message(QueueUrl=DEAD, MaxNumberOfMessages=10, VisibilityTimeout=600)
    dropped = drop(pipe.rig.ledger, QueueLook(pipe.sqs, DEAD), Kind.UNIT, SETTLED)  # type: ignore[arg-type]
    assert (dropped.looked_at, dropped.in_flight) == (0, 3)


def letters(pipe: Pipeline) -> list[Any]:
    with QueueLook(pipe.sqs, DEAD) as look:  # type: ignore[arg-type]
        return [unit_letter(message) for page in look.pages() for message in page]


class TestALetterThatCanNeverBeWork:
    @pytest.fixture
    def poisoned(self, pipe: Pipeline) -> Pipeline:
        """One good letter between one that is not a unit and one of an object that nobody has announced."""
        pipe.sqs.send_message(UNITS, "not a unit")
        repair(pipe, pipe.bury(1))
        unknown = pipe.rig.lake.upload("bronze/shipments/unknown.jsonl", shipment(1))
        pipe.sqs.send_message(
            UNITS, pipe.rig.units[-1].to_message().replace(pipe.rig.units[-1].object.etag, unknown.etag)
        )
        pipe.work()
        return pipe

    def test_stays_with_its_reason_and_does_not_stop_the_others(self, poisoned: Pipeline) -> None:
        result = poisoned.redrive()
        assert result.stay == {Standing.MALFORMED: 1, Standing.UNKNOWN: 1}
        assert result.sent == {Standing.OPEN: 1}
        assert sorted(staying.why[:30] for staying in result.named) == [
            "not a unit (JSONDecodeError('E",
            "the ledger does not know this ",
        ]
        assert len(poisoned.sqs.visible(DEAD)) == 2

    def test_can_be_dropped_alone(self, poisoned: Pipeline) -> None:
        dropped = drop(poisoned.rig.ledger, QueueLook(poisoned.sqs, DEAD), Kind.UNIT, REFUSED)  # type: ignore[arg-type]
        assert dropped.dropped.total() == 2
        assert poisoned.standings() == [Standing.OPEN]
        poisoned.redrive()
        poisoned.work()
        poisoned.rig.check_exactly_once()


def test_a_filter_leaves_the_others_visible_and_in_place(pipe: Pipeline) -> None:
    pipe.bury(12)
    assert pipe.redrive(wanted=Wanted(error="no such error")).sent.total() == 0
    assert pipe.redrive(wanted=Wanted(dataset="tracking_events")).not_wanted == 12
    assert len(pipe.sqs.visible(DEAD)) == 12
    assert pipe.redrive(wanted=Wanted(dataset="shipments", error="deleted"), most=5).sent.total() == 5
    assert (len(pipe.sqs.visible(DEAD)), len(pipe.sqs.bodies(UNITS))) == (7, 5)


def test_letters_of_a_unit_that_somebody_works_on_do_no_harm(pipe: Pipeline) -> None:
    """Redriven, claimed by a worker that lives, and redriven once more by its other copy."""
    lost = pipe.bury(1)
    repair(pipe, lost)
    (body,) = pipe.sqs.bodies(DEAD)
    seen: list[Standing] = []
    stops = Interrupter(first="put", action=lambda: seen.extend(pipe.redrive().sent))
    assert pipe.rig.deliver_records([record(body, "another")], stops) is not None
    assert seen == [Standing.IN_PROGRESS]
    pipe.work()
    pipe.rig.check_exactly_once()
