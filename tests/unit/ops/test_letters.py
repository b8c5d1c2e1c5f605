"""What a message of the dead-letter queue or of the failed events is about, where it goes, and how fast."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from services.ops.dead_letters.letters import Letter, event_letter, unit_letter
from services.ops.dead_letters.looking import Message
from services.ops.dead_letters.moving import NoMoveTask, move_all
from services.ops.dead_letters.sending import Ingest, Pace, UnitQueue
from services.ops.dead_letters.standing import Explained, Standing
from services.ops.dead_letters.wanted import Wanted
from services.ops.errors import OperatorError
from services.shared.units import BronzeObject, Plan
from tests.support.ingest import event
from tests.support.lake import BRONZE, CREATED
from tests.support.sqs import DEAD, UNITS, MemorySqs

SENT = datetime(2026, 2, 1, tzinfo=UTC)
SOURCE = BronzeObject(BRONZE, "bronze/shipments/a.jsonl", 2500, "e1", None, CREATED)


def message(body: str, **attributes: str) -> Message:
    return Message("m1", body, "receipt", SENT, 1, attributes)


def failure(payload: Any, **more: Any) -> str:
    """Lambda's record of an invocation that failed."""
    context = {"condition": "RetriesExhausted", "approximateInvokeCount": 3, "functionArn": "arn"}
    answer = {"errorMessage": "the ledger is gone", "errorType": "ClientError"}
    return json.dumps(
        {"version": "1.0", "requestContext": context, "requestPayload": payload, "responsePayload": answer}
    )


class TestADeadLetter:
    def test_says_its_unit_and_why_transform_gave_it_up(self) -> None:
        unit = Plan.of(SOURCE, 1000).unit(2)
        letter = unit_letter(message(unit.to_message(), reason="attempts_exhausted", error="the object is gone"))
        assert letter.unit == unit.as_message()
        assert (letter.reason, letter.error, letter.problem) == ("attempts_exhausted", "the object is gone", "")
        assert (letter.subject, letter.datasets) == (f"{SOURCE.id}@2000-2500", ("shipments",))

    def test_without_a_reason_was_moved_by_sqs(self) -> None:
        letter = unit_letter(message(Plan.of(SOURCE, 1000).unit(0).to_message()))
        assert letter.reason == "too_many_receives"
        assert "max_receive_count" in letter.error

    @pytest.mark.parametrize("body", ["", "{", "[]", "1", '{"v": 2}', "\x00" * 20_000, "[" * 100_000])
    def test_that_is_not_a_unit_says_so(self, body: str) -> None:
        letter = unit_letter(message(body, reason="malformed_message", error="not a unit"))
        assert letter.unit is None
        assert letter.problem.startswith("not a unit")
        assert len(letter.subject) < 1000


class TestAFailedEvent:
    def test_in_lambdas_record_says_its_objects_and_the_error(self) -> None:
        letter = event_letter(message(failure(event(("bronze/shipments/a b.jsonl", 10), ("bronze/x/y.jsonl", 1)))))
        assert [id_.key for id_ in letter.objects] == ["bronze/shipments/a b.jsonl", "bronze/x/y.jsonl"]
        assert (letter.reason, letter.error, letter.attempts) == ("RetriesExhausted", "the ledger is gone", 3)
        assert letter.datasets == ("shipments", "x")
        assert json.loads(letter.payload) == event(("bronze/shipments/a b.jsonl", 10), ("bronze/x/y.jsonl", 1))

    def test_that_was_handed_back_as_it_was_is_unwrapped_to_the_event(self) -> None:
        inner = event(("bronze/shipments/a.jsonl", 10))
        letter = event_letter(message(failure(json.loads(failure(inner)))))
        assert json.loads(letter.payload) == inner

    def test_of_eventbridge_says_the_error_in_its_attributes(self) -> None:
        detail = {"bucket": {"name": BRONZE}, "object": {"key": "bronze/shipments/a.jsonl", "size": 1, "etag": "e"}}
        by_bridge = {
            "source": "aws.s3",
            "detail-type": "Object Created",
            "time": CREATED.isoformat(),
            "detail": detail,
        }
        letter = event_letter(message(json.dumps(by_bridge), ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="not allowed"))
        assert (letter.reason, letter.error) == ("NO_PERMISSIONS", "not allowed")
        assert json.loads(letter.payload) == by_bridge

    def test_with_one_broken_record_still_names_the_others(self) -> None:
        mixed = event(("bronze/shipments/a.jsonl", 10))
        mixed["Records"].append({"eventName": "ObjectCreated:Put"})
        letter = event_letter(message(failure(mixed)))
        assert [id_.key for id_ in letter.objects] == ["bronze/shipments/a.jsonl"]
        assert letter.problem == ""

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "not JSON",
            "[]",
            "[" * 100_000,
            '{"a": "dead letter"}',
            failure({"a": 1}),
            failure("text"),
            failure(None),
            failure({"Records": [{}]}),
            '{"requestPayload": {"Records": []}, "requestContext": 5, "responsePayload": []}'.replace("[]}", "3}"),
            '{"requestContext": {"approximateInvokeCount": "x"}, "requestPayload": 1}',
        ],
    )
    def test_that_is_none_never_stops_the_look(self, body: str) -> None:
        letter = event_letter(message(body))
        assert letter.problem or not letter.objects

    def test_s3s_test_event_asks_for_nothing(self) -> None:
        letter = event_letter(message(failure({"Event": "s3:TestEvent"})))
        assert (letter.objects, letter.problem) == ((), "")


def explained(**more: Any) -> Explained:
    letter = unit_letter(message(Plan.of(SOURCE, 1000).unit(0).to_message(), reason="attempts_exhausted", error="Gone"))
    return Explained(letter, Standing.OPEN, "", 5, more.get("last_error", "Gone"))


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        (Wanted(), True),
        (Wanted(dataset="shipments"), True),
        (Wanted(dataset="ship"), False),
        (Wanted(error="gone"), True),
        (Wanted(error="EXHAUSTED"), True),
        (Wanted(error="AccessDenied"), False),
        (Wanted(since=SENT), True),
        (Wanted(until=SENT), False),
        (Wanted(since=datetime(2026, 2, 2, tzinfo=UTC)), False),
        (Wanted(until=datetime(2026, 2, 2, tzinfo=UTC)), True),
        (Wanted(dataset="shipments", error="AccessDenied"), False),
    ],
)
def test_a_filter_chooses_by_dataset_error_and_time(wanted: Wanted, has: bool) -> None:
    assert wanted.has(explained()) is has


class TestSending:
    def letters(self, number: int) -> list[Letter]:
        return [
            unit_letter(Message(f"m{n}", Plan.of(SOURCE, 1000).unit(n).to_message(), "r", SENT, 1, {}))
            for n in range(number)
        ]

    def test_what_sqs_refuses_is_named_and_the_others_are_sent(self) -> None:
        sqs, letters = MemorySqs(), self.letters(3)
        sqs.refused_sends.append(letters[1].message.body)
        assert UnitQueue(sqs, UNITS).send(letters) == {"m1": "come back"}  # type: ignore[arg-type]
        assert sqs.bodies(UNITS) == [letters[0].message.body, letters[2].message.body]

    @pytest.mark.parametrize(("code", "stops"), [("TooManyRequestsException", False), ("AccessDeniedException", True)])
    def test_lambda_that_is_busy_refuses_one_event_and_no_access_stops_all(self, code: str, stops: bool) -> None:
        class Functions:
            calls = 0

            def invoke(self, **_: Any) -> dict[str, Any]:
                self.calls += 1
                if self.calls == 1:
                    raise ClientError({"Error": {"Code": code, "Message": "no"}}, "Invoke")
                return {"StatusCode": 202, "Payload": io.BytesIO()}

        ingest = Ingest(Functions(), "ingest")  # type: ignore[arg-type]
        if stops:
            with pytest.raises(ClientError):
                ingest.send(self.letters(2))
        else:
            assert list(ingest.send(self.letters(2))) == ["m0"]

    def test_the_pace_is_kept_over_pages(self) -> None:
        now, slept = [100.0], list[float]()

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            now[0] += seconds

        pace = Pace(5, lambda: now[0], sleep)
        for _ in range(3):
            pace.wait(10)
        assert slept == [2.0, 2.0]
        now[0] += 60
        pace.wait(10)
        assert slept == [2.0, 2.0]  # time that was not used is not saved up
        pace.wait(1)
        assert slept == [2.0, 2.0, 2.0]


class MoveTasks(MemorySqs):
    """SQS with move tasks, each of which goes through `states`."""

    def __init__(self, *states: dict[str, Any]) -> None:
        super().__init__()
        self.states = list(states)
        self.started: list[dict[str, Any]] = []
        self.dead = f"arn:aws:sqs:us-east-2:000000000000:{DEAD}"

    def get_queue_attributes(self, QueueUrl: str, **asked: Any) -> dict[str, Any]:  # noqa: N803
        found = super().get_queue_attributes(QueueUrl, **asked)
        if QueueUrl == UNITS:
            found["Attributes"]["RedrivePolicy"] = json.dumps(
                {"deadLetterTargetArn": self.dead, "maxReceiveCount": "9"}
            )
        return found

    def list_message_move_tasks(self, **_: Any) -> Any:
        return {"Results": [self.states.pop(0)] if self.states else []}

    def start_message_move_task(self, **request: Any) -> Any:
        self.started.append(request)
        return {"TaskHandle": "t"}


RUNNING = {"Status": "RUNNING", "ApproximateNumberOfMessagesMoved": 3, "ApproximateNumberOfMessagesToMove": 7}
DONE = {"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 7, "ApproximateNumberOfMessagesToMove": 7}


class TestAMoveTask:
    def test_has_a_destination_and_a_rate_and_is_awaited(self) -> None:
        sqs = MoveTasks({"Status": "COMPLETED"}, RUNNING, DONE)
        moved = move_all(sqs, DEAD, UNITS, 20, sleep=lambda _: None)  # type: ignore[arg-type]
        assert (moved.moved, moved.of) == (7, 7)
        arn = "arn:aws:sqs:us-east-2:000000000000:"
        assert sqs.started == [
            {"SourceArn": arn + DEAD, "DestinationArn": arn + UNITS, "MaxNumberOfMessagesPerSecond": 20}
        ]

    def test_of_another_operator_is_joined(self) -> None:
        sqs = MoveTasks(RUNNING, RUNNING, DONE)
        assert move_all(sqs, DEAD, UNITS, 20, sleep=lambda _: None).moved == 7  # type: ignore[arg-type]
        assert sqs.started == []

    def test_that_moves_them_elsewhere_is_not_told_as_work(self) -> None:
        elsewhere = RUNNING | {"DestinationArn": "arn:aws:sqs:us-east-2:000000000000:for-a-look"}
        sqs = MoveTasks(elsewhere, elsewhere | DONE)
        with pytest.raises(OperatorError, match=r"to arn:\S+:for-a-look, .*Nothing was sent"):
            move_all(sqs, DEAD, UNITS, 20, sleep=lambda _: None)  # type: ignore[arg-type]
        assert sqs.started == []

    def test_is_not_for_letters_of_another_queue_which_the_ledger_is_asked_about_first(self) -> None:
        sqs = MoveTasks({}, DONE)
        sqs.dead += "-of-another-pipeline"
        with pytest.raises(NoMoveTask, match="is not the queue of dead letters of"):
            move_all(sqs, DEAD, UNITS, 20, sleep=lambda _: None)  # type: ignore[arg-type]
        assert sqs.started == []

    def test_is_not_taken_for_an_earlier_one_that_sqs_still_lists_as_the_last(self) -> None:
        earlier = DONE | {"ApproximateNumberOfMessagesMoved": 900, "StartedTimestamp": 1}
        sqs = MoveTasks(earlier, earlier, RUNNING | {"StartedTimestamp": 2}, DONE | {"StartedTimestamp": 2})
        assert move_all(sqs, DEAD, UNITS, 20, sleep=lambda _: None).moved == 7  # type: ignore[arg-type]

    def test_that_fails_is_an_error_with_its_reason(self) -> None:
        failed = {"Status": "FAILED", "FailureReason": "CouldNotSend", "ApproximateNumberOfMessagesMoved": 1}
        with pytest.raises(OperatorError, match=r"FAILED after 1 messages: CouldNotSend\. Nothing is lost"):
            move_all(MoveTasks({}, failed), DEAD, UNITS, 20, sleep=lambda _: None)  # type: ignore[arg-type]

    def test_that_the_service_does_not_have_is_told_apart_from_no_access(self) -> None:
        with pytest.raises(NoMoveTask, match="InvalidAction"):
            move_all(MemorySqs(), DEAD, UNITS, 20)  # type: ignore[arg-type]

        class Denied(MemorySqs):
            def list_message_move_tasks(self, **_: Any) -> Any:
                answer: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
                raise ClientError(answer, "ListMessageMoveTasks")

        with pytest.raises(ClientError):
            move_all(Denied(), DEAD, UNITS, 20)  # type: ignore[arg-type]
