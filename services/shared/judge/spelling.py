"""What to say of a required field that a row lacks: perhaps its key is there in another spelling."""

from __future__ import annotations

from collections.abc import Iterable

from services.shared.judge.row_json import shortened
from services.shared.judge.verdicts import Reason, Rejection


def missing(name: str, key: str | int, is_null: bool, keys: Iterable[str]) -> Rejection:
    """That a field is missing, or null. `key` is where it was looked for, `keys` are those that are there instead."""
    if is_null:
        return Rejection(Reason.MISSING_REQUIRED, "is null", name)
    alike = next((other for other in keys if isinstance(key, str) and _folded(other) == _folded(key)), None)
    what = "is missing" if key == name else f"is missing: there is no {_shown(key)}"
    if alike is not None:
        what += f"; the row has {_shown(alike)}: write that as the field's physicalName if it is meant"
    return Rejection(Reason.MISSING_REQUIRED, what, name)


def _shown(key: str | int) -> str:
    return f"item {key}" if isinstance(key, int) else repr(shortened(key))


def _folded(key: str) -> str:
    """A key without what spellings differ in: case, and what stands between words."""
    return "".join(letter for letter in key.casefold() if letter.isalnum())
