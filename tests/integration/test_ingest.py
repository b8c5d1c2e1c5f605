"""Ingest against the emulator: every kind of event has its outcome, and no failure loses or doubles a row."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from local.stack import Clients, create_bucket
from services.ingest import app, sending
from services.ingest.events import MalformedEvent
from services.ingest.planner import LEASE_SECONDS, Outcome, Planner
from services.ingest.sending import SENDERS
from services.shared.deadline import Deadline
from services.shared.identities import LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, LedgerObject, ObjectState
from services.shared.sqs import send_ten
from services.shared.units import BronzeObject, Plan, UnitMessage
from tests.support.faults import Crash, Interrupted, Interrupter
from tests.support.lake import CREATED, Clock

BUCKET = "bronze-bucket"
KEY = "bronze/shipments/a.jsonl"


@dataclass
class Context:
    """As much of Lambda's context as the handler and Powertools use."""

    milliseconds: int = 60_000
    function_name: str = "smelt-ingest"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:smelt-ingest"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


class FailingQueue:
    """An SQS client that takes no batch that begins at a unit of this number or a higher one."""

    def __init__(self, client: Any, error: Exception, first: int = 0) -> None:
        self._client = client
        self._error = error
        self._first = first

    def send_message_batch(self, **request: Any) -> Any:
        if UnitMessage.parse(request["Entries"][0]["MessageBody"]).start >= self._first * 1024:
            raise self._error
        return self._client.send_message_batch(**request)


def outage(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "come back"}}, operation)


@pytest.fixture
def queue_url(clients: Clients) -> str:
    return clients.sqs.create_queue(QueueName=f"units-{time.monotonic_ns()}")["QueueUrl"]


@pytest.fixture
def ledger(clients: Clients, ledger_table: str) -> Ledger:
    return Ledger(clients.dynamodb, ledger_table)


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch, emulator: str, queue_url: str, ledger_table: str) -> Iterator[Any]:
    """The function's handler, its environment set to the emulator."""
    settings = {
        "BRONZE_BUCKET": BUCKET,
        "QUEUE_URL": queue_url,
        "LEDGER_TABLE": ledger_table,
        "UNIT_BYTES": "1024",
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    caches = (app._settings, app._ledger, app._sqs)
    for cached in caches:
        cached.cache_clear()
    yield app.handler
    for cached in caches:
        cached.cache_clear()


@dataclass
class Planning:
    """A planner over the emulator whose ledger has a clock of its own, and whose calls can be interrupted."""

    clients: Clients
    ledger_table: str
    queue_url: str
    clock: Clock

    def plan(
        self, source: BronzeObject, interrupter: Interrupter | None = None, sqs: Any = None, seconds: float = 60.0
    ) -> Outcome:
        stops = interrupter or Interrupter()
        until = self.clock.now + seconds
        deadline = Deadline(lambda: until - self.clock.now, 5.0)
        dynamodb = Interrupted(self.clients.dynamodb, stops, ["put_item", "update_item"])
        client = Interrupted(sqs or self.clients.sqs, stops, ["send_message_batch"])

        def send(bodies: Sequence[str]) -> None:
            send_ten(client, self.queue_url, bodies, deadline)

        ledger = Ledger(dynamodb, self.ledger_table, clock=self.clock)  # type: ignore[arg-type]
        return Planner(ledger, BUCKET, 1024, send).plan(source, deadline).outcome

    def messages(self) -> list[str]:
        return messages(self.clients, self.queue_url)

    def known(self, source: BronzeObject) -> LedgerObject:
        (found,) = Ledger(self.clients.dynamodb, self.ledger_table).find_objects([source.id])
        return found


@pytest.fixture
def planning(clients: Clients, ledger_table: str, queue_url: str) -> Planning:
    return Planning(clients, ledger_table, queue_url, Clock())


def source(units: int, key: str = KEY) -> BronzeObject:
    """An object of this many units of 1,024 bytes."""
    return BronzeObject(BUCKET, key, units * 1024, "e1", None, CREATED)


def record(announced: BronzeObject) -> dict[str, Any]:
    item = {"key": quote_plus(announced.key, safe="/"), "size": announced.size, "eTag": announced.etag}
    version = {"versionId": announced.version_id} if announced.version_id else {}
    return {
        "eventName": "ObjectCreated:Put",
        "eventTime": announced.created.isoformat(),
        "s3": {"bucket": {"name": announced.bucket}, "object": item | version},
    }


def event(*objects: tuple[str, int], bucket: str = BUCKET) -> dict[str, Any]:
    return {"Records": [record(BronzeObject(bucket, key, size, "e1", None, CREATED)) for key, size in objects]}


def events_of(*announced: BronzeObject) -> dict[str, Any]:
    return {"Records": [record(one) for one in announced]}


def messages(clients: Clients, queue_url: str) -> list[str]:
    bodies: list[str] = []
    while found := clients.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", []):
        bodies += [message.get("Body", "") for message in found]
    return bodies


def ranges(bodies: Sequence[str]) -> list[tuple[int, int]]:
    return sorted((message.start, message.end) for message in map(UnitMessage.parse, bodies))


def grid(units: int, step: int = 1024) -> list[tuple[int, int]]:
    return [(number * step, (number + 1) * step) for number in range(units)]


def bind(ledger: Ledger, plan: Plan, numbers: Sequence[int]) -> None:
    """As transform does: units that a lot holds."""
    ledger.lots.claim(LotId.new(datetime.now(UTC)), [plan.unit(n).id for n in numbers], [], {}, 60)


class TestEvents:
    def test_an_object_becomes_units_on_the_queue_once(
        self, handler: Any, clients: Clients, queue_url: str, ledger: Ledger
    ) -> None:
        assert handler(event((KEY, 5000)), Context())["planned"] == 1
        assert ranges(messages(clients, queue_url)) == [
            (0, 1024),
            (1024, 2048),
            (2048, 3072),
            (3072, 4096),
            (4096, 5000),
        ]
        (known,) = ledger.find_objects([replace(source(5), size=5000).id])
        assert (known.state, known.sent, known.plan.units) == (ObjectState.PLANNED, 5, 5)

    @pytest.mark.parametrize(
        ("key", "bucket", "reason", "advice"),
        [
            ("bronze/shipments/", BUCKET, "directory_marker", "nothing to do"),
            ("bronze/shipments/a.csv", BUCKET, "unsupported_format", "upload .jsonl"),
            ("elsewhere/a.jsonl", BUCKET, "outside_bronze", "upload to bronze/"),
            (KEY, "another-bucket", "foreign_bucket", f"this pipeline reads {BUCKET}"),
        ],
    )
    def test_what_is_not_accepted_is_recorded_with_reason_and_advice_once(
        self,
        handler: Any,
        clients: Clients,
        queue_url: str,
        ledger: Ledger,
        key: str,
        bucket: str,
        reason: str,
        advice: str,
    ) -> None:
        assert handler(event((key, 10), bucket=bucket), Context())["rejected"] == 1
        assert handler(event((key, 10), bucket=bucket), Context())["duplicate"] == 1
        (known,) = ledger.scan()
        assert isinstance(known, LedgerObject)
        assert (known.id.key, known.state, known.reason) == (key, ObjectState.REJECTED, reason)
        assert advice in known.advice
        assert messages(clients, queue_url) == []

    def test_an_empty_object_is_done_at_once(
        self, handler: Any, clients: Clients, queue_url: str, ledger: Ledger
    ) -> None:
        assert handler(event((KEY, 0)), Context())["planned"] == 1
        assert handler(event((KEY, 0)), Context())["duplicate"] == 1
        (known,) = ledger.scan()
        assert isinstance(known, LedgerObject) and known.state is ObjectState.DONE
        assert messages(clients, queue_url) == []

    def test_the_test_event_does_nothing(self, handler: Any, ledger: Ledger) -> None:
        assert set(handler({"Event": "s3:TestEvent"}, Context()).values()) == {0}
        assert list(ledger.scan()) == []

    def test_a_delete_marker_does_nothing(self, handler: Any, ledger: Ledger) -> None:
        removed = record(source(1)) | {"eventName": "ObjectRemoved:DeleteMarkerCreated"}
        assert set(handler({"Records": [removed]}, Context()).values()) == {0}
        assert list(ledger.scan()) == []

    def test_what_is_not_a_notification_is_an_error_that_lambda_sees(self, handler: Any) -> None:
        with pytest.raises(MalformedEvent):
            handler({"hello": "world"}, Context())


class TestNeighbours:
    """What one record meets does not keep the other objects of its event from being planned."""

    def check(self, handler: Any, clients: Clients, queue_url: str, first: dict[str, Any], error: str) -> None:
        with pytest.raises(app.PlanningIncomplete, match=error):
            handler({"Records": [first, record(source(1))]}, Context())
        assert [UnitMessage.parse(body).object.key for body in messages(clients, queue_url)] == [KEY]

    def test_an_object_that_another_invocation_is_planning(
        self, handler: Any, clients: Clients, queue_url: str, ledger: Ledger
    ) -> None:
        busy = source(1, "bronze/shipments/busy.jsonl")
        ledger.objects.begin(busy, 1024, 60)
        self.check(handler, clients, queue_url, record(busy), "1 of 2 records .*busy.*another invocation")

    @pytest.mark.parametrize("key", ["bronze/shipments/%FF.jsonl", "bronze/shipments/\ud800.jsonl"], ids=ascii)
    def test_a_record_that_cannot_be_read(self, handler: Any, clients: Clients, queue_url: str, key: str) -> None:
        broken = record(source(1))
        broken["s3"]["object"]["key"] = key
        self.check(handler, clients, queue_url, broken, "record 1: not a record of an object that S3 can hold")

    def test_an_unexpected_error(
        self, handler: Any, clients: Clients, queue_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = Planner.plan

        def raising(self: Planner, announced: BronzeObject, deadline: Deadline) -> Any:
            if "odd" in announced.key:
                raise ZeroDivisionError("nobody expected this")
            return plan(self, announced, deadline)

        monkeypatch.setattr(Planner, "plan", raising)
        odd = record(source(1, "bronze/shipments/odd.jsonl"))
        self.check(handler, clients, queue_url, odd, "odd.jsonl#e1: nobody expected this")


class TestFailures:
    """A planner that fails gives its lease back, and the next invocation goes on where it stopped, at once."""

    @pytest.mark.parametrize(
        "error",
        [outage("SendMessageBatch"), EndpointConnectionError(endpoint_url="queue"), ZeroDivisionError("a bug of ours")],
        ids=lambda error: type(error).__name__,
    )
    def test_a_failed_send_loses_nothing_whatever_it_was(
        self,
        handler: Any,
        clients: Clients,
        queue_url: str,
        ledger: Ledger,
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
    ) -> None:
        """It was: the lease was kept, every retry met LeaseHeld, and the event was lost."""
        monkeypatch.setattr(app, "_sqs", lambda: FailingQueue(clients.sqs, error, first=20))
        units = 3 * SENDERS * 10
        announced = source(units)
        with pytest.raises(app.PlanningIncomplete):
            handler(events_of(announced), Context())
        (stopped,) = ledger.find_objects([announced.id])
        assert (stopped.state, stopped.sent, stopped.lease_until) == (ObjectState.PLANNING, 20, 0)
        monkeypatch.setattr(app, "_sqs", lambda: clients.sqs)
        assert handler(events_of(announced), Context())["planned"] == 1
        assert ranges(messages(clients, queue_url)) == grid(units)  # what the cursor has passed is not sent again

    def test_the_plan_in_the_ledger_wins_over_settings_that_were_changed_since(
        self,
        handler: Any,
        clients: Clients,
        queue_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It was: UNIT_BYTES changed between a failed planning and its retry gave overlapping ranges."""
        units = 12
        announced = source(units)
        monkeypatch.setattr(app, "_sqs", lambda: FailingQueue(clients.sqs, outage("SendMessageBatch"), first=10))
        with pytest.raises(app.PlanningIncomplete, match="come back"):
            handler(events_of(announced), Context())
        monkeypatch.setattr(app, "_sqs", lambda: clients.sqs)
        monkeypatch.setenv("UNIT_BYTES", "1500")
        app._settings.cache_clear()
        later = replace(announced, created=announced.created + timedelta(minutes=1))
        assert handler(events_of(later), Context())["planned"] == 1
        bodies = messages(clients, queue_url)
        assert ranges(bodies) == grid(units)
        assert {UnitMessage.parse(body).created for body in bodies} == {announced.created}

    def test_without_time_the_object_is_left_for_the_next_invocation(
        self, handler: Any, clients: Clients, queue_url: str
    ) -> None:
        with pytest.raises(app.PlanningIncomplete, match="not all units are on the queue"):
            handler(event((KEY, 10)), Context(milliseconds=4500))
        assert messages(clients, queue_url) == []
        assert handler(event((KEY, 10)), Context())["planned"] == 1
        assert ranges(messages(clients, queue_url)) == [(0, 10)]

    def test_a_planning_that_outlasts_its_invocation_goes_on_in_the_next(
        self, planning: Planning, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "SENDERS", 1)

        class Slow:
            def send_message_batch(_, **request: Any) -> Any:  # noqa: N805
                planning.clock.advance(1)
                return planning.clients.sqs.send_message_batch(**request)

        announced = source(1000)
        outcomes: list[str] = []
        while not outcomes or outcomes[-1] != Outcome.PLANNED:
            try:
                outcomes.append(planning.plan(announced, sqs=Slow(), seconds=60))
            except sending.OutOfTime:
                outcomes.append("out of time")
        assert outcomes == ["out of time", Outcome.PLANNED]
        assert ranges(planning.messages()) == grid(1000)

    def test_a_lease_that_cannot_be_given_back_ends_before_lambdas_first_retry(self, planning: Planning) -> None:
        def refuse() -> None:
            raise outage("UpdateItem")

        lost = FailingQueue(planning.clients.sqs, outage("SendMessageBatch"))
        give_back = 3  # after begin and one failed send
        with pytest.raises(ClientError, match="SendMessageBatch") as caught:
            planning.plan(source(9), Interrupter(give_back, True, refuse), lost, seconds=900)
        assert "its lease was not given back" in caught.value.__notes__[0]
        with pytest.raises(LeaseHeld):
            planning.plan(source(9))
        planning.clock.advance(60)
        assert planning.plan(source(9)) is Outcome.PLANNED
        assert ranges(planning.messages()) == grid(9)


class TestDeaths:
    """A planner that dies gives nothing back."""

    @pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
    @pytest.mark.parametrize("step", [1, 2, 3, 4])
    def test_it_is_replaced_and_no_unit_is_missing(
        self, planning: Planning, monkeypatch: pytest.MonkeyPatch, step: int, before: bool
    ) -> None:
        monkeypatch.setattr(sending, "SENDERS", 1)  # so that the steps have an order

        def die() -> None:
            raise Crash

        with pytest.raises(Crash):
            planning.plan(source(15), Interrupter(step, before, die))
        nothing_done = step == 1 and before
        all_done = step == 4 and not before
        if not nothing_done and not all_done:
            with pytest.raises(LeaseHeld):
                planning.plan(source(15))
            planning.clock.advance(60)
        assert planning.plan(source(15)) is (Outcome.RESUMED if all_done else Outcome.PLANNED)
        assert sorted(set(ranges(planning.messages()))) == grid(15)  # some may be there twice; transform knows them

    @pytest.mark.parametrize("seconds", [3.0, 60.0, 900.0])
    def test_however_long_the_timeout_its_lease_is_over_when_lambda_tries_again(
        self, planning: Planning, seconds: float
    ) -> None:
        def die() -> None:
            raise Crash

        with pytest.raises(Crash):
            planning.plan(source(15), Interrupter(2, True, die), seconds=seconds + 6)
        planning.clock.advance(60)
        assert planning.plan(source(15)) is Outcome.PLANNED

    def test_its_cursor_was_noted_on_the_way_and_its_lease_renewed(
        self, planning: Planning, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "SENDERS", 1)

        class Dying:
            calls = 0

            def send_message_batch(self, **request: Any) -> Any:
                self.calls += 1
                if self.calls == 11:
                    raise Crash
                planning.clock.advance(6)
                return planning.clients.sqs.send_message_batch(**request)

        started = planning.clock.now
        with pytest.raises(Crash):
            planning.plan(source(150), sqs=Dying(), seconds=900)
        left = planning.known(source(150))
        assert left.sent == 100
        assert left.lease_until == (started + 60 + LEASE_SECONDS) * 1000
        planning.clock.advance(60)
        assert planning.plan(source(150)) is Outcome.PLANNED
        assert ranges(planning.messages()) == grid(150)


class TestEventsThatComeAgain:
    def test_units_that_no_lot_holds_are_sent_again(
        self, handler: Any, clients: Clients, queue_url: str, ledger: Ledger
    ) -> None:
        announced = source(250)
        handler(events_of(announced), Context())
        messages(clients, queue_url)
        (known,) = ledger.find_objects([announced.id])
        bind(ledger, known.plan, range(99))
        bind(ledger, known.plan, range(110, 200))
        assert handler(events_of(announced), Context())["resumed"] == 1
        expected = grid(250)
        assert ranges(messages(clients, queue_url)) == expected[99:110] + expected[200:]

    def test_where_lots_hold_every_unit_the_event_is_a_duplicate(
        self, handler: Any, clients: Clients, queue_url: str, ledger: Ledger
    ) -> None:
        handler(events_of(source(3)), Context())
        messages(clients, queue_url)
        (known,) = ledger.find_objects([source(3).id])
        bind(ledger, known.plan, range(3))
        assert handler(events_of(source(3)), Context())["duplicate"] == 1
        assert messages(clients, queue_url) == []

    @pytest.mark.parametrize("end", ["done", "rejected"])
    def test_a_finished_object_makes_the_event_a_duplicate(
        self, handler: Any, clients: Clients, queue_url: str, ledger: Ledger, end: str
    ) -> None:
        handler(events_of(source(3)), Context())
        messages(clients, queue_url)
        if end == "done":
            ledger.objects.mark_done([source(3).id])
        else:
            ledger.objects.reject_known(source(3).id, "gone", "upload it again")
        assert handler(events_of(source(3)), Context())["duplicate"] == 1
        assert messages(clients, queue_url) == []

    @pytest.mark.parametrize("stopped", [False, True], ids=["planned", "planning that stopped"])
    def test_the_newest_version_is_read(self, handler: Any, ledger: Ledger, stopped: bool) -> None:
        versions = [replace(source(3), version_id=f"v{n}", created=CREATED + timedelta(hours=n)) for n in range(3)]
        if stopped:
            ledger.objects.give_back(ledger.objects.begin(versions[1], 1024, 60), 1)
        else:
            handler(events_of(versions[1]), Context())
        handler(events_of(versions[2]), Context())
        handler(events_of(versions[0]), Context())
        (known,) = ledger.find_objects([source(3).id])
        assert (known.state, known.source.version_id) == (ObjectState.PLANNED, "v2")
        assert known.source.created == versions[1].created


class TestUploads:
    """What S3 makes of uploads to one key of a versioned bucket, and ingest of that."""

    @pytest.fixture
    def bucket(self, clients: Clients, monkeypatch: pytest.MonkeyPatch, handler: Any) -> str:
        name = f"bronze-{uuid.uuid4().hex[:12]}"
        create_bucket(clients.s3, name)
        monkeypatch.setenv("BRONZE_BUCKET", name)
        app._settings.cache_clear()
        return name

    def upload(self, clients: Clients, bucket: str, data: bytes, hours: int = 0) -> BronzeObject:
        answer = clients.s3.put_object(Bucket=bucket, Key=KEY, Body=data)
        created = CREATED + timedelta(hours=hours)
        return BronzeObject(bucket, KEY, len(data), answer["ETag"].strip('"'), answer["VersionId"], created)

    def upload_in_parts(self, clients: Clients, bucket: str, data: bytes, part_bytes: int) -> BronzeObject:
        s3, where = clients.s3, {"Bucket": bucket, "Key": KEY}
        upload = s3.create_multipart_upload(**where)["UploadId"]
        parts: list[Any] = []
        for number, start in enumerate(range(0, len(data), part_bytes), 1):
            part = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=data[start : start + part_bytes])
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        answer = s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
        return BronzeObject(bucket, KEY, len(data), answer["ETag"].strip('"'), answer["VersionId"], CREATED)

    def test_the_same_bytes_again_are_the_same_object(
        self, handler: Any, clients: Clients, queue_url: str, bucket: str
    ) -> None:
        """It was: on a versioned bucket, which is what Terraform creates, every row came twice."""
        first, second = (self.upload(clients, bucket, b"x" * 2000, hours) for hours in (0, 1))
        assert first.version_id != second.version_id
        assert first.id == second.id
        handler(events_of(first), Context())
        handler(events_of(second), Context())
        units = {UnitMessage.parse(body).id for body in messages(clients, queue_url)}
        assert sorted((unit.start, unit.end) for unit in units) == [(0, 1024), (1024, 2000)]

    @pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (2, 0, 1)], ids=str)
    def test_a_then_b_then_a_are_two_objects_in_whatever_order_their_events_come(
        self, handler: Any, clients: Clients, queue_url: str, ledger: Ledger, bucket: str, order: tuple[int, ...]
    ) -> None:
        uploads = [self.upload(clients, bucket, data, n) for n, data in enumerate([b"a" * 10, b"b" * 20, b"a" * 10])]
        for number in order:
            handler(events_of(uploads[number]), Context())
        known = {found.id: found for found in ledger.find_objects(upload.id for upload in uploads)}
        assert {found.source.size for found in known.values()} == {10, 20}
        assert known[uploads[0].id].source.version_id == uploads[2].version_id
        units = {UnitMessage.parse(body).id for body in messages(clients, queue_url)}
        assert units == {unit.id for found in known.values() for unit in found.plan}
        assert len(units) == 2

    def test_another_part_size_gives_another_etag_and_so_another_object(self, clients: Clients, bucket: str) -> None:
        """What S3 does, and ObjectId documents: an etag is the content's only within one way of uploading."""
        mib = 1024 * 1024
        data = b"0123456789abcdef" * (11 * mib // 16)
        whole = self.upload(clients, bucket, data)
        fives, fives_again, sixes = (self.upload_in_parts(clients, bucket, data, part * mib) for part in (5, 5, 6))
        assert fives.id == fives_again.id
        assert len({whole.id, fives.id, sixes.id}) == 3
        assert fives.etag.endswith("-3") and sixes.etag.endswith("-2")
