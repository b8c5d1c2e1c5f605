"""The error that a person has to act on."""

from __future__ import annotations

from services.shared.errors import SmeltError


class OperatorError(SmeltError):
    """The work cannot be done. The message says what is wrong, where, and what to do next."""
