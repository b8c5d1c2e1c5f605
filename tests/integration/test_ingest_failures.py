"""A planner that fails or dies: the next one goes on where it stopped, and no row is lost or doubled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from local.stack import Clients
from services.ingest import app
from services.shared.deadline import OutOfTime
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, ObjectState
from services.shared.planning import sending
from services.shared.planning.planner import LEASE_SECONDS, Outcome
from services.shared.planning.sending import SENDERS
from services.shared.units import UnitMessage
from tests.support.faults import Crash, Interrupter
from tests.support.ingest import (
    KEY,
    Context,
    FailingQueue,
    Planning,
    event,
    events_of,
    grid,
    messages,
    outage,
    ranges,
    source,
)
from tests.support.lake import Clock


@pytest.fixture
def planning(clients: Clients, ledger_table: str, queue_url: str) -> Planning:
    return Planning(clients, ledger_table, queue_url, Clock())


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
        with pytest.raises(OutOfTime):
            planning.plan(announced, sqs=Slow(), seconds=60)
        assert planning.plan(announced, sqs=Slow(), seconds=60) is Outcome.PLANNED
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
