"""Letters back to work, one page of a queue after the other: send, then delete.

    look (hidden) --> explain --> wanted, and can be work? --yes--> send --> delete
                                        '------------no---> stays, visible again when the look ends

Whatever happens in between, the letter is in one of the two places: not sent, it is still in its queue; sent and not
deleted, it is in both, and redriving it again is harmless, because the pipeline loads each unit once. A letter that was
sent in this run and comes into the queue again (it failed again, or its delete did) is not sent again in this run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from services.ops.dead_letters.letters import READERS, Kind
from services.ops.dead_letters.looking import QueueLook, Watch
from services.ops.dead_letters.sending import Pace, Work
from services.ops.dead_letters.standing import Explained, Standing, explain
from services.ops.dead_letters.wanted import Wanted
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger

MAX_NAMED = 100  # letters that stay and are named; all are counted
ENDLESS = Deadline(lambda: float("inf"), 0)


@dataclass(frozen=True, slots=True)
class Staying:
    """A wanted letter that was not sent, and why."""

    found: Explained
    why: str


@dataclass(slots=True)
class Redriven:
    """What a redrive of one queue did; in a dry run, what it would have done."""

    kind: Kind
    looked_at: int = 0
    sent: Counter[Standing] = field(default_factory=Counter)  # by what the ledger said of them
    stay: Counter[Standing] = field(default_factory=Counter)  # wanted, but they can never be work
    not_sent: int = 0  # the service did not take them
    not_deleted: int = 0  # sent, and still in the queue as well
    not_wanted: int = 0
    newer: int = 0  # came while this ran
    named: list[Staying] = field(default_factory=list)
    complete: bool = True  # the end of the queue was reached
    in_flight: int = 0  # at the beginning: somebody else had received them, so this may not have seen them
    hidden_for: int = 0  # seconds for which letters stay hidden that could not be made visible again
    by_sqs: bool = False  # SQS's own task moved them: `moved` counts, and nothing was looked at
    moved: int = 0

    @property
    def all_right(self) -> bool:
        return not (self.stay or self.not_sent or self.not_deleted)

    def name(self, found: Explained, why: str) -> None:
        if len(self.named) < MAX_NAMED:
            self.named.append(Staying(found, why))


def read(ledger: Ledger, look: QueueLook, kind: Kind) -> Iterator[list[Explained]]:
    """Pages of letters with what the ledger says of them."""
    for page in look.pages():
        yield explain(ledger, [READERS[kind](message) for message in page])


def redrive(
    ledger: Ledger,
    look: QueueLook,
    kind: Kind,
    work: Work,
    pace: Pace,
    wanted: Wanted = Wanted(),  # noqa: B008 (immutable)
    most: int = 0,
    dry_run: bool = False,
    deadline: Deadline = ENDLESS,
    watch: Watch = lambda _what, _number: None,
) -> Redriven:
    """Send the wanted letters of one queue back to work, at most `most` (0: all).

    Raises:
        ClientError, BotoCoreError, Throttled: a service does not answer, or refuses everything. What was sent until
            then is sent; the rest is in the queue.
    """
    result = Redriven(kind)
    with look:
        result.in_flight = look.depth.in_flight
        for page in read(ledger, look, kind):
            room = most - result.sent.total() if most else len(page)
            batch = _choose(page, look, wanted, result, room)
            result.looked_at = look.looked_at
            if batch and not dry_run:
                pace.wait(len(batch))
                _send(batch, look, work, result)
            result.sent.update(found.standing for found in batch)
            watch(f"{kind}s", look.looked_at)
            if deadline.left <= 0 or (most and result.sent.total() >= most):
                break
        result.complete = look.complete
    if look.not_released:
        result.hidden_for = look.hidden
    return result


def _choose(page: Sequence[Explained], look: QueueLook, wanted: Wanted, result: Redriven, room: int) -> list[Explained]:
    """Those of a page that are to be sent; the others are counted."""
    chosen: list[Explained] = []
    for found in page:
        if found.letter.sent > look.started:
            result.newer += 1
        elif not wanted.has(found):
            result.not_wanted += 1
        elif not found.standing.can_be_work:
            result.stay[found.standing] += 1
            result.name(found, found.detail)
        elif len(chosen) < room:
            chosen.append(found)
    return chosen


def _send(batch: list[Explained], look: QueueLook, work: Work, result: Redriven) -> None:
    """Send, then delete. `batch` loses those that were not taken."""
    refused = work.send([found.letter for found in batch])
    for found in [found for found in batch if found.letter.message.id in refused]:
        batch.remove(found)
        result.not_sent += 1
        result.name(found, f"not taken: {refused[found.letter.message.id]}")
    left = {message.id for message in look.delete([found.letter.message for found in batch])}
    for found in batch:
        if found.letter.message.id in left:
            result.not_deleted += 1
            result.name(found, "sent, but not deleted: it is in both queues, and redriving it again does no harm")
