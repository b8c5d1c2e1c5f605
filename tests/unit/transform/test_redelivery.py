"""When a message comes again depends on what failed, and SQS is told so."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from services.shared.aws import Failure
from services.shared.deadline import OutOfTime
from services.shared.errors import Terminal, Transient
from services.shared.ledger.records import LeaseHeld
from services.transform.protocol.redelivery import seconds_until_retry, send_back

NOW = 1_800_000_000_000
THROTTLED = ClientError({"Error": {"Code": "Throttling", "Message": "slow down"}}, "GetItem")


class Queue:
    """Records what it is told; refuses the entries named in `refuses`, or every call with `error`."""

    def __init__(self, refuses: frozenset[str] = frozenset(), error: ClientError | None = None) -> None:
        self.told: list[list[dict[str, Any]]] = []
        self._refuses = refuses
        self._error = error

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == "queue"
        if self._error:
            raise self._error
        self.told.append(Entries)
        refused = [entry for entry in Entries if entry["ReceiptHandle"] in self._refuses]
        return {"Failed": [{"Id": entry["Id"], "Code": "Gone", "Message": "no such handle"} for entry in refused]}


def record(message: str, receives: int = 1) -> dict[str, Any]:
    return {
        "messageId": message,
        "receiptHandle": f"handle of {message}",
        "attributes": {"ApproximateReceiveCount": str(receives)},
    }


def test_work_for_which_no_time_was_left_comes_again_at_once() -> None:
    assert seconds_until_retry(OutOfTime("later"), 1, NOW) == 0


def test_work_of_another_worker_comes_again_when_that_worker_s_lease_is_over() -> None:
    assert seconds_until_retry(LeaseHeld("his", NOW + 42_500), 1, NOW) == 43


def test_a_lease_is_never_waited_for_beyond_the_longest_wait() -> None:
    assert seconds_until_retry(LeaseHeld("his", NOW + 10**9), 1, NOW) == 900


def test_what_cannot_succeed_goes_on_to_the_dead_letters_soon() -> None:
    assert seconds_until_retry(Terminal("malformed"), 4, NOW) == 5


@pytest.mark.parametrize("error", [Transient("S3 did not answer"), THROTTLED, LeaseHeld("whose, is not known")])
@pytest.mark.parametrize(("receives", "longest"), [(1, 30), (2, 60), (5, 480), (20, 900)])
def test_what_may_pass_waits_longer_each_time(error: Failure, receives: int, longest: int) -> None:
    waits = {seconds_until_retry(error, receives, NOW) for _ in range(200)}
    assert longest // 2 <= min(waits) < max(waits) <= longest


def test_only_failed_messages_are_told_ten_at_a_time() -> None:
    queue = Queue()
    records = [record(f"m{n}") for n in range(25)]
    failed: dict[str, Failure] = {f"m{n}": OutOfTime("later") for n in range(1, 24)}
    assert send_back(queue, "queue", records, failed, NOW) == []  # type: ignore[arg-type]
    assert [len(entries) for entries in queue.told] == [10, 10, 3]
    told = [entry for entries in queue.told for entry in entries]
    assert [entry["ReceiptHandle"] for entry in told] == [f"handle of m{n}" for n in range(1, 24)]
    assert len({entry["Id"] for entry in told}) == 23


def test_a_delivery_without_failures_asks_nothing() -> None:
    queue = Queue()
    assert send_back(queue, "queue", [record("m")], {}, NOW) == []  # type: ignore[arg-type]
    assert queue.told == []


def test_what_sqs_refuses_is_told_and_the_others_are_done() -> None:
    queue = Queue(refuses=frozenset({"handle of a"}))
    failed: dict[str, Failure] = {"a": Terminal("bad"), "b": Terminal("bad")}
    assert send_back(queue, "queue", [record("a"), record("b")], failed, NOW) == ["no such handle"]  # type: ignore[arg-type]
    assert len(queue.told[0]) == 2


def test_a_call_that_fails_is_told_and_raises_nothing() -> None:
    queue = Queue(error=THROTTLED)
    assert send_back(queue, "queue", [record("a")], {"a": Terminal("bad")}, NOW) == [str(THROTTLED)]  # type: ignore[arg-type]
