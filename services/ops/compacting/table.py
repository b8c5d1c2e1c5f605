"""A compaction into a table of the lake: the job between a plan and a commit, each under the table's lease.

Whoever dies between plan and commit has changed nothing. The next compaction commits what the job has done by then; if
the job has not ended, or its files have changed meanwhile, it makes a plan of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from services.ops.lake.compaction import Compaction, Swap
from services.shared.compaction import CompactionPlan


def compact_table(compaction: Compaction, dt: str, run_job: Callable[[CompactionPlan], None]) -> Swap | None:
    """Compact one partition of the table; None where there is nothing to gain, or no table.

    Raises:
        Outdated: what the plan replaces was replaced meanwhile; nothing was changed.
        LeaseHeld: somebody else works on the table.
        ManifestError, WrongFile: what the job wrote is not what its plan asks for; nothing was changed.
    """
    ended = compaction.find_ended(dt)
    if ended is not None:
        return compaction.commit(*ended)
    plan = compaction.prepare(dt)
    if plan is None:
        return None
    run_job(plan)
    return compaction.commit(*compaction.load(plan.run))
