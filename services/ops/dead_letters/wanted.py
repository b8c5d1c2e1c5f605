"""Which letters a command is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.ops.dead_letters.standing import Explained


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of these hold; what is empty does not matter."""

    dataset: str = ""  # the key names it
    error: str = ""  # a part of the reason or of the error, in small or capital letters
    since: datetime | None = None  # when the letter was sent: from then on
    until: datetime | None = None  # before then

    @property
    def is_everything(self) -> bool:
        return not (self.dataset or self.error or self.since or self.until)

    def has(self, found: Explained) -> bool:
        letter = found.letter
        if self.dataset and self.dataset not in letter.datasets:
            return False
        if self.since and letter.sent < self.since:
            return False
        if self.until and letter.sent >= self.until:
            return False
        text = f"{letter.reason} {letter.error} {found.last_error} {letter.problem}".lower()
        return self.error.lower() in text
