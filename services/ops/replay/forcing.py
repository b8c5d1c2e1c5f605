"""Loading an object once more (`replay --force`): its rows leave, then it is let in, and the replay plans it."""

from __future__ import annotations

from services.ops.replay.planning import Candidate
from services.ops.replay.running import check_readable
from services.ops.rewrite.retraction import Retraction
from services.shared.deadline import Deadline
from services.shared.lake import Lake


def take_out(candidate: Candidate, retraction: Retraction, lake: Lake, unit_bytes: int) -> None:
    """Take an object's rows out and let it in again. Candidates are looked up thousands of objects ahead: one that
    somebody has retracted for good since then stays away.

    Raises:
        Unreadable: its bytes cannot be read; nothing has changed.
        KeptAway: somebody has retracted it meanwhile.
        NotReopened, LostRace: somebody else is at work on it.
    """
    check_readable(lake, candidate.source)
    retraction.let_in_again(
        candidate.origin,
        Deadline.endless(),
        unit_bytes=unit_bytes,
        unless_kept_away=not candidate.is_kept_away,
    )
