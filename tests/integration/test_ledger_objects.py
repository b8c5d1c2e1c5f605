"""The transitions of objects against a real DynamoDB API: who may, who may not, and answers that were lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from local.stack import Clients
from services.shared.identities import ObjectId, UnacceptableKey, UnitId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.objects import Objects
from services.shared.ledger.records import LeaseHeld, LeaseLost, LedgerObject, ObjectState
from services.shared.units import BronzeObject
from tests.support.faults import LostAnswers
from tests.support.lake import CREATED, Clock

SOURCE = BronzeObject("bronze-bucket", "bronze/shipments/é#1@2-3\n.jsonl", 5000, "etag", None, CREATED)


def whole(source: BronzeObject) -> UnitId:
    """The unit of an object that is not cut."""
    return UnitId(source.id, 0, source.size)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clients: Clients, ledger_table: str, clock: Clock) -> Ledger:
    return Ledger(clients.dynamodb, ledger_table, clock=clock)


@pytest.fixture
def objects(ledger: Ledger) -> Objects:
    return ledger.objects


@pytest.fixture
def forgetful(clients: Clients, ledger_table: str, clock: Clock) -> Objects:
    """The objects of the same table, over a client whose answers get lost."""
    return Ledger(LostAnswers(clients.dynamodb), ledger_table, clock=clock).objects  # type: ignore[arg-type]


def found(ledger: Ledger, id_: ObjectId = SOURCE.id) -> LedgerObject:
    (known,) = ledger.find_objects([id_])
    return known


class TestPlanning:
    def test_it_begins_once_and_then_there_is_nothing_to_begin(self, objects: Objects, ledger: Ledger) -> None:
        ours = objects.begin(SOURCE, 1000, 60)
        assert (ours.state, ours.sent, ours.plan.units) == (ObjectState.PLANNING, 0, 5)
        assert found(ledger) == ours
        objects.finish(ours)
        again = objects.begin(SOURCE, 1000, 60)
        assert (again.state, again.sent, again.source) == (ObjectState.PLANNED, 5, SOURCE)

    def test_a_live_planner_keeps_others_away_and_says_until_when(self, objects: Objects, clock: Clock) -> None:
        objects.begin(SOURCE, 1000, 60)
        with pytest.raises(LeaseHeld, match="is being planned by another invocation") as caught:
            objects.begin(SOURCE, 1000, 60)
        assert caught.value.until_ms == (clock.now + 60) * 1000

    def test_a_dead_planner_is_replaced_and_can_do_nothing_more(
        self, objects: Objects, ledger: Ledger, clock: Clock
    ) -> None:
        dead = objects.begin(SOURCE, 1000, 60)
        objects.advance(dead, 2, 60)
        clock.advance(61)
        alive = objects.begin(SOURCE, 1000, 60)
        assert (alive.state, alive.sent) == (ObjectState.PLANNING, 2)
        for step in (
            lambda: objects.advance(dead, 5, 60),
            lambda: objects.give_back(dead, 5),
            lambda: objects.finish(dead),
        ):
            with pytest.raises(LeaseLost):
                step()
        assert found(ledger) == alive
        objects.finish(alive)

    def test_advancing_renews_the_lease(self, objects: Objects, clock: Clock) -> None:
        ours = objects.begin(SOURCE, 1000, 45)
        clock.advance(40)
        objects.advance(ours, 3, 45)
        clock.advance(40)
        with pytest.raises(LeaseHeld):
            objects.begin(SOURCE, 1000, 45)
        clock.advance(6)
        assert objects.begin(SOURCE, 1000, 45).sent == 3

    def test_the_first_plan_holds_whatever_a_later_event_and_later_settings_say(self, objects: Objects) -> None:
        first = objects.begin(SOURCE, 1000, 60)
        objects.give_back(first, 3)
        later = replace(SOURCE, size=9, created=CREATED + timedelta(days=9))
        second = objects.begin(later, 700, 60)
        assert (second.state, second.sent, second.plan) == (ObjectState.PLANNING, 3, first.plan)

    def test_a_lease_that_was_given_back_is_free_at_once_for_one(self, objects: Objects) -> None:
        objects.give_back(objects.begin(SOURCE, 1000, 60), 3)
        assert objects.begin(SOURCE, 1000, 60).sent == 3
        with pytest.raises(LeaseHeld):
            objects.begin(SOURCE, 1000, 60)

    def test_it_ends_where_the_object_is_finished_meanwhile(self, objects: Objects, ledger: Ledger) -> None:
        ours = objects.begin(SOURCE, 1000, 60)
        objects.mark_done([SOURCE.id])
        with pytest.raises(LeaseLost, match="the object is finished"):
            objects.advance(ours, 3, 60)
        objects.finish(ours)
        assert found(ledger).state is ObjectState.DONE

    def test_a_key_that_is_not_accepted_cannot_begin(self, objects: Objects) -> None:
        with pytest.raises(UnacceptableKey):
            objects.begin(replace(SOURCE, key="bronze/shipments/a.csv"), 1000, 60)

    def test_writes_whose_answers_were_lost_count(self, forgetful: Objects, ledger: Ledger, clock: Clock) -> None:
        forgetful.begin(SOURCE, 1000, 60)
        clock.advance(61)
        ours = forgetful.begin(SOURCE, 1000, 60)
        forgetful.advance(ours, 2, 60)
        forgetful.give_back(ours, 2)
        ours = forgetful.begin(SOURCE, 1000, 60)
        forgetful.finish(ours)
        assert found(ledger).state is ObjectState.PLANNED


class TestOutcomes:
    @pytest.mark.parametrize("planned", [False, True])
    def test_an_unfinished_object_can_be_done(self, objects: Objects, ledger: Ledger, planned: bool) -> None:
        ours = objects.begin(SOURCE, 1000, 60)
        if planned:
            objects.finish(ours)
        objects.mark_done([SOURCE.id])
        assert found(ledger).state is ObjectState.DONE
        assert objects.begin(SOURCE, 1000, 60).is_finished

    def test_an_object_is_rejected_once_with_its_reason_and_advice(self, objects: Objects, ledger: Ledger) -> None:
        assert objects.reject(SOURCE, "unsupported_format", "upload .jsonl")
        assert not objects.reject(SOURCE, "another", "later")
        known = found(ledger)
        assert (known.state, known.reason, known.advice) == (
            ObjectState.REJECTED,
            "unsupported_format",
            "upload .jsonl",
        )

    def test_a_rejection_whose_answer_was_lost_is_new_all_the_same(self, forgetful: Objects) -> None:
        assert forgetful.reject(SOURCE, "unsupported_format", "upload .jsonl")

    @pytest.mark.parametrize("planned", [False, True])
    def test_an_unfinished_object_can_be_given_up(self, objects: Objects, ledger: Ledger, planned: bool) -> None:
        ours = objects.begin(SOURCE, 1000, 60)
        if planned:
            objects.finish(ours)
        assert objects.reject_known(whole(SOURCE), "gone", "upload it again")
        known = found(ledger)
        assert (known.state, known.reason, known.advice) == (ObjectState.REJECTED, "gone", "upload it again")

    def test_what_is_finished_stays_as_it_is(self, objects: Objects, ledger: Ledger) -> None:
        objects.begin(SOURCE, 1000, 60)
        objects.mark_done([SOURCE.id])
        assert not objects.reject_known(whole(SOURCE), "gone", "upload it again")
        assert not objects.reject(SOURCE, "gone", "upload it again")
        assert found(ledger).state is ObjectState.DONE

    def test_only_unfinished_objects_are_open_work(self, objects: Objects, ledger: Ledger) -> None:
        others = [replace(SOURCE, etag=f"e{number}") for number in range(4)]
        for source in others:
            objects.begin(source, 1000, 60)
        objects.reject(SOURCE, "reason", "advice")
        objects.mark_done([others[0].id])
        objects.reject_known(whole(others[1]), "reason", "advice")
        objects.finish(found(ledger, others[2].id))
        assert set(ledger.open_objects()) == {others[2].id, others[3].id}


class TestVersions:
    """The same bytes, uploaded again: another version of the same object."""

    def versions(self, *numbers: int) -> list[BronzeObject]:
        return [
            replace(SOURCE, version_id=f"v{number}", created=CREATED + timedelta(hours=number)) for number in numbers
        ]

    @pytest.mark.parametrize("planned", [False, True])
    def test_the_newest_version_is_read_and_the_plan_stays(
        self, objects: Objects, ledger: Ledger, planned: bool
    ) -> None:
        first, second = self.versions(1, 2)
        ours = objects.begin(first, 1000, 60)
        if planned:
            objects.finish(ours)
        known = objects.read_from(found(ledger), second)
        assert (known.source.version_id, known.source.created) == ("v2", first.created)
        assert found(ledger) == known

    @pytest.mark.parametrize("order", [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)], ids=str)
    def test_in_whatever_order_the_events_come(
        self, objects: Objects, ledger: Ledger, order: tuple[int, int, int]
    ) -> None:
        first, *later = self.versions(*order)
        objects.begin(first, 1000, 60)
        for announced in later:
            objects.read_from(found(ledger), announced)
        assert found(ledger).source.version_id == "v3"

    def test_of_two_events_at_once_the_newer_wins(self, objects: Objects, ledger: Ledger) -> None:
        first, second, third = self.versions(1, 2, 3)
        seen = objects.begin(first, 1000, 60)
        objects.read_from(seen, third)
        assert objects.read_from(seen, second) == seen
        assert found(ledger).source.version_id == "v3"

    @pytest.mark.parametrize(
        "end", [Objects.mark_done, lambda objects, _: objects.reject_known(whole(SOURCE), "gone", "")]
    )
    def test_a_finished_object_needs_no_version(
        self, objects: Objects, ledger: Ledger, end: Callable[[Objects, list[ObjectId]], object]
    ) -> None:
        first, second = self.versions(1, 2)
        seen = objects.begin(first, 1000, 60)
        end(objects, [SOURCE.id])
        objects.read_from(seen, second)
        assert found(ledger).source.version_id == "v1"

    def test_an_event_of_an_unversioned_bucket_changes_nothing(self, objects: Objects, ledger: Ledger) -> None:
        (first,) = self.versions(1)
        known = objects.begin(first, 1000, 60)
        assert objects.read_from(known, replace(SOURCE, created=CREATED + timedelta(days=1))) == known
        assert found(ledger) == known
