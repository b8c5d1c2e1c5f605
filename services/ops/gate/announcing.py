"""Announces partitions that commits have written: one event each, none lost, a busy partition once in a while.

A commit leaves a mark in the ledger, in its own transaction (`services.shared.ledger.marks`). This walks the marks:

    mark --> claim the partition --> PutEvents --> note that it is sent --> remove the mark
             (none in `every`)       (may fail)                             (all its partitions are announced)

    dies before PutEvents       the mark is still there; `every` later somebody claims the partition again
    dies after PutEvents        the event is out; the mark is still there, and is announced once more, `every` later
    PutEvents refuses an entry, or all: throttling, a policy    the claim is given back; the next run tries at once
    PutEvents does not answer   the event may be out: as after a death
    a commit during a claim     its mark is younger than the claim, so it waits for the next announcement

So nobody is told more often than once in `every`, and the last commit of a busy partition is always followed by an
event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from services.shared.deadline import Deadline
from services.shared.ledger.gates import Gates
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.marks import Mark
from services.shared.ledger.records import Outbox

SOURCE, DETAIL_TYPE = "smelt", "Silver partition written"
# A mark has the time at which its commit was begun, and the call may get through a minute later, at its last try only
# (`services.shared.aws`). And clocks differ: AWS keeps its own within milliseconds, and takes requests from machines of
# people who retract or retry, whose clocks are up to five minutes off.
MARGIN = timedelta(minutes=7)
_ENTRIES = 10  # PutEvents' limit
_MARKS = 500  # that are looked at at once
_SERVER_ERROR = 500  # HTTP: below it, the request was refused as a whole

Partition = tuple[str, str]  # dataset, dt


@dataclass(slots=True)
class Announced:
    """What a run did."""

    events: int = 0
    marks: int = 0  # removed
    waiting: int = 0  # marks that stay: a partition of theirs was announced not long ago, or PutEvents refused it
    refused: list[str] = field(default_factory=list)  # why entries were refused
    finished: bool = True  # all marks were looked at


Send = Callable[[list[Partition]], list[str]]


class Events:
    """Sends events to EventBridge; `pipeline` tells one pipeline's events from another's."""

    def __init__(self, client: Any, pipeline: str, bus: str = "default") -> None:
        self._client, self._pipeline, self._bus = client, pipeline, bus

    def send(self, partitions: list[Partition]) -> list[str]:
        """Send at most ten events. Returns why each was refused; an empty text where it was not.

        Raises:
            ClientError, BotoCoreError: EventBridge does not answer: some may have been sent.
        """
        try:
            answer = self._put(partitions)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= _SERVER_ERROR:
                raise
            told = error.response["Error"]
            return [f"{told.get('Code')}: {told.get('Message', '')}"] * len(partitions)
        except (EndpointConnectionError, ConnectTimeoutError) as error:  # nobody has heard us
            return [str(error)] * len(partitions)
        return [
            f"{entry['ErrorCode']}: {entry.get('ErrorMessage', '')}" if entry.get("ErrorCode") else ""
            for entry in answer["Entries"]
        ]

    def _put(self, partitions: list[Partition]) -> Any:
        return self._client.put_events(
            Entries=[
                {
                    "Source": SOURCE,
                    "DetailType": DETAIL_TYPE,
                    "EventBusName": self._bus,
                    "Detail": json.dumps({"pipeline": self._pipeline, "record_type": dataset, "dt": dt}),
                }
                for dataset, dt in partitions
            ]
        )


def announce(ledger: Ledger, send: Send, every: timedelta, deadline: Deadline) -> Announced:
    """Announce what waits, until all marks were looked at or time is over.

    Raises:
        ClientError, BotoCoreError, Throttled: the ledger or EventBridge does not answer; nothing is lost.
    """
    done = Announced()
    waiting = ledger.marks.to_deal_with(Outbox.EVENTS)
    while marks := [found.mark for found in islice(waiting, _MARKS)]:
        if deadline.left <= 0:
            done.finished = False
            break
        _announce(ledger, marks, send, every, deadline, done)
    return done


def _announce(
    ledger: Ledger, marks: list[Mark], send: Send, every: timedelta, deadline: Deadline, done: Announced
) -> None:
    wanted = {partition: mark for mark in marks for partition in _partitions(mark)}
    sent = ledger.gates.announced_ms(wanted.keys())
    due = sorted({one for mark in marks for one in _partitions(mark) if not _is_covered(mark, sent.get(one))})
    fresh: set[Partition] = set()  # announced here, after these marks were read
    while some := due[:_ENTRIES]:
        if deadline.left <= 0:  # a lot may be in thousands of partitions
            done.finished = False
            break
        due = due[_ENTRIES:]
        fresh |= _send(ledger.gates, some, send, every, done)
    for mark in marks:
        if all(one in fresh or _is_covered(mark, sent.get(one)) for one in _partitions(mark)):
            done.marks += ledger.marks.remove(mark)
        else:
            done.waiting += 1


def _send(gates: Gates, partitions: list[Partition], send: Send, every: timedelta, done: Announced) -> set[Partition]:
    """Those of at most ten partitions whose event is on its way."""
    claims = {one: claim for one in partitions if (claim := gates.claim(*one, every)) is not None}
    if not claims:
        return set()
    accepted = set()
    for (one, claim), refusal in zip(claims.items(), send(list(claims)), strict=True):
        if refusal:
            gates.give_back(*one, claim)
            done.refused.append(f"{one[0]}, dt={one[1]}: {refusal}")
            continue
        gates.sent(*one, claim)
        accepted.add(one)
    done.events += len(accepted)
    return accepted


def _partitions(mark: Mark) -> Iterator[Partition]:
    return ((dataset, dt) for dataset, days in mark.partitions.items() for dt in days)


def _is_covered(mark: Mark, sent_ms: int | None) -> bool:
    """Whether an event was claimed after this mark was written, whatever the clocks say."""
    return sent_ms is not None and sent_ms > mark.since + MARGIN // timedelta(milliseconds=1)
