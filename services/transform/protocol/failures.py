"""What a failure means for the work that met it: try again, count it against the unit, or give the unit up.

A lot, and a unit in it, must not harm its neighbours. So whatever is raised while one of them is handled is caught at
the border between them and becomes one of these; only the process's own end (`BaseException`) goes further.
"""

from __future__ import annotations

from botocore.exceptions import ClientError, ParamValidationError

from services.shared.aws import FAILURES, Failure
from services.shared.errors import Terminal

# AWS refuses the request itself: the same request will be refused again.
_REFUSED_REQUESTS = {"ValidationException", "SerializationException", "InvalidParameterValue", "EntityTooLarge"}


class UnexpectedFailure(Terminal):
    """Something that nobody foresaw: a bug, or memory that ran out. The unit is tried again, alone."""


class TooLarge(Terminal):
    """A unit that one invocation after the other cannot get on with."""


class RefusedMessage(Terminal):
    """A message that the ledger does not confirm."""


def as_failure(error: Exception) -> Failure:
    """The error as one whose kind decides what happens next.

    Our own errors and AWS's answers and silences stay what they are. Requests that AWS calls invalid, and every other
    exception, are terminal: they will happen again.

    A failure is kept until its delivery ends. Its traceback is not: the frames in it hold the rows and files that the
    worker had in memory, and those of one failed lot after the other would fill it.
    """
    if isinstance(error, ClientError) and error.response["Error"]["Code"] not in _REFUSED_REQUESTS:
        return _without_frames(error)
    if isinstance(error, FAILURES) and not isinstance(error, ClientError | ParamValidationError):
        return _without_frames(error)
    return UnexpectedFailure(f"{type(error).__name__}: {error}"[:2000])


def _without_frames(failure: Failure) -> Failure:
    failure.__traceback__ = failure.__cause__ = failure.__context__ = None
    return failure


def is_own_fault(failure: Failure) -> bool:
    """Whether it counts against the unit. Time, throttling, a lease, a missing permission or an outage do not."""
    return isinstance(failure, Terminal)
