"""Ingest against the emulator: every kind of event has its outcome, and none is lost by what its neighbours meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.stack import Clients
from services.ingest import app
from services.shared.deadline import Deadline
from services.shared.events import MalformedEvent
from services.shared.identities import LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LedgerObject, ObjectState
from services.shared.planning.planner import Planner
from services.shared.units import BronzeObject, Plan, UnitMessage
from tests.support.ingest import (
    BUCKET,
    KEY,
    Context,
    event,
    events_of,
    grid,
    messages,
    ranges,
    record,
    source,
)
from tests.support.lake import CREATED


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
        ledger.units.suspect(known.plan.unit(105).id)  # the ledger knows of this unit, but no lot holds it
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
            ledger.objects.reject_known(Plan.of(source(3), 1 << 20).unit(0).id, "gone", "upload it again")
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
