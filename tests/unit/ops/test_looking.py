"""A look at a queue: each message once, everything visible again afterwards, bounded."""

from __future__ import annotations

from typing import Any

import pytest

from services.ops.dead_letters import looking
from services.ops.dead_letters.looking import Message, NotOfAws, QueueLook, hidden_seconds, measure
from tests.support.faults import Crash
from tests.support.sqs import DEAD, MemorySqs, Mortal


def filled(number: int) -> MemorySqs:
    sqs = MemorySqs()
    for n in range(number):
        sqs.send_message(DEAD, f"letter {n}")
    return sqs


def look_at(sqs: Any, most: int = 0) -> QueueLook:
    return QueueLook(sqs, DEAD, most)


def bodies(look: QueueLook) -> list[str]:
    with look:
        return [message.body for page in look.pages() for message in page]


@pytest.mark.parametrize("number", [0, 1, 10, 57])
def test_every_message_is_seen_once_and_is_visible_again_at_the_end(number: int) -> None:
    sqs = filled(number)
    look = look_at(sqs)
    assert bodies(look) == [f"letter {n}" for n in range(number)]
    assert (look.looked_at, look.complete, look.not_released) == (number, True, 0)
    assert len(sqs.visible(DEAD)) == number


def test_two_looks_one_after_the_other_see_the_same() -> None:
    sqs = filled(25)
    assert bodies(look_at(sqs)) == bodies(look_at(sqs))


def test_a_look_at_some_says_that_there_are_more() -> None:
    look = look_at(filled(57), most=13)
    assert len(bodies(look)) == 13
    assert (look.complete, look.depth.visible) == (False, 57)


def test_messages_that_come_again_because_the_look_is_slow_are_not_counted_twice() -> None:
    sqs = filled(30)
    look = look_at(sqs)
    seen: list[Message] = []
    with look:
        for page in look.pages():
            seen += page
            if len(seen) == 20:
                sqs.clock.advance(look.hidden + 1)  # all that was seen is visible again
    assert len(seen) == len({message.id for message in seen}) == look.looked_at == 30
    assert len(sqs.visible(DEAD)) == 30


def test_an_exception_inside_makes_everything_visible_again() -> None:
    sqs = filled(12)
    with pytest.raises(KeyboardInterrupt), look_at(sqs) as look:
        next(look.pages())
        raise KeyboardInterrupt
    assert len(sqs.visible(DEAD)) == 12


def test_what_a_killed_look_has_hidden_appears_again_after_the_time_that_it_chose() -> None:
    sqs = filled(30)
    with pytest.raises(Crash):
        bodies(look_at(Mortal(sqs, 4, before=True)))
    assert len(sqs.visible(DEAD)) == 10
    sqs.clock.advance(sqs.hidden_for[0] - 1)
    assert len(sqs.visible(DEAD)) == 10
    sqs.clock.advance(1)
    assert len(sqs.visible(DEAD)) == 30


@pytest.mark.parametrize(
    ("messages", "per_second", "seconds"),
    [(0, 50, 120), (1_000, 50, 120), (10_000, 50, 400), (1_000, 1, 2_000), (100, 500, 120), (100_000, 1, 43_200)],
)
def test_messages_are_hidden_for_twice_the_time_of_the_look_within_limits(
    messages: int, per_second: int, seconds: int
) -> None:
    assert hidden_seconds(messages, per_second) == seconds


def test_a_look_chooses_its_time_by_what_it_will_look_at() -> None:
    sqs = filled(3)
    sqs.queues[DEAD] *= 4000
    bodies(look_at(sqs, most=1))
    assert sqs.hidden_for == [120]
    bodies_of_all = look_at(sqs)
    with bodies_of_all:
        next(bodies_of_all.pages())
    assert sqs.hidden_for[-1] == 480


def test_a_deleted_message_is_gone_and_one_that_is_delivered_again_is_only_deleted_again() -> None:
    sqs = filled(3)
    sqs.refused_deletes += ["letter 0"] * 3
    look = look_at(sqs)
    seen: list[str] = []
    with look:
        for page in look.pages():
            seen += [message.body for message in page]
            assert [message.body for message in look.delete(page)] == ["letter 0"]
            sqs.clock.advance(look.hidden + 1)
    assert seen == ["letter 0", "letter 1", "letter 2"]
    assert sqs.bodies(DEAD) == []


def test_a_message_that_is_never_deleted_is_visible_at_the_end() -> None:
    sqs = filled(2)
    sqs.refused_deletes += ["letter 1"] * 99
    with look_at(sqs) as look:
        (page,) = look.pages()
        assert [message.body for message in look.delete(page)] == ["letter 1"]
    assert [message.body for message in sqs.visible(DEAD)] == ["letter 1"]


def test_no_more_than_the_limit_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MAX_HELD", 20)
    sqs = filled(57)
    look = look_at(sqs)
    assert len(bodies(look)) == 20
    assert not look.complete


def test_deleting_makes_room_so_that_a_queue_of_any_size_can_be_worked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MAX_HELD", 20)
    sqs = filled(57)
    with look_at(sqs) as look:
        for page in look.pages():
            look.delete(page)
    assert (sqs.bodies(DEAD), look.looked_at, look.complete) == ([], 57, True)
    assert len(look._deleted) <= 20


def test_the_time_is_the_queues_and_not_this_machines() -> None:
    sqs = filled(1)
    depth, now = measure(sqs, DEAD)  # type: ignore[arg-type]
    assert depth.visible == 1
    assert 0 < now.timestamp() - sqs.clock.now <= 1


def test_an_answer_without_numbers_is_not_taken_for_an_empty_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    sqs = filled(1)
    monkeypatch.setattr(sqs, "get_queue_attributes", lambda **_: {"ResponseMetadata": {"HTTPHeaders": {}}})
    with pytest.raises(NotOfAws, match="tells no number of messages"):
        measure(sqs, DEAD)  # type: ignore[arg-type]
