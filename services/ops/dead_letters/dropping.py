"""Letters that have nothing left to do are deleted; each is judged again by the ledger right before.

There is no purge: a letter whose rows are in neither Silver nor quarantine is never deleted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field

from services.ops.dead_letters.letters import Kind
from services.ops.dead_letters.looking import QueueLook, Watch
from services.ops.dead_letters.redrive import MAX_NAMED, read
from services.ops.dead_letters.standing import Explained, Standing
from services.ops.dead_letters.wanted import Wanted
from services.shared.ledger.ledger import Ledger

SETTLED = frozenset(standing for standing in Standing if standing.is_settled)
REFUSED = frozenset(standing for standing in Standing if not standing.can_be_work)


@dataclass(slots=True)
class Dropped:
    """What was deleted of one queue; in a dry run, what would have been."""

    kind: Kind
    looked_at: int = 0
    dropped: Counter[Standing] = field(default_factory=Counter)
    not_deleted: int = 0
    left: Counter[Standing] = field(default_factory=Counter)
    named: list[Explained] = field(default_factory=list)  # of those that were dropped, the first ones
    complete: bool = True
    in_flight: int = 0  # at the beginning: somebody else had received them, so this may not have seen them


def drop(
    ledger: Ledger,
    look: QueueLook,
    kind: Kind,
    standings: Set[Standing],
    wanted: Wanted = Wanted(),  # noqa: B008 (immutable)
    dry_run: bool = False,
    watch: Watch = lambda _what, _number: None,
) -> Dropped:
    """Delete the wanted letters of one queue that are in one of these standings.

    Raises:
        ValueError: a letter in one of these standings has rows to load.
        ClientError, BotoCoreError, Throttled: a service does not answer, or refuses everything.
    """
    if not standings <= SETTLED | REFUSED:
        raise ValueError(f"letters that are {standings - SETTLED - REFUSED} must not be dropped")
    result = Dropped(kind)
    with look:
        result.in_flight = look.depth.in_flight
        for page in read(ledger, look, kind):
            chosen = [found for found in page if found.standing in standings and wanted.has(found)]
            result.left.update(found.standing for found in page if found not in chosen)
            left = [] if dry_run else look.delete([found.letter.message for found in chosen])
            undeleted = {message.id for message in left}
            done = [found for found in chosen if found.letter.message.id not in undeleted]
            result.not_deleted += len(undeleted)
            result.dropped.update(found.standing for found in done)
            result.named += done[: MAX_NAMED - len(result.named)]
            result.looked_at = look.looked_at
            watch(f"{kind}s", look.looked_at)
        result.complete = look.complete
    return result
