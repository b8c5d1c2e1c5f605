"""The two kinds of failure that decide what happens next.

`Terminal`: trying again cannot help; the work goes to the dead-letter queue or is recorded as rejected.
`Transient`: trying again may help; the message goes back to the queue.

Every message says what happened, to which object, and what the operator does next.
"""

from __future__ import annotations


class SmeltError(Exception):
    """Base of the errors that smelt raises on purpose."""


class Terminal(SmeltError):
    """Trying again cannot help."""


class Transient(SmeltError):
    """Trying again may help."""


class UnreadableItem(Exception):
    """An item of the ledger is not as smelt writes it: somebody has changed it, or this is a bug in smelt."""
