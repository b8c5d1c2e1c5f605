"""The accounts of unfinished objects alone: reads the index of open work and what it names, and no listing.

What is refused (not loaded) has left the index, and contradictions need the whole ledger: both are the full audit's.
"""

from __future__ import annotations

from datetime import UTC, datetime

from services.ops.audit.audit import Audit, Limits, Watch
from services.ops.audit.findings import Findings
from services.ops.audit.recheck import accounts
from services.ops.audit.scope import Scope
from services.ops.grid import in_batches_of_lots
from services.shared.ledger.ledger import Ledger


def unfinished(
    ledger: Ledger,
    scope: Scope = Scope(),  # noqa: B008 (immutable)
    limits: Limits = Limits(),  # noqa: B008
    now: datetime | None = None,
    watch: Watch = lambda _what, _number: None,
) -> Audit:
    """Every object that is not finished, as it is now.

    Raises:
        ClientError, BotoCoreError: the ledger cannot be read.
    """
    result = Audit(Findings(limits.listed))
    moment = now or datetime.now(UTC)
    for number, account in enumerate(accounts(ledger, ledger.open_objects(), moment, limits.overdue), 1):
        watch("open objects", number)
        if not account.outcome.finished and scope.has(account.id, account.created):
            result.add(account, listed=scope.lists(account.outcome), limit=limits.listed)
    for batch in in_batches_of_lots(ledger.open_lots()):
        for lot in ledger.find_lots(batch):
            result.add_lot(lot.state, leftover=bool(lot.leftovers))
    return result
