"""Units onto the queue, several batches side by side, in an order that a cursor can follow.

A call of SendMessageBatch is mostly waiting, so several run side by side. docs/decisions/0014-planning-large-objects.md
says what that brings, and how long S3's largest object takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from services.shared.deadline import Deadline, OutOfTime
from services.shared.sqs import in_tens
from services.shared.units import Unit

SENDERS = 16  # the size of the client's connection pool (services/shared/aws.py)

SendTen = Callable[[Sequence[str]], None]  # puts up to ten bodies on the queue, or raises


def send_in_order(send: SendTen, units: Iterable[Unit], deadline: Deadline) -> Generator[int]:
    """Put units on the queue, in constant memory.

    Yields, each time it knows of more: how many units, counted from the first without a gap, are on the queue. Up to
    160 units behind them may be there too; whoever goes on from the last number sends those again.

    Raises:
        OutOfTime: only the deadline's reserve is left.
        Exception: whatever `send` raised.
    """
    sent, in_time = 0, True
    flying: deque[tuple[Future[None], int]] = deque()
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="send") as pool:
        for batch in in_tens(units):
            in_time = deadline.left > 0
            if not in_time:
                break
            if len(flying) == SENDERS:
                sent += _landed(*flying.popleft())
                yield sent
            flying.append((pool.submit(send, [unit.to_message() for unit in batch]), len(batch)))
        while flying:
            sent += _landed(*flying.popleft())
            yield sent
    if not in_time:
        raise OutOfTime("not all units are on the queue yet; the next invocation goes on where this one stopped")


def _landed(future: Future[None], units: int) -> int:
    future.result()
    return units
