"""Every message is on the queue, or an error says how many are not."""

from __future__ import annotations

from typing import Any

import pytest

from services.shared.deadline import Deadline, OutOfTime
from services.shared.sqs import SendFailed, in_tens, send_all, send_ten

ENOUGH = Deadline(lambda: 60.0, 5.0)


class Queue:
    """Takes only what `takes(call number, id)` says; if `silent`, it does not name what it refuses."""

    def __init__(self, takes: Any = lambda call, id_: True, silent: bool = False) -> None:
        self.calls: list[list[str]] = []
        self.bodies: list[str] = []
        self._takes = takes
        self._silent = silent

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        self.calls.append([entry["Id"] for entry in Entries])
        taken = [entry for entry in Entries if self._takes(len(self.calls), entry["Id"])]
        refused = [] if self._silent else [entry for entry in Entries if entry not in taken]
        self.bodies += [entry["MessageBody"] for entry in taken]
        failed = [{"Id": entry["Id"], "Code": "InternalError", "Message": "try again"} for entry in refused]
        return {"Successful": [{"Id": entry["Id"]} for entry in taken], "Failed": failed}


def no_pause(_: float) -> None:
    """Time does not matter here."""


def test_a_list_is_cut_into_tens_in_order() -> None:
    assert list(in_tens(range(23))) == [list(range(10)), list(range(10, 20)), [20, 21, 22]]
    assert list(in_tens([])) == []


def test_messages_are_sent_in_order_ten_at_a_time() -> None:
    queue = Queue()
    send_all(queue, "url", (str(number) for number in range(25)), ENOUGH)  # type: ignore[arg-type]
    assert queue.bodies == [str(number) for number in range(25)]
    assert [len(call) for call in queue.calls] == [10, 10, 5]


@pytest.mark.parametrize("silent", [False, True])
def test_only_what_was_refused_is_sent_again(silent: bool) -> None:
    queue = Queue(lambda call, id_: call == 2 or id_ not in ("1", "3"), silent)
    send_ten(queue, "url", ["a", "b", "c", "d"], ENOUGH, no_pause)  # type: ignore[arg-type]
    assert queue.calls == [["0", "1", "2", "3"], ["1", "3"]]
    assert sorted(queue.bodies) == ["a", "b", "c", "d"]


def test_what_is_refused_again_and_again_is_an_error_that_says_why() -> None:
    queue = Queue(lambda call, id_: id_ != "1")
    pauses: list[float] = []
    with pytest.raises(SendFailed, match="refused 1 of 2 messages to url: InternalError: try again"):
        send_ten(queue, "url", ["a", "b"], ENOUGH, pauses.append)  # type: ignore[arg-type]
    assert len(queue.calls) == 7
    assert len(pauses) == 6
    assert sum(pauses) < 6.5


def test_nothing_is_sent_again_once_only_the_reserve_is_left() -> None:
    times = iter([60.0, 4.0, 4.0, 4.0])
    queue = Queue(lambda call, id_: False)
    with pytest.raises(OutOfTime):
        send_ten(queue, "url", ["a"], Deadline(lambda: next(times), 5.0), no_pause)  # type: ignore[arg-type]
    assert len(queue.calls) == 1
